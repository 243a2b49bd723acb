//! From a graph to a [`Plan`]: what each value is, kernels in order, constants computed once.
//!
//! Every operator that some output needs must be known and built; all that is in the way is told at once. A
//! node whose inputs are all constants is run here and its outputs become constants.

use std::collections::{BTreeSet, HashMap};

use candor_domain::{Datatype, Error, ErrorCode, Result, Tensor, TensorData, tensor::RANK_MAX};
use candor_engine_source::{datatype, told};
use candor_onnx::{Dim, Folder, Graph, Node, Origin};

use crate::{
    constants::{dims_of, tensor},
    kernel::{Args, Build, Built, Known, Source},
    kernels,
    plan::{Plan, Step},
    workspace::Workspace,
};

/// Larger results of constant nodes are computed in each run instead of being kept.
const KEPT_ELEMENTS_MAX: usize = 1 << 22;

/// With larger constants, nodes are not run ahead: a model must not take long to load.
const FOLDED_ELEMENTS_MAX: usize = 1 << 18;

/// Bytes that steps run ahead may make altogether, those of results that are not kept included.
const FOLDED_BYTES_MAX: usize = 256 << 20;

/// Longest name of a dimension.
const SYMBOL_BYTES_MAX: usize = 256;

/// Most pairs of a node and an output.
const NEEDS_MAX: usize = 1 << 26;

/// Operators whose time is not told by what they make.
const NEVER_AHEAD: [&str; 1] = ["TfIdfVectorizer"];

/// Most operators that a refusal names.
const NAMED_MAX: usize = 8;

/// What is known of a value.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    pub(crate) source: Source,
    pub(crate) datatype: Datatype,
    pub(crate) dims: Option<Vec<Dim>>,
}

/// A plan, and what its outputs are.
pub(crate) struct Compiled {
    pub(crate) plan: Plan,
    pub(crate) outputs: Vec<Value>,
}

/// Compiles `graph`, whose constants may lie in `folder`. `inputs` are those that a caller gives.
///
/// # Errors
/// `Unsupported` with the operators that are in the way, `InvalidModel` for what contradicts the specification.
pub(crate) fn compile(graph: &Graph, folder: &Folder, inputs: &[(String, Value)]) -> Result<Compiled> {
    let order = graph.order().map_err(|error| told(&error))?;
    if graph.nodes.len().saturating_mul(graph.outputs.len()) > NEEDS_MAX {
        return Err(Error::new(ErrorCode::Unsupported, "the graph has more nodes and outputs than this engine takes")
            .expected(format!("nodes × outputs at most {NEEDS_MAX}")));
    }
    let needs = Needs::of(graph, &order);
    let mut work = Work {
        graph,
        folder,
        values: inputs.iter().cloned().collect(),
        constants: Vec::new(),
        steps: Vec::new(),
        slots: 0,
        folded_bytes: 0,
    };
    let mut refusals = Vec::new();
    for at in order.into_iter().filter(|at| needs.any(*at)) {
        let Some(node) = graph.nodes.get(at) else { continue };
        // What follows a refused node knows too little of its inputs.
        if (refusals.is_empty() || kernels::find(node).is_none())
            && let Err(error) = work.add(node, at, needs.of_node(at))
        {
            refusals.push(error);
        }
    }
    refused(refusals)?;
    let output = |info: &candor_onnx::ValueInfo| {
        work.value(&info.name)?.ok_or_else(|| Error::model(format!("nothing makes the output '{}'", info.name)))
    };
    let outputs = graph.outputs.iter().map(output).collect::<Result<Vec<Value>>>()?;
    let sources = outputs.iter().map(|value| value.source).collect();
    let mut plan = Plan { steps: work.steps, constants: work.constants, slots: work.slots, outputs: sources };
    mark_last(&mut plan);
    Ok(Compiled { plan, outputs })
}

/// One error out of many: all operators that are unknown, or else the first fault.
fn refused(refusals: Vec<Error>) -> Result<()> {
    let unknown: BTreeSet<&str> =
        refusals.iter().filter(|error| error.code() == ErrorCode::Unsupported).filter_map(Error::place).collect();
    if refusals.len() > 1 && unknown.len() > 1 {
        let more = unknown.len().saturating_sub(NAMED_MAX);
        let mut named = unknown.iter().take(NAMED_MAX).copied().collect::<Vec<_>>().join(", ");
        if more > 0 {
            named.push_str(&format!(" and {more} more"));
        }
        return Err(
            Error::new(ErrorCode::Unsupported, "the native engine does not run operators of this model").got(named)
        );
    }
    refusals.into_iter().next().map_or(Ok(()), Err)
}

/// For each node, which outputs need it.
struct Needs(Vec<Vec<bool>>);

impl Needs {
    fn of(graph: &Graph, order: &[usize]) -> Self {
        let mut needs = vec![vec![false; graph.outputs.len()]; graph.nodes.len()];
        for (output, info) in graph.outputs.iter().enumerate() {
            let mut wanted: BTreeSet<&str> = BTreeSet::from([info.name.as_str()]);
            for at in order.iter().rev() {
                let (Some(node), Some(needs)) = (graph.nodes.get(*at), needs.get_mut(*at)) else { continue };
                if node.outputs.iter().any(|name| !name.is_empty() && wanted.contains(name.as_str())) {
                    if let Some(need) = needs.get_mut(output) {
                        *need = true;
                    }
                    wanted.extend(node.inputs.iter().map(String::as_str));
                }
            }
        }
        Self(needs)
    }

    fn of_node(&self, at: usize) -> Vec<bool> {
        self.0.get(at).cloned().unwrap_or_default()
    }

    fn any(&self, at: usize) -> bool {
        self.0.get(at).is_some_and(|needs| needs.contains(&true))
    }
}

/// A plan in the making.
struct Work<'a> {
    graph: &'a Graph,
    folder: &'a Folder,
    values: HashMap<String, Value>,
    constants: Vec<Tensor>,
    steps: Vec<Step>,
    slots: usize,
    /// What steps run ahead have made so far.
    folded_bytes: usize,
}

impl Work<'_> {
    /// What is known of a value; constants of the file are read when they are first asked for.
    fn value(&mut self, name: &str) -> Result<Option<Value>> {
        if let Some(value) = self.values.get(name) {
            return Ok(Some(value.clone()));
        }
        match self.graph.origin(name) {
            Some(Origin::Initializer(at)) => {
                let Some(initializer) = self.graph.initializers.get(at) else { return Ok(None) };
                if datatype(initializer.data_type).is_none() {
                    return Err(Error::new(ErrorCode::Unsupported, "a constant has a datatype that is not supported")
                        .at(format!("initializer '{name}'"))
                        .got(initializer.data_type.to_string()));
                }
                Ok(Some(self.keep(name, tensor(initializer, self.folder)?)))
            }
            Some(Origin::SparseInitializer(_)) => {
                Err(Error::new(ErrorCode::Unsupported, "the native engine has no sparse constants")
                    .at(format!("initializer '{name}'")))
            }
            Some(Origin::Input(_) | Origin::Node { .. }) | None => Ok(None),
        }
    }

    fn keep(&mut self, name: &str, tensor: Tensor) -> Value {
        let source = Source::Constant(self.constants.len());
        let value = Value { source, datatype: tensor.datatype(), dims: Some(dims_of(&tensor)) };
        self.constants.push(tensor);
        self.values.insert(name.to_owned(), value.clone());
        value
    }

    fn add(&mut self, node: &Node, at: usize, needed_for: Vec<bool>) -> Result<()> {
        let unknown = || {
            let version = node.opset.map_or_else(String::new, |opset| format!(" (version {opset})"));
            let domain = if node.domain.is_empty() { "ai.onnx" } else { &node.domain };
            Error::new(ErrorCode::Unsupported, "the native engine does not run this operator")
                .at(format!("{domain}.{}{version}", node.op_type))
        };
        let build = kernels::find(node).ok_or_else(unknown)?;
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for name in &node.inputs {
            let value = if name.is_empty() { None } else { self.value(name)? };
            if value.is_none() && !name.is_empty() {
                return Err(Error::model(format!("nothing makes the value '{name}'")).at(node.place(at)));
            }
            inputs.push(value);
        }
        let Built { kernel, outputs } = build(&Build {
            node,
            opset: node.opset.unwrap_or_default(),
            inputs: inputs.iter().map(|value| value.as_ref().map(|value| known(value, &self.constants))).collect(),
            folder: self.folder,
        })
        .map_err(|error| error.at(node.place(at)))?;
        let sources: Vec<_> = inputs.iter().map(|value| value.as_ref().map(|value| value.source)).collect();
        let step = Step { kernel, inputs: sources, outputs: Vec::new(), needed_for, place: node.place(at) };
        if self.fold(&step, node) {
            return Ok(());
        }
        self.push(step, node, outputs);
        Ok(())
    }

    /// Runs a step whose inputs are all constants; says whether its outputs are constants now.
    fn fold(&mut self, step: &Step, node: &Node) -> bool {
        let is_small = |source: &Source| match source {
            Source::Constant(at) => {
                self.constants.get(*at).is_some_and(|constant| constant.data().len() <= FOLDED_ELEMENTS_MAX)
            }
            Source::Input(_) | Source::Slot { .. } => false,
        };
        let is_spent = self.folded_bytes >= FOLDED_BYTES_MAX || NEVER_AHEAD.contains(&&*node.op_type);
        if is_spent || !step.inputs.iter().flatten().all(is_small) {
            return false;
        }
        let Workspace { mut buffers, mut made, .. } = Workspace::default();
        let mut args =
            Args { sources: &step.inputs, inputs: &[], constants: &self.constants, slots: &mut [], cancel: None };
        if step.kernel.run(&mut args, &mut buffers, &mut made).is_err() {
            // It will fail in each run too, and say so then.
            return false;
        }
        self.folded_bytes = made.iter().map(bytes_of).fold(self.folded_bytes, usize::saturating_add);
        if made.len() != node.outputs.len() || made.iter().any(|tensor| tensor.data().len() > KEPT_ELEMENTS_MAX) {
            return false;
        }
        for (name, tensor) in node.outputs.iter().zip(made) {
            self.keep(name, tensor);
        }
        true
    }

    fn push(&mut self, mut step: Step, node: &Node, outputs: Vec<(Datatype, Option<Vec<Dim>>)>) {
        for (name, (datatype, dims)) in node.outputs.iter().zip(outputs) {
            if name.is_empty() {
                step.outputs.push(None);
                continue;
            }
            // What cannot be run is not carried along either: it could double with every node.
            let dims = agreed(self.declared(name), dims).filter(|dims| dims.len() <= RANK_MAX);
            let source = Source::Slot { at: self.slots, last: false };
            step.outputs.push(Some(self.slots));
            self.slots += 1;
            self.values.insert(name.clone(), Value { source, datatype, dims });
        }
        self.steps.push(step);
    }

    fn declared(&self, name: &str) -> Option<Vec<Dim>> {
        self.graph.declared(name)?.tensor()?.1.map(named_briefly)
    }
}

/// Dimensions as they are declared; a name that is longer than names are is none, since each use copies it.
pub(crate) fn named_briefly(dims: &[Dim]) -> Vec<Dim> {
    let brief = |dim: &Dim| match dim {
        Dim::Symbol(name) if name.len() > SYMBOL_BYTES_MAX => Dim::Unknown,
        Dim::Fixed(_) | Dim::Symbol(_) | Dim::Unknown => dim.clone(),
    };
    dims.iter().map(brief).collect()
}

/// Dimensions as they are declared, unless what is made has another number of them: files say such things, and
/// what comes counts.
pub(crate) fn agreed(declared: Option<Vec<Dim>>, made: Option<Vec<Dim>>) -> Option<Vec<Dim>> {
    match (declared, made) {
        (Some(declared), Some(made)) if declared.len() != made.len() => Some(made),
        (declared, made) => declared.or(made),
    }
}

/// What a tensor takes in memory.
fn bytes_of(tensor: &Tensor) -> usize {
    let own = if let TensorData::Bytes(strings) = tensor.data() { strings.total_bytes() } else { 0 };
    let each = tensor.datatype().element_bytes().unwrap_or(size_of::<usize>());
    own.saturating_add(tensor.data().len().saturating_mul(each))
}

fn known<'a>(value: &Value, constants: &'a [Tensor]) -> Known<'a> {
    let constant = match value.source {
        Source::Constant(at) => constants.get(at),
        Source::Input(_) | Source::Slot { .. } => None,
    };
    Known { datatype: value.datatype, dims: value.dims.clone(), constant }
}

/// Marks, for each value that is no output of the graph, the step that uses it last.
fn mark_last(plan: &mut Plan) {
    let mut seen: BTreeSet<usize> = plan.outputs.iter().filter_map(slot).collect();
    for step in plan.steps.iter_mut().rev() {
        let used: BTreeSet<usize> = step.inputs.iter().flatten().filter_map(slot).collect();
        for source in step.inputs.iter_mut().flatten() {
            if let Source::Slot { at, last } = source {
                *last = !seen.contains(at);
            }
        }
        seen.extend(used);
    }
}

fn slot(source: &Source) -> Option<usize> {
    if let Source::Slot { at, .. } = source { Some(*at) } else { None }
}
