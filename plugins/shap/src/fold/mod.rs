//! What a graph is to exact shares: columns that come of one feature each, one model over them, and what follows.
//!
//! Nothing is moved into thresholds or coefficients: what stands before the model is computed for every row, in the
//! runtime's own precision, and each column knows the feature that owns it. Before it comes a file; after it come the
//! algorithms. It does not know backgrounds.
//!
//! | module | what it does |
//! |---|---|
//! | `expr` | a column of one feature |
//! | `value` | values of the graph: columns, constants, scores |
//! | `standard`, `encoders` | operators before the model |
//! | `cores` | the model |
//! | `scores` | operators after it |

mod cores;
mod encoders;
mod expr;
mod scores;
mod standard;
mod value;

use std::{collections::HashMap, sync::Arc};

use candor_onnx::{Bytes, Dim, Graph, Limits, Node, Origin, ValueInfo};

use self::{
    cores::Core,
    expr::Expr,
    value::{Columns, Fixed, Value, kind, told},
};
pub use self::{
    cores::Model,
    expr::Kind,
    scores::{Output, Post},
};
use crate::{matrix::Matrix, refusal::Refusal};

/// A graph that can be explained exactly.
#[derive(Debug, Clone)]
pub struct Folded {
    /// Where the model stands in the graph, for messages.
    pub place: String,
    /// Features of a row: the columns of all inputs, in their order.
    pub features: usize,
    /// Features that hold text.
    pub textual: Vec<bool>,
    /// Whether rows may be wider: the only input does not say how wide it is.
    pub is_open: bool,
    /// The model.
    pub model: Model,
    /// Its outputs, of its scores.
    pub outputs: Vec<Output>,
    /// What is done with them.
    pub post: Post,
    /// Whether outputs without a transform are probabilities already.
    pub are_probabilities: bool,
    columns: Vec<Arc<Expr>>,
}

/// What kind of model a graph has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A sum of coefficients: `candor.linear_shap`.
    Linear,
    /// Trees: `candor.tree_shap`.
    Trees,
}

/// What a file is: cheap beside explaining anything. An error says what stands in the way, and where.
///
/// # Errors
/// When the graph is neither.
pub fn what(file: &[u8]) -> Result<What, Refusal> {
    Ok(Folded::read(file)?.what())
}

impl Folded {
    /// Of a file.
    ///
    /// # Errors
    /// When it is no ONNX file, or its graph is not such a model: then with the node.
    pub fn read(file: &[u8]) -> Result<Self, Refusal> {
        let model = candor_onnx::Model::read(Bytes::copy_from_slice(file), &Limits::default());
        Self::of(&model.map_err(|error| told(&error))?.graph)
    }

    /// Of a graph.
    ///
    /// # Errors
    /// As [`Folded::read`].
    pub fn of(graph: &Graph) -> Result<Self, Refusal> {
        let mut folding = Folding { graph, values: HashMap::new(), cores: Vec::new() };
        let (features, textual, is_open) = folding.inputs()?;
        for at in graph.order().map_err(|error| told(&error))? {
            if let Some(node) = graph.nodes.get(at) {
                folding.node(node, &node.place(at));
            }
        }
        let scores = folding.answer()?;
        let Some(Core { place, columns, model }) = folding.cores.into_iter().nth(scores.core) else {
            return Err(Refusal::new("the graph has no model"));
        };
        let scores::Scores { outputs, post, are_probabilities, .. } = scores;
        Ok(Self { place, features, textual, is_open, model, outputs, post, are_probabilities, columns })
    }

    /// What kind of model it is.
    #[must_use]
    pub const fn what(&self) -> What {
        match self.model {
            Model::Trees(_) => What::Trees,
            Model::Linear(_) => What::Linear,
        }
    }

    /// The feature that owns each column that the model reads.
    #[must_use]
    pub fn owners(&self) -> Vec<u32> {
        // A constant column never differs, so that whoever owns it gets nothing of it.
        self.columns.iter().map(|column| column.owner.unwrap_or(0)).collect()
    }

    /// The columns that the model reads, of rows of features. `words` are the texts that codes stand for.
    ///
    /// # Errors
    /// When a code is of no text.
    pub fn columns(&self, rows: &Matrix, words: &[&[u8]]) -> Result<Matrix, Refusal> {
        let mut cells = Vec::with_capacity(rows.rows.saturating_mul(self.columns.len()));
        for at in 0..rows.rows {
            let row = rows.row(at);
            for column in &self.columns {
                cells.push(column.of_row(row, words)?);
            }
        }
        Ok(Matrix { rows: rows.rows, width: self.columns.len(), cells })
    }
}

/// A graph that is being looked through.
struct Folding<'a> {
    graph: &'a Graph,
    /// What each value is, or why it is nothing of use.
    values: HashMap<&'a str, Result<Value, Refusal>>,
    cores: Vec<Core>,
}

impl<'a> Folding<'a> {
    /// Makes columns of the inputs; gives the number of features, those of text, and whether there may be more.
    fn inputs(&mut self) -> Result<(usize, Vec<bool>, bool), Refusal> {
        let graph = self.graph;
        let inputs: Vec<&ValueInfo> = graph.required_inputs().map(|(_, input)| input).collect();
        let (mut textual, mut is_open) = (Vec::new(), false);
        for input in &inputs {
            let at = |refusal: Refusal| refusal.at(&format!("input {}", candor_onnx::quoted(&input.name)));
            let (element, shape) = input.tensor().ok_or_else(|| at(Refusal::new("it is no tensor")))?;
            let kind = kind(element).map_err(at)?;
            let dims: Vec<usize> = match shape {
                Some([_]) => Vec::new(),
                Some([_, Dim::Fixed(width)]) => vec![usize::try_from(*width).unwrap_or(usize::MAX)],
                Some([_, Dim::Symbol(_) | Dim::Unknown]) | None if inputs.len() == 1 => {
                    is_open = true;
                    vec![
                        self.width_needed()
                            .ok_or_else(|| at(Refusal::new("it does not say how many columns it has")))?,
                    ]
                }
                _ => return Err(at(Refusal::new("it is no rows of a fixed number of columns"))),
            };
            let count: usize = dims.iter().product();
            if count == 0 || textual.len().saturating_add(count) > value::COLUMNS_MAX {
                return Err(at(Refusal::new("it has no columns, or too many")));
            }
            let first = u32::try_from(textual.len()).unwrap_or(u32::MAX);
            let cells = (0..count).zip(first..).map(|(_, feature)| Arc::new(Expr::feature(feature, kind))).collect();
            textual.extend(std::iter::repeat_n(kind == Kind::Text, count));
            self.values.insert(&input.name, Columns::new(kind, dims, cells).map(Value::Columns).map_err(at));
        }
        if textual.is_empty() {
            return Err(Refusal::new("the graph has no inputs"));
        }
        Ok((textual.len(), textual, is_open))
    }

    /// How many columns the first model that says so reads.
    fn width_needed(&self) -> Option<usize> {
        self.graph.nodes.iter().find_map(|node| {
            let scale = node.floats("scale").ok().flatten().map_or(0, <[f32]>::len);
            let width = match &*node.op_type {
                "TreeEnsembleClassifier" | "TreeEnsembleRegressor" => {
                    let ids = node.ints("nodes_featureids").ok().flatten()?;
                    ids.iter().max().and_then(|max| usize::try_from(*max).ok()).map_or(1, |max| max.saturating_add(1))
                }
                "LinearClassifier" | "LinearRegressor" => {
                    candor_onnx::extract::Linear::of(node, None).ok().map(|linear| linear.features)?
                }
                "Scaler" if scale > 1 => scale,
                "MatMul" | "Gemm" => {
                    self.graph.initializer(node.inputs.get(1)?)?.dims.first().map(|dim| *dim as usize)?
                }
                _ => return None,
            };
            Some(width.min(value::COLUMNS_MAX))
        })
    }

    /// The value of a name, made if it is a constant of the file.
    fn look(&mut self, name: &'a str) {
        if self.values.contains_key(name) {
            return;
        }
        let made = match self.graph.origin(name) {
            Some(Origin::Initializer(_)) => {
                self.graph.initializer(name).map(|tensor| Fixed::of(tensor).map(Value::Fixed))
            }
            _ => None,
        };
        let nothing = || Err(Refusal::new(format!("the value {} is not folded", candor_onnx::quoted(name))));
        self.values.insert(name, made.unwrap_or_else(nothing));
    }

    /// What the outputs of a node are.
    fn node(&mut self, node: &'a Node, place: &str) {
        for name in node.inputs.iter().filter(|name| !name.is_empty()) {
            self.look(name);
        }
        let made = self.made(node, place);
        for (at, name) in node.outputs.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let value = match &made {
                Ok(values) => values.get(at).cloned().ok_or_else(|| Refusal::new(format!("{place}: no output {at}"))),
                Err(refusal) => Err(refusal.clone()),
            };
            self.values.insert(name, value);
        }
    }

    fn made(&mut self, node: &'a Node, place: &str) -> Result<Vec<Value>, Refusal> {
        let mut inputs: Vec<Option<&Value>> = Vec::with_capacity(node.inputs.len());
        for name in &node.inputs {
            inputs.push(match self.values.get(name.as_str()) {
                Some(Ok(value)) => Some(value),
                // The first node that is not folded is the one to name.
                Some(Err(refusal)) => return Err(refusal.clone()),
                None => None,
            });
        }
        let told_at = |refusal: Refusal| refusal.at(place);
        if let Some(core) = cores::made(node, place, &inputs, self.cores.len()) {
            let (core, scores) = core.map_err(told_at)?;
            self.cores.push(core);
            let scores = Value::Scores(scores);
            return Ok(if cores::is_classifier(node) { vec![Value::Label, scores] } else { vec![scores] });
        }
        if inputs.iter().any(|value| matches!(value, Some(Value::Label))) {
            return Ok(vec![Value::Label; node.outputs.len()]);
        }
        if let Some(made) = scores::made(node, &inputs) {
            return made.map(|value| vec![value; node.outputs.len()]).map_err(told_at);
        }
        let made = match &*node.domain {
            "" if node.op_type == "Constant" => Some(constant(node)),
            "" => standard::made(node, &inputs),
            "ai.onnx.ml" => encoders::made(node, &inputs),
            _ => None,
        };
        made.unwrap_or_else(|| Err(Refusal::new("this operator is not folded"))).map_err(told_at)
    }

    /// The scores that the graph answers with: its first output that has any.
    fn answer(&self) -> Result<scores::Scores, Refusal> {
        let mut why = None;
        for output in &self.graph.outputs {
            match self.values.get(output.name.as_str()) {
                Some(Ok(Value::Scores(scores))) => return Ok(scores.clone()),
                Some(Err(refusal)) => why = why.or_else(|| Some(refusal.clone())),
                Some(Ok(Value::Label | Value::Columns(_) | Value::Fixed(_))) | None => {}
            }
        }
        Err(why.unwrap_or_else(|| Refusal::new("no output of the graph comes of a tree ensemble or a linear model")))
    }
}

fn constant(node: &Node) -> Result<Vec<Value>, Refusal> {
    let of = |error: candor_onnx::Error| told(&error);
    if let Some(tensor) = node.tensor("value").map_err(of)? {
        return Ok(vec![Value::Fixed(Fixed::of(tensor)?)]);
    }
    if let Some(ints) = node.ints("value_ints").map_err(of)? {
        return Ok(vec![Value::Fixed(Fixed::of(&candor_onnx::Tensor::of_ints(ints.to_vec()))?)]);
    }
    if let Some(floats) = node.floats("value_floats").map_err(of)? {
        return Ok(vec![Value::Fixed(Fixed::of(&candor_onnx::Tensor::of_floats(floats.to_vec()))?)]);
    }
    Err(Refusal::new("it holds no tensor"))
}
