//! The file as tract reads it, put right where tract would read wrongly or where it should not.
//!
//! tract opens no file: tensors that lie in other files are read by `candor-onnx` (this folder only, no
//! links) and put in. Types and shapes that exporters write for values in between, and that some write
//! wrongly, are left out.

use candor_domain::{ModelSource, Result};
use candor_engine_source::told;
use candor_onnx::{DataType, External, Folder};
use tract_onnx::{
    Onnx,
    pb::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, tensor_proto::DataLocation},
    prelude::{Framework as _, InferenceModel},
};

use crate::{
    guard::{guarded, unsupported},
    values::text,
};

/// Reads a file that has been scanned.
///
/// # Errors
/// `InvalidModel` when external data cannot be read, `Unsupported` when tract cannot read the file.
pub(crate) fn read(source: ModelSource<'_>, tract: &Onnx) -> Result<ModelProto> {
    let read = || tract.proto_model_for_read(&mut &*source.bytes);
    let mut file = guarded(read).map_err(|why| unsupported(format!("tract cannot read the file: {why}")))?;
    let folder = Folder::new(source.folder);
    if let Some(inner) = &mut file.graph {
        graph(inner, &folder)?;
    }
    Ok(file)
}

/// The graph as tract understands it, before it knows any shape.
///
/// # Errors
/// `Unsupported` with what tract says.
pub(crate) fn parse(file: &ModelProto, tract: &Onnx) -> Result<InferenceModel> {
    guarded(|| tract.model_for_proto_model(file))
        .map_err(|why| unsupported(format!("tract cannot take the graph: {why}")))
}

fn graph(graph: &mut GraphProto, folder: &Folder) -> Result<()> {
    graph.value_info.clear();
    graph.initializer.iter_mut().try_for_each(|initializer| tensor(initializer, folder))?;
    for node in &mut graph.node {
        if node.op_type == "Constant" {
            constant_texts(node);
        }
        node.attribute.iter_mut().try_for_each(|held| attribute(held, folder))?;
    }
    Ok(())
}

fn attribute(attribute: &mut AttributeProto, folder: &Folder) -> Result<()> {
    attribute.t.iter_mut().chain(&mut attribute.tensors).try_for_each(|held| tensor(held, folder))?;
    attribute.g.iter_mut().chain(&mut attribute.graphs).try_for_each(|held| graph(held, folder))
}

fn tensor(tensor: &mut TensorProto, folder: &Folder) -> Result<()> {
    if tensor.data_location == Some(DataLocation::External as i32) {
        tensor.raw_data = external(tensor, folder)?;
        tensor.data_location = None;
        tensor.external_data.clear();
    }
    // tract looks for them where the specification does not put them.
    if tensor.raw_data.is_empty() && !tensor.uint64_data.is_empty() {
        let numbers = tensor.uint64_data.iter();
        tensor.raw_data = if tensor.data_type == DataType::Uint32 as i32 {
            numbers.flat_map(|number| (*number as u32).to_le_bytes()).collect()
        } else {
            numbers.flat_map(|number| number.to_le_bytes()).collect()
        };
    }
    tensor.string_data.iter_mut().for_each(|bytes| *bytes = text(bytes).into_bytes());
    Ok(())
}

fn external(tensor: &TensorProto, folder: &Folder) -> Result<Vec<u8>> {
    let entry = |key: &str| tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| &*entry.value);
    let number = |key: &str| entry(key).and_then(|digits| digits.parse().ok());
    let location = entry("location").unwrap_or_default().to_owned();
    let external =
        External { location, offset: number("offset").unwrap_or(0), length: number("length"), checksum: None };
    let elements = tensor.dims.iter().try_fold(1_u64, |product, dim| product.checked_mul(u64::try_from(*dim).ok()?));
    let bits = DataType::from_number(tensor.data_type).and_then(DataType::bits);
    let wanted = elements.zip(bits).and_then(|(elements, bits)| elements.checked_mul(bits));
    let wanted = wanted.ok_or_else(|| unsupported(format!("external data of tensor '{}'", tensor.name)))?;
    Ok(folder.read(&external, wanted.div_ceil(8)).map_err(|problem| told(&problem))?.to_vec())
}

fn constant_texts(node: &mut NodeProto) {
    for held in &mut node.attribute {
        if held.name == "value_string" {
            held.s = text(&held.s).into_bytes();
        }
        held.strings.iter_mut().for_each(|bytes| *bytes = text(bytes).into_bytes());
    }
}
