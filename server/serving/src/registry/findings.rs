//! `findings.json`: what a load found out about a file that took long to find out, kept over restarts.
//!
//! Whether its golden pairs passed, what a row costs, whether rows of a batch are answered as each alone. All of it
//! follows from the file, its golden pairs, the engine and the machine, and is looked up by those. It is a memory and no
//! source of truth: what is not known is found out again.

use std::{
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

use crate::{
    batching::{Invariance, Probe},
    engines::EngineId,
    kept,
};

/// What took less is found out again at each load.
pub(super) const WORTH_NANOS: u64 = 20_000_000;
/// Most entries; those that have not been used for longest go first.
const ENTRIES_MAX: usize = 10_000;
/// Largest file that is read. Written ones are smaller: an entry is well below 1 KiB.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Where findings are kept, and what decides whether they still hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingsSettings {
    /// The file.
    pub path: PathBuf,
    /// The processor, and how many threads a run has.
    pub machine: String,
    /// How long golden pairs may take at a load from a copy, where they have all passed before; the first one is run
    /// in any case.
    pub golden_nanos: u64,
}

/// What something was found out of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Subject {
    /// sha256 of the model file.
    pub(super) sha256: String,
    /// sha256 of its golden pairs, all of which have passed; empty without any.
    pub(super) golden_sha256: String,
    pub(super) engine: EngineId,
    pub(super) machine: String,
    /// Most rows that may be put together.
    pub(super) rows_max: u64,
}

/// What was found out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Finding {
    pub(super) row_nanos: Option<u64>,
    invariance: Kind,
    points: Vec<(u64, u64)>,
}

/// As [`Invariance`], in a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    BitEqual,
    Near(f64),
    Apart(f64),
    NotMeasured(String),
}

impl Finding {
    pub(super) fn new(row_nanos: Option<u64>, probe: &Probe) -> Self {
        let invariance = match &probe.invariance {
            Invariance::BitEqual => Kind::BitEqual,
            Invariance::Near(difference) => Kind::Near(*difference),
            Invariance::Apart(difference) => Kind::Apart(*difference),
            Invariance::NotMeasured(why) => Kind::NotMeasured(why.clone()),
        };
        Self { row_nanos, invariance, points: probe.points.clone() }
    }

    pub(super) fn probe(&self) -> Probe {
        let invariance = match &self.invariance {
            Kind::BitEqual => Invariance::BitEqual,
            Kind::Near(difference) => Invariance::Near(*difference),
            Kind::Apart(difference) => Invariance::Apart(*difference),
            Kind::NotMeasured(why) => Invariance::NotMeasured(why.clone()),
        };
        Probe { invariance, points: self.points.clone() }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    of: Subject,
    found: Finding,
}

#[derive(Default, Serialize, Deserialize)]
struct Kept {
    findings: Vec<Entry>,
}

/// The memory. Behind the others stands what was used last.
pub(super) struct Findings {
    settings: Option<FindingsSettings>,
    inner: Mutex<(Kept, bool)>,
}

impl Findings {
    /// Reads what there is; without settings nothing is remembered.
    pub(super) fn open(settings: Option<FindingsSettings>) -> Self {
        let read = |settings: &FindingsSettings| {
            let text = kept::read(&settings.path, FILE_BYTES_MAX)?;
            text.map_or_else(|| Ok(Kept::default()), |text| Ok(serde_json::from_str(&text)?))
        };
        let all = settings.as_ref().map_or_else(Kept::default, |settings| {
            read(settings).unwrap_or_else(|error: std::io::Error| {
                tracing::warn!("{} is not read and will be written anew: {error}", settings.path.display());
                Kept::default()
            })
        });
        Self { settings, inner: Mutex::new((all, false)) }
    }

    pub(super) fn settings(&self) -> Option<&FindingsSettings> {
        self.settings.as_ref()
    }

    fn lock(&self) -> MutexGuard<'_, (Kept, bool)> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn of(&self, subject: &Subject) -> Option<Finding> {
        let mut inner = self.lock();
        let place = inner.0.findings.iter().position(|entry| entry.of == *subject)?;
        let entry = inner.0.findings.remove(place);
        let found = entry.found.clone();
        inner.0.findings.push(entry);
        Some(found)
    }

    pub(super) fn remember(&self, of: Subject, found: Finding) {
        if self.settings.is_none() {
            return;
        }
        let mut inner = self.lock();
        inner.0.findings.retain(|entry| entry.of != of);
        inner.0.findings.push(Entry { of, found });
        let surplus = inner.0.findings.len().saturating_sub(ENTRIES_MAX);
        inner.0.findings.drain(..surplus);
        inner.1 = true;
    }

    /// Writes what is new; a round of loads is over.
    pub(super) fn save(&self) {
        let mut inner = self.lock();
        let Some(settings) = self.settings.as_ref().filter(|_| inner.1) else { return };
        inner.1 = false;
        let text = serde_json::to_string_pretty(&inner.0).map_err(std::io::Error::from);
        if let Err(error) = text.and_then(|text| kept::write(&settings.path, &text)) {
            tracing::warn!("{} cannot be written: {error}", settings.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn subject(sha256: &str) -> Subject {
        Subject {
            sha256: sha256.to_owned(),
            golden_sha256: String::new(),
            engine: EngineId { name: "ort".to_owned(), version: "1".to_owned() },
            machine: "here".to_owned(),
            rows_max: 64,
        }
    }

    fn open(path: &std::path::Path) -> Findings {
        Findings::open(Some(FindingsSettings { path: path.to_path_buf(), machine: "here".to_owned(), golden_nanos: 0 }))
    }

    #[test]
    fn what_was_found_is_known_after_a_restart_for_the_same_subject_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("findings.json");
        let kinds = [
            Invariance::BitEqual,
            Invariance::Near(1e-7),
            Invariance::Apart(0.5),
            Invariance::NotMeasured("why".to_owned()),
        ];
        let first = open(&path);
        for (at, invariance) in kinds.iter().enumerate() {
            let probe = Probe { invariance: invariance.clone(), points: vec![(1, 7), (8, 9)] };
            first.remember(subject(&at.to_string()), Finding::new(Some(5), &probe));
        }
        first.save();
        let second = open(&path);
        for (at, invariance) in kinds.iter().enumerate() {
            let found = second.of(&subject(&at.to_string())).unwrap();
            assert_eq!((found.row_nanos, &found.probe().invariance), (Some(5), invariance));
            assert_eq!(found.probe().points, [(1, 7), (8, 9)]);
        }
        assert_eq!(second.of(&Subject { machine: "there".to_owned(), ..subject("0") }), None);
        assert_eq!(second.of(&Subject { golden_sha256: "x".to_owned(), ..subject("0") }), None);
        assert_eq!(second.of(&Subject { rows_max: 2, ..subject("0") }), None);
    }

    #[test]
    fn what_cannot_be_read_is_found_out_again_and_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("findings.json");
        let probe = Probe::none("why");
        for broken in ["", "{", "[]", "{\"findings\": [{}]}"] {
            fs::write(&path, broken).unwrap();
            let findings = open(&path);
            assert_eq!(findings.of(&subject("a")), None, "{broken}");
            findings.remember(subject("a"), Finding::new(None, &probe));
            findings.save();
            assert!(open(&path).of(&subject("a")).is_some());
        }
        let nothing = Findings::open(None);
        nothing.remember(subject("a"), Finding::new(None, &probe));
        nothing.save();
        assert_eq!(nothing.of(&subject("a")), None);
    }
}
