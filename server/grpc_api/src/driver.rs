//! Drives one connection from its greeting to its end: HTTP/2 to the gate and back, until the client goes, the door
//! closes, nobody has called for long, or the connection is old.
//!
//! tonic's own server has no limit on idle connections, and with a grace period it cuts an old connection off without
//! telling the client to go elsewhere; so this stands on hyper, as tonic's does. A connection that has to go is told so
//! (GOAWAY): it begins no more calls, and ends with the last of those that are under way.

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use candor_serving::Tally;
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http2, service::Service as HyperService};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use pin_project_lite::pin_project;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until},
};
use tonic::{
    body::Body,
    codegen::Service as _,
    transport::server::{Connected as _, TcpConnectInfo},
};

use crate::{
    GrpcLimits,
    calls::{Answer, Call, Calls, LOOKS},
    closing::closed,
    connections::Connection,
    gate::{Gate, Passage},
};

/// Largest block of metadata of a call.
const METADATA_BYTES_MAX: u32 = 16 << 10;
/// Shortest time between two looks at the answers of a connection.
const LOOK_EVERY_MIN: Duration = Duration::from_millis(1);

/// Why something was cut off, as words of metrics.
pub const CUTS: [&str; 4] = ["answer_unread", "stream_idle", "connection_idle", "connection_age"];

/// Places in [`CUTS`].
pub(crate) mod cut {
    pub(crate) const ANSWER_UNREAD: usize = 0;
    pub(crate) const STREAM_IDLE: usize = 1;
    pub(crate) const CONNECTION_IDLE: usize = 2;
    pub(crate) const CONNECTION_AGE: usize = 3;
}

/// What all connections are driven with.
#[derive(Clone)]
pub(crate) struct Driver {
    pub(crate) gate: Gate,
    pub(crate) limits: Arc<GrpcLimits>,
    pub(crate) closing: watch::Receiver<bool>,
    pub(crate) cuts: Arc<Tally>,
}

impl Driver {
    /// Drives a connection, the so-manyth of the door, to its end.
    pub(crate) async fn drive(self, connection: Connection, number: u64) {
        let Self { gate, limits, closing, cuts } = self;
        let calls = Arc::<Calls>::default();
        let caller = Caller { gate, peer: connection.connect_info(), calls: Arc::clone(&calls) };
        let mut serving = pin!(server(&limits).serve_connection(TokioIo::new(connection), caller));
        let mut closed = pin!(closed(closing));
        let grows_old = limits.connection_age_max.is_some();
        let mut old = pin!(sleep(limits.connection_age_max.map_or(Duration::ZERO, |age| spread(age, number))));
        let (mut over, mut is_old) = (pin!(sleep(Duration::ZERO)), false);
        let mut looks = interval((limits.answer_read_max / LOOKS).max(LOOK_EVERY_MIN));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut idle = Idle::new(limits.connection_idle_max);
        let mut is_leaving = false;
        loop {
            tokio::select! {
                ended = &mut serving => {
                    if let Err(error) = ended {
                        tracing::debug!("a gRPC connection failed: {error}");
                    }
                    return;
                }
                () = &mut closed, if !is_leaving => {
                    is_leaving = true;
                    serving.as_mut().graceful_shutdown();
                }
                () = &mut old, if grows_old && !is_leaving => {
                    (is_leaving, is_old) = (true, true);
                    cuts.count(cut::CONNECTION_AGE);
                    serving.as_mut().graceful_shutdown();
                    over.as_mut().reset(Instant::now() + limits.connection_age_grace);
                }
                () = &mut over, if is_old => return,
                () = idle.over(&calls), if !is_leaving => {
                    is_leaving = true;
                    cuts.count(cut::CONNECTION_IDLE);
                    serving.as_mut().graceful_shutdown();
                }
                _ = looks.tick() => {
                    (0..calls.look(limits.answer_read_max)).for_each(|_| cuts.count(cut::ANSWER_UNREAD));
                }
            }
        }
    }
}

fn server(limits: &GrpcLimits) -> http2::Builder<TokioExecutor> {
    let mut server = http2::Builder::new(TokioExecutor::new());
    server
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.calls_per_connection_max)
        .max_header_list_size(METADATA_BYTES_MAX)
        .keep_alive_interval(limits.keep_alive)
        .keep_alive_timeout(limits.keep_alive_wait);
    server
}

/// An age, up to a tenth less, so that connections that were made together do not come back together.
fn spread(age: Duration, number: u64) -> Duration {
    // Neighbours fall far apart, and any number of them evenly.
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    let tenths = u32::try_from(number.wrapping_mul(GOLDEN) >> 48).unwrap_or(0);
    age - age / 10 * tenths / (1 << 16)
}

/// Whether nobody has called for long.
struct Idle {
    max: Option<Duration>,
    /// How many calls there had been when none was under way at the last look.
    seen: Option<u64>,
    looked: Instant,
}

impl Idle {
    fn new(max: Option<Duration>) -> Self {
        Self { max, seen: Some(0), looked: Instant::now() }
    }

    /// Waits until nobody has called for that long. Kept to within twice the time: a call that comes costs nothing
    /// here.
    async fn over(&mut self, calls: &Calls) {
        let Some(max) = self.max else { return std::future::pending().await };
        loop {
            sleep_until(self.looked + max).await;
            let seen = calls.is_empty().then(|| calls.begun());
            if seen.is_some() && seen == self.seen {
                return;
            }
            (self.seen, self.looked) = (seen, Instant::now());
        }
    }
}

/// The gate, for the calls of one connection.
struct Caller {
    gate: Gate,
    peer: TcpConnectInfo,
    calls: Arc<Calls>,
}

impl HyperService<Request<Incoming>> for Caller {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Asked;

    fn call(&self, mut request: Request<Incoming>) -> Asked {
        let call = self.calls.begin();
        request.extensions_mut().insert(self.peer.clone());
        Asked { passage: self.gate.clone().call(request.map(Body::new)), call: Some(call) }
    }
}

pin_project! {
    /// A call that is not answered yet.
    struct Asked {
        #[pin]
        passage: Passage,
        call: Option<Call>,
    }
}

impl Future for Asked {
    type Output = Result<Response<Answer>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(response) = ready!(this.passage.poll(context));
        match this.call.take() {
            Some(call) => Poll::Ready(Ok(response.map(|body| call.answer(body)))),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_lie_apart_and_are_nine_tenths_at_least() {
        let age = Duration::from_secs(1000);
        let mut ages: Vec<_> = (0..100).map(|number| spread(age, number)).collect();
        ages.sort_unstable();
        assert!(ages[0] >= Duration::from_secs(900) && ages[99] <= age, "{ages:?}");
        let widest = ages.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(widest < Duration::from_secs(3), "a hundredth of the range would be 1 s: {widest:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_when_no_call_is_under_way_and_none_came() {
        let calls = Arc::<Calls>::default();
        let second = Duration::from_secs(1);
        let began = Instant::now();
        let mut idle = Idle::new(Some(10 * second));
        let call = calls.begin();
        let working = async {
            sleep(25 * second).await;
            drop(call);
        };
        let ((), ()) = tokio::join!(idle.over(&calls), working);
        let passed = began.elapsed();
        assert!(passed >= 35 * second && passed <= 45 * second, "{passed:?}");
        let mut never = Idle::new(None);
        assert!(tokio::time::timeout(1000 * second, never.over(&calls)).await.is_err());
    }
}
