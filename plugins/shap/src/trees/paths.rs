//! Which player each node of a tree asks, and where that player was asked before on the way to it.
//!
//! Several columns may be one player: those that one-hot encoding makes of one feature, or a group of features. After
//! it come the walks. It does not know rows.

use super::forest::Tree;

/// What a node is to the players.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Whose column the node asks.
    pub player: u32,
    /// Distinct players above the node: its own is one of them if it was asked before.
    pub width: u32,
    /// The number of the player among those of the path, by first appearance.
    pub bit: u32,
    /// The nearest node above that asks the same player, if there is one: its level plus 1, else 0.
    pub again: u32,
    /// If there is one: the branch that leads on from it, as twice the node, plus 1 for "true".
    pub above: u32,
}

/// The steps of a tree, node by node.
#[derive(Debug, Clone, Default)]
pub struct Paths {
    /// One for each node.
    pub steps: Vec<Step>,
    /// Most distinct players on a path from the root to a leaf.
    pub width_max: usize,
}

impl Step {
    /// Distinct players on the path once this node is on it.
    #[must_use]
    pub const fn width_after(&self) -> usize {
        self.width as usize + (self.again == 0) as usize
    }
}

impl Paths {
    /// Of a tree; `owner` says whose each column is.
    #[must_use]
    pub fn of(tree: &Tree, owner: &[u32]) -> Self {
        let mut paths = Self { steps: Vec::with_capacity(tree.nodes.len()), width_max: 0 };
        // The way down to the node before: its steps, and by which branch its nodes were come to.
        let mut way: Vec<(usize, Step, bool)> = Vec::new();
        for (at, node) in tree.nodes.iter().enumerate() {
            way.truncate(node.level as usize);
            let parent = way.last().and_then(|(at, ..)| tree.nodes.get(*at));
            let came_by_yes = parent.is_some_and(|parent| parent.yes.node() == Some(at));
            let player = owner.get(node.column as usize).copied().unwrap_or_default();
            let width = way.last().map_or(0, |(_, step, _)| step.width_after());
            let before = way.iter().rposition(|(_, step, _)| step.player == player);
            let step = before.and_then(|level| Some((level, way.get(level)?))).map_or_else(
                || Step { player, width: narrow(width), bit: narrow(width), again: 0, above: 0 },
                |(level, (above, step, _))| {
                    let by_yes = way.get(level + 1).map_or(came_by_yes, |(.., by_yes)| *by_yes);
                    let above = narrow(*above) * 2 + u32::from(by_yes);
                    Step { player, width: narrow(width), bit: step.bit, again: narrow(level) + 1, above }
                },
            );
            paths.width_max = paths.width_max.max(step.width_after());
            paths.steps.push(step);
            way.push((at, step, came_by_yes));
        }
        paths
    }
}

/// Positions in trees are below 2³¹.
fn narrow(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
