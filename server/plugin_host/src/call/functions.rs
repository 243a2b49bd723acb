//! What a plugin may ask during a call: outputs, artifacts, progress, a model. And how it says why it failed.
//!
//! Everything is checked against the call's limits, and nothing unwinds into the plugin. It does not know which
//! function of the plugin is running.
#![allow(unsafe_code, reason = "a plugin hands back the pointer that it was given")]

use std::{
    ffi::c_void,
    panic::{AssertUnwindSafe, catch_unwind},
    slice,
    sync::atomic::Ordering,
};

use candor_domain::{
    error::Result,
    tensor::{BytesArray, Datatype, Tensor},
};
use candor_plugin_abi as abi;

use super::{
    Inner, Lent,
    outputs::{DIMS_BYTES, Slot},
    status::status,
};
use crate::values::{self, RANK_MAX, Values};

/// Longest message of a plugin that is kept.
const MESSAGE_BYTES_MAX: usize = 4096;
const NAME_BYTES_MAX: usize = 256;

#[allow(clippy::cast_possible_truncation, reason = "some dozens of bytes")]
pub(super) static FNS: abi::CallFns = abi::CallFns {
    struct_size: size_of::<abi::CallFns>() as u32,
    reserved: 0,
    output: Some(output),
    output_strings: Some(output_strings),
    set_error: Some(set_error),
    progress: Some(progress),
    artifact: Some(artifact),
};

/// Bytes of an oldest host's table of a call: everything but the request's name and parameters.
pub(super) const OLDEST_CALL_BYTES: u32 = 32;

/// The same of an oldest host: outputs and errors.
pub(super) static OLDEST_FNS: abi::CallFns = abi::CallFns {
    struct_size: 32,
    reserved: 0,
    output: Some(output),
    output_strings: Some(output_strings),
    set_error: Some(set_error),
    progress: Some(poisoned_progress),
    artifact: Some(poisoned_artifact),
};

unsafe extern "C" fn poisoned_progress(_call: *mut abi::Call, _fraction: f64, _note: abi::Str) {
    std::process::abort()
}

unsafe extern "C" fn poisoned_artifact(_: *mut abi::Call, _: abi::Str, _: *const c_void, _: usize) -> i32 {
    std::process::abort()
}

/// The name and the dimensions of an output, checked.
struct Claim<'p> {
    name: &'p str,
    dims: &'p [i64],
    elements: usize,
}

/// # Safety
/// `call` must be the one that `make` handed out, and that call must be under way.
unsafe fn inner<'a>(call: *mut abi::Call) -> Option<&'a mut Inner> {
    // SAFETY: it is the first field of the whole, and its pointer covers the whole.
    unsafe { call.cast::<Inner>().as_mut() }
}

/// Runs what a plugin asked; a panic of ours must not reach it.
fn safely(work: impl FnOnce() -> Result<(), i32>) -> i32 {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => abi::OK,
        Ok(Err(status)) => status,
        Err(_) => abi::INTERNAL,
    }
}

impl Inner {
    fn refuse(&mut self, status: i32, message: impl FnOnce() -> String) -> i32 {
        if self.error.is_none() {
            self.error = Some((status, message()));
        }
        status
    }

    /// A name and dimensions that can be, in memory that stays.
    ///
    /// # Safety
    /// As the interface says.
    #[inline]
    unsafe fn claim<'p>(&mut self, name: abi::Str, ndim: i32, dims: *const i64) -> Result<Claim<'p>, i32> {
        // SAFETY: the plugin's text lives during the call.
        let name = unsafe { name.bytes() };
        // Most names are short and plain, and the general answer costs a call.
        let name = match name.is_ascii() {
            // SAFETY: ASCII is UTF-8.
            true => Some(unsafe { str::from_utf8_unchecked(name) }),
            false => str::from_utf8(name).ok(),
        };
        let Some(name) = name.filter(|name| !name.is_empty() && name.len() <= NAME_BYTES_MAX) else {
            return Err(self.refuse(abi::INVALID, || "an output's name is empty, too long or no UTF-8".to_owned()));
        };
        let rank = usize::try_from(ndim).ok().filter(|&rank| rank <= RANK_MAX && (rank == 0 || !dims.is_null()));
        let Some(rank) = rank else {
            return Err(self.refuse(abi::INVALID, || format!("output `{name}`: {ndim} dimensions cannot be")));
        };
        // SAFETY: not null, and the plugin answers for so many numbers.
        let dims = if rank == 0 { &[] } else { unsafe { slice::from_raw_parts(dims, rank) } };
        let elements = dims.iter().try_fold(1_usize, |all, &dim| all.checked_mul(usize::try_from(dim).ok()?));
        let Some(elements) = elements else {
            return Err(self.refuse(abi::INVALID, || format!("output `{name}`: its shape {dims:?} cannot be")));
        };
        if self.slots.iter().any(|slot| slot.name() == name) {
            return Err(self.refuse(abi::INVALID, || format!("output `{name}` was asked before")));
        }
        if self.slots.len() >= self.limits.outputs_max {
            let max = self.limits.outputs_max;
            return Err(self.refuse(abi::RESOURCE, || format!("output `{name}`: there may be {max} outputs")));
        }
        Ok(Claim { name, dims, elements })
    }

    /// Memory for an output's elements, zeroed, and for its dimensions, steps and name, which are written.
    #[inline]
    fn keep(&mut self, claim: &Claim<'_>, bytes: usize) -> (*mut u8, *mut i64) {
        let Claim { name, dims, .. } = *claim;
        let (data, kept) = self.arena.take_with(bytes, DIMS_BYTES + name.len());
        let kept = kept.cast::<i64>();
        let mut step = 1_i64;
        for (at, &dim) in dims.iter().enumerate().rev() {
            // SAFETY: room for RANK_MAX dimensions and as many steps; there are no more.
            unsafe {
                kept.add(at).write(dim);
                kept.add(RANK_MAX + at).write(step);
            }
            step = step.saturating_mul(dim.max(1));
        }
        // SAFETY: room for the name behind them.
        unsafe { kept.cast::<u8>().add(DIMS_BYTES).copy_from_nonoverlapping(name.as_ptr(), name.len()) };
        (data, kept)
    }
}

unsafe extern "C" fn output(
    call: *mut abi::Call,
    name: abi::Str,
    dtype: abi::Dtype,
    ndim: i32,
    dims: *const i64,
    out: *mut abi::Tensor,
) -> i32 {
    // SAFETY: the plugin hands back the call that it was given.
    let Some(inner) = (unsafe { inner(call) }).filter(|_| !out.is_null()) else { return abi::INVALID };
    safely(|| {
        let datatype = values::datatype(dtype).filter(|&datatype| datatype != Datatype::Bytes);
        let Some(element_bytes) = datatype.and_then(Datatype::element_bytes) else {
            return Err(inner.refuse(abi::UNSUPPORTED, || format!("no output has elements of {dtype:?}")));
        };
        // SAFETY: the plugin's name and numbers.
        let claim = unsafe { inner.claim(name, ndim, dims)? };
        let left = inner.limits.output_bytes_max.saturating_sub(inner.arena.given());
        let Some(bytes) = claim.elements.checked_mul(element_bytes).filter(|&bytes| bytes <= left) else {
            let (name, max) = (claim.name, inner.limits.output_bytes_max);
            return Err(inner.refuse(abi::RESOURCE, || format!("output `{name}`: outputs may have {max} bytes")));
        };
        let (data, kept) = inner.keep(&claim, bytes);
        let datatype = datatype.unwrap_or(Datatype::Uint8);
        inner.slots.push(Slot::new(claim.name, kept, claim.dims.len(), datatype, claim.elements, data, None));
        // SAFETY: the plugin's place for a tensor; what it points to stays until the next call.
        unsafe {
            out.write(abi::Tensor {
                data: data.cast(),
                device: abi::Device::CPU,
                ndim,
                dtype,
                shape: kept,
                strides: kept.add(RANK_MAX),
                byte_offset: 0,
            });
        }
        Ok(())
    })
}

unsafe extern "C" fn output_strings(
    call: *mut abi::Call,
    name: abi::Str,
    ndim: i32,
    dims: *const i64,
    elements: *const abi::Str,
) -> i32 {
    // SAFETY: as in `output`.
    let Some(inner) = (unsafe { inner(call) }) else { return abi::INVALID };
    safely(|| {
        // SAFETY: the plugin's name and numbers.
        let claim = unsafe { inner.claim(name, ndim, dims)? };
        let Claim { name, dims, elements: count } = claim;
        if count > 0 && elements.is_null() {
            return Err(inner.refuse(abi::INVALID, || format!("output `{name}` has no elements")));
        }
        let mut left = inner.limits.output_bytes_max.saturating_sub(inner.arena.given());
        let mut strings = BytesArray::default();
        for at in 0..count {
            // SAFETY: the plugin answers for so many texts, which live during the call.
            let element = unsafe { elements.add(at).read().bytes() };
            let Some(rest) = left.checked_sub(element.len() + size_of::<usize>()) else {
                let max = inner.limits.output_bytes_max;
                return Err(inner.refuse(abi::RESOURCE, || format!("output `{name}`: outputs may have {max} bytes")));
            };
            left = rest;
            strings.push(element);
        }
        let (data, kept) = inner.keep(&claim, 0);
        inner.slots.push(Slot::new(name, kept, dims.len(), Datatype::Bytes, count, data, Some(Box::new(strings))));
        Ok(())
    })
}

unsafe extern "C" fn set_error(call: *mut abi::Call, status: i32, message: abi::Str) {
    // SAFETY: as in `output`; the text lives during the call.
    let (Some(inner), message) = (unsafe { (inner(call), message.bytes()) }) else { return };
    safely(|| {
        let message = message.get(..message.len().min(MESSAGE_BYTES_MAX)).unwrap_or_default();
        inner.refuse(status, || String::from_utf8_lossy(message).into_owned());
        Ok(())
    });
}

unsafe extern "C" fn progress(call: *mut abi::Call, fraction: f64, _note: abi::Str) {
    // SAFETY: as in `output`.
    if let Some(inner) = unsafe { inner(call) }.filter(|_| fraction.is_finite()) {
        inner.progress = fraction.clamp(0.0, 1.0);
    }
}

unsafe extern "C" fn artifact(call: *mut abi::Call, name: abi::Str, bytes: *const c_void, len: usize) -> i32 {
    // SAFETY: as in `output`; name and bytes live during the call.
    let (inner, name, bytes) = unsafe { (inner(call), name.bytes(), abi::Str { ptr: bytes.cast(), len }.bytes()) };
    let Some(inner) = inner else { return abi::INVALID };
    safely(|| {
        let name = std::str::from_utf8(name).ok().filter(|name| !name.is_empty() && name.len() <= NAME_BYTES_MAX);
        let Some(name) = name else {
            return Err(inner.refuse(abi::INVALID, || "an artifact's name is empty, too long or no UTF-8".to_owned()));
        };
        let whole = inner.artifact_bytes.saturating_add(bytes.len());
        if whole > inner.limits.artifact_bytes_max {
            let max = inner.limits.artifact_bytes_max;
            return Err(inner.refuse(abi::RESOURCE, || format!("artifact `{name}`: artifacts may have {max} bytes")));
        }
        inner.artifact_bytes = whole;
        if let Some((_, all)) = inner.artifacts.iter_mut().find(|(known, _)| known == name) {
            all.extend_from_slice(bytes);
            return Ok(());
        }
        if inner.artifacts.len() >= inner.limits.outputs_max {
            return Err(inner.refuse(abi::RESOURCE, || "too many artifacts".to_owned()));
        }
        inner.artifacts.push((name.to_owned(), bytes.to_vec()));
        Ok(())
    })
}

/// `candor.host.predict/1`: calls the model that was lent to this call.
pub(crate) unsafe extern "C" fn predict(
    _own: *mut c_void,
    call: *mut abi::Call,
    model: abi::Str,
    values: *const abi::Value,
    n: u32,
    out: *mut *const abi::Value,
    n_out: *mut u32,
) -> i32 {
    // SAFETY: as in `output`.
    let Some(inner) = (unsafe { inner(call) }).filter(|_| !out.is_null() && !n_out.is_null()) else {
        return abi::INVALID;
    };
    safely(|| {
        let Some(lent) = inner.model else {
            return Err(inner.refuse(abi::UNSUPPORTED, || "no model is lent to this call".to_owned()));
        };
        if inner.cancel.load(Ordering::Relaxed) != 0 {
            return Err(inner.refuse(abi::CANCELLED, || "cancelled".to_owned()));
        }
        // SAFETY: the plugin's texts and tensors live during the call, and the model during `with_model`.
        let answered = unsafe {
            let inputs = if values.is_null() { &[] } else { slice::from_raw_parts(values, n as usize) };
            let inputs: Result<Vec<(String, Tensor)>> = inputs
                .iter()
                .map(|value| Ok((String::from_utf8_lossy(value.name.bytes()).into_owned(), values::tensor(&value.t)?)))
                .collect();
            inputs.and_then(|inputs| (*lent).predict(&String::from_utf8_lossy(model.bytes()), &inputs))
        };
        let answer = answered.map_err(|error| inner.refuse(status(error.code()), || format!("the model: {error}")))?;
        let (names, tensors): (Vec<String>, Vec<Tensor>) = answer.into_iter().unzip();
        let view = Values::of(names.iter().map(String::as_str).zip(&tensors));
        // SAFETY: forgets the lifetime; names and tensors are kept beside the view, and do not move when it does.
        let view = unsafe { std::mem::transmute::<Values<'_>, Values<'static>>(view) };
        // SAFETY: the plugin's places; the view's list stays where it is until the next call.
        unsafe {
            out.write(view.raw().as_ptr());
            n_out.write(u32::try_from(view.raw().len()).unwrap_or(0));
        }
        inner.lent.push(Lent { _names: names, _tensors: tensors, values: view });
        debug_assert!(inner.lent.iter().all(|lent| lent.values.raw().len() == lent._names.len()));
        Ok(())
    })
}
