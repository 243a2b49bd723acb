//! Which coalitions are asked about, and how much each weighs in the fit.
//!
//! A size s has the weight (m−1) / (s (m−s)) in all: (m−1) / (C(m,s) s (m−s)) for each of its C(m,s) sets (Lundberg
//! and Lee, 2017, theorem 2). Sizes are taken from both ends, s and m−s together: all their sets while the budget
//! lasts, by the rule of `shap.KernelExplainer`; from the sizes that are left, pairs of a set and its complement
//! (Covert and Lee, 2021) are drawn by weight. A set that is drawn again counts again and costs nothing. It does not
//! know what a coalition is worth.

use crate::{
    coalition::{Coalitions, add, complement, everyone},
    exact::to_float,
    random::Random,
};

/// Coalitions, without nobody and everyone, and their weights, which sum to 1.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The sets; drawn ones come last, each followed by its complement.
    pub coalitions: Coalitions,
    /// How much each weighs.
    pub weights: Vec<f64>,
    /// How many of the sets were enumerated.
    pub enumerated: usize,
    /// How often each pair was drawn.
    pub draws: Vec<u32>,
}

impl Plan {
    /// Of sets, their weights and how often each pair of the last was drawn: for comparisons.
    #[must_use]
    pub fn of(coalitions: Coalitions, weights: Vec<f64>, draws: Vec<u32>) -> Self {
        let enumerated = coalitions.len().saturating_sub(2 * draws.len());
        Self { coalitions, weights, enumerated, draws }
    }

    /// What the drawn sets weigh in all.
    #[must_use]
    pub fn drawn_weight(&self) -> f64 {
        self.weights.iter().skip(self.enumerated).sum()
    }
}

/// Chooses coalitions of at least two players; at most `budget` of them.
#[must_use]
pub fn plan(players: usize, budget: usize, seed: u64) -> Plan {
    let sizes = players / 2;
    // What a size and its counterpart weigh together.
    let mut weights: Vec<f64> = (1..=sizes)
        .map(|size| {
            let both = if 2 * size == players { 1.0 } else { 2.0 };
            both * to_float(players - 1) / (to_float(size) * to_float(players - size))
        })
        .collect();
    let total: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= total);
    let mut made = Plan { coalitions: Coalitions::new(players), weights: Vec::new(), enumerated: 0, draws: Vec::new() };
    let all = everyone(players);
    let (mut left, mut left_weight, mut full) = (to_float(budget), 1.0, 0);
    let whole = players < 31 && budget >= (1_usize << players) - 2;
    for (size, weight) in (1..).zip(&weights) {
        let sets = sets_of(players, size);
        if !whole && left * weight / left_weight / sets < 1.0 - 1e-8 {
            break;
        }
        enumerate(&mut made, &all, size, weight / sets);
        (left, left_weight, full) = (left - sets, left_weight - weight, size);
    }
    made.enumerated = made.coalitions.len();
    if full < sizes {
        draw(&mut made, &all, weights.get(full..).unwrap_or_default(), full + 1, budget, seed);
    }
    made
}

/// How many sets of a size and of its counterpart there are.
fn sets_of(players: usize, size: usize) -> f64 {
    let sets = (0..size).fold(1.0, |sets, at| sets * to_float(players - at) / to_float(at + 1)).round();
    if 2 * size == players { sets } else { 2.0 * sets }
}

/// All sets of a size, each followed by its complement unless that has the same size.
fn enumerate(made: &mut Plan, all: &[u64], size: usize, weight: f64) {
    let players = made.coalitions.players();
    let mut chosen: Vec<usize> = (0..size).collect();
    let (mut set, mut rest) = (vec![0; all.len()], vec![0; all.len()]);
    loop {
        set.fill(0);
        chosen.iter().for_each(|&player| add(&mut set, player));
        made.coalitions.insert(&set);
        made.weights.push(weight);
        if 2 * size != players {
            complement(&set, all, &mut rest);
            made.coalitions.insert(&rest);
            made.weights.push(weight);
        }
        // The next combination in lexicographic order: raise the last place that can be raised.
        let movable = chosen.iter().enumerate().rev().find(|(at, player)| **player < players - size + at);
        let Some((at, &player)) = movable else { return };
        chosen.iter_mut().skip(at).zip(player + 1..).for_each(|(place, next)| *place = next);
    }
}

/// Draws pairs from the sizes `first` and above until the budget is spent; gives up after drawing four times as many.
fn draw(made: &mut Plan, all: &[u64], weights: &[f64], first: usize, budget: usize, seed: u64) {
    let mut random = Random::new(seed, 0);
    let (total, before) = (weights.iter().sum::<f64>(), made.coalitions.len());
    let pairs = budget.saturating_sub(before) / 2;
    let mut order: Vec<usize> = (0..made.coalitions.players()).collect();
    let (mut set, mut rest) = (vec![0; all.len()], vec![0; all.len()]);
    for _ in 0..pairs.saturating_mul(4) {
        if made.draws.len() >= pairs {
            break;
        }
        let mut point = random.uniform() * total;
        let past = weights.iter().position(|weight| {
            point -= weight;
            point < 0.0
        });
        let size = first + past.unwrap_or(weights.len().saturating_sub(1));
        random.shuffle(&mut order, size);
        set.fill(0);
        order.iter().take(size).for_each(|&player| add(&mut set, player));
        let (at, new) = made.coalitions.insert(&set);
        if new {
            complement(&set, all, &mut rest);
            made.coalitions.insert(&rest);
            made.draws.push(1);
        } else if let Some(draws) = at.checked_sub(before).and_then(|at| made.draws.get_mut(at / 2)) {
            // The set itself or its complement: the same pair.
            *draws += 1;
        }
    }
    let draws: u64 = made.draws.iter().map(|&draws| u64::from(draws)).sum();
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    let each = total / (2.0 * draws.max(1) as f64);
    made.weights.extend(made.draws.iter().flat_map(|&draws| [each * f64::from(draws); 2]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coalition::size;

    #[test]
    fn a_large_budget_enumerates_all_with_the_kernels_weights() {
        for players in 2..=10 {
            let made = plan(players, 1 << players, 0);
            assert_eq!((made.coalitions.len(), made.draws.len()), ((1 << players) - 2, 0));
            let kernel = |s: usize| {
                let sets = (0..s).fold(1.0, |sets, at| sets * to_float(players - at) / to_float(at + 1));
                to_float(players - 1) / (sets * to_float(s) * to_float(players - s))
            };
            let total: f64 = made.coalitions.iter().map(|set| kernel(size(set))).sum();
            for (set, weight) in made.coalitions.iter().zip(&made.weights) {
                assert!((weight - kernel(size(set)) / total).abs() < 1e-14, "{players} {set:?}");
            }
        }
    }

    #[test]
    fn the_rest_is_drawn_in_pairs_within_the_budget() {
        for (players, budget) in [(12, 500), (13, 2074), (30, 2108), (30, 77), (80, 2208), (300, 900)] {
            let made = plan(players, budget, 5);
            assert!(made.coalitions.len() <= budget && made.coalitions.len() + 2 > budget, "{players} {budget}");
            assert!((made.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            assert_eq!(made.coalitions.len(), made.enumerated + 2 * made.draws.len());
            let (all, mut rest) = (everyone(players), vec![0; made.coalitions.words()]);
            for at in (made.enumerated..made.coalitions.len()).step_by(2) {
                complement(made.coalitions.get(at), &all, &mut rest);
                assert_eq!(made.coalitions.get(at + 1), rest);
            }
        }
    }

    #[test]
    fn sizes_are_drawn_by_their_weights() {
        let made = plan(40, 20_000, 11);
        assert_eq!(made.enumerated, 80 + 1560);
        let mut by_size = [0.0; 41];
        for (set, weight) in made.coalitions.iter().zip(&made.weights) {
            by_size[size(set)] += weight;
        }
        let kernel = |s: usize| 39.0 / (to_float(s) * to_float(40 - s));
        let total: f64 = (1..40).map(kernel).sum();
        for (s, drawn) in by_size.into_iter().enumerate().take(40).skip(1) {
            let expected = kernel(s) / total;
            // Five standard deviations of a share of some 9000 draws.
            assert!((drawn - expected).abs() <= 5.0 * (expected / 9000.0).sqrt(), "{s}: {drawn} {expected}");
        }
    }

    #[test]
    fn a_seed_is_a_plan() {
        let (one, same, other) = (plan(20, 1000, 3), plan(20, 1000, 3), plan(20, 1000, 4));
        assert!(one.coalitions.iter().eq(same.coalitions.iter()) && one.weights == same.weights);
        assert!(!one.coalitions.iter().eq(other.coalitions.iter()));
    }
}
