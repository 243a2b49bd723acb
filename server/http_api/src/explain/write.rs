//! Explanations as they are written. What differs from one asking to the next (times, random names) has no place here:
//! the same question has the same bytes for an answer.

use std::{collections::BTreeMap, sync::Arc};

use candor_insight::explanations::{BackgroundNote, EngineNote, Explanation, Heat, RowExplanation, Shown, ShownCell};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::native::OriginBody;

/// An explanation of some rows.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExplanationBody {
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
    /// How it was found out.
    pub method: MethodBody,
    /// What the numbers are: `probability`; `margin`: what a classifier adds up before it makes probabilities of it;
    /// `raw`.
    #[schema(example = "margin")]
    pub space: String,
    /// The features, or groups of them, in the order of everything below.
    #[schema(example = json!(["sepal_length", "sepal_width", "petal_length", "petal_width"]))]
    pub features: Vec<String>,
    /// The rows that stood for "absent".
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub background: Option<BackgroundNoteBody>,
    /// Evaluations of the model per row that were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub budget: Option<u64>,
    /// The seed of what is drawn by chance.
    #[schema(example = 0)]
    pub seed: u64,
    /// Rows that the model evaluated for all of it, beside the rows themselves.
    #[schema(example = 40)]
    pub evaluations: u64,
    /// Where a default or an imputed value of the model's manifest was taken; the first 1,000 places.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(nullable = false)]
    pub filled: Vec<String>,
    /// One entry a row, in the order of the rows.
    pub explanations: Vec<RowBody>,
}

/// What ran a version.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExplainEngineBody {
    /// Its name.
    #[schema(example = "ort")]
    pub name: String,
    /// Its version.
    #[schema(example = "1.31.1")]
    pub version: String,
    /// sha256 of its library; not there for one that is compiled in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub sha256: Option<String>,
}

/// How an explanation was found out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"name": "tree", "component": "candor.tree_shap", "plugin": {"name": "shap", "version": "0.1.0"},
    "additive": true, "sampled": false, "config": {"perturbation": "interventional"}}))]
pub struct MethodBody {
    /// The method.
    #[schema(example = "tree")]
    pub name: String,
    /// The component that knows it.
    #[schema(example = "candor.tree_shap")]
    pub component: String,
    /// Where that comes from.
    pub plugin: OriginBody,
    /// Why it was chosen, where the caller left that open.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<String>,
    /// Whether its shares are meant to add up to the value.
    #[schema(example = true)]
    pub additive: bool,
    /// Whether it draws by chance.
    #[schema(example = false)]
    pub sampled: bool,
    /// The component's configuration.
    #[schema(value_type = Object, example = json!({"perturbation": "interventional"}))]
    pub config: Map<String, Value>,
}

/// The rows that stood for "absent".
#[derive(Debug, Serialize, ToSchema)]
pub struct BackgroundNoteBody {
    /// What they are called.
    #[schema(example = "background.csv")]
    pub id: String,
    /// Digest of their values.
    #[schema(example = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae")]
    pub sha256: String,
    /// `file`: of the model's folder; `golden`: the inputs of its golden pairs, because its owner named no file;
    /// `uploaded`.
    #[schema(example = "file")]
    pub source: String,
    /// How many there are.
    pub rows: usize,
    /// How many centres stood in their place.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub summary: Option<usize>,
}

/// The explanation of one row.
#[derive(Debug, Serialize, ToSchema)]
pub struct RowBody {
    /// One entry for each explained output.
    pub outputs: Vec<ExplainedOutputBody>,
    /// Rows that the model evaluated for it, where the method tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub evaluations: Option<u64>,
    /// Where features are parts of an image: top, left, height and width of a box around each.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Vec<Vec<i64>>>)]
    pub areas: Option<Vec<[i64; 4]>>,
    /// The share of each pixel, for pictures.
    #[serde(skip)]
    pub(crate) heat: Option<Arc<Heat>>,
}

/// The explanation of one output of one row.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExplainedOutputBody {
    /// The output: a class by its label, or an output by its name.
    #[schema(example = "virginica")]
    pub output: String,
    /// The value with nothing known.
    #[schema(example = 0.33)]
    pub base_value: f64,
    /// The value that is explained, in the explanation's space.
    #[schema(example = 0.94)]
    pub value: f64,
    /// The share of each feature, in the order of the features.
    pub attributions: Vec<AttributionBody>,
    /// Whether base and shares add up to the value.
    pub additivity: AdditivityBody,
    /// What the engine answered, beside what the explanation comes to.
    pub served: ServedBody,
    /// The share of each pair of features, where that was asked for: a list for each feature; main effects are on the
    /// diagonal, and the share of a pair in two halves beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub interactions: Option<Vec<Vec<f64>>>,
}

/// A feature's share.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttributionBody {
    /// The feature, or the group.
    #[schema(example = "petal_length")]
    pub feature: String,
    /// Its value in this row; by feature for a group, null for a gap. Not there for a whole tensor.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value, example = 1.4)]
    pub value: Option<Value>,
    /// Its share.
    #[schema(example = 0.42)]
    pub attribution: f64,
    /// The standard error of that, where the method draws by chance and tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub standard_error: Option<f64>,
}

/// Whether shares add up.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdditivityBody {
    /// Base and shares together, less the value.
    #[schema(example = 1.2e-16)]
    pub residual: f64,
    /// What is allowed: 0.00001 · (|base| + Σ|share|).
    #[schema(example = 1.9e-5)]
    pub tolerance: f64,
    /// Whether it is within that.
    #[schema(example = true)]
    pub holds: bool,
}

/// What was served.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServedBody {
    /// What the engine answered.
    #[schema(example = 0.94)]
    pub value: f64,
    /// What base and shares come to in the words of the answer (a margin as a probability); null where that cannot be
    /// told.
    pub explained: Option<f64>,
    /// Whether the two are the same, within 0.00001 of 1 or of the answer, whichever is more.
    pub agrees: Option<bool>,
}

/// What stands beside an explanation because of how it was asked.
#[derive(Default)]
pub(crate) struct Beside {
    pub(crate) id: Option<String>,
    pub(crate) fallback_from: Option<String>,
    pub(crate) filled: Vec<String>,
}

impl From<EngineNote> for ExplainEngineBody {
    fn from(EngineNote { name, version, sha256 }: EngineNote) -> Self {
        Self { name, version, sha256 }
    }
}

impl From<BackgroundNote> for BackgroundNoteBody {
    fn from(BackgroundNote { id, sha256, source, rows, summary }: BackgroundNote) -> Self {
        Self { id, sha256, source: source.word().to_owned(), rows, summary }
    }
}

impl ExplanationBody {
    pub(crate) fn new(explanation: Explanation, beside: Beside) -> Self {
        let rows = explanation.rows.iter().map(|row| row_body(&explanation, row)).collect();
        let method = explanation.method;
        let origin = method.origin;
        Self {
            id: beside.id,
            model: explanation.model,
            version: explanation.version,
            fallback_from: beside.fallback_from,
            sha256: explanation.sha256,
            engine: explanation.engine.into(),
            method: MethodBody {
                name: method.method.word().to_owned(),
                component: method.component,
                plugin: OriginBody { name: origin.plugin, version: origin.version, sha256: origin.sha256 },
                reason: method.reason,
                additive: method.is_additive,
                sampled: method.is_sampled,
                config: method.config,
            },
            space: explanation.space.word().to_owned(),
            features: explanation.features,
            background: explanation.background.map(BackgroundNoteBody::from),
            budget: explanation.budget,
            seed: explanation.seed,
            evaluations: explanation.evaluations,
            filled: beside.filled,
            explanations: rows,
        }
    }
}

impl ExplanationBody {
    /// Whether pixels have shares.
    pub(crate) fn has_heat(&self) -> bool {
        self.explanations.iter().any(|row| row.heat.is_some())
    }

    /// Whether the channels of an image come last, as the method was told.
    pub(crate) fn is_hwc(&self) -> bool {
        self.method.config.get("layout").and_then(Value::as_str) == Some("hwc")
    }
}

fn row_body(explanation: &Explanation, row: &RowExplanation) -> RowBody {
    let outputs = explanation.outputs.len();
    let players = explanation.features.len();
    let at = |values: &[f64], index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    let one = |output: usize| {
        let attributions = explanation.features.iter().enumerate().map(|(player, feature)| AttributionBody {
            feature: feature.clone(),
            // Parts have no values of their own.
            value: row.values.get(player).filter(|_| row.areas.is_none()).and_then(shown),
            attribution: at(&row.shares, player * outputs + output),
            standard_error: row.standard_errors.as_ref().map(|all| at(all, player * outputs + output)),
        });
        let interactions = row.interactions.as_ref().map(|all| {
            let line = |first: usize| {
                (0..players).map(|second| at(all, (first * players + second) * outputs + output)).collect()
            };
            (0..players).map(line).collect()
        });
        let additivity = row.additivity.get(output);
        let served = row.served.get(output);
        ExplainedOutputBody {
            output: explanation.outputs.get(output).cloned().unwrap_or_default(),
            base_value: at(&row.base, output),
            value: at(&row.output, output),
            attributions: attributions.collect(),
            additivity: AdditivityBody {
                residual: additivity.map_or(f64::NAN, |one| one.residual),
                tolerance: additivity.map_or(f64::NAN, |one| one.tolerance),
                holds: additivity.is_some_and(|one| one.holds),
            },
            served: ServedBody {
                value: served.map_or(f64::NAN, |one| as_served(one.value)),
                explained: served.and_then(|one| one.explained),
                agrees: served.and_then(|one| one.agrees),
            },
            interactions,
        }
    };
    RowBody {
        outputs: (0..outputs).map(one).collect(),
        evaluations: row.evaluations,
        areas: row.areas.clone(),
        heat: row.heat.clone(),
    }
}

/// A number as predictions write it: one of single precision in its shortest text.
fn as_served(value: f64) -> f64 {
    #[allow(clippy::cast_possible_truncation, reason = "compared with what it was")]
    let single = value as f32;
    if f64::from(single) == value { single.to_string().parse().unwrap_or(value) } else { value }
}

/// A value as JSON; nothing for a whole tensor.
fn shown(value: &Shown) -> Option<Value> {
    match value {
        Shown::One(cell) => Some(self::cell(cell)),
        Shown::Group(members) => {
            let members: BTreeMap<&String, Value> =
                members.iter().map(|(name, value)| (name, self::cell(value))).collect();
            serde_json::to_value(members).ok()
        }
        Shown::Whole => None,
    }
}

/// An element as JSON; a gap is null, and so is a whole tensor within a group.
pub(crate) fn cell(cell: &ShownCell) -> Value {
    match cell {
        ShownCell::Gap | ShownCell::Tensor => Value::Null,
        ShownCell::Double(value) => Value::from(*value),
        // The shortest text of a single: 5.1 and not 5.099999904632568.
        ShownCell::Single(value) => value.to_string().parse::<f64>().map_or(Value::Null, Value::from),
        ShownCell::Whole(value) => Value::from(*value),
        ShownCell::Truth(value) => Value::Bool(*value),
        ShownCell::Text(text) => Value::String(text.clone()),
    }
}
