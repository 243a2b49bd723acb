//! How many of the given rows come to each node: what a branch weighs when the player that it asks is not known.
//!
//! Files carry no such counts, so that they are made here. After it comes `walk`.

use super::{
    forest::{Kid, Tree},
    paths::Paths,
};
use crate::matrix::Background;

/// Shares of the two branches of each node, and what repeated players need.
#[derive(Debug, Clone, Default)]
pub struct Covers {
    /// Of those who come to a node, the shares that "false" and "true" get. Where nobody comes, both get a half.
    pub shares: Vec<[f64; 2]>,
    /// For nodes that ask a player again: the product of the shares of that player's branches above.
    pub before: Vec<f64>,
    /// What the tree adds to each of its targets on average.
    pub means: Vec<f64>,
}

impl Covers {
    /// Counts the rows.
    #[must_use]
    pub fn of(tree: &Tree, paths: &Paths, members: &[f64], background: &Background) -> Self {
        let mut counts = vec![[0.0_f64; 2]; tree.nodes.len()];
        for (row, weight) in background.weights.iter().enumerate() {
            let row = background.rows.row(row);
            let mut at = tree.root;
            while let Some((here, node)) = at.node().and_then(|at| Some((at, tree.nodes.get(at)?))) {
                let yes = node.holds(row.get(node.column as usize).copied().unwrap_or(f64::NAN), members);
                if let Some([no, is]) = counts.get_mut(here) {
                    *(if yes { is } else { no }) += weight;
                }
                at = if yes { node.yes } else { node.no };
            }
        }
        let share = |[no, yes]: &[f64; 2]| {
            let all = no + yes;
            if all > 0.0 { [no / all, yes / all] } else { [0.5, 0.5] }
        };
        let shares: Vec<[f64; 2]> = counts.iter().map(share).collect();
        let mut covers = Self { before: vec![1.0; shares.len()], means: Vec::new(), shares };
        for (at, step) in paths.steps.iter().enumerate() {
            if step.again > 0 {
                let (above, yes) = ((step.above >> 1) as usize, (step.above & 1) as usize);
                let so_far = covers.before.get(above).copied().unwrap_or(1.0);
                let branch = covers.shares.get(above).and_then(|shares| shares.get(yes)).copied().unwrap_or(0.5);
                if let Some(before) = covers.before.get_mut(at) {
                    *before = so_far * branch;
                }
            }
        }
        covers.means = (0..tree.targets.len()).map(|k| covers.mean(tree, k)).collect();
        covers
    }

    /// What the tree adds to its `k`-th target, on average by these shares. Children come after their parents.
    fn mean(&self, tree: &Tree, k: usize) -> f64 {
        let mut means = vec![0.0; tree.nodes.len()];
        let of = |means: &[f64], kid: Kid| match kid.leaf() {
            Some(leaf) => tree.value(leaf, k),
            None => kid.node().and_then(|at| means.get(at)).copied().unwrap_or_default(),
        };
        for (at, (node, [no, yes])) in tree.nodes.iter().zip(&self.shares).enumerate().rev() {
            let mean = no * of(&means, node.no) + yes * of(&means, node.yes);
            if let Some(own) = means.get_mut(at) {
                *own = mean;
            }
        }
        of(&means, tree.root)
    }
}
