//! `candor plugin list`: the plugins of a folder as a server would find them, or those of a running server.
//!
//! Of a folder nothing runs: manifests and libraries are read and verified.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use candor_plugin_host::{HostSettings, PluginHost, Refusal, manifest::Manifest};
use clap::Args;
use serde_json::{Value, json};

use crate::{
    cli::{
        args::CommonArgs,
        client::{Client, ServerArgs},
        model::list::{list, word},
        problem::{Done, Failure, Problem},
        report::number,
        screen::{self, BOLD, Table, YELLOW, styled},
    },
    config::Settings,
    plugins,
};

pub(super) const EXAMPLES: &str = "Examples:
  candor plugin list plugins              what a server would find there
  candor plugin list --server http://127.0.0.1:8080

Of a folder nothing runs; whether a plugin is allowed is what the configuration says (--config, --set).
States: ready; refused, before anything of it ran; failed, when it was run. docs/PLUGINS.md has the reasons.";

#[derive(Args)]
pub(in crate::cli) struct ListArgs {
    /// Folder of plugins [default: plugins.folder of the configuration].
    #[arg(conflicts_with = "server")]
    dir: Option<PathBuf>,
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
        let plugins = client.pages("/api/v1/plugins", "plugins")?;
        return Ok(show(&plugins, client.base(), args.json));
    }
    let settings = args.common.settings(None)?;
    let Some(folder) = args.dir.clone().or_else(|| settings.plugins.folder.clone()) else {
        let problem = Problem::new("no folder of plugins is named, and none is configured");
        return Err(Failure::misused(problem.help("candor plugin list DIR, or --server URL")));
    };
    let refused = |refusal: Refusal| Failure::from(Problem::from(refusal.error()));
    let host = host(&settings);
    let folders = PluginHost::discover(&folder).map_err(refused)?;
    let plugins: Vec<Value> = folders.iter().map(|folder| look_at(&host, folder)).collect();
    Ok(show(&plugins, &folder.display().to_string(), args.json))
}

/// A host that verifies by the configuration.
pub(in crate::cli) fn host(settings: &Settings) -> PluginHost {
    let allow = settings.plugins.allow.clone();
    let generations_max = settings.plugins.generations_max;
    PluginHost::new(HostSettings { allow, store: plugins::store(settings), generations_max }, plugins::deaf())
}

/// What a server would say of a folder before anything of it runs.
pub(super) fn look_at(host: &PluginHost, folder: &Path) -> Value {
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let manifest = Manifest::read(folder).ok();
    let components: Vec<Value> = manifest
        .iter()
        .flat_map(|manifest| &manifest.component)
        .map(|one| json!({"id": one.id, "kinds": one.kinds}))
        .collect();
    let said = |text: fn(&Manifest) -> &String| manifest.as_ref().map(text);
    let (state, isolation, sha256, reason) = match host.verify(folder) {
        Ok(verified) => ("allowed", Some(verified.pin.isolation.word()), Some(verified.sha256().to_owned()), None),
        Err(refusal) => {
            let reason = json!({"code": refusal.reason().word(), "detail": refusal.error().to_string()});
            ("refused", None, None, Some(reason))
        }
    };
    json!({
        "name": name, "state": state, "reason": reason, "isolation": isolation, "version": said(|one| &one.version),
        "abi": said(|one| &one.abi), "description": said(|one| &one.description), "sha256": sha256,
        "components": components,
    })
}

fn show(plugins: &[Value], place: &str, json: bool) -> ExitCode {
    if json {
        screen::print_json(&json!({"plugins": plugins}));
        return ExitCode::SUCCESS;
    }
    let mut text = format!("{} in {place}\n", styled(BOLD, number(plugins.len(), "plugin")));
    let mut table = Table::new(["PLUGIN", "STATE", "RUNS", "VERSION", "COMPONENTS"]);
    for plugin in plugins {
        let components: Vec<&str> = list(plugin, "components").iter().map(|one| word(one, "id")).collect();
        let cells = [word(plugin, "name"), word(plugin, "state"), word(plugin, "isolation"), word(plugin, "version")];
        let dash = |cell: &str| if cell.is_empty() { "–".to_owned() } else { cell.to_owned() };
        table.row(cells.into_iter().map(dash).chain([dash(&components.join(", "))]).collect());
    }
    if !table.is_empty() {
        text.push_str(&format!("\n{table}"));
    }
    for plugin in plugins {
        if let Some(reason) = plugin.get("reason").filter(|reason| reason.is_object()) {
            let why = screen::indented(&screen::plain(word(reason, "detail")), 4);
            let (name, code) = (screen::plain(word(plugin, "name")).into_owned(), word(reason, "code"));
            text.push_str(&format!("\n{} {name} ({code}): {why}\n", styled(YELLOW, "!")));
        }
    }
    screen::print(&text);
    ExitCode::SUCCESS
}

/// The plugin of this name on a server.
pub(super) fn of_server(client: &Client, name: &str) -> Result<Value, Failure> {
    client.get(&format!("/api/v1/plugins/{}", crate::cli::client::escaped(name)))
}
