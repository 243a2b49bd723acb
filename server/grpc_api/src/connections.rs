//! Connections: a bounded number of them, taken on a thread of its own, each of which has to say something soon.
//!
//! Before it: the door, which starts this thread. After it: the `driver` of each connection, on the door's threads. The
//! HTTP/2 server behind that asks silent callers whether they are still there, but only once they have greeted; who
//! never does is cut off here.
//!
//! A thread of its own, because the door's threads also run models. Whichever of them last waited for the network
//! waits for it again only when its run is over, and the others sleep meanwhile ([`Nudge`]).

use std::{
    convert::Infallible,
    io,
    net::{TcpListener as StdListener, TcpStream as StdStream},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    thread::JoinHandle,
    time::Duration,
};

use futures_util::{Stream, StreamExt as _, stream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Handle},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{MissedTickBehavior, Sleep, interval},
};
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::{closing::closed, driver::Driver, health::News};

/// Time for a greeting.
const GREETING_MAX: Duration = Duration::from_secs(5);
/// The client's preface and the head of its first frame (RFC 9113 §3.4).
const GREETING_BYTES: usize = 24 + 9;
/// Between two tries when the system gives no connection, such as when all its files are open.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// Between two looks on behalf of those who watch health.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Longest time for which a run on one of the door's threads holds up the others.
const NUDGE_EVERY: Duration = Duration::from_millis(5);

/// Tells that everybody has gone: nothing is ever sent.
pub(crate) type Gone = mpsc::Receiver<Infallible>;

/// Who takes connections.
pub(crate) struct Doorkeeper {
    pub(crate) driver: Driver,
    /// The door's threads.
    pub(crate) threads: Handle,
    /// For those who watch health.
    pub(crate) news: Arc<News>,
}

impl Doorkeeper {
    /// Starts it; it ends when the door closes. The second of what it gives ends when all connections have.
    ///
    /// # Errors
    /// When a listener cannot be used, or the system gives no thread.
    pub(crate) fn start(self, listeners: Vec<StdListener>) -> io::Result<(JoinHandle<()>, Gone)> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let incoming = {
            let _within = runtime.enter();
            accept(listeners, self.driver.limits.connections_max)?
        };
        let (here, gone) = mpsc::channel(1);
        let work = move || runtime.block_on(self.work(incoming, here));
        Ok((std::thread::Builder::new().name("candor-grpc-in".into()).spawn(work)?, gone))
    }

    async fn work(self, incoming: impl Stream<Item = Incoming>, here: mpsc::Sender<Infallible>) {
        let Self { driver, threads, news } = self;
        let (mut incoming, mut closed) = (pin!(incoming), pin!(closed(driver.closing.clone())));
        let (mut looks, mut nudges) = (interval(LOOK_EVERY), interval(NUDGE_EVERY));
        nudges.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut nudge, mut number) = (Nudge::default(), 0);
        loop {
            tokio::select! {
                biased;
                () = &mut closed => return,
                Some(Incoming(stream, place)) = incoming.next() => {
                    number += 1;
                    let (driver, here) = (driver.clone(), here.clone());
                    // Whoever waits for `here` waits for it.
                    drop(threads.spawn(async move {
                        match Connection::new(stream, place) {
                            Ok(connection) => driver.drive(connection, number).await,
                            Err(error) => tracing::warn!("cannot take a gRPC connection: {error}"),
                        }
                        drop(here);
                    }));
                }
                // With nobody there but this one, there is nothing to hold up.
                _ = nudges.tick(), if here.strong_count() > 1 => nudge.look(&threads),
                _ = looks.tick() => news.look(),
            }
        }
    }
}

/// Wakes a thread that sleeps when another one is held by a run, so that it waits for the network in its place.
///
/// One thread of a runtime waits for the network. When that one gets work it does it, and if it has no more than that
/// it wakes none of the others: until it is done, nobody waits for the network, however many threads sleep.
#[derive(Default)]
struct Nudge {
    /// How often each thread went to sleep or woke, and what that was when it was last nudged for.
    seen: Vec<(u64, Option<u64>)>,
}

impl Nudge {
    fn look(&mut self, threads: &Handle) {
        let metrics = threads.metrics();
        let counts = (0..metrics.num_workers()).map(|worker| metrics.worker_park_unpark_count(worker));
        if self.is_due(counts) {
            // Anything that is to be done wakes one.
            drop(threads.spawn(std::future::ready(())));
        }
    }

    /// Whether one of them is awake since the last look, another one sleeps, and nobody has been woken for it yet. Odd
    /// counts are those of threads that sleep.
    fn is_due(&mut self, counts: impl Iterator<Item = u64>) -> bool {
        let (mut sleeps, mut held) = (false, Vec::new());
        for (worker, count) in counts.enumerate() {
            if self.seen.len() <= worker {
                self.seen.resize(worker + 1, (0, None));
            }
            let Some((before, nudged)) = self.seen.get_mut(worker) else { continue };
            sleeps |= count % 2 == 1;
            if count % 2 == 0 && *before == count && *nudged != Some(count) {
                held.push(worker);
            }
            *before = count;
        }
        let is_due = sleeps && !held.is_empty();
        for worker in held.into_iter().filter(|_| is_due) {
            if let Some((count, nudged)) = self.seen.get_mut(worker) {
                *nudged = Some(*count);
            }
        }
        is_due
    }
}

/// A connection that was taken, and its place.
struct Incoming(StdStream, OwnedSemaphorePermit);

/// The connections of all `listeners`, at most `max` at the same time; more wait in the system's queue.
///
/// # Errors
/// When a listener cannot be used. Must be called within a runtime.
fn accept(listeners: Vec<StdListener>, max: usize) -> io::Result<impl Stream<Item = Incoming> + Send> {
    let places = Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
    let listen = |listener: StdListener| {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    };
    let listeners = listeners.into_iter().map(listen).collect::<io::Result<Vec<_>>>()?;
    let each = listeners.into_iter().map(move |listener| {
        stream::unfold((listener, Arc::clone(&places)), |(listener, places)| async move {
            Some((next(&listener, &places).await?, (listener, places)))
        })
        .boxed()
    });
    Ok(stream::select_all(each))
}

async fn next(listener: &TcpListener, places: &Arc<Semaphore>) -> Option<Incoming> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    loop {
        // Taken out of this thread's hands: the door's threads wait for it themselves.
        match listener.accept().await.and_then(|(stream, _)| stream.into_std()) {
            Ok(stream) => return Some(Incoming(stream, place)),
            Err(error) => {
                tracing::warn!("cannot take a gRPC connection: {error}");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// A connection that holds its place.
pub(crate) struct Connection {
    stream: TcpStream,
    /// Until the client has greeted.
    greeting: Option<Pin<Box<Sleep>>>,
    read_bytes: usize,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// # Errors
    /// When the system cannot wait for it. Must be called within the runtime that will.
    fn new(stream: StdStream, place: OwnedSemaphorePermit) -> io::Result<Self> {
        let stream = TcpStream::from_std(stream)?;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("a connection cannot be set to send at once: {error}");
        }
        let greeting = Some(Box::pin(tokio::time::sleep(GREETING_MAX)));
        Ok(Self { stream, greeting, read_bytes: 0, _place: place })
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if let Poll::Ready(outcome) = Pin::new(&mut self.stream).poll_read(context, buffer) {
            if self.greeting.is_some() {
                self.read_bytes += buffer.filled().len() - before;
                if self.read_bytes >= GREETING_BYTES {
                    self.greeting = None;
                }
            }
            return Poll::Ready(outcome);
        }
        let Some(greeting) = &mut self.greeting else { return Poll::Pending };
        ready!(greeting.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client did not greet")))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::Nudge;

    #[test]
    fn one_who_sleeps_is_woken_once_for_each_who_is_held() {
        let mut nudge = Nudge::default();
        let mut look = |counts: &[u64]| nudge.is_due(counts.iter().copied());
        assert!(!look(&[1, 1, 1]), "all sleep");
        assert!(!look(&[2, 1, 1]), "one has only just begun");
        assert!(look(&[2, 1, 1]));
        assert!(!look(&[2, 3, 1]), "that one has been woken for already");
        assert!(!look(&[2, 4, 1]));
        assert!(look(&[2, 4, 1]), "another one is held");
        assert!(!look(&[2, 4, 2]));
        assert!(!look(&[2, 4, 2]), "nobody sleeps");
        assert!(look(&[2, 5, 2]), "for the third");
        assert!(!look(&[3, 5, 3]));
    }
}
