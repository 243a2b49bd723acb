//! One instance of a component: made with a configuration, called, and ended when its last user lets go.
//!
//! Holds the interface's thread contract: `run` is serialised unless the component says that it may be called by
//! several threads, fitting and states overlap with nothing, and an instance that panicked is not called again. After
//! it comes `live`, which replaces instances. It does not know where a component comes from.
#![allow(unsafe_code, reason = "calls functions of plugins through their tables")]

use std::{
    ffi::CStr,
    ptr,
    sync::{
        Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use candor_domain::{
    error::{Error, ErrorCode, Result},
    tensor::Tensor,
};
use candor_plugin_abi::{self as abi, has};

use crate::{
    call::{CallContext, CallLimits, Failure},
    refusal::{Reason, Refusal, Verdict},
    services::HostTable,
    tables::{Component, ComponentInfo},
    values::Values,
};

/// Who waits for whom.
enum Gate {
    /// Nobody: `run` may be called by several threads, and there is nothing else.
    Free,
    /// `run` may be called by several threads, but not while it is fitted.
    Shared(RwLock<()>),
    /// One call at a time.
    Serial(Mutex<()>),
}

/// One choice of a router.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arm<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its configured weight.
    pub weight: f64,
    /// Calls under way.
    pub in_flight: u64,
    /// Its median time.
    pub p50_ns: u64,
}

/// One instance of a component.
pub struct Instance {
    component: Component,
    raw: *mut abi::Instance,
    run: Option<unsafe extern "C-unwind" fn(*mut abi::Instance, *mut abi::Call, *const abi::Value, u32) -> i32>,
    gate: Gate,
    poisoned: AtomicBool,
}

// SAFETY: the interface says that instances may be called from any thread, and the gate keeps its order.
unsafe impl Send for Instance {}
// SAFETY: as above.
unsafe impl Sync for Instance {}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(destroy) = self.component.table.destroy {
            // SAFETY: made by `create`, given back once, and nobody can call it any more.
            unsafe { destroy(self.raw) };
        }
    }
}

/// Checks a configuration against a component's schema, which may take any time: where the plugin may do so too.
///
/// # Errors
/// `Failed` with the place in the configuration.
pub fn check_config(info: &ComponentInfo, config_json: &str) -> Verdict<()> {
    let refuse = |what: String| Refusal::new(Reason::Failed, what).at(format!("component {}", info.id));
    let config =
        serde_json::from_str(config_json).map_err(|error| refuse(format!("the configuration is no JSON: {error}")))?;
    let schema = serde_json::from_str(&info.config_schema)
        .map_err(|error| Refusal::new(Reason::Tables, format!("its schema is no JSON: {error}")).at(&info.id))?;
    let validator = jsonschema::validator_for(&schema)
        .map_err(|error| Refusal::new(Reason::Tables, format!("its schema is no JSON Schema: {error}")).at(&info.id))?;
    // One fault is told; all of them could be more than there is memory.
    match validator.validate(&config) {
        Ok(()) => Ok(()),
        Err(error) => Err(refuse(format!("the configuration does not fit its schema: {error}"))
            .got(format!("at `{}`", error.instance_path()))),
    }
}

impl Instance {
    /// Makes an instance.
    ///
    /// # Errors
    /// `Failed` when the configuration does not fit or `create` fails.
    pub fn create(component: &Component, host: HostTable, config_json: &str) -> Verdict<Self> {
        check_config(&component.info, config_json)?;
        let refuse = |what: String| Refusal::new(Reason::Failed, what).at(format!("component {}", component.info.id));
        let create = component.table.create.ok_or_else(|| refuse("it has no `create`".to_owned()))?;
        let (mut raw, mut call) = (ptr::null_mut(), CallContext::new_as(CallLimits::default(), host.age()));
        let out = &raw mut raw;
        // SAFETY: a checked table; host and configuration live during the call, and the host for ever.
        let made = call.make(|call| unsafe { create(host.raw(), call, abi::Str::of(config_json), out) });
        made.map_err(|failure| refuse(format!("`create` failed: {}", failure.error)))?;
        if raw.is_null() {
            return Err(refuse("`create` said that it went well, and made nothing".to_owned()));
        }
        let mut instance =
            Self { component: component.clone(), raw, run: None, gate: Gate::Free, poisoned: AtomicBool::new(false) };
        // SAFETY: a static table of the component, readable for its size.
        instance.run =
            instance.table::<abi::RunV1>(abi::RUN_V1).and_then(|table| unsafe { has!(table => RunV1.run) }.flatten());
        let changes = !instance.interface(abi::FIT_V1).is_null() || !instance.interface(abi::STATE_V1).is_null();
        instance.gate = match (component.info.flags & abi::COMPONENT_CONCURRENT != 0, changes) {
            (true, false) => Gate::Free,
            (true, true) => Gate::Shared(RwLock::new(())),
            (false, _) => Gate::Serial(Mutex::new(())),
        };
        Ok(instance)
    }

    /// What the component says of itself.
    #[must_use]
    pub fn info(&self) -> &ComponentInfo {
        &self.component.info
    }

    /// Whether it panicked, and answers nothing any more.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Relaxed)
    }

    fn interface(&self, id: &CStr) -> *const std::ffi::c_void {
        let get = self.component.table.get_interface;
        // SAFETY: a checked table; the name ends with NUL.
        get.map_or(ptr::null(), |get| unsafe { get(id.as_ptr()) })
    }

    fn table<T>(&self, id: &CStr) -> Option<*const T> {
        let table = self.interface(id).cast::<T>();
        (!table.is_null() && table.is_aligned()).then_some(table)
    }

    fn lacks(&self, what: &CStr) -> Error {
        let what = format!("component {} has no {}", self.component.info.id, what.to_string_lossy());
        Error::new(ErrorCode::Unsupported, what)
    }

    /// What a call that failed means for the instance and the caller.
    #[cold]
    fn failed(&self, failure: Failure) -> Error {
        if failure.status == abi::PANIC {
            self.poisoned.store(true, Ordering::Relaxed);
        }
        let place = format!("plugin component {}", self.component.info.id);
        if failure.error.place().is_some() { failure.error } else { failure.error.at(place) }
    }

    fn usable(&self) -> Result<()> {
        if self.is_poisoned() {
            let what = format!("component {} panicked before, and is not called again", self.component.info.id);
            return Err(Error::new(ErrorCode::EngineFailed, what));
        }
        Ok(())
    }

    /// Runs. What it gave is in the call's outputs.
    ///
    /// # Errors
    /// What the plugin said; `Unsupported` for a component that does not run.
    pub fn run(&self, call: &mut CallContext, inputs: &Values<'_>) -> Result<()> {
        self.usable()?;
        let run = self.run.ok_or_else(|| self.lacks(abi::RUN_V1))?;
        let n = u32::try_from(inputs.raw().len()).map_err(|_| Error::invalid("too many inputs"))?;
        // SAFETY: a checked function of the component, its own instance, and inputs that live during the call.
        let mut make = || call.make(|call| unsafe { run(self.raw, call, inputs.raw().as_ptr(), n) });
        let made = match &self.gate {
            Gate::Free => make(),
            Gate::Shared(gate) => {
                let _shared = gate.read().unwrap_or_else(PoisonError::into_inner);
                make()
            }
            Gate::Serial(gate) => {
                let _alone = gate.lock().unwrap_or_else(PoisonError::into_inner);
                make()
            }
        };
        made.map_err(|failure| self.failed(failure))
    }

    /// Runs on tensors, and gives tensors.
    ///
    /// # Errors
    /// As [`Instance::run`].
    pub fn infer(&self, call: &mut CallContext, inputs: &[(&str, &Tensor)]) -> Result<Vec<(String, Tensor)>> {
        self.run(call, &Values::of(inputs.iter().copied()))?;
        call.outputs().iter().map(|output| Ok((output.name().to_owned(), output.to_tensor()?))).collect()
    }

    /// While `work` runs, nothing else calls the instance.
    fn alone<T>(&self, work: impl FnOnce() -> T) -> T {
        match &self.gate {
            Gate::Free => work(),
            Gate::Shared(gate) => {
                let _alone = gate.write().unwrap_or_else(PoisonError::into_inner);
                work()
            }
            Gate::Serial(gate) => {
                let _alone = gate.lock().unwrap_or_else(PoisonError::into_inner);
                work()
            }
        }
    }

    /// Fits on batches. Artifacts are in the call.
    ///
    /// # Errors
    /// What the plugin said; `Unsupported` for a component that is not fitted.
    pub fn fit<'a>(&self, call: &mut CallContext, batches: impl IntoIterator<Item = Values<'a>>) -> Result<()> {
        self.usable()?;
        let table = self.table::<abi::FitV1>(abi::FIT_V1).ok_or_else(|| self.lacks(abi::FIT_V1))?;
        // SAFETY: a static table of the component, readable for its size.
        let functions = unsafe {
            (
                has!(table => FitV1.begin).flatten(),
                has!(table => FitV1.batch).flatten(),
                has!(table => FitV1.finish).flatten(),
            )
        };
        let (Some(begin), Some(batch), Some(finish)) = functions else { return Err(self.lacks(abi::FIT_V1)) };
        self.alone(|| {
            // SAFETY: functions of the component, its own instance, alone.
            call.make(|call| unsafe { begin(self.raw, call) })?;
            for values in batches {
                let n = u32::try_from(values.raw().len()).unwrap_or(u32::MAX);
                // SAFETY: as above; the values live during the call.
                call.make(|call| unsafe { batch(self.raw, call, values.raw().as_ptr(), n) })?;
            }
            // SAFETY: as above.
            call.make(|call| unsafe { finish(self.raw, call) })
        })
        .map_err(|failure| self.failed(failure))
    }

    /// What was fitted, as bytes.
    ///
    /// # Errors
    /// What the plugin said; `Unsupported` for a component without a state.
    pub fn save(&self, call: &mut CallContext) -> Result<Vec<u8>> {
        self.usable()?;
        let table = self.table::<abi::StateV1>(abi::STATE_V1).ok_or_else(|| self.lacks(abi::STATE_V1))?;
        // SAFETY: as in `fit`.
        let save = unsafe { has!(table => StateV1.save) }.flatten().ok_or_else(|| self.lacks(abi::STATE_V1))?;
        // SAFETY: as in `fit`.
        let made = self.alone(|| call.make(|call| unsafe { save(self.raw, call) }));
        made.map_err(|failure| self.failed(failure))?;
        let state = call.take_artifacts().into_iter().find(|(name, _)| name == "state");
        let none = || Error::new(ErrorCode::EngineFailed, "the plugin gave no artifact `state`");
        state.map(|(_, bytes)| bytes).ok_or_else(none)
    }

    /// Takes back a state.
    ///
    /// # Errors
    /// As [`Instance::save`].
    pub fn load(&self, call: &mut CallContext, state: &[u8]) -> Result<()> {
        self.usable()?;
        let table = self.table::<abi::StateV1>(abi::STATE_V1).ok_or_else(|| self.lacks(abi::STATE_V1))?;
        // SAFETY: as in `fit`.
        let load = unsafe { has!(table => StateV1.load) }.flatten().ok_or_else(|| self.lacks(abi::STATE_V1))?;
        // SAFETY: as in `fit`; the bytes live during the call.
        let made = self.alone(|| call.make(|call| unsafe { load(self.raw, call, state.as_ptr().cast(), state.len()) }));
        made.map_err(|failure| self.failed(failure))
    }

    /// Inputs and outputs in this configuration, as JSON; `None` when the component does not tell.
    ///
    /// # Errors
    /// What the plugin said, unless that it is not supported.
    pub fn describe(&self, call: &mut CallContext) -> Result<Option<Vec<u8>>> {
        self.usable()?;
        let Some(table) = self.table::<abi::DescribeV1>(abi::DESCRIBE_V1) else { return Ok(None) };
        // SAFETY: as in `fit`.
        let Some(describe) = unsafe { has!(table => DescribeV1.describe) }.flatten() else { return Ok(None) };
        // SAFETY: as in `fit`.
        match self.alone(|| call.make(|call| unsafe { describe(self.raw, call) })) {
            Ok(()) => Ok(call.take_artifacts().into_iter().next().map(|(_, json)| json)),
            Err(failure) if failure.status == abi::UNSUPPORTED => Ok(None),
            Err(failure) => Err(self.failed(failure)),
        }
    }

    /// Chooses an arm; `None` leaves the choice to the host, as does an answer that cannot be.
    ///
    /// # Errors
    /// `Unsupported` for a component that is no router, `EngineFailed` when it panicked.
    pub fn choose(&self, arms: &[Arm<'_>], key: u64, features: &Values<'_>) -> Result<Option<usize>> {
        self.usable()?;
        let table = self.table::<abi::RouteV1>(abi::ROUTE_V1).ok_or_else(|| self.lacks(abi::ROUTE_V1))?;
        // SAFETY: as in `fit`.
        let choose = unsafe { has!(table => RouteV1.choose) }.flatten().ok_or_else(|| self.lacks(abi::ROUTE_V1))?;
        let view = |arm: &Arm<'_>| {
            let Arm { name, weight, in_flight, p50_ns } = *arm;
            abi::Arm { name: abi::Str::of(name), weight, in_flight, p50_ns }
        };
        let arms: Vec<abi::Arm> = arms.iter().map(view).collect();
        let (n, n_features) =
            (u32::try_from(arms.len()).unwrap_or(0), u32::try_from(features.raw().len()).unwrap_or(0));
        let mut chosen = u32::MAX;
        let (arms, features, out) = (arms.as_ptr(), features.raw().as_ptr(), &raw mut chosen);
        // SAFETY: a function of the component, its own instance, and arms and features that live during the call.
        let status = unsafe { choose(self.raw, arms, n, key, features, n_features, out) };
        match status {
            abi::OK => Ok((chosen < n).then_some(chosen as usize)),
            abi::PANIC => {
                Err(self.failed(Failure { status, error: Error::new(ErrorCode::EngineFailed, "it panicked") }))
            }
            _ => Ok(None),
        }
    }
}
