//! What a host does for its plugins: log, metrics, a clock, and the model that an explainer may call.
//!
//! A plugin sees a table; behind it stands whatever implements [`Services`]. The table lives as long as the process,
//! since plugins do. It does not know any plugin.
#![allow(unsafe_code, reason = "functions of the host are called by plugins with raw pointers")]

use std::{
    ffi::{CStr, c_char, c_void},
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
    sync::Arc,
};

use candor_domain::{error::Result, tensor::Tensor};
use candor_plugin_abi as abi;
use serde::{Deserialize, Serialize};

use crate::call;

/// How much of its tables a host shows. The matrix of plugins and hosts needs both; a server shows all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Age {
    /// All that this version has.
    #[default]
    Today,
    /// As if it were the first host of this major version: each table says that it ends behind what no plugin can do
    /// without, and what lies behind is poison. Whoever reads a pointer there crashes; whoever calls a function ends
    /// the process.
    Oldest,
}

/// Bytes of an oldest host's table: log and metrics.
const OLDEST_HOST_BYTES: u32 = 32;

/// Stands where an oldest host has nothing.
#[allow(clippy::disallowed_methods, reason = "ends the process of a plugin that calls what is not there")]
fn poisoned() -> ! {
    std::process::abort()
}

unsafe extern "C" fn poisoned_extension(_own: *mut c_void, _id: *const c_char) -> *const c_void {
    poisoned()
}

unsafe extern "C" fn poisoned_now(_own: *mut c_void) -> u64 {
    poisoned()
}

/// How much a line of a plugin's log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the usual words")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// What is done with a plugin's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the usual words")]
pub enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

impl LogLevel {
    pub(crate) fn of(code: i32) -> Self {
        match code {
            abi::LOG_ERROR => Self::Error,
            abi::LOG_WARN => Self::Warn,
            abi::LOG_INFO => Self::Info,
            abi::LOG_DEBUG => Self::Debug,
            _ => Self::Trace,
        }
    }

    pub(crate) const fn code(self) -> i32 {
        match self {
            Self::Error => abi::LOG_ERROR,
            Self::Warn => abi::LOG_WARN,
            Self::Info => abi::LOG_INFO,
            Self::Debug => abi::LOG_DEBUG,
            Self::Trace => abi::LOG_TRACE,
        }
    }
}

impl MetricKind {
    pub(crate) fn of(code: i32) -> Option<Self> {
        match code {
            abi::METRIC_COUNTER => Some(Self::Counter),
            abi::METRIC_GAUGE => Some(Self::Gauge),
            abi::METRIC_HISTOGRAM => Some(Self::Histogram),
            _ => None,
        }
    }

    pub(crate) const fn code(self) -> i32 {
        match self {
            Self::Counter => abi::METRIC_COUNTER,
            Self::Gauge => abi::METRIC_GAUGE,
            Self::Histogram => abi::METRIC_HISTOGRAM,
        }
    }
}

/// What a host does for its plugins. Called from any thread, the plugins' own among them.
pub trait Services: Send + Sync {
    /// A line for the log.
    fn log(&self, level: LogLevel, message: &str);
    /// A number for the metrics. `labels_json` is the plugin's and may be anything.
    fn metric(&self, kind: MetricKind, name: &str, value: f64, labels_json: &str);
    /// The monotonic clock on which deadlines are told, in nanoseconds.
    fn now_ns(&self) -> u64;
    /// The same for one plugin, by its name.
    fn of(&self, plugin: &str) -> Box<dyn Services>;
}

impl<T: Services + ?Sized> Services for Arc<T> {
    fn log(&self, level: LogLevel, message: &str) {
        (**self).log(level, message);
    }
    fn metric(&self, kind: MetricKind, name: &str, value: f64, labels_json: &str) {
        (**self).metric(kind, name, value, labels_json);
    }
    fn now_ns(&self) -> u64 {
        (**self).now_ns()
    }
    fn of(&self, plugin: &str) -> Box<dyn Services> {
        (**self).of(plugin)
    }
}

/// The model that a component may call during a call. The host answers for limits of depth and time.
pub trait LentModel: Sync {
    /// Answers; an empty name means the model that is explained.
    ///
    /// # Errors
    /// The model's.
    fn predict(&self, model: &str, inputs: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>>;
}

/// The host's table, as plugins see it.
#[derive(Clone, Copy)]
pub struct HostTable(&'static abi::Host);

// SAFETY: the table is never written, and its functions may be called from any thread.
unsafe impl Send for HostTable {}
// SAFETY: as above.
unsafe impl Sync for HostTable {}

struct PredictTable(abi::HostPredictV1);
// SAFETY: never written; its pointers are null or functions.
unsafe impl Sync for PredictTable {}

static PREDICT: PredictTable = PredictTable(abi::HostPredictV1 {
    #[allow(clippy::cast_possible_truncation, reason = "some dozens of bytes")]
    struct_size: size_of::<abi::HostPredictV1>() as u32,
    flags: 0,
    self_: ptr::null_mut(),
    predict: Some(call::predict),
});

impl HostTable {
    /// A table over services. Both live as long as the process: plugins are never unloaded.
    #[must_use]
    pub fn leak(services: Box<dyn Services>) -> Self {
        Self::leak_as(services, Age::Today)
    }

    /// As [`Self::leak`], of a host of this age.
    pub(crate) fn leak_as(services: Box<dyn Services>, age: Age) -> Self {
        let own: &'static Own = Box::leak(Box::new(Own(services)));
        #[allow(clippy::cast_possible_truncation, reason = "some dozens of bytes")]
        let (struct_size, get_extension, now_ns): (u32, Extension, Now) = match age {
            Age::Today => (size_of::<abi::Host>() as u32, get_extension, now_ns),
            Age::Oldest => (OLDEST_HOST_BYTES, poisoned_extension, poisoned_now),
        };
        Self(Box::leak(Box::new(abi::Host {
            struct_size,
            abi_major: abi::ABI_MAJOR,
            abi_minor: abi::ABI_MINOR,
            self_: ptr::from_ref(own).cast_mut().cast(),
            log: Some(log),
            metric: Some(metric),
            get_extension: Some(get_extension),
            now_ns: Some(now_ns),
        })))
    }

    pub(crate) fn raw(self) -> *const abi::Host {
        self.0
    }

    /// How old it is.
    pub(crate) fn age(self) -> Age {
        if self.0.struct_size == OLDEST_HOST_BYTES { Age::Oldest } else { Age::Today }
    }
}

type Extension = unsafe extern "C" fn(*mut c_void, *const c_char) -> *const c_void;
type Now = unsafe extern "C" fn(*mut c_void) -> u64;

/// A thin pointer's worth of services.
struct Own(Box<dyn Services>);

/// # Safety
/// `own` must come from [`HostTable::leak`].
unsafe fn services(own: *mut c_void) -> &'static dyn Services {
    // SAFETY: leaked there.
    let own: &'static Own = unsafe { &*own.cast_const().cast::<Own>() };
    &*own.0
}

/// Runs a service; a panic of ours must not reach the plugin.
fn quietly<T>(fallback: T, work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(fallback)
}

unsafe extern "C" fn log(own: *mut c_void, level: i32, message: abi::Str) {
    let level = LogLevel::of(level);
    // SAFETY: the plugin hands back our own pointer, and a text that lives during the call.
    let (services, message) = unsafe { (services(own), message.bytes()) };
    quietly((), || services.log(level, &String::from_utf8_lossy(message)));
}

unsafe extern "C" fn metric(own: *mut c_void, name: abi::Str, kind: i32, value: f64, labels: abi::Str) {
    let Some(kind) = MetricKind::of(kind) else { return };
    // SAFETY: as in `log`.
    let (services, name, labels) = unsafe { (services(own), name.bytes(), labels.bytes()) };
    quietly((), || services.metric(kind, &String::from_utf8_lossy(name), value, &String::from_utf8_lossy(labels)));
}

unsafe extern "C" fn get_extension(_own: *mut c_void, id: *const c_char) -> *const c_void {
    if id.is_null() {
        return ptr::null();
    }
    // SAFETY: not null, and the interface says that it ends with NUL.
    let is_predict = unsafe { CStr::from_ptr(id) } == abi::HOST_PREDICT_V1;
    if is_predict { (&raw const PREDICT.0).cast() } else { ptr::null() }
}

unsafe extern "C" fn now_ns(own: *mut c_void) -> u64 {
    // SAFETY: as in `log`.
    let services = unsafe { services(own) };
    quietly(0, || services.now_ns())
}
