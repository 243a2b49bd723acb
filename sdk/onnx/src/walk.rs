//! A walk over everything in a model: graphs within graphs, functions, training, sparse tensors.

use std::fmt;

use crate::{
    error::quoted,
    graph::{Attribute, Graph, Node},
    model::{Function, Model},
    tensor::{SparseTensor, Tensor},
};

/// Where the walk is: itself, within what. Made into text only when somebody asks.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    Model,
    Training,
    Function(&'a Function),
    Graph(&'a Place<'a>, &'a Graph),
    Node(&'a Place<'a>, usize, &'a Node),
    Attribute(&'a Place<'a>, &'a str),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = |f: &mut fmt::Formatter<'_>, outer: &Place<'_>| {
            if matches!(outer, Place::Model) { Ok(()) } else { write!(f, "{outer}, ") }
        };
        match self {
            Self::Model => f.write_str("the model"),
            Self::Training => f.write_str("training"),
            Self::Function(function) => write!(f, "function {}", quoted(&function.name)),
            Self::Graph(outer, graph) => {
                below(f, outer)?;
                write!(f, "graph {}", quoted(&graph.name))
            }
            Self::Node(outer, at, node) => {
                below(f, outer)?;
                f.write_str(&node.place(*at))
            }
            Self::Attribute(outer, name) => {
                below(f, outer)?;
                write!(f, "attribute {}", quoted(name))
            }
        }
    }
}

/// What to do on the way.
pub(crate) trait Visit {
    /// A graph, before what is in it.
    fn graph(&mut self, _graph: &Graph, _place: &Place<'_>) {}
    /// A node, before what is in it.
    fn node(&mut self, _node: &Node, _around: &Graph, _place: &Place<'_>) {}
    /// A dense tensor, also each half of a sparse one.
    fn tensor(&mut self, _tensor: &Tensor, _place: &Place<'_>) {}
    /// A sparse tensor, before its halves.
    fn sparse(&mut self, _tensor: &SparseTensor, _place: &Place<'_>) {}
}

pub(crate) fn walk(model: &Model, visit: &mut impl Visit) {
    graph(&model.graph, &Place::Model, visit);
    for function in &model.functions {
        let place = Place::Function(function);
        graph(&function.body, &place, visit);
        for (name, default) in &function.defaults {
            attribute(default, &Place::Attribute(&place, name), visit);
        }
    }
    for training in &model.training {
        graph(training, &Place::Training, visit);
    }
}

fn graph(inner: &Graph, outer: &Place<'_>, visit: &mut impl Visit) {
    let place = &Place::Graph(outer, inner);
    visit.graph(inner, place);
    inner.initializers.iter().for_each(|tensor| visit.tensor(tensor, place));
    inner.sparse_initializers.iter().for_each(|tensor| sparse(tensor, place, visit));
    for (at, node) in inner.nodes.iter().enumerate() {
        let place = &Place::Node(place, at, node);
        visit.node(node, inner, place);
        for (name, value) in &node.attributes {
            attribute(value, &Place::Attribute(place, name), visit);
        }
    }
}

fn sparse(tensor: &SparseTensor, place: &Place<'_>, visit: &mut impl Visit) {
    visit.sparse(tensor, place);
    visit.tensor(&tensor.values, place);
    visit.tensor(&tensor.indices, place);
}

fn attribute(value: &Attribute, place: &Place<'_>, visit: &mut impl Visit) {
    match value {
        Attribute::Tensor(tensor) => visit.tensor(tensor, place),
        Attribute::Tensors(tensors) => tensors.iter().for_each(|tensor| visit.tensor(tensor, place)),
        Attribute::SparseTensor(tensor) => sparse(tensor, place, visit),
        Attribute::SparseTensors(tensors) => tensors.iter().for_each(|tensor| sparse(tensor, place, visit)),
        Attribute::Graph(_) | Attribute::Graphs(_) => {
            value.graphs().iter().for_each(|inner| graph(inner, place, visit));
        }
        Attribute::Float(_)
        | Attribute::Int(_)
        | Attribute::String(_)
        | Attribute::Type(_)
        | Attribute::Floats(_)
        | Attribute::Ints(_)
        | Attribute::Strings(_)
        | Attribute::Types(_)
        | Attribute::Reference(_) => {}
    }
}
