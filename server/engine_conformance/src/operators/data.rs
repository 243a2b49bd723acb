//! The tests as they lie on disk: `<kind>/<name>/model.onnx` and `test_data_set_<n>/{input,output}_<m>.pb`.
//!
//! Read with the house's own reader, bounded as every file is. Says what a test is about; runs nothing.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use candor_domain::Tensor;
use candor_onnx::{Graph, Limits, Model, Node, ValueInfo, ValueType};

use super::tensors;

/// What `cargo xtask operators` writes when the folder is complete: the package and version of the data.
const STAMP: &str = "complete.txt";

/// One test.
pub(super) struct Case {
    pub(super) folder: PathBuf,
    pub(super) model: Vec<u8>,
    pub(super) operators: Vec<String>,
    /// Its data sets, or why Candor cannot express them.
    pub(super) pairs: Result<Vec<Pair>, String>,
}

/// Inputs and the outputs that they must give, by name.
pub(super) struct Pair {
    pub(super) inputs: Vec<(String, Tensor)>,
    pub(super) outputs: Vec<(String, Tensor)>,
}

/// The folder of the data, above the running test: `target/operators`.
///
/// # Errors
/// When it is not there, or not what this suite was written for, with the command that gets it.
pub fn folder() -> Result<PathBuf, String> {
    let here = env::current_exe().map_err(|error| error.to_string())?;
    let found = here.ancestors().map(|above| above.join("operators")).find(|folder| folder.join(STAMP).is_file());
    let get = "get them with `cargo xtask operators`";
    let folder = found.ok_or_else(|| format!("the operator tests are not in target/operators: {get}"))?;
    let stamp = fs::read_to_string(folder.join(STAMP)).map_err(|error| error.to_string())?;
    let source: Source = toml::from_str(include_str!("../../operators/source.toml")).map_err(|why| why.to_string())?;
    let want = format!("{} {}", source.package, source.version);
    if stamp.trim() == want {
        return Ok(folder);
    }
    Err(format!("{} holds {}, wanted {want}: {get}", folder.display(), stamp.trim()))
}

#[derive(serde::Deserialize)]
struct Source {
    package: String,
    version: String,
}

/// Names of the tests below the folder, sorted: `<kind>/<name>`.
pub(super) fn names(folder: &Path) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for kind in folders(folder)? {
        for name in folders(&folder.join(&kind))? {
            if folder.join(&kind).join(&name).join("model.onnx").is_file() {
                names.push(format!("{kind}/{name}"));
            }
        }
    }
    names.sort();
    Ok(names)
}

fn folders(of: &Path) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(of).map_err(|error| format!("cannot list {}: {error}", of.display()))?;
    let entries = entries.filter_map(Result::ok).filter(|entry| entry.path().is_dir());
    Ok(entries.filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

impl Case {
    pub(super) fn read(folder: &Path) -> Result<Self, String> {
        let bytes = fs::read(folder.join("model.onnx")).map_err(|error| error.to_string())?;
        let model = Model::from_slice(&bytes, &Limits::default()).map_err(|error| error.to_string())?;
        let mut operators = Vec::new();
        collect(&model.graph, &mut operators);
        operators.sort();
        operators.dedup();
        Ok(Self { folder: folder.to_path_buf(), pairs: pairs(folder, &model.graph), model: bytes, operators })
    }

    /// Whether it is about `ai.onnx.ml` alone, where answers are nearer.
    pub(super) fn is_classical(&self) -> bool {
        !self.operators.is_empty() && self.operators.iter().all(|name| name.starts_with("ai.onnx.ml."))
    }
}

fn collect(graph: &Graph, operators: &mut Vec<String>) {
    let name = |node: &Node| {
        if node.domain.is_empty() { node.op_type.clone() } else { format!("{}.{}", node.domain, node.op_type) }
    };
    for node in &graph.nodes {
        operators.push(name(node));
        node.graphs().for_each(|inner| collect(inner, operators));
    }
}

fn pairs(folder: &Path, graph: &Graph) -> Result<Vec<Pair>, String> {
    let mut pairs = Vec::new();
    for number in 0.. {
        let set = folder.join(format!("test_data_set_{number}"));
        if !set.is_dir() {
            break;
        }
        let pair = Pair { inputs: side(&set, "input", &graph.inputs)?, outputs: side(&set, "output", &graph.outputs)? };
        if let Some((name, _)) = pair.inputs.iter().find(|(name, _)| graph.initializer(name).is_some()) {
            return Err(format!("it gives another value to '{name}', which the model has as a constant"));
        }
        pairs.push(pair);
    }
    if pairs.is_empty() { Err("it has no data".to_owned()) } else { Ok(pairs) }
}

/// `input_0.pb` is the graph's first input, and so on; what has no file is not given.
fn side(set: &Path, word: &str, declared: &[ValueInfo]) -> Result<Vec<(String, Tensor)>, String> {
    let mut tensors = Vec::new();
    for (at, value) in declared.iter().enumerate() {
        let file = set.join(format!("{word}_{at}.pb"));
        if !file.is_file() {
            continue;
        }
        let ValueType::Tensor { .. } = &value.value else {
            return Err(format!("{word} '{}' is no tensor", value.name));
        };
        let bytes = fs::read(&file).map_err(|error| error.to_string())?;
        let read = candor_onnx::Tensor::read(bytes.into(), &Limits::default());
        let tensor = read.map_err(|error| format!("{word} '{}': {error}", value.name))?;
        let tensor = tensors::read(&tensor).map_err(|why| format!("{word} '{}': {why}", value.name))?;
        tensors.push((value.name.clone(), tensor));
    }
    Ok(tensors)
}
