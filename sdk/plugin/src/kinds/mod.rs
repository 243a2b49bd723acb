//! One trait per kind. A kind is a contract over the shapes of calls, so a new one changes no interface.
//!
//! | kind | shape | contract |
//! |---|---|---|
//! | [`Predictor`] | run | any named inputs to named outputs; the first dimension is kept |
//! | [`Transform`] | run | values to values, before or after an engine; the first dimension is kept |
//! | [`Explainer`] | run, calls the model | `x`, `background`? to `attributions` shaped like `x`, and `base` |
//! | [`Detector`] | fit, run | reference rows, then a window to `scores`, `statistic`, `p` and `verdict` |
//! | [`Combiner`] | run | outputs of several models to one |
//! | [`Resampler`] | run | `x`, `y` to `x`, `y` with the same columns and no new label |
//! | [`Selector`] | fit, run | `x`, `y`? to a choice of columns, then `x` to those columns |
//! | [`Trainer`] | fit | batches to the artifact `model.onnx` |
//! | [`Router`] | route | arms to the number of one of them; no allocation |
//!
//! | module | what it does |
//! |---|---|
//! | [`maps`] | each trait as the interface's tables |
//! | `explain` | what an explainer is asked, and the model that it may call |

mod explain;
pub mod maps;

pub(crate) use explain::row_major;
pub use explain::{Model, Question};

use crate::{Call, Component, Inputs, Result};
use candor_plugin_abi as abi;

/// Any named inputs to named outputs, such as an engine for a kind of model file. The first dimension is kept.
pub trait Predictor: Component {
    /// Answers.
    ///
    /// # Errors
    /// `Invalid` for inputs that are wrong.
    fn predict(&self, call: &Call<'_>, inputs: &Inputs<'_>) -> Result<()>;
}

/// Values to values, before an engine or after it: scaling, tokens, pooling. The first dimension is kept.
pub trait Transform: Component {
    /// Transforms.
    ///
    /// # Errors
    /// `Invalid` for inputs that are wrong.
    fn transform(&self, call: &Call<'_>, inputs: &Inputs<'_>) -> Result<()>;
}

/// Says how much each feature weighed in an answer. Gives `attributions`, shaped like `x` or of rows, players and outputs,
/// and `base`; docs/plugins/explainers.md has all that it may take and give.
pub trait Explainer: Component {
    /// Explains.
    ///
    /// # Errors
    /// `Invalid` for a question that is wrong, and whatever the model said.
    fn explain(&self, call: &Call<'_>, question: &Question<'_>, model: &Model<'_>) -> Result<()>;
}

/// Compares a window with reference rows. Gives `scores` per feature, `statistic`, `p` and `verdict`.
pub trait Detector: Component {
    /// Forgets the reference and begins again.
    ///
    /// # Errors
    /// The component's.
    fn begin(&mut self, call: &Call<'_>) -> Result<()>;
    /// Takes some reference rows.
    ///
    /// # Errors
    /// `Invalid` for rows that are wrong.
    fn reference(&mut self, call: &Call<'_>, inputs: &Inputs<'_>) -> Result<()>;
    /// Ends the reference.
    ///
    /// # Errors
    /// `Invalid` when it is too small.
    fn finish(&mut self, call: &Call<'_>) -> Result<()>;
    /// Judges a window.
    ///
    /// # Errors
    /// `Invalid` for a window that is wrong.
    fn judge(&self, call: &Call<'_>, window: &Inputs<'_>) -> Result<()>;
}

/// Outputs of several models, `y_0`, `y_1` and so on, to one `y`.
pub trait Combiner: Component {
    /// Combines.
    ///
    /// # Errors
    /// `Invalid` for answers that do not go together.
    fn combine(&self, call: &Call<'_>, answers: &Inputs<'_>) -> Result<()>;
}

/// Rows to rows: `x` and `y` with the same columns, finite, and no label that was not there.
pub trait Resampler: Component {
    /// Resamples.
    ///
    /// # Errors
    /// `Invalid` for rows that are wrong.
    fn resample(&self, call: &Call<'_>, inputs: &Inputs<'_>) -> Result<()>;
}

/// Chooses columns, and then keeps them.
pub trait Selector: Component {
    /// Forgets the choice and begins again.
    ///
    /// # Errors
    /// The component's.
    fn begin(&mut self, call: &Call<'_>) -> Result<()>;
    /// Takes some rows.
    ///
    /// # Errors
    /// `Invalid` for rows that are wrong.
    fn batch(&mut self, call: &Call<'_>, inputs: &Inputs<'_>) -> Result<()>;
    /// Chooses.
    ///
    /// # Errors
    /// `Invalid` when there are too few rows.
    fn finish(&mut self, call: &Call<'_>) -> Result<()>;
    /// Keeps the chosen columns of `x`.
    ///
    /// # Errors
    /// `Invalid` for rows that are wrong, or before anything was chosen.
    fn select(&self, call: &Call<'_>, inputs: &Inputs<'_>) -> Result<()>;
}

/// Makes a model of batches: gives the artifact `model.onnx`.
pub trait Trainer: Component {
    /// Forgets what was learned and begins again.
    ///
    /// # Errors
    /// The component's.
    fn begin(&mut self, call: &Call<'_>) -> Result<()>;
    /// Learns from some rows.
    ///
    /// # Errors
    /// `Invalid` for rows that are wrong.
    fn batch(&mut self, call: &Call<'_>, inputs: &Inputs<'_>) -> Result<()>;
    /// Writes the artifact.
    ///
    /// # Errors
    /// `Invalid` when there are too few rows.
    fn finish(&mut self, call: &Call<'_>) -> Result<()>;
}

/// Chooses who answers a request. On the path of every request: no allocation, no lock, less than a microsecond.
pub trait Router: Component {
    /// The number of an arm; `None` leaves the choice to the host. `key` is the same for the same caller.
    fn choose(&self, arms: Arms<'_>, key: u64, features: &Inputs<'_>) -> Option<u32>;
    /// How a choice turned out.
    fn feedback(&self, arm: u32, reward: f64, key: u64) {
        let _ = (arm, reward, key);
    }
}

/// The arms that a router chooses from.
#[derive(Clone, Copy)]
pub struct Arms<'c>(&'c [abi::Arm]);

impl<'c> Arms<'c> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Weights, calls under way and median times, in the host's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (f64, u64, u64)> + use<'c> {
        self.0.iter().map(|arm| (arm.weight, arm.in_flight, arm.p50_ns))
    }

    /// The name of an arm.
    #[must_use]
    pub fn name(&self, arm: u32) -> Option<&'c str> {
        let arm = self.0.get(usize::try_from(arm).ok()?)?;
        // SAFETY: the host answers for its arms during the call.
        std::str::from_utf8(unsafe { arm.name.bytes() }).ok()
    }
}
