//! A registry for who looks at models on the command line. It serves nobody.

use std::sync::Arc;

use candor_domain::{Clock, Components, Result};
use candor_plugin_host::Catalog;
use candor_serving::{CrossCheckSettings, Registry, RegistrySettings, Repository};

use super::{engines, no_thread, told::registry_settings};
use crate::{clock::SystemClock, config::Settings, plugins};

/// For who looks at models on the command line: engines with all that models may be made of, components of plugins and
/// other models of the repository, which are loaded when somebody wants them.
pub(crate) struct Workshop<'a> {
    settings: &'a Settings,
    clock: Arc<dyn Clock>,
    plugins: Arc<Catalog>,
}

impl<'a> Workshop<'a> {
    /// With the plugins, as a server would load them.
    pub(crate) fn open(settings: &'a Settings) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        Self { settings, plugins: Arc::new(plugins::start(settings, &clock)), clock }
    }

    /// Over a repository. Nothing but members is loaded, and nothing is kept beyond it.
    pub(crate) fn over(&self, repository: &Repository) -> Result<Registry> {
        let components: Arc<dyn Components> = Arc::<Catalog>::clone(&self.plugins);
        let engines = engines(self.settings)?.with_components(components);
        let settings = RegistrySettings {
            engine_record: None,
            findings: None,
            residency: None,
            cross_check: CrossCheckSettings::default(),
            ..registry_settings(self.settings, None)
        };
        Registry::start(engines, repository.clone(), Arc::clone(&self.clock), settings).map_err(no_thread)
    }
}
