//! `candor openapi`: the API document, for tools that make clients of it.

use std::process::ExitCode;

use candor_domain::Error;
use candor_http_api::openapi;
use clap::{Args, ValueEnum};

use super::{
    problem::{Done, Failure},
    screen,
};

/// Which document.
#[derive(Args)]
pub(super) struct OpenapiArgs {
    /// Version of OpenAPI; 3.0 is a mechanical twin for generators that do not read 3.1.
    #[arg(long, value_enum, default_value = "3.1")]
    version: Version,
    /// How it is written; 3.0 comes as JSON only.
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Version {
    #[value(name = "3.1")]
    V31,
    #[value(name = "3.0")]
    V30,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Json,
    Yaml,
}

pub(super) fn run(args: &OpenapiArgs) -> Done {
    let document = match (args.version, args.format) {
        (Version::V31, Format::Json) => openapi::document_json(),
        (Version::V31, Format::Yaml) => openapi::document_yaml(),
        (Version::V30, Format::Json) => openapi::document_30_json(),
        (Version::V30, Format::Yaml) => {
            let error = Error::invalid("the 3.0 document comes as JSON only").hint("leave --format out");
            return Err(Failure::of_arguments(error));
        }
    };
    screen::print(&document);
    Ok(ExitCode::SUCCESS)
}
