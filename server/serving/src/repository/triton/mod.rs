//! `config.pbtxt`: what a Triton model repository says of a model.
//!
//! Read here: the fields that mean something to this server, and which of the others are passed over or refused.
//! What they say of the graph is compared with it in `fit`, when it is known.
//!
//! | module | what it does |
//! |---|---|
//! | `batching` | `dynamic_batching`, in the words of `model.toml` |
//! | `fit` | compares inputs, outputs and batch with the graph |
//! | `read` | values of fields, with the line in every complaint |
//! | `reshape` | tensors between the shape that callers see and the graph's |

mod batching;
mod fit;
mod read;
mod reshape;

use std::{collections::BTreeSet, path::Path};

use candor_domain::{Datatype, Error, ModelName, Result, Version, names::quoted};

use super::{
    CONFIG_FILE, layout,
    manifest::{Manifest, VersionPolicy},
    pbtxt::{self, Field, Message},
};
use read::{closest_hint, each, flag, line, message, once, text, whole, word};

pub use reshape::{Reshaped, Reshapes};

/// What a file says, and on which line it begins to.
type Said<T> = Option<(T, usize)>;

/// The contents of `config.pbtxt`, as far as they matter here.
#[derive(Debug, Clone, Default)]
pub struct TritonConfig {
    /// The file to serve, if it is not called `model.onnx`.
    pub default_model_filename: Option<String>,
    /// What is said but means nothing here, and why.
    pub notes: Vec<String>,
    max_batch_size: Said<u64>,
    batching: Said<batching::Batching>,
    version_policy: Said<VersionPolicy>,
    inputs: Vec<TensorConfig>,
    outputs: Vec<TensorConfig>,
}

/// An input or output as the file has it.
#[derive(Debug, Clone, Default)]
struct TensorConfig {
    line: usize,
    name: String,
    datatype: Said<Datatype>,
    dims: Said<Vec<i64>>,
    reshape: Said<Vec<i64>>,
    label_filename: Said<String>,
    labels: Vec<String>,
}

/// In the order of their numbers, because the language takes those too.
const DATA_TYPES: [(&str, Option<Datatype>); 15] = [
    ("TYPE_INVALID", None),
    ("TYPE_BOOL", Some(Datatype::Bool)),
    ("TYPE_UINT8", Some(Datatype::Uint8)),
    ("TYPE_UINT16", Some(Datatype::Uint16)),
    ("TYPE_UINT32", Some(Datatype::Uint32)),
    ("TYPE_UINT64", Some(Datatype::Uint64)),
    ("TYPE_INT8", Some(Datatype::Int8)),
    ("TYPE_INT16", Some(Datatype::Int16)),
    ("TYPE_INT32", Some(Datatype::Int32)),
    ("TYPE_INT64", Some(Datatype::Int64)),
    ("TYPE_FP16", Some(Datatype::Fp16)),
    ("TYPE_FP32", Some(Datatype::Fp32)),
    ("TYPE_FP64", Some(Datatype::Fp64)),
    ("TYPE_STRING", Some(Datatype::Bytes)),
    ("TYPE_BF16", Some(Datatype::Bf16)),
];

const READ: [&str; 9] = [
    "name",
    "platform",
    "backend",
    "version_policy",
    "max_batch_size",
    "dynamic_batching",
    "input",
    "output",
    "default_model_filename",
];

/// Fields that change how Triton runs a model and not what it answers.
const PASSED_OVER: [(&str, &str); 10] = [
    ("runtime", "the engine is chosen by the server"),
    ("instance_group", "one session on the CPU serves all threads"),
    ("optimization", "the engine's own defaults count"),
    ("cc_model_filenames", "there are no files by GPU here"),
    ("metric_tags", "metrics are labelled by model and version"),
    ("parameters", "engines are set up by the server's configuration"),
    ("model_warmup", "every version is warmed up on its golden pairs, or on zeros"),
    ("model_transaction_policy", "every request has one answer"),
    ("response_cache", "answers are not kept"),
    ("model_metrics", "the server's own histograms count"),
];

/// Fields without which the answers would be others.
const REFUSED: [(&str, &str, &str); 6] = [
    (
        "ensemble_scheduling",
        "ensembles of Triton are not read",
        "write [[stage]] or [ensemble] into model.toml instead; docs/REPOSITORIES.md says how",
    ),
    ("sequence_batching", "sequences are not kept here", "let the caller carry the state, as inputs and outputs"),
    ("batch_input", "inputs that the server makes up are not supported", "let the caller send them"),
    ("batch_output", "outputs that the server takes apart are not supported", "let the graph give one row per row"),
    ("model_operations", "libraries of custom operators are not loaded", "use operators that ONNX has"),
    ("model_repository_agents", "agents are not run", "put the files there as they are to be served"),
];

const INPUT_FIELDS: [&str; 9] = [
    "name",
    "data_type",
    "format",
    "dims",
    "reshape",
    "is_shape_tensor",
    "allow_ragged_batch",
    "optional",
    "is_non_linear_format_io",
];

const OUTPUT_FIELDS: [&str; 7] =
    ["name", "data_type", "dims", "reshape", "label_filename", "is_shape_tensor", "is_non_linear_format_io"];

impl TritonConfig {
    /// Reads the file of the model `name`.
    ///
    /// # Errors
    /// `InvalidModel` with the line, for what is no text format, unknown or meant for another engine.
    pub fn parse(file: &str, name: &ModelName) -> Result<Self> {
        let root = pbtxt::parse(file).map_err(|error| {
            let place = error.place().map_or_else(|| CONFIG_FILE.to_owned(), |at| format!("{CONFIG_FILE}:{at}"));
            error.at(place)
        })?;
        let mut config = Self::default();
        let (mut own_name, mut platform, mut backend, mut file) = (None, None, None, None);
        for field in &root.0 {
            match field.name.as_str() {
                "name" => once(&mut own_name, field, text(field)?)?,
                "platform" => once(&mut platform, field, text(field)?)?,
                "backend" => once(&mut backend, field, text(field)?)?,
                "default_model_filename" => once(&mut file, field, plain_name(field)?)?,
                "max_batch_size" => {
                    once(&mut config.max_batch_size, field, whole(field, 0, i32::MAX.into())?.unsigned_abs())?
                }
                "dynamic_batching" => {
                    let (batching, notes) = batching::read(message(field)?)?;
                    once(&mut config.batching, field, batching)?;
                    config.notes.extend(notes);
                }
                "version_policy" => once(&mut config.version_policy, field, policy(message(field)?, field)?)?,
                "input" => each(field, |item| config.add_input(item))?,
                "output" => each(field, |item| config.add_output(item))?,
                _ => config.pass_over(field)?,
            }
        }
        served_here("platform", platform, &["onnxruntime_onnx", "onnxruntime"])?;
        served_here("backend", backend, &["onnxruntime"])?;
        if let Some((own_name, line)) = own_name.filter(|(own, _)| !own.is_empty() && own != name.as_str()) {
            return Err(Error::model("the name is not that of the folder")
                .at(at(line))
                .expected(quoted(name.as_str()))
                .got(quoted(&own_name)));
        }
        config.default_model_filename = file.map(|(file, _)| file);
        Ok(config)
    }

    fn add_input(&mut self, item: &Field) -> Result<()> {
        let input = self.tensor(item, "input", &INPUT_FIELDS)?;
        self.inputs.push(input);
        Ok(())
    }

    fn add_output(&mut self, item: &Field) -> Result<()> {
        let output = self.tensor(item, "output", &OUTPUT_FIELDS)?;
        self.outputs.push(output);
        Ok(())
    }

    fn tensor(&mut self, item: &Field, side: &str, known: &[&str]) -> Result<TensorConfig> {
        let mut tensor = TensorConfig { line: line(item), ..TensorConfig::default() };
        let mut name = None;
        for field in &message(item)?.0 {
            match field.name.as_str() {
                unknown if !known.contains(&unknown) => return Err(unknown_field(field, side, known)),
                "name" => once(&mut name, field, text(field)?)?,
                "data_type" => once(&mut tensor.datatype, field, data_type(field)?)?,
                "dims" => add_dims(&mut tensor.dims, field)?,
                "reshape" => once(&mut tensor.reshape, field, reshape(field)?)?,
                "label_filename" => once(&mut tensor.label_filename, field, plain_name(field)?)?,
                "format" if word(field)? == "FORMAT_NONE" => {}
                "format" => self.note(field, "tensors are passed on as they come"),
                "optional" if flag(field)? => self.note(field, "the graph decides which inputs it needs"),
                "allow_ragged_batch" if flag(field)? => {
                    self.note(field, "rows of different shapes are not put together here")
                }
                "optional" | "allow_ragged_batch" => {}
                _ if flag(field)? => self.note(field, "only TensorRT has it"),
                _ => {}
            }
        }
        let Some((name, line)) = name.filter(|(name, _)| !name.is_empty()) else {
            return Err(Error::model(format!("this {side} has no name")).at(at(tensor.line)));
        };
        (tensor.name, tensor.line) = (name, line);
        Ok(tensor)
    }

    fn pass_over(&mut self, field: &Field) -> Result<()> {
        let name = field.name.as_str();
        if let Some((_, why)) = PASSED_OVER.iter().find(|(known, _)| *known == name) {
            self.note(field, why);
            return Ok(());
        }
        if let Some((_, what, hint)) = REFUSED.iter().find(|(known, ..)| *known == name) {
            return Err(Error::model(format!("{name}: {what}")).at(at(line(field))).hint(*hint));
        }
        let others = PASSED_OVER.iter().map(|(name, _)| *name).chain(REFUSED.iter().map(|(name, ..)| *name));
        let known: Vec<_> = READ.into_iter().chain(others).collect();
        Err(unknown_field(field, "model configuration", &known))
    }

    fn note(&mut self, field: &Field, why: &str) {
        let note = format!("{}: {} is passed over: {why}", at(line(field)), field.name);
        // An instance group for each GPU says it often enough.
        let said = self.notes.iter().any(|known| known.ends_with(&format!("{} is passed over: {why}", field.name)));
        if !said {
            self.notes.push(note);
        }
    }

    /// Names of the files that hold labels.
    pub fn label_files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.outputs.iter().filter_map(|output| Some((&*output.name, &*output.label_filename.as_ref()?.0)))
    }

    /// Reads the files that hold labels.
    ///
    /// # Errors
    /// `InvalidModel` with the line that names the file.
    pub fn read_labels(&mut self, folder: &Path) -> Result<()> {
        for output in &mut self.outputs {
            let Some((file, line)) = &output.label_filename else { continue };
            let read = layout::read_text(&folder.join(file)).map_err(|error| error.at(at(*line)))?;
            let missing = || {
                Error::model(format!("there is no file {}", quoted(file)))
                    .at(at(*line))
                    .expected("a file in the model's folder, beside the versions")
            };
            let text = read.ok_or_else(missing)?;
            output.labels = text.trim_end().lines().map(|label| label.trim_end_matches('\r').to_owned()).collect();
        }
        Ok(())
    }

    /// Puts what it says of versions and rows into a manifest that says nothing of them.
    ///
    /// # Errors
    /// `InvalidModel` where both say something and not the same.
    pub fn merge_into(&self, manifest: &mut Manifest) -> Result<()> {
        let contradiction = |what: &str, line: usize, toml: String, own: String| {
            Error::model(format!("{what} contradicts model.toml")).at(at(line)).expected(toml).got(own)
        };
        match (&manifest.versions, &self.version_policy) {
            (Some(toml), Some((own, line))) if toml != own => {
                return Err(contradiction("version_policy", *line, toml.to_string(), own.to_string()));
            }
            (Some(_), _) => {}
            // What Triton does when nothing is said.
            (None, said) => {
                manifest.versions = Some(said.as_ref().map_or(VersionPolicy::Latest(1), |(own, _)| own.clone()));
            }
        }
        match (manifest.batch_rows_max, self.max_batch_size) {
            (_, None | Some((0, _))) => {}
            (Some(toml), Some((own, line))) if toml != own => {
                return Err(contradiction("max_batch_size", line, format!("batch_rows_max = {toml}"), own.to_string()));
            }
            (_, Some((own, _))) => manifest.batch_rows_max = Some(own),
        }
        batching::fill(self, &mut manifest.batching);
        Ok(())
    }
}

/// The place of a line, for messages.
fn at(line: usize) -> String {
    format!("{CONFIG_FILE}:{line}")
}

fn unknown_field(field: &Field, place: &str, known: &[&str]) -> Error {
    let error = Error::model(format!("{place} has no field {}", quoted(&field.name))).at(at(line(field)));
    closest_hint(error, &field.name, known)
}

fn served_here(what: &str, said: Said<String>, known: &[&str]) -> Result<()> {
    match said {
        Some((said, line)) if !said.is_empty() && !known.contains(&said.as_str()) => {
            Err(Error::model(format!("{what} {} is not served here", quoted(&said)))
                .at(at(line))
                .expected(known.iter().map(|known| quoted(known)).collect::<Vec<_>>().join(" or "))
                .hint("only ONNX files are served"))
        }
        _ => Ok(()),
    }
}

fn plain_name(field: &Field) -> Result<String> {
    let name = text(field)?;
    if layout::is_plain(&name) {
        return Ok(name);
    }
    Err(Error::model(format!("{} is not the name of a file", field.name))
        .at(at(line(field)))
        .expected("a name without a path, such as \"model.onnx\"")
        .got(quoted(&name)))
}

fn data_type(field: &Field) -> Result<Datatype> {
    let word = word(field)?;
    let by_number = || word.parse::<usize>().ok().and_then(|number| DATA_TYPES.get(number));
    let found = DATA_TYPES.iter().find(|(name, _)| *name == word).or_else(by_number);
    found.and_then(|(_, datatype)| *datatype).ok_or_else(|| {
        let error = Error::model(format!("there is no data_type {}", quoted(&word))).at(at(line(field)));
        let names: Vec<_> = DATA_TYPES.iter().skip(1).map(|(name, _)| *name).collect();
        let error = closest_hint(error, &word, &names);
        error.expected(names.join(", "))
    })
}

/// How the file calls a datatype.
fn type_name(datatype: Datatype) -> &'static str {
    DATA_TYPES.iter().find(|(_, known)| *known == Some(datatype)).map_or("TYPE_INVALID", |(name, _)| name)
}

fn add_dims(dims: &mut Said<Vec<i64>>, field: &Field) -> Result<()> {
    let (dims, _) = dims.get_or_insert_with(|| (Vec::new(), line(field)));
    each(field, |item| {
        let dim = whole(item, -1, i64::MAX)?;
        if dim == 0 {
            return Err(Error::model("a dimension is 0").at(at(line(item))).expected("1 or more, or -1 for any size"));
        }
        dims.push(dim);
        Ok(())
    })
}

fn reshape(field: &Field) -> Result<Vec<i64>> {
    let mut shape = None;
    for inner in &message(field)?.0 {
        match inner.name.as_str() {
            "shape" => add_dims(&mut shape, inner)?,
            _ => return Err(unknown_field(inner, "reshape", &["shape"])),
        }
    }
    Ok(shape.map(|(shape, _)| shape).unwrap_or_default())
}

fn policy(message_: &Message, field: &Field) -> Result<VersionPolicy> {
    let wrong = |line: usize, expected: &str| {
        Error::model("this version_policy names no version to serve").at(at(line)).expected(expected)
    };
    let mut chosen = None;
    for choice in &message_.0 {
        let inner = &message(choice)?.0;
        let known: &[&str] = match choice.name.as_str() {
            "all" => &[],
            "latest" => &["num_versions"],
            "specific" => &["versions"],
            _ => return Err(unknown_field(choice, "version_policy", &["all", "latest", "specific"])),
        };
        if let Some(unknown) = inner.iter().find(|inner| !known.contains(&&*inner.name)) {
            return Err(unknown_field(unknown, &choice.name, known));
        }
        let policy = match choice.name.as_str() {
            "all" => VersionPolicy::All,
            "latest" => {
                let mut count = None;
                for inner in inner {
                    once(&mut count, inner, whole(inner, 1, u32::MAX.into())?)?;
                }
                let count = count.and_then(|(count, _)| usize::try_from(count).ok());
                VersionPolicy::Latest(count.ok_or_else(|| wrong(line(choice), "num_versions: 1 or more"))?)
            }
            _ => VersionPolicy::Specific(specific(inner)?),
        };
        if matches!(&policy, VersionPolicy::Specific(versions) if versions.is_empty()) {
            return Err(wrong(line(choice), "at least one of versions"));
        }
        once(&mut chosen, choice, policy)?;
    }
    chosen.map(|(policy, _)| policy).ok_or_else(|| wrong(line(field), "all, latest or specific"))
}

fn specific(fields: &[Field]) -> Result<BTreeSet<Version>> {
    let mut versions = BTreeSet::new();
    for field in fields {
        each(field, |item| {
            let number = whole(item, 1, i64::MAX)?;
            versions.insert(Version::parse(&number.to_string()).map_err(|error| error.at(at(line(item))))?);
            Ok(())
        })?;
    }
    Ok(versions)
}

#[cfg(test)]
mod tests;
