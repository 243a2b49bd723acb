//! What a call of a plugin costs in this process, beside the same work called directly, in the same run.
//!
//! The plugin reads one number and gives one back, so that what is left is the border: the host's checks, the table,
//! the guard against panics, memory for the output. In rounds over all cases, so that a slow moment of the machine
//! meets them alike. Prints a table; it does not judge. The library stands beside the binary (`cargo build --examples`).
//! A word as argument: only the cases whose names contain it.
//!
//! Cases in a process of their own are measured twice: as the machine is, and with a process for each processor that
//! burns whatever nobody else wants (SCHED_IDLE), so that no processor sleeps when a call wakes somebody on it.
#![allow(clippy::print_stdout, reason = "prints what it measured")]

use std::{
    fs,
    hint::black_box,
    io::Read as _,
    os::fd::AsFd as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};
use candor_domain::tensor::{Shape, Tensor, TensorData};
use candor_measure::{
    machine, stats,
    timer::{Moment, RealClock},
};
use candor_plugin_host::{
    AllowList, CallContext, CallLimits, HostSettings, Instance, Isolated, Isolation, Live, LogLevel, MetricKind, Pin,
    PluginHost, Services, Values, WorkerProgram, WorkerSettings, worker,
};

const ROUNDS: usize = 400;
const CALLS: u32 = 250;
const CALLS_APART: u32 = 10;
const CRASHES: usize = 100;
const WORKER: &str = "worker";
const BURNER: &str = "burn";
const SIZES: [usize; 2] = [4, 150_528];

struct Silence;

impl Services for Silence {
    fn log(&self, _level: LogLevel, _message: &str) {}
    fn metric(&self, _kind: MetricKind, _name: &str, _value: f64, _labels_json: &str) {}
    fn now_ns(&self) -> u64 {
        0
    }
    fn of(&self, _plugin: &str) -> Box<dyn Services> {
        Box::new(Self)
    }
}

/// The baseline: the same work behind a trait object of this binary.
trait Direct {
    fn run(&self, x: &[f32], y: &mut [f32]);
}

struct Noop;

impl Direct for Noop {
    fn run(&self, x: &[f32], y: &mut [f32]) {
        if let ([y], [first, ..]) = (y, x) {
            *y = *first;
        }
    }
}

struct Case {
    name: String,
    calls: u32,
    work: Box<dyn FnMut()>,
    nanos: Vec<f64>,
}

impl Case {
    fn round(&mut self) {
        let start = Moment::now();
        for _ in 0..self.calls {
            (self.work)();
        }
        self.nanos.push(start.elapsed().as_secs_f64() * 1e9 / f64::from(self.calls));
    }
}

/// A process for each processor that keeps it from sleeping, and steps back behind everybody at once.
struct Burners(Vec<Child>);

impl Burners {
    fn start() -> Result<Self> {
        let mut all = Self(Vec::new());
        for _ in 0..std::thread::available_parallelism()?.get() {
            let mut burner = Command::new("chrt");
            burner.args(["--idle", "0"]).arg(std::env::current_exe()?).arg(BURNER).stdin(Stdio::piped());
            all.0.push(burner.spawn().context("no `chrt` (util-linux)")?);
        }
        Ok(all)
    }
}

impl Drop for Burners {
    fn drop(&mut self) {
        for burner in &mut self.0 {
            // One that is gone already is what is wanted.
            let _ = burner.kill();
            let _ = burner.wait();
        }
    }
}

/// Burns until nobody holds the other end of its standard input.
fn burn() -> Result<()> {
    std::thread::spawn(|| {
        let mut count = 0_u64;
        loop {
            count = black_box(count.wrapping_add(1));
        }
    });
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// The cases in a process of their own again, on processors that are awake.
fn awake(cases: &mut [Case]) -> Result<()> {
    let mut apart: Vec<&mut Case> = cases.iter_mut().filter(|case| case.calls == CALLS_APART).collect();
    if apart.is_empty() {
        return Ok(());
    }
    let _burners = Burners::start()?;
    apart.iter_mut().for_each(|case| case.nanos.clear());
    for _ in 0..ROUNDS {
        apart.iter_mut().for_each(|case| case.round());
    }
    for case in apart {
        row(&format!("{}, processors kept awake", case.name), &case.nanos)?;
    }
    Ok(())
}

fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == Some(BURNER) {
        return burn();
    }
    if std::env::args().nth(1).as_deref() == Some(WORKER) {
        return Ok(worker::serve(std::io::stdin().as_fd().try_clone_to_owned()?)?);
    }
    let folder = tempfile::tempdir()?;
    let host = host(folder.path())?;
    let rust = open(&host, &rust_folder(folder.path())?, "bench.noop")?;
    let c = open(&host, &c_folder(folder.path())?, "bench.noop_c")?;
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let mut cases = Vec::new();
    for size in SIZES {
        cases.extend(cases_of(size, &rust, &c)?);
        let apart = |id: &str| isolated(size, &host, &folder.path().join("noop"), id);
        cases.extend([apart("bench.noop")?, apart("bench.twice")?]);
    }
    cases.retain(|case| case.name.contains(&wanted));
    for _ in 0..ROUNDS {
        cases.iter_mut().for_each(Case::round);
    }
    println!("{}; {}; load {}", machine::describe(), machine::compiler(), machine::load_average());
    println!("ns per call over {ROUNDS} rounds of {CALLS} calls ({CALLS_APART} in a process of its own)\n");
    println!("| case | min | p50 | p90 |\n|---|---|---|---|");
    for case in &cases {
        row(&case.name, &case.nanos)?;
    }
    awake(&mut cases)?;
    if "crash".contains(&wanted) {
        crashes(&host, &folder.path().join("noop"))?;
    }
    Ok(())
}

fn row(name: &str, nanos: &[f64]) -> Result<()> {
    let summary = stats::Summary::of(nanos).context("nothing was measured")?;
    let mut sorted = nanos.to_vec();
    sorted.sort_by(f64::total_cmp);
    let p90 = sorted.get(sorted.len() * 9 / 10).copied().unwrap_or(summary.max);
    println!("| {name} | {:.1} | {:.1} | {p90:.1} |", summary.min, summary.median);
    Ok(())
}

/// A process that crashes in a call: until that call has its error, and the call after it, which starts a new one.
fn crashes(host: &PluginHost, folder: &Path) -> Result<()> {
    let mut settings = WorkerSettings::default();
    // Or it would be left alone after the third.
    settings.breaker.calls_min = u32::MAX;
    let apart = open_apart(host, folder, "bench.noop", settings)?;
    let one = Tensor::new(Shape::new(&[4])?, TensorData::Fp32(vec![1.5; 4]))?;
    let (mut noticed, mut answered) = (Vec::new(), Vec::new());
    for _ in 0..CRASHES {
        let start = Moment::now();
        ensure!(apart.infer(&[("crash", &one)], None).is_err(), "it did not crash");
        noticed.push(start.elapsed().as_secs_f64() * 1e9);
        let start = Moment::now();
        ensure!(apart.infer(&[("x", &one)], None).is_ok(), "no answer after a crash");
        answered.push(start.elapsed().as_secs_f64() * 1e9);
    }
    row("a call in which the process crashes, until its error", &noticed)?;
    row("the call after it: a new process, the library, an instance, the answer", &answered)
}

fn open_apart(host: &PluginHost, folder: &Path, id: &str, settings: WorkerSettings) -> Result<Isolated> {
    let program = WorkerProgram { program: std::env::current_exe()?, arguments: vec![WORKER.to_owned()] };
    let around = (Arc::new(Silence) as Arc<dyn Services>, Arc::new(RealClock::start()) as _);
    Ok(host.isolate(folder, (id, "{}"), program, settings, around)?)
}

fn cases_of(size: usize, rust: &Arc<Live>, c: &Arc<Live>) -> Result<Vec<Case>> {
    let data: Vec<f32> = vec![1.5; size];
    let shape = Shape::new(&[i64::try_from(size)?])?;
    let tensor: &'static Tensor = Box::leak(Box::new(Tensor::new(shape, TensorData::Fp32(data.clone()))?));
    let direct: Box<dyn Direct> = black_box(Box::new(Noop));
    let case = |what: &str, work: Box<dyn FnMut()>| Case {
        name: format!("{what}, {size} floats"),
        calls: CALLS,
        work,
        nanos: vec![],
    };
    // The call itself: prepared values through the table, on an instance that is held.
    let held = |live: &Arc<Live>| {
        let (instance, values) = (Arc::clone(&live.instance()), Values::of([("x", tensor)]));
        let mut call = CallContext::new(CallLimits::default());
        move || assert!(instance.run(&mut call, black_box(&values)).is_ok())
    };
    let through = |live: &Arc<Live>| {
        let (live, values) = (Arc::clone(live), Values::of([("x", tensor)]));
        let mut call = CallContext::new(CallLimits::default());
        move |run: &dyn Fn(&Instance, &mut CallContext, &Values<'_>)| run(&live.instance(), &mut call, &values)
    };
    let run = |instance: &Instance, call: &mut CallContext, values: &Values<'_>| {
        let answered = instance.run(call, black_box(values)).is_ok();
        assert!(answered && call.outputs().iter().next().is_some_and(|y| y.floats() == Some(&[1.5])));
    };
    let whole = |instance: &Instance, call: &mut CallContext, _: &Values<'_>| {
        assert!(instance.infer(call, &[("x", black_box(tensor))]).is_ok_and(|outputs| outputs.len() == 1));
    };
    let (mut in_rust, mut in_c, mut inferred) = (through(rust), through(c), through(rust));
    let (mut y, mut copy, from) = ([0.0_f32], vec![0.0_f32; size], data.clone());
    Ok(vec![
        case("direct, through a trait object", Box::new(move || direct.run(black_box(&data), black_box(&mut y)))),
        case("call, plugin in C", Box::new(held(c))),
        case("call, plugin in Rust", Box::new(held(rust))),
        case("plugin in Rust", Box::new(move || in_rust(&run))),
        case("plugin in C", Box::new(move || in_c(&run))),
        case("plugin in Rust, tensors made of the outputs", Box::new(move || inferred(&whole))),
        case("copying the input once", Box::new(move || black_box(&mut copy).copy_from_slice(black_box(&from)))),
    ])
}

/// The same library in a process of its own: inputs copied there, outputs copied back.
fn isolated(size: usize, host: &PluginHost, folder: &Path, id: &str) -> Result<Case> {
    let apart = open_apart(host, folder, id, WorkerSettings::default())?;
    let tensor = Tensor::new(Shape::new(&[i64::try_from(size)?])?, TensorData::Fp32(vec![1.5; size]))?;
    let work = move || assert!(apart.infer(&[("x", &tensor)], None).is_ok_and(|outputs| outputs.len() == 1));
    let back = if id == "bench.twice" { "in and back" } else { "in" };
    let name = format!("isolated plugin in Rust, {size} floats {back}");
    Ok(Case { name, calls: CALLS_APART, work: Box::new(work), nanos: vec![] })
}

fn host(folder: &Path) -> Result<PluginHost> {
    let here = |name| Pin { isolation: Isolation::Inproc, ..Pin::of(name, "") };
    let allow = AllowList { dev: true, allow: vec![here("noop"), here("noop_c")] };
    let settings = HostSettings { allow, store: folder.join("store"), generations_max: HostSettings::GENERATIONS_MAX };
    Ok(PluginHost::new(settings, Box::new(Silence)))
}

fn open(host: &PluginHost, folder: &Path, id: &str) -> Result<Arc<Live>> {
    Ok(host.load(folder)?.open(id, "{}")?)
}

/// A plugin's folder with its manifest, and where its library belongs.
fn plugin_folder(root: &Path, name: &str, ids: &[&str], version: &str) -> Result<(PathBuf, PathBuf)> {
    let folder = root.join(name);
    let library =
        folder.join(format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)).join(format!("lib{name}.so"));
    fs::create_dir_all(library.parent().context("a folder")?)?;
    let component = |id: &str| format!("[[component]]\nid = '{id}'\nkinds = ['predictor']\n");
    let components: String = ids.iter().map(|id| component(id)).collect();
    let manifest = format!("name = '{name}'\nversion = '{version}'\nabi = '0.1'\n{components}");
    fs::write(folder.join("plugin.toml"), manifest)?;
    Ok((folder, library))
}

fn rust_folder(root: &Path) -> Result<PathBuf> {
    let (folder, library) = plugin_folder(root, "noop", &["bench.noop", "bench.twice"], env!("CARGO_PKG_VERSION"))?;
    let own = std::env::current_exe()?;
    let built = own.parent().context("the binary's folder")?.join("examples/libnoop_plugin.so");
    fs::copy(&built, &library).with_context(|| {
        format!("no {}: cargo build --release -p candor-plugin-bench --bins --examples", built.display())
    })?;
    fs::set_permissions(&library, fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}

fn c_folder(root: &Path) -> Result<PathBuf> {
    let (folder, library) = plugin_folder(root, "noop_c", &["bench.noop_c"], "0.1.0")?;
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-std=c11", "-fPIC", "-fvisibility=hidden", "-shared", "-Wl,-z,noexecstack", "-I"]);
    cc.arg(here.join("../../sdk/abi/include")).arg("-o").arg(&library).arg(here.join("noop.c"));
    ensure!(cc.status()?.success(), "the C compiler failed");
    Ok(folder)
}
