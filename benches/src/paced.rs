//! Callers who think: each sends a request, waits for the answer, and pauses for a time drawn by chance; who is refused
//! comes again when the server said so.
//!
//! They block instead of spinning, so that they leave the processor to the servers, and are measured from the moment
//! of sending. They stand for other machines, so they do not wait for the turns of whatever computes on this one. For what one model notices of another, where `open_loop` would take a core of its own.

use std::{net::SocketAddr, thread, time::Duration};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::{
    cases::{Case, Format},
    http::Connection,
    open_loop::Drawn,
    stats::percentile,
    timer::Moment,
};

/// Who calls, how often, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub callers: u32,
    /// Mean pause of a caller; none is a closed loop.
    pub pause: Duration,
    pub span: Duration,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Answers that were refusals of an overloaded server.
    pub refused: f64,
    /// Requests per second that were answered, and not refused.
    pub per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
}

/// Turns of a caller on the processor, in nanoseconds: the shortest that there are.
const TURN: u64 = 100_000;

/// Where pauses begin that are drawn by chance.
const SEED: u64 = 0x2545_F491_4F6C_DD1D;

/// Calls as the pace says. Whatever is neither 200 nor a refusal (429, 503) is an error.
pub fn run(addr: SocketAddr, case: &Case, format: Format, pace: Pace) -> Result<Outcome> {
    let began = Moment::now();
    let callers: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> =
            (0..pace.callers).map(|at| scope.spawn(move || caller(addr, case, format, pace, at, began))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a caller panicked"))?)
            .collect::<Result<_>>()
    })?;
    let seconds = began.elapsed().as_secs_f64();
    let refused = callers.iter().map(|(_, refused)| *refused).sum();
    outcome(callers.into_iter().flat_map(|(nanos, _)| nanos).collect(), refused, seconds)
}

/// The same of one caller whose calls are no requests.
pub fn calls(pause: Duration, span: Duration, call: impl Fn() -> Result<()>) -> Result<Outcome> {
    let (began, mut drawn, mut nanos) = (Moment::now(), Drawn(SEED), Vec::new());
    while began.elapsed() < span {
        thread::sleep(pause.mul_f64(-drawn.next().ln()));
        let sent = Moment::now();
        call()?;
        nanos.push(u64::try_from(sent.elapsed().as_nanos())?);
    }
    outcome(nanos, 0.0, began.elapsed().as_secs_f64())
}

fn outcome(mut nanos: Vec<u64>, refused: f64, seconds: f64) -> Result<Outcome> {
    nanos.sort_unstable();
    #[allow(clippy::cast_precision_loss, reason = "counts and nanoseconds of some seconds")]
    let micros = |q| Some(percentile(&nanos, q)? as f64 / 1e3);
    let (p50_us, p99_us) = micros(0.50).zip(micros(0.99)).context("nothing was answered")?;
    #[allow(clippy::cast_precision_loss, reason = "a count of some seconds")]
    let per_second = nanos.len() as f64 / seconds;
    Ok(Outcome { refused, per_second, p50_us, p99_us })
}

fn caller(
    addr: SocketAddr,
    case: &Case,
    format: Format,
    pace: Pace,
    at: u32,
    began: Moment,
) -> Result<(Vec<u64>, f64)> {
    // Where that cannot be had, callers notice more of the neighbours than the server does.
    let _ = candor_engine_ort::take_turns(0, TURN);
    let mut drawn = Drawn(SEED ^ (u64::from(at) + 1));
    let mut connection = Connection::open(addr)?;
    let (mut nanos, mut refused) = (Vec::new(), 0.0);
    while began.elapsed() < pace.span {
        thread::sleep(pace.pause.mul_f64(-drawn.next().ln()));
        let sent = Moment::now();
        let reply = connection.post(case, format)?;
        match reply.status {
            200 => nanos.push(u64::try_from(sent.elapsed().as_nanos())?),
            429 | 503 => {
                refused += 1.0;
                thread::sleep(reply.retry_after.map_or(pace.pause, Duration::from_secs));
            }
            status => ensure!(false, "status {status}: {}", String::from_utf8_lossy(&reply.body)),
        }
        if reply.closes {
            connection = Connection::open(addr)?;
        }
    }
    Ok((nanos, refused))
}
