//! The requests that are measured: sample models with one and 32 rows, and two large models, in every format.
//!
//! Rows come from each model's golden pairs, so they are real inputs; `bodies` makes bytes of them. Nothing here
//! runs anything.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use candor_domain::{Shape, Tensor, TensorData};
use candor_serving::Manifest;
use serde::Deserialize;

use crate::bodies::{self, Numbers, WireTensor};

/// A model that requests are made for. The first dimension of each input counts rows.
#[derive(Debug)]
pub struct Known {
    pub name: &'static str,
    /// Rows of its requests.
    rows: &'static [usize],
    /// Whether it is made when the benchmarks are run, by benches/models/make_models.py. Its features have no names,
    /// so that the native API is not asked.
    pub large: bool,
    /// Whether it is measured when no models are named.
    pub usual: bool,
}

/// All of them.
pub const KNOWN: [Known; 5] = [
    Known { name: "iris", rows: &[1, 32], large: false, usual: true },
    Known { name: "breast_cancer", rows: &[1, 32], large: false, usual: true },
    Known { name: "digits", rows: &[1, 32], large: false, usual: false },
    Known { name: "cnn", rows: &[1], large: true, usual: true },
    Known { name: "minilm", rows: &[1], large: true, usual: true },
];

/// The known model of this name.
pub fn known(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name == name)
}

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
    /// As raw contents of gRPC's messages.
    Grpc,
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
    /// The inputs.
    pub inputs: Vec<Tensor>,
    json: Vec<u8>,
    binary: Vec<u8>,
    binary_head_bytes: usize,
    by_name: Option<Vec<u8>>,
    grpc: Vec<u8>,
}

impl Case {
    /// Its name in tables.
    pub fn name(&self) -> String {
        format!("{} × {}", self.model, self.rows)
    }

    /// Whether it can be sent so.
    pub fn has(&self, format: Format) -> bool {
        format != Format::Rows || self.by_name.is_some()
    }

    /// Whether its model is so dear that requests go to the pool.
    pub fn is_large(&self) -> bool {
        known(&self.model).is_some_and(|known| known.large)
    }

    /// The path that it is posted to.
    pub fn path(&self, format: Format) -> String {
        match format {
            Format::Json | Format::Binary => format!("/v2/models/{}/infer", self.model),
            Format::Rows => format!("/api/v1/models/{}/predict", self.model),
            Format::Grpc => "/inference.GRPCInferenceService/ModelInfer".to_owned(),
        }
    }

    /// The body; over gRPC the message.
    pub fn body(&self, format: Format) -> &[u8] {
        match format {
            Format::Json => &self.json,
            Format::Binary => &self.binary,
            Format::Rows => self.by_name.as_deref().unwrap_or_default(),
            Format::Grpc => &self.grpc,
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
    data: Vec<f64>,
}

/// The requests of these models, in their order.
pub fn cases(models_folder: &Path, models: &[String]) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for model in models {
        for &rows in known(model).with_context(|| format!("no requests are known for {model}"))?.rows {
            cases.push(case_of(models_folder, model, rows)?);
        }
    }
    Ok(cases)
}

/// A request for a known model with so many rows.
pub fn case_of(models_folder: &Path, model: &str, rows: usize) -> Result<Case> {
    let known = known(model).with_context(|| format!("no requests are known for {model}"))?;
    let folder = highest_version(&models_folder.join(model))?;
    let path = folder.join("golden.json");
    let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let golden: Golden = serde_json::from_slice(&text).with_context(|| format!("{} is broken", path.display()))?;
    let manifest = fs::read_to_string(models_folder.join(model).join("model.toml")).unwrap_or_default();
    let names =
        (!known.large).then(|| Manifest::parse(&manifest).map(|manifest| feature_names(&manifest))).transpose()?;
    let case = case(model, &folder, &golden, rows, names.as_deref());
    case.with_context(|| format!("no request can be made from {}", path.display()))
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

/// `names` are those of the features, if the native API is asked too.
fn case(model: &str, folder: &Path, golden: &Golden, rows: usize, names: Option<&[String]>) -> Result<Case> {
    let first = golden.cases.first().context("it has no pair")?;
    let wire = (0..first.inputs.len()).map(|at| repeated(golden, at, rows)).collect::<Result<Vec<_>>>()?;
    let by_name = match (names, wire.as_slice()) {
        (None, _) => None,
        (Some(names), [WireTensor { name, dims, data: Numbers::Fp32(data) }]) => {
            Some(bodies::rows(name, names, dims, data)?)
        }
        (Some(_), _) => bail!("named features are known for one FP32 input alone"),
    };
    let (binary, binary_head_bytes) = bodies::binary(&wire)?;
    let (json, grpc) = (bodies::json(&wire)?, bodies::grpc(model, &wire));
    let tensor = |wire: WireTensor| {
        let data = match wire.data {
            Numbers::Fp32(data) => TensorData::Fp32(data),
            Numbers::Int64(data) => TensorData::Int64(data),
        };
        Ok(Tensor::new(Shape::new(&wire.dims)?, data)?)
    };
    let inputs = wire.into_iter().map(tensor).collect::<Result<_>>()?;
    let (model, folder) = (model.to_owned(), folder.to_owned());
    Ok(Case { model, folder, rows, inputs, json, binary, binary_head_bytes, by_name, grpc })
}

/// The input at this place with so many rows: those of the typical pairs, again and again.
fn repeated(golden: &Golden, at: usize, rows: usize) -> Result<WireTensor> {
    let inputs = || golden.cases.iter().take(TYPICAL_PAIRS).filter_map(|pair| pair.inputs.get(at));
    let first = inputs().next().context("it has no input")?;
    let (_, row_dims) = first.shape.split_first().context("an input has no dimension that counts rows")?;
    let row_elements = Shape::new(row_dims)?.elements();
    let typical: Vec<&[f64]> = inputs().flat_map(|input| input.data.chunks_exact(row_elements)).collect();
    let numbers = typical.iter().cycle().take(rows).copied().flatten().copied();
    #[allow(clippy::cast_possible_truncation, reason = "a golden pair's numbers are of its datatype")]
    let data = match first.datatype.as_str() {
        "FP32" => Numbers::Fp32(numbers.map(|number| number as f32).collect()),
        "INT64" => Numbers::Int64(numbers.map(|number| number as i64).collect()),
        other => bail!("its input is {other}; requests are made of FP32 and INT64"),
    };
    ensure!(!typical.is_empty(), "it has no row");
    let dims = std::iter::once(i64::try_from(rows)?).chain(row_dims.iter().copied()).collect();
    Ok(WireTensor { name: first.name.clone(), dims, data })
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
        let names = ["a".to_owned(), "b".to_owned()];
        let with_names = case("m", Path::new("models/m/1"), &golden, 4, Some(&names)).unwrap();
        let data = TensorData::Fp32(vec![1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 1.5, 2.0]);
        assert_eq!(with_names.inputs.iter().map(Tensor::data).collect::<Vec<_>>(), [&data]);
        assert_eq!((with_names.head_bytes(Format::Json), with_names.name()), (None, "m × 4".to_owned()));
        for format in [Format::Json, Format::Binary, Format::Rows, Format::Grpc] {
            assert!(with_names.has(format) && !with_names.body(format).is_empty(), "{format:?}");
        }
        let without = case("m", Path::new("models/m/1"), &golden, 4, None).unwrap();
        assert!(!without.has(Format::Rows) && without.has(Format::Grpc));
    }
}
