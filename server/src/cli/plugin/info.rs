//! `candor plugin info`: everything about one plugin, in a folder or on a running server.
//!
//! Of a folder nothing runs; what only the library can tell (schemas, calls) a server tells.

use std::{fmt::Write as _, process::ExitCode};

use candor_plugin_host::{Refusal, elf, file, manifest::Manifest};
use clap::Args;
use serde_json::{Value, json};

use super::list::{host, look_at, of_server};
use crate::cli::{
    args::CommonArgs,
    client::ServerArgs,
    model::list::{list, word},
    problem::{Done, Failure, Problem},
    screen::{self, BOLD, styled},
};

pub(super) const EXAMPLES: &str = "Examples:
  candor plugin info plugins/acme-scale
  candor plugin info acme-scale --server http://127.0.0.1:8080

Of a folder nothing runs: manifest and library are read. A running server also tells the schemas of
configurations, and what has happened.";

#[derive(Args)]
pub(in crate::cli) struct InfoArgs {
    /// Folder of the plugin, or its name on the server.
    plugin: String,
    #[command(flatten)]
    server: ServerArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: CommonArgs,
}

pub(super) fn run(args: &InfoArgs) -> Done {
    let told = match args.server.client()? {
        Some(client) => of_server(&client, &args.plugin)?,
        None => of_folder(args)?,
    };
    if args.json {
        screen::print_json(&told);
    } else {
        screen::print(&shown(&told));
    }
    Ok(ExitCode::SUCCESS)
}

fn of_folder(args: &InfoArgs) -> Result<Value, Failure> {
    let settings = args.common.settings(None)?;
    let folder = std::path::Path::new(&args.plugin).canonicalize().map_err(|error| {
        let problem = Problem::new("there is no such folder").at(args.plugin.clone()).cause(error);
        Failure::misused(problem.help("the folder of a plugin, or a name together with --server URL"))
    })?;
    let refused = |refusal: Refusal| Failure::from(Problem::from(refusal.error()));
    let manifest = Manifest::read(&folder).map_err(refused)?;
    let mut told = look_at(&host(&settings), &folder);
    let inspected = file::read(&manifest.library(&folder), true).and_then(|library| {
        let inspected = elf::inspect(&library.bytes)?;
        Ok(json!({
            "sha256": library.sha256, "bytes": library.bytes.len(), "needs": inspected.needed,
            "glibc": inspected.glibc, "exports": inspected.exports, "static_tls": inspected.static_tls,
            "license": manifest.license,
        }))
    });
    if let (Ok(Value::Object(more)), Some(object)) = (inspected, told.as_object_mut()) {
        object.extend(more);
    }
    Ok(told)
}

fn shown(told: &Value) -> String {
    let mut text = format!("{}\n", styled(BOLD, screen::plain(word(told, "name"))));
    let mut line = |key: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(text, "  {key:<13} {}", screen::indented(&screen::plain(&value), 16));
        }
    };
    for key in ["state", "isolation", "version", "abi", "description", "license", "sha256", "glibc", "breaker"] {
        line(key, word(told, key).to_owned());
    }
    if let Some(reason) = told.get("reason").filter(|reason| reason.is_object()) {
        line("because", format!("{}: {}", word(reason, "code"), word(reason, "detail")));
    }
    for key in ["bytes", "exports", "generation", "calls", "errors", "worker_starts", "worker_deaths", "leaked_threads"]
    {
        line(key, told.get(key).and_then(Value::as_u64).map(|number| number.to_string()).unwrap_or_default());
    }
    line("needs", list(told, "needs").iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "));
    for component in list(told, "components") {
        let kinds: Vec<&str> = list(component, "kinds").iter().filter_map(Value::as_str).collect();
        line("component", format!("{} ({})", word(component, "id"), kinds.join(", ")));
        let schema = component.get("config_schema").map(|schema| format!("{schema:#}")).unwrap_or_default();
        line("  config", schema);
    }
    text
}
