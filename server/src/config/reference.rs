//! docs/CONFIG.md, made from `config/default.toml`, and the configuration as it is in force.

use std::fmt::Write as _;

use super::{DEFAULTS, FLAGS, FOREIGN, Layers, Threads, env_name};

/// docs/CONFIG.md.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from(
        "# Configuration\n\n<!-- Written by `cargo xtask docs`; do not edit. The source is server/config/default.toml. -->\n\n\
         Values come from, later ones winning: the defaults below, the file given with `--config FILE`, environment\n\
         variables, flags of `candor serve`. Any key can be set with `--set KEY=VALUE`. Unknown keys are refused.\n\
         `candor config check` reports all problems at once; `candor config show` prints what is in force and who\n\
         set it. Sizes may be written as `\"64 MiB\"`.\n",
    );
    let (mut section, mut why) = (String::new(), String::new());
    for line in DEFAULTS.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut section);
            let _ = write!(
                text,
                "\n## {name}\n\n| key | default | environment | flag | meaning |\n|---|---|---|---|---|\n"
            );
            why.clear();
        } else if let Some(comment) = line.strip_prefix('#') {
            if !why.is_empty() {
                why.push(' ');
            }
            why.push_str(comment.trim());
        } else if let Some((key, default)) = line.split_once(" = ") {
            let key = format!("{section}.{key}");
            let flag = FLAGS.iter().find(|(_, known)| *known == key);
            let flag = flag.map_or("–".to_owned(), |(flag, _)| format!("`{flag}`"));
            let foreign = FOREIGN.iter().find(|(_, known)| *known == key);
            let foreign = foreign.map(|(name, _)| format!(", `{name}`")).unwrap_or_default();
            let env = env_name(&key);
            let _ = writeln!(text, "| `{key}` | `{default}` | `{env}`{foreign} | {flag} | {why} |");
            why.clear();
        }
    }
    text
}

/// Every key with its value in force and who set it.
#[must_use]
pub fn show(layers: &Layers) -> String {
    let mut text = String::new();
    let shares = Threads::of(layers).shares();
    for (key, entry) in layers.entries() {
        let assignment = format!("{key} = {}", entry.value);
        let share = shares.iter().find(|(of, ..)| *of == key && entry.value.as_integer() == Some(0));
        let share = share.map(|(_, count, why)| format!("; comes to {count}: {why}")).unwrap_or_default();
        let _ = writeln!(text, "{assignment:<52} # {}{share}", entry.source);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_stands_in_the_reference_with_a_meaning() {
        let text = reference();
        for (key, _) in Layers::default().entries() {
            let row = text.lines().find(|line| line.starts_with(&format!("| `{key}` "))).unwrap_or_default();
            let meaning = row.split(" | ").last().unwrap_or_default();
            assert!(meaning.len() > 20, "{key} is not explained: {row:?}");
        }
    }
}
