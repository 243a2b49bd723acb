//! Subcommands of the binary; docs/CLI.md is their page.
//!
//! Reads arguments, calls one thing, prints for people. Exit codes: 0 well, 1 failed, 2 wrong arguments or
//! configuration.
//!
//! | module | what it does |
//! |---|---|
//! | `serve` | starts, says what it serves, stops in order |
//! | `model` | lists, shows and checks models, on disk or on a server |
//! | `infer` | sends rows to a server and prints what it predicts |
//! | `explain` | asks a server why it predicts what it predicts |
//! | `probe` | what a model takes, measured in a process of its own |
//! | `plugin` | begins, checks, pins, lists and measures plugins |
//! | `bench` | what a choice would cost |
//! | `doctor` | what would keep `serve` from starting or from serving well |
//! | `configuration`, `openapi` | the configuration; the API document |
//! | `args`, `client` | arguments that several share; the HTTP client |
//! | `screen`, `problem`, `report` | styles and tables; errors; marked lists |

mod args;
mod bench;
mod client;
mod configuration;
mod doctor;
mod explain;
mod infer;
mod model;
mod openapi;
mod plugin;
mod probe;
mod problem;
mod report;
mod screen;
mod serve;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use clap_complete::Shell;

use args::{Color, ConfigArgs};
use configuration::{ConfigCommand, Page};
use problem::Done;

/// A model server that accounts for every prediction.
#[derive(Parser)]
#[command(
    name = "candor",
    bin_name = "candor",
    version,
    max_term_width = 100,
    after_help = "Start here:
  candor serve                 serve ./models on 127.0.0.1:8080
  candor infer iris sepal_length=5.1 sepal_width=3.5 petal_length=1.4 petal_width=0.2
  candor model check DIR       is this model right? signature, manifest, golden pairs
  candor doctor                what would keep `serve` from starting
  candor config show           what is in force, and who set it

Every command has a --help of its own with examples; docs/CLI.md tells the whole.

Exit codes: 0 well; 1 it failed; 2 wrong arguments or configuration."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Colour the output; auto: on a terminal, unless NO_COLOR is set.
    #[arg(long, value_enum, global = true, value_name = "WHEN", default_value_t, hide_possible_values = true)]
    color: Color,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the models of a folder.
    #[command(after_help = "Layout of the folder:
  <model>/model.onnx             one version, called 1
  <model>/<version>/model.onnx   versions 1, 2, … or 1.4.0
  <model>/model.toml             optional: title, labels, which versions
  <model>/<version>/golden.json  optional: inputs and the outputs they must give
  <model>/config.pbtxt, MLmodel  optional: Triton's and MLflow's own files (docs/REPOSITORIES.md)

Examples:
  candor serve
  candor serve DIR --http-addr 127.0.0.1:9000 --poll-s 5
  candor serve DIR --http-addr 0.0.0.0:8080 --tokens-file tokens.toml

Every flag is also an environment variable and a key of the configuration file:
docs/CONFIG.md lists them.
SIGTERM: not ready, drain, stop. Another signal, a second later or more, ends at once.")]
    Serve(ConfigArgs),
    /// List, show or check models.
    Model {
        #[command(subcommand)]
        command: model::ModelCommand,
    },
    /// Send rows to a running server and print what it predicts.
    #[command(after_help = infer::EXAMPLES)]
    Infer(infer::InferArgs),
    /// Ask a running server why it predicts what it predicts.
    #[command(after_help = explain::EXAMPLES)]
    Explain(explain::ExplainArgs),
    /// Measure what models take: memory, load time, the cost of a row.
    #[command(after_help = probe::EXAMPLES)]
    Probe(probe::ProbeArgs),
    /// The process that `probe` measures.
    #[command(hide = true)]
    ProbeChild(probe::ChildArgs),
    /// Begin, check, pin or list plugins.
    Plugin {
        #[command(subcommand)]
        command: plugin::PluginCommand,
    },
    /// The process that a plugin runs in.
    #[command(hide = true)]
    PluginWorker,
    /// The process of one check of a plugin.
    #[command(hide = true)]
    PluginCheckChild(plugin::CheckChildArgs),
    /// Try out what a choice would cost; measure what a start takes.
    Bench {
        #[command(subcommand)]
        command: bench::BenchCommand,
    },
    /// Look at everything that `serve` needs, and say what would go wrong.
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(doctor::DoctorArgs),
    /// Show or check the configuration without serving.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print the API document (OpenAPI).
    #[command(after_help = "Examples:
  candor openapi > openapi.json
  npx openapi-typescript openapi.json -o candor.d.ts")]
    Openapi(openapi::OpenapiArgs),
    /// Print a script that completes this command line in a shell.
    #[command(after_help = "Examples:
  candor completions bash > ~/.local/share/bash-completion/completions/candor
  candor completions zsh > \"${fpath[1]}/_candor\"
  candor completions fish > ~/.config/fish/completions/candor.fish
  candor completions powershell >> $PROFILE")]
    Completions {
        /// Which shell.
        shell: Shell,
    },
    /// Print a page of the documentation that is made from the code.
    #[command(hide = true)]
    Reference {
        /// Which page.
        page: Page,
    },
}

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    candor_serving::engines::keep_panics_off_the_terminal();
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let color = Color::of_arguments(words).apply();
    let matches = Cli::command().color(color).try_get_matches();
    let cli = matches.and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = cli.unwrap_or_else(|error| args::with_tip(error).exit());
    run(&cli.command).unwrap_or_else(|failure| failure.report())
}

fn run(command: &Command) -> Done {
    match command {
        Command::Serve(args) => Ok(serve::run(&args::settings(args.layers())?)),
        Command::Model { command } => model::run(command),
        Command::Infer(args) => infer::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Probe(args) => probe::run(args),
        Command::ProbeChild(args) => probe::run_child(args),
        Command::Plugin { command } => plugin::run(command),
        Command::PluginWorker => plugin::run_worker(),
        Command::PluginCheckChild(args) => plugin::run_check_child(args),
        Command::Bench { command } => bench::run(command),
        Command::Doctor(args) => doctor::run(args),
        Command::Config { command } => configuration::run(command),
        Command::Openapi(args) => openapi::run(args),
        Command::Completions { shell } => completions(*shell),
        Command::Reference { page } => configuration::reference(*page),
    }
}

fn completions(shell: Shell) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "candor", &mut script);
    screen::print(&String::from_utf8_lossy(&script));
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }
}
