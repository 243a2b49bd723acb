//! Far more models than memory, over real HTTP, minutes long: does the budget hold, does every request get its answer,
//! and what is the policy worth beside LRU?
//!
//! One server for each policy, one after the other, each over the same repository and asked the same questions at the
//! same moments (the open loop: time counts from when a request was to leave). First every model is asked once, which
//! loads it for the first time; then it is measured. It fails when a request fails, when an answer is another than before,
//! or when more was ever reserved than the budget.
//!
//! | module | what it does |
//! |---|---|
//! | `house` | the models and what is asked of them |
//! | `load` | who asks what, and when |
//! | `told` | what the server says of itself, and the table |

mod house;
mod load;
mod told;

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};

use crate::{
    machine::{self, House, Pinning},
    servers::Stage,
};
use house::Many;
use told::Row;

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How long each policy is measured.
    pub length: Duration,
    /// How many models there are.
    pub models: u32,
    /// How many of them fit, on average.
    pub fit: u32,
    /// Requests per second.
    pub rate: f64,
    /// The date to record under, when recording.
    pub record: Option<String>,
}

const POLICIES: [&str; 2] = ["gdsf", "lru"];

/// A request waits for its model as long as the server's own time limit lets it.
const KEYS: [&str; 4] = [
    "repository.load_at_start=lazy",
    // A second engine would load each model once more.
    "cross_check.at_load=false",
    "residency.load_wait_ms_max=60000",
    "limits.inference_ms_max=60000",
];

/// Measures both policies.
pub fn run(plan: &Plan) -> Result<()> {
    let house = House::find()?;
    let folder = tempfile::tempdir().context("cannot make a folder for models")?;
    let repository = folder.path().join("models");
    let many = Many::make(&house.root.join("models"), &repository, plan.models)?;
    let budget = many.budget(plan.fit);
    let stage = Stage { house: &house, pinning: Pinning::apply(1)?, workers: 1 };
    let mut rows = Vec::new();
    for policy in POLICIES {
        let (policy_key, budget_key) = (format!("residency.policy={policy}"), format!("residency.budget={budget}"));
        let keys: Vec<&str> = KEYS.into_iter().chain([&*policy_key, &*budget_key]).collect();
        let mut server = stage.candor(&repository, &keys)?;
        println!(
            "{policy}: {} models, a budget of {} MB, {}",
            plan.models,
            budget / 1_000_000,
            stage.pinning.describe()
        );
        let wanted = load::first(&server, &many)?;
        let before = told::read(server.addr)?;
        println!("  every model has been loaded once; asking {} times a second", plan.rate);
        let heard = load::ask(&server, &many, &wanted, plan)?;
        let after = told::read(server.addr)?;
        let row = Row::new(policy, &heard, &before, &after, server.pid)?;
        println!("  {}", row.in_short());
        let stopped = server.stop(Duration::from_secs(60));
        row.check(&heard, budget)?;
        stopped?;
        ensure!(!server.log().contains("ERROR"), "the server complains:\n{}", server.log());
        rows.push(row);
    }
    let text = told::table_of(&rows, plan, budget)?;
    println!("\n{text}");
    if let Some(date) = &plan.record {
        let path = house.root.join("benches/RESULTS-HOT.md");
        let (commit, machine) = (house.commit(), machine::describe());
        let minutes = plan.length.as_secs_f64() / 60.0;
        let head = format!(
            "# More models than memory\n\n<!-- Written by `cargo xtask bench hot --record`; do not edit. -->\n\n\
             {date}, commit {commit}; {machine}; {}. `cargo xtask bench hot --minutes {minutes}`; how to read it is in\n\
             [docs/RESIDENCY.md](../docs/RESIDENCY.md).\n\n",
            stage.pinning.describe()
        );
        fs::write(&path, head + &text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
