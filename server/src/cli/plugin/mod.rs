//! `candor plugin`: begins a plugin, checks it, pins it, lists what is there, measures it.
//!
//! | module | what it does |
//! |---|---|
//! | `new` | a folder to begin with |
//! | `bench` | what a call costs |
//! | `check` | whether it keeps the contract |
//! | `pin` | the entry of `plugins.allow` for a plugin |
//! | `list`, `info` | the plugins of a folder or of a server; everything about one |
//! | `worker` | the process that a plugin runs in |

mod bench;
mod check;
mod info;
mod list;
mod new;
mod pin;
mod worker;

use clap::Subcommand;

use super::problem::Done;
pub(super) use check::ChildArgs as CheckChildArgs;
pub(in crate::cli) use list::host;
pub(super) use worker::run as run_worker;

#[derive(Subcommand)]
pub(super) enum PluginCommand {
    /// Begin a plugin: a folder that compiles and passes `check`.
    #[command(after_help = new::EXAMPLES)]
    New(new::NewArgs),
    /// Check whether a plugin keeps the contract: memory, claims, configurations, its kind.
    #[command(after_help = check::EXAMPLES)]
    Check(check::CheckArgs),
    /// Print the entry that allows a plugin.
    #[command(after_help = pin::EXAMPLES)]
    Pin(pin::PinArgs),
    /// Measure what a call costs, in this process and in one of its own.
    #[command(after_help = bench::EXAMPLES)]
    Bench(bench::BenchArgs),
    /// List plugins: those of a folder, or of a running server.
    #[command(after_help = list::EXAMPLES)]
    List(list::ListArgs),
    /// Say everything about one plugin.
    #[command(after_help = info::EXAMPLES)]
    Info(info::InfoArgs),
}

pub(super) fn run(command: &PluginCommand) -> Done {
    match command {
        PluginCommand::New(args) => new::run(args),
        PluginCommand::Check(args) => check::run(args),
        PluginCommand::Pin(args) => pin::run(args),
        PluginCommand::Bench(args) => bench::run(args),
        PluginCommand::List(args) => list::run(args),
        PluginCommand::Info(args) => info::run(args),
    }
}

pub(super) fn run_check_child(args: &CheckChildArgs) -> Done {
    check::run_child(args)
}
