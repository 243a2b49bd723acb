//! One call: outputs, artifacts, progress, whether to stop, and what the request brought along.
//!
//! Made by the thunks from the host's table. Fields that an older host does not have are passed over or refused with
//! a reason. It does not know which function of which kind was called.

use std::{
    cell::Cell,
    ffi::c_void,
    marker::PhantomData,
    ptr, slice,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use candor_plugin_abi::{self as abi, has};
use serde::de::DeserializeOwned;

use crate::{Element, Error, Result, Status, host, inputs::Inputs};

/// One call of a plugin by its host. Not for other threads; see [`Call::cancelled`] for those.
#[derive(Clone, Copy)]
pub struct Call<'c> {
    raw: *mut abi::Call,
    lives: PhantomData<Cell<&'c ()>>,
}

impl<'c> Call<'c> {
    /// # Safety
    /// `raw` must be null, or a call as the header says, during `'c`.
    pub(crate) unsafe fn new(raw: *mut abi::Call) -> Self {
        Self { raw, lives: PhantomData }
    }

    pub(crate) fn raw(&self) -> *mut abi::Call {
        self.raw
    }

    fn fns(&self) -> *const abi::CallFns {
        if self.raw.is_null() {
            return ptr::null();
        }
        // SAFETY: whoever made it answers for a readable call.
        unsafe { has!(self.raw => Call.fns) }.unwrap_or(ptr::null())
    }

    /// Memory for an output, in C order, zeroed. Each name may be asked once.
    ///
    /// # Errors
    /// `Invalid` for a name that was asked before or a shape that cannot be, `Resource` above the host's limits.
    pub fn output<T: Element>(&self, name: &str, shape: &[i64]) -> Result<&'c mut [T]> {
        let (start, elements) = self.ask(name, T::DTYPE, shape)?;
        if elements == 0 {
            return Ok(&mut []);
        }
        // SAFETY: the host gave memory for so many elements of this type, aligned and zeroed; it is nobody else's
        // until the call returns, because the host refuses a name that was asked before.
        Ok(unsafe { slice::from_raw_parts_mut(start.cast::<T>(), elements) })
    }

    /// Memory for an output of booleans, each 0 or 1.
    ///
    /// # Errors
    /// As [`Call::output`].
    pub fn output_bools(&self, name: &str, shape: &[i64]) -> Result<&'c mut [u8]> {
        let (start, elements) = self.ask(name, abi::Dtype::BOOL, shape)?;
        if elements == 0 {
            return Ok(&mut []);
        }
        // SAFETY: as in `output`.
        Ok(unsafe { slice::from_raw_parts_mut(start.cast::<u8>(), elements) })
    }

    fn ask(&self, name: &str, dtype: abi::Dtype, shape: &[i64]) -> Result<(*mut c_void, usize)> {
        let elements = shape.iter().try_fold(1_usize, |product, &dim| product.checked_mul(usize::try_from(dim).ok()?));
        let cannot = || Error::invalid(format!("output `{name}`: its shape {shape:?} cannot be"));
        let (elements, ndim) = (elements.ok_or_else(cannot)?, i32::try_from(shape.len()).map_err(|_| cannot())?);
        let fns = self.fns();
        // SAFETY: a table of the host's, readable for its size.
        let ask = (!fns.is_null()).then(|| unsafe { has!(fns => CallFns.output) }.flatten()).flatten();
        let ask = ask.ok_or_else(|| Error::unsupported("the host gives no memory for outputs"))?;
        let mut tensor = abi::Tensor {
            data: ptr::null_mut(),
            device: abi::Device::CPU,
            ndim: 0,
            dtype,
            shape: ptr::null(),
            strides: ptr::null(),
            byte_offset: 0,
        };
        // SAFETY: the call is the host's own, and all pointers live until it returns.
        let status = unsafe { ask(self.raw, abi::Str::of(name), dtype, ndim, shape.as_ptr(), &raw mut tensor) };
        if let Some(status) = Status::of(status) {
            return Err(Error::new(status, format!("the host refused the output `{name}` of shape {shape:?}")));
        }
        let start = tensor.data.cast::<u8>().wrapping_add(usize::try_from(tensor.byte_offset).unwrap_or(0));
        let aligned = dtype.bytes().is_some_and(|bytes| start.addr() & (bytes.clamp(1, 8) - 1) == 0);
        if elements > 0 && (start.is_null() || !aligned) {
            return Err(Error::internal(format!("the host gave no usable memory for the output `{name}`")));
        }
        Ok((start.cast(), elements))
    }

    /// An output of strings; they are copied.
    ///
    /// # Errors
    /// As [`Call::output`], and when there are not as many strings as the shape says.
    pub fn output_strings(&self, name: &str, shape: &[i64], strings: &[impl AsRef<[u8]>]) -> Result<()> {
        let elements = shape.iter().try_fold(1_usize, |product, &dim| product.checked_mul(usize::try_from(dim).ok()?));
        if elements != Some(strings.len()) {
            let count = strings.len();
            return Err(Error::invalid(format!("output `{name}`: {count} strings do not fit the shape {shape:?}")));
        }
        let fns = self.fns();
        // SAFETY: a table of the host's, readable for its size.
        let give = (!fns.is_null()).then(|| unsafe { has!(fns => CallFns.output_strings) }.flatten()).flatten();
        let give = give.ok_or_else(|| Error::unsupported("the host takes no outputs of strings"))?;
        let raw: Vec<abi::Str> = strings.iter().map(|string| abi::Str::of_bytes(string.as_ref())).collect();
        let ndim = i32::try_from(shape.len()).unwrap_or(i32::MAX);
        // SAFETY: the call is the host's own, and all pointers live until it returns.
        let status = unsafe { give(self.raw, abi::Str::of(name), ndim, shape.as_ptr(), raw.as_ptr()) };
        match Status::of(status) {
            None => Ok(()),
            Some(status) => Err(Error::new(status, format!("the host refused the output `{name}`"))),
        }
    }

    /// Appends bytes to an artifact.
    ///
    /// # Errors
    /// What the host says.
    pub fn artifact(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let fns = self.fns();
        // SAFETY: a table of the host's, readable for its size.
        let give = (!fns.is_null()).then(|| unsafe { has!(fns => CallFns.artifact) }.flatten()).flatten();
        let give = give.ok_or_else(|| Error::unsupported("the host takes no artifacts"))?;
        // SAFETY: the call is the host's own, and the bytes live until it returns.
        let status = unsafe { give(self.raw, abi::Str::of(name), bytes.as_ptr().cast(), bytes.len()) };
        match Status::of(status) {
            None => Ok(()),
            Some(status) => Err(Error::new(status, format!("the host refused the artifact `{name}`"))),
        }
    }

    /// Tells how far long work is, from 0 to 1. An older host does not hear it.
    pub fn progress(&self, fraction: f64, note: &str) {
        let fns = self.fns();
        // SAFETY: a table of the host's, readable for its size; the text is copied.
        let progress = (!fns.is_null()).then(|| unsafe { has!(fns => CallFns.progress) }.flatten()).flatten();
        if let Some(progress) = progress {
            // SAFETY: the call is the host's own, and the text lives until it returns.
            unsafe { progress(self.raw, fraction, abi::Str::of(note)) };
        }
    }

    /// Why the status that follows is not OK.
    pub(crate) fn set_error(&self, error: &Error) {
        let fns = self.fns();
        // SAFETY: as in `progress`.
        let set_error = (!fns.is_null()).then(|| unsafe { has!(fns => CallFns.set_error) }.flatten()).flatten();
        if let Some(set_error) = set_error {
            // SAFETY: as in `progress`.
            unsafe { set_error(self.raw, error.status().code(), abi::Str::of(error.message())) };
        }
    }

    /// Not 0 when nobody waits any more. It may be read by other threads during the call.
    #[must_use]
    pub fn cancelled(&self) -> &'c AtomicU32 {
        static NEVER: AtomicU32 = AtomicU32::new(0);
        if self.raw.is_null() {
            return &NEVER;
        }
        // SAFETY: a readable call; the flag, if there is one, lives until the call returns and is only read as an
        // atomic.
        unsafe {
            match has!(self.raw => Call.cancel) {
                Some(flag) if !flag.is_null() => AtomicU32::from_ptr(flag.cast_mut()),
                _ => &NEVER,
            }
        }
    }

    /// To be asked now and then by whatever takes longer than a moment.
    ///
    /// # Errors
    /// `Cancelled` when nobody waits any more, `Deadline` when it is too late.
    pub fn check(&self) -> Result<()> {
        if self.cancelled().load(Ordering::Relaxed) != 0 {
            return Err(Error::new(Status::Cancelled, "cancelled"));
        }
        match self.remaining() {
            Some(Duration::ZERO) => Err(Error::new(Status::Deadline, "the deadline has passed")),
            Some(_) | None => Ok(()),
        }
    }

    /// How long somebody still waits; `None` if there is no deadline.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        if self.raw.is_null() {
            return None;
        }
        // SAFETY: a readable call.
        let deadline = unsafe { has!(self.raw => Call.deadline_ns) }.filter(|&deadline| deadline != 0)?;
        Some(Duration::from_nanos(deadline.saturating_sub(host::now_ns())))
    }

    /// The request's name; empty if it has none.
    #[must_use]
    pub fn request_id(&self) -> &'c str {
        if self.raw.is_null() {
            return "";
        }
        // SAFETY: a readable call; its text lives until the call returns.
        let bytes = unsafe { has!(self.raw => Call.request_id).map_or(&[][..], |text| text.bytes()) };
        std::str::from_utf8(bytes).unwrap_or("")
    }

    /// The request's parameters.
    ///
    /// # Errors
    /// `Invalid` with line and column when they do not fit.
    pub fn params<T: DeserializeOwned>(&self) -> Result<T> {
        let bytes = if self.raw.is_null() {
            &[]
        } else {
            // SAFETY: as in `request_id`.
            unsafe { has!(self.raw => Call.params_json).map_or(&[][..], |text| text.bytes()) }
        };
        let bytes = if bytes.is_empty() { b"{}" } else { bytes };
        serde_json::from_slice(bytes).map_err(|error| Error::invalid(format!("parameters: {error}")))
    }
}

/// Inputs that a host's function gave back.
///
/// # Safety
/// As [`Inputs::new`].
pub(crate) unsafe fn answered<'c>(values: *const abi::Value, n: u32) -> Inputs<'c> {
    // SAFETY: the caller's.
    unsafe { Inputs::new(values, n) }
}
