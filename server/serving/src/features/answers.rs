//! Output tensors into predictions: which output is the label, which the probabilities, which the value.
//!
//! The manifest's `role` decides; where it is silent, names and shapes that exporters of scikit-learn,
//! XGBoost and LightGBM use do. What has no role is handed on under its own name.

use std::sync::Arc;

use candor_domain::{Datatype, Dim, Signature, Tensor, TensorData, TensorSpec};

use super::{FeatureKind, RowCount};
use crate::repository::{Manifest, Role};

/// What is known of one output.
#[derive(Debug, Clone)]
pub struct OutputNotes {
    /// Its name.
    pub name: Arc<str>,
    /// Its element type.
    pub datatype: Datatype,
    /// What it is to people; each role but `Other` belongs to one output at most.
    pub role: Role,
    /// Class labels.
    pub labels: Vec<String>,
    /// What the manifest says of it.
    pub description: Option<String>,
}

/// How outputs become predictions.
#[derive(Debug)]
pub struct Answers {
    outputs: Vec<OutputNotes>,
    rows: RowCount,
}

impl Answers {
    /// The outputs of a version with their roles.
    #[must_use]
    pub fn new(signature: &Signature, manifest: &Manifest, rows: RowCount) -> Self {
        let mut taken: Vec<Role> = Vec::new();
        let mut outputs = Vec::with_capacity(signature.outputs.len());
        let alone = signature.outputs.len() == 1;
        for spec in &signature.outputs {
            let notes = manifest.outputs.iter().find(|notes| notes.name == *spec.name);
            let labels = notes.map(|notes| notes.labels.clone()).unwrap_or_default();
            let role = notes
                .and_then(|notes| notes.role)
                .unwrap_or_else(|| guessed(spec, !labels.is_empty(), manifest.task.as_deref(), alone));
            let role = if taken.contains(&role) || !possible(spec, role) { Role::Other } else { role };
            if role != Role::Other {
                taken.push(role);
            }
            let description = notes.and_then(|notes| notes.description.clone());
            outputs.push(OutputNotes {
                name: Arc::clone(&spec.name),
                datatype: spec.datatype,
                role,
                labels,
                description,
            });
        }
        Self { outputs, rows }
    }

    /// The outputs in the signature's order.
    #[must_use]
    pub fn outputs(&self) -> &[OutputNotes] {
        &self.outputs
    }

    /// The output that has `role`.
    #[must_use]
    pub fn with_role(&self, role: Role) -> Option<&OutputNotes> {
        self.outputs.iter().find(|output| output.role == role)
    }

    /// How a tensor falls apart into the predictions of `rows` rows; `None` when it does not.
    #[must_use]
    pub fn per_row<'a>(&self, tensor: &'a Tensor, rows: usize) -> Option<Answer<'a>> {
        let dims = tensor.shape().dims();
        if self.rows == RowCount::Single {
            return Some(Answer { data: tensor.data(), dims, each: tensor.data().len() });
        }
        let (first, rest) = dims.split_first()?;
        if usize::try_from(*first) != Ok(rows) || rows == 0 {
            return None;
        }
        Some(Answer { data: tensor.data(), dims: rest, each: tensor.data().len() / rows })
    }
}

/// One output, by row.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The elements of all rows.
    pub data: &'a TensorData,
    /// Dimensions of one row.
    pub dims: &'a [i64],
    /// Elements of one row.
    pub each: usize,
}

/// The label of a class: its text, its name in `labels`, or its number.
#[must_use]
pub fn label_at(data: &TensorData, index: usize, labels: &[String]) -> Option<String> {
    let number = match data {
        TensorData::Bytes(texts) => {
            return texts.get(index).map(|text| String::from_utf8_lossy(text).into_owned());
        }
        TensorData::Bool(values) => i128::from(*values.get(index)?),
        TensorData::Uint8(values) => i128::from(*values.get(index)?),
        TensorData::Uint16(values) => i128::from(*values.get(index)?),
        TensorData::Uint32(values) => i128::from(*values.get(index)?),
        TensorData::Uint64(values) => i128::from(*values.get(index)?),
        TensorData::Int8(values) => i128::from(*values.get(index)?),
        TensorData::Int16(values) => i128::from(*values.get(index)?),
        TensorData::Int32(values) => i128::from(*values.get(index)?),
        TensorData::Int64(values) => i128::from(*values.get(index)?),
        TensorData::Fp16(_) | TensorData::Bf16(_) | TensorData::Fp32(_) | TensorData::Fp64(_) => return None,
    };
    let named = usize::try_from(number).ok().and_then(|class| labels.get(class));
    Some(named.cloned().unwrap_or_else(|| number.to_string()))
}

/// Dimensions of one row as far as they are declared.
fn row_dims(spec: &TensorSpec) -> Option<&[Dim]> {
    spec.dims.as_ref().and_then(|dims| dims.get(1..))
}

fn is_one_element(spec: &TensorSpec) -> bool {
    matches!(row_dims(spec), Some([] | [Dim::Fixed(1)]))
}

fn guessed(spec: &TensorSpec, has_labels: bool, task: Option<&str>, alone: bool) -> Role {
    const LABEL_NAMES: [&str; 4] = ["label", "output_label", "class", "predicted_label"];
    let kind = FeatureKind::of(spec.datatype);
    let name = spec.name.to_ascii_lowercase();
    if is_one_element(spec) {
        let called_label = LABEL_NAMES.contains(&name.as_str());
        return match kind {
            FeatureKind::Integer | FeatureKind::String if has_labels || called_label => Role::Label,
            FeatureKind::String | FeatureKind::Boolean => Role::Other,
            FeatureKind::Number | FeatureKind::Integer if task == Some("regression") || alone => Role::Value,
            FeatureKind::Number | FeatureKind::Integer => Role::Other,
        };
    }
    match (kind, row_dims(spec)) {
        (FeatureKind::Number, Some([_])) if name.contains("prob") => Role::Probabilities,
        (FeatureKind::Number, Some([_])) if has_labels => Role::Scores,
        _ => Role::Other,
    }
}

/// Whether an output can have a role at all.
fn possible(spec: &TensorSpec, role: Role) -> bool {
    let number = FeatureKind::of(spec.datatype) == FeatureKind::Number;
    match role {
        Role::Label => !number && is_one_element(spec),
        Role::Value => is_one_element(spec) && FeatureKind::of(spec.datatype) != FeatureKind::String,
        Role::Probabilities | Role::Scores => number && matches!(row_dims(spec), Some([_])),
        Role::Other => true,
    }
}
