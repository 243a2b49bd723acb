//! The component that is checked: loaded into this process, made, fitted and called through its raw tables.
//!
//! After the same steps as in a server. It does not judge.
#![allow(unsafe_code, reason = "calls functions of plugins through their tables")]

use std::{ffi::CStr, path::Path, ptr, sync::atomic::AtomicU32};

use candor_domain::Signature;
use candor_plugin_abi::{self as abi, has};

use super::{
    sample::{self, Given, Sample, Spot},
    stand::{self, Made, Sizes},
};
use crate::{
    catalog::signature,
    elf, file, library,
    manifest::Manifest,
    negotiate::{self, Isolation},
    refusal::{Reason, Refusal, Verdict},
    tables::{self, Component, ComponentInfo},
};

/// A component in this process.
pub(super) struct Subject {
    component: Component,
    host: *const abi::Host,
    /// What it is first of all.
    pub kind: String,
    /// A configuration that its schema calls an example.
    pub config: String,
    /// What it tells of its inputs and outputs.
    pub signature: Option<Signature>,
}

/// An instance of it; ended when it is dropped.
pub(super) struct Made1<'s>(&'s Subject, *mut abi::Instance);

// SAFETY: calls are made from several threads only where the component says that they may be.
unsafe impl Sync for Made1<'_> {}
// SAFETY: the tables are static and the host's table is never written.
unsafe impl Sync for Subject {}

impl Drop for Made1<'_> {
    fn drop(&mut self) {
        if let Some(destroy) = self.0.component.table.destroy {
            // SAFETY: made by `create`, given back once.
            unsafe { destroy(self.1) };
        }
    }
}

/// What a schema gives as an example; `{}` if it gives none.
pub(super) fn example(schema: &str) -> String {
    let schema: serde_json::Value = serde_json::from_str(schema).unwrap_or_default();
    schema.pointer("/examples/0").map_or_else(|| "{}".to_owned(), ToString::to_string)
}

impl Subject {
    /// Loads a folder's library, by the same steps as a server does, but for the list of what is allowed.
    pub(super) fn load(folder: &Path, store: &Path, id: &str) -> Verdict<Self> {
        let manifest = Manifest::read(folder)?;
        let found = file::read(&manifest.library(folder), true)?;
        let inspected = elf::inspect(&found.bytes)?;
        negotiate::versions(&inspected.head)?;
        negotiate::place(&inspected, Isolation::Process, &[])?;
        let path = file::Store::open(store)?.keep(&found)?;
        let loaded = library::load(&path)?;
        let module = tables::check(loaded.module())?;
        tables::agree(&manifest, &tables::head(loaded.module()), &module)?;
        let host = stand::host(None);
        if let Some(init) = module.init {
            // SAFETY: a function of a checked module, called once and before anything else of it.
            let status = unsafe { init(host) };
            if status != abi::OK {
                let what = format!("its `init` failed ({})", abi::status_word(status));
                return Err(Refusal::new(Reason::Failed, what));
            }
        }
        let component = module.components.into_iter().find(|component| component.info.id == id);
        let component = component.ok_or_else(|| Refusal::new(Reason::Tables, format!("there is no component {id}")))?;
        let kind = component.info.kinds.first().cloned().unwrap_or_default();
        let config = example(&component.info.config_schema);
        let mut subject = Self { component, host, kind, config, signature: None };
        subject.signature = subject.described()?;
        Ok(subject)
    }

    pub(super) fn info(&self) -> &ComponentInfo {
        &self.component.info
    }

    pub(super) fn claims(&self, flag: u32) -> bool {
        self.component.info.flags & flag != 0
    }

    pub(super) fn inputs(&self) -> Vec<Sample> {
        sample::inputs(self.signature.as_ref(), &self.kind)
    }

    fn described(&self) -> Verdict<Option<Signature>> {
        let Some(table) = self.table::<abi::DescribeV1>(abi::DESCRIBE_V1) else { return Ok(None) };
        // SAFETY: a static table of the component, readable for its size.
        let Some(describe) = unsafe { has!(table => DescribeV1.describe) }.flatten() else { return Ok(None) };
        let Ok(made) = self.create(&self.config, Sizes::default()) else { return Ok(None) };
        // SAFETY: a function of the component, with its own instance.
        let told = stand::call(Sizes::default(), &AtomicU32::new(0), |call| unsafe { describe(made.1, call) });
        let refuse = |what: String| Refusal::new(Reason::Tables, format!("what it tells of itself cannot be: {what}"));
        match told.artifacts.first() {
            Some((_, json)) if told.status == abi::OK => {
                signature(&String::from_utf8_lossy(json)).map(Some).map_err(refuse)
            }
            _ => Ok(None),
        }
    }

    pub(super) fn table<T>(&self, id: &CStr) -> Option<*const T> {
        let get = self.component.table.get_interface?;
        // SAFETY: a checked table; the name ends with NUL.
        let table = unsafe { get(id.as_ptr()) }.cast::<T>();
        (!table.is_null() && table.is_aligned()).then_some(table)
    }

    pub(super) fn runs(&self) -> bool {
        self.table::<abi::RunV1>(abi::RUN_V1).is_some()
    }

    pub(super) fn fits(&self) -> bool {
        self.table::<abi::FitV1>(abi::FIT_V1).is_some()
    }

    /// Makes an instance; what the call said, if it made none.
    pub(super) fn create(&self, config: &str, sizes: Sizes) -> Result<Made1<'_>, Made> {
        let host = if sizes.host.is_some() { stand::host(sizes.host) } else { self.host };
        let mut raw = ptr::null_mut();
        let out = &raw mut raw;
        let made = stand::call(sizes, &AtomicU32::new(0), |call| match self.component.table.create {
            // SAFETY: a checked table; everything lives during the call, and the host for ever.
            Some(create) => unsafe { create(host, call, abi::Str::of(config), out) },
            None => abi::INTERNAL,
        });
        if made.status == abi::OK && !raw.is_null() { Ok(Made1(self, raw)) } else { Err(made) }
    }

    /// An instance with the example's configuration, fitted if it is fitted before it runs.
    pub(super) fn ready(&self, sizes: Sizes) -> Result<Made1<'_>, String> {
        let said = |made: Made, what: &str| format!("{what}: {} {}", abi::status_word(made.status), made.error);
        let instance = self
            .create(&self.config, sizes)
            .map_err(|made| said(made, &format!("`create` failed with the configuration {}", self.config)))?;
        if self.fits() && self.runs() {
            let rows = self.inputs().iter().map(|sample| sample.rows(16)).collect::<Vec<_>>();
            let fitted = instance.fit(&[rows], sizes);
            if fitted.status != abi::OK {
                return Err(said(fitted, "it cannot be fitted on sixteen rows"));
            }
        }
        Ok(instance)
    }
}

impl Made1<'_> {
    pub(super) fn run_in(&self, given: &Given, sizes: Sizes, cancel: &AtomicU32) -> Made {
        let run = self.0.table::<abi::RunV1>(abi::RUN_V1);
        // SAFETY: a static table of the component, readable for its size.
        let run = run.and_then(|table| unsafe { has!(table => RunV1.run) }.flatten());
        let n = u32::try_from(given.values.len()).unwrap_or(0);
        stand::call(sizes, cancel, |call| match run {
            // SAFETY: a function of the component, its own instance, and values that live during the call.
            Some(run) => unsafe { run(self.1, call, given.values.as_ptr(), n) },
            None => abi::UNSUPPORTED,
        })
    }

    pub(super) fn run(&self, samples: &[Sample], spot: Spot) -> Result<Made, String> {
        let given = Given::put(samples, spot).map_err(|error| format!("the system gives no memory: {error}"))?;
        Ok(self.run_in(&given, Sizes::default(), &AtomicU32::new(0)))
    }

    pub(super) fn fit(&self, batches: &[Vec<Sample>], sizes: Sizes) -> Made {
        let table = self.0.table::<abi::FitV1>(abi::FIT_V1);
        // SAFETY: a static table of the component, readable for its size.
        let functions = table.and_then(|table| unsafe {
            Some((has!(table => FitV1.begin)??, has!(table => FitV1.batch)??, has!(table => FitV1.finish)??))
        });
        stand::call(sizes, &AtomicU32::new(0), |call| {
            let Some((begin, batch, finish)) = functions else { return abi::UNSUPPORTED };
            // SAFETY: functions of the component, its own instance, alone; values live during the call.
            let mut status = unsafe { begin(self.1, call) };
            for samples in batches {
                let Ok(given) = Given::put(samples, Spot::End) else { return abi::RESOURCE };
                let n = u32::try_from(given.values.len()).unwrap_or(0);
                if status == abi::OK {
                    // SAFETY: as above.
                    status = unsafe { batch(self.1, call, given.values.as_ptr(), n) };
                }
            }
            // SAFETY: as above.
            if status == abi::OK { unsafe { finish(self.1, call) } } else { status }
        })
    }

    /// The number of an arm, or the status.
    pub(super) fn choose(&self, arms: &[abi::Arm], key: u64) -> Result<u32, i32> {
        let table = self.0.table::<abi::RouteV1>(abi::ROUTE_V1).ok_or(abi::UNSUPPORTED)?;
        // SAFETY: a static table of the component, readable for its size.
        let choose = unsafe { has!(table => RouteV1.choose) }.flatten().ok_or(abi::UNSUPPORTED)?;
        let (n, mut chosen) = (u32::try_from(arms.len()).unwrap_or(0), u32::MAX);
        // SAFETY: a function of the component, its own instance, and arms that live during the call.
        let status = unsafe { choose(self.1, arms.as_ptr(), n, key, ptr::null(), 0, &raw mut chosen) };
        if status == abi::OK { Ok(chosen) } else { Err(status) }
    }
}
