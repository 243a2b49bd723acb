//! The whole run: what is measured is put together, the parts are run in their order, and what they found is told.
//!
//! `run` measures the layers of a request in rounds; `chapters` are the parts behind it. It knows no figure.

use std::fs;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::{
    args::{Part, Plan},
    cases::{self, KNOWN},
    chapters::{self, Bench},
    closed_loop::Wrk,
    engine::{Engine, Loaded},
    machine::{House, Pinning},
    null,
    report::{self, Record},
    run::{self, Subject},
    servers::{self, Stage},
};

/// Measures what the plan says, prints it, and records it if it is to be recorded.
pub fn measure(plan: &Plan) -> Result<()> {
    let house = House::find()?;
    // Before the run itself writes to the tree.
    let commit = house.commit();
    let folder = tempfile::tempdir().context("cannot make a folder for models")?;
    let repository = repository(&house, &folder)?;
    let cases = cases::cases(&repository, &plan.models)?;
    let stage = Stage { house: &house, pinning: Pinning::apply(plan.workers)?, workers: plan.workers };
    let engine = Engine::start(house.programs.clone())?;
    let load_before = crate::machine::load_average();
    let samples = if plan.wants_any(&Part::LAYERS) {
        let loaded: Vec<Loaded> = cases.iter().map(|case| engine.load(case)).collect::<Result<_>>()?;
        let nulls = folder.path().join("nulls");
        let signatures = cases.iter().zip(&loaded).filter(|(case, _)| case.rows == 1);
        let models: Vec<_> = signatures.map(|(case, loaded)| (case.model.as_str(), &loaded.signature)).collect();
        null::repository(&nulls, &models)?;
        let subject =
            Subject { plan, stage: &stage, cases: &cases, loaded: &loaded, repository: &repository, nulls: &nulls };
        run::run(&subject)?
    } else {
        Default::default()
    };
    let bench = Bench { plan, stage: &stage, repository: &repository, engine: &engine, wrk: Wrk::new()? };
    let mut chapters = Vec::new();
    for (part, chapter) in chapters::ALL {
        if plan.wants(part) {
            println!("\n{part:?}");
            chapters.push(chapter(&bench).with_context(|| format!("the part {part:?}"))?);
        }
    }
    let peers = plan.wants(Part::Peers).then(|| chapters::peers(&bench).context("the part Peers")).transpose()?;
    let record = Record {
        plan,
        cases: &cases,
        samples: &samples,
        commit,
        machine: crate::machine::describe(),
        compiler: crate::machine::compiler(),
        engine: engine.describe(),
        pinning: stage.pinning.describe(),
        load: (load_before, crate::machine::load_average()),
        chapters,
    };
    print!("\n{}", report::tables(&record));
    if let Some(peers) = &peers {
        print!("\n{peers}");
    }
    if let Some(date) = &plan.record {
        if plan.only.is_empty() {
            write(&house, "RESULTS.md", &report::document(&record, date))?;
        }
        if let Some(peers) = &peers {
            write(&house, "PEERS.md", &report::peers_document(&record, date, peers))?;
        }
    }
    Ok(())
}

fn write(house: &House, name: &str, text: &str) -> Result<()> {
    fs::write(house.root.join("benches").join(name), text).with_context(|| format!("cannot write benches/{name}"))?;
    println!("\nwrote benches/{name}");
    Ok(())
}

/// The sample models and the large ones in one model repository.
fn repository(house: &House, folder: &TempDir) -> Result<std::path::PathBuf> {
    let repository = folder.path().join("models");
    let samples = fs::read_dir(house.root.join("models")).context("cannot read models/")?;
    let samples = samples.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    // Its other folders hold no versions.
    let mut models: Vec<_> = samples.filter(|path| path.join("model.toml").is_file()).collect();
    let large = house.large_models()?;
    models.extend(KNOWN.iter().filter(|known| known.large).map(|known| large.join(known.name)));
    servers::repository(&repository, &models)
        .context("the large models are made by `cargo xtask bench`, before this program runs")?;
    Ok(repository)
}
