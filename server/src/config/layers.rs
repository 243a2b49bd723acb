//! Where each value comes from: defaults, file, environment, flags.

use std::{collections::BTreeMap, fmt, path::Path};

use toml::{Table, Value};

use super::{DEFAULTS, ENV_PREFIX, FLAGS, FOREIGN, env_name};

/// One value and who set it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The value.
    pub value: Value,
    /// Who set it.
    pub source: Source,
}

/// Who set a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody.
    Default,
    /// A configuration file.
    File(String),
    /// An environment variable.
    Environment(String),
    /// A flag.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(name) | Self::Environment(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(pub String);

/// Everything that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report(pub Vec<Problem>);

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0.len() == 1 { "problem" } else { "problems" };
        write!(f, "the configuration has {} {plural}:", self.0.len())?;
        self.0.iter().try_for_each(|Problem(text)| write!(f, "\n  {text}"))
    }
}

impl std::error::Error for Report {}

/// All values, by dotted key.
#[derive(Debug, Clone)]
pub struct Layers {
    entries: BTreeMap<String, Entry>,
    problems: Vec<Problem>,
    /// Things worth saying that are not wrong.
    pub warnings: Vec<String>,
}

impl Default for Layers {
    fn default() -> Self {
        let mut entries = BTreeMap::new();
        // A test parses the defaults, so they are a table.
        let table: Table = DEFAULTS.parse().unwrap_or_default();
        flatten("", &table, &mut |key, value| {
            entries.insert(key, Entry { value: value.clone(), source: Source::Default });
        });
        Self { entries, problems: Vec::new(), warnings: Vec::new() }
    }
}

fn flatten(prefix: &str, table: &Table, each: &mut dyn FnMut(String, &Value)) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(inner) => flatten(&key, inner, each),
            Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Array(_) => {
                each(key, value);
            }
        }
    }
}

impl Layers {
    /// Lays a configuration file over what there is.
    pub fn add_file(&mut self, path: &Path) {
        let shown = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return self.problem(format!("{shown}: cannot be read: {error}")),
        };
        match text.parse::<Table>() {
            Ok(table) => {
                let mut found = Vec::new();
                flatten("", &table, &mut |key, value| found.push((key, value.clone())));
                for (key, value) in found {
                    self.set(&key, value, Source::File(shown.clone()));
                }
            }
            Err(error) => self.problem(format!("{shown}: {}", error.to_string().trim_end().replace('\n', "\n    "))),
        }
    }

    /// Lays environment variables over what there is. Unknown ones that begin with `CANDOR_` are only
    /// worth a warning, because Kubernetes sets such for a service called candor.
    pub fn add_environment(&mut self, variables: impl Iterator<Item = (String, String)>) {
        let known: BTreeMap<String, String> = self.entries.keys().map(|key| (env_name(key), key.clone())).collect();
        let foreign = |name: &str| FOREIGN.iter().find(|(known, _)| *known == name).map(|(_, key)| *key);
        let (own, others): (Vec<_>, Vec<_>) = variables
            .filter(|(name, _)| name.starts_with(ENV_PREFIX) || foreign(name).is_some())
            .partition(|(name, _)| name.starts_with(ENV_PREFIX));
        for (name, text) in others {
            if let Some(key) = foreign(&name) {
                self.set_text(key, &text, Source::Environment(name));
            }
        }
        for (name, text) in own {
            match known.get(&name) {
                Some(key) => self.set_text(key, &text, Source::Environment(name)),
                None => {
                    let near =
                        closest(&name, ENV_PREFIX.len(), known.keys()).map(|near| format!("; did you mean {near}?"));
                    self.warnings.push(format!("{name} is no variable of Candor's{}", near.unwrap_or_default()));
                }
            }
        }
    }

    /// Lays one flag over what there is.
    pub fn add_flag(&mut self, flag: &str, text: &str) {
        match FLAGS.iter().find(|(known, _)| *known == flag) {
            Some((_, key)) => self.set_text(key, text, Source::Flag(flag.to_owned())),
            None => self.problem(format!("{flag} sets no key")),
        }
    }

    /// Lays a `key=value` of `--set` over what there is.
    pub fn add_assignment(&mut self, assignment: &str) {
        match assignment.split_once('=') {
            Some((key, text)) => self.set_text(key.trim(), text.trim(), Source::Flag("--set".to_owned())),
            None => self.problem(format!("--set {assignment}: expected KEY=VALUE, such as http.workers=2")),
        }
    }

    /// A value given as text takes the type of its key's default.
    fn set_text(&mut self, key: &str, text: &str, source: Source) {
        let value = match self.entries.get(key).map(|entry| &entry.value) {
            Some(Value::Integer(_)) => text.parse().map_or_else(|_| Value::String(text.to_owned()), Value::Integer),
            Some(Value::Float(_)) => text.parse().map_or_else(|_| Value::String(text.to_owned()), Value::Float),
            Some(Value::Boolean(_)) => text.parse().map_or_else(|_| Value::String(text.to_owned()), Value::Boolean),
            _ => Value::String(text.to_owned()),
        };
        self.set(key, value, source);
    }

    fn set(&mut self, key: &str, value: Value, source: Source) {
        match self.entries.get_mut(key) {
            Some(entry) => *entry = Entry { value, source },
            None => {
                let near = closest(key, 0, self.entries.keys());
                let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                self.problem(format!("{source}: {key}: unknown key{near}"));
            }
        }
    }

    pub(super) fn problem(&mut self, text: String) {
        self.problems.push(Problem(text));
    }

    /// The problems so far.
    pub(super) fn take_problems(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.problems)
    }

    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// All values in order of their keys.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(key, entry)| (key.as_str(), entry))
    }
}

/// What `wrong` was probably meant to be, apart from the first `same` bytes that all have: a word of which at most
/// a third is wrong.
fn closest<'a>(wrong: &str, same: usize, known: impl Iterator<Item = &'a String>) -> Option<&'a str> {
    let tail = |name: &str| name.get(same..).unwrap_or_default().to_owned();
    let wrong = tail(wrong);
    known
        .map(|key| (strsim::damerau_levenshtein(&wrong, &tail(key)), key.as_str()))
        .filter(|(edits, _)| *edits * 3 <= wrong.chars().count())
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, key)| key)
}
