//! `MLmodel`: what an MLflow model folder says of a model with an ONNX flavour.
//!
//! Only the ONNX flavour is served: the others are pickles and Python, and no pickle is read. Columns that
//! the signature names become the names of features.

mod signature;
mod yaml;

use std::collections::BTreeMap;

use candor_domain::{Error, Result, Signature, names::quoted};

use super::{
    MLMODEL_FILE, layout,
    manifest::{Feature, Manifest, TensorNotes},
};
use signature::Fields;

/// Largest file: one by MLflow has a few kilobytes.
const BYTES_MAX: usize = 256 << 10;

/// The contents of `MLmodel`, as far as they matter here.
#[derive(Debug, Clone, Default)]
pub struct MlModel {
    /// The file or folder of the graph.
    pub data: String,
    /// What it says of its making, for people.
    pub properties: BTreeMap<String, String>,
    title: Option<String>,
    description: Option<String>,
    inputs: Fields,
    outputs: Fields,
}

impl MlModel {
    /// Reads the file.
    ///
    /// # Errors
    /// `InvalidModel` for what is no YAML of this kind, and for a model without an ONNX flavour.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > BYTES_MAX {
            return Err(Error::model("the file is too large")
                .at(MLMODEL_FILE)
                .expected(format!("at most {BYTES_MAX} bytes"))
                .got(format!("{} bytes", text.len())));
        }
        let raw: yaml::MlModel =
            yaml_serde::from_str(text).map_err(|error| Error::model(error.to_string()).at(MLMODEL_FILE))?;
        let Some(onnx) = raw.flavors.onnx else {
            let others: Vec<_> = raw.flavors.others.iter().map(|name| quoted(name)).collect();
            return Err(Error::model("the model has no ONNX flavour")
                .at(format!("{MLMODEL_FILE} flavors"))
                .expected("onnx")
                .got(if others.is_empty() { "none".to_owned() } else { others.join(", ") })
                .hint("no pickle is read here: convert the model to ONNX and save it with mlflow.onnx.save_model"));
        };
        let data = onnx.data.unwrap_or_else(|| super::MODEL_FILE.to_owned());
        if !layout::is_plain(&data) {
            return Err(Error::model("data is not the name of a file")
                .at(format!("{MLMODEL_FILE} flavors.onnx.data"))
                .expected("a name without a path, such as model.onnx")
                .got(quoted(&data)));
        }
        let signature = raw.signature.unwrap_or_default();
        let mut metadata = raw.metadata.unwrap_or_default().0;
        let (title, description) = (metadata.remove("title"), metadata.remove("description"));
        let facts = [
            ("model_uuid", raw.model_uuid),
            ("model_id", raw.model_id),
            ("run_id", raw.run_id),
            ("utc_time_created", raw.utc_time_created),
            ("mlflow_version", raw.mlflow_version),
        ];
        let facts = facts.into_iter().filter_map(|(key, value)| Some((format!("mlflow.{key}"), value?)));
        let metadata = metadata.into_iter().map(|(key, value)| (format!("mlflow.metadata.{key}"), value));
        Ok(Self {
            data,
            properties: facts.chain(metadata).collect(),
            title,
            description,
            inputs: Fields::parse(signature.inputs.as_deref(), "inputs")?,
            outputs: Fields::parse(signature.outputs.as_deref(), "outputs")?,
        })
    }

    /// Compares the signature with the graph; `manifest` gets names of features, and a title and a
    /// description where it has none. Gives what could not be used, and why.
    ///
    /// # Errors
    /// `InvalidModel` that names the place in the file and what the graph says.
    pub fn fit(&self, graph: &Signature, manifest: &mut Manifest) -> Result<Vec<String>> {
        let mut notes = Vec::new();
        if let Some((input, columns)) = self.inputs.fit_inputs(&graph.inputs, &mut notes)? {
            name_features(input, columns, manifest)?;
        }
        self.outputs.fit_outputs(&graph.outputs, &mut notes)?;
        manifest.title = manifest.title.take().or_else(|| self.title.clone());
        manifest.description = manifest.description.take().or_else(|| self.description.clone());
        Ok(notes)
    }
}

/// Gives the columns of an input their names.
fn name_features(input: &str, columns: Vec<String>, manifest: &mut Manifest) -> Result<()> {
    let named = || columns.iter().map(|name| Feature { name: name.clone(), ..Feature::default() });
    match manifest.inputs.iter_mut().find(|notes| notes.name == input) {
        None => manifest.inputs.push(TensorNotes {
            name: input.to_owned(),
            features: named().collect(),
            ..TensorNotes::default()
        }),
        Some(notes) if notes.features.is_empty() => notes.features = named().collect(),
        Some(notes) => {
            let toml: Vec<_> = notes.features.iter().map(|feature| feature.name.clone()).collect();
            if toml != columns {
                return Err(Error::model(format!("the columns of input '{input}' contradict model.toml"))
                    .at(format!("{MLMODEL_FILE} signature.inputs"))
                    .expected(toml.join(", "))
                    .got(columns.join(", ")));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
