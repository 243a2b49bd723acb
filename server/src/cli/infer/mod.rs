//! `candor infer`: sends rows to a running server and prints what it predicts.
//!
//! | module | what it does |
//! |---|---|
//! | `input` | arguments, files and standard input as the body of a request |
//! | `answer` | predictions as a table or as CSV |

mod answer;
mod input;

use std::{
    io::{self, IsTerminal as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use candor_domain::{ModelName, Version};
use clap::{Args, ValueEnum};

use super::{
    args::TokenArgs,
    client::{Client, escaped},
    problem::{Done, Failure},
    screen,
};
use input::InputFormat;
pub(super) use input::row;

pub(super) const EXAMPLES: &str = "Examples:
  candor infer iris sepal_length=5.1 sepal_width=3.5 petal_length=1.4 petal_width=0.2
  candor infer iris --input flowers.csv
  candor infer iris --input rows.jsonl --output csv > answers.csv
  echo '[5.1, 3.5, 1.4, 0.2]' | candor infer iris --input - --output json

What a file may hold:
  .json    {\"rows\": […]} or {\"columns\": {…}} as the API takes it, an array of rows, or one row,
           or what pandas writes with to_json(orient=\"records\" or \"split\")
  .jsonl   one row a line
  .csv     a header line with the names of the features, then one row a line
A row is an object of named features or an array in their order; `candor model show` names them.

The token, if the server asks for one: --token-file, or the variable CANDOR_TOKEN.
Exit codes: 0 predicted; 1 the server cannot be reached or refused; 2 wrong arguments or input file.";

#[derive(Args)]
pub(super) struct InferArgs {
    /// Name of the model.
    model: String,
    /// One row, as its features: sepal_length=5.1; quote JSON to force text: 'code="1"'.
    #[arg(value_name = "FEATURE=VALUE", conflicts_with = "input")]
    features: Vec<String>,
    /// File with rows (.json, .jsonl, .csv), or - for standard input.
    #[arg(long, short, value_name = "FILE")]
    input: Option<PathBuf>,
    /// What the input holds, where its name does not tell.
    #[arg(long, value_enum, value_name = "FORMAT")]
    input_format: Option<InputFormat>,
    /// The CSV has no header line: its columns are the features in their order.
    #[arg(long)]
    no_header: bool,
    /// Address of the server.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    server: String,
    /// Version of the model [default: the one that the server prefers].
    #[arg(long)]
    version: Option<String>,
    #[command(flatten)]
    token: TokenArgs,
    /// How predictions are printed [default: table on a terminal, json elsewhere].
    #[arg(long, short, value_enum)]
    output: Option<Output>,
    /// Milliseconds that the answer may take; 0 for as long as the server allows.
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
}

/// How predictions are printed.
#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Table,
    Json,
    Csv,
}

/// What the way there and back may take beyond the time that the server has.
const WAY: Duration = Duration::from_secs(2);

pub(super) fn run(args: &InferArgs) -> Done {
    let model = ModelName::parse(&args.model).map_err(Failure::of_arguments)?;
    let version = args.version.as_deref().map(Version::parse).transpose().map_err(Failure::of_arguments)?;
    let version = version.map(|version| format!("/versions/{}", version.as_str())).unwrap_or_default();
    let body = input::read(args).map_err(Failure::misused)?;
    let client = Client::new(&args.server, &args.token)?;
    let path = format!("/api/v1/models/{}{version}/predict", escaped(model.as_str()));
    let timeout = args.timeout_ms.filter(|ms| *ms > 0).map(|ms| Duration::from_millis(ms).saturating_add(WAY));
    let answer = client.post(&path, body.media_type, &body.bytes, timeout)?;
    let usual = if io::stdout().is_terminal() { Output::Table } else { Output::Json };
    match args.output.unwrap_or(usual) {
        Output::Json => screen::print_json(&answer),
        Output::Table => screen::print(&answer::table(&answer)),
        Output::Csv => {
            // A spreadsheet has no place for it, and whoever reads the numbers should know.
            screen::print_error(&answer::filled(&answer));
            screen::print(&answer::csv(&answer));
        }
    }
    Ok(ExitCode::SUCCESS)
}
