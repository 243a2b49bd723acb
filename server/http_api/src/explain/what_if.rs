//! Counterfactuals on the wire: what is wanted and allowed, and what was found.

use candor_domain::{Error, Result};
use candor_insight::explanations::{Counterfactuals, Direction, Limits, RowCounterfactuals, Wanted, WhatIf};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    ask::{self, Own},
    write::{BackgroundNoteBody, Beside, ExplainEngineBody, cell},
};
use crate::native::OriginBody;

/// The members of a question that has nothing to attribute.
pub(crate) const MEMBERS: &[&str] = &[
    "output",
    "space",
    "budget",
    "seed",
    "background",
    "options",
    "count",
    "wanted",
    "immutable",
    "ranges",
    "directions",
];

/// Reads what is wanted.
///
/// # Errors
/// `InvalidInput` with the pointer to the member.
pub(crate) fn of_own(own: &Own) -> Result<WhatIf> {
    let count = own.get("count").map(|value| {
        let count = value.as_u64().filter(|count| (1..=64).contains(count)).and_then(|count| count.try_into().ok());
        count.ok_or_else(|| {
            Error::invalid("there is no such number of counterfactuals").at("/count").expected("1 to 64")
        })
    });
    Ok(WhatIf {
        count: count.transpose()?,
        wanted: own.get("wanted").map(wanted).transpose()?.unwrap_or_default(),
        immutable: own.texts("immutable")?.unwrap_or_default(),
        ranges: own.get("ranges").map(ranges).transpose()?.unwrap_or_default(),
        directions: own.get("directions").map(directions).transpose()?.unwrap_or_default(),
    })
}

fn wanted(value: &Value) -> Result<Wanted> {
    let wrong = || {
        Error::invalid("this is no answer to want")
            .at("/wanted")
            .expected("a class by its label or number, or {\"at_least\": 1.5, \"at_most\": 2}")
    };
    match value {
        Value::Object(members) => {
            let mut limits = Limits::default();
            for (name, value) in members {
                let bound = value.as_f64().ok_or_else(wrong)?;
                match name.as_str() {
                    "at_least" => limits.low = Some(bound),
                    "at_most" => limits.high = Some(bound),
                    _ => return Err(wrong()),
                }
            }
            match (limits.low, limits.high) {
                (None, None) => Err(wrong()),
                (Some(low), Some(high)) if low > high => Err(wrong().got(format!("{low} to {high}"))),
                (Some(_) | None, Some(_) | None) => Ok(Wanted::Within(limits)),
            }
        }
        Value::String(_) | Value::Number(_) => {
            let pick = ask::outputs(value).map_err(|error| error.at("/wanted"))?.into_iter().next();
            pick.map(Wanted::Class).ok_or_else(wrong)
        }
        Value::Null | Value::Bool(_) | Value::Array(_) => Err(wrong()),
    }
}

fn ranges(value: &Value) -> Result<Vec<(String, Limits)>> {
    let wrong = |at: String| Error::invalid("this is no range").at(at).expected("[low, high], each a number or null");
    let members = value
        .as_object()
        .ok_or_else(|| wrong("/ranges".to_owned()).expected("ranges by feature, such as {\"age\": [18, null]}"))?;
    let range = |(name, value): (&String, &Value)| {
        let at = || format!("/ranges/{}", name.replace('~', "~0").replace('/', "~1"));
        let bound = |value: &Value| match value {
            Value::Null => Ok(None),
            Value::Number(number) => Ok(number.as_f64()),
            Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => Err(wrong(at())),
        };
        match value.as_array().map(Vec::as_slice) {
            Some([low, high]) => Ok((name.clone(), Limits { low: bound(low)?, high: bound(high)? })),
            Some(_) | None => Err(wrong(at())),
        }
    };
    members.iter().map(range).collect()
}

fn directions(value: &Value) -> Result<Vec<(String, Direction)>> {
    let wrong = || {
        Error::invalid("these are no directions")
            .at("/directions")
            .expected("\"increase\" or \"decrease\" by feature, such as {\"debt\": \"decrease\"}")
    };
    let members = value.as_object().ok_or_else(wrong)?;
    let direction = |(name, value): (&String, &Value)| match value.as_str() {
        Some("increase") => Ok((name.clone(), Direction::Increase)),
        Some("decrease") => Ok((name.clone(), Direction::Decrease)),
        Some(_) | None => Err(wrong()),
    };
    members.iter().map(direction).collect()
}

/// Rows to change, and the answer that is wanted.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(example = json!({"rows": [
    {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}], "wanted": "versicolor",
    "immutable": ["sepal_width"], "directions": {"petal_length": "increase"}}))]
pub struct WhatIfBody {
    /// One entry a row: an object of features by name, or a list of values in the order of the features. Or `columns`.
    #[schema(min_items = 1)]
    pub rows: Vec<Value>,
    /// A class by its label or its number, or `{"at_least": …, "at_most": …}` for a number; any other class if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value)]
    pub wanted: Option<Value>,
    /// Changed rows for each row, at most 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1, maximum = 64)]
    pub count: Option<u64>,
    /// Features that stay as they are, beside those that the model's owner calls immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub immutable: Option<Vec<String>>,
    /// Where features may be moved to, as `[low, high]` by feature; each may be null.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub ranges: Option<Value>,
    /// Features that may only `increase` or `decrease`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub directions: Option<Value>,
    /// The output that a range is wanted of.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value)]
    pub output: Option<Value>,
    /// `probability`, `margin` or `raw`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub space: Option<String>,
    /// Evaluations of the model per row at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1)]
    pub budget: Option<u64>,
    /// Seed of the search.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    pub seed: Option<u64>,
    /// The rows that tell what is usual.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value)]
    pub background: Option<Value>,
    /// More choices for the search, by its own names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub options: Option<Value>,
}

/// The smallest changes that were found.
#[derive(Debug, Serialize, ToSchema)]
pub struct CounterfactualsBody {
    /// The id of the request, if it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// The model.
    #[schema(example = "iris")]
    pub model: String,
    /// The version.
    #[schema(example = "2")]
    pub version: String,
    /// The version that would have answered if its circuit breaker were not open.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub fallback_from: Option<String>,
    /// sha256 of the version's file, or of all that it is made of.
    #[schema(example = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae")]
    pub sha256: String,
    /// What ran it.
    pub engine: ExplainEngineBody,
    /// The component that searched.
    #[schema(example = "candor.counterfactuals")]
    pub component: String,
    /// Where that comes from.
    pub plugin: OriginBody,
    /// `thresholds`: along the thresholds of the model's trees; `genetic`: by chance.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub search: Option<String>,
    /// What the numbers of answers are.
    #[schema(example = "probability")]
    pub space: String,
    /// The rows that tell what is usual.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub background: Option<BackgroundNoteBody>,
    /// Evaluations per row that were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub budget: Option<u64>,
    /// The seed.
    #[schema(example = 0)]
    pub seed: u64,
    /// Rows that the model evaluated for all of it.
    #[schema(example = 2048)]
    pub evaluations: u64,
    /// One entry a row, in the order of the rows.
    pub counterfactuals: Vec<RowChangesBody>,
}

/// What was found for one row.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"already": false, "answer": {"setosa": 0.998}, "found": [
    {"valid": true, "changes": [{"feature": "petal_length", "from": 1.4, "to": 4.7}], "answer": {"setosa": 0.012},
     "distance": 1.5}], "proven": false, "evaluations": 2048}))]
pub struct RowChangesBody {
    /// What the version answers now, by output.
    #[schema(value_type = Object, example = json!({"setosa": 0.998}))]
    pub answer: Value,
    /// Whether the row has the wanted answer already.
    #[schema(example = false)]
    pub already: bool,
    /// Whether it is proven that nothing nearer was overlooked.
    #[schema(example = false)]
    pub proven: bool,
    /// Rows that the model evaluated for it.
    #[schema(example = 2048)]
    pub evaluations: u64,
    /// Changed rows, nearest first; those that are not `valid` are the nearest miss, where nothing was found.
    pub found: Vec<ChangedBody>,
}

/// A changed row.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"valid": true, "changes": [{"feature": "petal_length", "from": 1.4, "to": 4.7}],
    "answer": {"setosa": 0.012}, "distance": 1.5}))]
pub struct ChangedBody {
    /// Whether it has the wanted answer, by the version itself.
    #[schema(example = true)]
    pub valid: bool,
    /// What is changed; everything else is as it was.
    pub changes: Vec<ChangeBody>,
    /// What the version answers then, by output.
    #[schema(value_type = Object, example = json!({"setosa": 0.012}))]
    pub answer: Value,
    /// How far it is: the sum of changes, each by what is usual for its feature.
    #[schema(example = 1.5)]
    pub distance: f64,
    /// How far it is from the nearest row of the background: what is far from all of them may not exist.
    pub background_distance: Option<f64>,
}

/// A changed feature.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"feature": "petal_length", "from": 1.4, "to": 4.7}))]
pub struct ChangeBody {
    /// The feature.
    #[schema(example = "petal_length")]
    pub feature: String,
    /// Its value now.
    #[schema(value_type = Value, example = 1.4)]
    pub from: Value,
    /// Its value then.
    #[schema(value_type = Value, example = 4.7)]
    pub to: Value,
}

impl CounterfactualsBody {
    pub(crate) fn new(found: Counterfactuals, beside: Beside) -> Self {
        let rows = found.rows.iter().map(|row| row_body(row, &found.outputs)).collect();
        let origin = found.origin;
        Self {
            id: beside.id,
            model: found.model,
            version: found.version,
            fallback_from: beside.fallback_from,
            sha256: found.sha256,
            engine: found.engine.into(),
            component: found.component.to_owned(),
            plugin: OriginBody { name: origin.plugin, version: origin.version, sha256: origin.sha256 },
            search: found.search,
            space: found.space.word().to_owned(),
            background: found.background.map(BackgroundNoteBody::from),
            budget: found.budget,
            seed: found.seed,
            evaluations: found.evaluations,
            counterfactuals: rows,
        }
    }
}

/// The numbers of an answer, by output.
pub(super) fn answer(outputs: &[String], values: &[f64]) -> Value {
    Value::Object(outputs.iter().cloned().zip(values.iter().map(|value| Value::from(*value))).collect())
}

fn row_body(row: &RowCounterfactuals, outputs: &[String]) -> RowChangesBody {
    let found = row.found.iter().map(|one| ChangedBody {
        valid: one.valid,
        changes: one
            .changes
            .iter()
            .map(|change| ChangeBody {
                feature: change.feature.to_string(),
                from: cell(&change.from),
                to: cell(&change.to),
            })
            .collect(),
        answer: answer(outputs, &one.output),
        distance: one.distance,
        background_distance: one.background_distance,
    });
    RowChangesBody {
        answer: answer(outputs, &row.output),
        already: row.already,
        proven: row.proven,
        evaluations: row.evaluations,
        found: found.collect(),
    }
}
