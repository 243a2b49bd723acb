//! The plugins that the configuration names: their folder, what is allowed of it, and what would be refused.
//!
//! By the steps that a server takes before anything of a plugin runs; none runs here. A plugin that is refused keeps no
//! server from starting, so that none of this fails.

use std::{collections::BTreeSet, path::Path};

use candor_plugin_host::{PluginHost, Reason, Refusal};

use crate::{
    cli::{plugin, report::Check},
    config::Settings,
};

const WHAT: &str = "plugin";

pub(super) fn look(settings: &Settings) -> Vec<Check> {
    let mut checks = Vec::new();
    if settings.plugins.allow.dev {
        let text = "plugins.dev: what nobody has pinned is loaded, from files that others may write";
        checks.push(Check::warn(WHAT, text).fix("pin what you use: candor plugin pin FOLDER"));
    }
    let Some(root) = &settings.plugins.folder else {
        if let Some(pin) = settings.plugins.allow.allow.first() {
            let text = format!("plugins.allow names '{}', and there is no plugins.folder", pin.name);
            checks.push(Check::warn(WHAT, text).fix("name the folder: plugins.folder = \"…\""));
        }
        return checks;
    };
    let folders = match PluginHost::discover(root) {
        Ok(folders) => folders,
        Err(refusal) => {
            checks
                .push(refused(&refusal).fix("name another folder: plugins.folder; the server starts without plugins"));
            return checks;
        }
    };
    let host = plugin::host(settings);
    checks.extend(folders.iter().map(|folder| one(&host, folder)));
    let there: BTreeSet<String> = folders.iter().map(|folder| name(folder)).collect();
    for pin in settings.plugins.allow.allow.iter().filter(|pin| !there.contains(&pin.name)) {
        let text = format!("plugins.allow names '{}', which is not in {}", pin.name, root.display());
        checks.push(Check::warn(WHAT, text).fix("install it there, or remove the entry"));
    }
    if checks.is_empty() {
        checks.push(Check::ok(WHAT, format!("none in {}", root.display())));
    }
    checks
}

fn name(folder: &Path) -> String {
    folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn one(host: &PluginHost, folder: &Path) -> Check {
    match host.verify(folder) {
        Ok(verified) => {
            let (manifest, pin) = (&verified.manifest, &verified.pin);
            let digest = verified.sha256().get(..12).unwrap_or_default();
            let text = format!("{} {}, {}, sha256 {digest}…", manifest.name, manifest.version, pin.isolation.word());
            Check::ok(WHAT, text)
        }
        Err(refusal) if matches!(refusal.reason(), Reason::NotAllowed | Reason::WrongDigest) => {
            let fix =
                format!("if you trust it, put into plugins.allow what `candor plugin pin {}` says", folder.display());
            let mut check = refused(&refusal);
            check.text = format!("{}: {}", name(folder), check.text);
            check.fix(fix)
        }
        Err(refusal) => {
            let mut check = refused(&refusal);
            check.text = format!("{}: {}", name(folder), check.text);
            check
        }
    }
}

fn refused(refusal: &Refusal) -> Check {
    Check::from_error(WHAT, refusal.error()).warning()
}
