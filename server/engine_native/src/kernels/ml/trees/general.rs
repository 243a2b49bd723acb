//! Walks trees with any comparison, one node after the other: for ensembles that `flat` does not take.

use std::ops::Range;

use candor_onnx::extract::{Child, Mode, TreeEnsemble};

use super::number::Number;

/// The trees as the file has them, thresholds in the precision of the walk.
pub(super) struct General<T> {
    roots: Vec<Child>,
    nodes: Vec<Node<T>>,
    members: Vec<T>,
    /// Where a node's set is; empty if there are no sets.
    member_ranges: Vec<Range<u32>>,
}

struct Node<T> {
    threshold: T,
    column: u32,
    if_true: Child,
    if_false: Child,
    mode: Mode,
    missing_true: bool,
}

impl<T: Number> General<T> {
    /// The trees of an ensemble.
    pub(super) fn of(ensemble: &TreeEnsemble) -> Self {
        let node = |at: usize| {
            Some(Node {
                threshold: T::of(ensemble.thresholds.get(at)?),
                // The first column is no feature.
                column: *ensemble.features.get(at)? + 1,
                if_true: *ensemble.if_true.get(at)?,
                if_false: *ensemble.if_false.get(at)?,
                mode: *ensemble.modes.get(at)?,
                missing_true: *ensemble.missing_true.get(at)?,
            })
        };
        let nodes = (0..ensemble.features.len()).filter_map(node).collect();
        let members = (0..ensemble.members.len()).filter_map(|at| ensemble.members.get(at)).map(T::of);
        let (roots, member_ranges) = (ensemble.roots.clone(), ensemble.member_ranges.clone());
        Self { roots, nodes, members: members.collect(), member_ranges }
    }

    /// See [`super::Walker::walk`]; leaves hold their position.
    pub(super) fn walk(
        &self,
        (rows, width): (&[T], usize),
        (scores, targets): (&mut [T], usize),
        mut cast: impl FnMut(&mut [T], usize, &[T]),
    ) {
        for (tree, root) in self.roots.iter().enumerate() {
            for (row, scores) in rows.chunks_exact(width).zip(scores.chunks_exact_mut(targets)) {
                let leaf = u32::try_from(self.leaf(*root, row)).unwrap_or_default();
                cast(scores, tree, &[T::of_position(leaf)]);
            }
        }
    }

    fn leaf(&self, root: Child, row: &[T]) -> usize {
        let mut child = root;
        while !child.is_leaf() {
            let Some(node) = self.nodes.get(child.at()) else { break };
            let x = row.get(node.column as usize).copied().unwrap_or(T::NAN);
            child = if self.is_true(node, child.at(), x) { node.if_true } else { node.if_false };
        }
        child.at()
    }

    fn is_true(&self, node: &Node<T>, at: usize, x: T) -> bool {
        let threshold = node.threshold;
        let holds = match node.mode {
            Mode::Leq => x <= threshold,
            Mode::Lt => x < threshold,
            Mode::Gte => x >= threshold,
            Mode::Gt => x > threshold,
            Mode::Eq => x == threshold,
            Mode::Neq => x != threshold,
            Mode::Member => self.members_of(at).contains(&x),
        };
        holds || node.missing_true && x.is_nan()
    }

    fn members_of(&self, node: usize) -> &[T] {
        let range = self.member_ranges.get(node).cloned().unwrap_or_default();
        self.members.get(range.start as usize..range.end as usize).unwrap_or_default()
    }
}
