//! `golden.json`: inputs and the outputs that a version must give for them.
//!
//! The registry runs them at load on the engine that will serve the version, so that a model that
//! answers wrongly never becomes ready.

use candor_domain::{Datatype, Error, RequestRules, Result, Session, Shape, Signature, Tensor, TensorData};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    compare::{Apart, compare},
    registry::sha256_of,
};

/// Golden pairs of one version.
#[derive(Debug)]
pub struct Golden {
    /// What made the expected outputs, such as `onnxruntime 1.31.1`.
    pub made_by: String,
    /// Allowed difference: |got − want| ≤ tolerance · max(1, |want|).
    pub tolerance: f64,
    /// The pairs.
    pub cases: Vec<GoldenCase>,
    /// sha256 of the file, in hex.
    pub sha256: String,
}

/// One pair of inputs and outputs, by name.
#[derive(Debug)]
pub struct GoldenCase {
    /// A name for messages.
    pub name: String,
    /// What goes in.
    pub inputs: Vec<(String, Tensor)>,
    /// What must come out.
    pub outputs: Vec<(String, Tensor)>,
}

/// At load another engine, library version or CPU may answer than the one that made the pairs, so the
/// file's tolerance is not taken tighter than this.
const LOAD_TOLERANCE_MIN: f64 = 1e-4;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGolden {
    #[serde(default)]
    made_by: String,
    tolerance: f64,
    cases: Vec<RawCase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    name: String,
    inputs: Vec<RawTensor>,
    outputs: Vec<RawTensor>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTensor {
    name: String,
    datatype: String,
    shape: Vec<i64>,
    data: Vec<Value>,
}

impl RawTensor {
    fn read(self) -> Result<(String, Tensor)> {
        let shape = Shape::new(&self.shape)?;
        let data = elements(&self.datatype, &self.data)
            .ok_or_else(|| Error::model(format!("'{}' holds data that are not {}", self.name, self.datatype)))?;
        Ok((self.name, Tensor::new(shape, data)?))
    }
}

fn elements(datatype: &str, data: &[Value]) -> Option<TensorData> {
    fn whole<T: TryFrom<i128>>(data: &[Value]) -> Option<Vec<T>> {
        let number = |value: &Value| value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
        data.iter().map(|value| T::try_from(number(value)?).ok()).collect()
    }
    #[allow(clippy::cast_possible_truncation, reason = "the file holds the shortest text of a float32")]
    let single = |value: &Value| value.as_f64().map(|number| number as f32);
    Some(match Datatype::from_name(datatype)? {
        Datatype::Bool => TensorData::Bool(data.iter().map(|v| v.as_bool().map(u8::from)).collect::<Option<_>>()?),
        Datatype::Uint8 => TensorData::Uint8(whole(data)?),
        Datatype::Uint16 => TensorData::Uint16(whole(data)?),
        Datatype::Uint32 => TensorData::Uint32(whole(data)?),
        Datatype::Uint64 => TensorData::Uint64(whole(data)?),
        Datatype::Int8 => TensorData::Int8(whole(data)?),
        Datatype::Int16 => TensorData::Int16(whole(data)?),
        Datatype::Int32 => TensorData::Int32(whole(data)?),
        Datatype::Int64 => TensorData::Int64(whole(data)?),
        Datatype::Fp32 => TensorData::Fp32(data.iter().map(single).collect::<Option<_>>()?),
        Datatype::Fp64 => TensorData::Fp64(data.iter().map(Value::as_f64).collect::<Option<_>>()?),
        Datatype::Bytes => {
            TensorData::Bytes(data.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?.into_iter().collect())
        }
        Datatype::Fp16 | Datatype::Bf16 => return None,
    })
}

impl Golden {
    /// Reads golden pairs.
    ///
    /// # Errors
    /// `InvalidModel` for JSON of another form, tensors that contradict themselves, or no case at all.
    pub fn parse(text: &str) -> Result<Self> {
        let raw: RawGolden = serde_json::from_str(text).map_err(|error| Error::model(error.to_string()))?;
        if raw.cases.is_empty() {
            return Err(Error::model("there are no cases"));
        }
        let read = |tensors: Vec<RawTensor>| tensors.into_iter().map(RawTensor::read).collect::<Result<Vec<_>>>();
        let cases = raw.cases.into_iter().map(|case| {
            let inputs = read(case.inputs).map_err(|error| error.at(format!("case '{}'", case.name)))?;
            let outputs = read(case.outputs).map_err(|error| error.at(format!("case '{}'", case.name)))?;
            Ok(GoldenCase { name: case.name, inputs, outputs })
        });
        Ok(Self {
            made_by: raw.made_by,
            tolerance: raw.tolerance,
            cases: cases.collect::<Result<_>>()?,
            sha256: sha256_of(text.as_bytes()),
        })
    }
}

impl GoldenCase {
    /// The inputs in the order of `signature`.
    ///
    /// # Errors
    /// `InvalidModel` when one is missing.
    pub fn inputs_for(&self, signature: &Signature) -> Result<Vec<Tensor>> {
        let find = |name: &str| self.inputs.iter().find(|(known, _)| known == name);
        let tensors = signature.inputs.iter().map(|spec| match find(&spec.name) {
            Some((_, tensor)) => Ok(tensor.clone()),
            None => Err(Error::model(format!("golden case '{}' lacks the input '{}'", self.name, spec.name))),
        });
        tensors.collect()
    }

    /// Runs the case and compares.
    ///
    /// # Errors
    /// `InvalidModel` that names the case, the output, the element, what was wanted and what came.
    pub fn verify(
        &self,
        session: &dyn Session,
        signature: &Signature,
        rules: RequestRules,
        tolerance: f64,
    ) -> Result<()> {
        let inputs = self.inputs_for(signature)?;
        signature.check(&inputs, rules).map_err(|error| self.failed(&error.to_string()))?;
        let wanted = self.outputs.iter().map(|(name, _)| {
            signature.output_index(name).ok_or_else(|| self.failed(&format!("the graph has no output '{name}'")))
        });
        let wanted: Vec<usize> = wanted.collect::<Result<_>>()?;
        let got = session.run(&inputs, &wanted, None).map_err(|error| self.failed(&error.to_string()))?;
        for ((name, want), got) in self.outputs.iter().zip(&got) {
            let distance = compare(want, got, tolerance.max(LOAD_TOLERANCE_MIN))
                .map_err(|difference| self.failed(&format!("output '{name}' {difference}")))?;
            if let Some(Apart { element, want, got }) = distance.apart {
                return Err(self.failed(&format!("output '{name}' has {got} at element {element}, wanted {want}")));
            }
        }
        Ok(())
    }

    fn failed(&self, why: &str) -> Error {
        Error::model(format!("golden case '{}' failed: {why}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_another_form_are_refused() {
        assert!(Golden::parse("{}").is_err());
        assert!(Golden::parse(r#"{"tolerance":1e-6,"cases":[]}"#).is_err());
        let wrong = r#"{"tolerance":1,"cases":[{"name":"a","inputs":[{"name":"x","datatype":"INT8","shape":[1],"data":[300]}],"outputs":[]}]}"#;
        assert_eq!(Golden::parse(wrong).unwrap_err().to_string(), "case 'a': 'x' holds data that are not INT8");
    }
}
