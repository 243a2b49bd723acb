//! `candor config`: what is in force and who set it; and the pages that are made from the code.

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};

use super::{
    args::{self, ConfigArgs},
    problem::Done,
    screen,
};
use crate::config;

#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Print every key with its value in force and who set it.
    #[command(after_help = "Examples:
  candor config show
  candor config show --config candor.toml --set http.workers=2")]
    Show(ConfigArgs),
    /// Report all problems at once; exit code 2 if there are any.
    #[command(after_help = "Examples:
  candor config check --config candor.toml")]
    Check(ConfigArgs),
}

/// A page of the documentation.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Page {
    Config,
    Metrics,
}

pub(super) fn run(command: &ConfigCommand) -> Done {
    match command {
        ConfigCommand::Check(args) => {
            args::settings(args.layers())?;
            screen::print("the configuration is valid\n");
        }
        ConfigCommand::Show(args) => {
            let layers = args.layers();
            screen::print(&config::show(&layers));
            args::settings(layers)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn reference(page: Page) -> Done {
    screen::print(&match page {
        Page::Config => config::reference(),
        Page::Metrics => candor_http_api::metrics::reference(),
    });
    Ok(ExitCode::SUCCESS)
}
