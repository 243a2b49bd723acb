//! Beeswarm: a point for each row and feature, so that one sees how much, in which direction, and for which values.
//!
//! After [`crate::strips`]. The features with the largest mean of absolute shares first, the rest as one sum.

use crate::{
    canvas::{Canvas, Sign},
    data::{Cell, Column, Sample},
    number::{self, Format, real},
    points::{Points, sampled},
    rank,
    scale::bounded,
    strips::{self, Strip},
    style::Style,
    text,
    tint::{Ramp, Tint},
    words,
};

const TITLE: &str = "How each feature moves this model";

/// Draws it.
pub fn beeswarm(sample: &Sample, style: &Style) -> String {
    let order = by_importance(sample);
    let most = style.features();
    let shown = if order.len() <= most.saturating_add(1) { order.len() } else { most };
    let (largest, rest) = order.split_at_checked(shown).unwrap_or((&[], &[]));
    let rows = sample.columns.iter().map(|column| column.shares.len()).max().unwrap_or(0);
    if rows == 0 {
        return Canvas::nothing(style, TITLE, "There is no explained row to show.");
    }
    let drawn = sampled(rows, style.points_max);
    let mut strips: Vec<Strip> = largest.iter().map(|column| strip(column, &drawn)).collect();
    if !rest.is_empty() {
        let sum =
            |row: usize| rest.iter().filter_map(|column| column.shares.get(row)).map(|share| bounded(*share)).sum();
        let points = drawn.iter().map(|row| (sum(*row), Tint::Plain)).collect();
        strips.push(Strip { name: format!("{}, summed", rank::others(rest.len())), points, mean: None });
    }
    let mut canvas = Canvas::new(style, TITLE, &below(rows, drawn.len()));
    let factor = Format::of(&sample.quantity, std::iter::empty()).factor;
    let title = format!("{}: left lowers, right raises", words::share_axis(&sample.quantity));
    let points = strips::draw(&mut canvas, &strips, true, factor, &title);
    legend(&mut canvas, &points, "value of the feature");
    canvas.finish(&described(sample, largest, rest.len(), rows))
}

/// Signs for the points that were drawn.
pub(super) fn legend(canvas: &mut Canvas<'_>, points: &Points, title: &str) {
    if (0..crate::style::STEPS).any(|step| points.has(Tint::Step(step))) {
        canvas.ramp(title, "small", "large");
    }
    let mut signs = Vec::new();
    if points.has(Tint::Plain) {
        signs.push((Sign::Dot("none"), "a text, or a sum: neither small nor large"));
    }
    if points.has(Tint::Missing) {
        signs.push((Sign::Ring, "no value"));
    }
    if !signs.is_empty() {
        canvas.legend(&signs);
    }
}

/// How many rows are drawn of how many.
pub(super) fn below(rows: usize, drawn: usize) -> String {
    if drawn < rows {
        format!(
            "Each point is a row: {} of {}, evenly chosen.",
            number::count(u64::try_from(drawn).unwrap_or(u64::MAX)),
            number::counted(rows, "row", "rows")
        )
    } else {
        format!("Each point is one of {}.", number::counted(rows, "row", "rows"))
    }
}

fn strip(column: &Column, drawn: &[usize]) -> Strip {
    let ramp = Ramp::of(&column.values);
    let points = drawn.iter().filter_map(|row| {
        let share = column.shares.get(*row)?;
        Some((*share, Ramp::tint(ramp.as_ref(), column.values.get(*row))))
    });
    Strip { name: text::clean(&column.name), points: points.collect(), mean: None }
}

/// The mean of absolute shares.
pub(crate) fn weight(column: &Column) -> f64 {
    let finite = column.shares.iter().filter(|share| share.is_finite());
    let (count, sum) = finite.fold((0_usize, 0.0), |(count, sum), share| (count + 1, sum + bounded(*share).abs()));
    if count == 0 { 0.0 } else { bounded(sum) / real(count) }
}

/// Columns, the heaviest first.
pub(crate) fn by_importance(sample: &Sample) -> Vec<&Column> {
    let mut order: Vec<(&Column, f64)> = sample.columns.iter().map(|column| (column, weight(column))).collect();
    order.sort_by(|one, other| other.1.total_cmp(&one.1));
    order.into_iter().map(|(column, _)| column).collect()
}

/// Do large values raise or lower? The sign of the correlation of values and shares.
pub(crate) fn direction(column: &Column) -> Option<f64> {
    let pairs: Vec<(f64, f64)> = column
        .values
        .iter()
        .zip(&column.shares)
        .filter_map(|(value, share)| match value {
            Cell::Number(number) if number.is_finite() && share.is_finite() => Some((*number, *share)),
            Cell::Number(_) | Cell::Text(_) | Cell::Missing(()) => None,
        })
        .collect();
    let count = real(pairs.len());
    let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|pair| pair.0), mean(|pair| pair.1));
    let sum = |of: &dyn Fn(f64, f64) -> f64| pairs.iter().map(|pair| of(pair.0 - x, pair.1 - y)).sum::<f64>();
    // Pearson, https://doi.org/10.1098/rspl.1895.0041: covariance over the product of the deviations.
    let correlation = sum(&|x, y| x * y) / (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt();
    (pairs.len() > 2 && correlation.is_finite()).then_some(correlation)
}

/// What larger values do, in a few words.
pub(crate) fn tendency(column: &Column) -> &'static str {
    match direction(column) {
        Some(correlation) if correlation > 0.3 => "larger values raise it",
        Some(correlation) if correlation < -0.3 => "larger values lower it",
        Some(_) => "no single direction",
        None => "",
    }
}

fn described(sample: &Sample, largest: &[&Column], rest: usize, rows: usize) -> String {
    let format = Format::of(&sample.quantity, largest.iter().map(|column| weight(column)));
    let mut told = format!(
        "{} explained, {}. Features by their mean absolute share:",
        number::counted(rows, "row", "rows"),
        text::isolated(&text::clean(&sample.quantity.name))
    );
    for column in largest {
        let name = text::isolated(&text::clean(&column.name));
        let tendency = tendency(column);
        let comma = if tendency.is_empty() { "" } else { ", " };
        told.push_str(&format!(" {name} {}{comma}{tendency}.", format.number(weight(column))));
    }
    if rest > 0 {
        told.push_str(&format!(" {} are summed.", rank::others(rest)));
    }
    told
}
