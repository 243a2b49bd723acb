//! The worker of the tests: does what the server's own binary does when it is started as one.

use std::{os::fd::AsFd as _, process::ExitCode};

fn main() -> ExitCode {
    let socket = std::io::stdin().as_fd().try_clone_to_owned();
    match socket.and_then(candor_plugin_host::worker::serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
