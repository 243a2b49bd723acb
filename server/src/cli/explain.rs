//! `candor explain`: sends rows to a running server and prints why it predicts what it does.
//!
//! Rows come as they do to `infer`; what is asked goes beside them. It knows no method, only what the server answers.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _},
    process::ExitCode,
    time::Duration,
};

use candor_domain::{ModelName, Version};
use clap::Args;
use serde_json::{Map, Value};

use super::{
    args::TokenArgs,
    client::{Client, escaped},
    infer::{self, RowArgs},
    problem::{Done, Failure},
    screen::{self, BOLD, DIM, Table, YELLOW, styled},
};

pub(super) const EXAMPLES: &str = "Examples:
  candor explain iris sepal_length=5.1 sepal_width=3.5 petal_length=1.4 petal_width=0.2
  candor explain iris --input flowers.csv --class virginica --method exact
  candor explain credit --input row.json --method kernel --budget 5000 --seed 7 --json > why.json

Shares and the base value add up to the value that is explained; docs/EXPLAINABILITY.md says
what they mean, and what they do not. Rows come as for `candor infer`.

Exit codes: 0 explained; 1 the server cannot be reached or refused; 2 wrong arguments or input file.";

#[derive(Args)]
pub(super) struct ExplainArgs {
    /// Name of the model.
    model: String,
    #[command(flatten)]
    rows: RowArgs,
    /// Address of the server.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    server: String,
    /// Version of the model [default: the one that the server prefers].
    #[arg(long)]
    version: Option<String>,
    #[command(flatten)]
    token: TokenArgs,
    /// auto, linear, tree, exact, kernel, permutation, lime, integrated_gradients, or a component's name.
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// Class (by label or number) or output to explain; may be given again [default: all].
    #[arg(long = "class", value_name = "CLASS")]
    classes: Vec<String>,
    /// probability, margin or raw [default: what the method is best at].
    #[arg(long)]
    space: Option<String>,
    /// Evaluations of the model per row at most, for sampled methods.
    #[arg(long, value_name = "N")]
    budget: Option<u64>,
    /// Seed of sampled methods.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Id of the rows that stand for "absent" [default: the version's own].
    #[arg(long, value_name = "ID")]
    background: Option<String>,
    /// Largest shares of each row that a table shows; 0 for all.
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// Print the server's answer [default: elsewhere than on a terminal].
    #[arg(long)]
    json: bool,
    /// Milliseconds that the answer may take; 0 for as long as the server allows.
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
}

/// What the way there and back may take beyond the time that the server has.
const WAY: Duration = Duration::from_secs(2);

pub(super) fn run(args: &ExplainArgs) -> Done {
    let model = ModelName::parse(&args.model).map_err(Failure::of_arguments)?;
    let version = args.version.as_deref().map(Version::parse).transpose().map_err(Failure::of_arguments)?;
    let version = version.map(|version| format!("/versions/{}", version.as_str())).unwrap_or_default();
    let body = infer::read(&args.rows, args.timeout_ms).map_err(Failure::misused)?;
    let client = Client::new(&args.server, &args.token)?;
    let mut path = format!("/api/v1/models/{}{version}/explain", escaped(model.as_str()));
    let mut bytes = body.bytes;
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(Value::Object(mut members)) if body.media_type == "application/json" => {
            members.extend(asked(args));
            bytes = Value::Object(members).to_string().into_bytes();
        }
        // A body that is no JSON object has no place for what is asked.
        Ok(_) | Err(_) => path.push_str(&query(args)),
    }
    let timeout = args.timeout_ms.filter(|ms| *ms > 0).map(|ms| Duration::from_millis(ms).saturating_add(WAY));
    let answer = client.post(&path, body.media_type, &bytes, timeout)?;
    if args.json || !io::stdout().is_terminal() {
        screen::print_json(&answer);
    } else {
        screen::print(&tables(&answer, args.top));
    }
    Ok(ExitCode::SUCCESS)
}

/// What is asked, as members of a body.
fn asked(args: &ExplainArgs) -> Map<String, Value> {
    let text = |text: &Option<String>| text.clone().map(Value::from);
    let classes = args.classes.iter().cloned().map(Value::from).collect::<Vec<_>>();
    let members = [
        ("method", text(&args.method)),
        ("output", (!classes.is_empty()).then_some(Value::Array(classes))),
        ("space", text(&args.space)),
        ("budget", args.budget.map(Value::from)),
        ("seed", args.seed.map(Value::from)),
        ("background", text(&args.background)),
    ];
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// The same as a query string.
fn query(args: &ExplainArgs) -> String {
    let mut query = String::new();
    for (name, value) in asked(args) {
        let text = match &value {
            Value::String(text) => text.clone(),
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
        };
        let mark = if query.is_empty() { '?' } else { '&' };
        let _ = write!(query, "{mark}{name}={}", escaped(&text));
    }
    query
}

/// An answer as tables, one for each output of each row.
fn tables(answer: &Value, top: usize) -> String {
    let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut shown = format!(
        "{} version {}, by {} in the space {}; background {}\n",
        styled(BOLD, screen::plain(&text("/model"))),
        screen::plain(&text("/version")),
        screen::plain(&text("/method/name")),
        text("/space"),
        screen::plain(&text("/background/id")),
    );
    if let Some(reason) = answer.pointer("/method/reason").and_then(Value::as_str) {
        let _ = writeln!(shown, "{}", styled(DIM, screen::plain(reason)));
    }
    let rows = answer.get("explanations").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is_additive = answer.pointer("/method/additive").and_then(Value::as_bool).unwrap_or(true);
    for (row, explained) in rows.iter().enumerate() {
        let outputs = explained.get("outputs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for output in outputs {
            shown.push_str(&table(row, output, (top, is_additive)));
        }
    }
    shown
}

fn table(row: usize, output: &Value, (top, is_additive): (usize, bool)) -> String {
    let number = |key: &str| output.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let name = output.get("output").and_then(Value::as_str).unwrap_or_default();
    let mut shown = format!("\nrow {row}, {}\n", styled(BOLD, screen::plain(name)));
    let share = |one: &Value| one.get("attribution").and_then(Value::as_f64).unwrap_or(0.0);
    let mut all: Vec<&Value> = output.get("attributions").and_then(Value::as_array).into_iter().flatten().collect();
    all.sort_by(|one, other| share(other).abs().total_cmp(&share(one).abs()));
    let count = if top == 0 { all.len() } else { top.min(all.len()) };
    let mut table = Table::new(["", "value", "share"]).right([1, 2]).indent(2);
    table.row(vec!["base value".to_owned(), String::new(), digits(number("base_value"))]);
    for one in all.iter().take(count) {
        let feature = one.get("feature").and_then(Value::as_str).unwrap_or_default();
        let value = one.get("value").map(cell).unwrap_or_default();
        table.row(vec![screen::plain(feature).into_owned(), value, format!("{:+.6}", share(one))]);
    }
    let rest: f64 = all.iter().skip(count).map(|one| share(one)).sum();
    if count < all.len() {
        table.row(vec![format!("{} others", all.len() - count), String::new(), format!("{rest:+.6}")]);
    }
    table.row(vec!["explained".to_owned(), String::new(), digits(number("value"))]);
    let _ = write!(shown, "{table}");
    let flag = |pointer: &str| output.pointer(pointer).and_then(Value::as_bool);
    if is_additive && (flag("/additivity/holds") == Some(false) || flag("/served/agrees") == Some(false)) {
        let warning = "these shares do not add up to what was served: do not rely on them";
        let _ = writeln!(shown, "  {}", styled(YELLOW, warning));
    }
    shown
}

fn digits(number: f64) -> String {
    format!("{number:.6}")
}

/// A value of a feature.
fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => screen::plain(text).into_owned(),
        Value::Object(members) => format!("{} features", members.len()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => value.to_string(),
    }
}
