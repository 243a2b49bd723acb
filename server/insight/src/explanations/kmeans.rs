//! k centres that stand for many rows: k-means with k-means++ seeding (Arthur and Vassilvitskii 2007) and Lloyd's steps.
//!
//! The same rows, k and seed give the same centres. As in `shap.kmeans`, each number of a centre is then moved to the
//! nearest one that the column really has, so that whole numbers stay whole; weights are the clusters' shares of rows.

use super::layout::Matrix;

/// Lloyd's steps at most, and the restarts of which the best is taken, as in scikit-learn's defaults.
const STEPS_MAX: usize = 300;
const STARTS: u64 = 10;

/// Centres and their weights, which add up to one.
pub(crate) struct Summary {
    pub(crate) centres: Matrix,
    pub(crate) weights: Vec<f64>,
}

/// Numbers by chance, the same for the same seed: SplitMix64 (Steele, Lea and Flood 2014).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to 1, without 1.
    #[allow(clippy::cast_precision_loss, reason = "53 bits are exact")]
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Summarises rows, all of which are finite, by at most `k` centres.
pub(crate) fn summarise(rows: &Matrix, k: usize, seed: u64) -> Summary {
    let mut best: Option<Lloyd> = None;
    for start in 0..STARTS {
        let mut dice = Dice::new(seed.wrapping_mul(STARTS).wrapping_add(start));
        let found = lloyd(rows, seeds(rows, k, &mut dice));
        if best.as_ref().is_none_or(|best| found.inertia < best.inertia) {
            best = Some(found);
        }
    }
    let Some(best) = best else { return Summary { centres: rows.clone(), weights: Vec::new() } };
    let mut counts = vec![0_usize; best.centres.len()];
    best.nearest.iter().for_each(|centre| {
        if let Some(count) = counts.get_mut(*centre) {
            *count += 1;
        }
    });
    let mut centres = Matrix { rows: 0, columns: rows.columns, data: Vec::new() };
    let mut weights = Vec::new();
    for (centre, count) in best.centres.iter().zip(&counts).filter(|(_, count)| **count > 0) {
        centres.rows += 1;
        centres.data.extend(centre.iter().enumerate().map(|(column, value)| nearest_value(rows, column, *value)));
        weights.push(*count as f64 / rows.rows.max(1) as f64);
    }
    Summary { centres, weights }
}

/// What Lloyd's steps came to.
pub(crate) struct Lloyd {
    pub(crate) centres: Vec<Vec<f64>>,
    nearest: Vec<usize>,
    pub(crate) inertia: f64,
}

fn distance(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// First centres: each next one is drawn by the square of its distance from those that there are.
fn seeds(rows: &Matrix, k: usize, dice: &mut Dice) -> Vec<Vec<f64>> {
    let k = k.min(rows.rows);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a number of rows")]
    let first = (dice.share() * rows.rows as f64) as usize;
    let mut centres: Vec<Vec<f64>> = vec![rows.row(first.min(rows.rows.saturating_sub(1))).to_vec()];
    let mut far: Vec<f64> = vec![f64::INFINITY; rows.rows];
    while centres.len() < k {
        let newest = centres.last().cloned().unwrap_or_default();
        far.iter_mut().enumerate().for_each(|(row, far)| *far = far.min(distance(rows.row(row), &newest)));
        let all: f64 = far.iter().sum();
        // Rows that are all the same need no second centre.
        if all <= 0.0 {
            break;
        }
        let mut left = dice.share() * all;
        let chosen = far.iter().position(|far| {
            left -= far;
            left < 0.0
        });
        let farthest = || far.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b)).map_or(0, |(row, _)| row);
        centres.push(rows.row(chosen.unwrap_or_else(farthest)).to_vec());
    }
    centres
}

/// Moves centres to the middle of the rows that are nearest to them, until nothing moves.
pub(crate) fn lloyd(rows: &Matrix, mut centres: Vec<Vec<f64>>) -> Lloyd {
    let mut nearest = vec![usize::MAX; rows.rows];
    let mut inertia = 0.0;
    for _ in 0..STEPS_MAX {
        let mut moved = false;
        inertia = 0.0;
        for (row, own) in nearest.iter_mut().enumerate() {
            let values = rows.row(row);
            let distances = centres.iter().map(|centre| distance(values, centre)).enumerate();
            let found = distances.min_by(|(_, a), (_, b)| a.total_cmp(b));
            let (centre, far) = found.unwrap_or((0, 0.0));
            moved |= *own != centre;
            *own = centre;
            inertia += far;
        }
        if !moved {
            break;
        }
        for (index, centre) in centres.iter_mut().enumerate() {
            let mut sum = vec![0.0; rows.columns];
            let mut count = 0.0;
            for (row, _) in nearest.iter().enumerate().filter(|(_, own)| **own == index) {
                sum.iter_mut().zip(rows.row(row)).for_each(|(sum, value)| *sum += value);
                count += 1.0;
            }
            // A centre that nobody is nearest to stays where it is, and counts for nothing in the end.
            if count > 0.0 {
                *centre = sum.into_iter().map(|sum| sum / count).collect();
            }
        }
    }
    Lloyd { centres, nearest, inertia }
}

/// The value of a column that is nearest to a centre's; the first of two that are as near.
fn nearest_value(rows: &Matrix, column: usize, value: f64) -> f64 {
    let values = (0..rows.rows).filter_map(|row| rows.row(row).get(column).copied());
    values.min_by(|a, b| (a - value).abs().total_cmp(&(b - value).abs())).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn fixture() -> Value {
        serde_json::from_str(include_str!("../../tests/fixtures/kmeans.json")).unwrap()
    }

    fn matrix(value: &Value) -> Matrix {
        let rows: Vec<Vec<f64>> = serde_json::from_value(value.clone()).unwrap();
        Matrix { rows: rows.len(), columns: rows[0].len(), data: rows.concat() }
    }

    #[test]
    fn lloyd_comes_to_the_centres_of_scikit_learn_from_the_same_start() {
        let fixture = fixture();
        let start: Vec<Vec<f64>> = serde_json::from_value(fixture["start"].clone()).unwrap();
        let want: Vec<Vec<f64>> = serde_json::from_value(fixture["centres"].clone()).unwrap();
        let got = lloyd(&matrix(&fixture["rows"]), start);
        for (got, want) in got.centres.iter().flatten().zip(want.iter().flatten()) {
            assert!((got - want).abs() < 1e-9, "{got} {want}");
        }
        assert!((got.inertia - fixture["inertia"].as_f64().unwrap()).abs() < 1e-6);
    }

    #[test]
    fn its_own_start_is_as_good_as_that_of_scikit_learn() {
        let fixture = fixture();
        let rows = matrix(&fixture["rows"]);
        let k = fixture["k"].as_u64().unwrap() as usize;
        let best = fixture["best_inertia"].as_f64().unwrap();
        for seed in 0..5 {
            let found = (0..STARTS)
                .map(|start| lloyd(&rows, seeds(&rows, k, &mut Dice::new(seed * STARTS + start))).inertia)
                .fold(f64::INFINITY, f64::min);
            assert!(found <= best * 1.02, "seed {seed}: {found} against {best}");
        }
    }

    #[test]
    fn a_summary_has_values_of_its_rows_weights_of_one_and_is_the_same_again() {
        let rows = matrix(&fixture()["rows"]);
        let (one, other) = (summarise(&rows, 5, 7), summarise(&rows, 5, 7));
        assert_eq!(one.centres, other.centres);
        assert_eq!(one.weights, other.weights);
        assert!((one.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        for centre in 0..one.centres.rows {
            for (column, value) in one.centres.row(centre).iter().enumerate() {
                assert!((0..rows.rows).any(|row| rows.row(row)[column] == *value));
            }
        }
    }

    #[test]
    fn rows_that_are_the_same_or_fewer_than_k_are_no_trouble() {
        let same = Matrix { rows: 4, columns: 2, data: [1.0, 2.0].repeat(4) };
        let summary = summarise(&same, 3, 0);
        assert_eq!((summary.centres.rows, summary.weights), (1, vec![1.0]));
        let two = Matrix { rows: 2, columns: 1, data: vec![0.0, 9.0] };
        assert_eq!(summarise(&two, 10, 0).weights, vec![0.5, 0.5]);
    }
}
