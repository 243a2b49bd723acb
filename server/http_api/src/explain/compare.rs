//! Two versions on the same rows: where their answers and their reasons part.

use candor_domain::{Error, Result};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    ask::Own,
    schema::QuestionBody,
    write::{ExplainedOutputBody, ExplanationBody},
};

/// The members of a comparison.
pub(crate) const COMPARE: &[&str] =
    &["method", "output", "space", "budget", "seed", "background", "groups", "interactions", "options", "versions"];

/// Rows to explain by two versions.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(example = json!({"versions": ["1", "2"], "rows": [
    {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}]}))]
pub struct CompareBody {
    /// The two versions, the one that is compared with first.
    #[schema(min_items = 2, max_items = 2)]
    pub versions: Vec<String>,
    /// One entry a row: an object of features by name, or a list of values in the order of the features. Or `columns`.
    #[schema(min_items = 1)]
    pub rows: Vec<Value>,
    #[serde(flatten)]
    #[schema(inline = false)]
    pub question: QuestionBody,
}

/// The explanations of two versions, and what is between them.
#[derive(Debug, Serialize, ToSchema)]
pub struct ComparisonBody {
    /// The model.
    #[schema(example = "iris")]
    pub model: String,
    /// Row by row and output by output: the second version less the first.
    pub differences: Vec<RowDifferenceBody>,
    /// The explanations themselves, in the order of the versions.
    pub versions: Vec<ExplanationBody>,
}

/// What is between two explanations of one row.
#[derive(Debug, Serialize, ToSchema)]
pub struct RowDifferenceBody {
    /// By output.
    pub outputs: Vec<OutputDifferenceBody>,
}

/// What is between two explanations of one output.
#[derive(Debug, Serialize, ToSchema)]
pub struct OutputDifferenceBody {
    /// The output.
    #[schema(example = "setosa")]
    pub output: String,
    /// Between the values.
    #[schema(example = 0.015)]
    pub value: f64,
    /// Between the values with nothing known.
    #[schema(example = 0.002)]
    pub base_value: f64,
    /// Between the shares of each feature.
    pub attributions: Vec<DifferenceBody>,
}

/// What is between two shares.
#[derive(Debug, Serialize, ToSchema)]
pub struct DifferenceBody {
    /// The feature, or the group.
    #[schema(example = "petal_length")]
    pub feature: String,
    /// The second version's share less the first one's.
    #[schema(example = 0.013)]
    pub difference: f64,
}

/// The two versions that are compared.
///
/// # Errors
/// `InvalidInput` for anything but two.
pub(crate) fn versions(own: &Own) -> Result<[String; 2]> {
    let wrong = || Error::invalid("a comparison is of two versions").at("/versions").expected("such as [\"1\", \"2\"]");
    let versions: [String; 2] = own.texts("versions")?.ok_or_else(wrong)?.try_into().map_err(|_| wrong())?;
    if versions.first() == versions.last() {
        return Err(wrong().got("the same version twice"));
    }
    Ok(versions)
}

/// Puts two explanations beside each other.
///
/// # Errors
/// `InvalidInput` when their numbers cannot be compared.
pub(crate) fn compare(one: ExplanationBody, other: ExplanationBody) -> Result<ComparisonBody> {
    let apart = |what: &str, at: &str, one: &str, other: &str| {
        let error = Error::invalid(format!("the two versions are explained by different {what}")).at(at.to_owned());
        error.expected(one.to_owned()).got(other.to_owned())
    };
    if one.space != other.space {
        return Err(apart("spaces", "/space", &one.space, &other.space).hint("name the space"));
    }
    if one.features != other.features {
        let (one, other) = (one.features.join(", "), other.features.join(", "));
        return Err(apart("features", "/versions", &one, &other));
    }
    let rows = one.explanations.iter().zip(&other.explanations).map(|(one, other)| RowDifferenceBody {
        outputs: one
            .outputs
            .iter()
            .filter_map(|one| {
                let other = other.outputs.iter().find(|other| other.output == one.output)?;
                Some(difference(one, other))
            })
            .collect(),
    });
    Ok(ComparisonBody { model: one.model.clone(), differences: rows.collect(), versions: vec![one, other] })
}

fn difference(one: &ExplainedOutputBody, other: &ExplainedOutputBody) -> OutputDifferenceBody {
    let attributions = one.attributions.iter().zip(&other.attributions).map(|(one, other)| DifferenceBody {
        feature: one.feature.clone(),
        difference: other.attribution - one.attribution,
    });
    OutputDifferenceBody {
        output: one.output.clone(),
        value: other.value - one.value,
        base_value: other.base_value - one.base_value,
        attributions: attributions.collect(),
    }
}
