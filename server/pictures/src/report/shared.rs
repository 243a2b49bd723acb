//! Parts that both reports have: the background, from what a report was made, and what must not be concluded.
//!
//! After [`super::page`].

use super::{
    data::{Background, Fact, Provenance},
    page::Page,
};
use crate::{number, text};

/// What no explanation of this kind says. Both reports end with it.
pub(super) const LIMITS: [&str; 5] = [
    "That a feature caused anything in the world. The shares tell how the model used a value, not why things are so.",
    "That the answer was right, or fair. An explanation tells how an answer came about, and nothing about whether it should \
     have.",
    "That changing a value in real life changes the answer by its share. Shares are credit for what was, not a forecast.",
    "That a feature with a small share does not matter. Features that carry the same information divide the credit between \
     them.",
    "That another background would give the same shares. They compare with an average, and another average gives others.",
];

/// The background in a sentence.
pub(super) fn background(background: &Background) -> String {
    let rows = background.rows.map(|rows| format!("{} rows", number::count(rows)));
    let description = background.description.as_deref().map(|told| text::isolated(&text::clean(told)));
    match (rows, description) {
        (Some(rows), Some(description)) => format!("{rows} ({description})"),
        (Some(rows), None) => rows,
        (None, Some(description)) => description,
        (None, None) => "rows that this report does not describe".to_owned(),
    }
}

/// From what a report was made; what nobody said is told as such.
pub(super) fn provenance(page: &mut Page<'_>, provenance: &Provenance, background: &Background) {
    let told = |name: &str, value: Option<String>| Fact {
        name: name.to_owned(),
        value: value.unwrap_or_else(|| "not stated".to_owned()),
    };
    let mut facts = vec![
        told("Model", Some(provenance.model.clone())),
        told("Version", provenance.version.clone()),
        told("Model digest", provenance.model_digest.clone()),
        told("Engine", provenance.engine.clone()),
    ];
    let optional = |name: &str, value: &Option<String>| value.clone().map(|value| told(name, Some(value)));
    facts.extend(optional("Engine digest", &provenance.engine_digest));
    facts.push(told("Method", provenance.method.clone()));
    facts.extend(optional("Adds up in", &provenance.space));
    facts.push(told("Background", background.id.clone()));
    facts.push(told("Background digest", background.digest.clone()));
    facts.push(told("Background rows", background.rows.map(number::count)));
    facts.extend(optional("Background is", &background.description));
    facts.extend(provenance.seed.map(|seed| told("Seed", Some(seed.to_string()))));
    facts.extend(provenance.budget.map(|budget| told("Model calls allowed", Some(number::count(budget)))));
    facts.extend(provenance.evaluations.map(|made| told("Model calls made", Some(number::count(made)))));
    facts.extend(optional("Request", &provenance.request));
    facts.extend(provenance.more.iter().cloned());
    page.facts(&facts);
    page.paragraph("Whoever has the same model, background and seed can make the same explanation again and compare.");
}

/// What must not be concluded.
pub(super) fn limits(page: &mut Page<'_>, more: &[String]) {
    let mut all: Vec<String> = LIMITS.iter().map(|limit| (*limit).to_owned()).collect();
    all.extend(more.iter().map(|limit| text::isolated(&prose(limit))));
    page.list("limits", &all);
}

/// A text of several sentences from outside: longer than a name may be, and no less cleaned.
pub(super) fn prose(told: &str) -> String {
    const CHARS_MAX: usize = 4000;
    let mut cleaned: String =
        told.chars().take(CHARS_MAX).map(|char| if char.is_control() { ' ' } else { text::harmless(char) }).collect();
    if told.chars().nth(CHARS_MAX).is_some() {
        cleaned.push('…');
    }
    cleaned
}
