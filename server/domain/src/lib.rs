//! The nouns and contracts of Candor: names, tensors, signatures, engines, errors, access.
//!
//! Every other room speaks in these words. This room does no I/O, knows no async runtime, reads no
//! clock and no environment, and has never heard of HTTP.
//!
//! | module | what it holds |
//! |---|---|
//! | [`names`] | [`ModelName`], [`Version`]: parsed once, valid ever after |
//! | [`tensor`] | [`Datatype`], [`Shape`], [`Tensor`]: owned, typed, row-major data |
//! | [`signature`] | what a version takes and gives, and the check of a request against it |
//! | [`engine`] | [`Engine`] turns a file into a [`Session`]; [`Cancel`] stops a run |
//! | [`components`] | [`Components`] opens what a model is made of beside its engine |
//! | [`jobs`] | [`Job`]: work that takes longer than a request waits; [`Jobs`] runs it |
//! | [`lifecycle`] | the states of a version and the written transitions between them |
//! | [`plugins`] | [`Plugins`]: which there are, and how one is loaded anew |
//! | [`observation`] | what is remembered of one inference: outcome, phases, rows |
//! | [`access`] | [`Access`] that a route asks for, [`Principal`] that a caller is |
//! | [`clock`] | time as a value |
//! | [`breaker`] | [`Breaker`]: keeps calls away from what fails or is slow |
//! | [`concurrency`] | [`ConcurrencyLimit`]: as many requests at the same time as do not make each other wait too long |
//! | [`error`] | one closed list of [`ErrorCode`]s and the [`Error`] that teaches |

pub mod access;
pub mod breaker;
pub mod clock;
pub mod components;
pub mod concurrency;
pub mod engine;
pub mod error;
pub mod jobs;
pub mod lifecycle;
pub mod names;
pub mod observation;
pub mod plugins;
pub mod signature;
pub mod tensor;

pub use access::{Access, Principal};
pub use breaker::{Breaker, BreakerChange, BreakerReading, BreakerSettings, BreakerState, Ending, Permit, Refusal};
pub use clock::{Clock, ManualClock, Tick};
pub use components::{
    Component, ComponentCall, ComponentKind, ComponentOrigin, ComponentRequest, Components, ModelFiles, Models,
    OpenComponent,
};
pub use concurrency::{ConcurrencyLimit, ConcurrencyReading, ConcurrencySettings, Full, Slot};
pub use engine::{Cancel, Copies, Engine, EngineInfo, FoundCopy, LoadedModel, ModelSource, Run, Session};
pub use error::{Details, Error, ErrorCode, Reason, Result};
pub use jobs::{Job, JobOrder, JobResult, JobState, JobStep, JobTotals, JobView, Jobs};
pub use lifecycle::Lifecycle;
pub use names::{ModelName, Version};
pub use observation::{Observation, Outcome, Phase};
pub use plugins::{
    ComponentView, NoPlugins, PLUGIN_BUCKETS, PluginNumber, PluginPlace, PluginState, PluginTotals, PluginValue,
    PluginView, Plugins,
};
pub use signature::{Dim, RequestRules, Signature, TensorSpec};
pub use tensor::{BytesArray, Datatype, Shape, Tensor, TensorData};
