//! Interactions: what two players do together, beyond what each does.
//!
//! The Shapley interaction index of two players is the integral of the second derivative of the game's multilinear
//! extension along the diagonal (G. Owen, 1972; M. Grabisch and M. Roubens, 1999). As shap gives them: half of it to
//! each order of the two, and on the diagonal what is left of the player's own share, so that rows sum to shares.
#![allow(
    clippy::indexing_slicing,
    reason = "the innermost loop; nodes, steps and shares are parallel lists, and children, columns and players were \
              checked when they were made"
)]

use super::{
    betas::Betas,
    covers::Covers,
    forest::{Forest, Kid, Tree},
    legendre,
    paths::Paths,
    sets::Arrival,
};

/// Adds halves of interactions to a square of players.
pub struct Square<'a> {
    /// Rows and columns are players.
    pub cells: &'a mut [f64],
    /// How many players.
    pub players: usize,
}

impl Square<'_> {
    fn add(&mut self, one: u32, other: u32, half: f64) {
        let (one, other) = (one as usize, other as usize);
        self.cells[one * self.players + other] += half;
        self.cells[other * self.players + one] += half;
    }

    /// Puts on the diagonal what is left of each player's share.
    pub fn close(&mut self, shares: &[f64]) {
        for (player, share) in shares.iter().enumerate() {
            let row = &mut self.cells[player * self.players..][..self.players];
            row[player] = 0.0;
            row[player] = share - row.iter().sum::<f64>();
        }
    }
}

/// Path-dependent interactions of one tree: leaf by leaf, with the path's players at hand.
pub struct ByPath<'a> {
    /// The trees.
    pub forest: &'a Forest,
    /// The tree.
    pub tree: &'a Tree,
    /// Its players.
    pub paths: &'a Paths,
    /// Its shares of branches.
    pub covers: &'a Covers,
    /// Points of integration.
    points: Vec<(f64, f64)>,
    /// For each player of the path: its share so far, and whether the row has kept to it.
    slots: Vec<(u32, f64, bool)>,
}

impl<'a> ByPath<'a> {
    /// Prepares.
    #[must_use]
    pub fn new(forest: &'a Forest, tree: &'a Tree, paths: &'a Paths, covers: &'a Covers) -> Self {
        let points = legendre::points(paths.width_max.div_ceil(2));
        Self { forest, tree, paths, covers, points, slots: vec![(0, 1.0, true); paths.width_max] }
    }

    /// Adds the interactions of a row in the tree's `k`-th target.
    pub fn add(&mut self, row: &[f64], k: usize, square: &mut Square<'_>) {
        if let Some(at) = self.tree.root.node() {
            self.visit(at, row, k, square);
        }
    }

    fn visit(&mut self, at: usize, row: &[f64], k: usize, square: &mut Square<'_>) {
        let (node, step, shares) = (&self.tree.nodes[at], self.paths.steps[at], self.covers.shares[at]);
        let slot = step.bit as usize;
        let before = if step.again == 0 { (step.player, 1.0, true) } else { self.slots[slot] };
        let holds = node.holds(row[node.column as usize], &self.forest.members);
        for (kid, is_yes) in [(node.no, false), (node.yes, true)] {
            let (share, keeps) = (before.1 * shares[usize::from(is_yes)], before.2 && holds == is_yes);
            if share == 0.0 && !keeps {
                continue;
            }
            self.slots[slot] = (step.player, share, keeps);
            match kid.node() {
                Some(at) => self.visit(at, row, k, square),
                None => self.leaf(kid, step.width_after(), k, square),
            }
        }
        self.slots[slot] = before;
    }

    fn leaf(&self, kid: Kid, width: usize, k: usize, square: &mut Square<'_>) {
        let value = self.tree.value(kid.leaf().unwrap_or_default(), k);
        let path = &self.slots[..width];
        for (t, weight) in &self.points {
            let whole = |(_, share, keeps): &(u32, f64, bool)| (1.0 - t) * share + if *keeps { *t } else { 0.0 };
            let half = 0.5 * value * weight * path.iter().map(whole).product::<f64>();
            let slope = |slot: &(u32, f64, bool)| (f64::from(u8::from(slot.2)) - slot.1) / whole(slot);
            for (at, one) in path.iter().enumerate() {
                let so_far = half * slope(one);
                for other in &path[at + 1..] {
                    square.add(one.0, other.0, so_far * slope(other));
                }
            }
        }
    }
}

/// Adds interventional interactions of what has come to a leaf.
pub fn add(
    arrival: &Arrival<'_>,
    value: f64,
    betas: &Betas,
    weights: &[f64],
    lacking: &mut Vec<u32>,
    square: &mut Square<'_>,
) {
    let v = arrival.without.len();
    let mut rows = arrival.rows;
    while rows != 0 {
        let bit = rows.trailing_zeros();
        rows &= rows - 1;
        lacking.clear();
        let players = arrival.with.iter().zip(arrival.lacking);
        lacking.extend(players.filter(|(_, lacking)| **lacking >> bit & 1 == 1).map(|(player, _)| *player));
        let (u, half) = (lacking.len(), 0.5 * value * weights[arrival.first + bit as usize]);
        for (at, one) in lacking.iter().enumerate() {
            for other in &lacking[at + 1..] {
                square.add(*one, *other, half * betas.of(u - 2, v));
            }
            for other in arrival.without {
                square.add(*one, *other, -half * betas.of(u - 1, v - 1));
            }
        }
        for (at, one) in arrival.without.iter().enumerate() {
            for other in &arrival.without[at + 1..] {
                square.add(*one, *other, half * betas.of(u, v - 2));
            }
        }
    }
}
