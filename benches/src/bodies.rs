//! Requests as bytes: JSON, tensors behind the JSON, rows of named features, gRPC's message.
//!
//! For `cases`, which knows what is asked. The keys of JSON stand in the order in which `tritonclient` writes them.
//! The messages are those of server/grpc_api/proto/inference.proto, as far as a request and its answer need them.

use anyhow::{Context as _, Result, ensure};
use prost::Message;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// An input as it travels.
#[derive(Debug, Clone)]
pub struct WireTensor {
    pub name: String,
    pub dims: Vec<i64>,
    pub data: Numbers,
}

/// Elements, row-major.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Numbers {
    Fp32(Vec<f32>),
    Int64(Vec<i64>),
}

impl Numbers {
    fn datatype(&self) -> &'static str {
        match self {
            Self::Fp32(_) => "FP32",
            Self::Int64(_) => "INT64",
        }
    }

    /// Little-endian, as they travel.
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Fp32(data) => data.iter().flat_map(|number| number.to_le_bytes()).collect(),
            Self::Int64(data) => data.iter().flat_map(|number| number.to_le_bytes()).collect(),
        }
    }
}

/// The body of a request in JSON.
pub fn json(inputs: &[WireTensor]) -> Result<Vec<u8>> {
    let inputs = inputs.iter().map(|input| JsonInput { data: Some(&input.data), ..JsonInput::of(input, None) });
    Ok(serde_json::to_vec(&JsonRequest { inputs: inputs.collect(), parameters: None })?)
}

/// The body of a request whose tensors stand as bytes behind the JSON, and the length of that JSON.
pub fn binary(inputs: &[WireTensor]) -> Result<(Vec<u8>, usize)> {
    let bytes: Vec<Vec<u8>> = inputs.iter().map(|input| input.data.bytes()).collect();
    let heads = inputs.iter().zip(&bytes).map(|(input, bytes)| JsonInput::of(input, Some(bytes.len())));
    let parameters = Some(BinaryOutput { binary_data_output: true });
    let mut body = serde_json::to_vec(&JsonRequest { inputs: heads.collect(), parameters })?;
    let head_bytes = body.len();
    body.extend(bytes.concat());
    Ok((body, head_bytes))
}

/// The body with named features: columns by their names, or the whole input under its own.
pub fn rows(input: &str, names: &[String], dims: &[i64], data: &[f32]) -> Result<Vec<u8>> {
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

/// The message of a request over gRPC with raw contents.
pub fn grpc(model: &str, inputs: &[WireTensor]) -> Vec<u8> {
    let head = |input: &WireTensor| GrpcTensor {
        name: input.name.clone(),
        datatype: input.data.datatype().to_owned(),
        shape: input.dims.clone(),
    };
    GrpcRequest {
        model_name: model.to_owned(),
        inputs: inputs.iter().map(head).collect(),
        raw_input_contents: inputs.iter().map(|input| input.data.bytes()).collect(),
    }
    .encode_to_vec()
}

/// All output bytes of an answer over gRPC, one tensor behind the other.
pub fn grpc_outputs(answer: &[u8]) -> Result<Vec<u8>> {
    let answer = GrpcAnswer::decode(answer).context("the answer is no ModelInferResponse")?;
    ensure!(!answer.raw_output_contents.is_empty(), "the answer has no raw contents");
    Ok(answer.raw_output_contents.concat())
}

#[derive(Serialize)]
struct JsonRequest<'a> {
    inputs: Vec<JsonInput<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<BinaryOutput>,
}

#[derive(Serialize)]
struct JsonInput<'a> {
    name: &'a str,
    shape: &'a [i64],
    datatype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<BinarySize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Numbers>,
}

impl<'a> JsonInput<'a> {
    fn of(input: &'a WireTensor, bytes: Option<usize>) -> Self {
        let parameters = bytes.map(|binary_data_size| BinarySize { binary_data_size });
        Self { name: &input.name, shape: &input.dims, datatype: input.data.datatype(), parameters, data: None }
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

#[derive(Message)]
struct GrpcRequest {
    #[prost(string, tag = "1")]
    model_name: String,
    #[prost(message, repeated, tag = "5")]
    inputs: Vec<GrpcTensor>,
    #[prost(bytes = "vec", repeated, tag = "7")]
    raw_input_contents: Vec<Vec<u8>>,
}

#[derive(Message)]
struct GrpcTensor {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    datatype: String,
    #[prost(int64, repeated, tag = "3")]
    shape: Vec<i64>,
}

#[derive(Message)]
struct GrpcAnswer {
    #[prost(bytes = "vec", repeated, tag = "6")]
    raw_output_contents: Vec<Vec<u8>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor() -> WireTensor {
        WireTensor {
            name: "x".into(),
            dims: vec![4, 2],
            data: Numbers::Fp32(vec![1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 1.5, 2.0]),
        }
    }

    #[test]
    fn json_and_bytes_carry_the_same() {
        let ids = WireTensor { name: "ids".into(), dims: vec![1], data: Numbers::Int64(vec![7]) };
        assert_eq!(
            std::str::from_utf8(&json(&[tensor(), ids.clone()]).unwrap()).unwrap(),
            r#"{"inputs":[{"name":"x","shape":[4,2],"datatype":"FP32","data":[1.5,2.0,3.0,4.0,5.0,6.0,1.5,2.0]},{"name":"ids","shape":[1],"datatype":"INT64","data":[7]}]}"#
        );
        let (body, head_bytes) = binary(&[tensor(), ids]).unwrap();
        let (head, bytes) = body.split_at(head_bytes);
        assert!(head.ends_with(br#""parameters":{"binary_data_size":8}}],"parameters":{"binary_data_output":true}}"#));
        assert_eq!((bytes.len(), bytes.get(..4)), (40, Some(&1.5_f32.to_le_bytes()[..])));
        assert_eq!(bytes.get(32..), Some(&7_i64.to_le_bytes()[..]));
    }

    #[test]
    fn rows_have_names_or_are_nested() {
        let names = ["a".to_owned(), "b".to_owned()];
        assert_eq!(
            std::str::from_utf8(&rows("x", &names, &[2, 2], &[1.5, 2.0, 3.0, 4.0]).unwrap()).unwrap(),
            r#"{"rows":[{"a":1.5,"b":2.0},{"a":3.0,"b":4.0}]}"#
        );
        let image = rows("image", &[], &[1, 2, 2], &[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!(std::str::from_utf8(&image).unwrap(), r#"{"rows":[{"image":[[1.0,2.0],[3.0,4.0]]}]}"#);
    }

    #[test]
    fn a_grpc_message_has_the_numbers_of_the_protocol() {
        let ids = WireTensor { name: "i".into(), dims: vec![1], data: Numbers::Int64(vec![7]) };
        let want = b"\x0a\x01m\x2a\x0d\x0a\x01i\x12\x05INT64\x1a\x01\x01\x3a\x08\x07\0\0\0\0\0\0\0";
        assert_eq!(grpc("m", &[ids]), want);
        assert_eq!(grpc_outputs(b"\x0a\x01m\x32\x02ab\x32\x01c").unwrap(), b"abc");
        grpc_outputs(b"\x0a\x01m").unwrap_err();
    }
}
