//! Versions, status codes, flags and levels: the numbers of the header, under its names without `CANDOR_`.
//!
//! [`NUMBERS`] lists them with their names, for the golden file. It does not know what anybody does with them.

/// Declares constants and their list.
macro_rules! numbers {
    ($($(#[$meta:meta])* $name:ident: $type:ty = $value:expr;)+) => {
        $($(#[$meta])* pub const $name: $type = $value;)+

        /// Every number of the header with its name there.
        pub static NUMBERS: &[(&str, i128)] = &[$((concat!("CANDOR_", stringify!($name)), $value as i128),)+];
    };
}

numbers! {
    /// Both sides must have the same.
    ABI_MAJOR: u16 = 0;
    /// Grows with additions.
    ABI_MINOR: u16 = 1;
    /// The oldest minor that this one did not break.
    ABI_MINOR_OLDEST: u16 = 1;
    /// `CANDORP1`.
    MAGIC: u64 = 0x3150_524F_444E_4143;

    /// It went well.
    OK: i32 = 0;
    /// The inputs or the configuration are wrong.
    INVALID: i32 = 1;
    /// May be right, and is not done here.
    UNSUPPORTED: i32 = 2;
    /// Not there.
    NOT_FOUND: i32 = 3;
    /// Out of memory, or over a limit.
    RESOURCE: i32 = 4;
    /// Stopped because nobody waits.
    CANCELLED: i32 = 5;
    /// Too late.
    DEADLINE: i32 = 6;
    /// Not now.
    UNAVAILABLE: i32 = 7;
    /// A fault of the plugin.
    INTERNAL: i32 = 8;
    /// A panic or exception was caught.
    PANIC: i32 = 9;

    /// The processor's memory.
    DEVICE_CPU: i32 = 1;
    /// Signed integers.
    DTYPE_INT: u8 = 0;
    /// Unsigned integers.
    DTYPE_UINT: u8 = 1;
    /// Floats.
    DTYPE_FLOAT: u8 = 2;
    /// With 128 bits: strings.
    DTYPE_OPAQUE: u8 = 3;
    /// Brain floats.
    DTYPE_BFLOAT: u8 = 4;
    /// Complex numbers.
    DTYPE_COMPLEX: u8 = 5;
    /// With 8 bits: 0 or 1.
    DTYPE_BOOL: u8 = 6;
    /// Most dimensions of a tensor.
    NDIM_MAX: i32 = 8;

    /// Something is broken.
    LOG_ERROR: i32 = 1;
    /// Something looks wrong.
    LOG_WARN: i32 = 2;
    /// Something happened.
    LOG_INFO: i32 = 3;
    /// For whoever looks for a fault.
    LOG_DEBUG: i32 = 4;
    /// Everything.
    LOG_TRACE: i32 = 5;

    /// Adds.
    METRIC_COUNTER: i32 = 1;
    /// Sets.
    METRIC_GAUGE: i32 = 2;
    /// Observes.
    METRIC_HISTOGRAM: i32 = 3;

    /// `run` may be called by several threads at once.
    COMPONENT_CONCURRENT: u32 = 1;
    /// The same inputs give the same outputs.
    COMPONENT_DETERMINISTIC: u32 = 2;
    /// Waits for something else than the processor.
    COMPONENT_MAY_BLOCK: u32 = 4;
    /// Starts threads, which `destroy` joins.
    COMPONENT_OWNS_THREADS: u32 = 8;
    /// Bounded: less than 50 µs, no blocking, no call of a model.
    COMPONENT_INLINE: u32 = 16;

    /// A panic would end the process.
    MODULE_PANIC_ABORT: u32 = 1;
    /// Must have a process of its own.
    MODULE_ISOLATED_ONLY: u32 = 2;
}

/// The name of the exported object.
pub const MODULE_SYMBOL: &str = "candor_module_v1";

/// The word for a status, as it stands in errors and metrics.
#[must_use]
pub const fn status_word(status: i32) -> &'static str {
    match status {
        OK => "ok",
        INVALID => "invalid",
        UNSUPPORTED => "unsupported",
        NOT_FOUND => "not_found",
        RESOURCE => "resource",
        CANCELLED => "cancelled",
        DEADLINE => "deadline",
        UNAVAILABLE => "unavailable",
        PANIC => "panic",
        _ => "internal",
    }
}
