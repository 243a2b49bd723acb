//! Infer requests in JSON and in bytes, and their replies read back.
//!
//! Written against the protocol, not against the server's own types, so that both would have to be wrong in
//! the same way.

use serde_json::{Value, json};

use crate::http::{Reply, Request};

/// The header that says how long the JSON part of a body is.
pub const HEADER_LENGTH: &str = "Inference-Header-Content-Length";

/// The path of a model's inference.
#[must_use]
pub fn path(model: &str) -> String {
    format!("/v2/models/{model}/infer")
}

/// A tensor in JSON.
#[must_use]
pub fn tensor(name: &str, datatype: &str, shape: &[i64], data: Value) -> Value {
    json!({"name": name, "datatype": datatype, "shape": shape, "data": data})
}

/// A body with these inputs.
#[must_use]
pub fn body(inputs: &[Value]) -> Value {
    json!({"inputs": inputs})
}

/// A good request to `iris`.
#[must_use]
pub fn iris() -> Value {
    body(&[tensor("features", "FP32", &[1, 4], json!([5.1, 3.5, 1.4, 0.2]))])
}

/// A good request to `simple`, of so many rows.
#[must_use]
pub fn simple(rows: i64) -> Value {
    let data: Vec<i64> = (0..rows * 16).collect();
    body(&[tensor("INPUT0", "INT32", &[rows, 16], json!(data)), tensor("INPUT1", "INT32", &[rows, 16], json!(data))])
}

/// A request to `simple_identity` with one row of these texts.
#[must_use]
pub fn texts(texts: &[&str]) -> Value {
    body(&[tensor("INPUT0", "BYTES", &[1, i64::try_from(texts.len()).unwrap()], json!(texts))])
}

/// JSON followed by tensors in bytes.
#[must_use]
pub fn with_tensors(path: &str, json: &Value, tensors: &[Vec<u8>]) -> Request {
    let json = json.to_string();
    let body = [json.as_bytes(), &tensors.concat()].concat();
    Request::post(path).header(HEADER_LENGTH, json.len().to_string()).body(body)
}

/// Turns a tensor in flat JSON into its description and its bytes.
///
/// # Panics
/// When it has no data.
#[must_use]
pub fn in_bytes(tensor: &Value) -> (Value, Vec<u8>) {
    let bytes = to_bytes(tensor["datatype"].as_str().unwrap(), tensor["data"].as_array().unwrap());
    let mut described = tensor.clone();
    described.as_object_mut().unwrap().remove("data");
    described["parameters"] = json!({"binary_data_size": bytes.len()});
    (described, bytes)
}

/// Elements as the protocol's bytes.
///
/// # Panics
/// When an element is not of the datatype.
#[must_use]
pub fn to_bytes(datatype: &str, data: &[Value]) -> Vec<u8> {
    let whole = |value: &Value| value.as_i64().map(i128::from).or(value.as_u64().map(i128::from)).unwrap();
    #[allow(clippy::cast_possible_truncation, reason = "the text is that of a float32")]
    let one = |value: &Value| -> Vec<u8> {
        let bytes = |count: usize| whole(value).to_le_bytes()[..count].to_vec();
        match datatype {
            "BOOL" => vec![u8::from(value.as_bool().unwrap())],
            "UINT8" | "INT8" => bytes(1),
            "UINT16" | "INT16" => bytes(2),
            "UINT32" | "INT32" => bytes(4),
            "UINT64" | "INT64" => bytes(8),
            "FP32" => (value.as_f64().unwrap() as f32).to_le_bytes().to_vec(),
            "FP64" => value.as_f64().unwrap().to_le_bytes().to_vec(),
            "BYTES" => in_frame(value.as_str().unwrap().as_bytes()),
            other => panic!("no bytes for {other}"),
        }
    };
    data.iter().flat_map(one).collect()
}

/// An element of a BYTES tensor: its length and itself.
///
/// # Panics
/// When it is longer than 4 GiB.
#[must_use]
pub fn in_frame(element: &[u8]) -> Vec<u8> {
    [&u32::try_from(element.len()).unwrap().to_le_bytes()[..], element].concat()
}

/// The protocol's bytes as elements.
///
/// # Panics
/// When the bytes do not fit the datatype.
#[must_use]
pub fn from_bytes(datatype: &str, bytes: &[u8]) -> Vec<Value> {
    macro_rules! numbers {
        ($number:ty) => {{
            let (whole, rest) = bytes.as_chunks();
            assert!(rest.is_empty(), "{} bytes for {datatype}", bytes.len());
            whole.iter().map(|&chunk| json!(<$number>::from_le_bytes(chunk))).collect()
        }};
    }
    match datatype {
        "BOOL" => bytes.iter().map(|&byte| json!(byte != 0)).collect(),
        "UINT8" => numbers!(u8),
        "UINT16" => numbers!(u16),
        "UINT32" => numbers!(u32),
        "UINT64" => numbers!(u64),
        "INT8" => numbers!(i8),
        "INT16" => numbers!(i16),
        "INT32" => numbers!(i32),
        "INT64" => numbers!(i64),
        "FP32" => numbers!(f32),
        "FP64" => numbers!(f64),
        "BYTES" => texts_in(bytes),
        other => panic!("no elements for {other}"),
    }
}

fn texts_in(mut bytes: &[u8]) -> Vec<Value> {
    let mut texts = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (text, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        texts.push(json!(std::str::from_utf8(text).unwrap()));
        bytes = rest;
    }
    assert!(bytes.is_empty());
    texts
}

/// An output of a reply.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// Its datatype.
    pub datatype: String,
    /// Its shape.
    pub shape: Value,
    /// Its elements, if it came as JSON.
    pub data: Option<Vec<Value>>,
    /// Its bytes, if it came as bytes.
    pub bytes: Option<Vec<u8>>,
}

impl Output {
    /// Its elements, whichever way they came.
    ///
    /// # Panics
    /// When it came as bytes of a datatype that JSON does not have.
    #[must_use]
    pub fn elements(&self) -> Vec<Value> {
        match (&self.data, &self.bytes) {
            (Some(data), None) => data.clone(),
            (None, Some(bytes)) => from_bytes(&self.datatype, bytes),
            both => panic!("{}: {both:?}", self.name),
        }
    }
}

/// Reads the outputs of a reply, and checks that nothing in its body is left over.
///
/// # Panics
/// When the reply is no success, or its parts do not fit each other.
#[must_use]
pub fn outputs(reply: &Reply) -> Vec<Output> {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let json_bytes = reply.header(HEADER_LENGTH).map(|length| length.parse::<usize>().unwrap());
    let (json, mut rest) = reply.body.split_at(json_bytes.unwrap_or(reply.body.len()));
    let json: Value = serde_json::from_slice(json).unwrap();
    let mut outputs = Vec::new();
    for output in json["outputs"].as_array().unwrap() {
        let size = output["parameters"]["binary_data_size"].as_u64();
        let bytes = size.map(|size| {
            let (own, after) = rest.split_at(usize::try_from(size).unwrap());
            rest = after;
            own.to_vec()
        });
        let text = |key: &str| output[key].as_str().unwrap().to_owned();
        outputs.push(Output {
            name: text("name"),
            datatype: text("datatype"),
            shape: output["shape"].clone(),
            data: output["data"].as_array().cloned(),
            bytes,
        });
    }
    assert!(rest.is_empty(), "{} bytes left over", rest.len());
    let wanted = if json_bytes.is_some() { "application/octet-stream" } else { "application/json" };
    assert_eq!(reply.header("content-type"), Some(wanted));
    outputs
}
