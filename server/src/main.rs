//! The `candor` binary: hands the command line to [`candor::cli`] and its exit code to the system.

use std::process::ExitCode;

fn main() -> ExitCode {
    candor::cli::main()
}
