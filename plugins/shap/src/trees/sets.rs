//! Interventional shares of one tree by sets of background rows: exact for any weights, with little memory.
//!
//! Of two rows, the explained one and one of the background, a leaf is reached by the coalitions that take each feature
//! where its conditions hold. If they hold in the explained row only for `u` players, and in the other only for `v`,
//! those `u` share `(u - 1)! · v! / (u + v)!` of the leaf each, and the `v` lose `u! · (v - 1)! / (u + v)!` each
//! (S. Lundberg et al., "From local explanations to global understanding with explainable AI for trees", 2020,
//! algorithm 3). Instead of rows one by one, a walk carries the set of all rows that can still come along, as bits.
#![allow(
    clippy::indexing_slicing,
    reason = "the innermost loop; nodes, steps and sets are parallel lists, and children, columns, players and levels \
              were checked when they were made"
)]

use super::{
    betas::Betas,
    forest::{Forest, Kid, Node, Tree},
    paths::{Paths, Step},
};
use crate::matrix::Background;

/// For each branch of a tree: the background rows that satisfy all that the branch's player was asked so far.
#[derive(Debug, Clone, Default)]
pub struct Sets {
    /// Words of 64 rows.
    words: usize,
    /// For each node its "false" and its "true".
    branches: Vec<u64>,
    /// Rows that count.
    all: Vec<u64>,
}

impl Sets {
    /// Asks each node about each row.
    #[must_use]
    pub fn of(tree: &Tree, paths: &Paths, members: &[f64], background: &Background) -> Self {
        let words = background.rows.rows.div_ceil(64);
        let mut all = vec![0_u64; words];
        for (row, _) in background.weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            all[row / 64] |= 1 << (row % 64);
        }
        let mut branches = vec![0_u64; tree.nodes.len() * 2 * words];
        for (at, (node, step)) in tree.nodes.iter().zip(&paths.steps).enumerate() {
            let (before, own) = branches.split_at_mut(at * 2 * words);
            let (no, yes) = own.split_at_mut(words);
            for row in 0..background.rows.rows {
                let holds = node.holds(background.rows.row(row)[node.column as usize], members);
                yes[row / 64] |= u64::from(holds) << (row % 64);
            }
            let above = (step.again > 0).then(|| &before[step.above as usize * words..][..words]);
            for (word, all) in all.iter().enumerate() {
                let kept = all & above.map_or(u64::MAX, |above| above[word]);
                no[word] = kept & !yes[word];
                yes[word] &= kept;
            }
        }
        Self { words, branches, all }
    }

    /// The rows of a branch: twice the node, plus 1 for "true".
    fn branch(&self, branch: usize) -> &[u64] {
        &self.branches[branch * self.words..][..self.words]
    }
}

/// What the walk of a row has at a leaf: who is on its path, and which background rows may come along.
pub struct Arrival<'a> {
    /// The leaf.
    pub leaf: usize,
    /// Players whose conditions the explained row satisfies.
    pub with: &'a [u32],
    /// For each of those, 64 background rows at a time: the rows that do not satisfy them.
    pub lacking: &'a [u64],
    /// Players whose conditions it does not satisfy; all background rows here do.
    pub without: &'a [u32],
    /// The background rows of this word that may come along.
    pub rows: u64,
    /// The number of the word's first row.
    pub first: usize,
}

/// A walk of rows through a tree.
pub struct Search<'a> {
    members: &'a [f64],
    nodes: &'a [Node],
    steps: &'a [Step],
    sets: &'a Sets,
    root: Kid,
    /// For each player of the path: its last branch, and whether the row keeps to it.
    slots: Vec<(u32, u32, bool)>,
    /// By level, the rows that may come along.
    rows: Vec<u64>,
    with: Vec<u32>,
    without: Vec<u32>,
    kept: Vec<usize>,
    lacking: Vec<u64>,
}

impl<'a> Search<'a> {
    /// Of a tree.
    #[must_use]
    pub fn new(forest: &'a Forest, tree: &'a Tree, paths: &'a Paths, sets: &'a Sets) -> Self {
        let levels = tree.nodes.iter().map(|node| node.level as usize + 2).max().unwrap_or(1);
        let mut rows = vec![0; levels * sets.words];
        rows[..sets.words].copy_from_slice(&sets.all);
        Self {
            members: &forest.members,
            nodes: &tree.nodes,
            steps: &paths.steps,
            sets,
            root: tree.root,
            slots: vec![(0, 0, false); paths.width_max],
            rows,
            with: Vec::new(),
            without: Vec::new(),
            kept: Vec::new(),
            lacking: Vec::new(),
        }
    }

    /// Walks; tells what it has at each leaf, for each word of background rows that may come along.
    pub fn walk(&mut self, row: &[f64], arrive: &mut impl FnMut(&Arrival<'_>)) {
        if let Some(at) = self.root.node() {
            self.visit(at, row, arrive);
        }
    }

    fn visit(&mut self, at: usize, row: &[f64], arrive: &mut impl FnMut(&Arrival<'_>)) {
        let (node, step) = (&self.nodes[at], self.steps[at]);
        let slot = step.bit as usize;
        let before = self.slots[slot];
        let keeps_before = step.again == 0 || before.2;
        let holds = node.holds(row[node.column as usize], self.members);
        for (kid, is_yes) in [(node.no, false), (node.yes, true)] {
            let (branch, keeps) = (at * 2 + usize::from(is_yes), keeps_before && holds == is_yes);
            let level = node.level as usize;
            let (above, below) = self.rows.split_at_mut((level + 1) * self.sets.words);
            let above = &above[level * self.sets.words..];
            let mut any = 0;
            let of_branch = self.sets.branch(branch);
            for ((below, above), of_branch) in below.iter_mut().zip(above).zip(of_branch) {
                *below = if keeps { *above } else { above & of_branch };
                any |= *below;
            }
            if any == 0 {
                continue;
            }
            self.slots[slot] = (step.player, branch as u32, keeps);
            match kid.node() {
                Some(at) => self.visit(at, row, arrive),
                None => self.leaf(kid.leaf().unwrap_or_default(), level + 1, step.width_after(), arrive),
            }
        }
        self.slots[slot] = before;
    }

    fn leaf(&mut self, leaf: usize, level: usize, width: usize, arrive: &mut impl FnMut(&Arrival<'_>)) {
        self.with.clear();
        self.without.clear();
        self.kept.clear();
        for (player, branch, keeps) in &self.slots[..width] {
            if *keeps {
                self.with.push(*player);
                self.kept.push(*branch as usize);
            } else {
                self.without.push(*player);
            }
        }
        for word in 0..self.sets.words {
            let rows = self.rows[level * self.sets.words + word];
            if rows == 0 {
                continue;
            }
            self.lacking.clear();
            let of = |branch: &usize| rows & !self.sets.branches[branch * self.sets.words + word];
            self.lacking.extend(self.kept.iter().map(of));
            arrive(&Arrival {
                leaf,
                with: &self.with,
                lacking: &self.lacking,
                without: &self.without,
                rows,
                first: word * 64,
            });
        }
    }
}

/// Adds up shares at leaves.
pub struct Sum<'a> {
    /// The tree.
    pub tree: &'a Tree,
    /// Weights of coalitions.
    pub betas: &'a Betas,
    /// Weights of background rows.
    pub weights: &'a [f64],
    /// Shares of a row: for each target one for each player.
    pub shares: &'a mut [f64],
    /// How many players.
    pub players: usize,
    /// Room for the players of a path.
    pub own: Vec<f64>,
}

impl Sum<'_> {
    /// Adds what a leaf says.
    pub fn add(&mut self, arrival: &Arrival<'_>) {
        let v = arrival.without.len();
        let mut own = std::mem::take(&mut self.own);
        own.clear();
        own.resize(arrival.with.len(), 0.0);
        let (mut rows, mut lost) = (arrival.rows, 0.0);
        while rows != 0 {
            let bit = rows.trailing_zeros();
            rows &= rows - 1;
            let weight = self.weights[arrival.first + bit as usize];
            let u: u64 = arrival.lacking.iter().map(|lacking| lacking >> bit & 1).sum();
            if u > 0 {
                let share = (weight * self.betas.of(u as usize - 1, v)).to_bits();
                for (own, lacking) in own.iter_mut().zip(arrival.lacking) {
                    *own += f64::from_bits(share & 0_u64.wrapping_sub(lacking >> bit & 1));
                }
            }
            if v > 0 {
                lost += weight * self.betas.of(u as usize, v - 1);
            }
        }
        for (k, target) in self.tree.targets.iter().enumerate() {
            let value = self.tree.value(arrival.leaf, k);
            let shares = &mut self.shares[*target as usize * self.players..][..self.players];
            for (player, own) in arrival.with.iter().zip(&own) {
                shares[*player as usize] += value * own;
            }
            for player in arrival.without {
                shares[*player as usize] -= value * lost;
            }
        }
        self.own = own;
    }
}
