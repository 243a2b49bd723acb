//! Write a plugin for Candor: one trait, one macro, no unsafe code.
//!
//! Before it comes the raw interface (`candor-plugin-abi`), which it turns into safe traits; after it come plugins.
//! It does not know the server: whatever speaks the interface can be the host, and [`testing`] is one.
//!
//! ```
//! use candor_plugin_sdk::{Call, Component, Inputs, Predictor, Result, module, version};
//!
//! #[derive(serde::Deserialize)]
//! pub struct Config { factor: f32 }
//!
//! pub struct Scale(f32);
//!
//! impl Component for Scale {
//!     type Config = Config;
//!     const ID: &std::ffi::CStr = c"example.scale";
//!     const VERSION: &std::ffi::CStr = version!();
//!     fn create(config: Config, _call: &Call<'_>) -> Result<Self> { Ok(Self(config.factor)) }
//! }
//!
//! impl Predictor for Scale {
//!     fn predict(&self, call: &Call<'_>, inputs: &Inputs<'_>) -> Result<()> {
//!         let x = inputs.need("x")?;
//!         let y = call.output::<f32>("y", x.shape())?;
//!         for (y, x) in y.iter_mut().zip(x.slice::<f32>()?) { *y = x * self.0 }
//!         Ok(())
//!     }
//! }
//!
//! module!(predictor Scale);
//!
//! # use candor_plugin_sdk::testing::{Harness, Input};
//! let scale = Harness::new(&MODULE, "example.scale", r#"{"factor": 2}"#).unwrap();
//! let answer = scale.run(&[Input::new("x", &[3], &[1.0_f32, 2.0, 3.0])]).unwrap();
//! assert_eq!(answer.values::<f32>("y"), [2.0, 4.0, 6.0]);
//! ```
//!
//! The algorithm is a plain crate, so it can be compiled into the server. A shim crate beside it (`crate-type =
//! ["cdylib"]`) makes a library of it, in one line: `candor_plugin_sdk::export!(algorithm::MODULE);`. Never do both in
//! one crate: two exported symbols of one name in one program silently become one.
//!
//! | module | what it does |
//! |---|---|
//! | [`kinds`] | one trait per kind, and how it maps to the shapes of the interface |
//! | `component` | what every kind has: a name, a configuration, a beginning |
//! | `call`, `inputs` | one call; its inputs |
//! | `host` | log, metrics and clock at any time |
//! | `thunks`, `panics` | from raw tables to traits and back; no panic gets out |
//! | [`testing`] | a host for tests |

mod call;
mod component;
mod error;
mod host;
mod inputs;
pub mod kinds;
mod macros;
mod panics;
pub mod testing;
mod thunks;

pub use call::Call;
pub use candor_plugin_abi as abi;
pub use component::{Claims, Component, Description, NoConfig, Port};
pub use error::{Error, Result, Status};
pub use host::{Level, Metric, log, metric, now_ns};
pub use inputs::{Element, Inputs, TensorView};
pub use kinds::{
    Arms, Combiner, Detector, Explainer, Model, Predictor, Question, Resampler, Router, Selector, Trainer, Transform,
};

/// What the macros use; not for authors.
#[doc(hidden)]
pub mod raw {
    pub use crate::{kinds::maps, panics::init_with_hook, thunks::component, thunks::init, thunks::module};
}

/// The examples of the page for authors are run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/PLUGINS.md")]
struct Page;
