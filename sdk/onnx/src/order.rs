//! An order in which a graph's nodes can run, and whether there is one.
//!
//! The specification asks writers to sort nodes, and some do not; engines sort them anyway. What a graph
//! within a node uses of the graph around it counts as used by that node.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet},
};

use crate::{
    error::{Error, Result, quoted},
    graph::{Graph, Node},
};

impl Graph {
    /// Positions of the nodes, each after those that it uses; `0, 1, 2, …` where they are written so, as
    /// the specification asks. Looks at the graphs within too. For a model's own graph and for functions,
    /// which have nothing around them.
    ///
    /// # Errors
    /// `Invalid` when a value is used that nothing makes, or nodes use each other in a circle.
    pub fn order(&self) -> Result<Vec<usize>> {
        let Analysis { order, free } = analyse(self)?;
        let Some(name) = free.into_iter().min() else { return Ok(order) };
        let user = self.nodes.iter().enumerate().find(|(_, node)| node.inputs.iter().any(|input| input == name));
        let place = user.map_or_else(|| "a graph within, or an output".to_owned(), |(at, node)| node.place(at));
        Err(Error::invalid(format!("nothing makes the value {}", quoted(name))).at(place))
    }
}

struct Analysis<'a> {
    order: Vec<usize>,
    /// Names that the graph uses and does not define, those of graphs within included.
    free: HashSet<&'a str>,
}

/// Kahn's algorithm over the nodes of one graph; each graph within is looked at once.
fn analyse(graph: &Graph) -> Result<Analysis<'_>> {
    let count = graph.nodes.len();
    let mut free: HashSet<&str> = graph.outputs.iter().map(|output| &*output.name).collect();
    let (mut waits_for, mut users) = (vec![0_usize; count], vec![Vec::new(); count]);
    for ((at, node), waits) in graph.nodes.iter().enumerate().zip(&mut waits_for) {
        let used = used(node).map_err(|error| error.at(node.place(at)))?;
        let makers: HashSet<usize> = used.iter().filter_map(|name| graph.producer(name)).map(|(at, ..)| at).collect();
        *waits = makers.len();
        for maker in makers {
            if let Some(users) = users.get_mut(maker) {
                users.push(at);
            }
        }
        free.extend(used);
    }
    free.retain(|name| graph.origin(name).is_none());
    // The smallest first, so that what is sorted stays as it is.
    let ready = waits_for.iter().enumerate().filter(|(_, waits)| **waits == 0);
    let mut ready: BinaryHeap<Reverse<usize>> = ready.map(|(at, _)| Reverse(at)).collect();
    let mut order = Vec::with_capacity(count);
    while let Some(Reverse(at)) = ready.pop() {
        order.push(at);
        for user in users.get(at).into_iter().flatten() {
            let Some(waits) = waits_for.get_mut(*user) else { continue };
            *waits -= 1;
            if *waits == 0 {
                ready.push(Reverse(*user));
            }
        }
    }
    if order.len() == count {
        return Ok(Analysis { order, free });
    }
    let stuck = graph.nodes.iter().enumerate().zip(&waits_for).find(|(_, waits)| **waits > 0);
    let place = stuck.map_or_else(String::new, |((at, node), _)| node.place(at));
    Err(Error::invalid("nodes use each other in a circle").at(place))
}

/// Names that the node uses: its inputs, and what graphs within take from around them.
fn used(node: &Node) -> Result<HashSet<&str>> {
    let mut names: HashSet<&str> = node.inputs.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
    for graph in node.graphs() {
        names.extend(analyse(graph)?.free);
    }
    Ok(names)
}
