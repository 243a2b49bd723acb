//! File, environment and flags become validated settings; all problems in one report.
//!
//! `config/default.toml` (built into the binary) lists every key; a key that is not in it does not exist.
//! Later layers win: defaults, file, environment, flags. Wiring gets [`Settings`] and never looks here
//! again.
//!
//! | module | what it does |
//! |---|---|
//! | `layers` | where each value comes from |
//! | `batching`, `breaker` | `[batching]` and what the scheduler needs, `[breaker]` |
//! | `overload` | `[overload]`, and the memory of all bodies |
//! | `contracts` | `[contracts]` |
//! | `explanations` | `[explanations]` |
//! | `settings` | what the values mean and which are allowed |
//! | `grpc`, `health` | the same for the gRPC door and the health listener |
//! | `threads` | one budget of threads |
//! | `residency`, `result_cache`, `cold_start` | `[residency]`, `[result_cache]`, `[cold_start]` |
//! | `plugins` | `[plugins]` |
//! | `reach` | who may reach the doors without a token |
//! | `reference` | docs/CONFIG.md and `candor config show` |

mod batching;
mod breaker;
mod cold_start;
mod contracts;
mod explanations;
mod grpc;
mod health;
mod layers;
mod overload;
mod plugins;
mod reach;
mod reference;
mod residency;
mod result_cache;
mod settings;
mod threads;

pub use cold_start::ColdStart;
pub use grpc::GrpcSettings;
pub use health::HealthSettings;
pub use layers::{Layers, Problem, Report};
pub use plugins::PluginSettings;
pub use reference::{reference, show};
pub use residency::Residency;
pub(crate) use settings::parse_bytes;
pub use settings::{LogFormat, Settings};
pub use threads::Threads;

/// Every key, its default, and why it is so.
pub const DEFAULTS: &str = include_str!("../../config/default.toml");

/// Flags of `candor serve` and the keys that they set.
pub const FLAGS: [(&str, &str); 13] = [
    ("[MODELS_DIR]", "repository.dir"),
    ("--http-addr", "http.addr"),
    ("--grpc-addr", "grpc.addr"),
    ("--health-addr", "health.addr"),
    ("--data", "data.dir"),
    ("--engine", "engine.choice"),
    ("--ort-library", "engine.ort_library"),
    ("--tokens-file", "auth.tokens_file"),
    ("--insecure", "auth.insecure"),
    ("--enable-faults", "faults.enabled"),
    ("--poll-s", "repository.poll_s"),
    ("--load-at-start", "repository.load_at_start"),
    ("--log-level", "log.level"),
];

/// Variables of others that set a key: those that Vertex AI sets in its containers. They are below
/// `CANDOR_…`, and mean nothing while `contracts.vertex` is off.
pub const FOREIGN: [(&str, &str); 3] = [
    ("AIP_HEALTH_ROUTE", "contracts.vertex_health_route"),
    ("AIP_PREDICT_ROUTE", "contracts.vertex_predict_route"),
    ("AIP_HTTP_PORT", "contracts.vertex_http_port"),
];

/// How all variables of ours begin.
const ENV_PREFIX: &str = "CANDOR_";

/// The environment variable of a key: `http.addr` is `CANDOR_HTTP_ADDR`.
#[must_use]
pub fn env_name(key: &str) -> String {
    format!("{ENV_PREFIX}{}", key.replace('.', "_").to_uppercase())
}
