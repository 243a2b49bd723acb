//! With which other feature one seems to interact: the colour of a dependence picture.
//!
//! The heuristic of shap's `approximate_interactions` (<https://github.com/shap/shap>, `shap/utils/_general.py`): along the
//! sorted values of the feature, in small windows, how strongly its shares go with the values of each other feature. A
//! hint for a colour, not a measure; nothing is said about it but "seems".

use crate::{
    data::{Cell, Column, Sample},
    number::real,
};

/// Rows looked at; more say the same about a colour.
const ROWS_MAX: usize = 2000;
/// Features looked at.
const COLUMNS_MAX: usize = 300;

/// The other column whose values explain most of what the value of `feature` does not.
pub(crate) fn strongest(sample: &Sample, feature: usize) -> Option<usize> {
    let column = sample.columns.get(feature)?;
    let mut rows: Vec<(f64, f64, usize)> = column
        .values
        .iter()
        .zip(&column.shares)
        .enumerate()
        .take(ROWS_MAX)
        .filter(|(_, (_, share))| share.is_finite())
        .map(|(row, (value, share))| (number(value).unwrap_or(f64::NEG_INFINITY), *share, row))
        .collect();
    rows.sort_by(|one, other| one.0.total_cmp(&other.0));
    if rows.len() < 20 {
        return None;
    }
    let window = (rows.len() / 10).clamp(1, 50);
    let windows = real(rows.len().div_ceil(window));
    // Of values that have nothing to do with it the mean is 0.8 over the root of the window: twice and a half as much is
    // no accident, with hundreds of features to choose from.
    let least = 2.0 / real(window).sqrt() * windows;
    let mut best: Option<(usize, f64)> = None;
    for (at, other) in sample.columns.iter().enumerate().take(COLUMNS_MAX).filter(|(at, _)| *at != feature) {
        let sum: f64 = rows.chunks(window).map(|part| correlation(part, other).abs()).sum();
        if sum > least && best.is_none_or(|(_, most)| sum > most) {
            best = Some((at, sum));
        }
    }
    best.map(|(at, _)| at)
}

const fn number(value: &Cell) -> Option<f64> {
    match value {
        Cell::Number(number) if number.is_finite() => Some(*number),
        Cell::Number(_) | Cell::Text(_) | Cell::Missing(()) => None,
    }
}

/// Pearson's correlation of shares with the other feature's values; 0 where there is none.
fn correlation(rows: &[(f64, f64, usize)], other: &Column) -> f64 {
    let pairs: Vec<(f64, f64)> =
        rows.iter().filter_map(|(_, share, row)| Some((*share, other.values.get(*row).and_then(number)?))).collect();
    let count = real(pairs.len());
    let (x, y) = pairs.iter().fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0 / count, sum.1 + pair.1 / count));
    let sum = |of: fn(f64, f64) -> f64| pairs.iter().map(|pair| of(pair.0 - x, pair.1 - y)).sum::<f64>();
    let correlation = sum(|x, y| x * y) / (sum(|x, _| x * x) * sum(|_, y| y * y)).sqrt();
    if pairs.len() > 2 && correlation.is_finite() { correlation } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_have_nothing_to_do_with_it_are_not_chosen() {
        // The finaliser of SplitMix64 (Steele, Lea and Flood 2014, https://doi.org/10.1145/2714064.2660195).
        let draw = |row: u64, seed: u64| {
            let mixed = (row ^ (seed << 32)).wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            Cell::Number(f64::from(u32::try_from((mixed ^ (mixed >> 31)) >> 33).unwrap()))
        };
        let shares: Vec<f64> = (0..600).map(f64::from).collect();
        let column = |seed: u64| Column {
            name: String::new(),
            values: (0..600).map(|row| draw(row, seed)).collect(),
            shares: shares.clone(),
        };
        let mut columns: Vec<Column> = (1..100).map(column).collect();
        if let Some(first) = columns.first_mut() {
            first.values = shares.iter().map(|share| Cell::Number(*share)).collect();
        }
        assert_eq!(strongest(&Sample { columns, ..Sample::default() }, 0), None);
    }

    #[test]
    fn the_feature_that_moves_the_share_is_found() {
        let numbers = |of: &dyn Fn(u32) -> f64| (0..200).map(|row| Cell::Number(of(row))).collect::<Vec<_>>();
        let a = numbers(&|row| f64::from(row));
        let b = numbers(&|row| f64::from(row * 7919 % 13));
        let c = numbers(&|row| f64::from(row * 104_729 % 11));
        let shares: Vec<f64> = (0..200).map(|row: u32| f64::from(row) + 3.0 * f64::from(row * 104_729 % 11)).collect();
        let column = |values: &[Cell]| Column { name: String::new(), values: values.to_vec(), shares: shares.clone() };
        let sample = Sample { columns: vec![column(&a), column(&b), column(&c)], ..Sample::default() };
        assert_eq!(strongest(&sample, 0), Some(2));
        assert_eq!(strongest(&sample, 9), None);
        assert_eq!(strongest(&Sample { columns: vec![column(&[])], ..Sample::default() }, 0), None);
    }
}
