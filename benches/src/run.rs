//! The order of measuring: rounds over all requests and targets, so that noise hits all alike.
//!
//! Within a round the targets of one request come right after one another, and each round begins with
//! another of them. Before the first round the servers' answers are compared with the engine's.

use std::{cell::OnceCell, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{
    args::{Part, Plan},
    bodies, breaker,
    cases::{Case, Format},
    child::Server,
    closed_loop::{Load, Wrk},
    engine::Loaded,
    grpc_loop, http,
    open_loop::{self, Schedule},
    pipeline::Pipeline,
    samples::{Quantity, Samples, Target},
    servers::Stage,
    stats::{figure, round_down},
    usage::{Cost, process_cpu_seconds},
};

/// What one measurement gives.
type Numbers = Vec<(Quantity, f64)>;

/// What is done with a request, given its place among all requests.
type Work<'a> = Box<dyn Fn(usize, &Case) -> Result<Numbers> + 'a>;

/// One target and what is done with a request on it.
struct Step<'a> {
    target: Target,
    how: &'static str,
    work: Work<'a>,
}

/// What is measured here: requests, their models in this process, and repositories of real and of null models.
pub struct Subject<'a> {
    pub plan: &'a Plan,
    pub stage: &'a Stage<'a>,
    pub cases: &'a [Case],
    pub loaded: &'a [Loaded],
    pub repository: &'a Path,
    pub nulls: &'a Path,
}

/// Measures the layers that the plan wants.
pub fn run(subject: &Subject<'_>) -> Result<Samples> {
    let Subject { plan, cases, loaded, nulls, .. } = *subject;
    let models: Vec<&str> = plan.models.iter().map(String::as_str).collect();
    let pipeline = Pipeline::start(&models, nulls, true)?;
    let without_breaker = Pipeline::start(&models, nulls, false)?;
    let servers = plan.wants(Part::Http).then(|| Servers::start(subject)).transpose()?;
    if let Some(servers) = &servers {
        servers.check(cases, loaded, &pipeline)?;
        servers.warm_up(cases)?;
    }
    let in_process = Duration::from_millis(200 * u64::from(plan.seconds));
    let mut steps = Vec::new();
    if plan.wants(Part::Engine) || plan.wants(Part::Http) {
        // Over HTTP alone the engine is measured too: it is what is subtracted.
        steps.push(engine_step(loaded, in_process));
    }
    if plan.wants(Part::Pipeline) {
        steps.extend(pipeline_steps(&pipeline, loaded, in_process));
        steps.extend(breaker_steps(&without_breaker, in_process));
    }
    if let Some(servers) = &servers {
        steps.extend(servers.steps());
    }
    rounds(plan, cases, &steps)
}

fn rounds(plan: &Plan, cases: &[Case], steps: &[Step<'_>]) -> Result<Samples> {
    let mut samples = Samples::default();
    for round in 0..usize::try_from(plan.repeats)? {
        println!("\nround {} of {}", round + 1, plan.repeats);
        for (index, case) in cases.iter().enumerate() {
            // A step that always came after the same other would always inherit its caches and its heat.
            let turn = round % steps.len().max(1);
            for step in steps.iter().cycle().skip(turn).take(steps.len()) {
                let numbers = (step.work)(index, case)
                    .with_context(|| format!("{}, {}{}", case.name(), step.target.name(), step.how))?;
                if numbers.is_empty() {
                    continue;
                }
                println!("  {:<18} {:<32}{:<8} {}", case.name(), step.target.name(), step.how, line(&numbers));
                for (quantity, value) in numbers {
                    samples.push(index, step.target, quantity, value);
                }
            }
        }
    }
    Ok(samples)
}

fn line(numbers: &Numbers) -> String {
    let words = numbers.iter().filter_map(|&(quantity, value)| {
        Some(match quantity {
            Quantity::CpuUs | Quantity::OpenCpuUs => format!("CPU {} µs", figure(value)),
            Quantity::WallUs => format!("wall {} µs", figure(value)),
            Quantity::PerSecond | Quantity::OpenRate => format!("{value:.0}/s"),
            Quantity::P50Us | Quantity::OpenP50Us => format!("p50 {} µs", figure(value)),
            Quantity::P99Us | Quantity::OpenP99Us => format!("p99 {} µs", figure(value)),
            Quantity::OpenLagP99Us => format!("lag p99 {} µs", figure(value)),
            Quantity::OpenUnanswered if value > 0.0 => format!("{value:.0} UNANSWERED"),
            Quantity::OpenUnanswered => return None,
        })
    });
    words.collect::<Vec<_>>().join("  ")
}

fn of_cost(cost: Cost) -> Numbers {
    vec![(Quantity::CpuUs, cost.cpu_us), (Quantity::WallUs, cost.wall_us)]
}

fn engine_step(loaded: &[Loaded], span: Duration) -> Step<'_> {
    let work = move |index: usize, _: &Case| {
        let loaded = loaded.get(index).context("the case was not loaded")?;
        Ok(of_cost(loaded.measure(span)?))
    };
    Step { target: Target::Engine, how: "", work: Box::new(work) }
}

fn pipeline_steps<'a>(pipeline: &'a Pipeline, loaded: &'a [Loaded], span: Duration) -> Vec<Step<'a>> {
    let mut steps = Vec::new();
    for (target, format) in [(Target::CodecJson, Format::Json), (Target::CodecBinary, Format::Binary)] {
        let work = move |index: usize, case: &Case| {
            let outputs = loaded.get(index).context("the case was not loaded")?.outputs()?;
            Ok(of_cost(pipeline.measure_codec(case, format, &outputs, span)?))
        };
        steps.push(Step { target, how: "", work: Box::new(work) });
    }
    for (target, format) in [(Target::NullJson, Format::Json), (Target::NullBinary, Format::Binary)] {
        let work = move |_: usize, case: &Case| Ok(of_cost(pipeline.measure_null(case, format, span)?));
        steps.push(Step { target, how: "", work: Box::new(work) });
    }
    steps
}

/// What the breaker costs: the pipeline without one, and the breaker alone.
fn breaker_steps(without: &Pipeline, span: Duration) -> Vec<Step<'_>> {
    let null = move |_: usize, case: &Case| Ok(of_cost(without.measure_null(case, Format::Json, span)?));
    // It knows nothing of requests: with one of them is enough.
    let alone = |callers| {
        move |index: usize, _: &Case| {
            let cost = (index == 0).then(|| breaker::measure_closed(callers, span)).transpose()?;
            Ok(cost.map(of_cost).unwrap_or_default())
        }
    };
    vec![
        Step { target: Target::NullNoBreaker, how: "", work: Box::new(null) },
        Step { target: Target::Breaker, how: "", work: Box::new(alone(1)) },
        Step { target: Target::BreakerShared, how: "", work: Box::new(alone(2)) },
    ]
}

/// What runs in other processes, and the load on it.
struct Servers<'a> {
    plan: &'a Plan,
    candor: Server,
    /// Over the null engine; the second sends every request to the pool, as the real one does with dear models.
    nulls: [Server; 2],
    bare: Server,
    wrk: Wrk,
    /// Arrivals per second of the open loop, by request.
    rates: OnceCell<Vec<f64>>,
}

const CLOSED: [(Target, Format); 6] = [
    (Target::HttpJson, Format::Json),
    (Target::Bare, Format::Json),
    (Target::HttpBinary, Format::Binary),
    (Target::HttpRows, Format::Rows),
    (Target::Grpc, Format::Grpc),
    (Target::NullServer, Format::Json),
];

const OPEN: [(Target, Format); 2] = [(Target::HttpJson, Format::Json), (Target::Bare, Format::Json)];

impl<'a> Servers<'a> {
    fn start(subject: &Subject<'a>) -> Result<Self> {
        let Subject { plan, stage, .. } = *subject;
        let nulls = [stage.null(subject.nulls, &[])?, stage.null(subject.nulls, &["execution.inline_run_us_max=0"])?];
        let candor = stage.candor(subject.repository, &[])?;
        Ok(Self { plan, candor, nulls, bare: stage.bare()?, wrk: Wrk::new()?, rates: OnceCell::new() })
    }

    fn server(&self, target: Target, case: &Case) -> &Server {
        let [inline, pooled] = &self.nulls;
        if target == Target::Bare {
            &self.bare
        } else if target == Target::NullServer {
            if case.is_large() { pooled } else { inline }
        } else {
            &self.candor
        }
    }

    /// The server must answer as the engine does, in all formats.
    fn check(&self, cases: &[Case], loaded: &[Loaded], pipeline: &Pipeline) -> Result<()> {
        for (case, loaded) in cases.iter().zip(loaded) {
            for format in [Format::Json, Format::Binary] {
                let got = http::ask(self.candor.addr, case, format).with_context(|| case.name())?;
                let want = pipeline.reply(case, format, loaded.outputs()?)?;
                let same = match want.json_bytes {
                    None => outputs(&got)? == outputs(&want.bytes)?,
                    // The JSON parts name different versions; the tensors stand behind them.
                    Some(json_bytes) => want.bytes.get(json_bytes..).is_some_and(|tensors| got.ends_with(tensors)),
                };
                ensure!(same, "{} over {format:?}: the server does not answer as the engine does", case.name());
            }
            self.check_others(case)?;
        }
        Ok(())
    }

    /// gRPC and named features must give what JSON and bytes give; the others must answer.
    fn check_others(&self, case: &Case) -> Result<()> {
        if case.has(Format::Rows) {
            let by_name = http::ask(self.candor.addr, case, Format::Rows).with_context(|| case.name())?;
            let tensors = http::ask(self.candor.addr, case, Format::Json)?;
            let same = probabilities_by_row(&by_name)? == probabilities(&tensors)?;
            ensure!(same, "{}: named features do not give what tensors give", case.name());
        }
        let bytes = http::ask(self.candor.addr, case, Format::Binary)?;
        let message = grpc_loop::ask(self.grpc()?, case).with_context(|| case.name())?;
        let same = bytes.ends_with(&bodies::grpc_outputs(&message)?);
        ensure!(same, "{}: gRPC does not give the bytes that HTTP gives", case.name());
        for target in [Target::Bare, Target::NullServer] {
            let server = self.server(target, case);
            http::ask(server.addr, case, Format::Json)
                .with_context(|| format!("{}, {}", case.name(), target.name()))?;
        }
        Ok(())
    }

    fn grpc(&self) -> Result<std::net::SocketAddr> {
        self.candor.grpc.context("the server does not listen for gRPC")
    }

    /// Loads what answers from JSON once, unmeasured, and fixes the rates of the open loop.
    fn warm_up(&self, cases: &[Case]) -> Result<()> {
        println!("warming up");
        let mut rates = Vec::new();
        for case in cases {
            let load = Load::of(case, Format::Json, self.plan.connections, 1);
            self.wrk.run(self.server(Target::Bare, case).addr, load)?;
            let outcome = self.wrk.run(self.server(Target::HttpJson, case).addr, load)?;
            let half = round_down(outcome.per_second / 2.0).max(1.0);
            rates.push(self.plan.rate.map_or(half, f64::from));
        }
        ensure!(self.rates.set(rates).is_ok(), "warmed up twice");
        Ok(())
    }

    fn steps(&self) -> Vec<Step<'_>> {
        let closed = CLOSED.map(|(target, format)| Step {
            target,
            how: ", closed",
            work: Box::new(move |_, case| self.closed(target, format, case)),
        });
        let open = OPEN.map(|(target, format)| Step {
            target,
            how: ", open",
            work: Box::new(move |index, case| self.open(target, format, index, case)),
        });
        closed.into_iter().chain(open).collect()
    }

    fn closed(&self, target: Target, format: Format, case: &Case) -> Result<Numbers> {
        if !case.has(format) {
            return Ok(Numbers::new());
        }
        let server = self.server(target, case);
        let before = process_cpu_seconds(server.pid)?;
        let outcome = if format == Format::Grpc {
            let span = Duration::from_secs(u64::from(self.plan.seconds));
            grpc_loop::run(self.grpc()?, case, self.plan.connections, span)?
        } else {
            self.wrk.run(server.addr, Load::of(case, format, self.plan.connections, self.plan.seconds))?
        };
        let cpu = process_cpu_seconds(server.pid)? - before;
        Ok(vec![
            (Quantity::CpuUs, cpu * 1e6 / outcome.requests),
            (Quantity::PerSecond, outcome.per_second),
            (Quantity::P50Us, outcome.p50_us),
            (Quantity::P99Us, outcome.p99_us),
        ])
    }

    fn open(&self, target: Target, format: Format, index: usize, case: &Case) -> Result<Numbers> {
        let rate = self.rates.get().and_then(|rates| rates.get(index)).copied().context("not warmed up")?;
        let span = Duration::from_secs(u64::from(self.plan.seconds));
        let schedule = Schedule::even(rate, span, self.plan.connections * 4);
        let server = self.server(target, case);
        let before = process_cpu_seconds(server.pid)?;
        let outcome = open_loop::run(server.addr, case, format, schedule)?;
        let cpu = process_cpu_seconds(server.pid)? - before;
        Ok(vec![
            (Quantity::OpenCpuUs, cpu * 1e6 / outcome.answered.max(1.0)),
            (Quantity::OpenRate, rate),
            (Quantity::OpenP50Us, outcome.p50_us),
            (Quantity::OpenP99Us, outcome.p99_us),
            (Quantity::OpenLagP99Us, outcome.lag_p99_us),
            (Quantity::OpenUnanswered, outcome.unanswered),
        ])
    }
}

/// The probabilities in a reply to named features, in the order of rows and classes.
fn probabilities_by_row(reply: &[u8]) -> Result<Vec<Value>> {
    let reply: Value = serde_json::from_slice(reply).context("the reply is not JSON")?;
    let rows = reply.get("predictions").and_then(Value::as_array).context("the reply has no predictions")?;
    let classes = rows.iter().filter_map(|row| row.get("probabilities")?.as_object());
    Ok(classes.flat_map(|classes| classes.values().cloned()).collect())
}

/// The probabilities in a reply of tensors.
fn probabilities(reply: &[u8]) -> Result<Vec<Value>> {
    let outputs = outputs(reply)?;
    let mut all = outputs.as_array().into_iter().flatten();
    let own = all.find(|output| output.get("name").is_some_and(|name| name == "probabilities"));
    let data = own.and_then(|output| output.get("data")).and_then(Value::as_array);
    data.cloned().context("the reply has no probabilities")
}

/// The outputs of a reply in JSON.
fn outputs(reply: &[u8]) -> Result<Value> {
    let mut reply: Value = serde_json::from_slice(reply).context("the reply is not JSON")?;
    reply.get_mut("outputs").map(Value::take).context("the reply has no outputs")
}
