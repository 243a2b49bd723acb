//! `candor openapi`: the API document, for tools that make clients of it.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::{problem::Done, screen};

/// Which document.
#[derive(Args)]
pub(super) struct OpenapiArgs {
    /// How it is written.
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
}

/// How a document is written.
#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Json,
}

pub(super) fn run(args: &OpenapiArgs) -> Done {
    match args.format {
        Format::Json => screen::print(&candor_http_api::openapi::document_json()),
    }
    Ok(ExitCode::SUCCESS)
}
