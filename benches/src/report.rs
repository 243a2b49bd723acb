//! Tables of what was measured, for the screen and for benches/RESULTS.md.
//!
//! Every figure is the median of the rounds with their range behind it. It draws no conclusions.

use std::fmt::Write as _;

use crate::{
    args::Plan,
    cases::Case,
    closed_loop::Wrk,
    samples::{Quantity, Samples, Target},
    stats::Summary,
    table::{shown, table},
};

/// A run and what must be known to read it.
pub struct Record<'a> {
    pub plan: &'a Plan,
    pub cases: &'a [Case],
    pub samples: &'a Samples,
    pub commit: String,
    pub machine: String,
    pub compiler: String,
    pub engine: String,
    pub pinning: String,
    /// Load averages before and after.
    pub load: (String, String),
    /// The parts behind the layers, each with its headline.
    pub chapters: Vec<String>,
}

const HOW_TO_READ: &str = "\
## How to read it

- A figure is the median of the rounds; in brackets their smallest and largest. Two figures whose ranges
  overlap are not different. A regression is one beyond three times the range.
- *CPU* over HTTP is user and system time of the whole server process divided by the requests that `wrk`
  counted: kernel, sockets and all threads are in it, the client is not. In this process it is the time of
  the measuring thread. CPU time leaves out what other programs used, so it is the number to compare.
- *engine alone* is `Session::run` on ready tensors. *codec* is decoding a body and encoding the engine's
  real outputs. *null pipeline* is a whole request (lease, decode, check, run, encode, facts) with an engine
  that fills outputs with a constant: what Candor adds before any socket.
- *breaker in the pipeline* is the null pipeline with breakers, as everywhere else here, less the one without. *breaker
  alone* asks a closed breaker, reads the clock and says that the call went well; with two threads both do so all
  the time, which no request does.
- *bare handler* is actix with the same socket settings that parses the same JSON with `serde_json` into
  plain structs and answers a fixed reply of one size: no path patterns, no checks, no engine, no encoding.
  It is the floor for JSON over actix, in the same run, on the same core.
- *added ÷ bare* is (HTTP CPU − engine CPU) ÷ bare CPU: how many bare handlers the server costs beside the
  model. Ratios are taken within each round and then summed up, so what slowed a whole round cancels out.
- *null engine* over HTTP is the same server with an engine that fills outputs with a constant: what is added to a dear
  model, where the difference of two large figures would be noise. Its requests go to the pool where the real model's do.
- *gRPC* sends raw contents over as many connections, from our own client, which costs more than `wrk` does.
- *named rows* are the same rows sent to the native API as objects of named features, answered with labels and
  probabilities by label, an id and timings: more JSON both ways. The bare handler does not parse these.
- *cnn* is SqueezeNet 1.0 over 1×3×224×224 (1.26 MB of JSON) with random weights, on which its cost does not depend;
  *minilm* is all-MiniLM-L6-v2 with 128 tokens and its real weights. `benches/models/make_models.py` makes both.
- *closed loop*: `wrk` with one thread keeps each connection busy. Its requests per second are capacity; its
  latencies are those of a saturated server, and flattered, because slow replies delay the next requests.
- *open loop*: our client sends at a fixed rate, evenly spaced, half of what HTTP JSON managed while warming
  up (or --rate), the same for all targets. Latency counts from the moment at which a request was due,
  also when no connection was free. *lag p99* is how late the client itself began to send: a latency below
  a few times that says more of the client than of the server.
- *start* is from exec to an answer that was compared with the engine's; each server is started five times, and the files
  are in the system's caches.

## What it does not say

- Client and servers share one machine, over loopback. There is no network, no TLS, no other tenant's model.
- CPU of a process is known to a hundredth of a second: about half a percent of each measurement.
- Engine and codec run alone in a warm loop; in the server they share caches with actix and the kernel, so
  the layers' figures add up to a little less than HTTP's.
- The null engine's outputs are one number repeated; the codec's rows show real ones.
- Bodies are as `tritonclient` writes them, one of each size; rows are repeated from a handful of real ones.
- The bare handler's reply does not grow with the rows, and for binary there is no bare handler: HTTP binary
  is set against the one that parses JSON.
- Other programs on the machine move requests per second and latencies most, and CPU too: a server that is
  interrupted finds cold caches and answers fewer requests per wake-up. The load averages at the top tell
  whether there were any; the benchmark's own share is up to the number of cores. Ratios suffer least.
";

const HOW_TO_READ_PEERS: &str = "\
## How to read it

- All servers answer the same bodies of the Open Inference Protocol from the same ONNX files, with the same version of ONNX
  Runtime and one thread per run, pinned to the same core, loaded by the same `wrk`. Every answer is compared with
  Candor's before anything is measured. Targets are measured in turn; ratios are taken within a round.
- *CPU* is user and system time of all processes of a server, divided by the requests that were answered.
- The peers are set up as somebody would who wants them to be fast: uvloop, httptools and orjson where they can be
  used, one worker, no access log, no metrics. Their scripts are a page each, beside this file. MLServer has no runtime
  for ONNX; its codec and its own types are used around a session, as a custom runtime would.
- mosec runs one process for each model and one for the door; the others are one process.
- Triton is not here: it comes as a container image, which this benchmark does not fetch.
- *Memory* is the proportional set size of all processes, so that pages that forked processes share count once.
";

/// benches/RESULTS.md.
pub fn document(record: &Record<'_>, date: &str) -> String {
    let head = head("What a request costs", "cargo xtask bench --record --date YYYY-MM-DD", record, date);
    format!(
        "{head}\nOther people's servers beside this one: [PEERS.md](PEERS.md).\n\n{}\n{HOW_TO_READ}",
        tables(record)
    )
}

/// benches/PEERS.md.
pub fn peers_document(record: &Record<'_>, date: &str, peers: &str) -> String {
    let command = "cargo xtask bench --only peers --record --date YYYY-MM-DD";
    let head = head("What other servers cost", command, record, date);
    format!("{head}\n{peers}\n{HOW_TO_READ_PEERS}")
}

/// A headline, and what must be known of the run.
fn head(title: &str, command: &str, record: &Record<'_>, date: &str) -> String {
    let mut text = format!("# {title}\n\nWritten by `{command}`; do not edit.\n\n");
    let plan = record.plan;
    let _ = writeln!(text, "| | |\n|---|---|");
    for (key, value) in [
        ("date", date.to_owned()),
        ("commit", record.commit.clone()),
        ("machine", record.machine.clone()),
        ("pinning", record.pinning.clone()),
        ("load average (1 min)", format!("{} before, {} after", record.load.0, record.load.1)),
        ("compiler", format!("{}, profile release", record.compiler)),
        ("engine", format!("{}, one thread per run", record.engine)),
        ("servers", format!("{} worker each", plan.workers)),
        (
            "load",
            format!(
                "{}, {} connections, {} s each; open loop {} connections, {} s each",
                Wrk::version(),
                plan.connections,
                plan.seconds,
                plan.connections * 4,
                plan.seconds
            ),
        ),
        ("rounds", format!("{}, all targets in turn; up to 3 where a table says nothing else", plan.repeats)),
    ] {
        let _ = writeln!(text, "| {key} | {value} |");
    }
    text
}

/// All tables for which there are figures.
pub fn tables(record: &Record<'_>) -> String {
    let tables = [
        ratios(record),
        beside_engine(record),
        layers(record),
        breaker(record),
        closed_loop(record),
        open_loop(record),
    ];
    tables.into_iter().flatten().chain(record.chapters.iter().cloned()).collect::<Vec<_>>().join("\n")
}

/// A table with a row for each request.
fn by_case(
    record: &Record<'_>,
    title: &str,
    columns: &[&str],
    cells: impl Fn(usize) -> Vec<Option<String>>,
) -> Option<String> {
    table(
        title,
        "model × rows",
        columns,
        record.cases.iter().enumerate().map(|(index, case)| (case.name(), cells(index))),
    )
}

fn ratios(record: &Record<'_>) -> Option<String> {
    let samples = record.samples;
    let columns = [
        "JSON added, µs",
        "JSON added ÷ bare",
        "JSON ÷ bare",
        "binary added ÷ bare",
        "binary ÷ bare",
        "gRPC added ÷ bare",
        "named rows added ÷ bare",
    ];
    by_case(record, "Ratios of CPU per request", &columns, |case| {
        vec![
            shown(Summary::of(&samples.added_cpu(case, Target::HttpJson))),
            shown(samples.added_cpu_over_bare(case, Target::HttpJson)),
            shown(samples.cpu_ratio(case, Target::HttpJson, Target::Bare)),
            shown(samples.added_cpu_over_bare(case, Target::HttpBinary)),
            shown(samples.cpu_ratio(case, Target::HttpBinary, Target::Bare)),
            shown(samples.added_cpu_over_bare(case, Target::Grpc)),
            shown(samples.added_cpu_over_bare(case, Target::HttpRows)),
        ]
    })
}

/// What the server costs beside the model, for models that are dear.
fn beside_engine(record: &Record<'_>) -> Option<String> {
    let samples = record.samples;
    let columns =
        ["JSON ÷ engine", "binary ÷ engine", "gRPC ÷ engine", "JSON over the null engine, µs", "the same ÷ bare"];
    by_case(record, "Beside the engine: CPU per request", &columns, |case| {
        let ratio = |target| shown(samples.cpu_ratio(case, target, Target::Engine));
        vec![
            ratio(Target::HttpJson),
            ratio(Target::HttpBinary),
            ratio(Target::Grpc),
            shown(samples.summary(case, Target::NullServer, Quantity::CpuUs)),
            shown(samples.cpu_ratio(case, Target::NullServer, Target::Bare)),
        ]
    })
}

const TARGETS: [Target; 11] = [
    Target::Engine,
    Target::CodecJson,
    Target::CodecBinary,
    Target::NullJson,
    Target::NullBinary,
    Target::HttpJson,
    Target::HttpBinary,
    Target::HttpRows,
    Target::Grpc,
    Target::NullServer,
    Target::Bare,
];

fn layers(record: &Record<'_>) -> Option<String> {
    by_case(record, "CPU per request, µs", &TARGETS.map(Target::name), |case| {
        TARGETS.map(|target| shown(record.samples.summary(case, target, Quantity::CpuUs))).to_vec()
    })
}

fn breaker(record: &Record<'_>) -> Option<String> {
    const COLUMNS: [Target; 4] = [Target::NullNoBreaker, Target::NullJson, Target::Breaker, Target::BreakerShared];
    let names = COLUMNS.map(Target::name);
    let columns = [names.as_slice(), &["breaker in the pipeline"]].concat();
    by_case(record, "Circuit breaker, closed: CPU per request, µs", &columns, |case| {
        let samples = record.samples;
        let cost = samples.cpu_difference(case, Target::NullJson, Target::NullNoBreaker);
        let cells = COLUMNS.iter().map(|&target| shown(samples.summary(case, target, Quantity::CpuUs)));
        cells.chain([shown(cost)]).collect()
    })
}

const OVER_HTTP: [Target; 6] =
    [Target::HttpJson, Target::HttpBinary, Target::HttpRows, Target::Grpc, Target::NullServer, Target::Bare];

/// A table with a row for each request and target over HTTP.
fn over_http(
    record: &Record<'_>,
    title: &str,
    columns: &[&str],
    cells: impl Fn(usize, Target) -> Vec<Option<String>>,
) -> Option<String> {
    let rows = record.cases.iter().enumerate().flat_map(|(index, case)| {
        let cells = &cells;
        OVER_HTTP.iter().map(move |&target| (format!("{}, {}", case.name(), target.name()), cells(index, target)))
    });
    table(title, "model × rows", columns, rows)
}

fn closed_loop(record: &Record<'_>) -> Option<String> {
    over_http(record, "Closed loop", &["requests/s", "p50, µs", "p99, µs", "CPU, µs"], |case, target| {
        [Quantity::PerSecond, Quantity::P50Us, Quantity::P99Us, Quantity::CpuUs]
            .map(|quantity| shown(record.samples.summary(case, target, quantity)))
            .to_vec()
    })
}

fn open_loop(record: &Record<'_>) -> Option<String> {
    let columns = ["arrivals/s", "p50, µs", "p99, µs", "CPU, µs", "lag p99, µs", "unanswered"];
    over_http(record, "Open loop", &columns, |case, target| {
        let summary = |quantity| record.samples.summary(case, target, quantity);
        // Unanswered requests of all rounds count; a median would hide them.
        let unanswered = record.samples.series(case, target, Quantity::OpenUnanswered);
        vec![
            summary(Quantity::OpenRate).map(|rate| format!("{:.0}", rate.median)),
            shown(summary(Quantity::OpenP50Us)),
            shown(summary(Quantity::OpenP99Us)),
            shown(summary(Quantity::OpenCpuUs)),
            shown(summary(Quantity::OpenLagP99Us)),
            summary(Quantity::OpenUnanswered).map(|_| format!("{:.0}", unanswered.iter().sum::<f64>())),
        ]
    })
}
