//! Makes sessions out of model bytes and reads their signatures.
//!
//! Called by the registry on its load pool; hands each session to `raw` to be run.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use candor_domain::{
    Cancel, Datatype, Dim, Engine, EngineInfo, Error, ErrorCode, LoadedModel, ModelSource, Result, Session, Signature,
    Tensor, TensorSpec, tensor::RANK_MAX,
};
use candor_engine_source::{Scanned, scanned};
use ort::{
    environment::Environment,
    session::Session as OrtSession,
    value::{Outlet, TensorElementType, ValueType},
};

use crate::{
    library,
    raw::{Runner, Side},
};

/// Tells ONNX Runtime where a model that is loaded from memory keeps its external data.
const EXTERNAL_DATA_FOLDER: &str = "session.model_external_initializers_file_folder_path";

/// Keeps ONNX Runtime from guessing: its own `.ort` format is not ONNX, and has not been scanned.
const MODEL_FORMAT: (&str, &str) = ("session.load_model_format", "ONNX");

/// ONNX Runtime, loaded.
pub struct OrtEngine {
    environment: Environment,
    info: EngineInfo,
    intra_op_threads: usize,
}

impl OrtEngine {
    /// Loads the first library that works: the `configured` one, or else one from `folders` or the
    /// system (see [`library::candidates`]). Each session will use `intra_op_threads` threads.
    ///
    /// # Errors
    /// `Unsupported` with everything that was tried and how to get a library, when none works.
    pub fn try_new(configured: Option<&Path>, folders: &[PathBuf], intra_op_threads: usize) -> Result<Self> {
        let mut tried = String::new();
        for path in library::candidates(configured, folders) {
            match open(&path) {
                Ok((environment, info)) => return Ok(Self { environment, info, intra_op_threads }),
                Err(why) => {
                    let _ = write!(tried, "\n  {}: {why}", path.display());
                }
            }
        }
        if tried.is_empty() {
            tried = "\n  (no file named libonnxruntime.so* beside the binary, in ../lib, or in the system's folders)"
                .into();
        }
        Err(Error::new(ErrorCode::Unsupported, "no usable ONNX Runtime library")
            .expected(format!("one of those that were tried:{tried}"))
            .hint(
                "\nhow to get one: `cargo xtask runtime --profile release` puts it beside the binary; or name a \
                 libonnxruntime.so.1.24 or newer with --ort-library PATH",
            ))
    }
}

/// What this process has loaded. ONNX Runtime has one library and one environment per process, ever, so
/// engines share them.
static LOADED: Mutex<Option<(Environment, EngineInfo)>> = Mutex::new(None);

fn open(path: &Path) -> Result<(Environment, EngineInfo), String> {
    let path = path.canonicalize().map_err(|error| error.to_string())?;
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    match &*loaded {
        Some((environment, info)) if info.library.as_ref() == Some(&path) => {
            return Ok((environment.clone(), info.clone()));
        }
        Some((_, EngineInfo { library: Some(other), .. })) => {
            return Err(format!("this process already uses {}", other.display()));
        }
        Some(_) | None => {}
    }
    let builder = ort::init_from(&path).map_err(|error| error.to_string())?;
    let environment = builder.with_name("candor").with_telemetry(false).build().map_err(|error| error.to_string())?;
    // What goes wrong comes back as an error too, and a caller's wrong input is no line of the log.
    environment.set_log_level(ort::logging::LogLevel::Fatal);
    let sha256 = library::sha256_of(&path).map_err(|error| error.to_string())?;
    let info = EngineInfo {
        name: "ort",
        version: library_version(&path),
        library: Some(path),
        library_sha256: Some(sha256),
        platform: "onnxruntime_onnx",
        backend: "onnxruntime",
    };
    *loaded = Some((environment.clone(), info.clone()));
    Ok((environment, info))
}

/// The library's version: from its build information (`git-branch=rel-1.31.1`), else from its file name.
fn library_version(path: &Path) -> String {
    let branch = ort::info().split("git-branch=rel-").nth(1);
    let from_build = branch.and_then(|rest| rest.split([',', ' ']).next()).filter(|version| !version.is_empty());
    from_build.map(str::to_owned).unwrap_or_else(|| {
        let numbers: Vec<_> = library::version_in_name(path).iter().map(u32::to_string).collect();
        if numbers.is_empty() { "unknown".to_owned() } else { numbers.join(".") }
    })
}

impl Engine for OrtEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn load(&self, source: ModelSource<'_>) -> Result<LoadedModel> {
        // ONNX Runtime 1.31.1 refuses by itself external data outside the folder; 1.24, which this engine also
        // takes, reads through sparse initializers any path and any address of the process. All follow links
        // within.
        let Scanned { cost_depends_on_values, random, .. } = scanned(source)?;
        let session = self.open_session(source).map_err(|error| refusal(&error))?;
        let signature = Signature {
            inputs: specs(&session, session.inputs(), Side::Input)?,
            outputs: specs(&session, session.outputs(), Side::Output)?,
        };
        let properties = properties(&session);
        let runner = Runner::new(session, &signature)?;
        let session = Box::new(OrtRunSession(runner));
        Ok(LoadedModel { session, signature, properties, cost_depends_on_values, random })
    }
}

impl OrtEngine {
    fn open_session(&self, source: ModelSource<'_>) -> ort::Result<OrtSession> {
        let folder = source.folder.to_string_lossy();
        OrtSession::builder(&self.environment)?
            .with_intra_threads(self.intra_op_threads)?
            .with_inter_threads(1)?
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?
            .with_prepacking(true)?
            .with_config_entry(EXTERNAL_DATA_FOLDER, folder)?
            .with_config_entry(MODEL_FORMAT.0, MODEL_FORMAT.1)?
            .commit_from_memory(source.bytes)
    }
}

/// What ONNX Runtime says of a file that is good and beyond it: operators and versions that it does not know. It has
/// no code for them.
const BEYOND_IT: [&str; 4] = [
    "is not a registered function/op",
    "No Op registered for",
    "ONNX Runtime only *guarantees* support for models stamped with official released onnx opset versions",
    "Unsupported model IR version",
];

fn refusal(error: &ort::Error) -> Error {
    let text = error.to_string();
    let refused = Error::model(format!("ONNX Runtime cannot load the model: {text}"));
    if error.code() == ort::ErrorCode::NotImplemented {
        return refused.with_code(ErrorCode::Unsupported).hint(
            "export with FloatTensorType (skl2onnx): ONNX Runtime has this operator for fewer datatypes than the \
             specification",
        );
    }
    let is_beyond = BEYOND_IT.iter().any(|words| text.contains(words));
    if is_beyond { refused.with_code(ErrorCode::Unsupported) } else { refused }
}

struct OrtRunSession(Runner);

impl Session for OrtRunSession {
    fn run(&self, inputs: &[Tensor], wanted: &[usize], cancel: Option<&Cancel>) -> Result<Vec<Tensor>> {
        self.0.run(inputs, wanted, cancel)
    }
}

fn specs(session: &OrtSession, outlets: &[Outlet], side: Side) -> Result<Vec<TensorSpec>> {
    let spec = |(index, outlet)| {
        let mut spec = spec(outlet, side.word())?;
        // Without a shape the rank counts as 0, as a scalar's does.
        if spec.dims.as_ref().is_some_and(Vec::is_empty) && !side.declares_shape(session, index)? {
            spec.dims = None;
        }
        Ok(spec)
    };
    outlets.iter().enumerate().map(spec).collect()
}

fn spec(outlet: &Outlet, side: &str) -> Result<TensorSpec> {
    let name = outlet.name();
    let ValueType::Tensor { ty, shape, dimension_symbols } = outlet.dtype() else {
        let what = format!("{side} '{name}' is a {}, not a tensor", kind(outlet.dtype()));
        return Err(Error::new(ErrorCode::Unsupported, what)
            .hint("export the model with plain tensor outputs (skl2onnx: options={'zipmap': False})"));
    };
    let datatype = datatype(*ty).ok_or_else(|| {
        Error::model(format!("{side} '{name}' has element type {ty}, which the Open Inference Protocol does not have"))
    })?;
    if shape.len() > RANK_MAX {
        return Err(Error::model(format!("{side} '{name}' has {} dimensions", shape.len()))
            .expected(format!("at most {RANK_MAX}")));
    }
    let dims = shape.iter().zip(dimension_symbols.iter()).map(|(&size, symbol)| {
        if size >= 0 { Dim::Fixed(size) } else { Dim::Any((!symbol.is_empty()).then(|| symbol.as_str().into())) }
    });
    Ok(TensorSpec { name: name.into(), datatype, dims: Some(dims.collect()) })
}

fn kind(value: &ValueType) -> &'static str {
    match value {
        ValueType::Tensor { .. } => "tensor",
        ValueType::Sequence(_) => "sequence",
        ValueType::Map { .. } => "map",
        ValueType::Optional(_) => "optional",
    }
}

#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "the rest are sub-byte, complex and 8-bit floats, absent from the protocol"
)]
fn datatype(ty: TensorElementType) -> Option<Datatype> {
    Some(match ty {
        TensorElementType::Bool => Datatype::Bool,
        TensorElementType::Uint8 => Datatype::Uint8,
        TensorElementType::Uint16 => Datatype::Uint16,
        TensorElementType::Uint32 => Datatype::Uint32,
        TensorElementType::Uint64 => Datatype::Uint64,
        TensorElementType::Int8 => Datatype::Int8,
        TensorElementType::Int16 => Datatype::Int16,
        TensorElementType::Int32 => Datatype::Int32,
        TensorElementType::Int64 => Datatype::Int64,
        TensorElementType::Float16 => Datatype::Fp16,
        TensorElementType::Bfloat16 => Datatype::Bf16,
        TensorElementType::Float32 => Datatype::Fp32,
        TensorElementType::Float64 => Datatype::Fp64,
        TensorElementType::String => Datatype::Bytes,
        _ => return None,
    })
}

fn properties(session: &OrtSession) -> BTreeMap<String, String> {
    let mut properties = BTreeMap::new();
    let Ok(metadata) = session.metadata() else { return properties };
    let mut keep = |key: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            properties.insert(key.to_owned(), value);
        }
    };
    keep("producer", metadata.producer());
    keep("graph", metadata.name());
    keep("domain", metadata.domain());
    keep("description", metadata.description());
    keep("graph_description", metadata.graph_description());
    for key in metadata.custom_keys().unwrap_or_default() {
        let value = metadata.custom(&key);
        keep(&key, value);
    }
    properties
}
