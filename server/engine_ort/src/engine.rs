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
    Cancel, Copies, Dim, Engine, EngineInfo, Error, ErrorCode, LoadedModel, ModelSource, Result, Session, Signature,
    Tensor, TensorSpec, tensor::RANK_MAX,
};
use candor_engine_source::{Scanned, scanned};
use ort::{
    environment::Environment,
    session::Session as OrtSession,
    value::{Outlet, ValueType},
};

use crate::{
    codes::{Side, datatype, kind},
    copies::{CopySettings, Store},
    library,
    maker::Maker,
    raw::Runner,
};

/// ONNX Runtime, loaded.
pub struct OrtEngine {
    maker: Maker,
    info: EngineInfo,
    store: Option<Store>,
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
                Ok((environment, info)) => {
                    let maker = Maker { environment, intra_op_threads };
                    return Ok(Self { maker, info, store: None });
                }
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

    #[cfg(test)]
    pub(crate) fn maker(&self) -> &Maker {
        &self.maker
    }

    /// The same, which keeps copies of what it loads; without them when their folder cannot be used.
    #[must_use]
    pub fn with_copies(mut self, settings: CopySettings) -> Self {
        let folder = settings.folder.display().to_string();
        match Store::open(settings, self.maker.clone(), &self.info) {
            Ok(store) => self.store = Some(store),
            Err(error) => tracing::warn!("models are loaded without copies: {folder}: {error}"),
        }
        self
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
    // Hashed while it is opened: each takes about as long.
    let (environment, sha256) = std::thread::scope(|scope| {
        let sha256 = scope.spawn(|| library::sha256_of(&path));
        (start(&path), sha256.join())
    });
    let environment = environment?;
    // What goes wrong comes back as an error too, and a caller's wrong input is no line of the log.
    environment.set_log_level(ort::logging::LogLevel::Fatal);
    let sha256 = sha256.map_err(|_| "it could not be hashed".to_owned())?.map_err(|error| error.to_string())?;
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

fn start(path: &Path) -> Result<Environment, String> {
    let builder = ort::init_from(path).map_err(|error| error.to_string())?;
    builder.with_name("candor").with_telemetry(false).build().map_err(|error| error.to_string())
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
        let session = self.maker.of_onnx(source).map_err(|error| refusal(&error))?;
        let signature = signature(&session)?;
        let properties = properties(&session);
        let runner = Runner::new(session, &signature, None)?;
        let session = Box::new(OrtRunSession(runner));
        Ok(LoadedModel { session, signature, properties, cost_depends_on_values, random })
    }

    fn copies(&self) -> Option<&dyn Copies> {
        self.store.as_ref().map(|store| store as &dyn Copies)
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

/// A session that stays what it is.
pub(crate) struct OrtRunSession(pub(crate) Runner);

impl Session for OrtRunSession {
    fn run(&self, inputs: &[Tensor], wanted: &[usize], cancel: Option<&Cancel>) -> Result<Vec<Tensor>> {
        self.0.run(inputs, wanted, cancel)
    }
}

/// What a session takes and gives.
pub(crate) fn signature(session: &OrtSession) -> Result<Signature> {
    Ok(Signature {
        inputs: specs(session, session.inputs(), Side::Input)?,
        outputs: specs(session, session.outputs(), Side::Output)?,
    })
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

/// What a session's graph says of itself.
pub(crate) fn properties(session: &OrtSession) -> BTreeMap<String, String> {
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
