//! What sampled explanations cost: ours through the plugin host, beside `shap` and `lime`, in the same run.
//!
//! `cargo xtask bench explain-sampled` makes the environment of peers.py and runs this in release. In rounds over all cells; within a cell the peer and each of our engines one right after the other, on the same
//! row. CPU time of one thread, the model's share apart. Prints a table; it does not judge.
//!
//! | module | what it does |
//! |---|---|
//! | `models` | the model and rows that peers.py made, lent to our components |
//! | `peer` | the Python process |
//! | `report` | the table |
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark speaks to whoever runs it")]

mod models;
mod peer;
mod report;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, Result, bail};
use candor_domain::{
    Engine,
    tensor::{Shape, Tensor, TensorData},
};
use candor_engine_native::NativeEngine;
use candor_engine_ort::OrtEngine;
use candor_plugin_host::{
    AllowList, CallContext, CallLimits, HostSettings, Live, LogLevel, MetricKind, PluginHost, Services,
};
use clap::Parser;

use models::{Counted, Data, Model};
use peer::Peer;
use report::{Cell, Cost};

/// What sampled explanations cost, beside shap and lime.
#[derive(Parser)]
struct Args {
    /// A folder for the models; made if it is not there.
    #[arg(long)]
    folder: PathBuf,
    /// A Python with what requirements.txt names.
    #[arg(long)]
    python: PathBuf,
    /// The library of ONNX Runtime.
    #[arg(long)]
    ort: PathBuf,
    /// Rounds over all cells.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Only cells whose method and model, with a blank between, contain this.
    #[arg(long, default_value = "")]
    only: String,
    /// Without the peer: for profiles of our own side.
    #[arg(long)]
    alone: bool,
    /// Write benches/RESULTS-EXPLAIN-SAMPLED.md. Needs --date and a whole run.
    #[arg(long, requires = "date", conflicts_with_all = ["only", "alone"])]
    record: bool,
    /// Today, for the record: a benchmark reads no calendar.
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<String>,
}

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

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    if cfg!(debug_assertions) {
        bail!("the numbers of a debug build mean nothing; use `cargo xtask bench explain-sampled`");
    }
    peer::make(&args.python, &args.folder)?;
    let data = Data::read(&args.folder)?;
    let engines: Vec<Box<dyn Engine>> =
        vec![Box::new(NativeEngine::new()), Box::new(OrtEngine::try_new(Some(&args.ort), &[], 1)?)];
    let models = models::load(&args.folder, &data, &engines)?;
    let allow = AllowList { dev: false, allow: Vec::new() };
    let store = args.folder.join("store");
    let settings = HostSettings { allow, store, generations_max: HostSettings::GENERATIONS_MAX };
    let host = PluginHost::new(settings, Box::new(Silence));
    let plugin = host.compiled_in("sampled", env!("CARGO_PKG_VERSION"), &candor_plugin_sampled::MODULE)?;
    let mut peer = Peer::start(&args.python, &args.folder)?;
    let mut cells = Vec::new();
    for method in METHODS {
        let live = plugin.open(method.component, "{}")?;
        for (name, ours) in &models {
            cells.push((
                Cell::new(method.name, name, ours.iter().map(|model| model.title)),
                *method,
                Arc::clone(&live),
                ours,
            ));
        }
    }
    let before = candor_measure::machine::load_average();
    // The first round warms up: Numba compiles at the peer, pages are touched here.
    for round in 0..=args.rounds {
        for (cell, method, live, ours) in &mut cells {
            let row = round % data.count();
            let said = if args.alone { None } else { Some(peer.ask(method.name, &cell.model, row)?) };
            let mut values = Vec::new();
            for (model, costs) in ours.iter().zip(&mut cell.ours) {
                let cost;
                (cost, values) = explain(*method, live, model, &data, row)?;
                costs.push(cost);
            }
            if let Some(said) = said {
                cell.peer.push(Cost { cpu_ms: said.cpu_ms, model_ms: said.model_ms, rows: said.rows });
                cell.apart.push(apart(&said.values, &values));
            }
            if round == 0 {
                cell.forget();
            }
        }
        eprintln!("round {round} of {}", args.rounds);
    }
    let table = report::table(cells.iter().map(|(cell, ..)| cell));
    println!("{}; {}; load {before}", candor_measure::machine::describe(), candor_measure::machine::compiler());
    println!("\n{table}");
    if let Some(date) = args.date.as_ref().filter(|_| args.record) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let document = report::document(date, &root, (&before, args.rounds), &table);
        std::fs::write(root.join(report::PATH), document).with_context(|| format!("cannot write {}", report::PATH))?;
        println!("wrote {}", report::PATH);
    }
    Ok(())
}

/// The largest difference, of the peer's largest attribution.
fn apart(theirs: &[f64], ours: &[f64]) -> f64 {
    let largest = theirs.iter().fold(0.0_f64, |most, one| most.max(one.abs()));
    theirs.iter().zip(ours).map(|(one, other)| (one - other).abs()).fold(0.0, f64::max) / largest
}

/// A method here and at the peer.
#[derive(Clone, Copy)]
struct Method {
    name: &'static str,
    component: &'static str,
    /// The budget that equals the peer's, if it is not our default.
    budget: fn(&Data) -> Option<i64>,
}

const METHODS: &[Method] = &[
    Method { name: "kernel", component: "candor.kernel_shap", budget: |_| None },
    Method {
        name: "permutation",
        component: "candor.permutation_shap",
        budget: |data| Some(data.orders * (2 * data.features + 1)),
    },
    Method { name: "lime", component: "candor.lime", budget: |_| None },
];

/// Explains a row: what it cost, and the attributions.
#[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
fn explain(method: Method, live: &Live, model: &Model, data: &Data, row: usize) -> Result<(Cost, Vec<f64>)> {
    let matrix = |cells: &[f64]| -> Result<Tensor> {
        let shape = Shape::new(&[i64::try_from(cells.len())? / data.features, data.features])?;
        Ok(Tensor::new(shape, TensorData::Fp64(cells.to_vec()))?)
    };
    let one = |number: i64| Tensor::new(Shape::new(&[1])?, TensorData::Int64(vec![number]));
    let (x, background, output) = (matrix(data.row(row))?, matrix(&data.background)?, one(1)?);
    let budget = (method.budget)(data).map(one).transpose()?;
    let mut inputs = vec![("x", &x), ("background", &background), ("outputs", &output)];
    inputs.extend(budget.as_ref().map(|budget| ("budget", budget)));
    let counted = Counted::new(model);
    let mut call = CallContext::new(CallLimits::default());
    let cpu = models::cpu_nanos();
    let answer = call.with_model(&counted, |call| live.instance().infer(call, &inputs))?;
    let cpu_ms = (models::cpu_nanos() - cpu) as f64 / 1e6;
    let shares = answer.iter().find(|(name, _)| name == "attributions").map(|(_, tensor)| tensor.data());
    let Some(TensorData::Fp64(values)) = shares else { bail!("no attributions") };
    let (model_ms, rows) = counted.told();
    Ok((Cost { cpu_ms, model_ms, rows }, values.clone()))
}
