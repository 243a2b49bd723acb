//! Tree ensembles in the form that shares are computed from: one small list of nodes a tree, leaves in a row.
//!
//! Before it comes `extract` of the ONNX reader; after it come `paths` and the walks. Comparisons are those of the
//! file, in its precision. It does not know players and backgrounds.

use candor_onnx::extract::{Aggregate, Child, Mode, TreeEnsemble};

use crate::refusal::Refusal;

/// Deepest tree. Walks call themselves once a level.
pub const DEPTH_MAX: usize = 256;

/// Where a branch leads: to a node of the tree, or to a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kid(u32);

const LEAF: u32 = 1 << 31;

impl Kid {
    /// The node, if it is one.
    #[must_use]
    pub const fn node(self) -> Option<usize> {
        if self.0 & LEAF == 0 { Some(self.0 as usize) } else { None }
    }

    /// The leaf, if it is one.
    #[must_use]
    pub const fn leaf(self) -> Option<usize> {
        if self.0 & LEAF == 0 { None } else { Some((self.0 & !LEAF) as usize) }
    }
}

/// A node that asks.
#[derive(Debug, Clone)]
pub struct Node {
    /// Which column.
    pub column: u32,
    /// How many nodes stand above it.
    pub level: u32,
    /// What it asks.
    pub mode: Mode,
    /// Whether missing values go where "true" goes.
    pub missing_true: bool,
    /// With what it compares.
    pub threshold: f64,
    /// Where its members are.
    pub members: (u32, u32),
    /// Where "true" goes.
    pub yes: Kid,
    /// Where "false" goes.
    pub no: Kid,
}

impl Node {
    /// Whether the answer is "true". ONNX Runtime adds the way of missing values to the comparison by "or".
    #[must_use]
    pub fn holds(&self, x: f64, members: &[f64]) -> bool {
        let t = self.threshold;
        let said = match self.mode {
            Mode::Leq => x <= t,
            Mode::Lt => x < t,
            Mode::Gte => x >= t,
            Mode::Gt => x > t,
            Mode::Eq => x == t,
            Mode::Neq => x != t,
            Mode::Member => {
                let (from, to) = (self.members.0 as usize, self.members.1 as usize);
                members.get(from..to).unwrap_or_default().contains(&x)
            }
        };
        said || (self.missing_true && x.is_nan())
    }
}

/// One tree.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Where it begins.
    pub root: Kid,
    /// Parents before children.
    pub nodes: Vec<Node>,
    /// How many leaves.
    pub leaves: usize,
    /// The scores that it adds to.
    pub targets: Vec<u32>,
    /// What leaves add: for each leaf one number per target.
    pub values: Vec<f64>,
}

/// All trees.
#[derive(Debug, Clone)]
pub struct Forest {
    /// One by one.
    pub trees: Vec<Tree>,
    /// Sets of the nodes that ask for membership.
    pub members: Vec<f64>,
    /// How many scores.
    pub targets: usize,
    /// What is added to each score whatever the row.
    pub base: Vec<f64>,
    /// How many columns a row must have.
    pub columns: usize,
}

impl Tree {
    /// What a leaf adds to the `k`-th of the tree's targets.
    #[must_use]
    pub fn value(&self, leaf: usize, k: usize) -> f64 {
        self.values.get(leaf.wrapping_mul(self.targets.len()).wrapping_add(k)).copied().unwrap_or_default()
    }

    /// The leaf to which a row comes.
    #[must_use]
    pub fn leaf_of(&self, row: &[f64], members: &[f64]) -> usize {
        let mut at = self.root;
        while let Some(node) = at.node().and_then(|at| self.nodes.get(at)) {
            let x = row.get(node.column as usize).copied().unwrap_or(f64::NAN);
            at = if node.holds(x, members) { node.yes } else { node.no };
        }
        at.leaf().unwrap_or_default()
    }
}

impl Forest {
    /// Of an ensemble. `one_target`: all votes are for one score, whatever class they name.
    ///
    /// # Errors
    /// When votes are not summed, are no finite numbers, or a tree is too deep.
    pub fn of(ensemble: &TreeEnsemble, one_target: bool) -> Result<Self, Refusal> {
        let count = ensemble.roots.len();
        #[allow(clippy::cast_precision_loss, reason = "a file has fewer trees")]
        let factor = match ensemble.aggregate {
            Aggregate::Sum => None,
            Aggregate::Average => Some(count as f64),
            Aggregate::Min | Aggregate::Max => {
                return Err(Refusal::new("aggregate_function MIN and MAX: shares of sums and averages only"));
            }
        };
        let mut laying = Laying { ensemble, one_target, divisor: factor, left: ensemble.features.len() };
        let trees = ensemble.roots.iter().map(|root| laying.tree(*root)).collect::<Result<Vec<_>, _>>()?;
        let members = (0..ensemble.members.len()).filter_map(|at| ensemble.members.get(at)).collect();
        let targets = if one_target { 1 } else { ensemble.targets };
        let mut base = vec![0.0; targets];
        for (at, base) in base.iter_mut().enumerate() {
            *base = ensemble.base_values.get(at).unwrap_or_default();
        }
        if !base.iter().all(|base| base.is_finite()) {
            return Err(Refusal::new("base_values hold a number that is not finite"));
        }
        Ok(Self { trees, members, targets, base, columns: ensemble.features_min })
    }

    /// The scores of a row, summed in 64 bits.
    #[must_use]
    pub fn scores(&self, row: &[f64]) -> Vec<f64> {
        let mut scores = self.base.clone();
        for tree in &self.trees {
            let leaf = tree.leaf_of(row, &self.members);
            for (k, target) in tree.targets.iter().enumerate() {
                if let Some(score) = scores.get_mut(*target as usize) {
                    *score += tree.value(leaf, k);
                }
            }
        }
        scores
    }
}

/// The node above, and whether "true" leads on from it; none for a root.
type Parent = Option<(usize, bool)>;

/// Trees in the making.
struct Laying<'a> {
    ensemble: &'a TreeEnsemble,
    one_target: bool,
    divisor: Option<f64>,
    /// Nodes that no tree has yet.
    left: usize,
}

impl Laying<'_> {
    fn tree(&mut self, root: Child) -> Result<Tree, Refusal> {
        let (mut nodes, mut leaves) = (Vec::new(), Vec::new());
        let mut first = Kid(0);
        // Where the number of what is laid goes: to a node's "true" or "false", or to the root.
        let mut waiting: Vec<(Child, usize, Parent)> = vec![(root, 0, None)];
        while let Some((child, level, parent)) = waiting.pop() {
            let kid = if child.is_leaf() {
                leaves.push(child.at());
                Kid(LEAF | number(leaves.len() - 1)?)
            } else {
                self.left = self.left.checked_sub(1).ok_or_else(|| Refusal::new("a node has two parents"))?;
                if level >= DEPTH_MAX {
                    return Err(Refusal::new(format!("a tree is deeper than {DEPTH_MAX} levels")));
                }
                let (at, node) = (nodes.len(), self.node(child.at(), level)?);
                nodes.push(node);
                let e = self.ensemble;
                let (yes, no) = (e.if_true.get(child.at()), e.if_false.get(child.at()));
                let (Some(yes), Some(no)) = (yes, no) else { return Err(Refusal::new("a node has no children")) };
                // The one put down last is next.
                waiting.push((*no, level + 1, Some((at, false))));
                waiting.push((*yes, level + 1, Some((at, true))));
                Kid(number(at)?)
            };
            match parent.and_then(|(at, is_yes)| Some((nodes.get_mut(at)?, is_yes))) {
                Some((parent, true)) => parent.yes = kid,
                Some((parent, false)) => parent.no = kid,
                None => first = kid,
            }
        }
        self.voted(first, nodes, &leaves)
    }

    fn node(&self, at: usize, level: usize) -> Result<Node, Refusal> {
        let e = self.ensemble;
        let gone = || Refusal::new("a list of nodes is too short");
        let members = e.members_of(at);
        Ok(Node {
            column: *e.features.get(at).ok_or_else(gone)?,
            level: number(level)?,
            mode: *e.modes.get(at).ok_or_else(gone)?,
            missing_true: e.missing_true.get(at).copied().unwrap_or_default(),
            threshold: e.thresholds.get(at).ok_or_else(gone)?,
            members: (number(members.start)?, number(members.end)?),
            yes: Kid(0),
            no: Kid(0),
        })
    }

    fn voted(&self, root: Kid, nodes: Vec<Node>, leaves: &[usize]) -> Result<Tree, Refusal> {
        let e = self.ensemble;
        let target = |vote: usize| if self.one_target { Some(0) } else { e.vote_targets.get(vote).copied() };
        let mut targets: Vec<u32> = leaves.iter().flat_map(|leaf| e.votes_of(*leaf)).filter_map(target).collect();
        targets.sort_unstable();
        targets.dedup();
        let mut values = vec![0.0; leaves.len().saturating_mul(targets.len())];
        for (values, leaf) in values.chunks_exact_mut(targets.len().max(1)).zip(leaves) {
            for vote in e.votes_of(*leaf) {
                let weight = e.vote_weights.get(vote).unwrap_or_default();
                if !weight.is_finite() {
                    return Err(Refusal::new("a leaf holds a number that is not finite"));
                }
                let at = target(vote).and_then(|target| targets.binary_search(&target).ok());
                if let Some(value) = at.and_then(|at| values.get_mut(at)) {
                    *value += self.divisor.map_or(weight, |divisor| weight / divisor);
                }
            }
        }
        Ok(Tree { root, nodes, leaves: leaves.len(), targets, values })
    }
}

/// For tests: a node and a leaf by number.
#[cfg(test)]
pub(super) const fn node(at: usize) -> Kid {
    Kid(at as u32)
}

/// As [`node`].
#[cfg(test)]
pub(super) const fn leaf(at: usize) -> Kid {
    Kid(at as u32 | LEAF)
}

fn number(at: usize) -> Result<u32, Refusal> {
    u32::try_from(at).ok().filter(|at| *at < LEAF).ok_or_else(|| Refusal::new("the ensemble has too many nodes"))
}
