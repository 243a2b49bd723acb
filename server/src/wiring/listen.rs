//! Binds the HTTP listener, with its workers and its limits on connections; says why an address cannot be had.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use actix_web::{App, HttpServer, dev::Server};
use candor_domain::{Error, ErrorCode, Result};
use candor_http_api::{Api, Gate};

use crate::{config::Settings, priority};

/// Open connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// The clock that actix times a request's head by moves in steps of this length: a deadline counted from it
/// may come so much too early.
const CLOCK_STEP: Duration = Duration::from_millis(500);

/// A server on the addresses of the settings, and where it listens.
pub(super) fn listen(settings: &Settings, api: &Arc<Api>) -> Result<(Server, Vec<SocketAddr>)> {
    let shared = Arc::clone(api);
    let app = move || {
        // Each worker makes its own.
        priority::serve();
        let api = Arc::clone(&shared);
        App::new().wrap(Gate::new(&api)).configure(move |config| candor_http_api::configure(&api, config))
    };
    let server = HttpServer::new(app)
        .workers(settings.threads.http)
        .max_connections(settings.connections_max.div_ceil(settings.threads.http))
        .backlog(BACKLOG)
        .on_connect(candor_http_api::connected)
        .keep_alive(settings.keep_alive)
        .client_request_timeout(settings.header_read_max + CLOCK_STEP)
        // A client that closes its side has gone; work for it is dropped.
        .h1_allow_half_closed(false)
        .shutdown_timeout(settings.grace.as_secs().max(1))
        .disable_signals();
    let addrs = settings.http_addrs.as_slice();
    let server = server.bind(addrs).map_err(|error| cannot_bind(addrs, &error, "--http-addr"))?;
    let bound = server.addrs();
    Ok((server.run(), bound))
}

/// Why an address cannot be listened on, and what to do: `other` is how one chooses another.
pub(crate) fn cannot_bind(addrs: &[SocketAddr], error: &io::Error, other: &str) -> Error {
    let shown = addrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let problem = Error::new(ErrorCode::Internal, format!("cannot listen on {shown}: {error}"));
    let hint = [
        (io::ErrorKind::AddrInUse, "another process listens there; stop it or choose another"),
        (io::ErrorKind::PermissionDenied, "ports below 1024 need privileges; choose another"),
    ]
    .into_iter()
    .find(|(kind, _)| *kind == error.kind());
    hint.map_or(problem.clone(), |(_, hint)| problem.hint(format!("{hint} {other}")))
}
