//! Reads, scans and compiles model files; hands sessions to whoever runs them.

use std::collections::BTreeMap;

use candor_domain::{
    Cancel, Dim, Engine, EngineInfo, Error, ErrorCode, LoadedModel, ModelSource, Result, Session, Signature, Tensor,
    TensorSpec, tensor::RANK_MAX,
};
use candor_engine_source::{Scanned, datatype, properties, scanned};
use candor_onnx::{
    Folder, Graph, ValueInfo, ValueType,
    extract::{Classes, Labels},
};

use crate::{
    compile::{Compiled, Value, agreed, compile, named_briefly},
    kernel::Source,
    plan::Plan,
};

/// The engine of this crate.
pub struct NativeEngine {
    info: EngineInfo,
}

impl NativeEngine {
    /// The engine; it needs nothing.
    #[must_use]
    pub fn new() -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let (platform, backend) = ("onnx_onnxv1", "native");
        Self { info: EngineInfo { name: "native", version, library: None, library_sha256: None, platform, backend } }
    }
}

impl Default for NativeEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine for NativeEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn load(&self, source: ModelSource<'_>) -> Result<LoadedModel> {
        let Scanned { model, cost_depends_on_values, random } = scanned(source)?;
        let graph = &model.graph;
        tensors_only(graph)?;
        let inputs = inputs(graph)?;
        let Compiled { plan, outputs } = compile(graph, &Folder::new(source.folder), &inputs)?;
        let signature = Signature {
            inputs: inputs.iter().map(|(name, value)| spec(name, value)).collect::<Result<_>>()?,
            outputs: graph
                .outputs
                .iter()
                .zip(&outputs)
                .map(|(info, value)| output(info, value))
                .collect::<Result<_>>()?,
        };
        let session = Box::new(NativeSession(plan));
        let mut properties = properties(&model);
        properties.extend(labels(graph));
        Ok(LoadedModel { session, signature, properties, cost_depends_on_values, random })
    }
}

/// The classes of outputs that are maps by declaration and tensors here, so that their keys are not lost:
/// `labels.<output>`, a list in JSON.
fn labels(graph: &Graph) -> BTreeMap<String, String> {
    let labels = |info: &ValueInfo| {
        let Some(Classes::Columns(labels)) = Classes::of(graph, &info.name) else { return None };
        let list = match labels {
            Labels::Ints(labels) => serde_json::to_string(&labels),
            Labels::Strings(labels) => serde_json::to_string(&labels),
        };
        Some((format!("labels.{}", info.name), list.ok()?))
    };
    graph.outputs.iter().filter(|info| info.tensor().is_none()).filter_map(labels).collect()
}

struct NativeSession(Plan);

impl Session for NativeSession {
    fn run(&self, inputs: &[Tensor], wanted: &[usize], cancel: Option<&Cancel>) -> Result<Vec<Tensor>> {
        self.0.run(inputs, wanted, cancel)
    }
}

/// No output may be anything but a tensor; the maps of ZipMap are one here.
fn tensors_only(graph: &Graph) -> Result<()> {
    let is_other = |info: &&ValueInfo| !matches!(info.value, ValueType::Tensor { .. } | ValueType::Unknown);
    match graph.outputs.iter().filter(is_other).find(|info| Classes::of(graph, &info.name).is_none()) {
        Some(info) => {
            let what = format!("output '{}' is a sequence or a map, not a tensor", info.name);
            Err(Error::new(ErrorCode::Unsupported, what))
        }
        None => Ok(()),
    }
}

/// What a caller gives, in the order of the file.
fn inputs(graph: &Graph) -> Result<Vec<(String, Value)>> {
    let value = |(at, (_, info)): (usize, (usize, &ValueInfo))| {
        let place = || format!("input '{}'", info.name);
        let Some((element, dims)) = info.tensor() else {
            return Err(Error::new(ErrorCode::Unsupported, "the native engine takes tensors only").at(place()));
        };
        let datatype = datatype(element).ok_or_else(|| {
            Error::new(ErrorCode::Unsupported, "an input has a datatype that is not supported")
                .at(place())
                .got(element.to_string())
        })?;
        let value = Value { source: Source::Input(at), datatype, dims: dims.map(named_briefly) };
        spec(&info.name, &value)?;
        Ok((info.name.clone(), value))
    };
    graph.required_inputs().enumerate().map(value).collect()
}

/// An output, as it is declared; what is made must not contradict that.
fn output(info: &ValueInfo, made: &Value) -> Result<TensorSpec> {
    // A sequence of maps is what ZipMap declares; what is made is its tensor.
    let Some((element, dims)) = info.tensor() else { return spec(&info.name, made) };
    if datatype(element) != Some(made.datatype) {
        return Err(Error::model(format!("the output '{}' is declared as another type than it is", info.name))
            .expected(made.datatype.name())
            .got(element.to_string()));
    }
    let dims = agreed(dims.map(named_briefly), made.dims.clone());
    spec(&info.name, &Value { dims, ..made.clone() })
}

fn spec(name: &str, value: &Value) -> Result<TensorSpec> {
    let dim = |dim: &candor_onnx::Dim| match dim {
        candor_onnx::Dim::Fixed(size) => Dim::Fixed(i64::try_from(*size).unwrap_or(i64::MAX)),
        candor_onnx::Dim::Symbol(name) => Dim::Any((!name.is_empty()).then(|| name.as_str().into())),
        candor_onnx::Dim::Unknown => Dim::Any(None),
    };
    if let Some(dims) = value.dims.as_ref().filter(|dims| dims.len() > RANK_MAX) {
        return Err(
            Error::model(format!("'{name}' has {} dimensions", dims.len())).expected(format!("at most {RANK_MAX}"))
        );
    }
    let dims = value.dims.as_ref().map(|dims| dims.iter().map(dim).collect());
    Ok(TensorSpec { name: name.into(), datatype: value.datatype, dims })
}
