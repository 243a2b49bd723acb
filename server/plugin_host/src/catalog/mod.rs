//! The plugins of a running server: which there are, in which state, and what models open of them.
//!
//! ```text
//! start:  built-in modules, then the folders with a plugin.toml, then names that are allowed and not there
//! each:   verified ─► looked at in a process of its own ─► loaded here, or left to processes of its own
//! reload: the same for the new library; instances are made, then all are swapped, or none
//! ```
//! A plugin that is turned down stands in the list with the reason, and the server goes on without it. Before it comes
//! the configuration; after it come models that open components, and doors that show the list.
//!
//! | module | what it does |
//! |---|---|
//! | `entry` | one plugin: what is known of it, and who uses it |
//! | `numbers` | what plugins tell for the metrics |
//! | `opened` | a component in use, wherever it runs |
//! | `overdue` | calls in this process that are late |

mod entry;
mod numbers;
mod opened;
mod overdue;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use candor_domain::{
    Clock, ComponentRequest, Components, OpenComponent, PluginView, Plugins,
    error::{Error, ErrorCode, Result},
    names::quoted,
};
use candor_plugin_abi as abi;

use crate::{
    host::{HostSettings, PluginHost, Verified},
    manifest::is_name,
    model_files,
    negotiate::Isolation,
    refusal::{Reason, Refusal, Verdict},
    services::Services,
    tables::{self, ComponentInfo},
    worker::{Around, Offer, Task, WorkerProgram, WorkerSettings, order},
};
use entry::{Entry, Running};
use numbers::{AllNumbers, Counted};
pub use opened::Opened;
pub(crate) use opened::signature;

/// Where plugins are, and how they are kept.
#[derive(Debug, Clone)]
pub struct CatalogSettings {
    /// The folder of plugins; nothing for those that are built in alone.
    pub folder: Option<PathBuf>,
    /// Which may be loaded, and where their copies are kept.
    pub host: HostSettings,
    /// The program that serves as their processes.
    pub worker: WorkerProgram,
    /// How long a process may take to be ready.
    pub start_max: Duration,
}

/// A module that is compiled into the server.
pub struct BuiltIn {
    /// Its plugin's name. Its version is that of its components.
    pub name: &'static str,
    /// Its table.
    pub module: &'static abi::Module,
}

/// The plugins of a running server.
pub struct Catalog {
    host: PluginHost,
    settings: CatalogSettings,
    services: Arc<dyn Services>,
    numbers: Arc<AllNumbers>,
    clock: Arc<dyn Clock>,
    entries: RwLock<BTreeMap<String, Arc<Entry>>>,
    /// What libraries turned out to offer, by their digest: each is looked at once.
    offers: Mutex<BTreeMap<String, Offer>>,
    /// Held while a plugin is loaded anew: one at a time.
    changing: Mutex<()>,
}

impl Catalog {
    /// Loads all that may be loaded. What may not, or fails, is listed with the reason.
    #[must_use]
    pub fn start(
        settings: CatalogSettings,
        built_in: &[BuiltIn],
        services: Arc<dyn Services>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let catalog = Self::empty(settings, services, clock);
        for one in built_in {
            let entry = Entry::built_in(one.name);
            let version =
                tables::check(one.module).ok().and_then(|module| Some(module.components.first()?.info.version.clone()));
            let version = version.unwrap_or_default();
            entry.settle(catalog.host.compiled_in(one.name, &version, one.module).map(|plugin| {
                let offer = Offer {
                    components: plugin.current().module.components.iter().map(|one| one.info.clone()).collect(),
                    build_info: plugin.current().module.build_info.clone(),
                };
                entry.built(version, plugin, offer);
            }));
            catalog.add(entry);
        }
        for entry in catalog.found() {
            entry.settle(catalog.load(&entry));
            catalog.add(entry);
        }
        catalog
    }

    fn empty(settings: CatalogSettings, services: Arc<dyn Services>, clock: Arc<dyn Clock>) -> Self {
        let numbers: Arc<AllNumbers> = Arc::default();
        let counted = Counted { inner: Box::new(services), all: Arc::clone(&numbers), own: Arc::default() };
        let services: Arc<dyn Services> = Arc::new(counted);
        Self {
            host: PluginHost::new(settings.host.clone(), Box::new(Arc::clone(&services))),
            settings,
            services,
            numbers,
            clock,
            entries: RwLock::default(),
            offers: Mutex::default(),
            changing: Mutex::new(()),
        }
    }

    /// As [`Self::start`], of one plugin of the folder and nothing else.
    #[must_use]
    pub fn of_one(settings: CatalogSettings, name: &str, services: Arc<dyn Services>, clock: Arc<dyn Clock>) -> Self {
        let catalog = Self::empty(settings, services, clock);
        let folder = catalog.settings.folder.as_ref().map(|folder| folder.join(name));
        let entry = Entry::in_folder(name, folder.unwrap_or_default());
        entry.settle(catalog.load(&entry));
        catalog.add(entry);
        catalog
    }

    fn add(&self, entry: Entry) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        // A folder cannot take the place of what is built in.
        entries.entry(entry.name().to_owned()).or_insert_with(|| Arc::new(entry));
    }

    fn entry(&self, name: &str) -> Option<Arc<Entry>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).get(name).map(Arc::clone)
    }

    fn all(&self) -> Vec<Arc<Entry>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).values().map(Arc::clone).collect()
    }

    /// The plugins of the folder, and those that are allowed and not there.
    fn found(&self) -> Vec<Entry> {
        let Some(root) = &self.settings.folder else { return Vec::new() };
        let mut found = Vec::new();
        let folders = PluginHost::discover(root).unwrap_or_else(|refusal| {
            tracing::error!("the folder of plugins cannot be listed: {}", refusal.error());
            Vec::new()
        });
        for folder in folders {
            if let Some(name) = folder.file_name().and_then(|name| name.to_str()) {
                found.push(Entry::in_folder(name, folder.clone()));
            }
        }
        for pin in &self.settings.host.allow.allow {
            if !found.iter().any(|entry| entry.name() == pin.name) {
                found.push(Entry::in_folder(&pin.name, root.join(&pin.name)));
            }
        }
        found
    }

    fn view(&self, entry: &Entry) -> PluginView {
        entry.view(&*self.clock, &self.numbers.of(entry.name()))
    }

    /// Verifies a plugin, looks at it, and loads it if it is to run here.
    fn load(&self, entry: &Entry) -> Verdict<()> {
        let verified = self.host.verify(entry.folder()?).inspect_err(|_| self.describe(entry))?;
        let offer = self.look(&verified)?;
        let running = match verified.pin.isolation {
            Isolation::Inproc => Running::Here(self.host.load_verified(&verified)?),
            Isolation::Process => Running::Apart,
        };
        let pinned = self.is_pinned(&verified);
        tracing::info!(
            plugin = entry.name(),
            sha256 = verified.sha256(),
            place = verified.pin.isolation.word(),
            pinned,
            "plugin ready"
        );
        entry.ready(verified, offer, running, pinned);
        Ok(())
    }

    fn is_pinned(&self, verified: &Verified) -> bool {
        let pins = &self.settings.host.allow.allow;
        pins.iter().any(|pin| pin.name == verified.manifest.name && pin.sha256.eq_ignore_ascii_case(verified.sha256()))
    }

    /// What can be told of a plugin that was turned down.
    fn describe(&self, entry: &Entry) {
        let manifest = entry.folder().and_then(crate::manifest::Manifest::read);
        if let Ok(manifest) = manifest {
            entry.declared(manifest);
        }
    }

    /// The first contact with a library: in a process of its own, which ends afterwards.
    fn look(&self, verified: &Verified) -> Verdict<Offer> {
        let mut offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
        let agreed = |offer: &Offer| {
            let agreed = tables::agree_on(&verified.manifest, offer.components.iter());
            agreed.map_err(|refusal| refusal.or_at(&verified.manifest.name))
        };
        if let Some(offer) = offers.get(verified.sha256()) {
            agreed(offer)?;
            return Ok(offer.clone());
        }
        let settings = self.worker_settings(verified);
        let library = self.host.keep(verified)?;
        let order = order(verified, library, Task::Look, &settings);
        let name = verified.manifest.name.clone();
        let services = Arc::from(self.services.of(&name));
        let around = Around { name, program: self.settings.worker.clone(), settings, services };
        let offer = around.look(&order)?;
        agreed(&offer)?;
        offers.insert(verified.sha256().to_owned(), offer.clone());
        Ok(offer)
    }

    fn worker_settings(&self, verified: &Verified) -> WorkerSettings {
        let pin = &verified.pin;
        WorkerSettings {
            deadline: Duration::from_millis(pin.deadline_ms),
            start: self.settings.start_max,
            memory_bytes: pin.memory_mb.saturating_mul(1 << 20),
            workers_max: usize::try_from(pin.instances_max).unwrap_or(1),
            ..WorkerSettings::default()
        }
    }

    /// Takes a component into use: by its id, or as `plugin/id` where two plugins offer one id. What is built in goes
    /// before what lies in a folder.
    ///
    /// # Errors
    /// `InvalidModel` where two plugins offer it; `NotFound` for what no plugin offers, with the reason if one that would is not ready; what the plugin says
    /// against the configuration.
    pub fn take(&self, asked: &str, config_json: &str) -> Result<Arc<Opened>> {
        let (entry, info) = self.offering(asked)?;
        let opened = Opened::open(self, &entry, &info.id, config_json);
        opened.map_err(|refusal| refusal.error().clone().with_code(ErrorCode::InvalidModel))
    }

    /// Who offers a component.
    fn offering(&self, asked: &str) -> Result<(Arc<Entry>, ComponentInfo)> {
        let (plugin, id) = asked.split_once('/').map_or((None, asked), |(plugin, id)| (Some(plugin), id));
        let entries = self.all();
        let of = entries.iter().filter(|entry| plugin.is_none_or(|plugin| plugin == entry.name()));
        let mut found: Vec<_> = of.filter_map(|entry| Some((Arc::clone(entry), entry.component(id)?))).collect();
        // A plugin cannot take the place of what is built in, nor one that of another.
        let at = found.iter().position(|(entry, _)| entry.is_built_in()).unwrap_or(0);
        let is_clear = found.len() < 2 || found.iter().any(|(entry, _)| entry.is_built_in());
        if !is_clear {
            let each: Vec<String> = found.iter().map(|(entry, _)| format!("{}/{id}", entry.name())).collect();
            let error = Error::new(ErrorCode::InvalidModel, "several plugins offer this component");
            return Err(error.at(format!("component {asked}")).expected(format!("one of {}", each.join(", "))));
        }
        if found.is_empty() { Err(nowhere(asked, id, &entries)) } else { Ok(found.swap_remove(at)) }
    }

    /// Loads a plugin anew that is ready.
    fn renew(&self, entry: &Entry) -> Verdict<()> {
        let verified = self.host.verify(entry.folder()?)?;
        let offer = self.look(&verified)?;
        let here = matches!(entry.running(), Running::Here(_));
        if here != (verified.pin.isolation == Isolation::Inproc) {
            let what = "its new library is pinned to run elsewhere than the old one";
            return Err(Refusal::new(Reason::NeedsIsolation, what).at(entry.name()).hint("restart the server"));
        }
        let _turn = entry.swapping();
        if here {
            let generation = self.host.reload_verified(&verified, &|_| Ok(()))?;
            tracing::info!(plugin = entry.name(), generation = generation.number, "plugin loaded anew");
        } else {
            let library = self.host.keep(&verified)?;
            let missing = |id: &str| !offer.components.iter().any(|component| component.id == id);
            let mut prepared = Vec::new();
            for opened in entry.in_use() {
                if missing(opened.id()) {
                    let what = format!("component {} is in use, and not there any more", opened.id());
                    return Err(Refusal::new(Reason::Tables, what).at(entry.name()));
                }
                if let Some(isolated) = opened.isolated() {
                    prepared.push((Arc::clone(isolated), isolated.prepare(&verified, library.clone())?));
                }
            }
            for (isolated, ready) in prepared {
                isolated.swap(ready);
            }
        }
        let pinned = self.is_pinned(&verified);
        entry.renewed(verified, offer, pinned);
        Ok(())
    }

    /// The plugin of this name, looked for in the folder too: it may have been installed since the start.
    fn known(&self, name: &str) -> Option<Arc<Entry>> {
        if let Some(entry) = self.entry(name) {
            return Some(entry);
        }
        let folder = self.settings.folder.as_ref()?.join(name);
        if !is_name(name, "-_") || !folder.join(crate::manifest::FILE).is_file() {
            return None;
        }
        self.add(Entry::in_folder(name, folder));
        self.entry(name)
    }
}

/// Why nobody offers a component.
fn nowhere(asked: &str, id: &str, entries: &[Arc<Entry>]) -> Error {
    let error = |what: String| Error::new(ErrorCode::NotFound, what).at(format!("component {asked}"));
    if let Some((entry, why)) = entries.iter().find_map(|entry| Some((entry, entry.would_offer(id)?))) {
        return error(format!("the plugin {} offers it and is not ready: {why}", entry.name()));
    }
    let all: Vec<String> = entries.iter().flat_map(|entry| entry.offered()).collect();
    let there = if all.is_empty() { "no plugin at all".to_owned() } else { all.join(", ") };
    error("no plugin offers it".to_owned()).expected(there).hint("GET /api/v1/plugins says what each plugin offers")
}

impl Components for Catalog {
    fn open(&self, wanted: ComponentRequest<'_>) -> Result<OpenComponent> {
        let (entry, info) = self.offering(wanted.id)?;
        if !info.kinds.iter().any(|kind| kind == wanted.kind.word()) {
            let what = format!("the component {} is no {}", info.id, wanted.kind);
            return Err(Error::new(ErrorCode::Unsupported, what)
                .at(format!("plugin {}", entry.name()))
                .got(info.kinds.join(", ")));
        }
        let read = |file: &str| wanted.files.read(file);
        let config_json = model_files::filled(&info.config_schema, wanted.config_json, &read)?;
        let component = self.take(wanted.id, &config_json)?;
        let signature = component.signature();
        let signature = signature.map_err(|refusal| refusal.error().clone().with_code(ErrorCode::InvalidModel))?;
        let (inline, deterministic) = (component.is_inline(), component.is_deterministic());
        Ok(OpenComponent { component, signature, inline, deterministic })
    }
}

impl Plugins for Catalog {
    fn plugins(&self) -> Vec<PluginView> {
        self.all().iter().map(|entry| self.view(entry)).collect()
    }

    fn plugin(&self, name: &str) -> Option<PluginView> {
        self.entry(name).map(|entry| self.view(&entry))
    }

    fn reload(&self, name: &str) -> Result<PluginView> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let unknown = || {
            Error::new(ErrorCode::NotFound, format!("there is no plugin {}", quoted(name)))
                .hint("GET /api/v1/plugins lists those that there are")
        };
        let entry = self.known(name).ok_or_else(unknown)?;
        // What is built in stays as it is, and nothing was attempted.
        entry.folder().map_err(|refusal| refusal.error().clone())?;
        let done = if entry.is_ready() { self.renew(&entry) } else { self.load(&entry) };
        entry.settle(done.clone());
        done.map_err(|refusal| {
            let code = if refusal.reason().has_run() { ErrorCode::EngineFailed } else { ErrorCode::Unsupported };
            refusal.error().clone().with_code(code).with_suffix(&format!(" ({})", refusal.reason().word()))
        })?;
        Ok(self.view(&entry))
    }
}
