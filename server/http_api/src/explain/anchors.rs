//! Anchors on the wire: rules that hold an answer.
//!
//! Before it: what insight has found. After it: JSON. It knows nothing of how rules are searched.

use candor_insight::explanations::{Anchors, Condition, RowAnchor};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    what_if::answer,
    write::{BackgroundNoteBody, Beside, ExplainEngineBody, cell},
};
use crate::native::OriginBody;

/// The members of the question.
pub(crate) const MEMBERS: &[&str] = &["output", "space", "budget", "seed", "background", "options"];

/// Rows whose answers are to be held by a rule each.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(example = json!({"rows": [
    {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}], "options": {"precision": 0.95}}))]
pub struct AnchorsQuestionBody {
    /// One entry a row: an object of features by name, or a list of values in the order of the features. Or `columns`.
    #[schema(min_items = 1)]
    pub rows: Vec<Value>,
    /// A class by its label or its number: the rule then holds whether it is that one. All classes if absent.
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
    /// Seed of the rows that are drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    pub seed: Option<u64>,
    /// The rows that others are drawn from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value)]
    pub background: Option<Value>,
    /// More choices for the search, by its own names: `precision`, and for a model of one number `within`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub options: Option<Value>,
}

/// The rules that were found.
#[derive(Debug, Serialize, ToSchema)]
pub struct AnchorsBody {
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
    #[schema(example = "candor.anchors")]
    pub component: String,
    /// Where that comes from.
    pub plugin: OriginBody,
    /// What the numbers of answers are.
    #[schema(example = "probability")]
    pub space: String,
    /// The rows that others were drawn from.
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
    #[schema(example = 1600)]
    pub evaluations: u64,
    /// One entry a row, in the order of the rows.
    pub anchors: Vec<AnchorBody>,
}

/// The rule of one row.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"answer": {"setosa": 0.998}, "class": "setosa", "found": true,
    "conditions": [{"feature": "petal_length", "at_most": 1.6}], "precision": 1.0, "precision_low": 0.97,
    "precision_high": 1.0, "coverage": 0.3, "evaluations": 1600}))]
pub struct AnchorBody {
    /// What the version answers now, by output.
    #[schema(value_type = Object, example = json!({"setosa": 0.998}))]
    pub answer: Value,
    /// The class that the rule holds, where outputs are classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "setosa")]
    pub class: Option<String>,
    /// Whether the rule is as precise as was wanted; if not, it is the most precise that was found.
    #[schema(example = true)]
    pub found: bool,
    /// What has to hold, all of it; an empty list means that the model nearly always answers so.
    pub conditions: Vec<ConditionBody>,
    /// The share of equal answers among the rows that were drawn so that the rule holds.
    #[schema(example = 1.0)]
    pub precision: f64,
    /// The lower bound of that.
    #[schema(example = 0.97)]
    pub precision_low: f64,
    /// The upper bound of that.
    #[schema(example = 1.0)]
    pub precision_high: f64,
    /// The share of the background for which the rule holds.
    #[schema(example = 0.3)]
    pub coverage: f64,
    /// Rows that the model evaluated for it.
    #[schema(example = 1600)]
    pub evaluations: u64,
}

/// What has to hold of a feature.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"feature": "petal_length", "at_most": 1.6}))]
pub struct ConditionBody {
    /// The feature.
    #[schema(example = "petal_length")]
    pub feature: String,
    /// It is more than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value)]
    pub above: Option<Value>,
    /// It is at most this.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value, example = 1.6)]
    pub at_most: Option<Value>,
    /// It is this.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value)]
    pub equals: Option<Value>,
    /// There is no value.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(example = false)]
    pub missing: bool,
}

impl AnchorsBody {
    pub(crate) fn new(found: Anchors, beside: Beside) -> Self {
        let anchors = found.rows.iter().map(|row| anchor(row, &found.outputs)).collect();
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
            space: found.space.word().to_owned(),
            background: found.background.map(BackgroundNoteBody::from),
            budget: found.budget,
            seed: found.seed,
            evaluations: found.evaluations,
            anchors,
        }
    }
}

fn anchor(row: &RowAnchor, outputs: &[String]) -> AnchorBody {
    AnchorBody {
        answer: answer(outputs, &row.output),
        class: row.class.clone(),
        found: row.found,
        conditions: row.conditions.iter().map(condition).collect(),
        precision: row.precision,
        precision_low: row.precision_low,
        precision_high: row.precision_high,
        coverage: row.coverage,
        evaluations: row.evaluations,
    }
}

fn condition(condition: &Condition) -> ConditionBody {
    ConditionBody {
        feature: condition.feature.clone(),
        above: condition.above.as_ref().map(cell),
        at_most: condition.at_most.as_ref().map(cell),
        equals: condition.equals.as_ref().map(cell),
        missing: condition.missing,
    }
}
