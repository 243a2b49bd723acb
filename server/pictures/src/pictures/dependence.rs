//! Dependence: the share of one feature against its value, row by row.
//!
//! After [`crate::plane`] for numbers and [`crate::strips`] for categories, which have a row each.

use std::collections::BTreeMap;

use super::beeswarm::{below, legend};
use crate::{
    canvas::{Canvas, Sign},
    data::{Cell, Column, Sample},
    number::{self, Format},
    plane::{Axes, Plane},
    points::{Points, sampled},
    strips::{self, Strip},
    style::Style,
    text,
    tint::{self, Ramp, Tint},
    words,
};

const DOT: f64 = 5.0;

/// Draws the column at `feature`; points are coloured by the values of the column at `colour_by`.
pub fn dependence(sample: &Sample, feature: usize, colour_by: Option<usize>, style: &Style) -> String {
    let Some(column) = sample.columns.get(feature) else {
        return Canvas::nothing(style, "Dependence", "There is no such feature.");
    };
    let name = text::clean(&column.name);
    let title = format!("How “{}” moves this model", text::isolated(&name));
    let rows = column.shares.len().min(column.values.len());
    let drawn = sampled(rows, style.points_max);
    if rows == 0 {
        return Canvas::nothing(style, &title, "There is no explained row with a value of this feature.");
    }
    let mut canvas = Canvas::new(style, &title, &below(rows, drawn.len()));
    let colours = colour_by.and_then(|at| sample.columns.get(at));
    let is_text = column.values.iter().any(|value| matches!(value, Cell::Text(_)));
    let points = if is_text {
        by_category(&mut canvas, sample, column, colours, &drawn)
    } else {
        by_number(&mut canvas, sample, column, colours, &drawn)
    };
    match colours {
        Some(colours) => legend(&mut canvas, &points, &format!("value of {}", text::clean(&colours.name))),
        None if !is_text => canvas.legend(&[(Sign::Bars, "how many rows have such a value")]),
        None => {}
    }
    canvas.finish(&described(sample, column))
}

fn by_number(
    canvas: &mut Canvas<'_>,
    sample: &Sample,
    column: &Column,
    colours: Option<&Column>,
    drawn: &[usize],
) -> Points {
    let xs: Vec<f64> = tint::numbers(&column.values).collect();
    let name = text::clean(&column.name);
    let axes = Axes {
        x_title: &name,
        y_title: &words::share_axis(&sample.quantity),
        y_factor: Format::of(&sample.quantity, std::iter::empty()).factor,
        has_aside: xs.len() < column.values.len(),
        has_zero: true,
    };
    let plane = Plane::new(canvas, &xs, &column.shares, &axes);
    plane.histogram(canvas, &xs);
    let ramp = colours.and_then(|colours| Ramp::of(&colours.values));
    let few = is_few(&xs);
    let mut points = Points::default();
    for row in drawn {
        let (Some(value), Some(share)) = (column.values.get(*row), column.shares.get(*row)) else { continue };
        if !share.is_finite() {
            continue;
        }
        let x = match (value, plane.aside) {
            (Cell::Number(number), _) if number.is_finite() && few => plane.x.at(*number) + spread(*row) / 2.0,
            (Cell::Number(number), _) if number.is_finite() => plane.x.at(*number),
            (Cell::Number(_) | Cell::Text(_) | Cell::Missing(()), Some(aside)) => aside + spread(*row),
            (Cell::Number(_) | Cell::Text(_) | Cell::Missing(()), None) => continue,
        };
        points.add(x, plane.y.at(*share), tint_of(colours, ramp.as_ref(), *row));
    }
    points.draw(canvas, DOT);
    points
}

/// To the side by up to 12 pixels, by row: rows of one value must not all cover each other.
fn spread(row: usize) -> f64 {
    f64::from(u8::try_from(row % 9).unwrap_or(0)) * 3.0 - 12.0
}

/// So few different values that their rows would lie on lines.
pub(crate) fn is_few(xs: &[f64]) -> bool {
    const FEW: usize = 20;
    let mut seen: Vec<f64> = Vec::new();
    for x in xs {
        if !seen.contains(x) {
            seen.push(*x);
        }
        if seen.len() > FEW {
            return false;
        }
    }
    true
}

/// Without a second feature all points have one colour.
fn tint_of(colours: Option<&Column>, ramp: Option<&Ramp>, row: usize) -> Tint {
    colours.map_or(Tint::Step(0), |colours| Ramp::tint(ramp, colours.values.get(row)))
}

fn by_category(
    canvas: &mut Canvas<'_>,
    sample: &Sample,
    column: &Column,
    colours: Option<&Column>,
    drawn: &[usize],
) -> Points {
    let ramp = colours.and_then(|colours| Ramp::of(&colours.values));
    let categories = categories(column, canvas.style.features());
    let mut strips: Vec<Strip> = categories
        .iter()
        .map(|category| {
            let name = format!("{} ({})", text::clip(&category.name, 200.0, 13.0, false), category.rows.len());
            Strip { name, points: Vec::new(), mean: Some(category.mean) }
        })
        .collect();
    let place: BTreeMap<usize, usize> = categories
        .iter()
        .enumerate()
        .flat_map(|(at, category)| category.rows.iter().map(move |row| (*row, at)))
        .collect();
    for row in drawn {
        let strip = place.get(row).and_then(|at| strips.get_mut(*at));
        if let (Some(strip), Some(share)) = (strip, column.shares.get(*row)) {
            strip.points.push((*share, tint_of(colours, ramp.as_ref(), *row)));
        }
    }
    let factor = Format::of(&sample.quantity, std::iter::empty()).factor;
    let title = format!("{}: left lowers, right raises", words::share_axis(&sample.quantity));
    let points = strips::draw(canvas, &strips, true, factor, &title);
    canvas.legend(&[(Sign::Mean, "mean of a category (its rows in brackets)")]);
    points
}

/// Rows that have the same value.
pub(crate) struct Category {
    pub name: String,
    pub rows: Vec<usize>,
    pub mean: f64,
}

/// The most frequent categories in alphabetical order, the rest as one.
pub(crate) fn categories(column: &Column, most: usize) -> Vec<Category> {
    let mut found: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (row, value) in column.values.iter().enumerate().take(column.shares.len()) {
        let name = match value {
            Cell::Text(text) => text::clean(text),
            Cell::Number(number) if number.is_finite() => number::plain(*number, 6),
            Cell::Number(_) | Cell::Missing(()) => "missing".to_owned(),
        };
        found.entry(name).or_default().push(row);
    }
    let mut order: Vec<(String, Vec<usize>)> = found.into_iter().collect();
    order.sort_by_key(|category| std::cmp::Reverse(category.1.len()));
    if order.len() > most + 1 {
        let rest = order.split_off(most);
        let name = crate::rank::others(rest.len());
        order.sort_by(|one, other| one.0.cmp(&other.0));
        let mut rows: Vec<usize> = rest.into_iter().flat_map(|(_, rows)| rows).collect();
        rows.sort_unstable();
        order.push((name, rows));
    } else {
        order.sort_by(|one, other| one.0.cmp(&other.0));
    }
    let mean = |rows: &[usize]| {
        let shares: Vec<f64> =
            rows.iter().filter_map(|row| column.shares.get(*row)).copied().filter(|share| share.is_finite()).collect();
        shares.iter().sum::<f64>() / number::real(shares.len())
    };
    order.into_iter().map(|(name, rows)| Category { mean: mean(&rows), name, rows }).collect()
}

fn described(sample: &Sample, column: &Column) -> String {
    let name = text::isolated(&text::clean(&column.name));
    let quantity = text::isolated(&text::clean(&sample.quantity.name));
    let tendency = super::beeswarm::tendency(column);
    let tendency = if tendency.is_empty() { String::new() } else { format!(" On the whole: {tendency}.") };
    format!("The share of {name} in {quantity} against its value, for {} rows.{tendency}", column.shares.len())
}
