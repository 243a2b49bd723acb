//! `candor model list`: the models of a folder, looked at and not loaded, or those of a server.

use std::{collections::BTreeSet, process::ExitCode};

use candor_domain::ModelName;
use candor_serving::{Repository, repository::FoundVersion};
use clap::Args;
use serde_json::{Value, json};

use super::{bytes_in, repository, served};
use crate::{
    cli::{
        args::CommonArgs,
        client::{Client, ServerArgs},
        problem::Done,
        report::number,
        screen::{self, BOLD, DIM, Table, YELLOW, styled},
    },
    config::Settings,
};

#[derive(Args)]
pub(in crate::cli) struct ListArgs {
    /// Folder of models [default: models, or what the configuration says].
    #[arg(conflicts_with = "server")]
    dir: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: CommonArgs,
}

pub(super) fn run(args: &ListArgs) -> Done {
    if let Some(client) = args.server.client()? {
        return of_server(&client, args.json);
    }
    let settings = args.common.settings(args.dir.as_ref())?;
    let repository = repository(&settings)?;
    let (names, ignored) = repository.models()?;
    let advice = repository.advice().map(|advice| advice.to_string());
    let models: Vec<Value> = names.iter().map(|name| look_at(&repository, &settings, name)).collect();
    if args.json {
        let root = repository.root().display().to_string();
        screen::print_json(&json!({"root": root, "models": models, "ignored": ignored, "advice": advice}));
    } else {
        print_folder(&repository, &models, &ignored, advice.as_deref());
    }
    Ok(ExitCode::SUCCESS)
}

fn look_at(repository: &Repository, settings: &Settings, name: &ModelName) -> Value {
    let model = match repository.find(name) {
        Ok(model) => model,
        Err(error) => return json!({"name": name.as_str(), "versions": [], "problems": [error.to_string()]}),
    };
    let mut problems = model.ignored.clone();
    let served = served(&model, &settings.version_policy).unwrap_or_else(|error| {
        problems.push(error.to_string());
        Vec::new()
    });
    let version = |found: &FoundVersion| {
        let is_served = served.contains(&found.version);
        json!({"version": found.version.as_str(), "served": is_served, "bytes": bytes_in(&found.folder)})
    };
    let versions: Vec<Value> = model.versions.iter().map(version).collect();
    let (title, task) = (&model.manifest.title, &model.manifest.task);
    json!({"name": name.as_str(), "title": title, "task": task, "versions": versions, "problems": problems})
}

fn print_folder(repository: &Repository, models: &[Value], ignored: &[String], advice: Option<&str>) {
    let root = repository.root().display();
    let mut text = format!("{} in {root}\n\n", styled(BOLD, number(models.len(), "model")));
    if let Some(advice) = advice {
        text.push_str(&format!("{} {}\n\n", styled(YELLOW, "!"), screen::indented(advice, 2)));
    }
    let mut table = Table::new(["MODEL", "VERSIONS", "SERVED", "TASK", "SIZE", "TITLE"]).right([4]);
    let (mut bytes, mut problems) = (0, Vec::new());
    for model in models {
        let versions = list(model, "versions");
        let named = |only_served: bool| {
            let wanted = versions.iter().filter(|version| !only_served || version["served"] == true);
            or_dash(&wanted.map(|version| word(version, "version")).collect::<Vec<_>>().join(", "))
        };
        let size: u64 = versions.iter().filter_map(|version| version["bytes"].as_u64()).sum();
        bytes += size;
        let name = word(model, "name");
        let (task, title) = (word(model, "task"), word(model, "title"));
        let size = if versions.is_empty() { String::new() } else { screen::size(size) };
        table.row(vec![name.to_owned(), named(false), named(true), or_dash(task), or_dash(&size), or_dash(title)]);
        problems.extend(list(model, "problems").iter().filter_map(Value::as_str).map(|why| (name, why)));
    }
    if table.is_empty() {
        text.push_str("put a file at <model>/<version>/model.onnx, or name another folder\n");
    } else {
        text.push_str(&table.to_string());
        text.push_str(&styled(DIM, format_args!("{} on disk\n", screen::size(bytes))));
    }
    if !problems.is_empty() || !ignored.is_empty() {
        text.push('\n');
    }
    for (name, why) in problems {
        text.push_str(&format!("{} {name}: {}\n", styled(YELLOW, "!"), screen::indented(&screen::plain(why), 4)));
    }
    for why in ignored {
        text.push_str(&format!("{} ignored: {}\n", styled(YELLOW, "!"), screen::indented(&screen::plain(why), 4)));
    }
    screen::print(&text);
}

fn of_server(client: &Client, json: bool) -> Done {
    let models = client.pages("/api/v1/models", "models")?;
    if json {
        screen::print_json(&json!({"models": models}));
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = format!("{} on {}\n\n", styled(BOLD, number(models.len(), "model")), client.base());
    let mut table = Table::new(["MODEL", "STATE", "VERSIONS", "ENGINE", "TASK", "TITLE"]);
    let mut reasons = Vec::new();
    for model in &models {
        let name = word(model, "name");
        let state = |version: &Value| match word(version, "state") {
            "ready" => word(version, "version").to_owned(),
            other => format!("{} ({other})", word(version, "version")),
        };
        let versions: Vec<String> = list(model, "versions").iter().map(state).collect();
        let (task, title) = (word(model, "task"), word(model, "title"));
        let state = word(model, "state").to_owned();
        let versions = or_dash(&versions.join(", "));
        table.row(vec![name.to_owned(), state, versions, or_dash(&engines(model)), or_dash(task), or_dash(title)]);
        if !word(model, "reason").is_empty() {
            reasons.push(format!("{name}: {}", word(model, "reason")));
        }
        for version in list(model, "versions") {
            let reason = word(version, "reason");
            if !reason.is_empty() {
                reasons.push(format!("{name} {}: {reason}", word(version, "version")));
            }
        }
    }
    if !table.is_empty() {
        text.push_str(&table.to_string());
    }
    for reason in reasons {
        text.push_str(&format!("\n{} {}\n", styled(YELLOW, "!"), screen::indented(&screen::plain(&reason), 4)));
    }
    screen::print(&text);
    Ok(ExitCode::SUCCESS)
}

/// The engines that run a model's ready versions, each once.
fn engines(model: &Value) -> String {
    let names = list(model, "versions").iter().filter_map(|version| Some(word(version.get("engine")?, "name")));
    let names: BTreeSet<&str> = names.collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// A text of an object, empty if there is none.
pub(in crate::cli) fn word<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A list of an object, empty if there is none.
pub(in crate::cli) fn list<'a>(object: &'a Value, key: &str) -> &'a [Value] {
    object.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "–".to_owned() } else { text.to_owned() }
}
