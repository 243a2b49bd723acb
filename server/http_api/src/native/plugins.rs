//! Plugins as they are shown, and which of them a list shows.
//!
//! Before it: the host's view. After it: JSON. It does not know how a plugin is loaded.

use candor_domain::{ComponentView, PluginView};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::paging::Page;
use crate::openapi::names::PluginStateText;

/// Which plugins a list shows.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PluginListing {
    /// Most entries on a page, 1 to 500.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50, nullable = false, example = 50)]
    pub page_size: Option<String>,
    /// Where the page begins: `next_page_token` of the page before.
    #[param(nullable = false, example = "acme-scale")]
    pub page_token: Option<String>,
    /// Only plugins whose name or components contain this, in upper or lower case.
    #[param(nullable = false, example = "scale")]
    pub q: Option<String>,
    /// Only plugins in this state.
    #[param(value_type = PluginStateText, required = false, example = "ready")]
    pub state: Option<String>,
    /// Only plugins that offer a component of this kind, such as `transform`.
    #[param(nullable = false, example = "transform")]
    pub kind: Option<String>,
}

impl PluginListing {
    pub(crate) fn page(&self) -> Page<'_> {
        Page { size: self.page_size.as_deref(), token: self.page_token.as_deref() }
    }

    /// Whether a plugin is shown, apart from its state.
    pub(crate) fn shows(&self, plugin: &PluginView) -> bool {
        let wanted = self.q.as_deref().unwrap_or_default().to_lowercase();
        let named = std::iter::once(&plugin.name).chain(plugin.components.iter().map(|component| &component.id));
        let of_kind = |kind: &String| plugin.components.iter().any(|component| component.kinds.contains(kind));
        named.into_iter().any(|name| name.to_lowercase().contains(&wanted)) && self.kind.as_ref().is_none_or(of_kind)
    }
}

/// A page of plugins, by name.
#[derive(Debug, Serialize, ToSchema)]
pub struct PluginList {
    /// The plugins.
    pub plugins: Vec<PluginBody>,
    /// Where the next page begins; not there on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_page_token: Option<String>,
}

/// A plugin, as it is now.
#[derive(Debug, Serialize, ToSchema)]
pub struct PluginBody {
    /// Its name.
    #[schema(example = "acme-scale")]
    pub name: String,
    /// `ready`; `refused` before anything of it ran; `failed` when it was run.
    #[schema(example = "ready")]
    pub state: &'static str,
    /// Why it is not ready, or what was wrong with the last attempt to load it anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<PluginReason>,
    /// Where it runs: `built-in`, in a `process` of its own, or `in_process`: with everything that the server may do.
    #[schema(example = "process")]
    pub isolation: &'static str,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "1.2.0")]
    pub version: Option<String>,
    /// The interface that it was built with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "0.1")]
    pub abi: Option<String>,
    /// A sentence for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub description: Option<String>,
    /// sha256 of its library, in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub sha256: Option<String>,
    /// Whether that digest is pinned in the configuration.
    #[schema(example = true)]
    pub pinned: bool,
    /// Which of its libraries is used, counted from 1; 0 for one that was never ready.
    #[schema(example = 1)]
    pub generation: u64,
    /// How many of its libraries are mapped into the server for good.
    #[schema(example = 0)]
    pub mapped_generations: u64,
    /// What it offers.
    pub components: Vec<ComponentBody>,
    /// Calls since the server started.
    #[schema(example = 1024)]
    pub calls: u64,
    /// Calls that gave an error.
    #[schema(example = 0)]
    pub errors: u64,
    /// Processes that died, lied or were killed during a call.
    #[schema(example = 0)]
    pub worker_deaths: u64,
    /// Processes that were started.
    #[schema(example = 1)]
    pub worker_starts: u64,
    /// Threads of the server that a call holds beyond its deadline, now.
    #[schema(example = 0)]
    pub leaked_threads: u64,
    /// The worst state of the breakers of its processes: `closed`, `half_open` or `open`; not there if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "closed")]
    pub breaker: Option<&'static str>,
}

/// Why a plugin is not as it should be.
#[derive(Debug, Serialize, ToSchema)]
pub struct PluginReason {
    /// A word; docs/PLUGINS.md says what each means.
    #[schema(example = "wrong_digest")]
    pub code: &'static str,
    /// The sentence.
    #[schema(example = "`acme-scale` is not the file that was pinned")]
    pub detail: String,
}

/// A component of a plugin.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"id": "acme.scale", "kinds": ["transform"], "config_schema": {"type": "object"},
    "concurrent": true, "deterministic": true, "in_use": 1}))]
pub struct ComponentBody {
    /// Its name, which models use.
    #[schema(example = "acme.scale")]
    pub id: String,
    /// What it is.
    #[schema(example = json!(["transform"]))]
    pub kinds: Vec<String>,
    /// The JSON Schema of its configuration.
    #[schema(value_type = Object)]
    pub config_schema: Value,
    /// Whether several threads may call one instance.
    #[schema(example = true)]
    pub concurrent: bool,
    /// Whether it says that the same inputs give the same outputs.
    #[schema(example = true)]
    pub deterministic: bool,
    /// How many times models use it now.
    #[schema(example = 1)]
    pub in_use: u64,
}

impl From<PluginView> for PluginBody {
    fn from(view: PluginView) -> Self {
        Self {
            name: view.name,
            state: view.state.word(),
            reason: view.reason.map(|(code, detail)| PluginReason { code, detail }),
            isolation: view.place.word(),
            version: view.version,
            abi: view.abi,
            description: view.description,
            sha256: view.sha256,
            pinned: view.pinned,
            generation: view.generation,
            mapped_generations: view.mapped,
            components: view.components.into_iter().map(ComponentBody::from).collect(),
            calls: view.totals.calls,
            errors: view.totals.errors,
            worker_deaths: view.totals.deaths,
            worker_starts: view.totals.starts,
            leaked_threads: view.totals.leaked_threads,
            breaker: view.breaker.map(candor_domain::BreakerState::word),
        }
    }
}

impl From<ComponentView> for ComponentBody {
    fn from(view: ComponentView) -> Self {
        let ComponentView { id, kinds, config_schema, concurrent, deterministic, in_use } = view;
        // A schema that is no JSON allows what it allows; the text says it.
        let config_schema = serde_json::from_str(&config_schema).unwrap_or_else(|_| json!({}));
        Self { id, kinds, config_schema, concurrent, deterministic, in_use }
    }
}
