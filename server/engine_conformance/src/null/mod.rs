//! An engine that does almost nothing: what a request costs with it is what Candor costs.
//!
//! Its model files are TOML. Each declares inputs and outputs; an output is zeros, one number everywhere,
//! or an input given back. A file can also order a failure. With [`Hooks`], tests hold loads and runs at a
//! gate and count the sessions that live.
//!
//! ```toml
//! key = "a/1"                 # by which hooks and `properties` know this file; optional
//! fail_load = "why"           # the load fails
//! panic_load = true           # the load panics
//! not_for = ["a"]             # engines of these names do not take the file: Unsupported
//! lies = ["b"]                # engines of these names add 1 to the first element of every number that they give
//! fail_run = "why"            # every run fails with EngineFailed
//! panic_run = true            # every run panics
//! random = true               # the file says that its answers are drawn by chance; they are not
//! trigger = 13.0              # only runs whose first element is this fail, panic or stop at a gate
//! [[inputs]]
//! name = "x"
//! datatype = "FP32"
//! dims = ["rows", 4]          # a number, a name, or -1 for a size without a name
//! [[outputs]]
//! name = "y"
//! datatype = "FP32"
//! dims = ["rows"]             # sizes come from the inputs; one that they do not name is the count of rows
//! constant = 0.5              # or: echo = "x"; or: sum = ["x", "z"], where one with a single element goes to each
//! ```

mod file;
mod hooks;

use std::{collections::BTreeMap, sync::Arc};

use candor_domain::{
    Cancel, Dim, Engine, EngineInfo, Error, ErrorCode, LoadedModel, ModelSource, Result, Session, Shape, Signature,
    Tensor, TensorData, TensorSpec, for_each_datatype,
};

use file::ModelFile;
pub use hooks::{Gate, Hooks};

/// The null engine.
pub struct NullEngine {
    info: EngineInfo,
    hooks: Option<Hooks>,
}

impl Default for NullEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl NullEngine {
    /// An engine without hooks: the one that benchmarks subtract.
    #[must_use]
    pub fn new() -> Self {
        let info = EngineInfo {
            name: "null",
            version: env!("CARGO_PKG_VERSION").to_owned(),
            library: None,
            library_sha256: None,
            platform: "null",
            backend: "null",
        };
        Self { info, hooks: None }
    }

    /// An engine that a test watches and holds through `hooks`.
    #[must_use]
    pub fn with_hooks(hooks: Hooks) -> Self {
        Self { hooks: Some(hooks), ..Self::new() }
    }

    /// The same under another name, for tests that need several.
    #[must_use]
    pub fn named(mut self, name: &'static str, version: &str) -> Self {
        self.info.name = name;
        version.clone_into(&mut self.info.version);
        self
    }
}

impl Engine for NullEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn load(&self, source: ModelSource<'_>) -> Result<LoadedModel> {
        let file = ModelFile::parse(source.bytes)?;
        if let Some(hooks) = &self.hooks {
            hooks.loading(&file.key);
        }
        let lists_me = |names: &[String]| names.iter().any(|name| name == self.info.name);
        if lists_me(&file.not_for) {
            return Err(Error::new(ErrorCode::Unsupported, format!("'{}' is not for this engine", file.key)));
        }
        if let Some(reason) = &file.fail_load {
            return Err(Error::model(reason.clone()));
        }
        if file.panic_load {
            panics();
        }
        let (signature, fills) = (file.signature()?, file.fills()?);
        let hooks = self.hooks.clone().inspect(|hooks| hooks.born(&file.key));
        let lies = lists_me(&file.lies);
        let session = NullSession { signature: signature.clone(), fills, file, hooks, lies };
        let properties = BTreeMap::from([("key".to_owned(), session.file.key.clone())]);
        let random = session.file.random.then(|| "the file (random)".to_owned());
        Ok(LoadedModel { session: Box::new(session), signature, properties, cost_depends_on_values: false, random })
    }
}

#[allow(clippy::panic, reason = "a test has ordered it")]
fn panics() {
    panic!("the null engine was told to panic");
}

/// What an output is made of.
#[derive(Debug, Clone)]
enum Fill {
    /// The same element everywhere: the only one of this data.
    Constant(TensorData),
    /// The input at this position.
    Echo(usize),
    /// The FP32 inputs at these positions, added; a single element is added everywhere.
    Sum(Vec<usize>),
}

struct NullSession {
    signature: Signature,
    fills: Vec<Fill>,
    file: ModelFile,
    hooks: Option<Hooks>,
    lies: bool,
}

impl Drop for NullSession {
    fn drop(&mut self) {
        if let Some(hooks) = &self.hooks {
            hooks.died(&self.file.key);
        }
    }
}

impl Session for NullSession {
    fn run(&self, inputs: &[Tensor], wanted: &[usize], cancel: Option<&Cancel>) -> Result<Vec<Tensor>> {
        if let Some(hooks) = &self.hooks {
            hooks.running(&self.file.key, self.triggered(inputs), cancel);
        }
        if cancel.is_some_and(Cancel::is_cancelled) {
            return Err(Error::new(ErrorCode::Cancelled, "cancelled"));
        }
        if self.file.misbehaves() && self.triggered(inputs) {
            if self.file.panic_run {
                panics();
            }
            if let Some(reason) = &self.file.fail_run {
                return Err(Error::new(ErrorCode::EngineFailed, reason.clone()));
            }
        }
        let outputs = wanted.iter().map(|&position| self.output(position, inputs));
        if self.lies { outputs.map(|output| output.and_then(lie)).collect() } else { outputs.collect() }
    }
}

impl NullSession {
    fn triggered(&self, inputs: &[Tensor]) -> bool {
        let Some(trigger) = self.file.trigger else { return true };
        inputs.first().and_then(|tensor| first_number(tensor.data())) == Some(trigger)
    }

    fn output(&self, position: usize, inputs: &[Tensor]) -> Result<Tensor> {
        let (Some(fill), Some(spec)) = (self.fills.get(position), self.signature.outputs.get(position)) else {
            return Err(Error::new(ErrorCode::Internal, "a run was asked for an output that is not there"));
        };
        match fill {
            Fill::Echo(input) => inputs
                .get(*input)
                .cloned()
                .ok_or_else(|| Error::new(ErrorCode::Internal, "a run was given a wrong number of inputs")),
            Fill::Sum(places) => sum(places.iter().filter_map(|place| inputs.get(*place))),
            Fill::Constant(one) => {
                let shape = self.shape(spec, inputs)?;
                Tensor::new(shape, repeat(one, shape.elements()))
            }
        }
    }

    fn shape(&self, spec: &TensorSpec, inputs: &[Tensor]) -> Result<Shape> {
        let rows = inputs.first().and_then(|tensor| tensor.shape().dims().first().copied()).unwrap_or(1);
        let size = |dim: &Dim| match dim {
            Dim::Fixed(size) => *size,
            Dim::Any(symbol) => symbol.as_ref().and_then(|symbol| self.bound(symbol, inputs)).unwrap_or(rows),
        };
        let dims: Vec<i64> = spec.dims.iter().flatten().map(size).collect();
        Shape::new(&dims)
    }

    /// The size that a named dimension has in this request.
    fn bound(&self, symbol: &Arc<str>, inputs: &[Tensor]) -> Option<i64> {
        let sized = self
            .signature
            .inputs
            .iter()
            .zip(inputs)
            .flat_map(|(spec, tensor)| spec.dims.iter().flatten().zip(tensor.shape().dims().iter().copied()));
        sized
            .into_iter()
            .find_map(|(dim, size)| matches!(dim, Dim::Any(Some(known)) if known == symbol).then_some(size))
    }
}

fn sum<'a>(parts: impl Iterator<Item = &'a Tensor>) -> Result<Tensor> {
    let mut total = (Shape::new(&[])?, vec![0.0_f32]);
    for part in parts {
        let TensorData::Fp32(values) = part.data() else { return Err(Error::model("a sum of what is not FP32")) };
        if total.1.len() <= 1 {
            let before = total.1.first().copied().unwrap_or_default();
            total = (*part.shape(), values.iter().map(|value| value + before).collect());
        } else if values.len() == 1 || values.len() == total.1.len() {
            total.1.iter_mut().zip(values.iter().cycle()).for_each(|(sum, value)| *sum += value);
        } else {
            return Err(Error::new(ErrorCode::EngineFailed, "a sum of tensors of different sizes"));
        }
    }
    Tensor::new(total.0, TensorData::Fp32(total.1))
}

/// The same with 1 added to its first element, if that is a number.
fn lie(output: Tensor) -> Result<Tensor> {
    let (shape, mut data) = output.into_parts();
    macro_rules! add_one {
        ($($variant:ident: $one:expr),*) => {
            match &mut data {
                $(TensorData::$variant(values) => values.iter_mut().take(1).for_each(|first| *first += $one),)*
                TensorData::Bool(_) | TensorData::Fp16(_) | TensorData::Bf16(_) | TensorData::Bytes(_) => {}
            }
        };
    }
    add_one!(Uint8: 1, Uint16: 1, Uint32: 1, Uint64: 1, Int8: 1, Int16: 1, Int32: 1, Int64: 1, Fp32: 1.0, Fp64: 1.0);
    Tensor::new(shape, data)
}

fn repeat(one: &TensorData, count: usize) -> TensorData {
    macro_rules! repeat {
        ($($variant:ident),*) => {
            match one {
                $(TensorData::$variant(one) => {
                    TensorData::$variant(vec![one.first().copied().unwrap_or_default(); count])
                })*
                TensorData::Bytes(one) => {
                    TensorData::Bytes((0..count).map(|_| one.iter().next().unwrap_or_default()).collect())
                }
            }
        };
    }
    repeat!(Bool, Uint8, Uint16, Uint32, Uint64, Int8, Int16, Int32, Int64, Fp16, Bf16, Fp32, Fp64)
}

/// The first element as a number; `None` for strings, halves, and data without elements.
fn first_number(data: &TensorData) -> Option<f64> {
    trait First {
        fn first_number(&self) -> Option<f64>;
    }
    macro_rules! first {
        ($($number:ty => $convert:expr),*) => {
            $(impl First for Vec<$number> {
                fn first_number(&self) -> Option<f64> {
                    self.first().map(|&first| $convert(first))
                }
            })*
        };
    }
    first!(
        u8 => f64::from, u16 => f64::from, u32 => f64::from, u64 => |first| first as f64,
        i8 => f64::from, i16 => f64::from, i32 => f64::from, i64 => |first| first as f64,
        f32 => f64::from, f64 => f64::from
    );
    impl First for candor_domain::BytesArray {
        fn first_number(&self) -> Option<f64> {
            None
        }
    }
    for_each_datatype!(data, vector => vector.first_number())
}

#[cfg(test)]
mod tests;
