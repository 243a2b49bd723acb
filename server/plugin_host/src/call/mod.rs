//! One call of a plugin: what it may ask, and what it gave. Made once and used again, so that a call allocates nothing.
//!
//! A plugin sees the first field, which is the interface's call. It does not know which function is called: see
//! `instance`.
//!
//! | module | what it does |
//! |---|---|
//! | `functions` | what the plugin may ask during the call |
//! | `outputs` | what it gave |
//! | `status` | the interface's status codes and the server's words |
#![allow(unsafe_code, reason = "a plugin hands back the pointer that it was given")]

mod functions;
mod outputs;
mod status;

use std::{
    mem::offset_of,
    sync::{Arc, atomic::AtomicU32},
};

use candor_domain::{
    error::{Error, Result},
    tensor::Tensor,
};
use candor_plugin_abi as abi;

use crate::{
    arena::Arena,
    services::{Age, LentModel},
    values::Values,
};
pub(crate) use functions::predict;
pub use outputs::{Output, Outputs};

/// What a plugin may give in one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// Bytes of all outputs.
    pub output_bytes_max: usize,
    /// How many outputs.
    pub outputs_max: usize,
    /// Bytes of all artifacts.
    pub artifact_bytes_max: usize,
    /// Bytes that are kept for the next call.
    pub kept_bytes_max: usize,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self { output_bytes_max: 256 << 20, outputs_max: 64, artifact_bytes_max: 1 << 30, kept_bytes_max: 16 << 20 }
    }
}

/// A call as the plugin sees it, and what stands behind it.
#[repr(C)]
struct Inner {
    call: abi::Call,
    limits: CallLimits,
    arena: Arena,
    slots: Vec<outputs::Slot>,
    error: Option<(i32, String)>,
    artifacts: Vec<(String, Vec<u8>)>,
    artifact_bytes: usize,
    progress: f64,
    model: Option<*const dyn LentModel>,
    lent: Vec<Lent>,
    cancel: Arc<AtomicU32>,
    request_id: String,
    params_json: String,
}

/// What a model answered, kept until the call is over. The values point into the tensors.
struct Lent {
    _names: Vec<String>,
    _tensors: Vec<Tensor>,
    values: Values<'static>,
}

/// A call that can be made again and again, by one thread at a time.
pub struct CallContext(*mut Inner);

// SAFETY: it owns what it points to, and only one thread at a time can use it (`&mut self`).
unsafe impl Send for CallContext {}

impl Drop for CallContext {
    fn drop(&mut self) {
        // SAFETY: made of a box in `new`, given to nobody for longer than a call.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

impl CallContext {
    /// A call with these limits.
    #[must_use]
    pub fn new(limits: CallLimits) -> Self {
        Self::new_as(limits, Age::Today)
    }

    /// As [`Self::new`], of a host of this age.
    #[must_use]
    pub fn new_as(limits: CallLimits, age: Age) -> Self {
        let cancel = Arc::new(AtomicU32::new(0));
        let poison = abi::Str { ptr: std::ptr::without_provenance(usize::MAX / 3), len: usize::MAX / 3 };
        #[allow(clippy::cast_possible_truncation, reason = "some dozens of bytes")]
        let (struct_size, fns, request_id, params_json) = match age {
            Age::Today => (size_of::<abi::Call>() as u32, &functions::FNS, abi::Str::EMPTY, abi::Str::of("{}")),
            Age::Oldest => (functions::OLDEST_CALL_BYTES, &functions::OLDEST_FNS, poison, poison),
        };
        Self(Box::into_raw(Box::new(Inner {
            call: abi::Call {
                struct_size,
                flags: 0,
                fns: std::ptr::from_ref(fns),
                cancel: cancel.as_ptr().cast_const(),
                deadline_ns: 0,
                request_id,
                params_json,
            },
            limits,
            arena: Arena::new(limits.kept_bytes_max),
            slots: Vec::new(),
            error: None,
            artifacts: Vec::new(),
            artifact_bytes: 0,
            progress: 0.0,
            model: None,
            lent: Vec::new(),
            cancel,
            request_id: String::new(),
            params_json: String::new(),
        })))
    }

    /// Outputs lie in this memory as far as they fit.
    ///
    /// # Safety
    /// It must be aligned to a cache line, writable and nobody else's for as long as calls are made.
    pub(crate) unsafe fn put_outputs_at(&mut self, start: *mut u8, bytes: usize) {
        // SAFETY: the caller's.
        unsafe { self.inner().arena.use_first(start, bytes) };
    }

    fn inner(&mut self) -> &mut Inner {
        // SAFETY: owned, and no call is under way while there is `&mut self` outside of `make`.
        unsafe { &mut *self.0 }
    }

    /// Not 0 tells the plugin that nobody waits any more. It stays so until it is set back.
    #[must_use]
    pub fn cancel_flag(&mut self) -> Arc<AtomicU32> {
        Arc::clone(&self.inner().cancel)
    }

    /// Lets the plugin look at another flag, which must stay where it is for as long as this is used.
    pub(crate) fn borrow_cancel(&mut self, flag: &AtomicU32) {
        self.inner().call.cancel = flag.as_ptr().cast_const();
    }

    /// When it is too late, on the clock of the services; 0 if never.
    pub fn set_deadline_ns(&mut self, deadline_ns: u64) {
        self.inner().call.deadline_ns = deadline_ns;
    }

    /// The request's name and its parameters as a JSON object.
    pub fn set_request(&mut self, request_id: &str, params_json: &str) {
        let inner = self.inner();
        if inner.call.struct_size == functions::OLDEST_CALL_BYTES {
            return;
        }
        request_id.clone_into(&mut inner.request_id);
        params_json.clone_into(&mut inner.params_json);
        inner.call.request_id = abi::Str::of(&inner.request_id);
        inner.call.params_json = abi::Str::of(&inner.params_json);
    }

    /// Lends a model to the calls that `work` makes.
    pub fn with_model<T>(&mut self, model: &dyn LentModel, work: impl FnOnce(&mut Self) -> T) -> T {
        let model: *const (dyn LentModel + '_) = model;
        // SAFETY: forgets the lifetime; the pointer is taken away when the guard is dropped, before this returns.
        let model =
            unsafe { std::mem::transmute::<*const (dyn LentModel + '_), *const (dyn LentModel + 'static)>(model) };
        struct Back<'a>(&'a mut CallContext);
        impl Drop for Back<'_> {
            fn drop(&mut self) {
                self.0.inner().model = None;
            }
        }
        self.inner().model = Some(model);
        let back = Back(self);
        work(&mut *back.0)
    }

    /// Lets go of what the last call gave, but for so much memory as is kept for the next one.
    pub(crate) fn clear(&mut self) {
        let inner = self.inner();
        inner.arena.reset();
        inner.slots.clear();
        inner.artifact_bytes = 0;
        if inner.error.is_some() || !inner.artifacts.is_empty() || !inner.lent.is_empty() {
            inner.error = None;
            inner.artifacts.clear();
            inner.lent.clear();
        }
    }

    /// Bytes that it holds for outputs, whether a call uses them or not.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        // SAFETY: as in `outputs`.
        unsafe { (*self.0).arena.held() }
    }

    /// Makes a call: `function` is handed the interface's call and gives a status.
    ///
    /// # Errors
    /// What the plugin said, by the word that belongs to its status.
    pub(crate) fn make(&mut self, function: impl FnOnce(*mut abi::Call) -> i32) -> Result<(), Failure> {
        self.clear();
        let status = function(self.0.cast());
        if status == abi::OK { Ok(()) } else { Err(self.failed(status)) }
    }

    #[cold]
    fn failed(&mut self, status: i32) -> Failure {
        let told = self.inner().error.take().map(|(_, message)| message).filter(|message| !message.is_empty());
        let word = abi::status_word(status);
        let what = told.unwrap_or_else(|| format!("the plugin failed ({word}) and did not say why"));
        Failure { status, error: Error::new(status::code(status), what) }
    }

    /// What the last call gave.
    #[must_use]
    pub fn outputs(&self) -> Outputs<'_> {
        // SAFETY: owned, and no call is under way.
        Outputs(unsafe { &*self.0 })
    }

    /// The artifacts of the last call.
    pub fn take_artifacts(&mut self) -> Vec<(String, Vec<u8>)> {
        std::mem::take(&mut self.inner().artifacts)
    }

    /// How far the last call said that it was.
    #[must_use]
    pub fn progress(&self) -> f64 {
        // SAFETY: as in `outputs`.
        unsafe { (*self.0).progress }
    }
}

/// A call that failed.
pub(crate) struct Failure {
    pub(crate) status: i32,
    pub(crate) error: Error,
}

const _: () = assert!(offset_of!(Inner, call) == 0);
