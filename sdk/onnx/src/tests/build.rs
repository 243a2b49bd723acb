//! Small models made of messages, and the wire format by hand where no writer would write it.

use prost::Message as _;

use crate::{
    error::Result,
    limits::Limits,
    model::Model,
    proto::{
        AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
        ValueInfoProto,
    },
};

pub(crate) fn read(bytes: &[u8]) -> Result<Model> {
    Model::from_slice(bytes, &Limits::default())
}

pub(crate) fn refusal(proto: &ModelProto) -> String {
    read(&proto.encode_to_vec()).unwrap_err().to_string()
}

pub(crate) fn model(graph: GraphProto) -> ModelProto {
    let opset = OperatorSetIdProto { domain: None, version: Some(21) };
    ModelProto { ir_version: Some(10), opset_import: vec![opset], graph: Some(graph), ..ModelProto::default() }
}

/// A graph of these nodes, with input `x` and output `y`.
pub(crate) fn graph(nodes: Vec<NodeProto>) -> GraphProto {
    let value = |name: &str| ValueInfoProto { name: Some(name.into()), r#type: None };
    GraphProto { node: nodes, input: vec![value("x")], output: vec![value("y")], ..GraphProto::default() }
}

pub(crate) fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    NodeProto { op_type: Some(op.into()), input: names(inputs), output: names(outputs), ..NodeProto::default() }
}

pub(crate) fn with(mut node: NodeProto, name: &str, kind: i32, set: impl FnOnce(&mut AttributeProto)) -> NodeProto {
    let mut attribute = AttributeProto { name: Some(name.into()), r#type: Some(kind), ..AttributeProto::default() };
    set(&mut attribute);
    node.attribute.push(attribute);
    node
}

/// A node with a graph within.
pub(crate) fn around(graph: GraphProto, outputs: &[&str]) -> NodeProto {
    with(node("If", &["x"], outputs), "then_branch", 5, |attribute| attribute.g = Some(Box::new(graph)))
}

pub(crate) fn floats(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        name: Some(name.into()),
        data_type: Some(1),
        dims: dims.to_vec(),
        float_data: values.to_vec(),
        ..TensorProto::default()
    }
}

pub(crate) fn external(name: &str, dims: &[i64], entries: &[(&str, &str)]) -> TensorProto {
    let entry = |(key, value): &(&str, &str)| StringStringEntryProto {
        key: Some((*key).to_owned()),
        value: Some((*value).to_owned()),
    };
    TensorProto {
        external_data: entries.iter().map(entry).collect(),
        data_location: Some(1),
        ..floats(name, dims, &[])
    }
}

/// A length-delimited field.
pub(crate) fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut bytes);
    prost::encoding::encode_varint(content.len() as u64, &mut bytes);
    [&bytes, content].concat()
}

/// Messages within messages by field numbers, outermost first.
pub(crate) fn nest(path: &[u32], innermost: Vec<u8>) -> Vec<u8> {
    path.iter().rev().fold(innermost, |inner, number| field(*number, &inner))
}
