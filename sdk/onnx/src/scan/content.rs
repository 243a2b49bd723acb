//! Domains, versions, order, and parts that no engine runs.

use std::collections::BTreeMap;

use super::{Scan, Topic};
use crate::{
    error::{Error, quoted},
    graph::{Graph, Node},
    model::Model,
    walk::{Place, Visit, walk},
};

/// Versions of operator sets that exist, as of ONNX 1.23; the empty domain is ONNX's own.
const KNOWN: [(&str, i64); 2] = [("", 28), ("ai.onnx.ml", 5)];
/// Other domains whose operators ONNX Runtime brings along.
const BROUGHT_ALONG: [&str; 3] = ["com.microsoft", "com.microsoft.nchwc", "ai.onnx.preview"];
/// The newest format that exists.
const IR_VERSION_MAX: i64 = 14;
/// Before it, ONNX Runtime promises nothing.
const OPSET_OLD: i64 = 7;

pub(super) fn look(model: &Model, scan: &mut Scan) {
    versions(model, scan);
    order(&model.graph, scan);
    model.functions.iter().for_each(|function| order(&function.body, scan));
    let mut domains = Domains { model, unknown: BTreeMap::new(), not_imported: BTreeMap::new() };
    walk(model, &mut domains);
    let Domains { unknown, not_imported, .. } = domains;
    for (domain, (count, first)) in unknown {
        let what = format!("operators of domain {} are known to nobody here", quoted(&domain));
        scan.warn(Topic::Domain, Error::invalid(what).at(first).got(nodes(count)));
    }
    for (domain, (count, first)) in not_imported {
        let what = format!("operators of domain {} are used and not imported", quoted(&domain));
        let error = Error::invalid(what).at(first).expected("an entry in opset_import").got(nodes(count));
        scan.refuse(Topic::Version, error);
    }
    if !model.training.is_empty() {
        let what = "the file holds graphs for training, which nothing here runs";
        scan.note(Topic::Training, Error::invalid(what).got(format!("{} graphs", model.training.len())));
    }
}

fn nodes(count: usize) -> String {
    if count == 1 { "one node".to_owned() } else { format!("{count} nodes") }
}

fn versions(model: &Model, scan: &mut Scan) {
    let range = |max: i64| format!("1 to {max}");
    if !(1..=IR_VERSION_MAX).contains(&model.ir_version) {
        let error = Error::invalid("the format is of no known version").at("ir_version");
        let error = error.expected(range(IR_VERSION_MAX)).got(model.ir_version.to_string());
        if model.ir_version < 1 { scan.refuse(Topic::Version, error) } else { scan.warn(Topic::Version, error) }
    }
    let functions = model.functions.iter().flat_map(|function| &function.opsets);
    let imports: std::collections::BTreeSet<(&String, &i64)> = model.opsets.iter().chain(functions).collect();
    for (domain, version) in imports {
        let known = KNOWN.iter().find(|(known, _)| known == domain).map(|(_, max)| *max);
        let error = Error::invalid("the operator set is of no known version");
        let error = error.at(format_args!("opset_import {}", quoted(domain))).got(version.to_string());
        match known {
            _ if *version < 1 => scan.refuse(Topic::Version, error.expected("1 or more")),
            Some(max) if *version > max => scan.warn(Topic::Version, error.expected(range(max))),
            Some(_) if domain.is_empty() && *version < OPSET_OLD => {
                let what = "the operator set is older than engines promise to run";
                let error = Error::invalid(what).at("opset_import \"\"").expected(format!("{OPSET_OLD} or more"));
                scan.note(Topic::Version, error.got(version.to_string()));
            }
            _ => {}
        }
    }
}

fn order(graph: &Graph, scan: &mut Scan) {
    let place = format!("graph {}", quoted(&graph.name));
    match graph.order() {
        Err(error) => scan.refuse(Topic::Order, error.at(place)),
        Ok(order) if !order.is_sorted() => {
            let what = "nodes stand before those that they use, which the specification forbids";
            scan.warn(Topic::Order, Error::invalid(what).at(place));
        }
        Ok(_) => {}
    }
}

/// Uses and first place, by domain.
type Uses = BTreeMap<String, (usize, String)>;

struct Domains<'a> {
    model: &'a Model,
    unknown: Uses,
    not_imported: Uses,
}

impl Visit for Domains<'_> {
    fn node(&mut self, node: &Node, _: &Graph, place: &Place<'_>) {
        let count = |uses: &mut Uses| match uses.get_mut(&node.domain) {
            Some((count, _)) => *count += 1,
            None => drop(uses.insert(node.domain.clone(), (1, place.to_string()))),
        };
        // The first formats had no imports.
        if node.opset.is_none() && self.model.ir_version > 2 {
            count(&mut self.not_imported);
        }
        let is_known = KNOWN.iter().any(|(known, _)| *known == node.domain) || BROUGHT_ALONG.contains(&&*node.domain);
        if !is_known && self.model.function(&node.domain, &node.op_type, &node.overload).is_none() {
            count(&mut self.unknown);
        }
    }
}
