//! The requests that are measured: three sample models, one and 32 rows, as tensors, JSON, bytes and rows of
//! named features.
//!
//! Rows come from each model's golden pairs, so they are real inputs. Nothing here runs anything.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use candor_domain::{Shape, Tensor, TensorData};
use candor_serving::Manifest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The sample models that are measured; each has one FP32 input whose first dimension counts rows.
pub const MODELS: [&str; 3] = ["iris", "breast_cancer", "digits"];

/// Rows of a request.
const ROWS: [usize; 2] = [1, 32];

/// Golden pairs that hold typical rows; those behind them are edge cases, whose JSON is shorter or longer.
const TYPICAL_PAIRS: usize = 2;

/// How tensors travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// In the JSON.
    Json,
    /// As bytes behind it, both ways.
    Binary,
    /// As rows of named features, to the native API.
    Rows,
}

/// A request in all formats.
#[derive(Debug)]
pub struct Case {
    /// The model.
    pub model: String,
    /// The folder of the version that the server picks: the highest.
    pub folder: PathBuf,
    /// Rows of the input.
    pub rows: usize,
    /// The input.
    pub input: Tensor,
    json: Vec<u8>,
    binary: Vec<u8>,
    binary_head_bytes: usize,
    by_name: Vec<u8>,
}

impl Case {
    /// Its name in tables.
    pub fn name(&self) -> String {
        format!("{} × {}", self.model, self.rows)
    }

    /// The path that it is posted to.
    pub fn path(&self, format: Format) -> String {
        match format {
            Format::Json | Format::Binary => format!("/v2/models/{}/infer", self.model),
            Format::Rows => format!("/api/v1/models/{}/predict", self.model),
        }
    }

    /// The body.
    pub fn body(&self, format: Format) -> &[u8] {
        match format {
            Format::Json => &self.json,
            Format::Binary => &self.binary,
            Format::Rows => &self.by_name,
        }
    }

    /// The length of the JSON part, where bytes follow it.
    pub fn head_bytes(&self, format: Format) -> Option<usize> {
        (format == Format::Binary).then_some(self.binary_head_bytes)
    }
}

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Pair>,
}

#[derive(Deserialize)]
struct Pair {
    inputs: Vec<Input>,
}

#[derive(Deserialize)]
struct Input {
    name: String,
    datatype: String,
    shape: Vec<i64>,
    data: Vec<f32>,
}

/// The requests of these models, in their order.
pub fn cases(models_folder: &Path, models: &[String]) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for model in models {
        let folder = highest_version(&models_folder.join(model))?;
        let path = folder.join("golden.json");
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let golden: Golden = serde_json::from_slice(&text).with_context(|| format!("{} is broken", path.display()))?;
        let manifest = fs::read_to_string(models_folder.join(model).join("model.toml")).unwrap_or_default();
        let names = feature_names(&Manifest::parse(&manifest)?);
        for rows in ROWS {
            let case = case(model, &folder, &golden, rows, &names);
            cases.push(case.with_context(|| format!("no request can be made from {}", path.display()))?);
        }
    }
    Ok(cases)
}

fn highest_version(model: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(model).with_context(|| format!("cannot read {}", model.display()))?;
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u64>().ok());
    let highest = numbers.max().with_context(|| format!("{} holds no version", model.display()))?;
    Ok(model.join(highest.to_string()))
}

/// What the first input's columns are called; none if they have no names.
fn feature_names(manifest: &Manifest) -> Vec<String> {
    manifest.inputs.first().into_iter().flat_map(|input| &input.features).map(|one| one.name.clone()).collect()
}

/// The body with named features: columns by their names, or the whole input under its own.
fn rows_body(input: &str, names: &[String], dims: &[i64], data: &[f32]) -> Result<Vec<u8>> {
    fn nested(dims: &[i64], data: &[f32]) -> Value {
        match dims.split_first() {
            None => data.first().copied().into(),
            Some((&size, rest)) => {
                let step = (data.len() / usize::try_from(size).unwrap_or(1).max(1)).max(1);
                data.chunks(step).map(|piece| nested(rest, piece)).collect()
            }
        }
    }
    let (rows, row_dims) = dims.split_first().context("no dimension counts rows")?;
    let each = data.len() / usize::try_from(*rows)?.max(1);
    let row = |values: &[f32]| -> Map<String, Value> {
        match names {
            [] => Map::from_iter([(input.to_owned(), nested(row_dims, values))]),
            names => names.iter().cloned().zip(values.iter().map(|&value| value.into())).collect(),
        }
    };
    Ok(serde_json::to_vec(&json!({"rows": data.chunks(each).map(row).collect::<Vec<_>>()}))?)
}

fn case(model: &str, folder: &Path, golden: &Golden, rows: usize, names: &[String]) -> Result<Case> {
    let inputs = || golden.cases.iter().take(TYPICAL_PAIRS).filter_map(|pair| pair.inputs.first());
    let first = inputs().next().context("it has no input")?;
    ensure!(first.datatype == "FP32", "its input is {}, not FP32", first.datatype);
    let (_, row_dims) = first.shape.split_first().context("its input has no dimension that counts rows")?;
    let row_elements = Shape::new(row_dims)?.elements();
    let typical: Vec<&[f32]> = inputs().flat_map(|input| input.data.chunks_exact(row_elements)).collect();
    let data: Vec<f32> = typical.iter().cycle().take(rows).copied().flatten().copied().collect();
    let dims: Vec<i64> = std::iter::once(i64::try_from(rows)?).chain(row_dims.iter().copied()).collect();

    let json = Request::new(WireInput { data: Some(&data), ..WireInput::new(&first.name, &dims) }, None);
    let json = serde_json::to_vec(&json)?;
    let bytes: Vec<u8> = data.iter().flat_map(|number| number.to_le_bytes()).collect();
    let sized = Some(BinarySize { binary_data_size: bytes.len() });
    let head = WireInput { parameters: sized, ..WireInput::new(&first.name, &dims) };
    let mut binary = serde_json::to_vec(&Request::new(head, Some(BinaryOutput { binary_data_output: true })))?;
    let binary_head_bytes = binary.len();
    binary.extend_from_slice(&bytes);
    let by_name = rows_body(&first.name, names, &dims, &data)?;
    let input = Tensor::new(Shape::new(&dims)?, TensorData::Fp32(data))?;
    let (model, folder) = (model.to_owned(), folder.to_owned());
    Ok(Case { model, folder, rows, input, json, binary, binary_head_bytes, by_name })
}

/// The keys in the order in which `tritonclient` writes them.
#[derive(Serialize)]
struct Request<'a> {
    inputs: [WireInput<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<BinaryOutput>,
}

impl<'a> Request<'a> {
    fn new(input: WireInput<'a>, parameters: Option<BinaryOutput>) -> Self {
        Self { inputs: [input], parameters }
    }
}

#[derive(Serialize)]
struct WireInput<'a> {
    name: &'a str,
    shape: &'a [i64],
    datatype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<BinarySize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a [f32]>,
}

impl<'a> WireInput<'a> {
    fn new(name: &'a str, shape: &'a [i64]) -> Self {
        Self { name, shape, datatype: "FP32", parameters: None, data: None }
    }
}

#[derive(Serialize)]
struct BinarySize {
    binary_data_size: usize,
}

#[derive(Serialize)]
struct BinaryOutput {
    binary_data_output: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_repeated_and_all_formats_carry_them() {
        let text = r#"{"cases":[
            {"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1.5,2]}]},
            {"inputs":[{"name":"x","datatype":"FP32","shape":[2,2],"data":[3,4,5,6]}]},
            {"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[0,0]}]}]}"#;
        let golden: Golden = serde_json::from_str(text).unwrap();
        let case = case("m", Path::new("models/m/1"), &golden, 4, &["a".to_owned(), "b".to_owned()]).unwrap();
        assert_eq!(*case.input.data(), TensorData::Fp32(vec![1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 1.5, 2.0]));
        assert_eq!(
            std::str::from_utf8(case.body(Format::Json)).unwrap(),
            r#"{"inputs":[{"name":"x","shape":[4,2],"datatype":"FP32","data":[1.5,2.0,3.0,4.0,5.0,6.0,1.5,2.0]}]}"#
        );
        let (head, bytes) = case.body(Format::Binary).split_at(case.head_bytes(Format::Binary).unwrap());
        assert!(head.ends_with(br#""parameters":{"binary_data_size":32}}],"parameters":{"binary_data_output":true}}"#));
        assert_eq!((bytes.len(), bytes.get(..4)), (32, Some(&1.5_f32.to_le_bytes()[..])));
        assert_eq!((case.head_bytes(Format::Json), case.name()), (None, "m × 4".to_owned()));
        assert_eq!(
            std::str::from_utf8(case.body(Format::Rows)).unwrap(),
            r#"{"rows":[{"a":1.5,"b":2.0},{"a":3.0,"b":4.0},{"a":5.0,"b":6.0},{"a":1.5,"b":2.0}]}"#
        );
        let image = rows_body("image", &[], &[1, 2, 2], &[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!(std::str::from_utf8(&image).unwrap(), r#"{"rows":[{"image":[[1.0,2.0],[3.0,4.0]]}]}"#);
    }
}
