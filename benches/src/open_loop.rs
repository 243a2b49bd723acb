//! The open loop: requests leave at fixed moments, whatever became of those before them.
//!
//! Latency counts from the moment at which a request was to leave. When all connections are busy it waits,
//! and that wait counts: a slow reply cannot hide the requests that it held up (no coordinated omission).
//! One thread looks at all sockets in turn and never sleeps, so that no timer's coarseness is measured;
//! how late it began to send is measured too.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    cases::{Case, Format},
    http,
    stats::percentile,
    timer::Moment,
};

/// How long after the last arrival replies are waited for.
const GRACE: Duration = Duration::from_secs(3);

/// When requests are to leave.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// Arrivals per second.
    pub rate: f64,
    /// For so long.
    pub span: Duration,
    /// Over so many connections at most.
    pub connections: u32,
    /// Whether each comes by itself, as those of many callers do, and not a fixed time after the one before.
    random: bool,
}

impl Schedule {
    /// Arrivals that are evenly spaced.
    pub fn even(rate: f64, span: Duration, connections: u32) -> Self {
        Self { rate, span, connections, random: false }
    }

    /// Arrivals of a Poisson process, the same ones each time.
    pub fn random(rate: f64, span: Duration, connections: u32) -> Self {
        Self { random: true, ..Self::even(rate, span, connections) }
    }

    /// The moments of all arrivals, in nanoseconds from the start.
    fn moments(&self) -> Vec<u64> {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "nanoseconds of some minutes are exact enough in an f64; a broken rate gives none"
        )]
        let nanos = |seconds: f64| (seconds * 1e9) as u64;
        let (mut seconds, mut drawn) = (0.0, Drawn(0x9E37_79B9_7F4A_7C15));
        let mut moments = Vec::new();
        while self.rate > 0.0 && seconds < self.span.as_secs_f64() {
            moments.push(nanos(seconds));
            // Times between arrivals of many are exponential.
            let gap = if self.random { -drawn.next().ln() } else { 1.0 };
            seconds += gap / self.rate;
        }
        moments
    }
}

/// Numbers above 0, up to 1, by chance (Marsaglia's xorshift64, Journal of Statistical Software 8(14), 2003).
pub struct Drawn(pub u64);

impl Drawn {
    /// The next one.
    #[allow(clippy::cast_precision_loss, reason = "53 bits are exact")]
    pub fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Requests that were answered.
    pub answered: f64,
    /// Requests that were not, in time, or that were refused because there were too many. They count with the time for
    /// which they were waited for; those that were refused with all the time that there was, so that it pays to answer.
    pub unanswered: f64,
    /// Answers per second, until the last one.
    pub per_second: f64,
    /// Median latency in microseconds.
    pub p50_us: f64,
    /// 99th percentile of the latency in microseconds.
    pub p99_us: f64,
    /// 99th percentile of how late a request began to be sent while a connection was free.
    pub lag_p99_us: f64,
}

/// Sends the request as the schedule says.
pub fn run(addr: SocketAddr, case: &Case, format: Format, schedule: Schedule) -> Result<Outcome> {
    let request = http::request(addr, case, format);
    let mut connections: Vec<Connection> = Vec::new();
    let moments = schedule.moments();
    let arrivals = moments.len();
    ensure!(arrivals > 0, "nothing arrives at {} per second in {:?}", schedule.rate, schedule.span);
    let (mut latencies, mut lags, mut refused) = (Vec::new(), Vec::new(), 0);
    let mut coming = moments.iter().copied().peekable();
    let began = Moment::now();
    let nanos = || u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let patience = schedule.span + GRACE;
    let (mut was_free, most) = (true, usize::try_from(schedule.connections)?);
    while latencies.len() + refused < arrivals && began.elapsed() < patience {
        let mut idle = true;
        for connection in &mut connections {
            if connection.is_free() {
                let now = nanos();
                if let Some(due) = coming.next_if(|due| *due <= now) {
                    // When none was free before, the wait was the server's doing, not ours.
                    if was_free {
                        lags.push(now - due);
                    }
                    connection.begin(due);
                }
            }
            if let Some(status) = connection.advance(&request)? {
                match status {
                    200 => latencies.push(nanos().saturating_sub(connection.due)),
                    _ => refused += 1,
                }
                idle = false;
            }
        }
        was_free = connections.iter().any(Connection::is_free);
        let is_due = coming.peek().is_some_and(|due| *due <= nanos());
        if is_due && !was_free && connections.len() < most {
            // One more, and not before: a server closes connections on which no request comes.
            connections.push(Connection::open(addr)?);
            was_free = true;
        }
        if idle {
            // Lets others run where this core is shared; returns at once where it is not.
            thread::yield_now();
        }
    }
    let answered = latencies.len();
    let now = nanos();
    let held = connections.iter().filter(|connection| !connection.is_free()).map(|connection| connection.due);
    latencies.extend(held.chain(coming).map(|due| now - due.min(now)));
    let all_the_time = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
    latencies.extend(std::iter::repeat_n(all_the_time, refused));
    Ok(outcome(answered, now, latencies, lags))
}

#[allow(clippy::cast_precision_loss, reason = "counts and nanoseconds of some seconds")]
fn outcome(answered: usize, nanos: u64, mut latencies: Vec<u64>, mut lags: Vec<u64>) -> Outcome {
    latencies.sort_unstable();
    lags.sort_unstable();
    let micros = |sorted: &[u64], q| percentile(sorted, q).unwrap_or(0) as f64 / 1e3;
    Outcome {
        answered: answered as f64,
        per_second: answered as f64 * 1e9 / nanos.max(1) as f64,
        unanswered: (latencies.len() - answered) as f64,
        p50_us: micros(&latencies, 0.50),
        p99_us: micros(&latencies, 0.99),
        lag_p99_us: micros(&lags, 0.99),
    }
}

/// A connection with at most one request on it.
struct Connection {
    stream: TcpStream,
    state: State,
    due: u64,
    received: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    /// So many bytes have been sent.
    Sending(usize),
    Waiting,
}

impl Connection {
    fn open(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, GRACE).context("cannot connect")?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, state: State::Free, due: 0, received: Vec::with_capacity(1 << 14) })
    }

    fn is_free(&self) -> bool {
        self.state == State::Free
    }

    fn begin(&mut self, due: u64) {
        (self.state, self.due) = (State::Sending(0), due);
        self.received.clear();
    }

    /// Sends or receives what it can without waiting; the status when the reply has come: 200, or that of a refusal.
    fn advance(&mut self, request: &[u8]) -> Result<Option<u16>> {
        if let State::Sending(sent) = self.state {
            let rest = request.get(sent..).unwrap_or_default();
            match self.stream.write(rest) {
                Ok(count) if count == rest.len() => self.state = State::Waiting,
                Ok(count) => self.state = State::Sending(sent + count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("cannot send"),
            }
            return Ok(None);
        }
        if self.state == State::Free {
            return Ok(None);
        }
        let mut piece = [0; 1 << 14];
        match self.stream.read(&mut piece) {
            Ok(0) => bail!("the server closed a connection under load"),
            Ok(count) => self.received.extend_from_slice(piece.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error).context("cannot receive"),
        }
        let Some(reply) = http::reply(&self.received)? else { return Ok(None) };
        ensure!(
            matches!(reply.status, 200 | 429 | 503),
            "status {}: {}",
            reply.status,
            String::from_utf8_lossy(reply.body)
        );
        self.state = State::Free;
        Ok(Some(reply.status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_evenly_spaced_or_by_chance() {
        let even = Schedule::even(4.0, Duration::from_secs(3), 1).moments();
        assert_eq!((even.len(), even[0], even[1], even[11]), (12, 0, 250_000_000, 2_750_000_000));
        let random = Schedule::random(1000.0, Duration::from_secs(10), 1).moments();
        assert!(random.is_sorted() && (9_500..10_500).contains(&random.len()), "{}", random.len());
        let gaps: Vec<u64> = random.windows(2).map(|pair| pair[1] - pair[0]).collect();
        // Of exponential gaps, a share of 1 - 1/e is below their mean.
        let short = gaps.iter().filter(|gap| **gap < 1_000_000).count();
        assert!((0.60..0.66).contains(&(short as f64 / gaps.len() as f64)), "{short}");
    }

    #[test]
    fn what_was_not_answered_counts_in_the_percentiles() {
        let outcome = outcome(2, 1_000_000_000, vec![9_000_000, 1_000, 3_000], vec![500]);
        assert!((outcome.answered - 2.0).abs() < f64::EPSILON && (outcome.unanswered - 1.0).abs() < f64::EPSILON);
        assert!((outcome.per_second - 2.0).abs() < f64::EPSILON);
        assert!((outcome.p50_us - 3.0).abs() < f64::EPSILON && (outcome.p99_us - 9000.0).abs() < f64::EPSILON);
    }
}
