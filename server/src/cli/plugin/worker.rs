//! The process that a plugin runs in. The server starts it, hands it a socket as standard input, and ends it.

use std::{os::fd::AsFd as _, process::ExitCode};

use crate::cli::problem::{Done, FAILED};

pub(in crate::cli) fn run() -> Done {
    let socket = std::io::stdin().as_fd().try_clone_to_owned();
    // Nobody reads what it would say: the server hears of it by the socket and by the process that is gone.
    let served = socket.and_then(candor_plugin_host::worker::serve);
    Ok(served.map_or(ExitCode::from(FAILED), |()| ExitCode::SUCCESS))
}
