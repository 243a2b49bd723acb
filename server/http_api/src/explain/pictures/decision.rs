//! One row: its pictures, and the report of one decision.
//!
//! After `write` and `what_if`. It takes their bodies as they are and adds what only people need: units, the label that
//! the model gave, to whom one can turn.

use std::collections::HashMap;

use candor_domain::{Error, ErrorCode, Result};
use candor_pictures::{
    Style,
    data::{Change, Counterfactual, Counterfactuals, Decision, HeatMap, Image, Share, Space},
    pictures,
    report::{
        data::{Answer, Background, Certainty, Class, Contest, DecisionReport, Fact, Provenance, Sampling},
        decision_report,
    },
};
use serde_json::Value;

use super::{
    super::{
        what_if::{CounterfactualsBody, RowChangesBody},
        write::{AttributionBody, ExplainedOutputBody, ExplanationBody, RowBody},
    },
    Wanted, background, base_is,
    heat::heat_map,
    method, no_picture, provenance, quantity, value_told,
};

/// What is known of a row beside its explanation.
#[derive(Debug, Default)]
pub(crate) struct Case {
    /// Units of features, by name.
    pub(crate) units: HashMap<String, String>,
    /// Class labels of the probabilities, where the version has some.
    pub(crate) labels: Vec<String>,
    /// The class that the version itself chose.
    pub(crate) label: Option<String>,
    /// To whom one can turn.
    pub(crate) contact: Option<String>,
    /// The image that was explained, where it was one.
    pub(crate) image: Option<Image>,
}

const PICTURES: [&str; 3] = ["waterfall", "force", "bar"];
const PICTURES_OF_IMAGES: [&str; 4] = ["heat_map", "waterfall", "force", "bar"];

/// The picture of one row.
///
/// # Errors
/// `InvalidInput` where there is no such picture.
pub(crate) fn draw(body: &ExplanationBody, wanted: &Wanted, case: &Case) -> Result<String> {
    let (row, output) = row_of(body, wanted, case)?;
    let (decision, style) = (decision(body, output, case), Style::default());
    // Numbers of parts say little to who does not see where they are.
    let map = where_in_image(body, (row, output), case);
    let first = if map.is_some() { "heat_map" } else { "waterfall" };
    match (wanted.picture.as_deref().unwrap_or(first), &map) {
        ("heat_map", Some(map)) => Ok(pictures::heat_map(map, &style)),
        ("waterfall", _) => Ok(pictures::waterfall(&decision, &style)),
        ("force", _) => Ok(pictures::force(&decision, &style)),
        ("bar", _) => Ok(pictures::bar(&decision, &style)),
        (other, Some(_)) => Err(no_picture(other, &PICTURES_OF_IMAGES)),
        (other, None) => Err(no_picture(other, &PICTURES)),
    }
}

/// The heat map of an output, where an image was explained by its parts.
fn where_in_image(
    body: &ExplanationBody,
    (row, output): (&RowBody, &ExplainedOutputBody),
    case: &Case,
) -> Option<HeatMap> {
    let number = row.outputs.iter().position(|one| one.output == output.output)?;
    heat_map(row, number, quantity(&body.space, &output.output), case.image.as_ref())
}

/// The report of one row.
///
/// # Errors
/// `Internal` where the explanation lacks the row.
pub(crate) fn told(
    body: &ExplanationBody,
    wanted: &Wanted,
    case: &Case,
    others: Option<&CounterfactualsBody>,
) -> Result<String> {
    let (row, output) = row_of(body, wanted, case)?;
    let report = DecisionReport {
        about: body.id.clone().unwrap_or_else(|| format!("row {}", wanted.row)),
        decided_at: None,
        answer: answer(row, case),
        decision: decision(body, output, case),
        heat_map: where_in_image(body, (row, output), case),
        text_map: None,
        counterfactuals: others.and_then(|others| others.counterfactuals.first().map(|row| ways(row, others, case))),
        certainty: certainty(body, output),
        contest: contest(case),
        background: body.background.as_ref().map_or_else(Background::default, background),
        provenance: made_from(body, row),
        limits: Vec::new(),
    };
    Ok(decision_report(&report, &Style::default()))
}

/// The row, and of it the output that the model chose, or the largest where that is not explained.
fn row_of<'a>(
    body: &'a ExplanationBody,
    wanted: &Wanted,
    case: &Case,
) -> Result<(&'a RowBody, &'a ExplainedOutputBody)> {
    let found = body.explanations.get(wanted.row).and_then(|row| {
        let chosen = row.outputs.iter().find(|output| case.label.as_ref() == Some(&output.output));
        let largest = || row.outputs.iter().max_by(|one, other| one.served.value.total_cmp(&other.served.value));
        Some((row, chosen.or_else(largest)?))
    });
    found.ok_or_else(|| Error::new(ErrorCode::Internal, "the explanation has no such row"))
}

fn decision(body: &ExplanationBody, output: &ExplainedOutputBody, case: &Case) -> Decision {
    let share = |one: &AttributionBody| Share {
        name: one.feature.clone(),
        value: one.value.as_ref().map(|value| value_told(value, case.units.get(&one.feature).map(String::as_str))),
        share: one.attribution,
        standard_error: one.standard_error,
    };
    Decision {
        quantity: quantity(&body.space, &output.output),
        base: output.base_value,
        base_is: base_is(&body.method.name, &body.method.config, body.background.is_some()),
        output: output.value,
        shares: output.attributions.iter().map(share).collect(),
    }
}

/// What the model said: the label is its own, and never concluded from numbers.
fn answer(row: &RowBody, case: &Case) -> Answer {
    let served = |name: &str| {
        let found = row.outputs.iter().find(|output| output.output == name).map(|output| output.served.value);
        found.filter(|value| (0.0..=1.0).contains(value))
    };
    let classes: Option<Vec<Class>> =
        case.labels.iter().map(|name| Some(Class { name: name.clone(), probability: served(name)? })).collect();
    let classes = classes.unwrap_or_default();
    let of_label = |class: &&Class| case.label.as_ref() == Some(&class.name);
    let probability = classes.iter().find(of_label).map(|class| class.probability);
    Answer { label: case.label.clone(), probability, classes, threshold: None }
}

fn certainty(body: &ExplanationBody, output: &ExplainedOutputBody) -> Certainty {
    let is_known = !body.method.name.contains('.');
    let sampling = match (is_known, body.method.sampled) {
        (false, _) => Sampling::Unknown,
        (true, true) => Sampling::Sampled,
        (true, false) => Sampling::Exact,
    };
    let mut notes = Vec::new();
    if !body.method.additive {
        notes.push("The shares of this method are not made to add up to the answer.".to_owned());
    }
    if output.served.agrees == Some(false) {
        let explained = output.served.explained.map_or_else(|| "nothing".to_owned(), |value| value.to_string());
        let served = output.served.value;
        notes.push(format!("The model answered {served}, and what is explained comes to {explained}."));
    }
    let is_flagged = (body.method.additive && !output.additivity.holds) || output.served.agrees == Some(false);
    Certainty { is_flagged, sampling, notes }
}

fn contest(case: &Case) -> Contest {
    let lines = case.contact.iter().flat_map(|text| text.lines()).map(str::trim).filter(|line| !line.is_empty());
    Contest { text: lines.map(str::to_owned).collect(), contacts: Vec::new() }
}

fn made_from(body: &ExplanationBody, row: &RowBody) -> Provenance {
    let fact = |name: &str, value: String| Fact { name: name.to_owned(), value };
    let plugin = &body.method.plugin;
    let mut more = vec![fact("Plugin", format!("{} {}", plugin.name, plugin.version))];
    more.extend(body.method.reason.iter().map(|reason| fact("Chosen because", reason.clone())));
    more.extend(body.fallback_from.iter().map(|version| fact("In the place of version", version.clone())));
    if !body.filled.is_empty() {
        more.push(fact("Gaps filled by the model's manifest", body.filled.join(", ")));
    }
    Provenance {
        engine: Some(format!("{} {}", body.engine.name, body.engine.version)),
        engine_digest: body.engine.sha256.clone(),
        method: Some(method(&body.method.name, &body.method.component, &body.method.config)),
        space: Some(body.space.clone()),
        seed: i64::try_from(body.seed).ok().filter(|_| body.method.sampled),
        budget: body.budget,
        evaluations: row.evaluations,
        request: body.id.clone(),
        more,
        ..provenance(&body.model, &body.version, &body.sha256)
    }
}

/// What would have changed the answer.
fn ways(row: &RowChangesBody, all: &CounterfactualsBody, case: &Case) -> Counterfactuals {
    let largest = |answer: &Value| -> Option<(String, f64)> {
        let values = answer.as_object()?.iter().filter_map(|(name, value)| Some((name.clone(), value.as_f64()?)));
        values.max_by(|one, other| one.1.total_cmp(&other.1))
    };
    let said = |answer: &Value| match (largest(answer), answer.as_object().map(serde_json::Map::len)) {
        (Some((name, value)), Some(1)) => format!("{name} {value}"),
        (Some((name, _)), _) => name,
        (None, _) => "nothing".to_owned(),
    };
    let now = case.label.clone().unwrap_or_else(|| said(&row.answer));
    // The number that is told is that of the answer now: how it falls when another comes.
    let of_now = |answer: &Value| answer.get(&now).and_then(Value::as_f64);
    let change = |name: &str, from: &Value, to: &Value| {
        let unit = case.units.get(name).map(String::as_str);
        Change { name: name.to_owned(), from: value_told(from, unit), to: value_told(to, unit) }
    };
    let found = row.found.iter().filter(|one| one.valid).map(|one| Counterfactual {
        then: said(&one.answer),
        output: of_now(&one.answer),
        changes: one.changes.iter().map(|one| change(&one.feature, &one.from, &one.to)).collect(),
    });
    let quantity = of_now(&row.answer).map(|_| quantity(&all.space, &now));
    let quantity = quantity.filter(|quantity| quantity.space == Space::Probability);
    let output = quantity.as_ref().and_then(|_| of_now(&row.answer));
    Counterfactuals { quantity, output, found: found.collect(), now }
}
