//! Finds, verifies, loads and calls plugins.
//!
//! Before it comes the plugin interface (`sdk/abi`); after it come whoever uses components: engines that are plugins,
//! stages, detectors. Only tables and bytes cross the border. It knows neither doors nor engines nor the SDK.
//!
//! | module | what it does |
//! |---|---|
//! | [`host`] | the steps from a folder to a loaded plugin |
//! | [`mod@manifest`], [`allow`], [`mod@file`] | what a folder says; who may be loaded; bytes and their private copy |
//! | [`elf`], [`negotiate`] | what a library says before anything of it runs, and whether that fits |
//! | `library`, [`tables`] | the system's loader; a module's tables, checked |
//! | [`plugin`], [`live`], [`instance`] | generations; a component in use; one instance and its thread contract |
//! | [`call`], `arena`, [`values`] | one call; memory for outputs; tensors there and back |
//! | [`worker`] | the same library in a process of its own |
//! | [`catalog`] | the plugins of a running server, each with its state and counts |
//! | [`check`] | whether a plugin keeps the contract |
//! | [`services`] | log, metrics, clock, the model that is lent |
//! | [`model_files`] | files of a model in a configuration |
//! | [`refusal`] | why a plugin is not loaded |

pub mod allow;
mod arena;
pub mod call;
pub mod catalog;
pub mod check;
pub mod elf;
pub mod file;
pub mod host;
pub mod instance;
mod library;
pub mod live;
pub mod manifest;
pub mod model_files;
pub mod negotiate;
pub mod plugin;
pub mod refusal;
pub mod services;
pub mod tables;
pub mod values;
pub mod worker;

pub use allow::{AllowList, Pin};
pub use call::{CallContext, CallLimits};
pub use catalog::{BuiltIn, Catalog, CatalogSettings, Opened};
pub use host::{HostSettings, PluginHost, Verified};
pub use instance::{Arm, Instance};
pub use live::Live;
pub use negotiate::Isolation;
pub use plugin::{Generation, Plugin};
pub use refusal::{Reason, Refusal, Verdict};
pub use services::{Age, LentModel, LogLevel, MetricKind, Services};
pub use values::Values;
pub use worker::{Counts, Isolated, WorkerProgram, WorkerSettings};

/// The version of the interface, as manifests have it: `0.1`.
#[must_use]
pub fn abi_version() -> String {
    format!("{}.{}", candor_plugin_abi::ABI_MAJOR, candor_plugin_abi::ABI_MINOR)
}
