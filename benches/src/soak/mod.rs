//! Minutes of strain on a started server: models that come and go, clients that leave, slow ones, floods, streams.
//!
//! It does not ask how fast the server is but whether it holds: every answer is one that its sender may expect,
//! health is answered in time, memory does not grow, counters add up, and the end is in order.
//!
//! | module | what it does |
//! |---|---|
//! | `clients` | the kinds of clients: what each does, and how it may end |
//! | `streams` | those that speak gRPC |
//! | `watch` | health and memory, all the time |
//! | `verdict` | what was found, as a table, and what is wrong with it |

mod clients;
mod streams;
mod verdict;
mod watch;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::{
    cases::{self, Case},
    child::Server,
    machine::{House, Pinning},
    open_loop::Drawn,
    servers::{self, Stage},
    timer::Moment,
};
use clients::{Ending, KINDS, Kind};
use verdict::Verdict;

/// Limits that clients can reach. The grace is what the end is held to.
const KEYS: [&str; 8] = [
    "http.header_read_ms_max=1000",
    "limits.body_read_ms_max=5000",
    "limits.body_bytes_max=2 MiB",
    "limits.decompressed_bytes_max=2 MiB",
    "limits.inflight_per_model_max=8",
    "limits.inference_queue_max=32",
    "shutdown.grace_ms=10000",
    "grpc.message_bytes_max=2 MiB",
];

/// As `shutdown.grace_ms`.
const GRACE: Duration = Duration::from_secs(10);

/// A thread that has not come back so long after the end hangs.
const PATIENCE: Duration = Duration::from_secs(30);

const MODELS: [&str; 6] = ["iris", "breast_cancer", "digits", "simple_identity", "cnn", "minilm"];

/// What clients act on.
struct Scene {
    http: std::net::SocketAddr,
    grpc: std::net::SocketAddr,
    health: std::net::SocketAddr,
    repository: PathBuf,
    /// One row of each, and 32 of iris.
    iris: Case,
    iris_long: Case,
    breast_cancer: Case,
    digits: Case,
    cnn: Case,
    minilm: Case,
    over: AtomicBool,
}

/// How often each kind of client ended in each way.
type Endings = BTreeMap<(&'static str, Ending), u64>;

/// Strains a server for so long. An error if it does not hold.
pub fn run(length: Duration) -> Result<()> {
    let house = House::find()?;
    let folder = tempfile::tempdir().context("cannot make a folder for models")?;
    let repository = folder.path().join("models");
    let large = house.large_models()?;
    let models = MODELS.map(|name| {
        let sample = house.root.join("models").join(name);
        if sample.is_dir() { sample } else { large.join(name) }
    });
    servers::repository(&repository, &models)
        .context("the large models are made by `cargo xtask bench`, before this program runs")?;
    let stage = Stage { house: &house, pinning: Pinning::apply(1)?, workers: 1 };
    let mut server = stage.candor(&repository, &KEYS)?;
    let scene = scene(&server, &repository)?;
    println!("straining {} for {:.1} minutes; {}", server.addr, length.as_secs_f64() / 60.0, stage.pinning.describe());
    let (endings, complaints, watched) = strain(&scene, &server, length)?;
    let counters = verdict::counters_at_rest(scene.http, PATIENCE)?;
    // Connections that nobody uses any more must not hold the end up.
    let idle: Vec<_> = (0..20).filter_map(|_| crate::http::Connection::open(scene.http).ok()).collect();
    let stopped = server.stop(GRACE + PATIENCE);
    drop(idle);
    let verdict = Verdict { length, endings, complaints, watched, counters, stopped, log: server.log() };
    println!("\n{}", verdict.table());
    let wrong = verdict.wrong();
    if wrong.is_empty() {
        println!("it held");
        return Ok(());
    }
    bail!("it did not hold:\n  {}", wrong.join("\n  "))
}

fn scene(server: &Server, repository: &Path) -> Result<Scene> {
    let case = |model: &str, rows| cases::case_of(repository, model, rows);
    Ok(Scene {
        http: server.addr,
        grpc: server.grpc.context("the server does not listen for gRPC")?,
        health: server.health.context("the server has no health listener")?,
        repository: repository.to_owned(),
        iris: case("iris", 1)?,
        iris_long: case("iris", 32)?,
        breast_cancer: case("breast_cancer", 1)?,
        digits: case("digits", 1)?,
        cnn: case("cnn", 1)?,
        minilm: case("minilm", 1)?,
        over: AtomicBool::new(false),
    })
}

/// Lets all clients act until the time is over.
fn strain(scene: &Scene, server: &Server, length: Duration) -> Result<(Endings, Vec<String>, watch::Watched)> {
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for kind in &KINDS {
            for at in 0..kind.threads {
                threads.push(scope.spawn(move || act(scene, kind, at)));
            }
        }
        let health = scope.spawn(|| watch::health(scene.health, true, &scene.over));
        let door = scope.spawn(|| watch::health(scene.http, false, &scene.over));
        let memory = watch::memory(server.pid, length);
        scene.over.store(true, Relaxed);
        let began = Moment::now();
        while !threads.iter().all(thread::ScopedJoinHandle::is_finished) {
            if began.elapsed() > PATIENCE {
                // The scope would wait for it for ever.
                eprintln!("error: a client does not come back; the server may have forgotten it");
                std::process::exit(1);
            }
            thread::sleep(Duration::from_millis(20));
        }
        let (mut endings, mut complaints) = (Endings::new(), Vec::new());
        for thread in threads {
            let (own, said) = thread.join().map_err(|_| anyhow!("a client panicked"))?;
            for (key, count) in own {
                *endings.entry(key).or_default() += count;
            }
            complaints.extend(said);
        }
        let health = health.join().map_err(|_| anyhow!("the watch panicked"))?;
        let door = door.join().map_err(|_| anyhow!("the watch panicked"))?;
        Ok((endings, complaints, watch::Watched { health, door, memory: memory? }))
    })
}

/// One client, again and again.
fn act(scene: &Scene, kind: &'static Kind, at: u32) -> (Endings, Vec<String>) {
    /// More of the same say no more.
    const COMPLAINTS_MAX: usize = 3;
    let drawn = Drawn(0x9E37_79B9 + u64::from(at) * 7919);
    let mut client = clients::Client { http: scene.http, connection: None, drawn, turn: u64::from(at) };
    let (mut endings, mut complaints) = (Endings::new(), Vec::new());
    while !scene.over.load(Relaxed) {
        let ending = (kind.act)(scene, &mut client).unwrap_or_else(|error| {
            client.connection = None;
            if complaints.len() < COMPLAINTS_MAX {
                complaints.push(format!("{}: {error:#}", kind.name));
            }
            Ending::Wrong
        });
        *endings.entry((kind.name, ending)).or_default() += 1;
        client.turn += 1;
        thread::sleep(kind.pause);
    }
    (endings, complaints)
}

/// Puts a file in the place of another, whose bytes may be shared with the tree.
fn replace(path: &Path, text: &str) -> Result<()> {
    let draft = path.with_extension("draft");
    fs::write(&draft, text).with_context(|| format!("cannot write {}", draft.display()))?;
    fs::rename(&draft, path).with_context(|| format!("cannot replace {}", path.display()))
}
