//! What a model does over many rows, as a job: mean shares, permutation importance, partial dependence, local effects.
//!
//! The job holds its version until it is over. Its result is one JSON document; the same order gives the same bytes.

use std::sync::Arc;

use candor_domain::{Clock, Error, ErrorCode, Job, JobResult, JobStep, Result, Tensor};
use candor_insight::explanations::{
    Effect, EffectKind, EffectQuestion, EffectTensor, EffectValues, Explanation, Explanations, Placed, Question, Role,
    Rows, Subject, Turn, rows_between,
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{Beside, ExplanationBody, Held, ask::Own, schema::QuestionBody};

/// The members of an order.
pub(crate) const GLOBAL: &[&str] = &[
    "method",
    "output",
    "space",
    "budget",
    "seed",
    "background",
    "groups",
    "interactions",
    "options",
    "parts",
    "features",
    "truth",
    "keep_rows",
];

/// What kind of work it is.
pub(crate) const GLOBAL_KIND: &str = "explain_global";

/// What there is to find out, by its word.
const PARTS: [(&str, Option<EffectKind>); 4] = [
    ("attributions", None),
    ("permutation_importance", Some(EffectKind::PermutationImportance)),
    ("partial_dependence", Some(EffectKind::PartialDependence)),
    ("local_effects", Some(EffectKind::LocalEffects)),
];

/// Rows that are explained between two looks at the clock.
const ROWS_AT_ONCE: usize = 16;

/// What is to be found out over many rows.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(example = json!({"parts": ["attributions", "partial_dependence"], "features": ["petal_length"]}))]
pub struct GlobalBody {
    /// The rows, as `predict` takes them; those of the background if absent. Or `columns`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, min_items = 1)]
    pub rows: Option<Vec<Value>>,
    /// `attributions` (mean shares), `permutation_importance` (needs `truth`), `partial_dependence`, `local_effects`;
    /// `attributions` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub parts: Option<Vec<String>>,
    /// The features whose dependence and local effects are wanted; all that have one value a row if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub features: Option<Vec<String>>,
    /// The truth of each row: a number, or a class by its label or its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub truth: Option<Vec<Value>>,
    /// Whether the explanation of each row is kept too, for pictures of them all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub keep_rows: Option<bool>,
    #[serde(flatten)]
    #[schema(inline = false)]
    pub question: QuestionBody,
}

/// What an order wants.
pub(crate) struct Parts {
    parts: Vec<(&'static str, Option<EffectKind>)>,
    features: Vec<String>,
    truth: Option<Vec<f64>>,
    keep_rows: bool,
}

impl Parts {
    /// Reads an order over so many rows.
    ///
    /// # Errors
    /// `InvalidInput` with the pointer to the member.
    pub(crate) fn of(own: &Own, held: &Held, rows: usize) -> Result<Self> {
        let words = own.texts("parts")?.unwrap_or_else(|| vec!["attributions".to_owned()]);
        let part = |(index, word): (usize, &String)| {
            PARTS.into_iter().find(|(known, _)| known == word).ok_or_else(|| {
                let error = Error::invalid("there is no such part").at(format!("/parts/{index}")).got(word.clone());
                error.expected(PARTS.map(|(word, _)| word).join(", "))
            })
        };
        let parts: Vec<_> = words.iter().enumerate().map(part).collect::<Result<_>>()?;
        if parts.is_empty() {
            return Err(Error::invalid("nothing is to be found out").at("/parts"));
        }
        let about = held.about();
        let columns = || about.features.iter().filter(|one| matches!(one.place, Placed::Column(_)));
        let all = || columns().map(|feature| feature.name.to_string()).collect();
        let features = own.texts("features")?.unwrap_or_else(all);
        if let Some(name) = features.iter().find(|name| !columns().any(|feature| *feature.name == ***name)) {
            let error = Error::invalid("the model has no such feature of one value").at("/features").got(name.clone());
            return Err(error.expected(all().join(", ")));
        }
        let truth = own.get("truth").map(|value| truth(value, held, rows)).transpose()?;
        if truth.is_none() && parts.iter().any(|(_, kind)| *kind == Some(EffectKind::PermutationImportance)) {
            let error = Error::invalid("permutation importance needs the truth of each row").at("/truth");
            return Err(error.expected("a list with a number or a class for each row"));
        }
        let keep_rows = match own.get("keep_rows") {
            None => false,
            Some(value) => value
                .as_bool()
                .ok_or_else(|| Error::invalid("not a choice").at("/keep_rows").expected("true or false"))?,
        };
        Ok(Self { parts, features, truth, keep_rows })
    }
}

/// The truth of each row: a number, or the number of a class.
fn truth(value: &Value, held: &Held, rows: usize) -> Result<Vec<f64>> {
    let wrong = || Error::invalid("these are no truths").at("/truth").expected(format!("a list of {rows}, one a row"));
    let list = value.as_array().filter(|list| list.len() == rows).ok_or_else(wrong)?;
    let classes = held.about().outputs.iter().filter(|one| matches!(one.role, Role::Probabilities | Role::Scores));
    let labels: Vec<&String> = classes.flat_map(|output| &output.labels).collect();
    let one = |(index, value): (usize, &Value)| {
        let of_label = |label: &str| labels.iter().position(|known| **known == label).map(|class| class as f64);
        let number = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(label) => of_label(label),
            Value::Bool(value) => Some(f64::from(u8::from(*value))),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        number.ok_or_else(|| {
            let labels: Vec<&str> = labels.iter().take(12).map(|label| label.as_str()).collect();
            let error =
                Error::invalid("this is no truth of a row").at(format!("/truth/{index}")).got(value.to_string());
            error.expected(if labels.is_empty() { "a number".to_owned() } else { labels.join(", ") })
        })
    };
    list.iter().enumerate().map(one).collect()
}

/// The job.
pub(crate) struct GlobalJob {
    pub(crate) explanations: Arc<Explanations>,
    pub(crate) held: Arc<Held>,
    pub(crate) question: Question,
    pub(crate) parts: Parts,
    pub(crate) inputs: Vec<Tensor>,
    pub(crate) rows: usize,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Job for GlobalJob {
    fn run(self: Box<Self>, step: &dyn JobStep) -> Result<JobResult> {
        let turn = Turn { clock: &*self.clock, cancel: step.cancel(), deadline: step.deadline() };
        let about = self.held.about();
        let mut result = Map::new();
        result.insert("model".to_owned(), json!(about.model));
        result.insert("version".to_owned(), json!(about.version));
        result.insert("sha256".to_owned(), json!(about.sha256));
        result.insert(
            "engine".to_owned(),
            json!({"name": about.engine.name, "version": about.engine.version,
            "sha256": about.engine.sha256}),
        );
        result.insert("rows".to_owned(), json!(self.rows));
        result.insert("seed".to_owned(), json!(self.question.seed));
        let all = self.parts.parts.len() as f64;
        for (index, (word, kind)) in self.parts.parts.iter().enumerate() {
            let tell = |share: f64, message: &str| step.progress((index as f64 + share) / all, message);
            let found = match kind {
                None => self.attributions(&turn, &tell)?,
                Some(EffectKind::PermutationImportance) => {
                    tell(0.0, word);
                    let effect = self.effect(EffectKind::PermutationImportance, Vec::new(), &turn)?;
                    effect_body(&effect)
                }
                Some(kind) => self.curves(*kind, &turn, &tell)?,
            };
            result.insert((*word).to_owned(), found);
        }
        let bytes = serde_json::to_vec(&Value::Object(result))
            .map_err(|error| Error::new(ErrorCode::Internal, format!("cannot write the result: {error}")))?;
        Ok(JobResult { media_type: "application/json", bytes })
    }
}

impl GlobalJob {
    /// Mean shares over all rows, and mean absolute ones.
    fn attributions(&self, turn: &Turn<'_>, tell: &dyn Fn(f64, &str)) -> Result<Value> {
        let mut explained: Option<Explanation> = None;
        let mut at_once = ROWS_AT_ONCE.min(self.explanations.settings().rows_max);
        let mut from = 0;
        while from < self.rows {
            tell(from as f64 / self.rows as f64, &format!("attributions: {from} of {} rows", self.rows));
            turn.check()?;
            let to = (from + at_once).min(self.rows);
            let rows = Rows::new(rows_between(&self.inputs, from, to));
            let next = match self.explanations.explain_here(&*self.held, &self.question, rows, turn) {
                // Told before any work: fewer rows at once may be within the bounds of one question.
                Err(error) if error.code() == ErrorCode::TooLarge && at_once > 1 => {
                    at_once /= 2;
                    continue;
                }
                next => next?,
            };
            match &mut explained {
                None => explained = Some(next),
                Some(all) => {
                    all.rows.extend(next.rows);
                    all.evaluations += next.evaluations;
                }
            }
            from = to;
        }
        let explained = explained.ok_or_else(|| Error::new(ErrorCode::Internal, "a job has no rows"))?;
        let outputs: Vec<Value> = (0..explained.outputs.len()).map(|output| means(&explained, output)).collect();
        let mut body = serde_json::to_value(ExplanationBody::new(explained, Beside::default())).unwrap_or_default();
        if let Some(members) = body.as_object_mut() {
            if !self.parts.keep_rows {
                members.shift_remove("explanations");
            }
            for known in ["model", "version", "sha256", "engine"] {
                members.shift_remove(known);
            }
            members.insert("outputs".to_owned(), Value::Array(outputs));
        }
        Ok(body)
    }

    fn effect(&self, kind: EffectKind, features: Vec<String>, turn: &Turn<'_>) -> Result<Effect> {
        let truth = if kind == EffectKind::PermutationImportance { self.parts.truth.clone() } else { None };
        // Options are the method's of attributions; effects have defaults of their own.
        let effect = EffectQuestion { kind, features, truth, options: Map::new() };
        let rows = Rows { alone: true, ..Rows::new(self.inputs.clone()) };
        self.explanations.effect_here(&*self.held, (&self.question, &effect), rows, turn)
    }

    /// A curve for each feature.
    fn curves(&self, kind: EffectKind, turn: &Turn<'_>, tell: &dyn Fn(f64, &str)) -> Result<Value> {
        let features = &self.parts.features;
        let mut curves = Vec::with_capacity(features.len());
        for (index, feature) in features.iter().enumerate() {
            tell(index as f64 / features.len().max(1) as f64, &format!("{}: {feature}", kind.component()));
            turn.check()?;
            match self.effect(kind, vec![feature.clone()], turn) {
                Ok(effect) => curves.push(effect_body(&effect)),
                // What has no curve (one value in all rows, categories without an order) says so in its place.
                Err(error) if error.code() == ErrorCode::InvalidInput => {
                    curves.push(json!({"features": [feature], "component": kind.component(), "refused": error.what()}));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Value::Array(curves))
    }
}

/// Mean shares of one output, and mean absolute ones, by feature.
fn means(explained: &Explanation, output: usize) -> Value {
    let outputs = explained.outputs.len();
    let rows = explained.rows.len().max(1) as f64;
    let features: Vec<Value> = explained
        .features
        .iter()
        .enumerate()
        .map(|(player, feature)| {
            let shares = explained.rows.iter().filter_map(|row| row.shares.get(player * outputs + output));
            let (sum, absolute) =
                shares.fold((0.0, 0.0), |(sum, absolute), share| (sum + share, absolute + share.abs()));
            json!({"feature": feature, "mean_absolute": absolute / rows, "mean": sum / rows})
        })
        .collect();
    let base = explained.rows.first().and_then(|row| row.base.get(output)).copied();
    let holds = explained.rows.iter().all(|row| row.additivity.get(output).is_some_and(|one| one.holds));
    json!({"output": explained.outputs.get(output), "base_value": base, "additivity_holds": holds, "features": features})
}

/// What a component told, by its own names.
fn effect_body(effect: &Effect) -> Value {
    let mut body = Map::new();
    body.insert("component".to_owned(), json!(effect.component));
    body.insert(
        "plugin".to_owned(),
        json!({"name": effect.origin.plugin, "version": effect.origin.version,
        "sha256": effect.origin.sha256}),
    );
    body.insert("space".to_owned(), json!(effect.space.word()));
    body.insert("outputs".to_owned(), json!(effect.outputs));
    body.insert("features".to_owned(), json!(effect.features));
    // What it evaluated is counted here.
    for tensor in effect.tensors.iter().filter(|tensor| tensor.name != "evaluations") {
        body.insert(tensor.name.clone(), nested(tensor));
    }
    body.insert("evaluations".to_owned(), json!(effect.evaluations));
    Value::Object(body)
}

/// A tensor as nested lists; null where there is no number.
fn nested(tensor: &EffectTensor) -> Value {
    fn list(dims: &[usize], cell: &mut dyn FnMut() -> Value) -> Value {
        match dims.split_first() {
            None => cell(),
            Some((size, rest)) => Value::Array((0..*size).map(|_| list(rest, cell)).collect()),
        }
    }
    match &tensor.values {
        EffectValues::Numbers(values) => {
            let mut values = values.iter();
            list(&tensor.dims, &mut || values.next().map_or(Value::Null, |value| json!(value)))
        }
        EffectValues::Texts(texts) => {
            let mut texts = texts.iter();
            list(&tensor.dims, &mut || texts.next().map_or(Value::Null, |text| json!(text)))
        }
    }
}
