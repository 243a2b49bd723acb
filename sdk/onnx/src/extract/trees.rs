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
