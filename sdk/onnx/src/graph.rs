//! Graphs as the specification means them: nodes, values and initializers, found by name in constant time.
//!
//! Made by `read` out of decoded messages; `order` puts nodes after what they use.

use std::collections::{BTreeMap, HashMap};

use prost::bytes::Bytes;

use crate::{
    error::{Error, Result, quoted},
    tensor::{SparseTensor, Tensor},
    types::{ValueInfo, ValueType},
};

/// A graph: of the model, of an attribute, or the body of a function.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Graph {
    /// Its name.
    pub name: String,
    /// What its author says of it.
    pub doc: String,
    /// Its inputs, in order. Initializers of the same name are their defaults.
    pub inputs: Vec<ValueInfo>,
    /// Its outputs, in order.
    pub outputs: Vec<ValueInfo>,
    /// Types of values within, as far as they are declared.
    pub value_infos: Vec<ValueInfo>,
    /// Constants.
    pub initializers: Vec<Tensor>,
    /// Sparse constants.
    pub sparse_initializers: Vec<SparseTensor>,
    /// Operators, as written; [`Graph::order`] gives an order in which they can run.
    pub nodes: Vec<Node>,
    pub(crate) index: Index,
}

/// Positions by name.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Index {
    origins: HashMap<String, Origin>,
    inputs: HashMap<String, usize>,
    value_infos: HashMap<String, usize>,
}

/// Where a value comes from; positions are those in the graph's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// An input without a default.
    Input(usize),
    /// A constant, which may be the default of an input ([`Graph::input`]).
    Initializer(usize),
    /// A sparse constant.
    SparseInitializer(usize),
    /// An output of a node.
    Node {
        /// Which node.
        node: usize,
        /// Which of its outputs.
        output: usize,
    },
}

/// One use of an operator.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Node {
    /// Its name; often empty.
    pub name: String,
    /// Whose operator; empty for ONNX's own, also where the file says `ai.onnx`.
    pub domain: String,
    /// Which operator.
    pub op_type: String,
    /// Which of several functions of that name.
    pub overload: String,
    /// Version of the domain's operator set that the model imports; none if it does not.
    pub opset: Option<i64>,
    /// Names of its inputs; empty for one that is left out.
    pub inputs: Vec<String>,
    /// Names of its outputs; empty for one that is left out.
    pub outputs: Vec<String>,
    /// Its attributes by name.
    pub attributes: BTreeMap<String, Attribute>,
}

/// A constant of a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// A number.
    Float(f32),
    /// An integer.
    Int(i64),
    /// Bytes, meant as UTF-8.
    String(Bytes),
    /// A tensor.
    Tensor(Box<Tensor>),
    /// A graph, such as a branch of `If`.
    Graph(Box<Graph>),
    /// A sparse tensor.
    SparseTensor(Box<SparseTensor>),
    /// A type.
    Type(Box<ValueType>),
    /// Numbers.
    Floats(Vec<f32>),
    /// Integers.
    Ints(Vec<i64>),
    /// Strings.
    Strings(Vec<Bytes>),
    /// Tensors.
    Tensors(Vec<Tensor>),
    /// Graphs.
    Graphs(Vec<Graph>),
    /// Sparse tensors.
    SparseTensors(Vec<SparseTensor>),
    /// Types.
    Types(Vec<ValueType>),
    /// Within a function: the caller's attribute of this name.
    Reference(String),
}

impl Attribute {
    /// The kind, in the specification's words.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Float(_) => "FLOAT",
            Self::Int(_) => "INT",
            Self::String(_) => "STRING",
            Self::Tensor(_) => "TENSOR",
            Self::Graph(_) => "GRAPH",
            Self::SparseTensor(_) => "SPARSE_TENSOR",
            Self::Type(_) => "TYPE_PROTO",
            Self::Floats(_) => "FLOATS",
            Self::Ints(_) => "INTS",
            Self::Strings(_) => "STRINGS",
            Self::Tensors(_) => "TENSORS",
            Self::Graphs(_) => "GRAPHS",
            Self::SparseTensors(_) => "SPARSE_TENSORS",
            Self::Types(_) => "TYPE_PROTOS",
            Self::Reference(_) => "a reference",
        }
    }

    /// The graphs that it holds.
    #[must_use]
    pub fn graphs(&self) -> &[Graph] {
        if let Self::Graph(graph) = self {
            return std::slice::from_ref(graph);
        }
        if let Self::Graphs(graphs) = self { graphs } else { &[] }
    }
}

macro_rules! getter {
    ($name:ident, $variant:ident, $kind:literal, $type:ty, $held:ident => $given:expr, $doc:literal) => {
        #[doc = $doc]
        ///
        /// # Errors
        /// `Invalid` when the attribute is of another kind.
        pub fn $name(&self, name: &str) -> Result<Option<$type>> {
            match self.attributes.get(name) {
                None => Ok(None),
                Some(Attribute::$variant($held)) => Ok(Some($given)),
                Some(other) => Err(Error::invalid(format!("attribute {} is of another kind", quoted(name)))
                    .expected($kind)
                    .got(other.kind())),
            }
        }
    };
}

impl Node {
    getter!(float, Float, "FLOAT", f32, held => *held, "A number, if the node has it.");
    getter!(int, Int, "INT", i64, held => *held, "An integer, if the node has it.");
    getter!(bytes, String, "STRING", &Bytes, held => held, "A string, if the node has it.");
    getter!(tensor, Tensor, "TENSOR", &Tensor, held => held, "A tensor, if the node has it.");
    getter!(graph, Graph, "GRAPH", &Graph, held => held, "A graph, if the node has it.");
    getter!(floats, Floats, "FLOATS", &[f32], held => held, "Numbers, if the node has them.");
    getter!(ints, Ints, "INTS", &[i64], held => held, "Integers, if the node has them.");
    getter!(strings, Strings, "STRINGS", &[Bytes], held => held, "Strings, if the node has them.");

    /// A string as text, if the node has it.
    ///
    /// # Errors
    /// `Invalid` when the attribute is of another kind, or not UTF-8.
    pub fn text(&self, name: &str) -> Result<Option<&str>> {
        let Some(bytes) = self.bytes(name)? else { return Ok(None) };
        let text = std::str::from_utf8(bytes)
            .map_err(|_| Error::invalid(format!("attribute {} is not UTF-8", quoted(name))))?;
        Ok(Some(text))
    }

    /// The graphs of all its attributes.
    pub fn graphs(&self) -> impl Iterator<Item = &Graph> {
        self.attributes.values().flat_map(Attribute::graphs)
    }

    /// Where it stands, for messages: `node 3 "add" (Add)`.
    #[must_use]
    pub fn place(&self, position: usize) -> String {
        let domain = if self.domain.is_empty() { String::new() } else { format!("{}.", self.domain) };
        let name = if self.name.is_empty() { String::new() } else { format!(" {}", quoted(&self.name)) };
        format!("node {position}{name} ({domain}{})", self.op_type)
    }
}

impl Graph {
    /// Where a value of this name comes from, if from this graph.
    #[must_use]
    pub fn origin(&self, name: &str) -> Option<Origin> {
        self.index.origins.get(name).copied()
    }

    /// The constant of this name.
    #[must_use]
    pub fn initializer(&self, name: &str) -> Option<&Tensor> {
        let Some(Origin::Initializer(at)) = self.origin(name) else { return None };
        self.initializers.get(at)
    }

    /// The node that makes the value of this name, and which of its outputs it is.
    #[must_use]
    pub fn producer(&self, name: &str) -> Option<(usize, &Node, usize)> {
        let Some(Origin::Node { node, output }) = self.origin(name) else { return None };
        Some((node, self.nodes.get(node)?, output))
    }

    /// The input of this name and its position.
    #[must_use]
    pub fn input(&self, name: &str) -> Option<(usize, &ValueInfo)> {
        let at = *self.index.inputs.get(name)?;
        Some((at, self.inputs.get(at)?))
    }

    /// Inputs that a caller must give: those without a default, with their positions.
    pub fn required_inputs(&self) -> impl Iterator<Item = (usize, &ValueInfo)> {
        let required = |name: &str| matches!(self.origin(name), Some(Origin::Input(_)));
        self.inputs.iter().enumerate().filter(move |(_, input)| required(&input.name))
    }

    /// What the graph declares of the value of this name: as input, or within.
    #[must_use]
    pub fn declared(&self, name: &str) -> Option<&ValueInfo> {
        let within = || self.index.value_infos.get(name).and_then(|at| self.value_infos.get(*at));
        let output = || self.outputs.iter().find(|output| output.name == name);
        self.input(name).map(|(_, info)| info).or_else(within).or_else(output)
    }

    /// Builds the index.
    ///
    /// # Errors
    /// `Invalid` when two things have the same name.
    pub(crate) fn indexed(mut self) -> Result<Self> {
        let mut index = Index::default();
        let twice = |name: &str, place: String| {
            Err(Error::invalid(format!("the value {} is defined twice", quoted(name))).at(place))
        };
        for (at, input) in self.inputs.iter().enumerate() {
            if index.inputs.insert(input.name.clone(), at).is_some() {
                return twice(&input.name, format!("input {at}"));
            }
            index.origins.insert(input.name.clone(), Origin::Input(at));
        }
        let dense = self.initializers.iter().enumerate().map(|(at, tensor)| (&tensor.name, Origin::Initializer(at)));
        let sparse = self.sparse_initializers.iter().enumerate();
        let sparse = sparse.map(|(at, tensor)| (&tensor.values.name, Origin::SparseInitializer(at)));
        for (name, origin) in dense.chain(sparse) {
            if name.is_empty() {
                return Err(Error::invalid("an initializer has no name"));
            }
            if !matches!(index.origins.insert(name.clone(), origin), None | Some(Origin::Input(_))) {
                return twice(name, "the initializers".to_owned());
            }
        }
        for (at, node) in self.nodes.iter().enumerate() {
            for (output, name) in node.outputs.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
                if index.origins.insert(name.clone(), Origin::Node { node: at, output }).is_some() {
                    return twice(name, node.place(at));
                }
            }
        }
        for (at, info) in self.value_infos.iter().enumerate() {
            index.value_infos.entry(info.name.clone()).or_insert(at);
        }
        self.index = index;
        Ok(self)
    }
}
