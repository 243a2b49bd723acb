//! Functions: engines put their nodes in the place of each call, so ten that call each other ten times each
//! are ten thousand million nodes.

use std::collections::HashMap;

use super::{Scan, Topic};
use crate::{
    error::{Error, ErrorKind, Result, quoted},
    graph::{Graph, Node},
    limits::Limits,
    model::{Function, Model},
};

/// Calls within calls that are followed.
const CALL_DEPTH_MAX: usize = 64;

pub(super) fn look(model: &Model, limits: &Limits, scan: &mut Scan) {
    let mut calls = Calls { model, counted: HashMap::new() };
    let graphs = [&model.graph].into_iter().chain(&model.training);
    let own = graphs.map(|graph| calls.count(graph, 0)).sum::<Result<u64>>();
    let functions = model.functions.iter().map(|function| calls.expanded(function, 0)).collect::<Result<Vec<_>>>();
    match own.and_then(|own| functions.map(|_| own)) {
        Err(error) => scan.refuse(Topic::Function, error),
        Ok(nodes) if nodes > limits.nodes => {
            let what = "the model has too many nodes when its functions are put in place";
            let error = Error::new(ErrorKind::Limit, what).expected(format!("at most {}", limits.nodes));
            scan.refuse(Topic::Function, error.got(nodes.to_string()));
        }
        Ok(_) => {}
    }
}

struct Calls<'a> {
    model: &'a Model,
    /// Nodes of each function with all that it calls; none while it is being counted.
    counted: HashMap<(&'a str, &'a str, &'a str), Option<u64>>,
}

impl<'a> Calls<'a> {
    fn expanded(&mut self, function: &'a Function, depth: usize) -> Result<u64> {
        let refuse = |what: &str| Error::invalid(what).at(format_args!("function {}", quoted(&function.name)));
        match self.counted.get(&function.key()) {
            Some(Some(count)) => return Ok(*count),
            Some(None) => return Err(refuse("a function calls itself, directly or through others")),
            None if depth > CALL_DEPTH_MAX => {
                let error = refuse("functions call functions too deeply");
                return Err(error.expected(format!("at most {CALL_DEPTH_MAX} levels")));
            }
            None => {}
        }
        self.counted.insert(function.key(), None);
        let count = self.count(&function.body, depth)?;
        self.counted.insert(function.key(), Some(count));
        Ok(count)
    }

    fn count(&mut self, graph: &'a Graph, depth: usize) -> Result<u64> {
        graph.nodes.iter().try_fold(0_u64, |sum, node| Ok(sum.saturating_add(self.node(node, depth)?)))
    }

    fn node(&mut self, node: &'a Node, depth: usize) -> Result<u64> {
        let called = self.model.function(&node.domain, &node.op_type, &node.overload);
        let own = called.map_or(Ok(1), |function| self.expanded(function, depth + 1))?;
        node.graphs().try_fold(own, |sum, graph| Ok(sum.saturating_add(self.count(graph, depth)?)))
    }
}
