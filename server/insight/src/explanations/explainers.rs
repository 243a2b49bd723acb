//! Components that are open, by version, name and configuration.
//!
//! Opening one may read and fold a large graph, so it is done once: also a refusal is kept, because `auto` asks for it
//! again and again. What belongs to a version that has left memory goes with it; beyond the bound, what was not used for
//! longest goes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use candor_domain::{Component, ComponentKind, ComponentRequest, Components, Error, Result};

use super::Subject;

/// Open components.
pub(crate) struct Explainers {
    max: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    uses: u64,
    entries: HashMap<Key, Entry>,
}

/// Which component: its version's digest, its name and its configuration.
type Key = (String, String, String);

struct Entry {
    opened: Result<Arc<dyn Component>>,
    life: Weak<()>,
    used: u64,
}

impl Explainers {
    pub(crate) fn new(max: usize) -> Self {
        Self { max: max.max(1), open: Mutex::default() }
    }

    /// The component of this name and configuration for a version; opened if need be.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn get(
        &self,
        components: &dyn Components,
        subject: &dyn Subject,
        id: &str,
        config: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Arc<dyn Component>> {
        let config_json = serde_json::Value::Object(config.clone()).to_string();
        let about = subject.about();
        let whose = format!("{}/{}/{}", about.model, about.version, about.sha256);
        let key = (whose, id.to_owned(), config_json);
        if let Some(known) = self.known(&key) {
            return known;
        }
        // Opened without the lock: others explain meanwhile. Two who are first at the same time both open it.
        let files = subject.files();
        let wanted =
            ComponentRequest { id, kind: ComponentKind::Explainer, config_json: &key.2, files: &files, given: &[] };
        let opened = components.open(wanted).map(|opened| opened.component);
        // What may be otherwise in a moment is not kept.
        let is_final = match &opened {
            Ok(_) => true,
            Err(error) => is_final(error),
        };
        if is_final {
            self.keep(key, opened.clone(), subject.life());
        }
        opened
    }

    fn known(&self, key: &Key) -> Option<Result<Arc<dyn Component>>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.uses += 1;
        let uses = open.uses;
        let entry = open.entries.get_mut(key).filter(|entry| entry.life.strong_count() > 0)?;
        entry.used = uses;
        Some(entry.opened.clone())
    }

    fn keep(&self, key: Key, opened: Result<Arc<dyn Component>>, life: Weak<()>) {
        let mut gone = Vec::new();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let used = open.uses;
        open.entries.insert(key, Entry { opened, life, used });
        sweep(&mut open.entries, &mut gone);
        while open.entries.len() > self.max {
            let oldest = open.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone());
            gone.extend(oldest.and_then(|oldest| open.entries.remove(&oldest)));
        }
        drop(open);
        // Components are freed when nobody waits for the lock.
        drop(gone);
    }

    /// Forgets what belongs to versions that have gone.
    pub(crate) fn sweep(&self) {
        let mut gone = Vec::new();
        sweep(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner).entries, &mut gone);
        drop(gone);
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.entries.values().filter(|entry| entry.opened.is_ok()).count()
    }
}

fn sweep(entries: &mut HashMap<Key, Entry>, gone: &mut Vec<Entry>) {
    let dead: Vec<Key> =
        entries.iter().filter(|(_, entry)| entry.life.strong_count() == 0).map(|(key, _)| key.clone()).collect();
    gone.extend(dead.into_iter().filter_map(|key| entries.remove(&key)));
}

/// Whether asking again would say the same.
fn is_final(error: &Error) -> bool {
    use candor_domain::ErrorCode;
    matches!(
        error.code(),
        ErrorCode::InvalidModel | ErrorCode::Unsupported | ErrorCode::InvalidInput | ErrorCode::TooLarge
    )
}
