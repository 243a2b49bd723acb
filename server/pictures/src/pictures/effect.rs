//! Effects of one feature: partial dependence with the single rows (PDP and ICE), and accumulated local effects (ALE).
//!
//! After [`crate::plane`] and, for categories, [`crate::strips`]. They tell what the model would say, not why a row got
//! its answer.

use crate::{
    canvas::{Canvas, Sign},
    data::{Cell, Effect, LocalEffects, Quantity},
    markup::attributes,
    number::{self, Format},
    plane::{Axes, Plane},
    points::sampled,
    strips::{self, Strip},
    style::Style,
    text,
    tint::Tint,
    words,
};

/// More lines than this are a grey area.
const LINES_MAX: usize = 200;

/// Draws partial dependence: the average, and the single rows behind it.
pub fn effect(effect: &Effect, style: &Style) -> String {
    let name = text::clean(&effect.feature);
    let title = format!("What the model says when “{}” is set", text::isolated(&name));
    let places = effect.grid.len().min(effect.mean.len());
    if places == 0 {
        return Canvas::nothing(style, &title, "There is no value to show.");
    }
    let drawn = sampled(effect.rows.len(), style.points_max.min(LINES_MAX));
    let mut canvas = Canvas::new(style, &title, &behind(effect, drawn.len()));
    if effect.grid.iter().any(|value| matches!(value, Cell::Text(_))) {
        by_category(&mut canvas, effect, &drawn);
    } else {
        by_number(&mut canvas, effect, &drawn);
    }
    canvas.finish(&described(effect))
}

fn behind(effect: &Effect, drawn: usize) -> String {
    let rows = effect.rows.len();
    match (rows, drawn < rows) {
        (0, _) => "The average over the background.".to_owned(),
        (_, false) => format!("The average, and behind it {} one by one.", number::counted(rows, "row", "rows")),
        (_, true) => format!(
            "The average, and behind it {} of {}, evenly chosen.",
            number::counted(drawn, "row", "rows"),
            number::count(u64::try_from(rows).unwrap_or(u64::MAX))
        ),
    }
}

/// The upward axis: the quantity itself, or its change.
fn upwards(quantity: &Quantity, is_change: bool) -> String {
    match (is_change, quantity.space) {
        (false, _) => words::axis(quantity),
        (true, crate::data::Space::Probability) => {
            format!("change of {} (percentage points)", text::clean(&quantity.name))
        }
        (true, crate::data::Space::Raw | crate::data::Space::Margin) => format!("change of {}", words::axis(quantity)),
    }
}

fn by_number(canvas: &mut Canvas<'_>, effect: &Effect, drawn: &[usize]) {
    let mut order: Vec<(usize, f64)> = effect
        .grid
        .iter()
        .enumerate()
        .filter_map(|(at, value)| match value {
            Cell::Number(number) if number.is_finite() => Some((at, *number)),
            Cell::Number(_) | Cell::Text(_) | Cell::Missing(()) => None,
        })
        .collect();
    order.sort_by(|one, other| one.1.total_cmp(&other.1));
    let xs: Vec<f64> = order.iter().map(|(_, x)| *x).collect();
    let rows: Vec<&Vec<f64>> = drawn.iter().filter_map(|row| effect.rows.get(*row)).collect();
    let ys: Vec<f64> = effect.mean.iter().chain(rows.iter().flat_map(|row| row.iter())).copied().collect();
    let name = text::clean(&effect.feature);
    let axes = Axes {
        x_title: &name,
        y_title: &upwards(&effect.quantity, effect.is_centred),
        y_factor: Format::of(&effect.quantity, std::iter::empty()).factor,
        has_aside: false,
        has_zero: effect.is_centred,
    };
    let plane = Plane::new(canvas, &xs, &ys, &axes);
    let along = |values: &[f64]| {
        let places: Vec<(f64, f64)> =
            order.iter().map(|(at, x)| (*x, values.get(*at).copied().unwrap_or(f64::NAN))).collect();
        plane.line(places.into_iter())
    };
    for row in &rows {
        canvas.path("thin axis pale", &along(row));
    }
    plane.rug(canvas, &effect.data);
    heavy(canvas, &along(&effect.mean));
    let mut legend = vec![(Sign::Line, "average")];
    if !rows.is_empty() {
        legend.push((Sign::Thin, "one row"));
    }
    if !effect.data.is_empty() {
        legend.push((Sign::Data, "where data lie"));
    }
    if let Some(here) = effect.here.filter(|here| plane.x.holds(*here)) {
        let x = plane.x.at(here);
        canvas.straight((x, plane.top), (x, plane.bottom), "inked dash");
        legend.push((Sign::Dash, "the value of this row"));
    }
    canvas.legend(&legend);
}

fn heavy(canvas: &mut Canvas<'_>, path: &str) {
    let attributes =
        attributes! { "class" => "line", "stroke-width" => 3.0, "stroke-linejoin" => "round", "d" => path };
    canvas.body.leaf("path", attributes);
}

fn by_category(canvas: &mut Canvas<'_>, effect: &Effect, drawn: &[usize]) {
    let most = canvas.style.features().max(20);
    let strips: Vec<Strip> = effect
        .grid
        .iter()
        .zip(&effect.mean)
        .enumerate()
        .take(most)
        .map(|(at, (value, mean))| {
            let rows = drawn.iter().filter_map(|row| effect.rows.get(*row)?.get(at));
            Strip { name: cell(value), points: rows.map(|value| (*value, Tint::Plain)).collect(), mean: Some(*mean) }
        })
        .collect();
    let factor = Format::of(&effect.quantity, std::iter::empty()).factor;
    strips::draw(canvas, &strips, effect.is_centred, factor, &upwards(&effect.quantity, effect.is_centred));
    let mut legend = vec![(Sign::Mean, "average")];
    if !drawn.is_empty() {
        legend.push((Sign::Dot("none"), "one row"));
    }
    canvas.legend(&legend);
    let left = effect.grid.len().saturating_sub(most);
    if left > 0 {
        canvas.note(&format!("{} not shown.", number::counted(left, "category is", "categories are")));
    }
}

/// A value of a feature, as it is read.
pub(crate) fn cell(value: &Cell) -> String {
    match value {
        Cell::Number(number) if number.is_nan() => "missing".to_owned(),
        Cell::Number(number) => number::plain(*number, 5),
        Cell::Text(text) => text::clean(text),
        Cell::Missing(()) => "missing".to_owned(),
    }
}

fn described(effect: &Effect) -> String {
    let format = Format::of(&effect.quantity, effect.mean.iter().copied());
    let name = text::isolated(&text::clean(&effect.feature));
    let pairs = || effect.grid.iter().zip(&effect.mean).filter(|(_, mean)| mean.is_finite());
    let least = pairs().min_by(|one, other| one.1.total_cmp(other.1));
    let most = pairs().max_by(|one, other| one.1.total_cmp(other.1));
    let told = |pair: Option<(&Cell, &f64)>| {
        pair.map_or_else(String::new, |(value, mean)| format!("{} at {}", format.value(*mean), cell(value)))
    };
    format!(
        "The average of {} for each value of {name}: smallest {}, largest {}.",
        text::isolated(&text::clean(&effect.quantity.name)),
        told(least),
        told(most)
    )
}

/// Draws accumulated local effects.
pub fn local_effects(effects: &LocalEffects, style: &Style) -> String {
    let name = text::clean(&effects.feature);
    let title = format!("What a change of “{}” does, all else as it was", text::isolated(&name));
    let points: Vec<(f64, f64)> = effects.edges.iter().copied().zip(effects.effects.iter().copied()).collect();
    if points.len() < 2 {
        return Canvas::nothing(style, &title, "There are not enough values to show.");
    }
    let rows: u64 = effects.counts.iter().fold(0, |sum, count| sum.saturating_add(*count));
    let over = if rows > 0 { format!(" Over {} rows.", number::count(rows)) } else { String::new() };
    let below = format!("Accumulated local effects: zero is the average of the model.{over}");
    let mut canvas = Canvas::new(style, &title, &below);
    let axes = Axes {
        x_title: &name,
        y_title: &upwards(&effects.quantity, true),
        y_factor: Format::of(&effects.quantity, std::iter::empty()).factor,
        has_aside: false,
        has_zero: true,
    };
    let plane = Plane::new(&mut canvas, &effects.edges, &effects.effects, &axes);
    let most = effects.counts.iter().copied().max().unwrap_or(0);
    for (between, count) in effects.edges.windows(2).zip(&effects.counts) {
        if let [from, to] = between {
            #[allow(clippy::cast_precision_loss, reason = "a height in pixels")]
            let high = *count as f64 / most.max(1) as f64 * (plane.bottom - plane.top) * 0.18;
            let (from, to) = (plane.x.at(*from), plane.x.at(*to));
            canvas.rect((from.min(to), plane.bottom - high), ((to - from).abs() - 0.5, high), "bars");
        }
    }
    heavy(&mut canvas, &plane.line(points.iter().copied()));
    for (x, y) in points.iter().filter(|(x, y)| x.is_finite() && y.is_finite()) {
        let d = plane.line(std::iter::once((*x, *y))) + "h0";
        canvas.dots("line", 6.0, &d);
    }
    let mut legend = vec![(Sign::Line, "accumulated effect")];
    if most > 0 {
        legend.push((Sign::Bars, "how many rows"));
    }
    canvas.legend(&legend);
    let format = Format::of(&effects.quantity, effects.effects.iter().copied());
    let told: Vec<String> =
        points.iter().take(40).map(|(x, y)| format!("{}: {}", number::plain(*x, 4), format.share(*y))).collect();
    canvas.finish(&format!(
        "How {} changes along {}: {}.",
        text::isolated(&text::clean(&effects.quantity.name)),
        text::isolated(&name),
        told.join(", ")
    ))
}
