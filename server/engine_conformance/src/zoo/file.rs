//! `tests/zoo/zoo.json` and the models beside it, which `tests/zoo/make_zoo.py` makes.

use std::{fs, path::Path};

use candor_domain::Tensor;
use serde::Deserialize;

use crate::named::RawTensor;

/// One model.
pub(super) struct Model {
    pub(super) name: String,
    pub(super) operators: Vec<String>,
    pub(super) bytes: Vec<u8>,
    pub(super) inputs: Vec<(String, Tensor)>,
    /// Answers of the library; none where they cannot be compared.
    pub(super) outputs: Vec<(String, Tensor)>,
    pub(super) tolerance: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tolerance: f64,
    models: Vec<RawModel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawModel {
    name: String,
    #[allow(dead_code, reason = "for people")]
    library: String,
    operators: Vec<String>,
    inputs: Vec<RawTensor>,
    #[serde(default)]
    outputs: Vec<RawTensor>,
}

pub(super) fn read() -> Result<Vec<Model>, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/zoo");
    let text = fs::read_to_string(folder.join("zoo.json")).map_err(|error| format!("zoo.json: {error}"))?;
    let file: File = serde_json::from_str(&text).map_err(|error| format!("zoo.json: {error}"))?;
    let model = |raw: RawModel| -> Result<Model, String> {
        let path = folder.join("models").join(format!("{}.onnx", raw.name));
        let side = |tensors: &[RawTensor]| tensors.iter().map(RawTensor::read).collect::<Result<Vec<_>, String>>();
        Ok(Model {
            bytes: fs::read(path).map_err(|error| format!("{}: {error}", raw.name))?,
            inputs: side(&raw.inputs)?,
            outputs: side(&raw.outputs)?,
            tolerance: file.tolerance,
            operators: raw.operators,
            name: raw.name,
        })
    };
    file.models.into_iter().map(model).collect()
}
