//! Finds plugins, verifies them, loads them, and loads them anew.
//!
//! ```text
//! plugin.toml ─► library's bytes ─► digest ─► allow-list ─► ELF ─► versions ─► place   nothing of the plugin runs
//!             ─► private copy ─► loader ─► tables ─► manifest agrees ─► init           from the loader on it does
//! ```
//! Every step may refuse, with a reason, and then the next is not taken. Before it comes the configuration; after it
//! come `plugin` and `instance`. It does not know what a plugin is used for.
#![allow(unsafe_code, reason = "calls a plugin's `init`")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use candor_domain::Clock;
use candor_plugin_abi as abi;

use crate::{
    allow::{AllowList, Pin},
    elf::{self, Inspected},
    file::{self, Library, Store},
    instance::Instance,
    library,
    manifest::{self, Manifest},
    negotiate::{self, Isolation},
    plugin::{Generation, Plugin},
    refusal::{Reason, Refusal, Verdict},
    services::{Age, HostTable, Services},
    tables::{self, CheckedModule},
    worker::{Isolated, WorkerProgram, WorkerSettings},
};

/// How plugins are hosted.
#[derive(Debug, Clone)]
pub struct HostSettings {
    /// Which may be loaded.
    pub allow: AllowList,
    /// The private folder of copies.
    pub store: PathBuf,
    /// How many libraries of one plugin may be mapped into this process.
    pub generations_max: usize,
}

impl HostSettings {
    /// How many libraries of one plugin may be mapped, unless told otherwise.
    pub const GENERATIONS_MAX: usize = 16;
}

/// A plugin of which everything is known and nothing has run.
#[derive(Debug)]
pub struct Verified {
    /// What its folder says.
    pub manifest: Manifest,
    /// What its library says.
    pub inspected: Inspected,
    /// How it may run.
    pub pin: Pin,
    library: Library,
}

impl Verified {
    /// The digest of its library.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.library.sha256
    }
}

/// Hosts plugins.
pub struct PluginHost {
    settings: HostSettings,
    store: OnceLock<Store>,
    services: Box<dyn Services>,
    age: Age,
    tables: Mutex<BTreeMap<String, HostTable>>,
    plugins: Mutex<BTreeMap<String, Arc<Plugin>>>,
    /// Held while a plugin is loaded: one at a time.
    loading: Mutex<()>,
}

impl PluginHost {
    /// A host without plugins. The private folder is opened when the first library is kept there.
    #[must_use]
    pub fn new(settings: HostSettings, services: Box<dyn Services>) -> Self {
        Self {
            settings,
            store: OnceLock::new(),
            services,
            age: Age::Today,
            tables: Mutex::default(),
            plugins: Mutex::default(),
            loading: Mutex::new(()),
        }
    }

    /// The same with tables of this age. Calls have their own: [`crate::CallContext::new_as`].
    #[must_use]
    pub fn aged(self, age: Age) -> Self {
        Self { age, ..self }
    }

    /// The private folder.
    fn store(&self) -> Verdict<&Store> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let store = Store::open(&self.settings.store)?;
        Ok(self.store.get_or_init(|| store))
    }

    /// The host's table for a plugin: one for each name, since tables are never given back.
    fn table(&self, name: &str) -> HostTable {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        *tables.entry(name.to_owned()).or_insert_with(|| HostTable::leak_as(self.services.of(name), self.age))
    }

    /// The folders below `root` that hold a manifest, by name.
    ///
    /// # Errors
    /// `File` when `root` cannot be listed.
    pub fn discover(root: &Path) -> Verdict<Vec<PathBuf>> {
        let refuse = |error: std::io::Error| Refusal::new(Reason::File, error.to_string()).at(root.display());
        let mut found = Vec::new();
        for entry in fs::read_dir(root).map_err(refuse)? {
            let path = entry.map_err(refuse)?.path();
            if path.join(manifest::FILE).is_file() {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }

    /// Everything that can be known of a plugin before it runs.
    ///
    /// # Errors
    /// The first reason against it.
    pub fn verify(&self, folder: &Path) -> Verdict<Verified> {
        let manifest = Manifest::read(folder)?;
        let path = manifest.library(folder);
        let place = |refusal: Refusal| refusal.or_at(path.display());
        let library = file::read(&path, self.settings.allow.dev)?;
        let pin = self.settings.allow.find(&manifest.name, &library.sha256).map_err(place)?;
        let inspected = elf::inspect(&library.bytes).map_err(place)?;
        negotiate::versions(&inspected.head).map_err(place)?;
        negotiate::place(&inspected, pin.isolation, &pin.libraries).map_err(place)?;
        Ok(Verified { manifest, inspected, pin, library })
    }

    /// Loads a plugin into this process.
    ///
    /// # Errors
    /// The first reason against it.
    pub fn load(&self, folder: &Path) -> Verdict<Arc<Plugin>> {
        self.load_verified(&self.verify(folder)?)
    }

    /// As [`Self::load`], of what has been verified.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn load_verified(&self, verified: &Verified) -> Verdict<Arc<Plugin>> {
        let _one = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if self.get(&verified.manifest.name).is_some() {
            let what = format!("{} is loaded already; load it anew instead", verified.manifest.name);
            return Err(Refusal::new(Reason::Manifest, what).at(&verified.manifest.name));
        }
        let generation = self.map(verified, 1)?;
        Ok(self.add(&verified.manifest.name, generation))
    }

    /// Loads a plugin anew, if its library changed: instances are made, tried and swapped, or all stays as it was.
    ///
    /// # Errors
    /// `NotAllowed` for a plugin that is not loaded; the first reason against the new library.
    pub fn reload(&self, folder: &Path, trial: &dyn Fn(&Instance) -> Verdict<()>) -> Verdict<Arc<Generation>> {
        self.reload_verified(&self.verify(folder)?, trial)
    }

    /// As [`Self::reload`], of what has been verified.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn reload_verified(
        &self,
        verified: &Verified,
        trial: &dyn Fn(&Instance) -> Verdict<()>,
    ) -> Verdict<Arc<Generation>> {
        let _one = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let name = &verified.manifest.name;
        let plugin = self.get(name);
        let plugin = plugin.ok_or_else(|| Refusal::new(Reason::NotAllowed, format!("{name} is not loaded")))?;
        let generation = match plugin.known(verified.sha256()) {
            Some(known) => known,
            None => {
                let generation = Arc::new(self.map(verified, plugin.room()?)?);
                plugin.remember(&generation);
                generation
            }
        };
        plugin.adopt(&generation, trial)?;
        Ok(generation)
    }

    /// Opens a component of a plugin in a process of its own. Nothing of the plugin runs in this one.
    ///
    /// # Errors
    /// The first reason against it, on either side.
    pub fn isolate(
        &self,
        folder: &Path,
        component: (&str, &str),
        program: WorkerProgram,
        settings: WorkerSettings,
        around: (Arc<dyn Services>, Arc<dyn Clock>),
    ) -> Verdict<Isolated> {
        let verified = self.verify(folder)?;
        let library = self.keep(&verified)?;
        Isolated::open((&verified, library), component, (program, settings), around, Arc::default())
    }

    /// The private copy of a verified library.
    ///
    /// # Errors
    /// `Store`.
    pub(crate) fn keep(&self, verified: &Verified) -> Verdict<PathBuf> {
        self.store()?.keep(&verified.library)
    }

    /// Takes a module that is compiled into this program.
    ///
    /// # Errors
    /// `Tables` and `Failed`.
    pub fn compiled_in(&self, name: &str, version: &str, module: &'static abi::Module) -> Verdict<Arc<Plugin>> {
        let _one = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        negotiate::versions(&tables::head(module))?;
        let module = tables::check(module)?;
        init(name, &module, self.table(name))?;
        Ok(self.add(name, Generation { number: 1, sha256: String::new(), version: version.to_owned(), module }))
    }

    /// The plugin of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Plugin>> {
        self.plugins.lock().unwrap_or_else(PoisonError::into_inner).get(name).map(Arc::clone)
    }

    /// All plugins, by name.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Plugin>> {
        self.plugins.lock().unwrap_or_else(PoisonError::into_inner).values().map(Arc::clone).collect()
    }

    fn add(&self, name: &str, generation: Generation) -> Arc<Plugin> {
        let plugin = Arc::new(Plugin::new(name, self.table(name), self.settings.generations_max, generation));
        let mut plugins = self.plugins.lock().unwrap_or_else(PoisonError::into_inner);
        plugins.insert(name.to_owned(), Arc::clone(&plugin));
        plugin
    }

    /// Maps a verified library into this process. From here on its code runs.
    fn map(&self, verified: &Verified, number: usize) -> Verdict<Generation> {
        let name = &verified.manifest.name;
        if verified.pin.isolation != Isolation::Inproc {
            return Err(Refusal::new(Reason::NeedsIsolation, format!("{name} is to run in a process of its own"))
                .at(name)
                .hint(
                    "this server loads plugins into its own process only: set isolation = \"in_process\" if you trust it",
                ));
        }
        let path = self.keep(verified)?;
        let place = |refusal: Refusal| refusal.or_at(name);
        let loaded = library::load(&path).map_err(place)?;
        let head = tables::head(loaded.module());
        if head != verified.inspected.head {
            return Err(Refusal::new(Reason::Tables, "the loaded module is not the one in the file")
                .at(name)
                .expected(format!("{:?}", verified.inspected.head))
                .got(format!("{head:?}")));
        }
        let module = tables::check(loaded.module()).map_err(place)?;
        tables::agree(&verified.manifest, &head, &module).map_err(place)?;
        init(name, &module, self.table(name))?;
        let (sha256, version) = (verified.library.sha256.clone(), verified.manifest.version.clone());
        tracing::info!(plugin = %name, version, sha256, generation = number, "plugin loaded");
        Ok(Generation { number, sha256, version, module })
    }
}

/// Calls `init` once for each library of the process.
pub(crate) fn init(name: &str, module: &CheckedModule, host: HostTable) -> Verdict<()> {
    static DONE: Mutex<BTreeSet<usize>> = Mutex::new(BTreeSet::new());
    let Some(init) = module.init else { return Ok(()) };
    let first = module.components.first().map_or(0, |component| std::ptr::from_ref(component.table).addr());
    let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
    if done.contains(&first) {
        return Ok(());
    }
    // SAFETY: a function of a checked module, called once and before anything else of it; the host lives for ever.
    let status = unsafe { init(host.raw()) };
    if status != abi::OK {
        let what = format!("its `init` failed ({})", abi::status_word(status));
        return Err(Refusal::new(Reason::Failed, what).at(name));
    }
    done.insert(first);
    Ok(())
}
