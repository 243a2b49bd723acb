//! `candor explain`: asks a running server why it predicts what it predicts for one row, and prints or keeps the answer.
//!
//! | module | what it does |
//! |---|---|
//! | `answer` | the shares as a table |
//!
//! Pictures and reports are the server's own; they are written to files as they come.

mod answer;

use std::{
    fs,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use candor_domain::{ModelName, Version};
use clap::Args;
use serde_json::{Map, Value, json};

use super::{
    args::TokenArgs,
    client::{Client, escaped},
    infer,
    problem::{Done, Failure, Problem},
    screen,
};

pub(super) const EXAMPLES: &str = "Examples:
  candor explain iris sepal_length=5.1 sepal_width=3.5 petal_length=1.4 petal_width=0.2
  candor explain iris … --class setosa --space probability --method exact
  candor explain iris … --svg why.svg --html report.html

Prints the share of each feature in the answer; `candor model show` names the features.

The token, if the server asks for one: --token-file, or the variable CANDOR_TOKEN.
Exit codes: 0 explained; 1 the server cannot be reached or refused; 2 wrong arguments.";

#[derive(Args)]
pub(super) struct ExplainArgs {
    /// Name of the model.
    model: String,
    /// One row, as its features: sepal_length=5.1; quote JSON to force text: 'code="1"'.
    #[arg(value_name = "FEATURE=VALUE", required = true)]
    features: Vec<String>,
    /// How to find out, such as tree, kernel or lime [default: what the model's graph allows].
    #[arg(long)]
    method: Option<String>,
    /// The class, or the output, that is explained [default: all].
    #[arg(long, value_name = "NAME")]
    class: Option<String>,
    /// What the numbers are: probability, margin or raw [default: what the method is best at].
    #[arg(long)]
    space: Option<String>,
    /// Write a picture of it to this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Write a report of it to this file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print what the server says, as JSON [default: where the output is no terminal].
    #[arg(long)]
    json: bool,
    /// Address of the server.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    server: String,
    /// Version of the model [default: the one that the server prefers].
    #[arg(long)]
    version: Option<String>,
    #[command(flatten)]
    token: TokenArgs,
}

pub(super) fn run(args: &ExplainArgs) -> Done {
    let model = ModelName::parse(&args.model).map_err(Failure::of_arguments)?;
    let version = args.version.as_deref().map(Version::parse).transpose().map_err(Failure::of_arguments)?;
    let version = version.map(|version| format!("/versions/{}", version.as_str())).unwrap_or_default();
    let mut body = Map::new();
    body.insert("rows".to_owned(), json!([infer::row(&args.features).map_err(Failure::misused)?]));
    for (name, value) in [("method", &args.method), ("output", &args.class), ("space", &args.space)] {
        body.extend(value.as_ref().map(|value| (name.to_owned(), json!(value))));
    }
    let body = Value::Object(body).to_string();
    let client = Client::new(&args.server, &args.token)?;
    let path = format!("/api/v1/models/{}{version}/explain", escaped(model.as_str()));
    let answer = client.post(&path, "application/json", body.as_bytes(), None)?;
    for (file, media_type) in [(&args.svg, "image/svg+xml"), (&args.html, "text/html")] {
        if let Some(file) = file {
            let shown = client.post_for(&path, body.as_bytes(), media_type)?;
            write(file, &shown)?;
        }
    }
    if args.json || !io::stdout().is_terminal() {
        screen::print_json(&answer);
    } else {
        screen::print(&answer::table(&answer));
    }
    Ok(ExitCode::SUCCESS)
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let problem = |error| Problem::new(format!("cannot write {}", file.display())).cause(error);
    fs::write(file, text).map_err(|error| problem(error).into())
}
