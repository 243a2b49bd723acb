//! `candor.pooling`: one embedding for each text, made of those of its tokens: their mean, the first, or the largest.
//!
//! Before it comes an encoder, after it whoever compares embeddings. The formulas are those of sentence-transformers.
//! It knows the SDK and nothing of the server.
//!
//! | module | what it does |
//! |---|---|
//! | `mask` | which tokens count |
//! | `pool` | the sums, for one row |

mod mask;
mod pool;

use std::ffi::CStr;

use candor_plugin_sdk::{
    Call, Claims, Component, Description, Element, Error, Inputs, Port, Result, TensorView, Transform, module, schema,
    version,
};
use serde::Deserialize;

use mask::Mask;
use pool::{Number, Row, normalize};

module!(transform Pooling);

/// What is made of the tokens of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The mean of the tokens that count.
    #[default]
    Mean,
    /// The first token, whether it counts or not.
    Cls,
    /// The largest number of every column, of the tokens that count.
    Max,
}

/// The type of the embeddings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[allow(missing_docs, reason = "the usual words")]
pub enum Datatype {
    #[default]
    #[serde(rename = "FP32")]
    Fp32,
    #[serde(rename = "FP64")]
    Fp64,
}

/// The configuration; `schema.json` says the same to the host.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default = "input")]
    input: String,
    #[serde(default = "mask")]
    mask: String,
    #[serde(default = "output")]
    output: String,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    normalize: bool,
    #[serde(default)]
    datatype: Datatype,
}

fn input() -> String {
    "last_hidden_state".to_owned()
}

fn mask() -> String {
    "attention_mask".to_owned()
}

fn output() -> String {
    "embedding".to_owned()
}

/// Pools as its configuration says.
pub struct Pooling(Config);

impl Component for Pooling {
    type Config = Config;
    const ID: &'static CStr = c"candor.pooling";
    const VERSION: &'static CStr = version!();
    const CONFIG_SCHEMA: &'static CStr = schema!("../schema.json");
    const CLAIMS: Claims = Claims::NONE.deterministic();

    fn create(config: Config, _call: &Call<'_>) -> Result<Self> {
        if config.input == config.mask {
            return Err(Error::invalid(format!("`input` and `mask` are both `{}`", config.input)));
        }
        Ok(Self(config))
    }

    fn describe(&self) -> Result<Description> {
        let datatype = match self.0.datatype {
            Datatype::Fp32 => "FP32",
            Datatype::Fp64 => "FP64",
        };
        let mut inputs = vec![Port::new(&self.0.input, datatype, &[-1, -1, -1])];
        if self.needs_mask() {
            inputs.push(Port::new(&self.0.mask, "INT64", &[-1, -1]));
        }
        Ok(Description { inputs, outputs: vec![Port::new(&self.0.output, datatype, &[-1, -1])] })
    }
}

impl Transform for Pooling {
    fn transform(&self, call: &Call<'_>, inputs: &Inputs<'_>) -> Result<()> {
        let tokens = inputs.need(&self.0.input)?;
        match self.0.datatype {
            Datatype::Fp32 => self.pool::<f32>(call, inputs, tokens),
            Datatype::Fp64 => self.pool::<f64>(call, inputs, tokens),
        }
    }
}

impl Pooling {
    fn needs_mask(&self) -> bool {
        self.0.mode != Mode::Cls
    }

    fn pool<T: Element + Number>(&self, call: &Call<'_>, inputs: &Inputs<'_>, tokens: TensorView<'_>) -> Result<()> {
        let &[rows, length, width] = tokens.shape() else {
            let (name, shape) = (&self.0.input, tokens.shape());
            return Err(Error::invalid(format!("`{name}` has the shape {shape:?}, expected rows, tokens and columns")));
        };
        let mask = if self.needs_mask() { Some(Mask::of(inputs.need(&self.0.mask)?, rows, length)?) } else { None };
        if length == 0 && rows > 0 {
            return Err(Error::invalid(format!("`{}` has rows without tokens", self.0.input)));
        }
        let out = call.output::<T>(&self.0.output, &[rows, width])?;
        let (Ok(length), Ok(width)) = (usize::try_from(length), usize::try_from(width)) else {
            return Err(Error::invalid(format!("`{}` has a shape that cannot be", self.0.input)));
        };
        if out.is_empty() {
            return Ok(());
        }
        let copied;
        let numbers = if tokens.is_contiguous() {
            tokens.slice::<T>()?
        } else {
            copied = tokens.to_vec::<T>()?;
            &copied
        };
        let mut sums = vec![0.0_f64; width];
        let whole = numbers.chunks_exact(length.saturating_mul(width)).zip(out.chunks_exact_mut(width));
        for (at, (tokens, out)) in whole.enumerate() {
            call.check()?;
            let weights = mask.as_ref().map_or(&[][..], |mask| mask.row(at, length));
            let row = Row { tokens, width, weights };
            match self.0.mode {
                Mode::Mean => row.mean(&mut sums),
                Mode::Cls => row.first(&mut sums),
                Mode::Max => row.max(&mut sums),
            }
            if self.0.normalize {
                normalize(&mut sums);
            }
            for (out, &sum) in out.iter_mut().zip(&sums) {
                *out = T::of(sum);
            }
        }
        Ok(())
    }
}
