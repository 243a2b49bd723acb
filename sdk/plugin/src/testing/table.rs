//! The tables of the host for tests. One host for the process; lines and numbers are kept per thread, so that tests
//! beside each other do not see each other's.
//!
//! It does what the header says and nothing more. It does not know which test asks.

use std::{
    cell::RefCell,
    ffi::{CStr, c_char, c_void},
    ptr, slice,
    time::Instant,
};

use candor_plugin_abi as abi;

use super::{Answer, ModelFn, Output, Setup, values::lines};
use crate::{Error, Inputs, Level, Metric, Result, Status, kinds::row_major};

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How much it matters.
    pub level: Level,
    /// The text.
    pub message: String,
}

/// A number for the metrics.
#[derive(Debug, Clone, PartialEq)]
pub struct Number {
    /// What is done with it.
    pub metric: Metric,
    /// Its name.
    pub name: String,
    /// The number.
    pub value: f64,
    /// Its labels.
    pub labels_json: String,
}

thread_local! {
    static LINES: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
    static NUMBERS: RefCell<Vec<Number>> = const { RefCell::new(Vec::new()) };
    static MODEL: RefCell<Option<*const ModelFn<'static>>> = const { RefCell::new(None) };
}

pub(super) fn take_lines() -> Vec<Line> {
    LINES.take()
}

pub(super) fn take_numbers() -> Vec<Number> {
    NUMBERS.take()
}

/// While `work` runs, this thread's explainers may call `model`.
pub(super) fn with_model<T>(model: Option<&ModelFn<'_>>, work: impl FnOnce() -> T) -> T {
    // SAFETY: forgets the lifetime; the pointer is taken away before this returns, and used on this thread only.
    let model = model.map(|model| unsafe { std::mem::transmute::<&ModelFn<'_>, *const ModelFn<'static>>(model) });
    MODEL.set(model);
    let answer = work();
    MODEL.set(None);
    answer
}

struct Table(abi::Host);
// SAFETY: read-only, and its pointers are null or functions.
unsafe impl Sync for Table {}

struct PredictTable(abi::HostPredictV1);
// SAFETY: as above.
unsafe impl Sync for PredictTable {}

static HOST: Table = Table(abi::Host {
    struct_size: size_of::<abi::Host>() as u32,
    abi_major: abi::ABI_MAJOR,
    abi_minor: abi::ABI_MINOR,
    self_: ptr::null_mut(),
    log: Some(log),
    metric: Some(metric),
    get_extension: Some(get_extension),
    now_ns: Some(now_ns),
});

static PREDICT: PredictTable = PredictTable(abi::HostPredictV1 {
    struct_size: size_of::<abi::HostPredictV1>() as u32,
    flags: 0,
    self_: ptr::null_mut(),
    predict: Some(predict),
});

static FNS: abi::CallFns = abi::CallFns {
    struct_size: size_of::<abi::CallFns>() as u32,
    reserved: 0,
    output: Some(output),
    output_strings: Some(output_strings),
    set_error: Some(set_error),
    progress: Some(progress),
    artifact: Some(artifact),
};

pub(super) fn host() -> *const abi::Host {
    &raw const HOST.0
}

/// A call and what came of it. Plugins see the first field.
#[repr(C)]
pub(super) struct FakeCall {
    call: abi::Call,
    fns: abi::CallFns,
    answer: Answer,
    error: Option<(i32, String)>,
    /// What models answered, kept until the call is over.
    lent: Vec<(Vec<Output>, Vec<abi::Value>)>,
}

impl FakeCall {
    /// Makes a call, lets `work` make something of it, and tells what came of that.
    pub(super) fn made(setup: &Setup<'_>, work: impl FnOnce(*mut abi::Call) -> i32) -> Result<Answer> {
        let fake = Box::into_raw(Box::new(Self {
            call: abi::Call {
                struct_size: size_of::<abi::Call>() as u32,
                flags: 0,
                fns: ptr::null(),
                cancel: setup.cancel.map_or(ptr::null(), |flag| flag.as_ptr().cast_const()),
                deadline_ns: setup.deadline_ns,
                request_id: abi::Str::of("test"),
                params_json: abi::Str::of(setup.params_json),
            },
            fns: FNS,
            answer: Answer::default(),
            error: None,
            lent: Vec::new(),
        }));
        // SAFETY: made above; nobody else has it before `work` begins or after it ends.
        let (status, mut fake) = unsafe {
            if let Some(bytes) = setup.fns_bytes {
                poison(&raw mut (*fake).fns, bytes);
                (*fake).fns.struct_size = bytes;
            }
            (*fake).call.fns = &raw const (*fake).fns;
            if let Some(bytes) = setup.call_bytes {
                poison(&raw mut (*fake).call, bytes);
                (*fake).call.struct_size = bytes;
            }
            (work(fake.cast()), Box::from_raw(fake))
        };
        match Status::of(status) {
            None => Ok(fake.answer),
            Some(status) => {
                let (_, message) = fake.error.take().unwrap_or((status.code(), "no reason was told".to_owned()));
                Err(Error::new(status, message))
            }
        }
    }
}

/// Overwrites what an older host would not have: a plugin that reads it does not get far.
///
/// # Safety
/// `table` must be a table. Nothing may read the fields that are overwritten, which are no valid ones any more.
unsafe fn poison<T>(table: *mut T, kept: u32) {
    let kept = (kept as usize).min(size_of::<T>());
    // SAFETY: within the table.
    unsafe { table.cast::<u8>().add(kept).write_bytes(0xA5, size_of::<T>() - kept) };
}

unsafe fn text(text: abi::Str) -> String {
    // SAFETY: the caller's, during the call.
    String::from_utf8_lossy(unsafe { text.bytes() }).into_owned()
}

unsafe extern "C" fn log(_own: *mut c_void, level: i32, message: abi::Str) {
    let level = match level {
        abi::LOG_ERROR => Level::Error,
        abi::LOG_WARN => Level::Warn,
        abi::LOG_INFO => Level::Info,
        abi::LOG_DEBUG => Level::Debug,
        _ => Level::Trace,
    };
    // SAFETY: the caller's text.
    let message = unsafe { text(message) };
    LINES.with_borrow_mut(|lines| lines.push(Line { level, message }));
}

unsafe extern "C" fn metric(_own: *mut c_void, name: abi::Str, kind: i32, value: f64, labels: abi::Str) {
    let metric = match kind {
        abi::METRIC_COUNTER => Metric::Counter,
        abi::METRIC_GAUGE => Metric::Gauge,
        _ => Metric::Histogram,
    };
    // SAFETY: the caller's texts.
    let (name, labels_json) = unsafe { (text(name), text(labels)) };
    NUMBERS.with_borrow_mut(|numbers| numbers.push(Number { metric, name, value, labels_json }));
}

unsafe extern "C" fn get_extension(_own: *mut c_void, id: *const c_char) -> *const c_void {
    // SAFETY: the name ends with NUL.
    let is_predict = unsafe { CStr::from_ptr(id) } == abi::HOST_PREDICT_V1;
    if is_predict { (&raw const PREDICT.0).cast() } else { ptr::null() }
}

#[allow(clippy::disallowed_methods, reason = "a host has a clock; tests give deadlines relative to it")]
unsafe extern "C" fn now_ns(_own: *mut c_void) -> u64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let start = START.get_or_init(Instant::now);
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX) + 1
}

/// The call's own memory.
unsafe fn fake<'a>(call: *mut abi::Call) -> &'a mut FakeCall {
    // SAFETY: a plugin may only hand back the call that it was given, whose pointer covers the whole.
    unsafe { &mut *call.cast::<FakeCall>() }
}

unsafe fn shape<'a>(ndim: i32, shape: *const i64) -> Option<&'a [i64]> {
    let ndim = usize::try_from(ndim).ok().filter(|&ndim| ndim <= abi::NDIM_MAX as usize)?;
    if ndim == 0 {
        return Some(&[]);
    }
    // SAFETY: the caller's: so many numbers.
    (!shape.is_null()).then(|| unsafe { slice::from_raw_parts(shape, ndim) })
}

fn elements(shape: &[i64]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |product, &dim| product.checked_mul(usize::try_from(dim).ok()?))
}

unsafe extern "C" fn output(
    call: *mut abi::Call,
    name: abi::Str,
    dtype: abi::Dtype,
    ndim: i32,
    dims: *const i64,
    out: *mut abi::Tensor,
) -> i32 {
    // SAFETY: the caller's call, text and numbers.
    let (fake, name, dims) = unsafe { (fake(call), text(name), shape(ndim, dims)) };
    let Some((dims, bytes)) = dims.and_then(|dims| {
        let bytes = elements(dims)?.checked_mul(dtype.bytes().filter(|_| dtype != abi::Dtype::STR)?)?;
        Some((dims, bytes))
    }) else {
        return abi::INVALID;
    };
    if fake.answer.outputs.iter().any(|output| output.name == name) {
        return abi::INVALID;
    }
    let (shape, strides, memory) = (dims.to_vec(), row_major(dims), lines(bytes));
    let output = Output { name, dtype, shape, strings: Vec::new(), strides, memory };
    // SAFETY: the caller's place for a tensor. The vectors' memory does not move when the output does.
    unsafe { out.write(output.value().t) };
    fake.answer.outputs.push(output);
    abi::OK
}

unsafe extern "C" fn output_strings(
    call: *mut abi::Call,
    name: abi::Str,
    ndim: i32,
    dims: *const i64,
    strings: *const abi::Str,
) -> i32 {
    // SAFETY: the caller's call, text and numbers.
    let (fake, name, dims) = unsafe { (fake(call), text(name), shape(ndim, dims)) };
    let Some((dims, count)) = dims.and_then(|dims| Some((dims, elements(dims)?))) else { return abi::INVALID };
    if fake.answer.outputs.iter().any(|output| output.name == name) {
        return abi::INVALID;
    }
    // SAFETY: the caller's: so many texts.
    let strings = (0..count).map(|at| unsafe { (*strings.add(at)).bytes() }.to_vec()).collect();
    let (shape, strides) = (dims.to_vec(), row_major(dims));
    fake.answer.outputs.push(Output { name, dtype: abi::Dtype::STR, shape, strings, strides, memory: lines(0) });
    abi::OK
}

unsafe extern "C" fn set_error(call: *mut abi::Call, status: i32, message: abi::Str) {
    // SAFETY: the caller's call and text.
    let (fake, message) = unsafe { (fake(call), text(message)) };
    fake.error.get_or_insert((status, message));
}

unsafe extern "C" fn progress(call: *mut abi::Call, fraction: f64, note: abi::Str) {
    // SAFETY: the caller's call and text.
    let (fake, note) = unsafe { (fake(call), text(note)) };
    fake.answer.progress.push((fraction, note));
}

unsafe extern "C" fn artifact(call: *mut abi::Call, name: abi::Str, bytes: *const c_void, len: usize) -> i32 {
    // SAFETY: the caller's call, text and bytes.
    let (fake, name, bytes) = unsafe { (fake(call), text(name), abi::Str { ptr: bytes.cast(), len }.bytes()) };
    match fake.answer.artifacts.iter_mut().find(|(known, _)| *known == name) {
        Some((_, whole)) => whole.extend_from_slice(bytes),
        None => fake.answer.artifacts.push((name, bytes.to_vec())),
    }
    abi::OK
}

unsafe extern "C" fn predict(
    _own: *mut c_void,
    call: *mut abi::Call,
    _model: abi::Str,
    values: *const abi::Value,
    n: u32,
    out: *mut *const abi::Value,
    n_out: *mut u32,
) -> i32 {
    let Some(model) = MODEL.with_borrow(|model| *model) else { return abi::UNSUPPORTED };
    // SAFETY: the model lives while `with_model` runs, which is now; the inputs are the caller's.
    let answered = unsafe { (*model)(&Inputs::new(values, n)) };
    // SAFETY: the caller's call.
    let fake = unsafe { fake(call) };
    match answered {
        Ok(outputs) => {
            let values: Vec<abi::Value> = outputs.iter().map(Output::value).collect();
            // SAFETY: the caller's places; the vectors' memory does not move when they do.
            unsafe {
                out.write(values.as_ptr());
                n_out.write(u32::try_from(values.len()).unwrap_or(0));
            }
            fake.lent.push((outputs, values));
            abi::OK
        }
        Err(error) => {
            fake.error.get_or_insert((error.status().code(), format!("the model: {}", error.message())));
            error.status().code()
        }
    }
}
