//! Who asks what, and when: callers with a connection each, whose questions come by chance and are the same for every
//! policy.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;

use super::{Plan, house::Many};
use crate::{
    child::Server,
    http::{Answer, Connection},
    open_loop::Drawn,
    timer::Moment,
};

/// Callers; as many requests may be under way.
const CALLERS: u32 = 64;
/// Callers of the first round, in which every model is loaded.
const FIRST: u32 = 4;
/// Complaints that are kept of each caller.
const COMPLAINTS_MAX: usize = 3;

/// What callers heard.
#[derive(Debug, Default)]
pub struct Heard {
    /// Nanoseconds from when each request was to leave until its answer was there.
    pub nanos: Vec<u64>,
    /// Requests that had no answer, or not the one that they should have.
    pub failed: u64,
    pub complaints: Vec<String>,
}

/// Asks every model once, and gives what each answered.
pub fn first(server: &Server, many: &Many) -> Result<Vec<Vec<u8>>> {
    let (next, host) = (AtomicU32::new(0), server.addr.to_string());
    let ask = || -> Result<Vec<(u32, Vec<u8>)>> {
        let mut connection = Connection::open(server.addr)?;
        let mut answers = Vec::new();
        loop {
            let model = next.fetch_add(1, Relaxed);
            if model >= many.count() {
                return Ok(answers);
            }
            let answer = connection.send(&many.request(model, &host))?;
            let body = good(&answer).with_context(|| format!("model {model}, when it was first asked"))?;
            answers.push((model, body.to_vec()));
        }
    };
    let mut all = thread::scope(|scope| {
        let callers: Vec<_> = (0..FIRST).map(|_| scope.spawn(ask)).collect();
        let mut all = Vec::new();
        for caller in callers {
            all.extend(caller.join().map_err(|_| anyhow!("a caller panicked"))??);
        }
        Ok::<_, anyhow::Error>(all)
    })?;
    all.sort_unstable_by_key(|(model, _)| *model);
    Ok(all.into_iter().map(|(_, body)| body).collect())
}

/// Asks for as long as the plan says.
pub fn ask(server: &Server, many: &Many, wanted: &[Vec<u8>], plan: &Plan) -> Result<Heard> {
    let began = Moment::now();
    thread::scope(|scope| {
        let caller = |number| move || call(server, many, wanted, plan, (began, number));
        let callers: Vec<_> = (0..CALLERS).map(|number| scope.spawn(caller(number))).collect();
        let mut heard = Heard::default();
        for caller in callers {
            let own = caller.join().map_err(|_| anyhow!("a caller panicked"))?;
            heard.nanos.extend(own.nanos);
            heard.failed += own.failed;
            heard.complaints.extend(own.complaints);
        }
        heard.nanos.sort_unstable();
        Ok(heard)
    })
}

fn call(server: &Server, many: &Many, wanted: &[Vec<u8>], plan: &Plan, (began, number): (Moment, u32)) -> Heard {
    let (mut drawn, host) = (Drawn(0x9E37_79B9 + u64::from(number) * 7919), server.addr.to_string());
    let (mut heard, mut connection) = (Heard::default(), None);
    let mut due = Duration::ZERO;
    loop {
        // Times between arrivals of many are exponential.
        due += Duration::from_secs_f64(-drawn.next().max(f64::MIN_POSITIVE).ln() * f64::from(CALLERS) / plan.rate);
        let model = many.by_popularity(drawn.next());
        if due >= plan.length {
            return heard;
        }
        thread::sleep(due.saturating_sub(began.elapsed()));
        let asked = ask_one(server, &mut connection, &many.request(model, &host), wanted.get(model as usize));
        let nanos = began.elapsed().saturating_sub(due).as_nanos();
        heard.nanos.push(u64::try_from(nanos).unwrap_or(u64::MAX));
        if let Err(error) = asked {
            (heard.failed, connection) = (heard.failed + 1, None);
            if heard.complaints.len() < COMPLAINTS_MAX {
                heard.complaints.push(format!("model {model}: {error:#}"));
            }
        }
    }
}

fn ask_one(server: &Server, kept: &mut Option<Connection>, request: &[u8], wanted: Option<&Vec<u8>>) -> Result<()> {
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => Connection::open(server.addr)?,
    };
    let answer = connection.send(request)?;
    if !answer.closes {
        *kept = Some(connection);
    }
    let body = good(&answer)?;
    ensure!(wanted.is_some_and(|wanted| alike(wanted, body)), "another answer: {}", String::from_utf8_lossy(body));
    Ok(())
}

/// Whether two answers are the same, but for the last digits of numbers: two requests that waited for the same load may
/// have run as one batch, and ONNX Runtime gives this model's rows in a batch other last digits than alone.
fn alike(wanted: &[u8], got: &[u8]) -> bool {
    if wanted == got {
        return true;
    }
    let (Ok(wanted), Ok(got)) = (serde_json::from_slice(wanted), serde_json::from_slice(got)) else { return false };
    alike_values(&wanted, &got)
}

fn alike_values(wanted: &Value, got: &Value) -> bool {
    match (wanted, got) {
        (Value::Number(wanted), Value::Number(got)) => {
            wanted == got || {
                let (wanted, got) = (wanted.as_f64().unwrap_or(f64::NAN), got.as_f64().unwrap_or(f64::NAN));
                (wanted - got).abs() <= 1e-5
            }
        }
        (Value::Array(wanted), Value::Array(got)) => {
            wanted.len() == got.len() && wanted.iter().zip(got).all(|(wanted, got)| alike_values(wanted, got))
        }
        (Value::Object(wanted), Value::Object(got)) => {
            wanted.len() == got.len()
                && wanted.iter().all(|(name, wanted)| got.get(name).is_some_and(|got| alike_values(wanted, got)))
        }
        _ => wanted == got,
    }
}

fn good(answer: &Answer) -> Result<&[u8]> {
    ensure!(answer.status == 200, "status {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
    Ok(&answer.body)
}
