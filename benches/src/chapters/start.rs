//! From exec to the first right answer, and how much memory a server takes: loaded, and under load.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use candor_domain::TensorData;

use super::Bench;
use crate::{
    cases::{Case, Format},
    child::Server,
    closed_loop::Load,
    http,
    stats::figure,
    table::{shown_series, table},
    timer::Moment,
    usage::memory_mib,
};

/// Times that each is started: what lies in the system's caches is the same for all but the first.
const STARTS: usize = 5;

pub fn run(bench: &Bench<'_>) -> Result<String> {
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let of = |name: &str| -> Result<_> {
        let models = folder.path().join(name);
        crate::servers::repository(&models, &[bench.repository.join(name)])?;
        Ok(models)
    };
    let all = folder.path().join("all");
    let samples =
        fs::read_dir(bench.repository).context("cannot read the models")?.filter_map(|entry| Some(entry.ok()?.path()));
    let is_sample = |path: &std::path::PathBuf| path.join("model.toml").is_file();
    crate::servers::repository(&all, &samples.filter(is_sample).collect::<Vec<_>>())?;
    let mut rows = Vec::new();
    for (name, model, models) in [
        ("Candor, iris alone", "iris", of("iris")?),
        ("Candor, all sample models", "iris", all),
        ("Candor, the CNN alone", "cnn", of("cnn")?),
        ("Candor, the sentence encoder alone", "minilm", of("minilm")?),
    ] {
        let case = bench.case(model, 1)?;
        let want = answer(bench, &case)?;
        rows.push(started(bench, name, &case, &want, || bench.stage.candor(&models, &[]))?);
    }
    let case = bench.case("iris", 1)?;
    rows.push(started(bench, "bare handler", &case, &[], || bench.stage.bare())?);
    let columns =
        ["ms from exec to the first right answer", "MiB resident then", "MiB resident after load", "MiB at most"];
    table("Start and memory", "server", &columns, rows.into_iter()).context("nothing was started")
}

/// The engine's last output, with which a server's first answer must end.
fn answer(bench: &Bench<'_>, case: &Case) -> Result<Vec<u8>> {
    let loaded = bench.engine.load(case)?;
    let outputs = loaded.outputs()?;
    let last = outputs.last().context("the model has no output")?;
    let TensorData::Fp32(numbers) = last.data() else { bail!("the last output holds no FP32") };
    Ok(numbers.iter().flat_map(|number| number.to_le_bytes()).collect())
}

/// Copies of large files are made beside requests, behind all others; what that leaves is given back afterwards.
const SETTLES: Duration = Duration::from_secs(3);

fn started(
    bench: &Bench<'_>,
    name: &str,
    case: &Case,
    want: &[u8],
    start: impl Fn() -> Result<Server>,
) -> Result<(String, Vec<Option<String>>)> {
    let (mut millis, mut resident, mut after, mut highest) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for at in 0..STARTS {
        let server = start()?;
        let asked = Moment::now();
        if want.is_empty() {
            http::ask(server.addr, case, Format::Json)?;
        } else {
            let got = http::ask(server.addr, case, Format::Binary)?;
            ensure!(got.ends_with(want), "{name}: the first answer is not the engine's");
        }
        millis.push((server.started_in + asked.elapsed()).as_secs_f64() * 1e3);
        resident.push(memory_mib(server.pid)?.0);
        if at + 1 == STARTS {
            let load = Load::of(case, Format::Json, bench.plan.connections, bench.plan.seconds * 2);
            bench.wrk.run(server.addr, load)?;
            std::thread::sleep(SETTLES);
            let (now, most) = memory_mib(server.pid)?;
            after.push(now);
            highest.push(most);
        }
    }
    println!("  {name}: {} ms", figure(millis.iter().copied().fold(f64::INFINITY, f64::min)));
    Ok((name.to_owned(), [millis, resident, after, highest].iter().map(|series| shown_series(series)).collect()))
}
