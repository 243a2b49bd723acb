//! What a picture shows, in words: for titles, axes, descriptions, and for the reports.
//!
//! After [`crate::rank`]. Plain sentences without the words of statistics. It draws nothing.

use crate::{
    data::{Decision, Quantity, Space},
    rank::{Ranked, Row},
    text,
};

/// The name of a quantity with what it is counted in, for an axis.
pub(crate) fn axis(quantity: &Quantity) -> String {
    let name = text::clean(&quantity.name);
    match (quantity.space, &quantity.unit) {
        (Space::Probability, _) => format!("{name} (%)"),
        (Space::Raw | Space::Margin, Some(unit)) => format!("{name} ({})", text::clean(unit)),
        (Space::Margin, None) => format!("{name} (score)"),
        (Space::Raw, None) => name,
    }
}

/// What the base is called: most readers know what an average is, and not every base is one.
pub(crate) const fn start(decision: &Decision) -> &'static str {
    if decision.base_is.is_some() { "start" } else { "average" }
}

/// What one unit of a share is.
pub(crate) fn unit(quantity: &Quantity) -> String {
    match (quantity.space, &quantity.unit) {
        (Space::Probability, _) => " percentage points".to_owned(),
        (Space::Raw | Space::Margin, Some(unit)) => format!(" {}", text::clean(unit)),
        (Space::Raw | Space::Margin, None) => String::new(),
    }
}

/// A value with its unit.
pub(crate) fn value(quantity: &Quantity, ranked: &Ranked, value: f64) -> String {
    let told = ranked.format.value(value);
    match (quantity.space, &quantity.unit) {
        (Space::Raw | Space::Margin, Some(unit)) => format!("{told} {}", text::clean(unit)),
        (Space::Probability, _) | (Space::Raw | Space::Margin, None) => told,
    }
}

/// Where the way begins and ends.
pub(crate) fn start_and_end(quantity: &Quantity, ranked: &Ranked) -> String {
    let (start, end) = (value(quantity, ranked, ranked.base), value(quantity, ranked, ranked.output));
    let points = if quantity.space == Space::Probability { " Steps are percentage points." } else { "" };
    format!("It starts at {start}, {}, and ends at {end}.{points}", text::isolated(&ranked.base_is))
}

/// A feature and its value: "age = 52".
pub(crate) fn named(row: &Row) -> String {
    match &row.value {
        Some(value) => format!("{} = {}", text::isolated(&row.name), text::isolated(value)),
        None => text::isolated(&row.name),
    }
}

/// A whole decision, for who does not see its picture.
pub(crate) fn decision(quantity: &Quantity, ranked: &Ranked) -> String {
    let mut told = start_and_end(quantity, ranked);
    for row in &ranked.rows {
        told.push_str(&format!(" {}: {}.", named(row), ranked.format.share(row.share)));
    }
    if ranked.shows_residual() {
        told.push_str(&format!(" Not explained: {}.", ranked.format.share(ranked.residual)));
    }
    told
}

/// The axis of shares.
pub(crate) fn share_axis(quantity: &Quantity) -> String {
    let name = text::clean(&quantity.name);
    match (quantity.space, &quantity.unit) {
        (Space::Probability, _) => format!("share in {name} (percentage points)"),
        (Space::Raw | Space::Margin, Some(unit)) => format!("share in {name} ({})", text::clean(unit)),
        (Space::Raw | Space::Margin, None) => format!("share in {name}"),
    }
}

/// The head of a column of shares; the table's caption names the quantity.
pub(crate) fn share_head(quantity: &Quantity) -> String {
    match (quantity.space, &quantity.unit) {
        (Space::Probability, _) => "share (percentage points)".to_owned(),
        (Space::Raw | Space::Margin, Some(unit)) => format!("share ({})", text::clean(unit)),
        (Space::Raw | Space::Margin, None) => "share".to_owned(),
    }
}

/// "a", "a and b", "a, b and c".
pub(crate) fn listed(parts: &[String]) -> String {
    match parts.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
    }
}
