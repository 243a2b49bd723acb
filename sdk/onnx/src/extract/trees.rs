//! Tree ensembles: what the three operators mean, in one flat form.

use std::ops::Range;

use super::{Labels, Numbers, PostTransform, not_this, trees_flat, trees_split};
use crate::{
    error::{Error, Result},
    graph::Node,
};

/// `TreeEnsembleClassifier`, `TreeEnsembleRegressor` (`ai.onnx.ml` 1, 3) and `TreeEnsemble` (5).
///
/// Lists of nodes have one entry per branching node, of all trees; a tree's nodes follow each other, parents
/// before children, and the child for "true" right behind its parent unless it is a leaf. Walking: begin at a root; at
/// a node compare the row's feature with the threshold (`x <mode> threshold`); NaN goes the way of
/// `missing_true`; at a leaf add its votes.
#[derive(Debug, Clone, PartialEq)]
pub struct TreeEnsemble {
    /// One per tree, in the order of the file (`nodes_treeids` by first appearance, `tree_roots`).
    pub roots: Vec<Child>,
    /// `nodes_featureids`.
    pub features: Vec<u32>,
    /// `nodes_values`, `nodes_values_as_tensor`, `nodes_splits`: in the file's precision, for exact comparisons.
    pub thresholds: Numbers,
    /// `nodes_modes`.
    pub modes: Vec<Mode>,
    /// `nodes_truenodeids`: where to go when the comparison holds.
    pub if_true: Vec<Child>,
    /// `nodes_falsenodeids`: where to go when it does not.
    pub if_false: Vec<Child>,
    /// `nodes_missing_value_tracks_true`: whether NaN goes where a true comparison goes.
    pub missing_true: Vec<bool>,
    /// `membership_values`: for nodes with [`Mode::Member`], each node's set; see [`TreeEnsemble::members_of`].
    pub members: Numbers,
    /// Which members are a node's; empty when no node asks for membership.
    pub member_ranges: Vec<Range<u32>>,
    /// Votes of leaf `l` are `leaf_starts[l] .. leaf_starts[l + 1]`.
    pub leaf_starts: Vec<u32>,
    /// `class_ids`, `target_ids`, `leaf_targetids`: which score a vote is for.
    pub vote_targets: Vec<u32>,
    /// `class_weights`, `target_weights`, `leaf_weights`: what a vote adds.
    pub vote_weights: Numbers,
    /// Scores of a row: `n_targets`, or the number of classes.
    pub targets: usize,
    /// Features that a row must have at least.
    pub features_min: usize,
    /// `base_values`: added to the scores after aggregation; empty for none. One per target, or a single
    /// one if [`TreeEnsemble::one_score`].
    pub base_values: Numbers,
    /// `aggregate_function`; classifiers sum.
    pub aggregate: Aggregate,
    /// `post_transform`.
    pub post_transform: PostTransform,
    /// `classlabels_*`; none for regressors.
    pub labels: Option<Labels>,
    /// A classifier of two classes whose votes are all for one class id. Its one score is the second
    /// class's; the first has what is left (ONNX Runtime's reading; the specification is silent).
    pub one_score: bool,
    /// Whether no vote is negative. ONNX Runtime then puts the boundary of a one-score classifier at 0.5,
    /// otherwise at 0.
    pub votes_are_positive: bool,
}

/// Where a branch leads: to a branching node, or to a leaf.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Child(u32);

impl Child {
    const LEAF: u32 = 1 << 31;

    pub(super) fn node(at: usize) -> Result<Self> {
        Self::below(at).map(Self)
    }

    pub(super) fn leaf(at: usize) -> Result<Self> {
        Self::below(at).map(|at| Self(at | Self::LEAF))
    }

    fn below(at: usize) -> Result<u32> {
        let at = u32::try_from(at).ok().filter(|at| *at < Self::LEAF);
        at.ok_or_else(|| Error::invalid("the ensemble has too many nodes").expected("fewer than 2^31"))
    }

    /// Whether it is a leaf.
    #[must_use]
    pub const fn is_leaf(self) -> bool {
        self.0 & Self::LEAF != 0
    }

    /// Position among the nodes, or among the leaves.
    #[must_use]
    pub const fn at(self) -> usize {
        (self.0 & !Self::LEAF) as usize
    }

    /// Both in one number: the position, with the highest bit set for a leaf.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl std::fmt::Debug for Child {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", if self.is_leaf() { "leaf " } else { "node " }, self.at())
    }
}

/// `nodes_modes`: the comparison that is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// `BRANCH_LEQ`: x ≤ threshold.
    Leq,
    /// `BRANCH_LT`: x < threshold.
    Lt,
    /// `BRANCH_GTE`: x ≥ threshold.
    Gte,
    /// `BRANCH_GT`: x > threshold.
    Gt,
    /// `BRANCH_EQ`: x = threshold.
    Eq,
    /// `BRANCH_NEQ`: x ≠ threshold.
    Neq,
    /// `BRANCH_MEMBER`: x is one of the node's members.
    Member,
}

impl Mode {
    /// By the numbers of `ai.onnx.ml` 5.
    pub(super) const ALL: [Self; 7] = [Self::Leq, Self::Lt, Self::Gte, Self::Gt, Self::Eq, Self::Neq, Self::Member];

    /// By the names of `ai.onnx.ml` 1 and 3; none for `LEAF`.
    pub(super) fn named(name: &[u8]) -> Result<Option<Self>> {
        Ok(Some(match name {
            b"LEAF" => return Ok(None),
            b"BRANCH_LEQ" => Self::Leq,
            b"BRANCH_LT" => Self::Lt,
            b"BRANCH_GTE" => Self::Gte,
            b"BRANCH_GT" => Self::Gt,
            b"BRANCH_EQ" => Self::Eq,
            b"BRANCH_NEQ" => Self::Neq,
            _ => {
                let error = Error::invalid("nodes_modes has no known comparison");
                return Err(error.got(crate::quoted(&String::from_utf8_lossy(name))));
            }
        }))
    }
}

/// `aggregate_function`: how the votes of all trees make one score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Aggregate {
    /// Their sum, divided by the number of trees.
    Average,
    /// Their sum.
    #[default]
    Sum,
    /// The smallest.
    Min,
    /// The largest.
    Max,
}

impl Aggregate {
    pub(super) const NAMES: [(&'static str, Self); 4] =
        [("AVERAGE", Self::Average), ("SUM", Self::Sum), ("MIN", Self::Min), ("MAX", Self::Max)];
}

impl TreeEnsemble {
    /// Takes the ensemble out of a node. `width` is the number of features of the node's input, if declared.
    ///
    /// # Errors
    /// `Invalid` when lists do not fit each other, a child or feature does not exist, a tree has no root or
    /// a circle; `Unsupported` when the node is another operator.
    pub fn of(node: &Node, width: Option<u64>) -> Result<Self> {
        match (&*node.domain, &*node.op_type) {
            ("ai.onnx.ml", "TreeEnsembleClassifier" | "TreeEnsembleRegressor") => trees_flat::read(node, width),
            ("ai.onnx.ml", "TreeEnsemble") => trees_split::read(node, width),
            _ => Err(not_this(node)),
        }
    }

    /// The comparison that all nodes make, if it is one.
    #[must_use]
    pub fn only_mode(&self) -> Option<Mode> {
        let first = *self.modes.first()?;
        self.modes.iter().all(|mode| *mode == first).then_some(first)
    }

    /// Positions in `members` of a node's set; empty for other comparisons.
    #[must_use]
    pub fn members_of(&self, node: usize) -> Range<usize> {
        let range = self.member_ranges.get(node).cloned().unwrap_or_default();
        range.start as usize..range.end as usize
    }

    /// Positions of a leaf's votes.
    #[must_use]
    pub fn votes_of(&self, leaf: usize) -> Range<usize> {
        let at = |at: usize| self.leaf_starts.get(at).map_or(0, |start| *start as usize);
        at(leaf)..at(leaf + 1)
    }

    /// How many leaves there are.
    #[must_use]
    pub const fn leaves(&self) -> usize {
        self.leaf_starts.len().saturating_sub(1)
    }
}

/// Branching nodes as they were found, before they are put in order.
pub(super) struct Found {
    pub(super) features: Vec<u32>,
    pub(super) thresholds: Numbers,
    pub(super) modes: Vec<Mode>,
    pub(super) if_true: Vec<Child>,
    pub(super) if_false: Vec<Child>,
    pub(super) missing_true: Vec<bool>,
}

/// The nodes in walking order.
pub(super) struct Laid {
    pub(super) roots: Vec<Child>,
    pub(super) nodes: Found,
    /// Where each node stood before.
    pub(super) from: Vec<usize>,
}

impl Found {
    /// Puts nodes in walking order and follows every branch on the way: each node is reached once.
    pub(super) fn lay_out(self, roots: &[Child]) -> Result<Laid> {
        const UNSEEN: u32 = u32::MAX;
        let count = self.features.len();
        let mut place = vec![UNSEEN; count];
        let mut from = Vec::with_capacity(count);
        let mut waiting: Vec<usize> = Vec::new();
        for root in roots.iter().filter(|root| !root.is_leaf()) {
            waiting.push(root.at());
            while let Some(at) = waiting.pop() {
                let (Some(spot), Some(yes), Some(no)) =
                    (place.get_mut(at), self.if_true.get(at), self.if_false.get(at))
                else {
                    return Err(Error::invalid("a branch leads to a node that does not exist").got(at.to_string()));
                };
                if *spot != UNSEEN {
                    return Err(Error::invalid("two branches lead to one node: a tree must have no circle")
                        .at(format_args!("tree node {at}")));
                }
                *spot = Child::below(from.len())?;
                from.push(at);
                // The one put down last is next.
                waiting.extend([no, yes].iter().filter(|child| !child.is_leaf()).map(|child| child.at()));
            }
        }
        if from.len() < count {
            let lost = place.iter().position(|spot| *spot == UNSEEN).unwrap_or_default();
            return Err(Error::invalid("no root leads to a node: a tree must have one root and no circle")
                .at(format_args!("tree node {lost}")));
        }
        let moved = |child: Child| {
            if child.is_leaf() { child } else { Child(place.get(child.at()).copied().unwrap_or_default()) }
        };
        let children = |list: &[Child]| from.iter().filter_map(|at| list.get(*at).copied()).map(moved).collect();
        let nodes = Self {
            features: from.iter().filter_map(|at| self.features.get(*at).copied()).collect(),
            thresholds: self.thresholds.picked(from.iter().copied()),
            modes: from.iter().filter_map(|at| self.modes.get(*at).copied()).collect(),
            if_true: children(&self.if_true),
            if_false: children(&self.if_false),
            missing_true: from.iter().filter_map(|at| self.missing_true.get(*at).copied()).collect(),
        };
        Ok(Laid { roots: roots.iter().map(|root| moved(*root)).collect(), nodes, from })
    }
}
