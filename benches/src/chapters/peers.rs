//! Other people's servers, with the same models, the same client, the same rounds, on the same core.
//!
//! Each is a script of a few lines below benches/peers with an environment of its own below target/, which
//! `cargo xtask bench --peers` makes. All answer the Open Inference Protocol in JSON from the same ONNX files with the
//! same version of ONNX Runtime, one thread per run, so that what differs is the server.

use std::{
    fmt::Write as _,
    net::{SocketAddr, TcpListener},
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::Bench;
use crate::{
    cases::{Case, Format},
    child::Server,
    closed_loop::Load,
    http,
    stats::{figure, paired},
    table::{shown_series, table},
    timer::Moment,
    usage::{tree_cpu_seconds, tree_memory_mib},
};

/// A peer's name and the script that is it.
const PEERS: [(&str, &str); 3] = [("FastAPI", "fastapi"), ("MLServer", "mlserver"), ("mosec", "mosec")];

const MODELS: [&str; 4] = ["iris", "breast_cancer", "cnn", "minilm"];

/// Clients of the row with batching.
const MANY: u32 = 32;

/// How far numbers may differ: other builds of the same library may add in another order.
const TOLERANCE: f64 = 1e-4;

/// A server and what was measured on it, by model.
struct Contender {
    name: String,
    server: Server,
    measured: Vec<[Vec<f64>; 3]>,
}

pub fn run(bench: &Bench<'_>) -> Result<String> {
    let mut text = one_by_one(bench)?;
    text.push('\n');
    text.push_str(&in_batches(bench)?);
    text.push('\n');
    text.push_str(&starts(bench)?);
    Ok(text)
}

/// Starts a peer with these models and waits until it answers the first of them.
fn start(bench: &Bench<'_>, script: &str, models: &[&str], batches: bool) -> Result<Server> {
    let house = bench.stage.house;
    let python = house.target()?.join(format!("bench/peers/{script}/bin/python"));
    ensure!(python.is_file(), "{} is not there; cargo xtask bench --peers makes it", python.display());
    let file = house.root.join(format!("benches/peers/{script}_server.py"));
    // Taken and given back: the next one who asks for any port gets another.
    let addr = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    let first = bench.case(models.first().context("no models")?, 1)?;
    let variables = [
        ("PEER_PORT", addr.port().to_string()),
        ("PEER_REPOSITORY", bench.repository.to_string_lossy().into_owned()),
        ("PEER_MODELS", models.join(",")),
        ("PEER_BATCHES", u8::from(batches).to_string()),
        ("OMP_NUM_THREADS", "1".to_owned()),
        ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
    ];
    let arguments = [file.to_string_lossy().into_owned()];
    let server = Server::start_at(addr, &python, &bench.stage.pinning, &arguments, &variables, || {
        http::ask(addr, &first, Format::Json).is_ok()
    });
    server.with_context(|| format!("the peer {script}"))
}

/// Every answer must be the one that Candor gives.
fn check(contender: &str, addr: SocketAddr, case: &Case, want: &[u8]) -> Result<()> {
    let got = http::ask(addr, case, Format::Json).with_context(|| format!("{contender}, {}", case.name()))?;
    let (got, want): (Value, Value) = (serde_json::from_slice(&got)?, serde_json::from_slice(want)?);
    ensure!(is_near(&outputs(&got)?, &outputs(&want)?), "{contender} answers {} otherwise than Candor", case.name());
    Ok(())
}

/// Name and numbers of each output.
fn outputs(reply: &Value) -> Result<Vec<(String, Vec<f64>)>> {
    let outputs = reply.get("outputs").and_then(Value::as_array).context("the reply has no outputs")?;
    let one = |output: &Value| {
        let name = output.get("name")?.as_str()?.to_owned();
        Some((name, output.get("data")?.as_array()?.iter().filter_map(Value::as_f64).collect()))
    };
    outputs.iter().map(|output| one(output).context("an output is not understood")).collect()
}

fn is_near(got: &[(String, Vec<f64>)], want: &[(String, Vec<f64>)]) -> bool {
    let near = |got: &[f64], want: &[f64]| {
        got.len() == want.len() && got.iter().zip(want).all(|(a, b)| (a - b).abs() <= TOLERANCE * b.abs().max(1.0))
    };
    got.len() == want.len() && got.iter().zip(want).all(|(a, b)| a.0 == b.0 && near(&a.1, &b.1))
}

/// Requests per second, p99 in µs and CPU per request in µs.
fn measure(bench: &Bench<'_>, server: &Server, load: Load<'_>) -> Result<[f64; 3]> {
    let before = tree_cpu_seconds(server.pid)?;
    let outcome = bench.wrk.run(server.addr, load)?;
    let cpu = tree_cpu_seconds(server.pid)? - before;
    Ok([outcome.per_second, outcome.p99_us, cpu * 1e6 / outcome.requests])
}

fn one_by_one(bench: &Bench<'_>) -> Result<String> {
    let contender = |name: &str, server: Server| Contender {
        name: name.to_owned(),
        server,
        measured: MODELS.iter().map(|_| Default::default()).collect(),
    };
    let mut contenders = vec![contender("Candor", bench.stage.candor(bench.repository, &[])?)];
    for (name, script) in PEERS {
        contenders.push(contender(name, start(bench, script, &MODELS, false)?));
    }
    contenders.push(contender("bare handler", bench.stage.bare()?));
    let cases = MODELS.iter().map(|model| bench.case(model, 1)).collect::<Result<Vec<_>>>()?;
    let span = std::time::Duration::from_millis(200 * u64::from(bench.plan.seconds));
    let engines = cases.iter().map(|case| bench.engine.load(case)).collect::<Result<Vec<_>>>()?;
    let mut engine: Vec<Vec<f64>> = cases.iter().map(|_| Vec::new()).collect();
    for (case, server) in
        cases.iter().flat_map(|case| contenders.iter().take(PEERS.len() + 1).map(move |one| (case, one)))
    {
        let want = http::ask(contenders.first().context("no server")?.server.addr, case, Format::Json)?;
        check(&server.name, server.server.addr, case, &want)?;
    }
    for round in 0..bench.plan.repeats.min(3) {
        for (at, case) in cases.iter().enumerate() {
            if let (Some(loaded), Some(series)) = (engines.get(at), engine.get_mut(at)) {
                series.push(loaded.measure(span)?.cpu_us);
            }
            for contender in &mut contenders {
                let load = Load::of(case, Format::Json, bench.plan.connections, bench.plan.seconds * 2);
                let numbers = measure(bench, &contender.server, load).with_context(|| contender.name.clone())?;
                println!(
                    "  round {} {:<18} {:<14} {:.0}/s  p99 {} µs  CPU {} µs",
                    round + 1,
                    case.name(),
                    contender.name,
                    numbers[0],
                    figure(numbers[1]),
                    figure(numbers[2])
                );
                for (series, number) in contender.measured.get_mut(at).into_iter().flatten().zip(numbers) {
                    series.push(number);
                }
            }
        }
    }
    let nothing = Default::default();
    let cpu_of = |at: usize, which: usize| {
        contenders.get(which).and_then(|one| one.measured.get(at)).unwrap_or(&nothing)[2].as_slice()
    };
    let rows = cases.iter().enumerate().flat_map(|(at, case)| {
        let engine = engine.get(at).map(Vec::as_slice).unwrap_or_default();
        let head = (format!("{}, engine alone", case.name()), vec![shown_series(engine), None, None, None, None]);
        let own = contenders.iter().enumerate().map(move |(which, contender)| (at, case, engine, which, contender));
        std::iter::once(head).chain(own.map(|(at, case, engine, which, contender)| {
            let [rate, p99, cpu] = contender.measured.get(at).unwrap_or(&nothing);
            let by_engine = shown_series(&paired(cpu, engine, |cpu, engine| cpu / engine));
            let by_candor = shown_series(&paired(cpu_of(at, which), cpu_of(at, 0), |own, candor| own / candor));
            let cells = vec![shown_series(cpu), by_engine, by_candor, shown_series(rate), shown_series(p99)];
            (format!("{}, {}", case.name(), contender.name), cells)
        }))
    });
    let columns = ["CPU, µs", "÷ engine", "÷ Candor", "requests/s", "p99, µs"];
    table("Same models, same client: HTTP JSON, closed loop", "model × rows, server", &columns, rows)
        .context("nothing was measured")
}

/// 32 clients of the sentence encoder; every server batches as it can.
fn in_batches(bench: &Bench<'_>) -> Result<String> {
    let case = bench.case("minilm", 1)?;
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    crate::servers::repository(folder.path(), &[bench.repository.join("minilm")])?;
    let mut servers = vec![("Candor, as it chooses", bench.stage.candor(folder.path(), &[])?)];
    for (name, script) in
        [("MLServer, 5 ms and 32 rows at most", "mlserver"), ("mosec, 5 ms and 32 rows at most", "mosec")]
    {
        servers.push((name, start(bench, script, &["minilm"], true)?));
    }
    let mut rows = Vec::new();
    let mut measured: Vec<[Vec<f64>; 3]> = servers.iter().map(|_| Default::default()).collect();
    for _ in 0..bench.plan.repeats.min(3) {
        for ((name, server), series) in servers.iter().zip(&mut measured) {
            let load = Load::of(&case, Format::Json, MANY, bench.plan.seconds * 4);
            let [rate, p99, cpu] = measure(bench, server, load).context(*name)?;
            println!("  {name:<36} {rate:.1} rows/s  p99 {} ms", figure(p99 / 1e3));
            for (series, number) in series.iter_mut().zip([rate, p99 / 1e3, cpu]) {
                series.push(number);
            }
        }
    }
    for ((name, _), series) in servers.iter().zip(&measured) {
        rows.push(((*name).to_owned(), series.iter().map(|series| shown_series(series)).collect()));
    }
    let title = format!("The sentence encoder with {MANY} clients");
    table(&title, "server", &["rows/s", "p99, ms", "CPU per row, µs"], rows.into_iter()).context("nothing was measured")
}

/// Cold start with one small model, and memory of all processes together.
fn starts(bench: &Bench<'_>) -> Result<String> {
    let case = bench.case("iris", 1)?;
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    crate::servers::repository(folder.path(), &[bench.repository.join("iris")])?;
    let mut rows = Vec::new();
    let names = std::iter::once(("Candor", None)).chain(PEERS.map(|(name, script)| (name, Some(script))));
    for (name, script) in names {
        let (mut millis, mut memory) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let server = match script {
                None => bench.stage.candor(folder.path(), &[])?,
                Some(script) => start(bench, script, &["iris"], false)?,
            };
            let asked = Moment::now();
            http::ask(server.addr, &case, Format::Json)?;
            millis.push((server.started_in + asked.elapsed()).as_secs_f64() * 1e3);
            bench.wrk.run(server.addr, Load::of(&case, Format::Json, bench.plan.connections, 1))?;
            memory.push(tree_memory_mib(server.pid)?);
        }
        rows.push((name.to_owned(), vec![shown_series(&millis), shown_series(&memory)]));
    }
    let columns = ["ms from exec to the first answer", "MiB after load, all its processes (PSS)"];
    let mut text =
        table("Start and memory: iris alone", "server", &columns, rows.into_iter()).context("nothing was started")?;
    let versions = PEERS.map(|(name, script)| versions(&bench.stage.house.root, name, script));
    let _ = write!(text, "\n## What they are\n\n{}", versions.concat());
    Ok(text)
}

/// A line with the packages that matter.
fn versions(root: &Path, name: &str, script: &str) -> String {
    const TOLD: [&str; 8] = ["fastapi", "uvicorn", "uvloop", "httptools", "orjson", "mlserver", "mosec", "onnxruntime"];
    let text = std::fs::read_to_string(root.join(format!("benches/peers/{script}.txt"))).unwrap_or_default();
    let told = text.lines().filter(|line| line.split_once("==").is_some_and(|(package, _)| TOLD.contains(&package)));
    let told: Vec<String> = told.map(|line| line.replace("==", " ")).collect();
    format!("- {name}: {}; `benches/peers/{script}_server.py`\n", told.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_may_differ_in_the_last_digits_alone() {
        let one = |number: f64| vec![("p".to_owned(), vec![number])];
        assert!(is_near(&one(0.5), &one(0.500_01)) && !is_near(&one(0.5), &one(0.51)));
        assert!(!is_near(&one(0.5), &[]) && !is_near(&[("q".to_owned(), vec![0.5])], &one(0.5)));
        let reply = serde_json::json!({"outputs": [{"name": "p", "data": [1, 2.5]}]});
        assert_eq!(outputs(&reply).unwrap(), [("p".to_owned(), vec![1.0, 2.5])]);
    }
}
