//! The host that checks: its tables may be cut short or have a tail of poison, its outputs lie before a page that nobody
//! may touch, and it remembers everything.
//!
//! It does not judge.
#![allow(unsafe_code, reason = "is the other side of the interface")]

use std::{
    ffi::{CStr, c_char, c_void},
    ptr, slice,
    sync::atomic::{AtomicU32, Ordering},
};

use candor_domain::Datatype;
use candor_plugin_abi as abi;
use rustix::time::{ClockId, clock_gettime};

use super::{
    guard::Guarded,
    sample::{Given, Sample, Spot},
};
use crate::values::{self, RANK_MAX};

/// What a call gave.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Output {
    pub name: String,
    pub datatype: Datatype,
    pub dims: Vec<i64>,
    pub bytes: Vec<u8>,
}

/// How large the tables say that they are: nothing for as large as they are.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sizes {
    pub call: Option<usize>,
    pub fns: Option<usize>,
    pub host: Option<usize>,
}

/// A table with room behind it, all of which is poison that the table does not cover.
#[repr(C, align(16))]
struct Tail([u8; 256]);

impl Tail {
    /// A table of which `size` bytes are there.
    fn of<T: Copy>(table: T, size: Option<usize>) -> Box<Self> {
        let size = size.unwrap_or(size_of::<T>());
        let mut tail = Box::new(Self([0xa5; 256]));
        // SAFETY: no table has 256 bytes, and tables are plain numbers and pointers.
        unsafe {
            ptr::copy_nonoverlapping((&raw const table).cast::<u8>(), tail.0.as_mut_ptr(), size.min(size_of::<T>()))
        };
        let said = u32::try_from(size).unwrap_or(0).to_ne_bytes();
        tail.0.iter_mut().zip(said).for_each(|(byte, said)| *byte = said);
        tail
    }

    fn start<T>(&self) -> *mut T {
        self.0.as_ptr().cast_mut().cast()
    }
}

/// What a call has asked, behind the call's own table.
#[derive(Default)]
struct Asked {
    outputs: Vec<(String, Datatype, Vec<i64>, Guarded)>,
    strings: Vec<Output>,
    dims: Vec<Vec<i64>>,
    artifacts: Vec<(String, Vec<u8>)>,
    error: String,
    lent: Vec<Given>,
}

/// What came of a call.
pub(super) struct Made {
    pub status: i32,
    pub error: String,
    pub outputs: Vec<Output>,
    pub artifacts: Vec<(String, Vec<u8>)>,
    /// Whether nothing was written beside the outputs.
    pub clean: bool,
}

thread_local! {
    /// What the call on this thread has asked. A call is made and answered on one thread.
    static ASKED: std::cell::RefCell<Asked> = std::cell::RefCell::default();
}

pub(super) fn now_ns_here() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// Makes a call whose tables are so large.
pub(super) fn call(sizes: Sizes, cancel: &AtomicU32, work: impl FnOnce(*mut abi::Call) -> i32) -> Made {
    ASKED.set(Asked::default());
    let fns = Tail::of(FNS, sizes.fns);
    let table = abi::Call {
        struct_size: 0,
        flags: 0,
        fns: fns.start(),
        cancel: cancel.as_ptr().cast_const(),
        deadline_ns: 0,
        request_id: abi::Str::of("check"),
        params_json: abi::Str::of("{}"),
    };
    let table = Tail::of(table, sizes.call);
    let status = work(table.start());
    let asked = ASKED.take();
    let clean = asked.outputs.iter().all(|(.., memory)| memory.is_clean());
    let numbers = asked.outputs.into_iter().map(|(name, datatype, dims, memory)| Output {
        name,
        datatype,
        dims,
        bytes: memory.bytes(),
    });
    Made {
        status,
        error: asked.error,
        outputs: numbers.chain(asked.strings).collect(),
        artifacts: asked.artifacts,
        clean,
    }
}

/// A host's table of this size; it lives for ever, as hosts do.
pub(super) fn host(size: Option<usize>) -> *const abi::Host {
    let table = abi::Host {
        struct_size: 0,
        abi_major: abi::ABI_MAJOR,
        abi_minor: abi::ABI_MINOR,
        self_: ptr::null_mut(),
        log: Some(log),
        metric: Some(metric),
        get_extension: Some(get_extension),
        now_ns: Some(now_ns),
    };
    Box::leak(Tail::of(table, size)).start()
}

static FNS: abi::CallFns = abi::CallFns {
    struct_size: 0,
    reserved: 0,
    output: Some(output),
    output_strings: Some(output_strings),
    set_error: Some(set_error),
    progress: Some(progress),
    artifact: Some(artifact),
};

struct PredictTable(abi::HostPredictV1);
// SAFETY: never written; its pointers are null or functions.
unsafe impl Sync for PredictTable {}

static PREDICT: PredictTable = PredictTable(abi::HostPredictV1 {
    #[allow(clippy::cast_possible_truncation, reason = "some dozens of bytes")]
    struct_size: size_of::<abi::HostPredictV1>() as u32,
    flags: 0,
    self_: ptr::null_mut(),
    predict: Some(predict),
});

/// Name and sizes, if they can be.
///
/// # Safety
/// As the interface says.
unsafe fn claim(name: abi::Str, ndim: i32, dims: *const i64) -> Option<(String, Vec<i64>, usize)> {
    let rank = usize::try_from(ndim).ok().filter(|&rank| rank <= RANK_MAX && (rank == 0 || !dims.is_null()))?;
    // SAFETY: the plugin answers for so many numbers, and for its text.
    let (dims, name) = unsafe {
        (if rank == 0 { &[][..] } else { slice::from_raw_parts(dims, rank) }, std::str::from_utf8(name.bytes()).ok()?)
    };
    let elements = dims.iter().try_fold(1_usize, |all, &dim| all.checked_mul(usize::try_from(dim).ok()?))?;
    let asked = |asked: &Asked| {
        let known = asked.outputs.iter().map(|(name, ..)| name).chain(asked.strings.iter().map(|output| &output.name));
        known.into_iter().any(|known| known == name)
    };
    let again = ASKED.with_borrow(asked);
    (!again && !name.is_empty() && elements < 1 << 28).then(|| (name.to_owned(), dims.to_vec(), elements))
}

unsafe extern "C" fn output(
    _call: *mut abi::Call,
    name: abi::Str,
    dtype: abi::Dtype,
    ndim: i32,
    dims: *const i64,
    out: *mut abi::Tensor,
) -> i32 {
    // SAFETY: the plugin's name and numbers.
    let claimed = unsafe { claim(name, ndim, dims) };
    let datatype = values::datatype(dtype).filter(|&datatype| datatype != Datatype::Bytes);
    let (Some((name, dims, elements)), Some(datatype), false) = (claimed, datatype, out.is_null()) else {
        return abi::INVALID;
    };
    let bytes = elements * datatype.element_bytes().unwrap_or(0);
    // Aligned as the interface promises, so that up to 63 bytes lie behind it; a canary watches them.
    let Ok(memory) = Guarded::new(bytes, 64, true) else { return abi::RESOURCE };
    memory.zero();
    let mut kept = vec![0; 2 * RANK_MAX];
    kept.iter_mut().zip(&dims).for_each(|(slot, dim)| *slot = *dim);
    kept.iter_mut().skip(RANK_MAX).zip(values::row_major(&dims)).for_each(|(slot, step)| *slot = step);
    let tensor = abi::Tensor {
        data: memory.start().cast(),
        device: abi::Device::CPU,
        ndim,
        dtype,
        shape: kept.as_ptr(),
        strides: kept.as_ptr().wrapping_add(RANK_MAX),
        byte_offset: 0,
    };
    // SAFETY: the plugin's place for a tensor.
    unsafe { out.write(tensor) };
    ASKED.with_borrow_mut(|asked| {
        asked.outputs.push((name, datatype, dims, memory));
        asked.dims.push(kept);
    });
    abi::OK
}

unsafe extern "C" fn output_strings(
    _call: *mut abi::Call,
    name: abi::Str,
    ndim: i32,
    dims: *const i64,
    elements: *const abi::Str,
) -> i32 {
    // SAFETY: as in `output`.
    let Some((name, dims, count)) = (unsafe { claim(name, ndim, dims) }) else { return abi::INVALID };
    if count > 0 && elements.is_null() {
        return abi::INVALID;
    }
    // SAFETY: the plugin answers for so many texts, which live during the call.
    let texts = (0..count).flat_map(|at| unsafe { elements.add(at).read().bytes().iter().copied().chain([0]) });
    let output = Output { name, datatype: Datatype::Bytes, dims, bytes: texts.collect() };
    ASKED.with_borrow_mut(|asked| asked.strings.push(output));
    abi::OK
}

unsafe extern "C" fn set_error(_call: *mut abi::Call, _status: i32, message: abi::Str) {
    // SAFETY: the text lives during the call.
    let message = String::from_utf8_lossy(unsafe { message.bytes() }).into_owned();
    ASKED.with_borrow_mut(|asked| asked.error = message);
}

unsafe extern "C" fn progress(_call: *mut abi::Call, _fraction: f64, _note: abi::Str) {}

unsafe extern "C" fn artifact(_call: *mut abi::Call, name: abi::Str, bytes: *const c_void, len: usize) -> i32 {
    // SAFETY: name and bytes live during the call.
    let (name, bytes) = unsafe {
        (String::from_utf8_lossy(name.bytes()).into_owned(), abi::Str { ptr: bytes.cast(), len }.bytes().to_vec())
    };
    ASKED.with_borrow_mut(|asked| match asked.artifacts.iter_mut().find(|(known, _)| *known == name) {
        Some((_, all)) => all.extend(bytes),
        None => asked.artifacts.push((name, bytes)),
    });
    abi::OK
}

unsafe extern "C" fn log(_own: *mut c_void, _level: i32, _message: abi::Str) {}

unsafe extern "C" fn metric(_own: *mut c_void, _name: abi::Str, _kind: i32, _value: f64, _labels: abi::Str) {}

unsafe extern "C" fn get_extension(_own: *mut c_void, id: *const c_char) -> *const c_void {
    // SAFETY: not null, and the interface says that it ends with NUL.
    let is_predict = !id.is_null() && unsafe { CStr::from_ptr(id) } == abi::HOST_PREDICT_V1;
    if is_predict { (&raw const PREDICT.0).cast() } else { ptr::null() }
}

unsafe extern "C" fn now_ns(_own: *mut c_void) -> u64 {
    now_ns_here()
}

/// The model that is lent: the sum of each row, as `y`.
unsafe extern "C" fn predict(
    _own: *mut c_void,
    _call: *mut abi::Call,
    _model: abi::Str,
    values: *const abi::Value,
    n: u32,
    out: *mut *const abi::Value,
    n_out: *mut u32,
) -> i32 {
    if values.is_null() || n == 0 || out.is_null() || n_out.is_null() {
        return abi::INVALID;
    }
    // SAFETY: the plugin answers for its value.
    let Ok(tensor) = (unsafe { values::tensor(&(*values).t) }) else { return abi::INVALID };
    let candor_domain::TensorData::Fp32(x) = tensor.data() else { return abi::INVALID };
    let rows = tensor.shape().dims().first().copied().unwrap_or(1);
    let count = usize::try_from(rows).unwrap_or(0);
    let width = x.len().checked_div(count).unwrap_or(0);
    // A row without columns has a sum too.
    let sums = (0..count).flat_map(|row| x.iter().skip(row * width).take(width).sum::<f32>().to_le_bytes());
    let sample = Sample { bytes: sums.collect(), ..Sample::new("y", Datatype::Fp32, &[rows]) };
    let Ok(given) = Given::put(&[sample], Spot::End) else { return abi::RESOURCE };
    ASKED.with_borrow_mut(|asked| {
        // SAFETY: the plugin's places; the list stays where it is until the call is over.
        unsafe {
            out.write(given.values.as_ptr());
            n_out.write(1);
        }
        asked.lent.push(given);
    });
    abi::OK
}

/// Whether somebody has asked to stop.
pub(super) fn raised() -> AtomicU32 {
    let flag = AtomicU32::new(0);
    flag.store(1, Ordering::Relaxed);
    flag
}
