//! `candor plugin bench`: what a call of each component costs, in this process and in one of its own.
//!
//! With the inputs that the component describes. It measures the border and the work together; docs/PLUGINS.md has what
//! the border alone costs.

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use candor_domain::{Clock, Component as _, ComponentCall, Tensor};
use candor_plugin_host::{
    AllowList, Catalog, CatalogSettings, HostSettings, Isolated, Isolation, Opened, Pin, Refusal, check,
    manifest::Manifest,
};
use clap::Args;
use serde_json::{Value, json};

use crate::{
    cli::{
        problem::{Done, Failure, Problem},
        screen::{self, Table},
    },
    clock::SystemClock,
    config::{Layers, Settings},
    plugins,
};

pub(super) const EXAMPLES: &str = "Examples:
  candor plugin bench acme-scale
  candor plugin bench acme-scale --rows 1000 --seconds 5

It loads the plugin into this process, with everything that it may do then: bench what you trust.
Inputs are those that the component describes, with this number of rows; without a description those
of its kind. Routers and trainers, which do not run, are left out.";

#[derive(Args)]
pub(in crate::cli) struct BenchArgs {
    /// Folder of the plugin.
    folder: PathBuf,
    /// Rows of each input; may be repeated.
    #[arg(long, default_values_t = [1, 1000])]
    rows: Vec<i64>,
    /// Seconds for each measurement.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Fewest and most calls of a measurement.
const CALLS: (usize, usize) = (20, 1_000_000);

pub(super) fn run(args: &BenchArgs) -> Done {
    let folder = args.folder.canonicalize().map_err(|error| {
        Failure::misused(Problem::new("there is no such folder").at(args.folder.display().to_string()).cause(error))
    })?;
    let settings = Settings::read(&mut Layers::default());
    let settings = settings.map_err(|report| Failure::misused(Problem::new(report.to_string())))?;
    let refused = |refusal: Refusal| Failure::from(Problem::from(refusal.error()));
    let manifest = Manifest::read(&folder).map_err(refused)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let span = Duration::try_from_secs_f64(args.seconds)
        .map_err(|error| Failure::misused(Problem::new("no span of time").at("--seconds").cause(error)))?;
    let mut measured = Vec::new();
    for isolation in [Isolation::Inproc, Isolation::Process] {
        let catalog = catalog(&settings, &folder, &manifest.name, isolation, &clock);
        let apart = isolation == Isolation::Process;
        for component in manifest.component.iter().filter(|one| !apart || Isolated::answers(&one.kinds)) {
            let config = check::example_config(&catalog, &component.id).unwrap_or_else(|| "{}".to_owned());
            let opened = catalog.take(&component.id, &config)?;
            for rows in &args.rows {
                let kind = component.kinds.first().map_or("", String::as_str);
                let inputs = check::tensors(&opened, kind, *rows)?;
                let times = measure(&opened, &inputs, &*clock, span);
                measured.push(times.map(|times| of(&component.id, isolation, *rows, times)));
            }
        }
    }
    let (told, left_out): (Vec<_>, Vec<_>) = measured.into_iter().partition(Result::is_ok);
    let told: Vec<Value> = told.into_iter().filter_map(Result::ok).collect();
    if let (true, Some(Err(error))) = (told.is_empty(), left_out.into_iter().next()) {
        return Err(Failure::from(error));
    }
    if args.json {
        screen::print_json(&json!({"folder": folder, "measured": told}));
    } else {
        screen::print(&shown(&told));
    }
    Ok(ExitCode::SUCCESS)
}

/// A catalog that has this plugin alone, whatever its digest is.
fn catalog(
    settings: &Settings,
    folder: &std::path::Path,
    name: &str,
    isolation: Isolation,
    clock: &Arc<dyn Clock>,
) -> Catalog {
    let pin = Pin { isolation, deadline_ms: 600_000, ..Pin::of(name, "") };
    let host = HostSettings {
        allow: AllowList { dev: true, allow: vec![pin] },
        store: plugins::store(settings),
        generations_max: HostSettings::GENERATIONS_MAX,
    };
    let catalog = CatalogSettings {
        folder: folder.parent().map(std::path::Path::to_path_buf),
        host,
        worker: settings.plugins.worker.clone(),
        start_max: settings.plugins.start_max,
    };
    Catalog::of_one(catalog, name, Arc::from(plugins::deaf()), Arc::clone(clock))
}

/// Nanoseconds of each call.
fn measure(
    opened: &Opened,
    inputs: &[(String, Tensor)],
    clock: &dyn Clock,
    span: Duration,
) -> candor_domain::Result<Vec<u64>> {
    let inputs: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let once = || {
        let before = clock.now();
        opened.run(&inputs, &ComponentCall::default()).map(|_| clock.now().nanos_since(before))
    };
    // The first calls fill caches and memory.
    for _ in 0..CALLS.0 {
        once()?;
    }
    let (end, mut times) = (clock.now().after(span), Vec::new());
    while times.len() < CALLS.0 || (clock.now() < end && times.len() < CALLS.1) {
        times.push(once()?);
    }
    Ok(times)
}

#[allow(clippy::cast_precision_loss, reason = "shown with one digit")]
fn of(component: &str, isolation: Isolation, rows: i64, mut times: Vec<u64>) -> Value {
    times.sort_unstable();
    let at =
        |share: usize| times.get(times.len() * share / 100).or(times.last()).map_or(0.0, |nanos| *nanos as f64 / 1e3);
    json!({
        "component": component, "place": isolation.word(), "rows": rows, "calls": times.len(),
        "p50_us": at(50), "p99_us": at(99), "min_us": at(0),
    })
}

fn shown(told: &[Value]) -> String {
    let mut table =
        Table::new(["COMPONENT", "RUNS", "ROWS", "CALLS", "MIN µs", "P50 µs", "P99 µs"]).right([2, 3, 4, 5, 6]);
    for one in told {
        let word = |key: &str| one[key].as_str().map_or_else(|| one[key].to_string(), str::to_owned);
        let micros = |key: &str| format!("{:.1}", one[key].as_f64().unwrap_or(0.0));
        let [component, place, rows, calls] = ["component", "place", "rows", "calls"].map(word);
        table.row(vec![component, place, rows, calls, micros("min_us"), micros("p50_us"), micros("p99_us")]);
    }
    table.to_string()
}
