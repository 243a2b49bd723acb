//! `tests/zoo/zoo.json` and the models beside it, which `tests/zoo/make_zoo.py` makes.

use std::{fs, path::Path};

use candor_domain::{BytesArray, Datatype, Shape, Tensor, TensorData};
use serde::Deserialize;

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTensor {
    name: String,
    datatype: String,
    shape: Vec<i64>,
    data: Vec<Element>,
}

/// Strings stand for themselves, and for the numbers that JSON lacks.
#[derive(Deserialize)]
#[serde(untagged)]
enum Element {
    Whole(i64),
    Number(f64),
    Text(String),
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

impl RawTensor {
    fn read(&self) -> Result<(String, Tensor), String> {
        let data = match Datatype::from_name(&self.datatype) {
            #[allow(clippy::cast_possible_truncation, reason = "written from a number of 32 bits")]
            Some(Datatype::Fp32) => TensorData::Fp32(self.numbers()?.into_iter().map(|number| number as f32).collect()),
            Some(Datatype::Fp64) => TensorData::Fp64(self.numbers()?),
            Some(Datatype::Int64) => TensorData::Int64(self.each(|element| match element {
                Element::Whole(number) => Some(*number),
                Element::Number(_) | Element::Text(_) => None,
            })?),
            Some(Datatype::Bytes) => {
                let texts = self.each(|element| if let Element::Text(text) = element { Some(text) } else { None })?;
                TensorData::Bytes(texts.into_iter().collect::<BytesArray>())
            }
            Some(_) | None => return Err(format!("zoo.json has no tensors of {}", self.datatype)),
        };
        let shape = Shape::new(&self.shape).map_err(|error| error.to_string())?;
        let tensor = Tensor::new(shape, data).map_err(|error| format!("{}: {error}", self.name))?;
        Ok((self.name.clone(), tensor))
    }

    #[allow(clippy::cast_precision_loss, reason = "written from a float that happens to be whole")]
    fn numbers(&self) -> Result<Vec<f64>, String> {
        self.each(|element| match element {
            Element::Whole(number) => Some(*number as f64),
            Element::Number(number) => Some(*number),
            Element::Text(word) => word.parse().ok(),
        })
    }

    fn each<'a, T>(&'a self, read: impl Fn(&'a Element) -> Option<T>) -> Result<Vec<T>, String> {
        let wrong = || format!("{} holds an element that is not of its datatype", self.name);
        self.data.iter().map(|element| read(element).ok_or_else(wrong)).collect()
    }
}
