//! Permutation importance as scikit-learn's `permutation_importance`: score(base) − score(permuted).
//!
//! Breiman 2001, "Random forests". Before it come rows, their truth and permutations; after it the falls of the score.
//! It does not know where permutations come from.

use crate::{Fault, Matrix, Model, Players, Result, Truth};

/// How much a score falls.
#[derive(Debug, Clone, PartialEq)]
pub struct Importance {
    /// The score of the rows as they are.
    pub score: f64,
    /// The falls, player by player, one for each permutation.
    pub falls: Vec<f64>,
    /// Their mean for each player.
    pub mean: Vec<f64>,
    /// Their standard deviation for each player: by n, not n − 1, as scikit-learn does.
    pub standard_deviation: Vec<f64>,
}

/// Permutes each player's features together, once for each of `permutations`.
///
/// Row `r` of a permuted column is row `permutation[r]` of the column as it was. All players use the same permutations,
/// as in scikit-learn, where each column begins with the same random state.
///
/// # Errors
/// `Invalid` when `truth` cannot be made of the model's outputs or a permutation is none, and what the model said.
pub fn importance(
    model: &mut Model<'_>,
    x: &Matrix,
    truth: impl FnOnce(usize) -> Result<Truth>,
    players: &Players,
    permutations: &[Vec<usize>],
) -> Result<(Importance, Truth)> {
    for (at, permutation) in permutations.iter().enumerate() {
        is_permutation(at, permutation, x.len())?;
    }
    let asked = players.len().checked_mul(permutations.len()).and_then(|times| times.checked_add(1));
    let asked = asked.and_then(|times| times.checked_mul(x.len()));
    model.afford(asked, "give fewer rows, group features or ask for fewer repeats")?;
    let answers = model.all(x.len(), |row, out| out.copy_from_slice(x.row(row)))?;
    let truth = truth(model.outputs())?;
    let score = truth.score(&answers);
    let mut falls = Vec::with_capacity(players.len() * permutations.len());
    for features in players.iter() {
        for permutation in permutations {
            let answers = model.all(x.len(), |row, out| {
                out.copy_from_slice(x.row(row));
                let other = x.row(permutation.get(row).copied().unwrap_or(row));
                for &feature in features {
                    if let (Some(out), Some(other)) = (out.get_mut(feature), other.get(feature)) {
                        *out = *other;
                    }
                }
            })?;
            falls.push(score - truth.score(&answers));
        }
    }
    let each = || falls.chunks_exact(permutations.len().max(1));
    let mean: Vec<f64> = each().map(|falls| falls.iter().sum::<f64>() / falls.len() as f64).collect();
    let spread = |(falls, mean): (&[f64], &f64)| {
        (falls.iter().map(|fall| (fall - mean) * (fall - mean)).sum::<f64>() / falls.len() as f64).sqrt()
    };
    let standard_deviation = each().zip(&mean).map(spread).collect();
    Ok((Importance { score, falls, mean, standard_deviation }, truth))
}

fn is_permutation(at: usize, permutation: &[usize], rows: usize) -> Result<()> {
    let mut seen = vec![false; rows];
    for &row in permutation {
        match seen.get_mut(row) {
            Some(seen) if !*seen => *seen = true,
            _ => {
                return Err(Fault::invalid(format!(
                    "permutation {at} has the row {row} twice, or there is no such row"
                )));
            }
        }
    }
    if permutation.len() == rows {
        return Ok(());
    }
    Err(Fault::invalid(format!("permutation {at} has {} rows, expected {rows}", permutation.len())))
}
