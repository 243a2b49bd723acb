//! The thresholds of a graph's tree ensembles: where its answer may change.
//!
//! Only where all that is computed of the model's input is tree ensembles over that very input; anything else would move
//! the thresholds. Before it comes a graph, after it the search among cells. It does not run models.

use candor_onnx::{
    Graph,
    extract::{Mode, Numbers, TreeEnsemble},
};

use crate::Cut;

/// For each feature up to the last one that is asked its cuts, ascending; nothing when the graph is no tree ensemble of its input.
///
/// The graph must have one input that must be given, and every node that reads it must be a tree ensemble. What is done to
/// their scores afterwards moves no threshold.
#[must_use]
pub fn cuts(graph: &Graph) -> Option<Vec<Vec<Cut>>> {
    let mut inputs = graph.required_inputs();
    let (Some((_, input)), None) = (inputs.next(), inputs.next()) else { return None };
    // A graph within a node may read the input without naming it among the node's inputs.
    if graph.nodes.iter().any(|node| node.graphs().next().is_some()) {
        return None;
    }
    let mut cuts: Vec<Vec<Cut>> = Vec::new();
    let mut found = false;
    for node in graph.nodes.iter().filter(|node| node.inputs.contains(&input.name)) {
        let trees = TreeEnsemble::of(node, None).ok()?;
        found = true;
        cuts.resize(cuts.len().max(trees.features_min), Vec::new());
        for (at, (feature, mode)) in trees.features.iter().zip(&trees.modes).enumerate() {
            let cuts = cuts.get_mut(usize::try_from(*feature).ok()?)?;
            if *mode == Mode::Member {
                let members = trees.members_of(at).filter_map(|member| trees.members.get(member));
                members.for_each(|member| cuts.extend(around(&trees.members, member, Mode::Eq)));
            } else {
                cuts.extend(around(&trees.thresholds, trees.thresholds.get(at)?, *mode));
            }
        }
    }
    for cuts in &mut cuts {
        cuts.sort_by(|a, b| a.below.total_cmp(&b.below).then(a.above.total_cmp(&b.above)));
        cuts.dedup();
    }
    found.then_some(cuts)
}

/// What a comparison cuts, by the precision of the file's numbers.
fn around(numbers: &Numbers, threshold: f64, mode: Mode) -> Vec<Cut> {
    if !threshold.is_finite() {
        return Vec::new();
    }
    let narrow = matches!(numbers, Numbers::F32(_));
    let after = Cut { below: threshold, above: next(threshold, narrow) };
    let before = Cut { below: -next(-threshold, narrow), above: threshold };
    match mode {
        Mode::Leq | Mode::Gt => vec![after],
        Mode::Lt | Mode::Gte => vec![before],
        Mode::Eq | Mode::Neq | Mode::Member => vec![before, after],
    }
}

/// What a threshold cuts when it is not known which side it belongs to, nor how rows are compared.
pub(crate) fn around_either(threshold: f64) -> Vec<Cut> {
    around(&Numbers::F32(Vec::new()), threshold, Mode::Eq)
}

/// The next larger number: of single precision, where rows are compared in it.
#[allow(clippy::cast_possible_truncation, reason = "the number came from single precision")]
fn next(number: f64, narrow: bool) -> f64 {
    if narrow { f64::from((number as f32).next_up()) } else { number.next_up() }
}
