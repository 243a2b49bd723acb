//! `TreeEnsemble` of `ai.onnx.ml` 5: branching nodes and leaves in lists of their own, found by position.

use std::ops::Range;

use super::{
    Numbers, PostTransform, features, index, missing, named, same_length,
    trees::{Aggregate, Child, Mode, TreeEnsemble},
    trees_laid::Found,
};
use crate::{
    error::{Error, Result},
    graph::Node,
};

pub(super) fn read(node: &Node, width: Option<u64>) -> Result<TreeEnsemble> {
    let ints = |name: &str| node.ints(name)?.ok_or_else(|| missing(name));
    let tensor = |name: &str| node.tensor(name)?.ok_or_else(|| missing(name));
    let targets = node.int("n_targets")?.unwrap_or(1);
    let count = usize::try_from(targets).ok().filter(|count| (1..1 << 31).contains(count));
    let targets =
        count.ok_or_else(|| Error::invalid("there must be a target").at("n_targets").got(targets.to_string()))?;
    let (leaf_targets, leaf_weights) = (ints("leaf_targetids")?, Numbers::of(tensor("leaf_weights")?)?);
    let leaves = leaf_targets.len();
    same_length("leaf_weights", leaf_weights.len(), leaves)?;
    let (found, features_min) = nodes(node, leaves, width)?;
    let nodes = found.features.len();
    let roots = ints("tree_roots")?.iter().map(|root| Child::node(index("tree_roots", *root, nodes)? as usize));
    let laid = found.lay_out(&roots.collect::<Result<Vec<_>>>()?)?;
    let starts = (0..=leaves).map(|at| Child::leaf(at).map(|_| u32::try_from(at).unwrap_or(u32::MAX)));
    let vote_targets = leaf_targets.iter().map(|id| index("leaf_targetids", *id, targets));
    Ok(TreeEnsemble {
        roots: laid.roots,
        features: laid.nodes.features,
        thresholds: laid.nodes.thresholds,
        modes: laid.nodes.modes,
        if_true: laid.nodes.if_true,
        if_false: laid.nodes.if_false,
        missing_true: laid.nodes.missing_true,
        members: laid.nodes.members,
        member_ranges: laid.nodes.member_ranges,
        leaf_starts: starts.collect::<Result<_>>()?,
        vote_targets: vote_targets.collect::<Result<_>>()?,
        votes_are_positive: (0..leaves).all(|at| leaf_weights.get(at).is_none_or(|weight| weight >= 0.0)),
        vote_weights: leaf_weights,
        targets,
        features_min,
        base_values: Numbers::F32(Vec::new()),
        aggregate: named(node, "aggregate_function", &Aggregate::NAMES)?,
        post_transform: PostTransform::of(node)?,
        labels: None,
        one_score: false,
    })
}

/// The branching nodes, and how many features they need.
fn nodes(node: &Node, leaves: usize, width: Option<u64>) -> Result<(Found, usize)> {
    let ints = |name: &str| node.ints(name)?.ok_or_else(|| missing(name));
    let raw_features = ints("nodes_featureids")?;
    let count = raw_features.len();
    let sized = |name: &str| {
        let list = ints(name)?;
        same_length(name, list.len(), count).map(|()| list)
    };
    let modes = node.tensor("nodes_modes")?.ok_or_else(|| missing("nodes_modes"))?.values::<u8>()?;
    same_length("nodes_modes", modes.len(), count)?;
    let mode = |number: &u8| {
        let known = Mode::ALL.get(usize::from(*number)).copied();
        known.ok_or_else(|| {
            Error::invalid("nodes_modes has no known comparison").expected("0 to 6").got(number.to_string())
        })
    };
    let modes = modes.iter().map(mode).collect::<Result<Vec<_>>>()?;
    let thresholds = Numbers::of(node.tensor("nodes_splits")?.ok_or_else(|| missing("nodes_splits"))?)?;
    same_length("nodes_splits", thresholds.len(), count)?;
    let child = |ids: &str, flags: &str| -> Result<Vec<Child>> {
        let follow = |(id, is_leaf): (&i64, &i64)| match is_leaf {
            0 => Child::node(index(ids, *id, count)? as usize),
            _ => Child::leaf(index(ids, *id, leaves)? as usize),
        };
        sized(ids)?.iter().zip(sized(flags)?).map(follow).collect()
    };
    let missing_true = node.ints("nodes_missing_value_tracks_true")?.filter(|list| !list.is_empty());
    if let Some(list) = missing_true {
        same_length("nodes_missing_value_tracks_true", list.len(), count)?;
    }
    let missing_true =
        missing_true.map_or_else(|| vec![false; count], |list| list.iter().map(|flag| *flag != 0).collect());
    let (features, features_min) = features(raw_features.iter().copied(), width)?;
    let (members, member_ranges) = members(node, &modes)?;
    let found = Found {
        if_true: child("nodes_truenodeids", "nodes_trueleafs")?,
        if_false: child("nodes_falsenodeids", "nodes_falseleafs")?,
        features,
        thresholds,
        modes,
        missing_true,
        members,
        member_ranges,
    };
    Ok((found, features_min))
}

/// The sets of `membership_values`, which NaNs keep apart, and which of them is each node's.
fn members(node: &Node, modes: &[Mode]) -> Result<(Numbers, Vec<Range<u32>>)> {
    let wanted = modes.iter().filter(|mode| **mode == Mode::Member).count();
    if wanted == 0 {
        return Ok((Numbers::F32(Vec::new()), Vec::new()));
    }
    let name = "membership_values";
    let members = Numbers::of(node.tensor(name)?.ok_or_else(|| missing(name))?)?;
    let mut sets: Vec<Range<u32>> = Vec::new();
    let (length, mut start) = (u32::try_from(members.len()).map_err(|_| missing(name))?, 0);
    for at in 0..length {
        if members.get(at as usize).is_some_and(f64::is_nan) {
            sets.push(start..at);
            start = at + 1;
        }
    }
    // The last set may end with the list, or with a NaN.
    if start < length || sets.len() < wanted {
        sets.push(start..length);
    }
    same_length("the list of sets in membership_values", sets.len(), wanted)?;
    let mut sets = sets.into_iter();
    let range = |mode: &Mode| if *mode == Mode::Member { sets.next().unwrap_or_default() } else { 0..0 };
    Ok((members, modes.iter().map(range).collect()))
}
