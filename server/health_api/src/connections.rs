//! A bounded number of connections, each of which asks once, is answered and is closed.
//!
//! When there are too many the oldest has to go: whoever opens connections and says nothing only drives itself out,
//! while a probe is answered in less time than it takes to open so many.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use candor_serving::Readiness;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};

use crate::{HealthLimits, answer::answer};

/// Largest head of a request; the smallest that the HTTP library takes.
const HEAD_BYTES_MAX: usize = 8 << 10;
/// Most headers of a request.
const HEADERS_MAX: usize = 64;
/// Between two tries when the system gives no connection, such as when all its files are open.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Answers until it is dropped.
pub(crate) async fn serve(listener: &TcpListener, readiness: &Arc<Readiness>, limits: &HealthLimits) {
    let (mut exchanges, mut oldest) = (JoinSet::new(), VecDeque::<AbortHandle>::new());
    loop {
        tokio::select! {
            Some(_) = exchanges.join_next(), if !exchanges.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    oldest.retain(|exchange| !exchange.is_finished());
                    if oldest.len() >= limits.connections_max
                        && let Some(exchange) = oldest.pop_front()
                    {
                        exchange.abort();
                    }
                    oldest.push_back(exchanges.spawn(exchange(stream, Arc::clone(readiness), limits.exchange_max)));
                }
                Err(error) => {
                    tracing::warn!("cannot take a connection to the health listener: {error}");
                    sleep(ACCEPT_RETRY).await;
                }
            },
        }
    }
}

/// One request and its answer; a body that comes along is not read.
async fn exchange(stream: TcpStream, readiness: Arc<Readiness>, exchange_max: Duration) {
    let service = service_fn(move |request| {
        let readiness = Arc::clone(&readiness);
        async move { Ok::<_, Infallible>(answer(&request, &readiness).await) }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(exchange_max)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(exchange_max, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("a connection to the health listener failed: {error}"),
        Err(_) => tracing::debug!("a connection to the health listener was cut off (health.exchange_ms_max)"),
    }
}
