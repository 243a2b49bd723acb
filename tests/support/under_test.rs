//! The server's command line, as `server/src/main.rs` has it, for tests that need a process of their own.

use std::process::ExitCode;

fn main() -> ExitCode {
    candor::cli::main()
}
