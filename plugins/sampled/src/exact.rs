//! Exact Shapley values and interactions from the worths of all coalitions.
//!
//! Shapley (1953): φ_i = Σ s!(m−s−1)!/m! (v(S ∪ i) − v(S)) over the sets S without i, s = |S|. Before it comes the
//! game; after it whoever writes an answer. It does not know features.

/// Most players whose coalitions are enumerated.
pub const PLAYERS_MAX: usize = 16;

/// s!(m−s−1)!/m! for s = 0 … m−1.
fn shares(players: usize) -> Vec<f64> {
    let mut share = 1.0 / to_float(players);
    (0..players)
        .map(|size| {
            let own = share;
            // C(m−1, s+1) = C(m−1, s) (m−1−s) / (s+1).
            share *= to_float(size + 1) / to_float((players - 1 - size).max(1));
            own
        })
        .collect()
}

#[allow(clippy::cast_precision_loss, reason = "small numbers")]
pub(crate) fn to_float(number: usize) -> f64 {
    number as f64
}

/// The worth of a set by its bits.
fn worth(worths: &[f64], outputs: usize, set: usize) -> &[f64] {
    worths.get(set * outputs..(set + 1) * outputs).unwrap_or_default()
}

/// Shapley values: a row of outputs for each player. `worths` has a row for each set, in the order of its bits.
#[must_use]
pub fn shapley(worths: &[f64], players: usize, outputs: usize) -> Vec<f64> {
    let shares = shares(players);
    let mut values = vec![0.0; players * outputs];
    for (player, values) in values.chunks_exact_mut(outputs.max(1)).enumerate() {
        let own = 1_usize << player;
        for set in (0..1_usize << players).filter(|set| set & own == 0) {
            let share = shares.get(set.count_ones() as usize).copied().unwrap_or(0.0);
            let (with, without) = (worth(worths, outputs, set | own), worth(worths, outputs, set));
            for (value, (with, without)) in values.iter_mut().zip(with.iter().zip(without)) {
                *value += share * (with - without);
            }
        }
    }
    values
}

/// Which interactions are meant. Both are symmetric, are split into two halves, and sum to the Shapley values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interactions {
    /// The Shapley interaction index (Grabisch and Roubens, 1999; Lundberg et al., 2020), as `shap.TreeExplainer`
    /// gives it: Φ_ij = Σ s!(m−s−2)!/(2 (m−1)!) δ_ij(S), and Φ_ii = φ_i − Σ_j Φ_ij.
    #[default]
    Shapley,
    /// The Shapley-Taylor index of order 2 (Sundararajan, Dhamdhere and Agarwal, ICML 2020), as `shap.ExactExplainer`
    /// gives it: Φ_ij = Σ s!(m−s−1)!/m! δ_ij(S), and Φ_ii = v({i}) − v(∅).
    Taylor,
}

/// Interactions of pairs: players × players × outputs. δ_ij(S) = v(S ∪ ij) − v(S ∪ i) − v(S ∪ j) + v(S).
#[must_use]
pub fn interactions(worths: &[f64], values: &[f64], players: usize, outputs: usize, index: Interactions) -> Vec<f64> {
    let mut pairs = vec![0.0; players * players * outputs];
    let weights: Vec<f64> = match index {
        Interactions::Shapley if players >= 2 => shares(players - 1).into_iter().map(|share| share / 2.0).collect(),
        Interactions::Shapley => Vec::new(),
        Interactions::Taylor => shares(players),
    };
    let mut sum = vec![0.0; outputs];
    for one in 0..players {
        for other in one + 1..players {
            let (i, j) = (1_usize << one, 1_usize << other);
            sum.fill(0.0);
            for set in (0..1_usize << players).filter(|set| set & (i | j) == 0) {
                let weight = weights.get(set.count_ones() as usize).copied().unwrap_or(0.0);
                let at = |set| worth(worths, outputs, set);
                for (sum, (((both, one), other), none)) in
                    sum.iter_mut().zip(at(set | i | j).iter().zip(at(set | i)).zip(at(set | j)).zip(at(set)))
                {
                    *sum += weight * ((both - one) - (other - none));
                }
            }
            for (row, column) in [(one, other), (other, one)] {
                cell(&mut pairs, players, outputs, row, column).copy_from_slice(&sum);
            }
        }
    }
    for player in 0..players {
        let mut main: Vec<f64> = match index {
            Interactions::Shapley => worth(values, outputs, player).to_vec(),
            Interactions::Taylor => {
                let (own, nobody) = (worth(worths, outputs, 1 << player), worth(worths, outputs, 0));
                own.iter().zip(nobody).map(|(own, nobody)| own - nobody).collect()
            }
        };
        if index == Interactions::Shapley {
            for other in (0..players).filter(|&other| other != player) {
                let shared = cell(&mut pairs, players, outputs, player, other);
                main.iter_mut().zip(shared).for_each(|(main, shared)| *main -= *shared);
            }
        }
        cell(&mut pairs, players, outputs, player, player).copy_from_slice(&main);
    }
    pairs
}

fn cell(pairs: &mut [f64], players: usize, outputs: usize, row: usize, column: usize) -> &mut [f64] {
    let start = (row * players + column) * outputs;
    pairs.get_mut(start..start + outputs).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three players; only 0 and 1 together earn 6, and 2 earns 1 whatever happens.
    #[test]
    fn a_game_that_is_known() {
        let worths: Vec<f64> =
            (0..8_u32).map(|set| if set & 3 == 3 { 6.0 } else { 0.0 } + f64::from(set >> 2)).collect();
        let values = shapley(&worths, 3, 1);
        for (value, expected) in values.iter().zip([3.0, 3.0, 1.0]) {
            assert!((value - expected).abs() < 1e-14, "{values:?}");
        }
        let expected = [0.0, 3.0, 0.0, 3.0, 0.0, 0.0, 0.0, 0.0, 1.0];
        for index in [Interactions::Shapley, Interactions::Taylor] {
            let pairs = interactions(&worths, &values, 3, 1, index);
            for (pair, expected) in pairs.iter().zip(expected) {
                assert!((pair - expected).abs() < 1e-14, "{index:?}: {pairs:?}");
            }
        }
    }

    #[test]
    fn nobody_and_one_player() {
        assert_eq!(shapley(&[5.0], 0, 1), [] as [f64; 0]);
        assert_eq!(shapley(&[5.0, 7.0], 1, 1), [2.0]);
        assert_eq!(interactions(&[5.0, 7.0], &[2.0], 1, 1, Interactions::Shapley), [2.0]);
        assert_eq!(interactions(&[5.0, 7.0], &[2.0], 1, 1, Interactions::Taylor), [2.0]);
    }
}
