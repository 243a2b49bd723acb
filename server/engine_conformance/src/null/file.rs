//! The model files of the null engine.
//!
//! Unknown keys are refused, so that a slip in a test is not a test that tests nothing.

use candor_domain::{Datatype, Dim, Error, Result, Signature, TensorData, TensorSpec};
use serde::Deserialize;
use toml::Value;

use super::Fill;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelFile {
    #[serde(default)]
    pub(super) key: String,
    pub(super) fail_load: Option<String>,
    #[serde(default)]
    pub(super) panic_load: bool,
    #[serde(default)]
    pub(super) not_for: Vec<String>,
    #[serde(default)]
    pub(super) lies: Vec<String>,
    pub(super) fail_run: Option<String>,
    #[serde(default)]
    pub(super) panic_run: bool,
    #[serde(default)]
    pub(super) random: bool,
    pub(super) trigger: Option<f64>,
    inputs: Vec<Spec>,
    outputs: Vec<Output>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    name: String,
    datatype: String,
    dims: Vec<Size>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Output {
    name: String,
    datatype: String,
    dims: Vec<Size>,
    constant: Option<Value>,
    echo: Option<String>,
    #[serde(default)]
    sum: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Size {
    Number(i64),
    Name(String),
}

impl Size {
    fn dim(&self) -> Result<Dim> {
        match self {
            Self::Number(-1) => Ok(Dim::Any(None)),
            Self::Number(size) if *size >= 0 => Ok(Dim::Fixed(*size)),
            Self::Number(size) => Err(Error::model(format!("a dimension cannot be {size}"))),
            Self::Name(name) => Ok(Dim::Any(Some(name.as_str().into()))),
        }
    }
}

fn spec(name: &str, raw_datatype: &str, dims: &[Size]) -> Result<TensorSpec> {
    let dims = dims.iter().map(Size::dim).collect::<Result<_>>()?;
    Ok(TensorSpec { name: name.into(), datatype: datatype(raw_datatype)?, dims: Some(dims) })
}

fn datatype(name: &str) -> Result<Datatype> {
    Datatype::from_name(name).ok_or_else(|| Error::model(format!("'{name}' is not a datatype")))
}

impl ModelFile {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|_| Error::model("not a model of the null engine: not text"))?;
        toml::from_str(text).map_err(|error| Error::model(format!("not a model of the null engine: {error}")))
    }

    /// Whether a run can do anything but answer.
    pub(super) fn misbehaves(&self) -> bool {
        self.panic_run || self.fail_run.is_some()
    }

    pub(super) fn signature(&self) -> Result<Signature> {
        let inputs = self.inputs.iter().map(|raw| spec(&raw.name, &raw.datatype, &raw.dims));
        let outputs = self.outputs.iter().map(|raw| spec(&raw.name, &raw.datatype, &raw.dims));
        Ok(Signature { inputs: inputs.collect::<Result<_>>()?, outputs: outputs.collect::<Result<_>>()? })
    }

    pub(super) fn fills(&self) -> Result<Vec<Fill>> {
        self.outputs.iter().map(|output| self.fill(output)).collect()
    }

    fn fill(&self, output: &Output) -> Result<Fill> {
        if !output.sum.is_empty() {
            let place = |name: &String| {
                let position = self.inputs.iter().position(|raw| raw.name == *name && raw.datatype == "FP32");
                position.ok_or_else(|| Error::model(format!("'{}' adds '{name}', which is no FP32 input", output.name)))
            };
            return Ok(Fill::Sum(output.sum.iter().map(place).collect::<Result<_>>()?));
        }
        match (&output.echo, &output.constant) {
            (Some(_), Some(_)) => Err(Error::model(format!("'{}' has both echo and constant", output.name))),
            (Some(input), None) => {
                let position = self.inputs.iter().position(|raw| raw.name == *input && raw.datatype == output.datatype);
                position.map(Fill::Echo).ok_or_else(|| {
                    Error::model(format!("'{}' echoes '{input}', which is no input of its datatype", output.name))
                })
            }
            (None, None) => Ok(Fill::Constant(TensorData::zeros(datatype(&output.datatype)?, 1))),
            (None, Some(value)) => {
                let filled = constant(datatype(&output.datatype)?, value);
                filled.map(Fill::Constant).ok_or_else(|| {
                    Error::model(format!("'{}' cannot be filled with {value} as {}", output.name, output.datatype))
                })
            }
        }
    }
}

/// One element of `datatype`; half-precision numbers have no constants.
fn constant(datatype: Datatype, value: &Value) -> Option<TensorData> {
    fn whole<T: TryFrom<i64>>(value: &Value) -> Option<Vec<T>> {
        Some(vec![T::try_from(value.as_integer()?).ok()?])
    }
    #[allow(clippy::cast_precision_loss, reason = "constants of tests are small")]
    let real = || value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
    Some(match datatype {
        Datatype::Bool => TensorData::Bool(vec![value.as_bool()?.into()]),
        Datatype::Uint8 => TensorData::Uint8(whole(value)?),
        Datatype::Uint16 => TensorData::Uint16(whole(value)?),
        Datatype::Uint32 => TensorData::Uint32(whole(value)?),
        Datatype::Uint64 => TensorData::Uint64(whole(value)?),
        Datatype::Int8 => TensorData::Int8(whole(value)?),
        Datatype::Int16 => TensorData::Int16(whole(value)?),
        Datatype::Int32 => TensorData::Int32(whole(value)?),
        Datatype::Int64 => TensorData::Int64(whole(value)?),
        #[allow(clippy::cast_possible_truncation, reason = "the nearest float32 is what is meant")]
        Datatype::Fp32 => TensorData::Fp32(vec![real()? as f32]),
        Datatype::Fp64 => TensorData::Fp64(vec![real()?]),
        Datatype::Bytes => TensorData::Bytes([value.as_str()?].into_iter().collect()),
        Datatype::Fp16 | Datatype::Bf16 => return None,
    })
}
