//! Shares and interactions against Shapley's own sum over all coalitions, on random small ensembles.
//!
//! The games here know nothing of the walks: one mixes rows and runs the trees, the other asks the tree recursively.

use candor_onnx::extract::Mode;
use proptest::prelude::*;

use super::{
    forest::{self, Forest, Kid, Node, Tree},
    sight::{Perturbation, Shares, Sight},
};
use crate::matrix::{Background, Matrix};

/// A generator that is the same everywhere (xorshift64*).
pub struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, most: usize) -> usize {
        (self.next() >> 33) as usize % most.max(1)
    }

    fn number(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Few values, so that equal ones and thresholds meet; now and then one is missing.
    fn cell(&mut self) -> f64 {
        if self.below(12) == 0 { f64::NAN } else { self.below(7) as f64 - 3.0 }
    }

    fn matrix(&mut self, rows: usize, width: usize) -> Matrix {
        let cells = (0..rows * width).map(|_| self.cell()).collect();
        Matrix::new(rows, width, cells).unwrap()
    }

    fn tree(&mut self, columns: usize, depth: usize, targets: usize) -> Tree {
        let mut targets: Vec<u32> = (0..targets as u32).filter(|_| self.below(3) > 0).collect();
        if targets.is_empty() {
            targets.push(0);
        }
        let (mut nodes, mut leaves) = (Vec::new(), 0);
        let root = self.kid(columns, 0, depth, &mut nodes, &mut leaves);
        let values = (0..leaves * targets.len()).map(|_| self.number() * 4.0 - 2.0).collect();
        Tree { root, nodes, leaves, targets, values }
    }

    fn kid(&mut self, columns: usize, level: usize, depth: usize, nodes: &mut Vec<Node>, leaves: &mut usize) -> Kid {
        if level == depth || self.below(6) == 0 {
            *leaves += 1;
            return forest::leaf(*leaves - 1);
        }
        let at = nodes.len();
        let modes = [Mode::Leq, Mode::Lt, Mode::Gte, Mode::Gt, Mode::Eq, Mode::Neq, Mode::Member];
        let from = self.below(3) as u32;
        let choice = if self.below(2) == 0 { 2 } else { 7 };
        nodes.push(Node {
            column: self.below(columns) as u32,
            level: level as u32,
            mode: modes[self.below(choice)],
            missing_true: self.below(3) == 0,
            threshold: self.below(7) as f64 - 3.0,
            members: (from, from + self.below(3) as u32),
            yes: forest::leaf(0),
            no: forest::leaf(0),
        });
        nodes[at].yes = self.kid(columns, level + 1, depth, nodes, leaves);
        nodes[at].no = self.kid(columns, level + 1, depth, nodes, leaves);
        forest::node(at)
    }

    fn forest(&mut self, trees: usize, columns: usize, depth: usize, targets: usize) -> Forest {
        let trees = (0..trees).map(|_| self.tree(columns, depth, targets)).collect();
        let base = (0..targets).map(|_| self.number()).collect();
        Forest { trees, members: vec![-3.0, 0.0, 1.0, 2.0, 3.0], targets, base, columns }
    }
}

struct Case {
    forest: Forest,
    owner: Vec<u32>,
    players: usize,
    background: Background,
    rows: Matrix,
}

fn case(seed: u64, columns: usize, depth: usize, is_grouped: bool) -> Case {
    let mut dice = Dice(seed | 1);
    (0..8).for_each(|_| {
        dice.next();
    });
    let targets = 1 + dice.below(3);
    let trees = 1 + dice.below(4);
    let forest = dice.forest(trees, columns, depth, targets);
    let mut owner: Vec<u32> = (0..columns as u32).collect();
    let mut players = columns;
    if is_grouped {
        players = 1 + dice.below(columns);
        owner = (0..columns).map(|_| dice.below(players) as u32).collect();
    }
    let count = 1 + dice.below(70);
    let rows = dice.matrix(count, columns);
    let weights: Vec<f64> = (0..count).map(|_| dice.below(4) as f64 + 0.25).collect();
    let background = Background::new(rows, (dice.below(2) == 0).then_some(&weights[..])).unwrap();
    let rows = dice.matrix(3, columns);
    Case { forest, owner, players, background, rows }
}

impl Case {
    fn knows(&self, known: usize, column: usize) -> bool {
        known >> self.owner[column] & 1 == 1
    }

    /// What a coalition is worth: rows of the background, with what is known put in.
    fn mixed(&self, row: &[f64], known: usize) -> Vec<f64> {
        let mut worth = vec![0.0; self.forest.targets];
        for (at, weight) in self.background.weights.iter().enumerate() {
            let other = self.background.rows.row(at);
            let mix: Vec<f64> = (0..row.len())
                .map(|column| if self.knows(known, column) { row[column] } else { other[column] })
                .collect();
            for (worth, score) in worth.iter_mut().zip(self.forest.scores(&mix)) {
                *worth += weight * score;
            }
        }
        worth
    }

    /// What a coalition is worth: nodes of players that are not known lead both ways, by how many rows take each.
    fn asked(&self, row: &[f64], known: usize) -> Vec<f64> {
        let mut worth = self.forest.base.clone();
        for tree in &self.forest.trees {
            let all: Vec<usize> = (0..self.background.rows.rows).collect();
            for (k, target) in tree.targets.iter().enumerate() {
                worth[*target as usize] += self.ask(tree, tree.root, row, known, &all, k);
            }
        }
        worth
    }

    fn ask(&self, tree: &Tree, at: Kid, row: &[f64], known: usize, here: &[usize], k: usize) -> f64 {
        let Some(node) = at.node().map(|at| &tree.nodes[at]) else { return tree.value(at.leaf().unwrap(), k) };
        let column = node.column as usize;
        let holds = |row: &[f64]| node.holds(row[column], &self.forest.members);
        let (yes, no): (Vec<usize>, Vec<usize>) = here.iter().partition(|at| holds(self.background.rows.row(**at)));
        let weight = |rows: &[usize]| rows.iter().map(|row| self.background.weights[*row]).sum::<f64>();
        let share = if here.is_empty() || weight(here) == 0.0 { 0.5 } else { weight(&yes) / weight(here) };
        let to = |kid: Kid, rows: &[usize]| self.ask(tree, kid, row, known, rows, k);
        if self.knows(known, column) {
            return if holds(row) { to(node.yes, &yes) } else { to(node.no, &no) };
        }
        share * to(node.yes, &yes) + (1.0 - share) * to(node.no, &no)
    }

    fn check(&self, perturbation: Perturbation, cells_max: usize, copies: usize) {
        let (players, targets) = (self.players, self.forest.targets);
        let sight =
            Sight::new(&self.forest, &self.owner, players, self.background.clone(), perturbation, cells_max).unwrap();
        // Many copies of a row go through the lanes of tables, and must come to the same bits.
        let cells = (0..copies).flat_map(|_| self.rows.cells.iter().copied()).collect();
        let rows = Matrix::new(self.rows.rows * copies, self.rows.width, cells).unwrap();
        let asked = (&vec![true; targets][..], true);
        let Shares { shares, interactions } = sight.shares::<()>(&self.forest, &rows, asked, &mut || Ok(())).unwrap();
        let of_row = targets * players;
        for copy in shares.chunks(self.rows.rows * of_row) {
            assert_eq!(copy, &shares[..self.rows.rows * of_row]);
        }
        for row in 0..self.rows.rows {
            let x = self.rows.row(row);
            let worth: Vec<Vec<f64>> = (0..1_usize << players)
                .map(|known| match perturbation {
                    Perturbation::Interventional => self.mixed(x, known),
                    Perturbation::PathDependent => self.asked(x, known),
                })
                .collect();
            for target in 0..targets {
                let near = |got: f64, expected: f64, what: &str| {
                    assert!((got - expected).abs() < 1e-10, "{what} of row {row}, target {target}: {got}, {expected}");
                };
                near(sight.base()[target], worth[0][target], "base");
                let own = &shares[row * of_row + target * players..][..players];
                let square = &interactions[(row * targets + target) * players * players..][..players * players];
                for player in 0..players {
                    near(own[player], shapley(&worth, players, player, target), "share");
                    near(square[player * players..][..players].iter().sum(), own[player], "sum of interactions");
                    for other in (0..players).filter(|other| *other != player) {
                        let expected = 0.5 * interaction(&worth, players, (player, other), target);
                        near(square[player * players + other], expected, "interaction");
                    }
                }
                let sum = sight.base()[target] + own.iter().sum::<f64>();
                near(sum, self.forest.scores(x)[target], "sum");
            }
        }
    }
}

fn factorial(n: usize) -> f64 {
    (1..=n).map(|n| n as f64).product()
}

/// Shapley's sum over all coalitions without the player.
fn shapley(worth: &[Vec<f64>], players: usize, player: usize, target: usize) -> f64 {
    let without = (0..worth.len()).filter(|known| known >> player & 1 == 0);
    without
        .map(|known| {
            let size = known.count_ones() as usize;
            let weight = factorial(size) * factorial(players - size - 1) / factorial(players);
            weight * (worth[known | 1 << player][target] - worth[known][target])
        })
        .sum()
}

/// The interaction index, by its definition.
fn interaction(worth: &[Vec<f64>], players: usize, (one, other): (usize, usize), target: usize) -> f64 {
    let pair = 1 << one | 1 << other;
    let without = (0..worth.len()).filter(|known| known & pair == 0);
    without
        .map(|known| {
            let size = known.count_ones() as usize;
            let weight = factorial(size) * factorial(players - size - 2) / factorial(players - 1);
            let at = |more: usize| worth[known | more][target];
            weight * (at(pair) - at(1 << one) - at(1 << other) + at(0))
        })
        .sum()
}

const MUCH: usize = 1 << 20;

#[test]
fn a_stump_is_known_by_hand() {
    let node = Node {
        column: 0,
        level: 0,
        mode: Mode::Leq,
        missing_true: true,
        threshold: 1.0,
        members: (0, 0),
        yes: forest::leaf(0),
        no: forest::leaf(1),
    };
    let tree = Tree { root: forest::node(0), nodes: vec![node], leaves: 2, targets: vec![0], values: vec![10.0, 20.0] };
    let forest = Forest { trees: vec![tree], members: Vec::new(), targets: 1, base: vec![1.0], columns: 1 };
    let background = Background::new(Matrix::new(4, 1, vec![0.0, 1.0, f64::NAN, 2.0]).unwrap(), None).unwrap();
    for perturbation in [Perturbation::Interventional, Perturbation::PathDependent] {
        let sight = Sight::new(&forest, &[0], 1, background.clone(), perturbation, MUCH).unwrap();
        assert_eq!(sight.base(), [13.5]);
        let rows = Matrix::new(2, 1, vec![5.0, f64::NAN]).unwrap();
        let found = sight.shares::<()>(&forest, &rows, (&[true], false), &mut || Ok(())).unwrap();
        assert_eq!(found.shares, [7.5, -2.5]);
    }
}

/// All players of a chain are alike, so that each has the same share, though there are more of them than one walk
/// carries points for.
#[test]
fn a_long_chain_is_shared_equally() {
    const LONG: usize = 100;
    let node = |at: usize| Node {
        column: at as u32,
        level: at as u32,
        mode: Mode::Leq,
        missing_true: false,
        threshold: 0.5,
        members: (0, 0),
        yes: if at + 1 < LONG { forest::node(at + 1) } else { forest::leaf(0) },
        no: forest::leaf(at + 1),
    };
    let nodes = (0..LONG).map(node).collect();
    let mut values = vec![0.0; LONG + 1];
    values[0] = 1.0;
    let tree = Tree { root: forest::node(0), nodes, leaves: LONG + 1, targets: vec![0], values };
    let forest = Forest { trees: vec![tree], members: Vec::new(), targets: 1, base: vec![0.0], columns: LONG };
    // One row that comes to the leaf, and one that is turned away at each node in its turn.
    let mut cells = vec![0.0; LONG * (LONG + 1)];
    (0..LONG).for_each(|at| cells[LONG + at * LONG + at] = 1.0);
    let background = Background::new(Matrix::new(LONG + 1, LONG, cells).unwrap(), None).unwrap();
    let owner: Vec<u32> = (0..LONG as u32).collect();
    for perturbation in [Perturbation::Interventional, Perturbation::PathDependent] {
        let sight = Sight::new(&forest, &owner, LONG, background.clone(), perturbation, MUCH).unwrap();
        let rows = Matrix::new(1, LONG, vec![0.0; LONG]).unwrap();
        let found = sight.shares::<()>(&forest, &rows, (&[true], false), &mut || Ok(())).unwrap();
        let sum: f64 = found.shares.iter().sum();
        assert!((sum + sight.base()[0] - 1.0).abs() < 1e-12, "{sum}");
        if perturbation == Perturbation::Interventional {
            assert!(found.shares.iter().all(|share| (share - 1.0 / (LONG + 1) as f64).abs() < 1e-13));
        }
    }
}

#[test]
fn questions_that_do_not_fit_are_refused() {
    let case = case(7, 4, 3, false);
    let narrow = Background::new(Matrix::new(1, 3, vec![0.0; 3]).unwrap(), None).unwrap();
    assert!(Sight::new(&case.forest, &case.owner, 4, narrow, Perturbation::Interventional, MUCH).is_err());
    let sight = Sight::new(&case.forest, &[0, 1, 2, 4], 4, case.background, Perturbation::PathDependent, MUCH);
    assert!(sight.is_err());
    assert_eq!(Background::new(Matrix::new(1, 1, vec![0.0]).unwrap(), Some(&[0.0])), None);
    assert_eq!(Background::new(Matrix::new(0, 1, Vec::new()).unwrap(), None), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn path_dependent_shares_are_shapleys(seed: u64, columns in 1..7_usize, depth in 1..7_usize, grouped: bool) {
        case(seed, columns, depth, grouped).check(Perturbation::PathDependent, 0, 1);
    }

    #[test]
    fn interventional_shares_by_sets_are_shapleys(seed: u64, columns in 1..7_usize, depth in 1..7_usize, grouped: bool) {
        case(seed, columns, depth, grouped).check(Perturbation::Interventional, 0, 2);
    }

    #[test]
    fn interventional_shares_by_tables_are_shapleys(seed: u64, columns in 1..7_usize, depth in 1..7_usize, grouped: bool) {
        case(seed, columns, depth, grouped).check(Perturbation::Interventional, MUCH, 13);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, ..ProptestConfig::default() })]

    /// Long paths with few rows: many points, and walks of more than one number each.
    #[test]
    fn deep_trees_are_exact(seed: u64) {
        let mut case = case(seed, 10, 14, false);
        case.rows = Matrix::new(1, 10, case.rows.row(0).to_vec()).unwrap();
        case.check(Perturbation::PathDependent, 0, 1);
        case.check(Perturbation::Interventional, MUCH, 1);
        case.check(Perturbation::Interventional, 0, 1);
    }
}
