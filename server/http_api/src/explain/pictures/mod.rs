//! Explanations for the eye: which picture is wanted, and the answer's own values as those that pictures are made of.
//!
//! | module | what it does |
//! |---|---|
//! | `decision` | one row: waterfall, force, bar, heat map, and the report of a decision |
//! | `heat` | where in an image |
//! | `model` | the result of a job: pictures of many rows, and the report of a model |
//!
//! After `write`, `what_if` and `global`: pictures show the numbers that JSON shows, and no others. It knows no explainer
//! but by the words of the answer.

mod decision;
mod heat;
mod model;

use candor_domain::{Error, Result, names::quoted};
use candor_pictures::{
    data::{Quantity, Space},
    report::{
        POLICY,
        data::{Background, Provenance},
    },
};
use serde_json::{Map, Value};

pub(crate) use decision::{Case, draw, told};
pub(crate) use heat::image;
pub(crate) use model::{draw_result, told_result};

use super::write::BackgroundNoteBody;
use crate::native::{HTML, SVG, View};

/// What is to be drawn, from the query string.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Which picture.
    pub(crate) picture: Option<String>,
    /// Of which row, from 0.
    pub(crate) row: usize,
    /// Whether a report looks for what would change the answer.
    pub(crate) counterfactuals: bool,
    /// Of which feature.
    pub(crate) feature: Option<String>,
    /// Of which output.
    pub(crate) output: Option<String>,
}

impl Wanted {
    /// Takes out of the query string what is said of the picture of one row; numbers have none.
    ///
    /// # Errors
    /// `InvalidInput` with the parameter.
    pub(crate) fn of_row(pairs: &mut Vec<(String, String)>, view: View) -> Result<Self> {
        let names: &[&str] = match view {
            View::Json(_) => return Ok(Self::default()),
            View::Svg => &["picture", "row"],
            View::Html => &["row", "counterfactuals"],
        };
        Self::take(pairs, names)
    }

    /// Takes out of the query string what is said of the pictures of a job's result.
    ///
    /// # Errors
    /// `InvalidInput` with the parameter, and for all that is no such.
    pub(crate) fn of_result(mut pairs: Vec<(String, String)>, view: View) -> Result<Self> {
        let names: &[&str] = match view {
            View::Json(_) => &[],
            View::Svg => &["picture", "feature", "output"],
            View::Html => &["output"],
        };
        let wanted = Self::take(&mut pairs, names)?;
        let Some((name, _)) = pairs.first() else { return Ok(wanted) };
        let error = Error::invalid(format!("there is no parameter {} here", quoted(name))).at("query");
        Err(error.expected(if names.is_empty() { "none".to_owned() } else { names.join(", ") }))
    }

    /// Looks whether a request of so many rows has the row, before anything is explained.
    ///
    /// # Errors
    /// `InvalidInput` if it has not.
    pub(crate) fn check_row(&self, rows: usize) -> Result<()> {
        if self.row < rows {
            return Ok(());
        }
        let error = Error::invalid("the request has no such row").at("query row").got(self.row.to_string());
        Err(error.expected(format!("0 to {}", rows.saturating_sub(1))))
    }

    fn take(pairs: &mut Vec<(String, String)>, names: &[&str]) -> Result<Self> {
        let mut wanted = Self::default();
        for (name, text) in pairs.extract_if(.., |(name, _)| names.contains(&name.as_str())) {
            let wrong = |expected: &str| {
                let error = Error::invalid("this says nothing").at(format!("query {name}")).got(quoted(&text));
                error.expected(expected.to_owned())
            };
            match name.as_str() {
                "picture" => wanted.picture = Some(text),
                "feature" => wanted.feature = Some(text),
                "output" => wanted.output = Some(text),
                "row" => wanted.row = text.parse().map_err(|_| wrong("the number of a row, from 0"))?,
                _ => {
                    wanted.counterfactuals = match text.as_str() {
                        "true" | "1" => true,
                        "false" | "0" => false,
                        _ => return Err(wrong("true or false")),
                    }
                }
            }
        }
        Ok(wanted)
    }
}

/// No such picture.
fn no_picture(got: &str, there_are: &[&str]) -> Error {
    Error::invalid("there is no such picture").at("query picture").expected(there_are.join(", ")).got(quoted(got))
}

/// The head of an answer for the eye: what it may load (nothing), and that it is to be shown.
pub(crate) fn head(response: &mut actix_web::HttpResponseBuilder, view: View, name: &str) {
    use actix_web::http::header;
    let (media_type, ending) = match view {
        View::Html => (HTML, "html"),
        View::Svg | View::Json(_) => (SVG, "svg"),
    };
    let safe = |char: &char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.');
    let name: String = name.chars().filter(safe).take(100).collect();
    response
        .content_type(format!("{media_type}; charset=utf-8"))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_DISPOSITION, format!("inline; filename=\"{name}.{ending}\"")));
}

/// What is explained, in words.
fn quantity(space: &str, output: &str) -> Quantity {
    let (name, space) = match space {
        "probability" => (format!("probability of {output}"), Space::Probability),
        "margin" => (format!("evidence for {output}"), Space::Margin),
        _ => (output.to_owned(), Space::Raw),
    };
    Quantity { name, unit: None, space }
}

/// What the base is where it is no average over a background.
fn base_is(method: &str, config: &Map<String, Value>, has_background: bool) -> Option<String> {
    let set = |name: &str| config.get(name).and_then(Value::as_str);
    let told = match method {
        "tree" if set("perturbation") == Some("path_dependent") => {
            "the average over the rows that the trees were trained on, as the trees have counted them"
        }
        "lime" => "where the straight line starts that this method has laid through the neighbourhood of the row",
        "occlusion" => "the answer with every part covered",
        "integrated_gradients" if set("baseline") == Some("zero") => "the answer where every feature is zero",
        "integrated_gradients" => "the answer for the average row of the background",
        "linear" | "tree" | "exact" | "kernel" | "permutation" if has_background => return None,
        "linear" | "tree" | "exact" | "kernel" | "permutation" => "the value that the method starts from",
        // A component of somebody's own.
        _ => "the value that the method calls its base",
    };
    Some(told.to_owned())
}

/// The rows that stood for "absent".
fn background(note: &BackgroundNoteBody) -> Background {
    let source = match note.source.as_str() {
        "file" => "named by the owner of the model",
        "golden" => "the inputs that prove the model, because its owner has named no rows",
        _ => "uploaded",
    };
    let summary = note.summary.map(|centres| format!("; {centres} centres by k-means stood in their place"));
    Background {
        id: Some(note.id.clone()),
        digest: Some(note.sha256.clone()),
        rows: u64::try_from(note.rows).ok(),
        description: Some(format!("{source}{}", summary.unwrap_or_default())),
    }
}

/// A method and what it was told to do.
fn method(name: &str, component: &str, config: &Map<String, Value>) -> String {
    let perturbation = config.get("perturbation").and_then(Value::as_str).map(|word| format!(", {word}"));
    format!("{name}{} ({component})", perturbation.unwrap_or_default())
}

/// A value as people read it; nothing of a group but what is in it.
fn value_told(value: &Value, unit: Option<&str>) -> String {
    const MEMBERS_MAX: usize = 4;
    match value {
        Value::Null => "missing".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => unit.map_or_else(|| number.to_string(), |unit| format!("{number} {unit}")),
        Value::String(text) => text.clone(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(members) => {
            let told =
                members.iter().take(MEMBERS_MAX).map(|(name, value)| format!("{name} {}", value_told(value, None)));
            let told = told.collect::<Vec<_>>().join(", ");
            if members.len() > MEMBERS_MAX { format!("{told}, …") } else { told }
        }
    }
}

/// From what all was made, as far as both answers have it.
fn provenance(model: &str, version: &str, sha256: &str) -> Provenance {
    Provenance {
        model: model.to_owned(),
        version: Some(version.to_owned()),
        model_digest: Some(sha256.to_owned()),
        ..Provenance::default()
    }
}
