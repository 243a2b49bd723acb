//! `candor model show`: one model in words, and a request to paste.

use std::{fmt::Write as _, process::ExitCode};

use candor_domain::{Clock as _, Error, ErrorCode, ModelName, Result, TensorSpec, Version};
use candor_http_api::{Described, ModelDescription};
use candor_serving::{Manifest, Opened, likeness::closest, repository::FoundVersion};
use clap::Args;
use serde_json::{Value, json};

use super::{
    bytes_in, describe,
    list::{list, word},
    repository, served,
};
use crate::{
    cli::{
        args::CommonArgs,
        client::{ServerArgs, escaped},
        problem::{Done, Failure},
        screen::{self, BOLD, DIM, Table, styled},
    },
    clock::SystemClock,
    config::Settings,
    wiring::Workshop,
};

#[derive(Args)]
pub(in crate::cli) struct ShowArgs {
    /// Name of the model.
    model: String,
    /// Folder of models [default: models, or what the configuration says].
    #[arg(conflicts_with = "server")]
    dir: Option<String>,
    /// Version [default: the highest that is served].
    #[arg(long)]
    version: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: CommonArgs,
}

/// Where the request to paste goes when no server is named.
const HOME: &str = "http://127.0.0.1:8080";

pub(super) fn run(args: &ShowArgs) -> Done {
    let name = ModelName::parse(&args.model).map_err(Failure::of_arguments)?;
    let client = args.server.client()?;
    let version = args.version.as_deref().map(Version::parse).transpose().map_err(Failure::of_arguments)?;
    let (description, base) = match &client {
        Some(client) => {
            let version = version.as_ref().map(|version| format!("/versions/{}", version.as_str()));
            let path = format!("/api/v1/models/{}{}", escaped(name.as_str()), version.unwrap_or_default());
            (client.get(&path)?, client.base())
        }
        None => {
            let settings = args.common.settings(args.dir.as_ref())?;
            (from_folder(&settings, &name, args.version.as_deref())?, HOME)
        }
    };
    if args.json {
        screen::print_json(&description);
    } else {
        screen::print(&in_words(&description, &Asked { name: &name, version: version.as_ref(), base }));
    }
    Ok(ExitCode::SUCCESS)
}

fn from_folder(settings: &Settings, name: &ModelName, version: Option<&str>) -> Result<Value> {
    let repository = repository(settings)?;
    let model = repository.find(name).map_err(|error| {
        let known = repository.models().map(|(names, _)| names).unwrap_or_default();
        let known: Vec<&str> = known.iter().map(ModelName::as_str).collect();
        if error.code() == ErrorCode::NotFound {
            let near = closest(name.as_str(), known.iter().copied()).map(|near| format!("did you mean '{near}'?"));
            let error = error.expected(format!("one of {}", known.join(", ")));
            return near.into_iter().fold(error, Error::hint);
        }
        error
    })?;
    let served = served(&model, &settings.version_policy)?;
    let wanted = version.or(served.last().map(Version::as_str));
    let found = model.versions.iter().find(|found| Some(found.version.as_str()) == wanted).ok_or_else(|| {
        let known: Vec<&str> = model.versions.iter().map(|found| found.version.as_str()).collect();
        Error::new(ErrorCode::NotFound, format!("model '{name}' has no version {}", wanted.unwrap_or("to serve")))
            .expected(format!("one of {}", known.join(", ")))
    })?;
    let registry = Workshop::open(settings).over(&repository)?;
    let clock = SystemClock::start();
    let began = clock.now();
    let mut opened = Opened::open(registry.engines(), &repository.read_model(found)?, &model, found)?;
    let meaning = opened.read(&model, found)?;
    let description = ModelDescription::of(&Described {
        model: name,
        version: &found.version,
        ready_versions: &served,
        manifest: &meaning.manifest,
        signature: &opened.signature,
        features: &meaning.features,
        answers: &meaning.answers,
        engine: &opened.engine,
        passed_over: &opened.passed_over,
        parts: &opened.parts,
        engine_was: None,
        cross_check: None,
        sha256: &opened.sha256,
        file_bytes: opened.file_bytes,
        load_ms: clock.now().nanos_since(began) / 1_000_000,
        properties: &opened.properties,
    });
    let mut description = json!(description);
    if let Some(object) = description.as_object_mut() {
        // What the API would say once the folder is served, and what only somebody with the folder can know.
        object.remove("state");
        object.insert("inputs".to_owned(), inputs(&opened, &meaning.manifest));
        let version = |found: &FoundVersion| {
            let is_served = served.contains(&found.version);
            json!({"version": found.version.as_str(), "served": is_served, "bytes": bytes_in(&found.folder)})
        };
        object.insert("versions".to_owned(), model.versions.iter().map(version).collect());
    }
    Ok(description)
}

/// The tensors that the graph takes.
fn inputs(opened: &Opened, manifest: &Manifest) -> Value {
    let input = |spec: &TensorSpec| {
        let notes = manifest.inputs.iter().find(|notes| *notes.name == *spec.name);
        let description = notes.and_then(|notes| notes.description.as_deref()).unwrap_or_default();
        json!({"name": &*spec.name, "datatype": spec.datatype.name(), "shape": spec.wire_shape(), "description": description})
    };
    opened.signature.inputs.iter().map(input).collect()
}

/// What was asked, and where: a line to paste is made of this, and not of what somebody answered.
struct Asked<'a> {
    name: &'a ModelName,
    version: Option<&'a Version>,
    base: &'a str,
}

fn in_words(model: &Value, asked: &Asked<'_>) -> String {
    const WIDTH: usize = 86;
    let mut text = format!("{} version {}\n", styled(BOLD, asked.name), screen::plain(word(model, "version")));
    for (key, head) in [("title", "title"), ("description", "about"), ("task", "task"), ("licence", "licence")] {
        let value = word(model, key);
        if !value.is_empty() {
            line(&mut text, head, &screen::wrapped(value, WIDTH));
        }
    }
    line(&mut text, "versions", &versions(model));
    if let Some(engine) = model.get("engine") {
        line(&mut text, "engine", &format!("{} {}", word(engine, "name"), word(engine, "version")));
    }
    let bytes = model.get("file_bytes").and_then(Value::as_u64).map(|bytes| format!(" ({})", screen::size(bytes)));
    for passed in list(model, "engine_passed_over") {
        line(&mut text, "", &screen::wrapped(&format!("not {}: {}", word(passed, "name"), word(passed, "why")), WIDTH));
    }
    if !list(model, "stages").is_empty() {
        line(&mut text, "stages", &stages(model));
    }
    if let Some(was) = model.get("engine_was") {
        line(&mut text, "", &format!("the same file was run by {} {} before", word(was, "name"), word(was, "version")));
    }
    if let Some(check) = model.get("cross_check") {
        line(&mut text, "cross-check", &screen::wrapped(&cross_check(check), WIDTH));
    }
    line(&mut text, "sha256", &format!("{}{}", word(model, "sha256"), bytes.unwrap_or_default()));
    line(&mut text, "rows", &rows(model));
    if let Some(properties) = model.get("properties").and_then(Value::as_object).filter(|all| !all.is_empty()) {
        let shown = properties.iter().map(|(key, value)| format!("{key} = {}", value.as_str().unwrap_or_default()));
        line(&mut text, "properties", &shown.collect::<Vec<_>>().join("\n"));
    }
    for (head, key, table) in [
        ("\nInputs", "inputs", input_table as fn(&[Value]) -> Table),
        ("\nFeatures", "features", feature_table),
        ("\nOutputs", "outputs", output_table),
    ] {
        if !list(model, key).is_empty() {
            let _ = write!(text, "{}\n{}", styled(BOLD, head), table(list(model, key)));
        }
    }
    let _ = writeln!(text, "{}\n{}", styled(BOLD, "\nAsk it"), curl(model, asked));
    text
}

/// What it is made of, one a line.
fn stages(model: &Value) -> String {
    let names =
        |part: &Value, key: &str| list(part, key).iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
    let shown = list(model, "stages").iter().map(|part| {
        let component = match (word(part, "component"), part.get("plugin")) {
            ("", _) => String::new(),
            (id, None) => format!(" ({id})"),
            (id, Some(plugin)) => format!(" ({id}, {} {})", word(plugin, "name"), word(plugin, "version")),
        };
        format!("{}{component}: {} → {}", word(part, "name"), names(part, "inputs"), names(part, "outputs"))
    });
    shown.collect::<Vec<_>>().join("\n")
}

/// What a second engine says to it.
fn cross_check(check: &Value) -> String {
    let mut text = word(check, "state").to_owned();
    if let Some(engine) = check.get("engine") {
        let (name, version) = (word(engine, "name"), word(engine, "version"));
        text.push_str(&format!(" by {name} {version} on {} rows", check["rows"]));
    }
    if let Some(apart) = check.get("disagreement") {
        let (output, served, second) = (word(apart, "output"), word(apart, "served"), word(apart, "second"));
        text.push_str(&format!(": output '{output}', row {}: {served} and {second}", apart["row"]));
    }
    match word(check, "reason") {
        "" => text,
        reason => format!("{text}: {reason}"),
    }
}

/// All versions of a folder, or the ready ones of a server.
fn versions(model: &Value) -> String {
    let ready = list(model, "ready_versions").iter().filter_map(Value::as_str).map(str::to_owned);
    let found = list(model, "versions").iter().map(|version| {
        let note = if version["served"] == true { "" } else { " (not served)" };
        format!("{}{note}", word(version, "version"))
    });
    let found: Vec<String> = found.collect();
    let all = if found.is_empty() { ready.collect() } else { found };
    all.join(", ")
}

/// How many rows a request may have.
fn rows(model: &Value) -> String {
    let bound = |key: &str| model.get(key).and_then(Value::as_u64);
    match (word(model, "no_rows_because"), bound("rows_min").unwrap_or(1), bound("rows_max")) {
        ("", least, Some(most)) if least == most => format!("exactly {most} in a request"),
        ("", least, Some(most)) => format!("{least} to {most} in a request"),
        ("", least, None) => format!("{least} or more in a request"),
        (why, ..) => format!("none: {why}"),
    }
}

fn line(text: &mut String, head: &str, value: &str) {
    let _ =
        writeln!(text, "  {} {}", styled(DIM, format_args!("{head:<11}")), screen::indented(&screen::plain(value), 14));
}

fn shape(value: &Value) -> String {
    let dims = list(value, "shape").iter().map(|dim| match dim.as_i64() {
        Some(-1) => "any".to_owned(),
        Some(_) | None => dim.to_string(),
    });
    format!("[{}]", dims.collect::<Vec<_>>().join(", "))
}

fn joined(values: &[Value], most: usize) -> String {
    let mut words: Vec<String> =
        values.iter().take(most).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect();
    if values.len() > most {
        words.push(format!("… ({} in all)", values.len()));
    }
    words.join(", ")
}

/// Name, datatype and shape: what inputs and outputs have in common.
fn tensor(value: &Value) -> Vec<String> {
    vec![word(value, "name").to_owned(), word(value, "datatype").to_owned(), shape(value)]
}

fn input_table(inputs: &[Value]) -> Table {
    let mut table = Table::new(["NAME", "TYPE", "SHAPE", "MEANING"]).indent(2);
    for input in inputs {
        table.row([tensor(input), vec![word(input, "description").to_owned()]].concat());
    }
    table
}

fn output_table(outputs: &[Value]) -> Table {
    let mut table = Table::new(["NAME", "TYPE", "SHAPE", "ROLE", "LABELS", "MEANING"]).indent(2);
    for output in outputs {
        let labels = joined(list(output, "labels"), 5);
        let labels = if labels.is_empty() { "–".to_owned() } else { labels };
        let notes = vec![word(output, "role").to_owned(), labels, word(output, "description").to_owned()];
        table.row([tensor(output), notes].concat());
    }
    table
}

fn feature_table(features: &[Value]) -> Table {
    let mut table = Table::new(["NAME", "TYPE", "UNIT", "ALLOWED", "IF MISSING", "MEANING"]).indent(2);
    for alike in features.chunk_by(|a, b| is_nameless(a) && is_nameless(b) && word(a, "input") == word(b, "input")) {
        let [feature, .., last] = alike else {
            table.row(feature_row(alike.first().unwrap_or(&Value::Null)));
            continue;
        };
        let mut cells = feature_row(feature);
        if let Some(name) = cells.first_mut() {
            name.push_str(&format!(" … {}", word(last, "name")));
        }
        table.row(cells);
    }
    table
}

/// A column that model.toml does not name.
fn is_nameless(feature: &Value) -> bool {
    feature.get("declared") == Some(&Value::Bool(false)) && word(feature, "type") != "array"
}

fn feature_row(feature: &Value) -> Vec<String> {
    let bound = |key: &str| feature.get(key).filter(|value| !value.is_null()).map(plain);
    let categories = list(feature, "categories");
    let allowed = match (bound("min"), bound("max")) {
        _ if !categories.is_empty() => joined(categories, 8),
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("{min} or more"),
        (None, Some(max)) => format!("{max} or less"),
        (None, None) => "any".to_owned(),
    };
    let kind = match word(feature, "type") {
        "array" => format!("{} {}", word(feature, "datatype"), shape(feature)),
        kind => kind.to_owned(),
    };
    let missing = match (bound("default"), bound("impute")) {
        (Some(default), None) => default,
        (Some(default), Some(impute)) => format!("{default}; null: {impute}"),
        (None, Some(impute)) => format!("refused; null: {impute}"),
        (None, None) => "refused".to_owned(),
    };
    let unit = word(feature, "unit");
    let description = word(feature, "description");
    let meaning = if is_nameless(feature) && description.is_empty() { "not named in model.toml" } else { description };
    let unit = if unit.is_empty() { "–" } else { unit };
    vec![word(feature, "name").to_owned(), kind, unit.to_owned(), allowed, missing, meaning.to_owned()]
}

/// A number as people write it: 30 and not 30.0.
fn plain(value: &Value) -> String {
    value.as_f64().filter(|_| value.is_f64()).map_or_else(|| value.to_string(), |number| number.to_string())
}

/// A request that works when pasted into a shell.
fn curl(model: &Value, asked: &Asked<'_>) -> String {
    let Asked { name, version, base } = asked;
    if list(model, "features").is_empty() {
        return format!("  with tensors: POST {base}/v2/models/{name}/infer");
    }
    let body = format!(r#"{{"rows":[{}]}}"#, describe::sample_row(model)).replace('\'', r"'\''");
    let version = version.map(|version| format!("/versions/{}", version.as_str())).unwrap_or_default();
    format!(
        "  curl {base}/api/v1/models/{name}{version}/predict -H 'Content-Type: application/json' \\\n    -d '{}'",
        screen::plain(&body)
    )
}
