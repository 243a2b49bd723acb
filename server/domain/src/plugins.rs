//! Plugins as doors see them: which there are, in which state each is, and how one is loaded anew.
//!
//! Implemented by the host of plugins, shown by doors. Names only: a path never comes from a caller. It does not know
//! what a plugin computes; see `components` for what models use.

use crate::{
    breaker::BreakerState,
    error::{Error, ErrorCode, Result},
};

/// How far a plugin has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PluginState {
    /// Its components can be used.
    Ready,
    /// It was turned down before anything of it ran.
    Refused,
    /// It was run, and failed or ended.
    Failed,
}

impl PluginState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ready, Self::Refused, Self::Failed];

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Where a plugin runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PluginPlace {
    /// Compiled into the server.
    BuiltIn,
    /// In processes of its own.
    Process,
    /// In the server's process.
    InProcess,
}

impl PluginPlace {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::BuiltIn, Self::Process, Self::InProcess];

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in",
            Self::Process => "process",
            Self::InProcess => "in_process",
        }
    }
}

/// A plugin, as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginView {
    /// Its name.
    pub name: String,
    /// How far it has come.
    pub state: PluginState,
    /// Where it runs, or is to run.
    pub place: PluginPlace,
    /// Why it is not ready, or what was wrong with the last attempt to load it anew: a word and a sentence.
    pub reason: Option<(&'static str, String)>,
    /// Its version.
    pub version: Option<String>,
    /// The interface that it was built with.
    pub abi: Option<String>,
    /// A sentence for people.
    pub description: Option<String>,
    /// sha256 of its library, in hex.
    pub sha256: Option<String>,
    /// Whether that digest is pinned.
    pub pinned: bool,
    /// Which of its libraries is used, counted from 1.
    pub generation: u64,
    /// How many of its libraries are mapped into the server for good.
    pub mapped: u64,
    /// What it offers.
    pub components: Vec<ComponentView>,
    /// What has happened.
    pub totals: PluginTotals,
    /// The worst state of the breakers of its processes, if it has any.
    pub breaker: Option<BreakerState>,
    /// What it told of itself, by name.
    pub numbers: Vec<PluginNumber>,
}

/// A number that a plugin told: its name and labels are words, and there are not many.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginNumber {
    /// Its name.
    pub name: String,
    /// Names and values of its labels.
    pub labels: Vec<(String, String)>,
    /// How it stands.
    pub value: PluginValue,
}

/// Upper bounds of the histograms of plugins, whose unit nobody knows.
pub const PLUGIN_BUCKETS: [f64; 13] = [1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6];

/// How a plugin's number stands.
#[derive(Debug, Clone, PartialEq)]
pub enum PluginValue {
    /// The sum of what was told.
    Counter(f64),
    /// What was told last.
    Gauge(f64),
    /// How what was told is spread.
    Histogram {
        /// How many were at most each of [`PLUGIN_BUCKETS`].
        below: [u64; PLUGIN_BUCKETS.len()],
        /// How many there were.
        count: u64,
        /// Their sum.
        sum: f64,
    },
}

impl PluginValue {
    /// Takes a number that was told.
    pub fn take(&mut self, value: f64) {
        match self {
            Self::Counter(total) => *total += value,
            Self::Gauge(last) => *last = value,
            Self::Histogram { below, count, sum } => {
                for (bound, below) in PLUGIN_BUCKETS.iter().zip(below) {
                    *below += u64::from(value <= *bound);
                }
                *count += 1;
                *sum += value;
            }
        }
    }
}

/// A component of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentView {
    /// Its name.
    pub id: String,
    /// What it is.
    pub kinds: Vec<String>,
    /// The JSON Schema of its configuration.
    pub config_schema: String,
    /// Whether several threads may call one instance.
    pub concurrent: bool,
    /// Whether the same inputs give the same outputs.
    pub deterministic: bool,
    /// How many models use it now.
    pub in_use: u64,
}

/// What has happened to a plugin since the server started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PluginTotals {
    /// Calls.
    pub calls: u64,
    /// Calls that gave an error, of whatever kind.
    pub errors: u64,
    /// Processes that died, lied or were killed during a call.
    pub deaths: u64,
    /// Processes that were started.
    pub starts: u64,
    /// Threads of the server that a call holds beyond its deadline, now.
    pub leaked_threads: u64,
    /// Numbers that it told and nobody keeps: too many names, or none that could be one.
    pub numbers_dropped: u64,
}

/// The plugins of a server.
pub trait Plugins: Send + Sync {
    /// All of them, by name.
    fn plugins(&self) -> Vec<PluginView>;

    /// The plugin of this name.
    fn plugin(&self, name: &str) -> Option<PluginView>;

    /// Loads a plugin anew from its folder: a new generation takes the place of the old one, or all stays as it was.
    /// Takes as long as the plugin takes.
    ///
    /// # Errors
    /// `NotFound` for a name that nobody knows; `InvalidModel`, `Unsupported` or `EngineFailed` with the first reason against the new library.
    fn reload(&self, name: &str) -> Result<PluginView>;
}

/// A server without plugins.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPlugins;

impl Plugins for NoPlugins {
    fn plugins(&self) -> Vec<PluginView> {
        Vec::new()
    }

    fn plugin(&self, _name: &str) -> Option<PluginView> {
        None
    }

    fn reload(&self, name: &str) -> Result<PluginView> {
        Err(Error::new(ErrorCode::NotFound, format!("there is no plugin {}", crate::names::quoted(name))))
    }
}
