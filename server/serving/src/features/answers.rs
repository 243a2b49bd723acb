//! Output tensors into predictions: which output is the label, which the probabilities, which the value.
//!
//! The manifest's `role` decides; where it is silent, names and shapes that exporters of scikit-learn,
//! XGBoost and LightGBM use do. What has no role is handed on under its own name.

use std::sync::Arc;

use candor_domain::{Datatype, Dim, Error, Result, Signature, Tensor, TensorData, TensorSpec};

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
    /// Whether it falls apart into rows; `None` when the graph does not say, and its size decides.
    pub by_row: Option<bool>,
    /// The dimensions of one prediction's part of it; `None` when the graph does not say.
    pub dims: Option<Vec<Dim>>,
}

/// How outputs become predictions.
#[derive(Debug)]
pub struct Answers {
    outputs: Vec<OutputNotes>,
    rows: RowCount,
}

impl Answers {
    /// The outputs of a version with their roles.
    ///
    /// # Errors
    /// `InvalidModel` when the manifest gives an output a role that it cannot have, or one role to two, or
    /// a number of labels that the outputs contradict.
    pub fn new(signature: &Signature, manifest: &Manifest, rows: RowCount) -> Result<Self> {
        let mut taken: Vec<Role> = Vec::new();
        let mut outputs = Vec::with_capacity(signature.outputs.len());
        let alone = signature.outputs.len() == 1;
        for spec in &signature.outputs {
            let notes = manifest.outputs.iter().find(|notes| notes.name == *spec.name);
            let labels = notes.map(|notes| notes.labels.clone()).unwrap_or_default();
            let mut output = OutputNotes {
                name: Arc::clone(&spec.name),
                datatype: spec.datatype,
                role: Role::Other,
                labels,
                description: notes.and_then(|notes| notes.description.clone()),
                by_row: by_row(spec, rows),
                dims: part_dims(spec, rows),
            };
            output.role = match notes.and_then(|notes| notes.role) {
                Some(role) => declared(&output, role, &taken)?,
                None => {
                    let role = guessed(&output, manifest.task.as_deref(), alone);
                    if taken.contains(&role) || !output.can_be(role) { Role::Other } else { role }
                }
            };
            if output.role != Role::Other {
                taken.push(output.role);
            }
            outputs.push(output);
        }
        let answers = Self { outputs, rows };
        answers.check_labels()?;
        Ok(answers)
    }

    /// As many labels as classes, wherever the number of classes is known.
    fn check_labels(&self) -> Result<()> {
        let classes = [Role::Probabilities, Role::Scores].into_iter().find_map(|role| {
            let output = self.with_role(role)?;
            match output.dims.as_deref() {
                Some([Dim::Fixed(size)]) => Some((output, usize::try_from(*size).ok()?)),
                _ => None,
            }
        });
        let Some((output, classes)) = classes else { return Ok(()) };
        match self.with_role(Role::Label) {
            Some(label) if !label.labels.is_empty() && label.labels.len() != classes => Err(Error::model(format!(
                "the labels of '{}' are not as many as the classes of '{}'",
                label.name, output.name
            ))
            .at("model.toml")
            .expected(classes.to_string())
            .got(label.labels.len().to_string())),
            Some(_) | None => Ok(()),
        }
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
    pub fn per_row<'a>(&self, output: &OutputNotes, tensor: &'a Tensor, rows: usize) -> Option<Answer<'a>> {
        let dims = tensor.shape().dims();
        if self.rows == RowCount::Single {
            return Some(Answer { data: tensor.data(), dims, each: tensor.data().len() });
        }
        let (first, rest) = dims.split_first()?;
        if output.by_row == Some(false) || usize::try_from(*first) != Ok(rows) || rows == 0 {
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

/// Whether the first dimension of an output counts rows.
fn by_row(spec: &TensorSpec, rows: RowCount) -> Option<bool> {
    let first = spec.dims.as_ref()?.first();
    Some(match rows {
        RowCount::Free => matches!(first, Some(Dim::Any(_))),
        RowCount::Exactly(rows) => first.is_some_and(|first| usize::try_from(first.wire()) == Ok(rows)),
        // One prediction has all of it.
        RowCount::Single => true,
    })
}

/// The dimensions of one prediction's part of an output.
fn part_dims(spec: &TensorSpec, rows: RowCount) -> Option<Vec<Dim>> {
    let dims = spec.dims.as_deref()?;
    let part = match (rows, dims) {
        // A batch of one is no list to people.
        (RowCount::Single, [Dim::Fixed(1), rest @ ..]) => rest,
        (RowCount::Single, dims) => dims,
        (RowCount::Free | RowCount::Exactly(_), dims) => {
            dims.get(usize::from(by_row(spec, rows)?)..).unwrap_or_default()
        }
    };
    Some(part.to_vec())
}

impl OutputNotes {
    fn is_one_element(&self) -> bool {
        matches!(self.dims.as_deref(), Some([] | [Dim::Fixed(1)]))
    }

    /// Whether it can have a role at all.
    fn can_be(&self, role: Role) -> bool {
        let number = FeatureKind::of(self.datatype) == FeatureKind::Number;
        let by_row = self.by_row != Some(false);
        match role {
            Role::Label => by_row && !number && self.is_one_element(),
            Role::Value => by_row && self.is_one_element() && FeatureKind::of(self.datatype) != FeatureKind::String,
            Role::Probabilities | Role::Scores => by_row && number && matches!(self.dims.as_deref(), Some([_])),
            Role::Other => true,
        }
    }
}

/// A role that the manifest gives, if the output can have it and no other has it.
fn declared(output: &OutputNotes, role: Role, taken: &[Role]) -> Result<Role> {
    let wrong = |what: String| Error::model(what).at(format!("model.toml, output '{}'", output.name));
    if !output.can_be(role) {
        let expected = match role {
            Role::Label => "an integer or text a row",
            Role::Value => "a number a row",
            Role::Probabilities | Role::Scores => "a list of numbers a row",
            Role::Other => "anything",
        };
        return Err(wrong(format!("the output cannot have the role \"{}\"", word(role))).expected(expected));
    }
    if role != Role::Other && taken.contains(&role) {
        return Err(wrong(format!("another output has the role \"{}\" already", word(role)))
            .hint("give the other one a role of its own, such as \"other\""));
    }
    Ok(role)
}

/// The role as `model.toml` writes it.
#[must_use]
pub const fn word(role: Role) -> &'static str {
    match role {
        Role::Label => "label",
        Role::Probabilities => "probabilities",
        Role::Scores => "scores",
        Role::Value => "value",
        Role::Other => "other",
    }
}

fn guessed(output: &OutputNotes, task: Option<&str>, alone: bool) -> Role {
    const LABEL_NAMES: [&str; 4] = ["label", "output_label", "class", "predicted_label"];
    let kind = FeatureKind::of(output.datatype);
    let name = output.name.to_ascii_lowercase();
    let has_labels = !output.labels.is_empty();
    if output.is_one_element() {
        let called_label = LABEL_NAMES.contains(&name.as_str());
        return match kind {
            FeatureKind::Integer | FeatureKind::String if has_labels || called_label => Role::Label,
            FeatureKind::String | FeatureKind::Boolean => Role::Other,
            FeatureKind::Number | FeatureKind::Integer if task == Some("regression") || alone => Role::Value,
            FeatureKind::Number | FeatureKind::Integer => Role::Other,
        };
    }
    match (kind, output.dims.as_deref()) {
        (FeatureKind::Number, Some([_])) if name.contains("prob") => Role::Probabilities,
        (FeatureKind::Number, Some([_])) if has_labels => Role::Scores,
        _ => Role::Other,
    }
}
