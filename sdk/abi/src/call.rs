//! One call: what the host hands to every function of a plugin that does work.
//!
//! The host makes it; it is valid until the call returns. What a plugin asks for by it is the host's.

use core::ffi::c_void;

use crate::{Dtype, Str, Tensor};

layout! {
    /// Made by the host, one per call.
    candor_call Open 64 = struct Call {
        /// Its bytes.
        0 => struct_size: u32,
        /// None yet.
        4 => flags: u32,
        /// What may be asked.
        8 => fns: *const CallFns,
        /// Not 0: stop soon. Read it as a relaxed atomic; may be null.
        16 => cancel: *const u32,
        /// When nobody waits any more, on the clock of [`crate::Host::now_ns`]; 0 if never.
        24 => deadline_ns: u64,
        /// The request's name.
        32 => request_id: Str,
        /// The request's parameters as a JSON object.
        48 => params_json: Str,
    }

    /// What a plugin may ask during a call.
    candor_call_fns Open 48 = struct CallFns {
        /// Its bytes.
        0 => struct_size: u32,
        /// 0.
        4 => reserved: u32,
        /// Memory for an output.
        8 => output: Option<
            unsafe extern "C" fn(*mut Call, Str, Dtype, i32, *const i64, *mut Tensor) -> i32,
        >,
        /// An output of strings, copied.
        16 => output_strings: Option<unsafe extern "C" fn(*mut Call, Str, i32, *const i64, *const Str) -> i32>,
        /// Why the status that follows is not OK.
        24 => set_error: Option<unsafe extern "C" fn(*mut Call, i32, Str)>,
        /// How far it is, from 0 to 1.
        32 => progress: Option<unsafe extern "C" fn(*mut Call, f64, Str)>,
        /// Appends bytes to an artifact.
        40 => artifact: Option<unsafe extern "C" fn(*mut Call, Str, *const c_void, usize) -> i32>,
    }
}
