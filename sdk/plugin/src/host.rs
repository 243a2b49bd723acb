//! What a plugin may ask at any time: log, metrics, the clock, further tables of the host.
//!
//! The host's table is remembered when the module is initialised or the first instance is made. Fields that an older
//! host does not have are passed over. It does not know what the host does with lines and numbers.

use std::{
    ffi::{CStr, c_void},
    ptr,
    sync::atomic::{AtomicPtr, Ordering},
};

use candor_plugin_abi::{self as abi, has};

static HOST: AtomicPtr<abi::Host> = AtomicPtr::new(ptr::null_mut());

/// How much a line of the log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// Something is broken.
    Error,
    /// Something looks wrong.
    Warn,
    /// Something happened.
    Info,
    /// For whoever looks for a fault.
    Debug,
    /// Everything.
    Trace,
}

impl Level {
    const fn code(self) -> i32 {
        match self {
            Self::Error => abi::LOG_ERROR,
            Self::Warn => abi::LOG_WARN,
            Self::Info => abi::LOG_INFO,
            Self::Debug => abi::LOG_DEBUG,
            Self::Trace => abi::LOG_TRACE,
        }
    }
}

/// What is done with a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Added.
    Counter,
    /// Set.
    Gauge,
    /// Observed.
    Histogram,
}

/// Remembers the host; the first one counts.
pub(crate) fn remember(host: *const abi::Host) {
    // Failing means that one is remembered.
    let _ = HOST.compare_exchange(ptr::null_mut(), host.cast_mut(), Ordering::AcqRel, Ordering::Acquire);
}

/// The host's table and its own pointer, if there is a host.
fn host() -> Option<(*const abi::Host, *mut c_void)> {
    let host: *const abi::Host = HOST.load(Ordering::Acquire);
    if host.is_null() {
        return None;
    }
    // SAFETY: the header says that the table lives as long as the process and is readable for its size.
    let own = unsafe { has!(host => Host.self_) }?;
    Some((host, own))
}

/// Writes a line to the host's log.
pub fn log(level: Level, message: &str) {
    let Some((host, own)) = host() else { return };
    // SAFETY: as in `host`; the function may be called from any thread, and copies the text.
    unsafe {
        if let Some(log) = has!(host => Host.log).flatten() {
            log(own, level.code(), abi::Str::of(message));
        }
    }
}

/// Tells the host a number. `labels_json` is an object of strings, or `{}`.
pub fn metric(metric: Metric, name: &str, value: f64, labels_json: &str) {
    let Some((host, own)) = host() else { return };
    let kind = match metric {
        Metric::Counter => abi::METRIC_COUNTER,
        Metric::Gauge => abi::METRIC_GAUGE,
        Metric::Histogram => abi::METRIC_HISTOGRAM,
    };
    // SAFETY: as in `log`.
    unsafe {
        if let Some(metric) = has!(host => Host.metric).flatten() {
            metric(own, abi::Str::of(name), kind, value, abi::Str::of(labels_json));
        }
    }
}

/// The host's monotonic clock, on which deadlines are told; 0 if it has none.
#[must_use]
pub fn now_ns() -> u64 {
    let Some((host, own)) = host() else { return 0 };
    // SAFETY: as in `log`.
    unsafe { has!(host => Host.now_ns).flatten().map_or(0, |now| now(own)) }
}

/// A further table of the host's, or null.
pub(crate) fn extension(id: &CStr) -> *const c_void {
    let Some((host, own)) = host() else { return ptr::null() };
    // SAFETY: as in `log`; the name ends with NUL.
    unsafe { has!(host => Host.get_extension).flatten().map_or(ptr::null(), |get| get(own, id.as_ptr())) }
}
