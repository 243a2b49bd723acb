//! The report on one decision, for the person whom it concerns: what, why, what else, how sure, and what to do now.
//!
//! After [`super::page`] and [`crate::words`]. Plain sentences first, pictures second, digests last.

use super::{
    data::{Answer, Contest, DecisionReport, Sampling},
    page::Page,
    shared::{self, prose},
};
use crate::{
    data::{Decision, Space},
    markup::attributes,
    number::Format,
    pictures,
    rank::{Ranked, Row},
    style::Style,
    tables, text, words,
};

/// Features told in words, in each direction.
const TOLD_MAX: usize = 5;
/// Features ranked for the words; pictures take their number from the style.
const RANKED: usize = 100;

/// Makes it. Of `style` the theme and the limits count; the page finds its own widths.
pub fn decision_report(report: &DecisionReport, style: &Style) -> String {
    let about = text::clean(&report.about);
    let mut page = Page::new(style, &format!("Decision explained: {about}"));
    let ranked = Ranked::of(&report.decision, RANKED);
    head(&mut page, report, &about, &ranked);
    why(&mut page, report, &ranked);
    what_else(&mut page, report);
    how_sure(&mut page, report, &ranked);
    contest(&mut page, &report.contest);
    page.section("provenance", "What this was made from");
    shared::provenance(&mut page, &report.provenance, &report.background);
    page.end();
    page.finish()
}

fn head(page: &mut Page<'_>, report: &DecisionReport, about: &str, ranked: &Ranked) {
    let quantity = &report.decision.quantity;
    page.body.open("header", &[]);
    page.with("p", attributes! { "class" => "kind" }, "A decision, explained");
    page.with("h1", &[], &text::isolated(about));
    let version = report.provenance.version.as_deref().map(|version| format!(", version {}", text::clean(version)));
    let when = report.decided_at.as_deref().map(|when| format!(", {}", text::clean(when)));
    let model = text::isolated(&text::clean(&report.provenance.model));
    let by = format!("Decided by the model {model}{}{}.", version.unwrap_or_default(), when.unwrap_or_default());
    page.with("p", attributes! { "class" => "soft" }, &by);
    page.body.open("div", attributes! { "class" => "said" });
    let name = text::isolated(&text::clean(&quantity.name));
    let output = words::value(quantity, ranked, ranked.output);
    let average = words::value(quantity, ranked, ranked.base);
    let is_average = report.decision.base_is.is_none();
    let known = if is_average { "on average" } else { "with nothing known about the case" };
    page.with("p", &[], "The model said");
    match &report.answer.label {
        Some(label) => {
            page.with("p", attributes! { "class" => "label" }, &text::isolated(&text::clean(label)));
            page.paragraph(&format!("{name}: {output}, compared with {average} {known}."));
        }
        None => {
            page.with("p", attributes! { "class" => "label" }, &format!("{name}: {output}"));
            page.paragraph(&format!("Compared with {average} {known}."));
        }
    }
    page.end();
    page.end();
    classes(page, &report.answer);
}

fn classes(page: &mut Page<'_>, answer: &Answer) {
    if answer.classes.is_empty() {
        return;
    }
    let mut order: Vec<&super::data::Class> = answer.classes.iter().collect();
    order.sort_by(|one, other| other.probability.total_cmp(&one.probability));
    let told = |probability: f64| {
        let quantity = crate::data::Quantity { space: Space::Probability, ..crate::data::Quantity::default() };
        Format::of(&quantity, std::iter::once(0.5)).value(probability)
    };
    let mut parts: Vec<String> = order
        .iter()
        .take(6)
        .map(|class| format!("{} {}", text::isolated(&text::clean(&class.name)), told(class.probability)))
        .collect();
    let left = order.len().saturating_sub(6);
    if left > 0 {
        parts.push(crate::rank::others(left));
    }
    page.with(
        "p",
        attributes! { "class" => "soft" },
        &format!("All answers that were possible: {}.", words::listed(&parts)),
    );
}

fn why(page: &mut Page<'_>, report: &DecisionReport, ranked: &Ranked) {
    let decision = &report.decision;
    page.section("why", "Why");
    page.paragraph(&overall(decision, ranked, &shared::background(&report.background)));
    let (up, down) = directions(ranked);
    let name = text::isolated(&text::clean(&decision.quantity.name));
    // What made the answer what it is comes first.
    let lists = [(true, &up), (false, &down)];
    let is_lower = ranked.output < ranked.base;
    for (is_up, rows) in if is_lower { [lists[1], lists[0]] } else { lists } {
        let (verb, class) = if is_up { ("raised", "up") } else { ("lowered", "down") };
        page.with("h3", &[], &format!("What {verb} the {name}"));
        if rows.is_empty() {
            page.paragraph("Nothing.");
            continue;
        }
        page.body.open("ul", attributes! { "class" => class });
        for row in rows.iter().take(TOLD_MAX) {
            item(page, decision, ranked, row, is_up);
        }
        page.end();
        let rest: f64 = rows.iter().skip(TOLD_MAX).map(|row| row.share).sum();
        if rows.len() > TOLD_MAX {
            let others: usize = rows.iter().skip(TOLD_MAX).map(|row| row.features).sum();
            let others = crate::rank::others(others);
            let amount = amount(decision, ranked, rest);
            page.with("p", attributes! { "class" => "soft" }, &format!("And {others}, together by {amount}."));
        }
    }
    let how = "Read it from top to bottom. Each bar moves the value by one feature, to the right if the feature raised it and \
               to the left if it lowered it; the last line is this answer.";
    let table = tables::decision(decision);
    page.figure(|style| pictures::waterfall(decision, style), how, &table, false);
    if let Some(map) = &report.heat_map {
        let how = "Orange parts of the image raised the value, blue parts lowered it.";
        page.figure(|style| pictures::heat_map(map, style), how, &tables::heat_map(map), false);
    }
    if let Some(map) = &report.text_map {
        let how = "A mark above a word: it raised the value. A mark below: it lowered it.";
        page.figure(|style| pictures::text_map(map, style), how, &tables::text_map(map), false);
    }
    page.end();
}

/// From where to where the features moved it, in sentences.
fn overall(decision: &Decision, ranked: &Ranked, background: &str) -> String {
    let name = text::isolated(&text::clean(&decision.quantity.name));
    let [output, base] = [ranked.output, ranked.base].map(|value| words::value(&decision.quantity, ranked, value));
    let difference = ranked.output - ranked.base;
    let start = match &decision.base_is {
        Some(base_is) => {
            format!("With nothing known about a case, the {name} is {base}: {}.", text::isolated(&text::clean(base_is)))
        }
        None => format!("On average over the background, {background}, the {name} is {base}."),
    };
    if !difference.is_finite() {
        return format!("{start} For this case it is {output}.");
    }
    if difference.abs() <= ranked.format.half_digit() {
        return format!("{start} For this case it is the same.");
    }
    let direction = if difference > 0.0 { "higher" } else { "lower" };
    let amount = amount(decision, ranked, difference);
    format!("{start} For this case it is {output}: {direction} by {amount}. These values made the difference.")
}

/// A share without its sign, with its unit.
fn amount(decision: &Decision, ranked: &Ranked, share: f64) -> String {
    let told = ranked.format.fine(share.abs());
    format!("{}{}", told.trim_start_matches('+'), words::unit(&decision.quantity))
}

/// Rows that raised and rows that lowered, the largest first and the rest last.
fn directions(ranked: &Ranked) -> (Vec<&Row>, Vec<&Row>) {
    let counted = ranked.rows.iter().filter(|row| row.share.is_finite() && row.share != 0.0);
    counted.partition(|row| row.share > 0.0)
}

fn item(page: &mut Page<'_>, decision: &Decision, ranked: &Ranked, row: &Row, is_up: bool) {
    let (verb, class) = if is_up { ("raised", "amount ups") } else { ("lowered", "amount downs") };
    let name = text::isolated(&row.name);
    let told = match &row.value {
        Some(value) => format!("{name} ({}) {verb} it by ", text::isolated(value)),
        None if row.features > 1 => format!("{name} together {verb} it by "),
        None => format!("{name} {verb} it by "),
    };
    page.body.open("li", &[]);
    page.body.text(&told);
    page.body.with("span", attributes! { "class" => class }, &amount(decision, ranked, row.share));
    if let Some(error) = row.standard_error {
        page.body.text(&format!(", give or take {}", amount(decision, ranked, 2.0 * error)));
    }
    page.body.close();
    page.body.line();
}

fn what_else(page: &mut Page<'_>, report: &DecisionReport) {
    page.section("otherwise", "What would have changed it");
    match &report.counterfactuals {
        None => page.paragraph("For this report nobody looked for values with which the answer would have been another."),
        Some(all) if all.found.is_empty() => page.paragraph(
            "No way to another answer was found within what was allowed to change. That does not prove that there is none.",
        ),
        Some(all) => {
            page.paragraph(if all.found.iter().all(|one| one.output.is_some()) {
                "Each of these was tried on the model itself: with these values, and all others as they were, it would have \
                 said something else."
            } else {
                "With these values, and all others as they were, the model would have said something else, by the method \
                 that looked for them."
            });
            let ways: Vec<String> = all.found.iter().take(10).map(pictures::counterfactuals::sentence).collect();
            page.list("ways", &ways);
            let how = "Each block is one way. What is not listed stays as it was.";
            page.figure(|style| pictures::counterfactuals(all, style), how, &tables::counterfactuals(all), false);
            page.paragraph(
                "This is what the model would have said then. It is no advice, no promise about a later decision, and not \
                 every change is possible for everybody.",
            );
        }
    }
    page.end();
}

fn how_sure(page: &mut Page<'_>, report: &DecisionReport, ranked: &Ranked) {
    page.section("sure", "How sure this is");
    let mut facts = Vec::new();
    facts.extend(confidence(report, ranked));
    adds_up(page, report, ranked, &mut facts);
    facts.extend(errors(report, ranked));
    facts.extend(report.certainty.notes.iter().map(|note| text::isolated(&prose(note))));
    page.list("sure", &facts);
    page.with("h3", &[], "What must not be concluded");
    shared::limits(page, &report.limits);
    page.end();
}

/// How sure the model says that it is, and how near the answer was to another.
fn confidence(report: &DecisionReport, ranked: &Ranked) -> Vec<String> {
    let mut told = Vec::new();
    if let Some(probability) = report.answer.probability {
        let quantity = crate::data::Quantity { space: Space::Probability, ..crate::data::Quantity::default() };
        let probability = Format::of(&quantity, std::iter::once(0.5)).value(probability);
        let label = report
            .answer
            .label
            .as_deref()
            .map_or_else(|| "its answer".to_owned(), |label| format!("“{}”", text::isolated(&text::clean(label))));
        told.push(format!(
            "The model gives {label} a probability of {probability}. That is the model's own figure; this report has not \
             checked how often the model is right when it says so."
        ));
    }
    if let Some(threshold) = report.answer.threshold.filter(|threshold| threshold.is_finite()) {
        let distance = amount(&report.decision, ranked, ranked.output - threshold);
        let threshold = words::value(&report.decision.quantity, ranked, threshold);
        told.push(format!("The decision changes at {threshold}. This case is {distance} away from that."));
    }
    told
}

/// Do the base and the shares give the answer?
fn adds_up(page: &mut Page<'_>, report: &DecisionReport, ranked: &Ranked, facts: &mut Vec<String>) {
    let gap = crate::number::plain(ranked.residual.abs() * ranked.format.factor, 2);
    let unit = words::unit(&report.decision.quantity);
    let start = words::start(&report.decision);
    let care = "Take the shares with care, and ask whoever runs the model.";
    if ranked.shows_residual() || !ranked.residual.is_finite() {
        let warning =
            format!("The {start} and the shares do not add up to the answer: {gap}{unit} are not explained. {care}");
        page.with("p", attributes! { "class" => "warning" }, &warning);
    } else if report.certainty.is_flagged {
        let warning = format!("These shares have not passed the checks against the model's answer. {care}");
        page.with("p", attributes! { "class" => "warning" }, &warning);
    } else {
        facts.push(format!("The {start} and the shares add up to the answer; what is left over is {gap}{unit}."));
    }
}

fn errors(report: &DecisionReport, ranked: &Ranked) -> Vec<String> {
    let errors = || ranked.rows.iter().filter_map(|row| Some((row, row.standard_error?)));
    let Some((row, largest)) = errors().max_by(|one, other| one.1.total_cmp(&other.1)) else {
        return vec![match report.certainty.sampling {
            Sampling::Exact => "The shares were calculated, not estimated: asking again gives the same.".to_owned(),
            Sampling::Sampled => {
                "The shares were estimated from a part of all combinations, and nobody said how far off they may be."
                    .to_owned()
            }
            Sampling::Unknown => "Whether the shares were calculated or estimated was not stated.".to_owned(),
        }];
    };
    let amount = amount(&report.decision, ranked, 2.0 * largest);
    let mut told = vec![format!(
        "The shares were estimated from a part of all combinations. The least certain is that of {}: it may be off by about \
         {amount} (two standard errors).",
        text::isolated(&row.name)
    )];
    let unsure: Vec<String> = errors()
        .filter(|(row, error)| row.share.abs() < 2.0 * error)
        .take(TOLD_MAX)
        .map(|(row, _)| text::isolated(&row.name))
        .collect();
    if !unsure.is_empty() {
        told.push(format!("It is not certain whether these raised or lowered it: {}.", words::listed(&unsure)));
    }
    told
}

fn contest(page: &mut Page<'_>, contest: &Contest) {
    page.section("contest", "How to contest it");
    if contest.text.is_empty() && contest.contacts.is_empty() {
        page.paragraph(
            "Whoever runs this model has not stated here to whom you can turn. Ask the organisation that gave you this \
             decision to have it looked at by a person; keep this page, it names the model and the version.",
        );
    }
    for paragraph in &contest.text {
        page.paragraph(&text::isolated(&prose(paragraph)));
    }
    if !contest.contacts.is_empty() {
        page.facts(&contest.contacts);
    }
    page.end();
}
