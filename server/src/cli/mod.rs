//! Subcommands of the binary: `serve`, `config`, `openapi`, `reference`.
//!
//! Reads arguments, calls one thing, prints for people. Exit codes: 0 well, 1 failed, 2 wrong arguments or
//! configuration.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is what the user reads")]

mod serve;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{self, Layers, Settings};

/// A model server that accounts for every prediction.
#[derive(Parser)]
#[command(
    name = "candor",
    version,
    max_term_width = 100,
    after_help = "Start here:
  candor serve                 serve ./models on 127.0.0.1:8080
  candor serve DIR --http-addr 127.0.0.1:9000
  curl localhost:8080/v2/models/iris
  candor config show           what is in force, and who set it"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
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

Every flag is also an environment variable and a key of the configuration file; docs/CONFIG.md lists them.
SIGTERM: not ready, drain, stop. A second signal ends at once.")]
    Serve(ConfigArgs),
    /// Show or check the configuration without serving.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print the API document (OpenAPI 3.1, JSON).
    Openapi,
    /// Print a page of the documentation that is made from the code.
    #[command(hide = true)]
    Reference {
        /// Which page.
        page: Page,
    },
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print every key with its value in force and who set it.
    Show(ConfigArgs),
    /// Report all problems at once; exit code 2 if there are any.
    Check(ConfigArgs),
}

#[derive(Clone, Copy, ValueEnum)]
enum Page {
    Config,
    Metrics,
}

#[derive(Args)]
struct ConfigArgs {
    /// Folder of models [default: models].
    models_dir: Option<String>,
    /// Address to listen on [default: 127.0.0.1:8080]; port 0 takes a free one.
    #[arg(long, value_name = "HOST:PORT")]
    http_addr: Option<String>,
    /// Folder for what the server writes: a lock, and serving.json with its address.
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Engine: auto or ort [default: auto].
    #[arg(long)]
    engine: Option<String>,
    /// ONNX Runtime library, 1.24 or newer [default: beside the binary, ../lib, the system's folders].
    #[arg(long, value_name = "PATH")]
    ort_library: Option<String>,
    /// File of tokens and what they may do; without one everybody may do everything.
    #[arg(long, value_name = "FILE")]
    tokens_file: Option<String>,
    /// Listen beyond loopback without tokens.
    #[arg(long)]
    insecure: bool,
    /// Seconds between two looks at the folder for changes; 0 means never [default: 0].
    #[arg(long, value_name = "SECONDS")]
    poll_s: Option<String>,
    /// What is loaded at the start: all or none [default: all].
    #[arg(long)]
    load_at_start: Option<String>,
    /// error, warn, info, debug, or per crate [default: info].
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE", env = "CANDOR_CONFIG")]
    config: Option<PathBuf>,
    /// Set any key of the configuration; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    assignments: Vec<String>,
}

impl ConfigArgs {
    fn layers(&self) -> Layers {
        let mut layers = Layers::default();
        if let Some(file) = &self.config {
            layers.add_file(file);
        }
        #[allow(clippy::disallowed_methods, reason = "the configuration is where the environment is read")]
        layers.add_environment(std::env::vars().filter(|(name, _)| name != "CANDOR_CONFIG"));
        for (flag, value) in [
            ("[MODELS_DIR]", &self.models_dir),
            ("--http-addr", &self.http_addr),
            ("--data", &self.data),
            ("--engine", &self.engine),
            ("--ort-library", &self.ort_library),
            ("--tokens-file", &self.tokens_file),
            ("--poll-s", &self.poll_s),
            ("--load-at-start", &self.load_at_start),
            ("--log-level", &self.log_level),
        ] {
            if let Some(value) = value {
                layers.add_flag(flag, value);
            }
        }
        if self.insecure {
            layers.add_flag("--insecure", "true");
        }
        for assignment in &self.assignments {
            layers.add_assignment(assignment);
        }
        layers
    }
}

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => with_settings(&args, |settings| serve::run(&settings)),
        Command::Config { command: ConfigCommand::Check(args) } => with_settings(&args, |_| {
            println!("the configuration is valid");
            ExitCode::SUCCESS
        }),
        Command::Config { command: ConfigCommand::Show(args) } => {
            print!("{}", config::show(&args.layers()));
            with_settings(&args, |_| ExitCode::SUCCESS)
        }
        Command::Openapi => {
            print!("{}", candor_http_api::openapi::document_json());
            ExitCode::SUCCESS
        }
        Command::Reference { page } => {
            print!(
                "{}",
                match page {
                    Page::Config => config::reference(),
                    Page::Metrics => candor_http_api::metrics::reference(),
                }
            );
            ExitCode::SUCCESS
        }
    }
}

fn with_settings(args: &ConfigArgs, then: impl FnOnce(Settings) -> ExitCode) -> ExitCode {
    let mut layers = args.layers();
    for warning in &layers.warnings {
        eprintln!("warning: {warning}");
    }
    match Settings::read(&mut layers) {
        Ok(settings) => then(settings),
        Err(report) => {
            eprintln!("error: {report}");
            ExitCode::from(2)
        }
    }
}
