//! A component in use: one configuration, whose instance is swapped when its plugin is loaded anew or it panicked.
//!
//! Whoever calls takes the current instance and keeps it until the call is over; the one that was replaced ends with
//! its last call. No lock on the way of a call. It does not know how a plugin is loaded.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::{
    instance::Instance,
    refusal::{Reason, Refusal, Verdict},
    services::HostTable,
    tables::Component,
};

/// A component in use.
pub struct Live {
    id: String,
    config_json: String,
    host: HostTable,
    current: ArcSwap<Instance>,
    /// Held while an instance is made, so that it is made once. It also holds the component that makes it.
    component: Mutex<Component>,
}

impl Live {
    /// Makes the first instance.
    ///
    /// # Errors
    /// What `create` said.
    pub fn new(component: &Component, host: HostTable, config_json: &str) -> Verdict<Self> {
        let instance = Instance::create(component, host, config_json)?;
        Ok(Self {
            id: component.info.id.clone(),
            config_json: config_json.to_owned(),
            host,
            current: ArcSwap::from_pointee(instance),
            component: Mutex::new(component.clone()),
        })
    }

    /// The component's name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The current instance, to keep for one call.
    #[must_use]
    pub fn instance(&self) -> arc_swap::Guard<Arc<Instance>> {
        self.current.load()
    }

    /// The current instance, made anew if it panicked.
    ///
    /// # Errors
    /// What `create` said.
    pub fn healthy(&self) -> Verdict<arc_swap::Guard<Arc<Instance>>> {
        let current = self.current.load();
        if !current.is_poisoned() {
            return Ok(current);
        }
        let component = self.component.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have made it meanwhile.
        if self.current.load().is_poisoned() {
            self.current.store(Arc::new(Instance::create(&component, self.host, &self.config_json)?));
        }
        drop(component);
        Ok(self.current.load())
    }

    /// An instance of another generation's component, made and not yet used.
    ///
    /// # Errors
    /// `Tables` when the component is not there any more, and what `create` said.
    pub(crate) fn prepare(&self, components: &[Component]) -> Verdict<(Component, Instance)> {
        let component = components.iter().find(|component| component.info.id == self.id);
        let gone = || Refusal::new(Reason::Tables, format!("component {} is in use, and not there any more", self.id));
        let component = component.ok_or_else(gone)?;
        Ok((component.clone(), Instance::create(component, self.host, &self.config_json)?))
    }

    /// From now on this instance is called.
    pub(crate) fn swap(&self, component: Component, instance: Instance) {
        let mut own = self.component.lock().unwrap_or_else(PoisonError::into_inner);
        *own = component;
        self.current.store(Arc::new(instance));
    }
}
