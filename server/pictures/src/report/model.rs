//! The report on one model: what matters to it, how each feature moves it, and what it says when one is set.
//!
//! After [`super::page`]. It tells how the model behaves on the rows it was shown, and what they were.

use super::{
    data::ModelReport,
    page::Page,
    shared::{self, prose},
};
use crate::{
    data::Column,
    markup::attributes,
    number::{self, Format},
    partner,
    pictures::{self, beeswarm},
    style::Style,
    tables, text, words,
};

/// Makes it. Of `style` the theme and the limits count; the page finds its own widths.
pub fn model_report(report: &ModelReport, style: &Style) -> String {
    let model = text::clean(&report.provenance.model);
    let mut page = Page::new(style, &format!("Model explained: {model}"));
    head(&mut page, report, &model);
    let order = beeswarm::by_importance(&report.sample);
    in_short(&mut page, report, &order);
    importance(&mut page, report);
    one_by_one(&mut page, report, &order);
    when_set(&mut page, report);
    page.section("background", "The background");
    page.paragraph(&format!(
        "Shares compare a row with an average. Here it is the average over the background: {}. The rows are those of somebody, \
         somewhere, at some time; a model explained with other rows looks different.",
        shared::background(&report.background)
    ));
    page.end();
    page.section("limits", "What must not be concluded");
    shared::limits(&mut page, &report.limits);
    page.end();
    page.section("provenance", "What this was made from");
    shared::provenance(&mut page, &report.provenance, &report.background);
    page.end();
    page.finish()
}

fn head(page: &mut Page<'_>, report: &ModelReport, model: &str) {
    page.body.open("header", &[]);
    page.with("p", attributes! { "class" => "kind" }, "A model, explained");
    page.with("h1", &[], &text::isolated(model));
    let version = report.provenance.version.as_deref().map(|version| format!("Version {}. ", text::clean(version)));
    let when = report.made_at.as_deref().map(|when| format!("Made {}. ", text::clean(when)));
    let explained = text::isolated(&text::clean(&report.sample.quantity.name));
    let line = format!("{}{}Explained: {explained}.", version.unwrap_or_default(), when.unwrap_or_default());
    page.with("p", attributes! { "class" => "soft" }, &line);
    if let Some(purpose) = &report.purpose {
        page.paragraph(&text::isolated(&prose(purpose)));
    }
    page.end();
    let mut parts = vec![("#short", "In short"), ("#importance", "What matters most")];
    if !report.sample.columns.is_empty() {
        parts.push(("#features", "Feature by feature"));
    }
    if !(report.effects.is_empty() && report.local_effects.is_empty()) {
        parts.push(("#set", "When a feature is set"));
    }
    parts.extend([("#background", "Background"), ("#limits", "Limits"), ("#provenance", "Made from")]);
    page.body.open("nav", attributes! { "aria-label" => "On this page" });
    page.body.open("ul", &[]);
    for (to, name) in parts {
        page.body.open("li", &[]);
        page.body.with("a", attributes! { "href" => to }, name);
        page.end();
    }
    page.end();
    page.end();
}

fn in_short(page: &mut Page<'_>, report: &ModelReport, order: &[&Column]) {
    page.section("short", "In short");
    let rows = report.sample.columns.iter().map(|column| column.shares.len()).max().unwrap_or(0);
    let total: f64 = order.iter().map(|column| beeswarm::weight(column)).sum();
    if rows == 0 || total <= 0.0 {
        page.paragraph("No explained rows were given, so that nothing can be said here.");
        page.end();
        return;
    }
    page.paragraph(&format!(
        "{} were explained, with {}.",
        number::counted(rows, "row", "rows"),
        number::counted(order.len(), "feature", "features")
    ));
    let format = Format::of(&report.sample.quantity, order.iter().map(|column| beeswarm::weight(column)));
    let unit = words::unit(&report.sample.quantity);
    let told: Vec<String> = order
        .iter()
        .take(5)
        .map(|column| {
            let weight = beeswarm::weight(column);
            let part = number::fixed(weight / total * 100.0, 0);
            let tendency = beeswarm::tendency(column);
            let tendency = if tendency.is_empty() { String::new() } else { format!("; {tendency}") };
            format!(
                "{}: moves the answer by {}{unit} on average, {part} % of all that is moved{tendency}.",
                text::isolated(&text::clean(&column.name)),
                format.number(weight)
            )
        })
        .collect();
    page.list("short", &told);
    let rest = order.len().saturating_sub(5);
    if rest > 0 {
        let weight: f64 = order.iter().skip(5).map(|column| beeswarm::weight(column)).sum();
        let others = crate::rank::others(rest);
        page.paragraph(&format!("The {others} together: {} %.", number::fixed(weight / total * 100.0, 0)));
    }
    page.end();
}

fn importance(page: &mut Page<'_>, report: &ModelReport) {
    page.section("importance", "What matters most");
    page.paragraph(
        "The longer the bar, the further this feature moves the answer from the average, in either direction.",
    );
    let own = pictures::mean_shares(&report.sample);
    for (one, how) in std::iter::once((&own, "Of all rows the share is taken without its sign, and averaged."))
        .chain(report.importance.iter().map(|one| (one, "Measured in another way: the two need not agree.")))
    {
        page.figure(|style| pictures::importance(one, style), how, &tables::importance(one), false);
    }
    page.end();
}

fn one_by_one(page: &mut Page<'_>, report: &ModelReport, order: &[&Column]) {
    let sample = &report.sample;
    if order.is_empty() {
        return;
    }
    page.section("features", "Feature by feature");
    let how = "Each point is one row. The further right, the more the feature raised the answer for that row; the colour tells \
               whether its value was small or large. Orange points at the right mean that large values raise the answer.";
    page.figure(|style| pictures::beeswarm(sample, style), how, &tables::sample(sample), false);
    for column in order.iter().take(usize::from(report.dependence.0).min(20)) {
        let Some(at) = sample.columns.iter().position(|one| std::ptr::eq(one, *column)) else { continue };
        let partner = partner::strongest(sample, at);
        let how = match partner.and_then(|at| sample.columns.get(at)) {
            Some(partner) => format!(
                "Across: the value of the feature. Upwards: how far it moved the answer. The colour is the value of {}, with \
                 which it seems to interact most.",
                text::isolated(&text::clean(&partner.name))
            ),
            None => "Across: the value of the feature. Upwards: how far it moved the answer.".to_owned(),
        };
        let table = tables::dependence(sample, at);
        page.figure(|style| pictures::dependence(sample, at, partner, style), &how, &table, false);
    }
    page.end();
}

fn when_set(page: &mut Page<'_>, report: &ModelReport) {
    if report.effects.is_empty() && report.local_effects.is_empty() {
        return;
    }
    page.section("set", "When a feature is set");
    page.paragraph(
        "What the model would say if one feature had another value, with all else as it is. Where features go together in life, \
         some of the rows asked about here do not exist.",
    );
    for effect in &report.effects {
        let how = "The thick line is the average of all rows, each thin one is one row. Ticks at the bottom show where data lie: \
                   where there are none, the line is a guess.";
        page.figure(|style| pictures::effect(effect, style), how, &tables::effect(effect), false);
    }
    for effects in &report.local_effects {
        let how = "Adds up what small steps do to rows that have about this value. It does not ask about rows that cannot be.";
        page.figure(|style| pictures::local_effects(effects, style), how, &tables::local_effects(effects), false);
    }
    page.end();
}
