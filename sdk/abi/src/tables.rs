//! Host, component and module: the tables that each side shows the other.
//!
//! Functions of a plugin are declared `extern "C-unwind"`, so that an exception which leaves one ends the process in a
//! defined way. Functions of the host never unwind.

use core::ffi::{c_char, c_void};

use crate::{Call, Str};

/// An instance: the plugin's own, opaque to the host.
#[repr(C)]
pub struct Instance {
    _opaque: [u8; 0],
}

layout! {
    /// What a plugin may ask at any time, from any thread.
    candor_host Open 48 = struct Host {
        /// Its bytes.
        0 => struct_size: u32,
        /// The host's major version.
        4 => abi_major: u16,
        /// The host's minor version.
        6 => abi_minor: u16,
        /// Handed to every function.
        8 => self_: *mut c_void,
        /// A line for the log.
        16 => log: Option<unsafe extern "C" fn(*mut c_void, i32, Str)>,
        /// A number for the metrics.
        24 => metric: Option<unsafe extern "C" fn(*mut c_void, Str, i32, f64, Str)>,
        /// A further table by its name, or null.
        32 => get_extension: Option<unsafe extern "C" fn(*mut c_void, *const c_char) -> *const c_void>,
        /// A monotonic clock.
        40 => now_ns: Option<unsafe extern "C" fn(*mut c_void) -> u64>,
    }

    /// One thing that a plugin offers. Text ends with NUL.
    candor_component Open 64 = struct Component {
        /// Its bytes.
        0 => struct_size: u32,
        /// Claims, such as `COMPONENT_CONCURRENT`.
        4 => flags: u32,
        /// Its name, such as `acme.smote`.
        8 => id: *const c_char,
        /// Its version.
        16 => version: *const c_char,
        /// What it is, separated by commas.
        24 => kinds: *const c_char,
        /// A JSON Schema of its configuration.
        32 => config_schema: *const c_char,
        /// Makes an instance.
        40 => create: Option<
            unsafe extern "C-unwind" fn(*const Host, *mut Call, Str, *mut *mut Instance) -> i32,
        >,
        /// Ends an instance.
        48 => destroy: Option<unsafe extern "C-unwind" fn(*mut Instance)>,
        /// A shape of calls by its name, or null.
        56 => get_interface: Option<unsafe extern "C-unwind" fn(*const c_char) -> *const c_void>,
    }

    /// The one exported object, `candor_module_v1`. Its first 24 bytes are frozen for ever.
    candor_module Open 56 = struct Module {
        /// Tells a plugin from any other library.
        0 => magic: u64,
        /// Its major version.
        8 => abi_major: u16,
        /// The least minor version that it needs of the host.
        10 => abi_min_minor: u16,
        /// The minor version that it was built with.
        12 => abi_built_minor: u16,
        /// 0.
        14 => reserved: u16,
        /// Its bytes.
        16 => struct_size: u32,
        /// Such as `MODULE_PANIC_ABORT`.
        20 => flags: u32,
        /// What built it, as JSON; ends with NUL.
        24 => build_info: *const c_char,
        /// Called once, before anything else.
        32 => init: Option<unsafe extern "C-unwind" fn(*const Host) -> i32>,
        /// How many components.
        40 => n_components: u32,
        /// 0.
        44 => reserved2: u32,
        /// The components: pointers, so that they can grow.
        48 => components: *const *const Component,
    }
}

// SAFETY: a component is static, read-only data, and so is all that it points to.
#[allow(unsafe_code, reason = "pointers are not Sync by themselves")]
unsafe impl Sync for Component {}
// SAFETY: as above.
#[allow(unsafe_code, reason = "pointers are not Sync by themselves")]
unsafe impl Sync for Module {}
