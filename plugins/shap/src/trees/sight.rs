//! What is made of trees and a background, once: everything that does not depend on the explained rows.
//!
//! After it comes whoever answers questions; it keeps a sight for as long as the background stays the same. It knows
//! scores of trees, not outputs of models.

use super::{
    betas::Betas,
    covers::Covers,
    forest::Forest,
    pairs::{self, ByPath, Square},
    paths::Paths,
    sets::{Search, Sets, Sum},
    tables::{self, Tables},
    walk::Walkable,
};
use crate::{
    matrix::{Background, Matrix},
    refusal::Refusal,
};

/// What stands for a player that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Perturbation {
    /// The values of background rows.
    Interventional,
    /// The shares of background rows that take each branch.
    PathDependent,
}

/// Trees with a background.
pub struct Sight {
    players: usize,
    base: Vec<f64>,
    paths: Vec<Paths>,
    betas: Betas,
    background: Background,
    /// The background's own scores, for transforms.
    scores: Vec<Vec<f64>>,
    kept: Kept,
    budget: usize,
}

enum Kept {
    Walks(Vec<Walkable>),
    Sets(Vec<(Sets, Option<Tables>)>),
}

/// Shares of some rows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Shares {
    /// For each row, for each target, one for each player.
    pub shares: Vec<f64>,
    /// Where asked: for each row, for each target, a square of players.
    pub interactions: Vec<f64>,
}

/// Rows for which tables of a tree are made anew, if they do not fit into memory for good: fewer are not worth it.
const ROWS_TABLED: usize = 24;

/// A leaf of a row costs by sets about as much as so many cells of a table take to be made.
const CELLS_A_LEAF: usize = 20;

impl Sight {
    /// Prepares. `owner` says whose each column is; tables have at most `cells_max` numbers.
    ///
    /// # Errors
    /// When rows, owners and trees do not fit each other.
    pub fn new(
        forest: &Forest,
        owner: &[u32],
        players: usize,
        background: Background,
        perturbation: Perturbation,
        cells_max: usize,
    ) -> Result<Self, Refusal> {
        let width = background.rows.width;
        if width < forest.columns || owner.len() < width || owner.iter().any(|owner| *owner as usize >= players) {
            let columns = forest.columns;
            return Err(Refusal::new(format!("the background has {width} columns, the trees ask for {columns}")));
        }
        let paths: Vec<Paths> = forest.trees.iter().map(|tree| Paths::of(tree, owner)).collect();
        let widest = paths.iter().map(|paths| paths.width_max).max().unwrap_or(0);
        let betas = Betas::new(widest + 1);
        let each = || forest.trees.iter().zip(&paths);
        let scores: Vec<Vec<f64>> =
            (0..background.rows.rows).map(|row| forest.scores(background.rows.row(row))).collect();
        let mut base = vec![0.0; forest.targets];
        let kept = match perturbation {
            Perturbation::PathDependent => {
                base.clone_from(&forest.base);
                let walkable = |(tree, paths): (&super::Tree, &Paths)| {
                    let covers = Covers::of(tree, paths, &forest.members, &background);
                    Walkable::new(tree, paths, covers)
                };
                let walks: Vec<Walkable> = each().map(walkable).collect();
                for (tree, walk) in forest.trees.iter().zip(&walks) {
                    for (target, mean) in tree.targets.iter().zip(walk.means()) {
                        if let Some(base) = base.get_mut(*target as usize) {
                            *base += mean;
                        }
                    }
                }
                Kept::Walks(walks)
            }
            Perturbation::Interventional => {
                for (scores, weight) in scores.iter().zip(&background.weights) {
                    base.iter_mut().zip(scores).for_each(|(base, score)| *base += weight * score);
                }
                let mut left = cells_max;
                let sets = each().map(|(tree, paths)| {
                    let sets = Sets::of(tree, paths, &forest.members, &background);
                    let cells = tables::cells(tree, paths).filter(|cells| *cells <= left);
                    let tables = cells.map(|cells| {
                        left -= cells;
                        Tables::of(forest, tree, paths, &background, &betas)
                    });
                    (sets, tables)
                });
                Kept::Sets(sets.collect())
            }
        };
        Ok(Self { players, base, paths, betas, background, scores, kept, budget: cells_max })
    }

    /// What each target is with nothing known.
    #[must_use]
    pub fn base(&self) -> &[f64] {
        &self.base
    }

    /// The background's own scores, row by row.
    #[must_use]
    pub fn scores(&self) -> &[Vec<f64>] {
        &self.scores
    }

    /// The background.
    #[must_use]
    pub const fn background(&self) -> &Background {
        &self.background
    }

    /// The shares of some rows in the wanted targets. `go_on` is asked now and then.
    ///
    /// # Errors
    /// What `go_on` says.
    pub fn shares<E>(
        &self,
        forest: &Forest,
        rows: &Matrix,
        (wanted, interactions): (&[bool], bool),
        go_on: &mut impl FnMut() -> Result<(), E>,
    ) -> Result<Shares, E> {
        let of_row = forest.targets * self.players;
        let mut found = Shares { shares: vec![0.0; rows.rows * of_row], interactions: Vec::new() };
        for (at, (tree, paths)) in forest.trees.iter().zip(&self.paths).enumerate() {
            if tree.targets.iter().all(|target| !wanted.get(*target as usize).copied().unwrap_or(true)) {
                continue;
            }
            go_on()?;
            match &self.kept {
                Kept::Walks(walks) => {
                    let Some(walk) = walks.get(at) else { continue };
                    for (row, shares) in found.shares.chunks_exact_mut(of_row.max(1)).enumerate() {
                        if row % 64 == 63 {
                            go_on()?;
                        }
                        for (k, target) in tree.targets.iter().enumerate() {
                            let from = *target as usize * self.players;
                            let shares = shares.get_mut(from..from + self.players).unwrap_or_default();
                            walk.add(forest, tree, paths, k, rows.row(row), shares);
                        }
                    }
                }
                Kept::Sets(kept) => {
                    let Some((sets, tables)) = kept.get(at) else { continue };
                    let made;
                    let tables = match tables {
                        None if self.is_worth(tree, paths, rows.rows) => {
                            made = Tables::of(forest, tree, paths, &self.background, &self.betas);
                            Some(&made)
                        }
                        tables => tables.as_ref(),
                    };
                    if let Some(tables) = tables {
                        tables.add(forest, tree, paths, rows, &mut found.shares, self.players);
                        continue;
                    }
                    let mut search = Search::new(forest, tree, paths, sets);
                    for (row, shares) in found.shares.chunks_exact_mut(of_row.max(1)).enumerate() {
                        go_on()?;
                        self.search(&mut search, tree, rows.row(row), &self.background.weights, shares);
                    }
                }
            }
        }
        if interactions {
            found.interactions = self.interactions(forest, rows, &found.shares, wanted, go_on)?;
        }
        Ok(found)
    }

    fn is_worth(&self, tree: &super::Tree, paths: &Paths, rows: usize) -> bool {
        let worth = rows.saturating_mul(tree.leaves).saturating_mul(tree.targets.len() * CELLS_A_LEAF);
        rows >= ROWS_TABLED && tables::cells(tree, paths).is_some_and(|cells| cells <= worth.min(self.budget))
    }

    fn search(&self, search: &mut Search<'_>, tree: &super::Tree, row: &[f64], weights: &[f64], shares: &mut [f64]) {
        let (betas, players) = (&self.betas, self.players);
        let mut sum = Sum { tree, betas, weights, shares, players, own: Vec::new() };
        search.walk(row, &mut |arrival| sum.add(arrival));
    }

    /// The shares of one row, with weights of the background rows of its own; none if path-dependent.
    #[must_use]
    pub fn weighted(&self, forest: &Forest, row: &[f64], weights: &[f64], wanted: &[bool]) -> Option<Vec<f64>> {
        let Kept::Sets(kept) = &self.kept else { return None };
        let mut shares = vec![0.0; forest.targets * self.players];
        for ((tree, paths), (sets, _)) in forest.trees.iter().zip(&self.paths).zip(kept) {
            if tree.targets.iter().any(|target| wanted.get(*target as usize).copied().unwrap_or(true)) {
                let mut search = Search::new(forest, tree, paths, sets);
                self.search(&mut search, tree, row, weights, &mut shares);
            }
        }
        Some(shares)
    }

    fn interactions<E>(
        &self,
        forest: &Forest,
        rows: &Matrix,
        shares: &[f64],
        wanted: &[bool],
        go_on: &mut impl FnMut() -> Result<(), E>,
    ) -> Result<Vec<f64>, E> {
        let (players, square) = (self.players, self.players * self.players);
        let mut found = vec![0.0; rows.rows * forest.targets * square];
        let mut lacking = Vec::new();
        for (at, (tree, paths)) in forest.trees.iter().zip(&self.paths).enumerate() {
            if tree.targets.iter().all(|target| !wanted.get(*target as usize).copied().unwrap_or(true)) {
                continue;
            }
            for (row, cells) in found.chunks_exact_mut((forest.targets * square).max(1)).enumerate() {
                go_on()?;
                for (k, target) in tree.targets.iter().enumerate() {
                    let from = *target as usize * square;
                    let cells = cells.get_mut(from..from + square).unwrap_or_default();
                    let mut square = Square { cells, players };
                    match &self.kept {
                        Kept::Walks(walks) => {
                            let Some(walk) = walks.get(at) else { continue };
                            ByPath::new(forest, tree, paths, walk.covers()).add(rows.row(row), k, &mut square);
                        }
                        Kept::Sets(kept) => {
                            let Some((sets, _)) = kept.get(at) else { continue };
                            Search::new(forest, tree, paths, sets).walk(rows.row(row), &mut |arrival| {
                                let (value, weights) = (tree.value(arrival.leaf, k), &self.background.weights);
                                pairs::add(arrival, value, &self.betas, weights, &mut lacking, &mut square);
                            });
                        }
                    }
                }
            }
        }
        for (cells, shares) in found.chunks_exact_mut(square.max(1)).zip(shares.chunks_exact(players.max(1))) {
            Square { cells, players }.close(shares);
        }
        Ok(found)
    }
}
