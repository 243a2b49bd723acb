//! `fixtures/answers.json`: the signature of each fixture, and outputs that are right to the bit.
//!
//! Bytes stand there in hex, so that not-a-numbers, infinities and arbitrary strings survive. Only the
//! payload of a not-a-number is not compared: hardware may change it.

use std::{collections::BTreeMap, path::Path, sync::OnceLock};

use candor_domain::{
    BytesArray, Datatype, Dim, Engine, LoadedModel, ModelSource, RequestRules, Shape, Signature, Tensor, TensorData,
    TensorSpec,
};
use serde::Deserialize;

use crate::fixtures::fixture;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[allow(dead_code, reason = "for people; read so that its absence is noticed")]
    made_by: String,
    signatures: BTreeMap<String, RawSignature>,
    answers: Vec<Answer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSignature {
    inputs: Vec<RawSpec>,
    outputs: Vec<RawSpec>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSpec {
    name: String,
    datatype: String,
    dims: Option<Vec<RawDim>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawDim {
    Size(i64),
    Symbol(String),
    Unnamed,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    case: String,
    model: String,
    inputs: Vec<RawTensor>,
    wanted: Vec<usize>,
    outputs: Vec<RawTensor>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTensor {
    datatype: String,
    shape: Vec<i64>,
    hex: Option<String>,
    strings: Option<Vec<String>>,
}

/// Engines are asked for empty batches too, which a server lets through only where a model says so.
const RULES: RequestRules = RequestRules { batch_rows_max: None, empty_tensors: true };

fn file() -> Result<&'static File, String> {
    static FILE: OnceLock<Result<File, String>> = OnceLock::new();
    let read = || serde_json::from_str(include_str!("../fixtures/answers.json")).map_err(|error| error.to_string());
    FILE.get_or_init(read).as_ref().map_err(Clone::clone)
}

/// Loads the fixture `model`, compares its signature, and checks every answer that the file has for it.
pub(crate) fn check(engine: &dyn Engine, model: &str) -> Result<(), String> {
    let loaded = load(engine, model)?;
    let file = file()?;
    let want = file.signatures.get(model).ok_or("answers.json has no signature for it")?.read()?;
    if loaded.signature != want {
        return Err(format!("the signature is {:?}, wanted {want:?}", loaded.signature));
    }
    let mut answers = file.answers.iter().filter(|answer| answer.model == model).peekable();
    if answers.peek().is_none() {
        return Err("answers.json has no answer for it".to_owned());
    }
    for answer in answers {
        answer.check(&loaded).map_err(|why| format!("{}: {why}", answer.case))?;
    }
    Ok(())
}

/// Loads a fixture that has no files beside it.
pub(crate) fn load(engine: &dyn Engine, model: &str) -> Result<LoadedModel, String> {
    let source = ModelSource { bytes: fixture(model)?, folder: Path::new(".") };
    engine.load(source).map_err(|error| format!("{model} could not be loaded: {error}"))
}

impl Answer {
    fn check(&self, loaded: &LoadedModel) -> Result<(), String> {
        let inputs: Vec<Tensor> = self.inputs.iter().map(RawTensor::read).collect::<Result<_, _>>()?;
        let want: Vec<Tensor> = self.outputs.iter().map(RawTensor::read).collect::<Result<_, _>>()?;
        loaded.signature.check(&inputs, RULES).map_err(|error| format!("the signature refuses it: {error}"))?;
        let got = loaded.session.run(&inputs, &self.wanted, None).map_err(|error| error.to_string())?;
        if got.len() != want.len() {
            return Err(format!("{} outputs came, wanted {}", got.len(), want.len()));
        }
        want.iter().zip(&got).try_for_each(|(want, got)| same(want, got))
    }
}

/// Says how two tensors differ, if they do.
pub(crate) fn same(want: &Tensor, got: &Tensor) -> Result<(), String> {
    if want.shape() != got.shape() || want.datatype() != got.datatype() {
        return Err(format!("is {} {}, wanted {} {}", got.datatype(), got.shape(), want.datatype(), want.shape()));
    }
    let equal = match (want.data(), got.data()) {
        (TensorData::Fp32(want), TensorData::Fp32(got)) => {
            want.iter().zip(got).all(|(w, g)| w.to_bits() == g.to_bits() || (w.is_nan() && g.is_nan()))
        }
        (TensorData::Fp64(want), TensorData::Fp64(got)) => {
            want.iter().zip(got).all(|(w, g)| w.to_bits() == g.to_bits() || (w.is_nan() && g.is_nan()))
        }
        (want, got) => want == got,
    };
    let shown = |tensor: &Tensor| format!("{:?}", tensor.data()).chars().take(300).collect::<String>();
    if equal { Ok(()) } else { Err(format!("is {}, wanted {}", shown(got), shown(want))) }
}

impl RawSignature {
    fn read(&self) -> Result<Signature, String> {
        let side = |specs: &[RawSpec]| specs.iter().map(RawSpec::read).collect::<Result<_, String>>();
        Ok(Signature { inputs: side(&self.inputs)?, outputs: side(&self.outputs)? })
    }
}

impl RawSpec {
    fn read(&self) -> Result<TensorSpec, String> {
        let dim = |raw: &RawDim| match raw {
            RawDim::Size(size) => Dim::Fixed(*size),
            RawDim::Symbol(symbol) => Dim::Any(Some(symbol.as_str().into())),
            RawDim::Unnamed => Dim::Any(None),
        };
        let dims = self.dims.as_ref().map(|dims| dims.iter().map(dim).collect());
        Ok(TensorSpec { name: self.name.as_str().into(), datatype: datatype(&self.datatype)?, dims })
    }
}

fn datatype(name: &str) -> Result<Datatype, String> {
    Datatype::from_name(name).ok_or_else(|| format!("'{name}' is not a datatype"))
}

impl RawTensor {
    fn read(&self) -> Result<Tensor, String> {
        let datatype = datatype(&self.datatype)?;
        let data = match (&self.hex, &self.strings) {
            (Some(hex), None) => numbers(datatype, &unhex(hex)?)?,
            (None, Some(strings)) => {
                let strings: Vec<Vec<u8>> = strings.iter().map(|hex| unhex(hex)).collect::<Result<_, _>>()?;
                TensorData::Bytes(strings.into_iter().collect::<BytesArray>())
            }
            _ => return Err("a tensor has either hex or strings".to_owned()),
        };
        let shape = Shape::new(&self.shape).map_err(|error| error.to_string())?;
        Tensor::new(shape, data).map_err(|error| error.to_string())
    }
}

fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let pair = |pair: &[u8]| {
        let digits = std::str::from_utf8(pair).ok().filter(|digits| digits.len() == 2)?;
        u8::from_str_radix(digits, 16).ok()
    };
    text.as_bytes().chunks(2).map(pair).collect::<Option<_>>().ok_or_else(|| "not hex".to_owned())
}

fn numbers(datatype: Datatype, bytes: &[u8]) -> Result<TensorData, String> {
    macro_rules! read {
        ($variant:ident, $number:ty) => {{
            let (whole, rest) = bytes.as_chunks();
            if !rest.is_empty() {
                return Err("the hex ends within a number".to_owned());
            }
            TensorData::$variant(whole.iter().map(|bytes| <$number>::from_le_bytes(*bytes)).collect())
        }};
    }
    Ok(match datatype {
        Datatype::Bool => TensorData::Bool(bytes.to_vec()),
        Datatype::Uint8 => TensorData::Uint8(bytes.to_vec()),
        Datatype::Uint16 => read!(Uint16, u16),
        Datatype::Uint32 => read!(Uint32, u32),
        Datatype::Uint64 => read!(Uint64, u64),
        Datatype::Int8 => read!(Int8, i8),
        Datatype::Int16 => read!(Int16, i16),
        Datatype::Int32 => read!(Int32, i32),
        Datatype::Int64 => read!(Int64, i64),
        Datatype::Fp16 => read!(Fp16, u16),
        Datatype::Bf16 => read!(Bf16, u16),
        Datatype::Fp32 => read!(Fp32, f32),
        Datatype::Fp64 => read!(Fp64, f64),
        Datatype::Bytes => return Err("strings do not stand in hex".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn singles(values: &[f32]) -> Tensor {
        Tensor::new(Shape::new(&[2]).unwrap(), TensorData::Fp32(values.to_vec())).unwrap()
    }

    #[test]
    fn a_difference_is_seen_to_the_bit() {
        assert!(same(&singles(&[f32::NAN, 1.0]), &singles(&[-f32::NAN, 1.0])).is_ok());
        for other in [[1.0, -0.0], [1.0, f32::NAN], [1.0 + f32::EPSILON, 0.0]] {
            assert!(same(&singles(&[1.0, 0.0]), &singles(&other)).is_err(), "{other:?}");
        }
        let halves = Tensor::new(Shape::new(&[2]).unwrap(), TensorData::Fp16(vec![0, 0])).unwrap();
        assert!(same(&singles(&[0.0, 0.0]), &halves).is_err());
    }

    #[test]
    fn every_answer_can_be_read_and_belongs_to_a_fixture_with_a_signature() {
        let file = file().unwrap();
        for answer in &file.answers {
            assert!(fixture(&answer.model).is_ok() && file.signatures.contains_key(&answer.model), "{}", answer.model);
            for tensor in answer.inputs.iter().chain(&answer.outputs) {
                tensor.read().unwrap();
            }
            assert_eq!(answer.wanted.len(), answer.outputs.len());
        }
        for signature in file.signatures.values() {
            signature.read().unwrap();
        }
    }
}
