//! Connections: a bounded number of them, each of which has to say something soon.
//!
//! The HTTP/2 server behind this asks silent callers whether they are still there, but only once they have greeted;
//! who never does is cut off here.

use std::{
    io,
    net::TcpListener as StdListener,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::{Stream, StreamExt as _, stream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Sleep,
};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// Time for a greeting.
const GREETING_MAX: Duration = Duration::from_secs(5);
/// The client's preface and the head of its first frame (RFC 9113 §3.4).
const GREETING_BYTES: usize = 24 + 9;
/// Between two tries when the system gives no connection, such as when all its files are open.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// The connections of all `listeners`, at most `max` at the same time; more wait in the system's queue.
///
/// # Errors
/// When a listener cannot be used. Must be called within a runtime.
pub(crate) fn accept(
    listeners: Vec<StdListener>,
    max: usize,
) -> io::Result<impl Stream<Item = io::Result<Connection>> + Send> {
    let places = Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
    let listen = |listener: StdListener| {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    };
    let listeners = listeners.into_iter().map(listen).collect::<io::Result<Vec<_>>>()?;
    let each = listeners.into_iter().map(move |listener| {
        stream::unfold((listener, Arc::clone(&places)), |(listener, places)| async move {
            let connection = next(&listener, &places).await?;
            Some((Ok(connection), (listener, places)))
        })
        .boxed()
    });
    Ok(stream::select_all(each))
}

async fn next(listener: &TcpListener, places: &Arc<Semaphore>) -> Option<Connection> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!("a connection cannot be set to send at once: {error}");
                }
                let greeting = Some(Box::pin(tokio::time::sleep(GREETING_MAX)));
                return Some(Connection { stream, greeting, read_bytes: 0, _place: place });
            }
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
