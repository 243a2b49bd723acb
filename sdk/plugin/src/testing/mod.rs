//! A host for tests: makes an instance of a component through the interface's tables, calls it, and tells what it did.
//!
//! What a test sees is what a server would: the tables are the same, text and tensors are borrowed and copied in the
//! same way, and a name of an output that is asked twice is refused. It checks no contract of a kind, loads no library
//! and does not know the server.
//!
//! | module | what it does |
//! |---|---|
//! | `table` | the host's own tables |
//! | `values` | inputs and outputs that own their memory |
#![allow(clippy::panic, clippy::expect_used, reason = "for tests: what is not there ends the test")]

mod table;
mod values;

use std::{
    ffi::{CStr, c_void},
    ptr,
    sync::atomic::AtomicU32,
};

use candor_plugin_abi as abi;

use crate::{Error, Inputs, Result, Status};
use table::FakeCall;
pub use table::{Line, Number};
pub use values::{Answer, Input, Output};

/// How a call is made.
#[derive(Default)]
pub struct Setup<'a> {
    /// Not 0: nobody waits any more.
    pub cancel: Option<&'a AtomicU32>,
    /// When it is too late, on the host's clock ([`crate::now_ns`]); 0 if never.
    pub deadline_ns: u64,
    /// The request's parameters.
    pub params_json: &'a str,
    /// What the model that is explained answers.
    pub model: Option<&'a ModelFn<'a>>,
    /// How many bytes of the call an older host would have; the rest is poison.
    pub call_bytes: Option<u32>,
    /// How many bytes of the call's functions an older host would have; the rest is poison.
    pub fns_bytes: Option<u32>,
}

/// A model for explainers.
pub type ModelFn<'a> = dyn Fn(&Inputs<'_>) -> Result<Vec<Output>> + 'a;

/// One instance of a component, called through the interface.
pub struct Harness {
    component: &'static abi::Component,
    instance: *mut abi::Instance,
}

// SAFETY: the SDK's instances are shared by threads; the tables are static.
unsafe impl Send for Harness {}
// SAFETY: as above.
unsafe impl Sync for Harness {}

impl Harness {
    /// Makes an instance of the component of this name.
    ///
    /// # Errors
    /// What `create` said; `NotFound` for a name that the module does not have.
    pub fn new(module: &'static abi::Module, id: &str, config_json: &str) -> Result<Self> {
        let host = table::host();
        // SAFETY: a table that the SDK built, and a host that lives as long as the process.
        let status = unsafe { module.init.map_or(abi::OK, |init| init(host)) };
        assert_eq!(status, abi::OK, "the module's init failed");
        let component = components(module).find(|component| name(component.id) == id);
        let component = component.ok_or_else(|| {
            let ids: Vec<&str> = components(module).map(|component| name(component.id)).collect();
            Error::new(Status::NotFound, format!("there is no component `{id}`; there is {}", ids.join(", ")))
        })?;
        let (mut instance, create) = (ptr::null_mut(), component.create.expect("a component has `create`"));
        let out = &raw mut instance;
        // SAFETY: as above; everything lives during the call.
        FakeCall::made(&Setup::default(), |call| unsafe { create(host, call, abi::Str::of(config_json), out) })?;
        assert!(!instance.is_null(), "`create` said OK and made nothing");
        Ok(Self { component, instance })
    }

    /// The component's table.
    #[must_use]
    pub fn component(&self) -> &'static abi::Component {
        self.component
    }

    /// The component's table for a shape of calls.
    #[must_use]
    pub fn interface(&self, id: &CStr) -> *const c_void {
        let get = self.component.get_interface.expect("a component has `get_interface`");
        // SAFETY: a table that the SDK built; the name ends with NUL.
        unsafe { get(id.as_ptr()) }
    }

    fn table<T>(&self, id: &CStr) -> Result<&'static T> {
        // SAFETY: the interface says that the table of this name is of this type, and static.
        let table = unsafe { self.interface(id).cast::<T>().as_ref() };
        table.ok_or_else(|| Error::unsupported(format!("the component has no {}", id.to_string_lossy())))
    }

    /// Runs.
    ///
    /// # Errors
    /// What the component said.
    pub fn run(&self, inputs: &[Input]) -> Result<Answer> {
        self.run_with(&Setup::default(), inputs)
    }

    /// Runs in a call that is made so.
    ///
    /// # Errors
    /// What the component said.
    pub fn run_with(&self, setup: &Setup<'_>, inputs: &[Input]) -> Result<Answer> {
        let run = self.table::<abi::RunV1>(abi::RUN_V1)?.run.expect("candor.run/1 has `run`");
        let values: Vec<abi::Value> = inputs.iter().map(Input::value).collect();
        let n = u32::try_from(values.len()).expect("few inputs");
        table::with_model(setup.model, || {
            // SAFETY: everything lives during the call.
            FakeCall::made(setup, |call| unsafe { run(self.instance, call, values.as_ptr(), n) })
        })
    }

    /// Fits on batches.
    ///
    /// # Errors
    /// What the component said.
    pub fn fit(&mut self, batches: &[&[Input]]) -> Result<Answer> {
        let fit = self.table::<abi::FitV1>(abi::FIT_V1)?;
        let (begin, batch) = (fit.begin.expect("`begin`"), fit.batch.expect("`batch`"));
        let finish = fit.finish.expect("`finish`");
        // SAFETY: as in `run_with`; `&mut self` keeps other calls away.
        FakeCall::made(&Setup::default(), |call| unsafe { begin(self.instance, call) })?;
        for inputs in batches {
            let values: Vec<abi::Value> = inputs.iter().map(Input::value).collect();
            let n = u32::try_from(values.len()).expect("few inputs");
            // SAFETY: as above.
            FakeCall::made(&Setup::default(), |call| unsafe { batch(self.instance, call, values.as_ptr(), n) })?;
        }
        // SAFETY: as above.
        FakeCall::made(&Setup::default(), |call| unsafe { finish(self.instance, call) })
    }

    /// Chooses one of some arms of these names and weights; the status if it did not.
    pub fn choose(&self, arms: &[(&str, f64)], key: u64) -> Result<u32, Status> {
        let route = self.table::<abi::RouteV1>(abi::ROUTE_V1).map_err(|error| error.status())?;
        let arms: Vec<abi::Arm> = arms
            .iter()
            .map(|(name, weight)| abi::Arm { name: abi::Str::of(name), weight: *weight, in_flight: 0, p50_ns: 0 })
            .collect();
        let (mut chosen, n) = (u32::MAX, u32::try_from(arms.len()).expect("few arms"));
        let choose = route.choose.expect("`choose`");
        // SAFETY: as in `run_with`.
        let status = unsafe { choose(self.instance, arms.as_ptr(), n, key, ptr::null(), 0, &raw mut chosen) };
        Status::of(status).map_or(Ok(chosen), Err)
    }

    /// What was fitted.
    ///
    /// # Errors
    /// What the component said.
    pub fn save(&self) -> Result<Vec<u8>> {
        let save = self.table::<abi::StateV1>(abi::STATE_V1)?.save.expect("`save`");
        // SAFETY: as in `run_with`.
        let answer = FakeCall::made(&Setup::default(), |call| unsafe { save(self.instance, call) })?;
        Ok(answer.artifacts.into_iter().find(|(name, _)| name == "state").expect("`save` gives `state`").1)
    }

    /// Takes back a state.
    ///
    /// # Errors
    /// What the component said.
    pub fn load(&mut self, state: &[u8]) -> Result<()> {
        let load = self.table::<abi::StateV1>(abi::STATE_V1)?.load.expect("`load`");
        // SAFETY: as in `fit`.
        FakeCall::made(&Setup::default(), |call| unsafe {
            load(self.instance, call, state.as_ptr().cast(), state.len())
        })
        .map(|_| ())
    }

    /// Inputs and outputs.
    ///
    /// # Errors
    /// What the component said.
    pub fn describe(&self) -> Result<crate::Description> {
        let describe = self.table::<abi::DescribeV1>(abi::DESCRIBE_V1)?.describe.expect("`describe`");
        // SAFETY: as in `run_with`.
        let answer = FakeCall::made(&Setup::default(), |call| unsafe { describe(self.instance, call) })?;
        let (_, json) = answer.artifacts.first().expect("`describe` gives an artifact");
        serde_json::from_slice(json).map_err(|error| Error::internal(error.to_string()))
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        if let Some(destroy) = self.component.destroy {
            // SAFETY: made by `create`, given back once, and no call is under way.
            unsafe { destroy(self.instance) };
        }
    }
}

/// What this thread's calls have logged since the last time that this was asked.
#[must_use]
pub fn logged() -> Vec<Line> {
    table::take_lines()
}

/// The numbers that this thread's calls have told since the last time that this was asked.
#[must_use]
pub fn measured() -> Vec<Number> {
    table::take_numbers()
}

fn components(module: &'static abi::Module) -> impl Iterator<Item = &'static abi::Component> {
    // SAFETY: built by the SDK or by a compiler from the header's macro: so many pointers to static tables.
    unsafe {
        std::slice::from_raw_parts(module.components, module.n_components as usize)
            .iter()
            .filter_map(|component| component.as_ref())
    }
}

fn name(text: *const std::ffi::c_char) -> &'static str {
    // SAFETY: static text that ends with NUL.
    unsafe { CStr::from_ptr(text) }.to_str().expect("names are UTF-8")
}
