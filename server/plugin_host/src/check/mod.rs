//! Whether a plugin keeps the interface's contract: every check in a process of its own, because a check that fails may
//! well end it.
//!
//! ```text
//! folder ─► static checks, here: nothing of the plugin runs
//!        ─► for each component and each check: a process ─► this module's `in_child` ─► a verdict, or how it ended
//! ```
//! No sanitizer and no other compiler is needed, and any language will do: inputs lie between pages that nobody may
//! touch, read-only; outputs before one. It does not know the command line that starts the processes.
//!
//! | module | what it does |
//! |---|---|
//! | `still` | what the file says of itself |
//! | `calls`, `claims`, `kinds` | the checks that call the plugin |
//! | `subject` | the component that is checked |
//! | `stand` | the host that checks |
//! | `sample`, `guard` | inputs, and the memory that they lie in |

mod calls;
mod claims;
mod guard;
mod kinds;
mod sample;
mod stand;
mod still;
mod subject;

use std::path::Path;

use candor_domain::{Plugins as _, Result, Tensor};
use serde::{Deserialize, Serialize};

pub use still::look;
use subject::Subject;

use crate::catalog::{Catalog, Opened};

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// As it should be.
    Ok,
    /// Works, and could be better.
    Warn,
    /// Breaks the contract.
    Fail,
    /// Does not apply.
    Skip,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which check: a word that stays.
    pub id: String,
    /// Of which component; empty for the plugin as a whole.
    pub component: String,
    /// How it went.
    pub mark: Mark,
    /// What was found.
    pub text: String,
}

impl Finding {
    fn new(id: &str, mark: Mark, text: impl Into<String>) -> Self {
        Self { id: id.to_owned(), component: String::new(), mark, text: text.into() }
    }
}

/// What a check says: its mark and why.
type Said = (Mark, String);

/// A check of a component.
type Check = fn(&Subject) -> Said;

/// Every check that calls the plugin, in the order in which they are made.
const CHECKS: &[(&str, Check)] = &[
    ("handshake.schema", claims::schema),
    ("inputs.guarded_end", |subject| calls::placed(subject, sample::Spot::End)),
    ("inputs.guarded_start", |subject| calls::placed(subject, sample::Spot::Start)),
    ("inputs.shifted", |subject| calls::placed(subject, sample::Spot::Shifted)),
    ("inputs.spread", |subject| calls::placed(subject, sample::Spot::Spread)),
    ("inputs.rows", calls::rows),
    ("inputs.empty", calls::empty),
    ("inputs.scalar", calls::scalar),
    ("inputs.not_numbers", calls::not_numbers),
    ("inputs.wrong_type", calls::wrong_type),
    ("inputs.wrong_rank", calls::wrong_rank),
    ("inputs.wrong_name", calls::wrong_name),
    ("inputs.none", calls::none),
    ("leaks.memory", claims::memory),
    ("leaks.threads", claims::threads),
    ("claims.concurrent", claims::concurrent),
    ("claims.deterministic", claims::deterministic),
    ("cancel", claims::cancel),
    ("config.bad", claims::bad_configs),
    ("host.older", claims::older_host),
    ("host.newer", claims::newer_host),
    ("contract", kinds::contract),
];

/// The checks that call the plugin, by their ids.
#[must_use]
pub fn ids() -> Vec<&'static str> {
    CHECKS.iter().map(|(id, _)| *id).collect()
}

/// Makes one check of one component in this process, which may end by it.
#[must_use]
pub fn in_child(folder: &Path, store: &Path, component: &str, id: &str) -> Finding {
    let found = |mark, text: String| Finding { component: component.to_owned(), ..Finding::new(id, mark, text) };
    let Some((_, check)) = CHECKS.iter().find(|(known, _)| *known == id) else {
        return found(Mark::Fail, "there is no such check".to_owned());
    };
    match Subject::load(folder, store, component) {
        Err(refusal) => found(Mark::Fail, refusal.to_string()),
        Ok(subject) => {
            let (mark, text) = check(&subject);
            found(mark, text)
        }
    }
}

/// A check whose process did not say anything.
#[must_use]
pub fn ended(component: &str, id: &str, how: &str) -> Finding {
    let means = match id {
        "inputs.guarded_end" => "it reads behind an input, or writes to it",
        "inputs.guarded_start" => "it reads before an input, or writes to it",
        "inputs.shifted" => "it expects more alignment than elements have",
        "inputs.spread" => "it does not heed the steps of an input",
        "host.older" => "it uses a field without asking whether the host has it (CANDOR_HAS)",
        "host.newer" => "it uses what lies behind the tables that it knows",
        "config.bad" => "a configuration that is wrong ends it, instead of a status",
        "claims.concurrent" => "it says that threads may share an instance, and they may not",
        _ => "a status would have been right",
    };
    // No host is older than the interface's first version yet.
    let mark = if id == "host.older" { Mark::Warn } else { Mark::Fail };
    Finding { component: component.to_owned(), ..Finding::new(id, mark, format!("its process {how}: {means}")) }
}

/// The configuration that a component's schema gives as an example.
#[must_use]
pub fn example_config(catalog: &Catalog, component: &str) -> Option<String> {
    let components = catalog.plugins().into_iter().flat_map(|plugin| plugin.components);
    components.into_iter().find(|one| one.id == component).map(|one| subject::example(&one.config_schema))
}

/// Inputs that a component takes, with this number of rows.
///
/// # Errors
/// When what it tells of itself cannot be.
pub fn tensors(opened: &Opened, kind: &str, rows: i64) -> Result<Vec<(String, Tensor)>> {
    let signature = opened.signature().map_err(|refusal| refusal.error().clone())?;
    let samples = sample::inputs(signature.as_ref(), kind);
    samples.into_iter().map(|sample| Ok((sample.name.clone(), sample.rows(rows).tensor()?))).collect()
}
