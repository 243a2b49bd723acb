//! Interventional shares of one tree by tables: for each pair of leaves, what every pattern of conditions comes to.
//!
//! What a leaf gives depends on the explained row only by which players' conditions on the path hold: a pattern of as
//! many bits as there are players. With `N(Q)` the weight of the background rows in which the conditions of all players
//! `Q` hold, the coalition `S` of a pattern `P` is worth `value · N(not S)` if `S` lies within `P`, and else nothing. So
//! with `w(s) = s! · (d - s - 1)! / d!` and sums over subsets `S` of a pattern,
//!
//! ```text
//! W(P) = Σ w(|S|) · N(not S)      A(P) = Σ w(|S| - 1) · N(not S), S not empty
//! share of j = value · (A(P) - A(P without j) - W(P without j))   where j's conditions hold
//! share of j = -value · W(P)                                      where they do not
//! ```
//!
//! Sums over all subsets and supersets take `d · 2^d` steps. The idea to compute by patterns is that of FastTreeSHAP v2
//! (J. Yang, arXiv 2109.09847); sums over backgrounds in this way are ours.
#![allow(
    clippy::indexing_slicing,
    reason = "the innermost loop; tables are as large as their patterns, and nodes and steps are parallel lists"
)]

use super::{
    betas::Betas,
    forest::{Forest, Node, Tree},
    paths::{Paths, Step},
};
use crate::matrix::{Background, Matrix};

/// Most players on a path for which there are tables.
pub const WIDTH_MAX: usize = 12;

/// Rows that are walked together.
const LANES: usize = 32;

/// A node with a leaf or two below it.
#[derive(Debug, Clone)]
struct Unit {
    /// Its table: for each pattern, for each target of the tree, a share for each player.
    start: usize,
    /// Bits of a pattern but for the last, which says where the node's own condition leads.
    bits: u32,
    /// Its players in `Tables::players`.
    players: (u32, u32),
}

/// The tables of a tree.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    units: Vec<Unit>,
    /// By node: its unit, or `u32::MAX`.
    unit_of: Vec<u32>,
    players: Vec<u32>,
    cells: Vec<f64>,
}

/// How many numbers the tables of a tree have; none if paths are too wide.
#[must_use]
pub fn cells(tree: &Tree, paths: &Paths) -> Option<usize> {
    if paths.width_max > WIDTH_MAX {
        return None;
    }
    let of = |(node, step): (&Node, &Step)| {
        let is_unit = node.yes.leaf().is_some() || node.no.leaf().is_some();
        if is_unit { step.width_after() << (step.width + 1) } else { 0 }
    };
    Some(tree.nodes.iter().zip(&paths.steps).map(of).sum::<usize>() * tree.targets.len())
}

impl Tables {
    /// Makes them; paths must not be wider than [`WIDTH_MAX`].
    #[must_use]
    pub fn of(forest: &Forest, tree: &Tree, paths: &Paths, background: &Background, betas: &Betas) -> Self {
        let mut made = Self { unit_of: vec![u32::MAX; tree.nodes.len()], ..Self::default() };
        let mut size = 0;
        let mut way: Vec<u32> = Vec::new();
        for (at, (node, step)) in tree.nodes.iter().zip(&paths.steps).enumerate() {
            way.truncate(step.width as usize);
            if step.again == 0 {
                way.push(step.player);
            }
            if node.yes.leaf().is_none() && node.no.leaf().is_none() {
                continue;
            }
            made.unit_of[at] = made.units.len() as u32;
            let from = made.players.len() as u32;
            made.players.extend(&way[..step.width_after()]);
            made.units.push(Unit { start: size, bits: step.width, players: (from, made.players.len() as u32) });
            size += (way.len() << (step.width + 1)) * tree.targets.len();
        }
        // How many of the background have each pattern, in the first cells of each unit's table.
        made.cells = vec![0.0; size];
        let mut counts = vec![0.0; made.units.iter().map(|unit| 2 << unit.bits).sum()];
        let starts = made.units.iter().scan(0, |start, unit| {
            let own = *start;
            *start += 2 << unit.bits;
            Some(own)
        });
        let starts: Vec<usize> = starts.collect();
        let patterns = Patterns { members: &forest.members, tree, paths, unit_of: &made.unit_of };
        patterns.each(&background.rows, &mut |row, unit, pattern| {
            counts[starts[unit] + pattern] += background.weights[row];
        });
        let mut scratch = Scratch::default();
        for (at, (node, step)) in tree.nodes.iter().zip(&paths.steps).enumerate() {
            let Some(unit) = made.units.get(made.unit_of[at] as usize) else { continue };
            let counts = &counts[starts[made.unit_of[at] as usize]..][..2 << unit.bits];
            for (kid, is_yes) in [(node.no, false), (node.yes, true)] {
                if let Some(leaf) = kid.leaf() {
                    let table = &mut made.cells[unit.start..];
                    scratch.leaf(step, is_yes, counts, betas, table, tree.targets.len(), |k| tree.value(leaf, k));
                }
            }
        }
        made
    }

    /// Adds the shares of all rows: for each row and target one for each player.
    pub fn add(&self, forest: &Forest, tree: &Tree, paths: &Paths, rows: &Matrix, shares: &mut [f64], players: usize) {
        let of_row = forest.targets * players;
        let targets = tree.targets.len();
        let patterns = Patterns { members: &forest.members, tree, paths, unit_of: &self.unit_of };
        patterns.each(rows, &mut |row, unit, pattern| {
            let unit = &self.units[unit];
            let own = &self.players[unit.players.0 as usize..unit.players.1 as usize];
            let mut cells = self.cells[unit.start + pattern * targets * own.len()..].iter();
            for target in &tree.targets {
                let shares = &mut shares[row * of_row + *target as usize * players..][..players];
                for (player, cell) in own.iter().zip(cells.by_ref()) {
                    shares[*player as usize] += cell;
                }
            }
        });
    }
}

/// The players of a pattern that keep to a leaf: those above, but that the last one's condition must lead there.
const fn at_leaf(pattern: usize, step: &Step, is_yes: bool) -> usize {
    let bits = step.width;
    let above = pattern & ((1 << bits) - 1);
    let leads = (pattern >> bits == 1) == is_yes;
    if step.again == 0 {
        above | (leads as usize) << bits
    } else if leads {
        above
    } else {
        above & !(1 << step.bit)
    }
}

/// Room for sums over subsets.
#[derive(Default)]
struct Scratch {
    with: Vec<f64>,
    small: Vec<f64>,
    large: Vec<f64>,
}

impl Scratch {
    #[allow(clippy::too_many_arguments, reason = "a leaf is all of these")]
    fn leaf(
        &mut self,
        step: &Step,
        is_yes: bool,
        counts: &[f64],
        betas: &Betas,
        table: &mut [f64],
        targets: usize,
        value: impl Fn(usize) -> f64,
    ) {
        let players = step.width_after();
        let (size, all) = (1_usize << players, (1_usize << players) - 1);
        for list in [&mut self.with, &mut self.small, &mut self.large] {
            list.clear();
            list.resize(size, 0.0);
        }
        for (pattern, count) in counts.iter().enumerate() {
            self.with[at_leaf(pattern, step, is_yes)] += count;
        }
        // Of those with exactly these, those with at least these.
        for bit in 0..players {
            for set in (0..size).filter(|set| set >> bit & 1 == 0) {
                self.with[set] += self.with[set | 1 << bit];
            }
        }
        for set in 0..size {
            let (count, weight) = (set.count_ones() as usize, self.with[all & !set]);
            if count < players {
                self.small[set] = weight * betas.of(count, players - count - 1);
            }
            if count > 0 {
                self.large[set] = weight * betas.of(count - 1, players - count);
            }
        }
        for list in [&mut self.small, &mut self.large] {
            for bit in 0..players {
                for set in (0..size).filter(|set| set >> bit & 1 == 1) {
                    list[set] += list[set & !(1 << bit)];
                }
            }
        }
        for pattern in 0..counts.len() {
            let kept = at_leaf(pattern, step, is_yes);
            for k in 0..targets {
                let (value, row) = (value(k), &mut table[(pattern * targets + k) * players..][..players]);
                for (player, cell) in row.iter_mut().enumerate() {
                    let share = if kept >> player & 1 == 1 {
                        let other = kept & !(1 << player);
                        self.large[kept] - self.large[other] - self.small[other]
                    } else {
                        -self.small[kept]
                    };
                    *cell += value * share;
                }
            }
        }
    }
}

/// Walks rows through a tree, and tells the pattern of each row at each unit.
struct Patterns<'a> {
    members: &'a [f64],
    tree: &'a Tree,
    paths: &'a Paths,
    unit_of: &'a [u32],
}

/// What is told: a row, a unit, a pattern.
trait Told: FnMut(usize, usize, usize) {}
impl<F: FnMut(usize, usize, usize)> Told for F {}

impl Patterns<'_> {
    fn each(&self, rows: &Matrix, told: &mut impl Told) {
        if self.tree.nodes.is_empty() {
            return;
        }
        let full = rows.rows / LANES * LANES;
        let mut answers = vec![[0_u16; LANES]; if full > 0 { self.tree.nodes.len() } else { 0 }];
        for first in (0..full).step_by(LANES) {
            self.ask(rows, first, &mut answers);
            self.visit(0, [0; LANES], &answers, &mut |unit, patterns: &[u16; LANES]| {
                for (lane, pattern) in patterns.iter().enumerate() {
                    told(first + lane, unit, *pattern as usize);
                }
            });
        }
        let mut answers = vec![[0_u16; 1]; self.tree.nodes.len()];
        for row in full..rows.rows {
            self.ask(rows, row, &mut answers);
            self.visit(0, [0], &answers, &mut |unit, [pattern]: &[u16; 1]| told(row, unit, *pattern as usize));
        }
    }

    /// Whether each node's condition holds, for some rows.
    fn ask<const R: usize>(&self, rows: &Matrix, first: usize, answers: &mut [[u16; R]]) {
        for (node, answers) in self.tree.nodes.iter().zip(answers) {
            let column = &rows.cells[first * rows.width + node.column as usize..];
            for (answer, x) in answers.iter_mut().zip(column.iter().step_by(rows.width)) {
                *answer = u16::from(node.holds(*x, self.members));
            }
        }
    }

    fn visit<const R: usize>(
        &self,
        at: usize,
        above: [u16; R],
        answers: &[[u16; R]],
        arrive: &mut impl FnMut(usize, &[u16; R]),
    ) {
        let (node, step, answers_here) = (&self.tree.nodes[at], &self.paths.steps[at], &answers[at]);
        let unit = self.unit_of[at];
        if unit != u32::MAX {
            let mut patterns = above;
            for (pattern, answer) in patterns.iter_mut().zip(answers_here) {
                *pattern |= answer << step.width;
            }
            arrive(unit as usize, &patterns);
        }
        for (kid, is_yes) in [(node.no, 0_u16), (node.yes, 1)] {
            let Some(kid) = kid.node() else { continue };
            let mut here = above;
            for (here, answer) in here.iter_mut().zip(answers_here) {
                let keeps = u16::from(*answer == is_yes);
                *here = if step.again == 0 { *here | keeps << step.bit } else { *here & !((1 - keeps) << step.bit) };
            }
            self.visit(kid, here, answers, arrive);
        }
    }
}
