//! Plugins of this server: what is built in, where the others are, and what they may ask.
//!
//! A module that is built in is first-party and needs no entry in the list. Before it: the configuration; after it:
//! whoever opens components, and the doors that list them. It does not know what a plugin computes.

use std::{path::PathBuf, sync::Arc};

use candor_domain::Clock;
use candor_plugin_host::{BuiltIn, Catalog, CatalogSettings, HostSettings, LogLevel, MetricKind, Services};

use crate::{
    config::{PluginSettings, Settings},
    data::DataFolder,
};

/// What is compiled in.
const BUILT_IN: &[BuiltIn] = &[
    BuiltIn { name: "effects", module: &candor_plugin_effects::MODULE },
    BuiltIn { name: "ensemble", module: &candor_plugin_ensemble::MODULE },
    BuiltIn { name: "image", module: &candor_plugin_image::MODULE },
    BuiltIn { name: "pooling", module: &candor_plugin_pooling::MODULE },
    BuiltIn { name: "sampled", module: &candor_plugin_sampled::MODULE },
    BuiltIn { name: "shap", module: &candor_plugin_shap::MODULE },
    BuiltIn { name: "tokenizer", module: &candor_plugin_tokenizer::MODULE },
    BuiltIn { name: "what_if", module: &candor_plugin_what_if::MODULE },
];

/// Loads the plugins. One that is refused or fails is logged and listed, and nothing else is the worse for it.
pub(crate) fn start(settings: &Settings, clock: &Arc<dyn Clock>) -> Catalog {
    let plugins = &settings.plugins;
    if plugins.allow.dev {
        tracing::warn!("plugins.dev: plugins are loaded that nobody has pinned, from files that others may write");
    }
    let services: Arc<dyn Services> = Arc::new(Told { plugin: String::new(), clock: Arc::clone(clock) });
    let host =
        HostSettings { allow: plugins.allow.clone(), store: store(settings), generations_max: plugins.generations_max };
    let PluginSettings { folder, worker, start_max, .. } = plugins;
    let settings = CatalogSettings { folder: folder.clone(), host, worker: worker.clone(), start_max: *start_max };
    Catalog::start(settings, BUILT_IN, services, Arc::clone(clock))
}

/// Where copies of libraries are kept.
pub(crate) fn store(settings: &Settings) -> PathBuf {
    let of_data = || settings.data_dir.as_deref().map(DataFolder::plugins);
    let temporary = || {
        let user = rustix::process::geteuid().as_raw();
        std::env::temp_dir().join(format!("candor-plugins-{user}"))
    };
    settings.plugins.state_folder.clone().or_else(of_data).unwrap_or_else(temporary)
}

/// What plugins are told and heard.
struct Told {
    plugin: String,
    clock: Arc<dyn Clock>,
}

impl Services for Told {
    fn log(&self, level: LogLevel, message: &str) {
        let plugin = &self.plugin;
        match level {
            LogLevel::Error => tracing::error!(%plugin, "{message}"),
            LogLevel::Warn => tracing::warn!(%plugin, "{message}"),
            LogLevel::Info => tracing::info!(%plugin, "{message}"),
            LogLevel::Debug => tracing::debug!(%plugin, "{message}"),
            LogLevel::Trace => tracing::trace!(%plugin, "{message}"),
        }
    }

    /// The catalog keeps them for the metrics.
    fn metric(&self, _kind: MetricKind, _name: &str, _value: f64, _labels_json: &str) {}

    fn now_ns(&self) -> u64 {
        self.clock.now().0
    }

    fn of(&self, plugin: &str) -> Box<dyn Services> {
        Box::new(Self { plugin: plugin.to_owned(), clock: Arc::clone(&self.clock) })
    }
}

/// Services for who only looks: nothing that is hosted by them runs.
struct Deaf;

impl Services for Deaf {
    fn log(&self, _level: LogLevel, _message: &str) {}
    fn metric(&self, _kind: MetricKind, _name: &str, _value: f64, _labels_json: &str) {}
    fn now_ns(&self) -> u64 {
        0
    }
    fn of(&self, _plugin: &str) -> Box<dyn Services> {
        deaf()
    }
}

/// Services for who only looks.
pub(crate) fn deaf() -> Box<dyn Services> {
    Box::new(Deaf)
}
