//! `TreeEnsembleClassifier` and `TreeEnsembleRegressor`: nodes and leaves in the same lists, found by the
//! pair of tree id and node id.

use std::collections::HashMap;

use super::{
    Labels, Numbers, PostTransform, features, index, missing, named, same_length,
    trees::{Aggregate, Child, Mode, TreeEnsemble},
    trees_laid::Found,
};
use crate::{
    error::{Error, Result},
    graph::Node,
};

pub(super) fn read(node: &Node, width: Option<u64>) -> Result<TreeEnsemble> {
    let is_classifier = node.op_type == "TreeEnsembleClassifier";
    let (labels, targets) = if is_classifier {
        let labels = Labels::attribute(node, "classlabels_int64s", "classlabels_strings")?;
        let count = labels.len();
        (Some(labels), count)
    } else {
        let targets = node.int("n_targets")?.ok_or_else(|| missing("n_targets"))?;
        let count = usize::try_from(targets).ok().filter(|count| (1..1 << 31).contains(count));
        (None, count.ok_or_else(|| Error::invalid("there must be a target").at("n_targets").got(targets.to_string()))?)
    };
    let lists = Lists::read(node)?;
    let (roots, links) = lists.link()?;
    let branching = || lists.modes.iter().enumerate().filter(|(_, mode)| mode.is_some()).map(|(at, _)| at);
    let child = |links: &[Child]| branching().filter_map(|at| links.get(at).copied()).collect::<Vec<_>>();
    let ids = branching().filter_map(|at| lists.features.get(at).copied());
    let (features, features_min) = features(ids, width)?;
    let found = Found {
        features,
        thresholds: lists.values.picked(branching()),
        modes: lists.modes.iter().flatten().copied().collect(),
        if_true: child(&links.if_true),
        if_false: child(&links.if_false),
        missing_true: branching().map(|at| lists.missing_true.get(at).is_some_and(|flag| *flag != 0)).collect(),
        members: Numbers::F32(Vec::new()),
        member_ranges: Vec::new(),
    };
    let laid = found.lay_out(&roots)?;
    let votes = votes(node, if is_classifier { "class" } else { "target" }, &lists, &links, targets)?;
    let mut voted = votes.targets.clone();
    voted.dedup();
    let one_score = is_classifier && targets == 2 && voted.len() == 1;
    let base_values = Numbers::attribute(node, "base_values")?.unwrap_or(Numbers::F32(Vec::new()));
    let is_fitting = base_values.is_empty() || (one_score && base_values.len() == 1);
    if !is_fitting {
        same_length("base_values", base_values.len(), targets)?;
    }
    let count = votes.weights.len();
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
        leaf_starts: votes.starts,
        vote_targets: votes.targets,
        votes_are_positive: (0..count).all(|at| votes.weights.get(at).is_none_or(|weight| weight >= 0.0)),
        vote_weights: votes.weights,
        targets,
        features_min,
        base_values,
        aggregate: if is_classifier { Aggregate::Sum } else { named(node, "aggregate_function", &Aggregate::NAMES)? },
        post_transform: PostTransform::of(node)?,
        labels,
        one_score,
    })
}

/// The parallel lists `nodes_*`.
struct Lists<'a> {
    trees: &'a [i64],
    ids: &'a [i64],
    features: &'a [i64],
    if_true: &'a [i64],
    if_false: &'a [i64],
    missing_true: &'a [i64],
    /// None for a leaf.
    modes: Vec<Option<Mode>>,
    values: Numbers,
    by_id: HashMap<(i64, i64), usize>,
}

/// Where each entry is and leads, by position in the lists.
struct Links {
    /// Itself, as somebody's child.
    own: Vec<Child>,
    if_true: Vec<Child>,
    if_false: Vec<Child>,
}

impl<'a> Lists<'a> {
    fn read(node: &'a Node) -> Result<Self> {
        let ints = |name: &str| node.ints(name)?.ok_or_else(|| missing(name));
        let ids = ints("nodes_nodeids")?;
        let count = ids.len();
        let sized = |name: &str| {
            let list = ints(name)?;
            same_length(name, list.len(), count).map(|()| list)
        };
        let modes = node.strings("nodes_modes")?.ok_or_else(|| missing("nodes_modes"))?;
        same_length("nodes_modes", modes.len(), count)?;
        let modes: Vec<Option<Mode>> = modes.iter().map(|name| Mode::named(name)).collect::<Result<_>>()?;
        let values = Numbers::attribute(node, "nodes_values")?.ok_or_else(|| missing("nodes_values"))?;
        same_length("nodes_values", values.len(), count)?;
        let missing_true = node.ints("nodes_missing_value_tracks_true")?.unwrap_or_default();
        if !missing_true.is_empty() {
            same_length("nodes_missing_value_tracks_true", missing_true.len(), count)?;
        }
        let trees = sized("nodes_treeids")?;
        let mut by_id = HashMap::with_capacity(count);
        for (at, key) in trees.iter().copied().zip(ids.iter().copied()).enumerate() {
            if by_id.insert(key, at).is_some() {
                return Err(Error::invalid("a node id appears twice in a tree").at(place(key)));
            }
        }
        let (if_true, if_false) = (sized("nodes_truenodeids")?, sized("nodes_falsenodeids")?);
        let features = sized("nodes_featureids")?;
        Ok(Self { trees, ids, features, if_true, if_false, missing_true, modes, values, by_id })
    }

    /// Numbers nodes and leaves, follows ids, and finds each tree's root: the one that is nobody's child.
    fn link(&self) -> Result<(Vec<Child>, Links)> {
        let (mut nodes, mut leaves) = (0, 0);
        let own = self.modes.iter().map(|mode| {
            let (count, make): (&mut usize, fn(usize) -> Result<Child>) =
                if mode.is_some() { (&mut nodes, Child::node) } else { (&mut leaves, Child::leaf) };
            *count += 1;
            make(*count - 1)
        });
        let own: Vec<Child> = own.collect::<Result<_>>()?;
        let mut has_parent = vec![false; own.len()];
        let mut links = Links { if_true: own.clone(), if_false: own.clone(), own };
        let sides = [(self.if_true, &mut links.if_true), (self.if_false, &mut links.if_false)];
        for (ids, out) in sides {
            let entries = self.trees.iter().zip(ids).zip(&self.modes).zip(out);
            for (((tree, id), _), out) in entries.filter(|(((..), mode), _)| mode.is_some()) {
                let key = (*tree, *id);
                let at = *self
                    .by_id
                    .get(&key)
                    .ok_or_else(|| Error::invalid("a branch leads to a node that does not exist").at(place(key)))?;
                let (Some(child), Some(taken)) = (links.own.get(at), has_parent.get_mut(at)) else { continue };
                (*taken, *out) = (true, *child);
            }
        }
        Ok((self.roots(&links.own, &has_parent)?, links))
    }

    fn roots(&self, own: &[Child], has_parent: &[bool]) -> Result<Vec<Child>> {
        let mut roots: Vec<(i64, Option<Child>)> = Vec::new();
        let mut places: HashMap<i64, usize> = HashMap::new();
        for (((tree, id), child), has_parent) in self.trees.iter().zip(self.ids).zip(own).zip(has_parent) {
            let at = *places.entry(*tree).or_insert_with(|| {
                roots.push((*tree, None));
                roots.len() - 1
            });
            if *has_parent {
                continue;
            }
            if roots.get_mut(at).and_then(|(_, root)| root.replace(*child)).is_some() {
                return Err(Error::invalid("a tree has two roots").at(place((*tree, *id))));
            }
        }
        let root = |(tree, root): (i64, Option<Child>)| {
            root.ok_or_else(|| Error::invalid("a tree has no root, but a circle").at(format_args!("tree {tree}")))
        };
        roots.into_iter().map(root).collect()
    }
}

fn place((tree, node): (i64, i64)) -> String {
    format!("tree {tree}, node {node}")
}

/// Votes by leaf.
struct Votes {
    starts: Vec<u32>,
    targets: Vec<u32>,
    weights: Numbers,
}

/// Sorts the lists `<prefix>_*` by leaf. Votes on branching nodes are never cast; some writers have them.
fn votes(node: &Node, prefix: &str, lists: &Lists<'_>, links: &Links, targets: usize) -> Result<Votes> {
    let name = |rest: &str| format!("{prefix}_{rest}");
    let ints = |rest: &str| node.ints(&name(rest))?.ok_or_else(|| missing(&name(rest)));
    let (trees, nodes, ids) = (ints("treeids")?, ints("nodeids")?, ints("ids")?);
    let weights = Numbers::attribute(node, &name("weights"))?.ok_or_else(|| missing(&name("weights")))?;
    for (list, length) in [("nodeids", nodes.len()), ("ids", ids.len()), ("weights", weights.len())] {
        same_length(&name(list), length, trees.len())?;
    }
    let mut cast: Vec<(usize, u32, usize)> = Vec::with_capacity(trees.len());
    for (at, ((tree, node), id)) in trees.iter().zip(nodes).zip(ids).enumerate() {
        let target = index(&name("ids"), *id, targets)?;
        let key = (*tree, *node);
        let found = lists.by_id.get(&key).and_then(|at| links.own.get(*at));
        let leaf = found.ok_or_else(|| Error::invalid("a vote is for a leaf that does not exist").at(place(key)))?;
        if leaf.is_leaf() {
            cast.push((leaf.at(), target, at));
        }
    }
    // Stable: votes of a leaf stay in the order of the file, which is the order in which they are added.
    cast.sort_by_key(|(leaf, ..)| *leaf);
    let leaves = links.own.iter().filter(|child| child.is_leaf()).count();
    let mut starts = vec![0_u32; leaves + 1];
    for (leaf, ..) in &cast {
        if let Some(count) = starts.get_mut(leaf + 1) {
            *count += 1;
        }
    }
    let mut sum = 0;
    for start in &mut starts {
        sum += *start;
        *start = sum;
    }
    Ok(Votes {
        starts,
        targets: cast.iter().map(|(_, target, _)| *target).collect(),
        weights: weights.picked(cast.iter().map(|(.., at)| *at)),
    })
}
