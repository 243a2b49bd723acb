//! Which plugins may be loaded: a list of names with the digest of the library, and how each may run.
//!
//! Nothing that is not listed is loaded, unless `dev = true`, which is for a plugin's author at home. It does not read
//! files; the configuration hands it over.

use serde::Deserialize;

use crate::{
    negotiate::Isolation,
    refusal::{Reason, Refusal, Verdict},
};

/// The plugins that may be loaded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AllowList {
    /// Loads also what is not listed, in a process of its own, whoever may write the file.
    pub dev: bool,
    /// The list.
    pub allow: Vec<Pin>,
}

/// One plugin that may be loaded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// Its name.
    pub name: String,
    /// The digest of its library, in hex.
    pub sha256: String,
    /// Where it runs.
    #[serde(default)]
    pub isolation: Isolation,
    /// Libraries that it may need besides the system's.
    #[serde(default)]
    pub libraries: Vec<String>,
    /// How many processes a component in use may have: so many calls at the same time.
    #[serde(default = "instances_max")]
    pub instances_max: u64,
    /// How long a call may take.
    #[serde(default = "deadline_ms")]
    pub deadline_ms: u64,
    /// How much memory each process may use.
    #[serde(default = "memory_mb")]
    pub memory_mb: u64,
}

impl Pin {
    /// Processes of a component in use, unless told otherwise.
    pub const INSTANCES_MAX: u64 = 1;
    /// Milliseconds of a call, unless told otherwise.
    pub const DEADLINE_MS: u64 = 1_000;
    /// Megabytes of a process, unless told otherwise.
    pub const MEMORY_MB: u64 = 1_024;

    /// A pin that leaves everything else as it is without one.
    #[must_use]
    pub fn of(name: &str, sha256: &str) -> Self {
        Self {
            name: name.to_owned(),
            sha256: sha256.to_owned(),
            instances_max: instances_max(),
            deadline_ms: deadline_ms(),
            memory_mb: memory_mb(),
            ..Self::default()
        }
    }
}

const fn instances_max() -> u64 {
    Pin::INSTANCES_MAX
}

const fn deadline_ms() -> u64 {
    Pin::DEADLINE_MS
}

const fn memory_mb() -> u64 {
    Pin::MEMORY_MB
}

impl AllowList {
    /// The pin of a plugin with this digest.
    ///
    /// # Errors
    /// `NotAllowed` when it is not listed, `WrongDigest` when it is and is another file.
    pub fn find(&self, name: &str, sha256: &str) -> Verdict<Pin> {
        let named = || self.allow.iter().filter(|pin| pin.name == name);
        if let Some(pin) = named().find(|pin| pin.sha256.eq_ignore_ascii_case(sha256)) {
            return Ok(pin.clone());
        }
        if self.dev {
            let listed = named().next().cloned().unwrap_or_else(|| Pin::of(name, sha256));
            return Ok(Pin { sha256: sha256.to_owned(), ..listed });
        }
        let entry = format!("add {{ name = \"{name}\", sha256 = \"{sha256}\" }} to plugins.allow if you trust it");
        match named().next() {
            None => {
                Err(Refusal::new(Reason::NotAllowed, format!("nobody has allowed the plugin `{name}`")).hint(entry))
            }
            Some(pin) => Err(Refusal::new(Reason::WrongDigest, format!("`{name}` is not the file that was pinned"))
                .expected(pin.sha256.clone())
                .got(sha256.to_owned())
                .hint(format!("find out who changed it; {entry}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> AllowList {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn only_what_is_listed_is_found_and_by_its_digest() {
        let allow =
            list("allow = [{ name = 'a', sha256 = 'AB', isolation = 'in_process' }, { name = 'a', sha256 = 'cd' }]");
        assert_eq!(allow.find("a", "ab").unwrap().isolation, Isolation::Inproc);
        assert_eq!(allow.find("a", "cd").unwrap().isolation, Isolation::Process);
        assert_eq!(allow.find("a", "ef").unwrap_err().reason(), Reason::WrongDigest);
        let refusal = allow.find("b", "ab").unwrap_err();
        assert_eq!(refusal.reason(), Reason::NotAllowed);
        assert!(refusal.to_string().contains("add { name = \"b\", sha256 = \"ab\" } to plugins.allow"), "{refusal}");
    }

    #[test]
    fn dev_finds_everything_and_keeps_how_it_runs() {
        let allow = list("dev = true\nallow = [{ name = 'a', sha256 = 'ab', isolation = 'in_process' }]");
        assert_eq!(allow.find("b", "00").unwrap(), Pin::of("b", "00"));
        assert_eq!(allow.find("b", "00").unwrap().isolation, Isolation::Process);
        assert_eq!(allow.find("a", "00").unwrap().isolation, Isolation::Inproc);
        assert!(!AllowList::default().dev);
        toml::from_str::<AllowList>("allowed = []").unwrap_err();
    }
}
