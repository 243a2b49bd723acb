//! `[plugins]`: where plugins are, which of them may be loaded, and how each is kept.
//!
//! Every entry of the list is checked here, so that a mistyped digest is found by `config check` and not by a model
//! that lacks its plugin.

use std::{path::PathBuf, time::Duration};

use candor_plugin_host::{AllowList, Pin, WorkerProgram, manifest};
use toml::{Table, Value};

use super::settings::{DAY_MS, Reader};

/// Where plugins are, and which may be loaded.
#[derive(Debug, Clone)]
pub struct PluginSettings {
    /// The folder of plugins.
    pub folder: Option<PathBuf>,
    /// Which may be loaded.
    pub allow: AllowList,
    /// The private folder of copies, if one is named.
    pub state_folder: Option<PathBuf>,
    /// How many libraries of one plugin may be mapped into the server.
    pub generations_max: usize,
    /// How long a process may take to be ready.
    pub start_max: Duration,
    /// The program that serves as their processes: this one. No key, because another could not be one.
    pub worker: WorkerProgram,
}

const LIST: &str = "plugins.allow";

impl PluginSettings {
    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        let allow = read_allow(read);
        Self {
            folder: read.path("plugins.folder"),
            allow: AllowList { dev: read.boolean("plugins.dev"), allow },
            state_folder: read.path("plugins.state_folder"),
            generations_max: read.size("plugins.generations_max", 1..=10_000),
            start_max: Duration::from_millis(read.whole("plugins.start_ms_max", 1..=DAY_MS)),
            // Not by its path, at which a newer one may stand by then.
            worker: WorkerProgram { program: "/proc/self/exe".into(), arguments: vec!["plugin-worker".to_owned()] },
        }
    }
}

fn read_allow(read: &mut Reader<'_>) -> Vec<Pin> {
    // From the environment and from flags it comes as text.
    let value = match read.value(LIST) {
        Value::String(text) => {
            format!("list = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("list"))
        }
        other @ (Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_)
        | Value::Array(_)
        | Value::Table(_)) => Some(other),
    };
    let Some(Value::Array(entries)) = value else {
        read.complain(LIST, "must be a list: [{ name = \"…\", sha256 = \"…\" }]");
        return Vec::new();
    };
    let mut pins: Vec<Pin> = Vec::with_capacity(entries.len());
    for (at, entry) in entries.into_iter().enumerate() {
        match entry.try_into::<Pin>().map_err(|error| error.to_string().trim().replace('\n', " ")).and_then(checked) {
            Err(what) => read.complain(LIST, format_args!("entry {}: {what}", at + 1)),
            Ok(pin) if pins.iter().any(|other| other.name == pin.name && other.sha256 == pin.sha256) => {
                read.complain(LIST, format_args!("entry {}: {} stands there twice with one digest", at + 1, pin.name));
            }
            Ok(pin) => pins.push(pin),
        }
    }
    pins
}

fn checked(pin: Pin) -> Result<Pin, String> {
    if !manifest::is_name(&pin.name, "-_") {
        return Err(format!("name = {:?} is no plugin's name: a letter, then letters, digits, `-` and `_`", pin.name));
    }
    if pin.sha256.len() != 64 || !pin.sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(format!("sha256 = {:?} must have 64 hexadecimal digits", pin.sha256));
    }
    for (key, value, most) in [
        ("instances_max", pin.instances_max, 64),
        ("deadline_ms", pin.deadline_ms, DAY_MS),
        ("memory_mb", pin.memory_mb, 1 << 20),
    ] {
        if !(1..=most).contains(&value) {
            return Err(format!("{key} = {value} must be a whole number from 1 to {most}"));
        }
    }
    Ok(Pin { sha256: pin.sha256.to_ascii_lowercase(), ..pin })
}

#[cfg(test)]
mod tests {
    use candor_plugin_host::Isolation;

    use super::super::{Layers, Settings};
    use super::*;

    fn read(assignments: &[&str]) -> Result<PluginSettings, String> {
        let mut layers = Layers::default();
        assignments.iter().for_each(|assignment| layers.add_assignment(assignment));
        Settings::read(&mut layers).map(|settings| settings.plugins).map_err(|report| report.to_string())
    }

    #[test]
    fn without_a_word_nothing_is_loaded() {
        let settings = read(&[]).unwrap();
        assert_eq!((settings.folder, settings.allow), (None, AllowList::default()));
    }

    #[test]
    fn a_list_comes_from_a_file_or_as_text() {
        let digest = "ab".repeat(32);
        let entry = format!(
            "[{{ name = 'a', sha256 = '{}', isolation = 'in_process', deadline_ms = 5 }}]",
            digest.to_uppercase()
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("[plugins]\nfolder = 'p'\nallow = {entry}\n")).unwrap();
        let mut layers = Layers::default();
        layers.add_file(file.path());
        let from_file = Settings::read(&mut layers).unwrap().plugins;
        let as_text = read(&[&format!("plugins.allow={entry}")]).unwrap();
        assert_eq!(from_file.allow, as_text.allow);
        let pin = &as_text.allow.allow[0];
        assert_eq!((pin.isolation, pin.deadline_ms, pin.instances_max), (Isolation::Inproc, 5, Pin::INSTANCES_MAX));
        assert_eq!(pin.sha256, digest);
        assert_eq!(from_file.folder, Some("p".into()));
    }

    #[test]
    fn what_is_wrong_with_an_entry_is_said_with_its_number() {
        let digest = "ab".repeat(32);
        let good = format!("{{ name = 'a', sha256 = '{digest}' }}");
        for (entry, says) in [
            ("{ name = 'a' }".to_owned(), "entry 2: missing field `sha256`"),
            ("{ name = 'a', sha256 = 'ab' }".to_owned(), "entry 2: sha256 = \"ab\" must have 64"),
            (format!("{{ name = '../a', sha256 = '{digest}' }}"), "entry 2: name = \"../a\" is no plugin's name"),
            (format!("{{ name = 'a', sha256 = '{digest}', isolation = 'maybe' }}"), "entry 2: unknown variant `maybe`"),
            (
                format!("{{ name = 'a', sha256 = '{digest}', memory_mb = 0 }}"),
                "memory_mb = 0 must be a whole number from 1",
            ),
            (format!("{{ name = 'a', sha256 = '{digest}', path = '/x' }}"), "unknown field `path`"),
            (good.clone(), "entry 2: a stands there twice"),
        ] {
            let report = read(&[&format!("plugins.allow=[{good}, {entry}]")]).unwrap_err();
            assert!(report.contains(says), "{report}\nlacks: {says}");
        }
        assert!(read(&["plugins.allow=all"]).unwrap_err().contains("must be a list"));
    }
}
