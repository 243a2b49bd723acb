//! What every engine does with a model file first: scan it, and say what it holds in the server's words.
//!
//! `candor-onnx` reads files and knows nothing of the server; `candor-domain` knows nothing of files. Here
//! the one is told in the words of the other: [`scanned`] and [`told`] for faults, [`signature`], [`datatype`]
//! and [`properties`] for what a graph declares. This room runs no model.

use std::collections::BTreeMap;

use candor_domain::{Datatype, Dim, Error, ErrorCode, ModelSource, Result, Signature, TensorSpec, tensor::RANK_MAX};
use candor_onnx::{DataType, ErrorKind, Folder, Graph, Limits, Model, ValueInfo, ValueType, scan::Scan};

/// A file in which the scan found nothing to refuse.
#[derive(Debug, Clone, PartialEq)]
pub struct Scanned {
    /// What the file holds. Weights in other files have not been read.
    pub model: Model,
    /// Whether a run's work may depend on the values of its inputs and not only on their shapes.
    pub cost_depends_on_values: bool,
    /// Where a node stands whose output is drawn by chance.
    pub random: Option<String>,
}

/// Scans a file before an engine sees it.
///
/// # Errors
/// `InvalidModel` with the gravest finding, when there is one for which a file must not be loaded.
pub fn scanned(source: ModelSource<'_>) -> Result<Scanned> {
    let scan = Scan::of(source.bytes, &Folder::new(source.folder), &Limits::default());
    if let Some(problem) = scan.refusal() {
        return Err(told(problem));
    }
    let model = scan.model.ok_or_else(|| Error::new(ErrorCode::Internal, "the scan found nothing and read nothing"))?;
    Ok(Scanned { model, cost_depends_on_values: scan.cost_depends_on_values, random: scan.random })
}

/// A fault of a file as an error of the server: `InvalidModel`, with place, expectation and finding.
#[must_use]
pub fn told(problem: &candor_onnx::Error) -> Error {
    let mut error = Error::model(problem.what().to_owned());
    if let Some(place) = problem.place() {
        error = error.at(place.to_owned());
    }
    if let Some(expected) = problem.expectation() {
        error = error.expected(expected.to_owned());
    }
    if let Some(got) = problem.finding() {
        error = error.got(got.to_owned());
    }
    if problem.kind() == ErrorKind::NotOnnx {
        error = error.hint("other formats, compressed files and pointers to files elsewhere are not models");
    }
    error
}

/// What a graph declares: the inputs that a caller must give (those without a default), and all outputs.
///
/// An output that is declared without a type or a shape stands here as it is declared; an engine that
/// infers more puts that in its place.
///
/// # Errors
/// `Unsupported` when an input or output is no tensor, since an engine may make one of it. `InvalidModel` when it
/// is one that no request can carry: of a type that the Open Inference Protocol does not have, or of more than
/// [`RANK_MAX`] dimensions.
pub fn signature(graph: &Graph) -> Result<Signature> {
    Ok(Signature {
        inputs: graph.required_inputs().map(|(_, info)| spec(info, "input")).collect::<Result<_>>()?,
        outputs: graph.outputs.iter().map(|info| spec(info, "output")).collect::<Result<_>>()?,
    })
}

fn spec(info: &ValueInfo, side: &str) -> Result<TensorSpec> {
    let name = info.name.as_str();
    let ValueType::Tensor { element, shape } = &info.value else {
        let what = format!("{side} '{name}' is {}, not a tensor", kind(&info.value));
        return Err(Error::new(ErrorCode::Unsupported, what)
            .hint("export the model with plain tensor outputs (skl2onnx: options={'zipmap': False})"));
    };
    let datatype = datatype(*element).ok_or_else(|| {
        let what =
            format!("{side} '{name}' has element type {element}, which the Open Inference Protocol does not have");
        Error::model(what)
    })?;
    let dims = shape.as_ref().map(|dims| dims.iter().map(dim).collect::<Vec<_>>());
    match dims.as_ref().map(Vec::len) {
        Some(rank) if rank > RANK_MAX => {
            let what = format!("{side} '{name}' has {rank} dimensions");
            Err(Error::model(what).expected(format!("at most {RANK_MAX}")))
        }
        _ => Ok(TensorSpec { name: name.into(), datatype, dims }),
    }
}

fn dim(dim: &candor_onnx::Dim) -> Dim {
    match dim {
        candor_onnx::Dim::Fixed(size) => i64::try_from(*size).map_or(Dim::Any(None), Dim::Fixed),
        candor_onnx::Dim::Symbol(name) => Dim::Any(Some(name.as_str().into())),
        candor_onnx::Dim::Unknown => Dim::Any(None),
    }
}

const fn kind(value: &ValueType) -> &'static str {
    match value {
        ValueType::Unknown => "a value without a declared type",
        ValueType::Tensor { .. } => "a tensor",
        ValueType::SparseTensor { .. } => "a sparse tensor",
        ValueType::Sequence(_) => "a sequence",
        ValueType::Map { .. } => "a map",
        ValueType::Optional(_) => "an optional",
        ValueType::Opaque { .. } => "a type of somebody's own",
    }
}

/// The protocol's datatype of this element type; none for what it does not have: complex numbers, floats of
/// 8 bits, and everything smaller than a byte.
#[must_use]
pub const fn datatype(element: DataType) -> Option<Datatype> {
    Some(match element {
        DataType::Bool => Datatype::Bool,
        DataType::Uint8 => Datatype::Uint8,
        DataType::Uint16 => Datatype::Uint16,
        DataType::Uint32 => Datatype::Uint32,
        DataType::Uint64 => Datatype::Uint64,
        DataType::Int8 => Datatype::Int8,
        DataType::Int16 => Datatype::Int16,
        DataType::Int32 => Datatype::Int32,
        DataType::Int64 => Datatype::Int64,
        DataType::Float16 => Datatype::Fp16,
        DataType::Bfloat16 => Datatype::Bf16,
        DataType::Float => Datatype::Fp32,
        DataType::Double => Datatype::Fp64,
        DataType::String => Datatype::Bytes,
        DataType::Undefined
        | DataType::Complex64
        | DataType::Complex128
        | DataType::Float8E4M3Fn
        | DataType::Float8E4M3Fnuz
        | DataType::Float8E5M2
        | DataType::Float8E5M2Fnuz
        | DataType::Float8E8M0
        | DataType::Uint4
        | DataType::Int4
        | DataType::Float4E2M1
        | DataType::Uint2
        | DataType::Int2
        | DataType::Float6E2M3
        | DataType::Float6E3M2 => return None,
    })
}

/// Producer, graph name, domain, descriptions and custom metadata of a file; what is empty is left out. A
/// custom key wins over one of ours.
#[must_use]
pub fn properties(model: &Model) -> BTreeMap<String, String> {
    let own = [
        ("producer", &model.producer_name),
        ("graph", &model.graph.name),
        ("domain", &model.domain),
        ("description", &model.doc),
        ("graph_description", &model.graph.doc),
    ];
    let custom = model.metadata.iter().map(|(key, value)| (key.as_str(), value));
    let all = own.into_iter().chain(custom).filter(|(_, value)| !value.is_empty());
    all.map(|(key, value)| (key.to_owned(), value.clone())).collect()
}

#[cfg(test)]
mod tests;
