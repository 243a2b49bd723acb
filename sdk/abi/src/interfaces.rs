//! The three shapes of calls, what a component may add, and what the host may add.
//!
//! A kind is a contract over these shapes, so a new kind changes nothing here.

use core::ffi::{CStr, c_void};

use crate::{Call, Instance, Str, Value};

/// Tensors to tensors.
pub const RUN_V1: &CStr = c"candor.run/1";
/// Batches to a state or to artifacts.
pub const FIT_V1: &CStr = c"candor.fit/1";
/// The choice of an arm.
pub const ROUTE_V1: &CStr = c"candor.route/1";
/// What was fitted, as bytes.
pub const STATE_V1: &CStr = c"candor.state/1";
/// Inputs and outputs for a configuration.
pub const DESCRIBE_V1: &CStr = c"candor.describe/1";
/// The host's: calls a model.
pub const HOST_PREDICT_V1: &CStr = c"candor.host.predict/1";

type OnInstance = unsafe extern "C-unwind" fn(*mut Instance, *mut Call) -> i32;
type OnValues = unsafe extern "C-unwind" fn(*mut Instance, *mut Call, *const Value, u32) -> i32;

layout! {
    /// `candor.run/1`.
    candor_run_v1 Open 16 = struct RunV1 {
        /// Its bytes.
        0 => struct_size: u32,
        /// None yet.
        4 => flags: u32,
        /// Runs.
        8 => run: Option<OnValues>,
    }

    /// `candor.fit/1`.
    candor_fit_v1 Open 32 = struct FitV1 {
        /// Its bytes.
        0 => struct_size: u32,
        /// None yet.
        4 => flags: u32,
        /// Forgets what was fitted and begins again.
        8 => begin: Option<OnInstance>,
        /// Some rows.
        16 => batch: Option<OnValues>,
        /// Makes a state or artifacts of them.
        24 => finish: Option<OnInstance>,
    }

    /// One choice of a router.
    candor_arm Frozen 40 = struct Arm {
        /// Its name.
        0 => name: Str,
        /// Its configured weight.
        16 => weight: f64,
        /// Calls under way.
        24 => in_flight: u64,
        /// Its median time.
        32 => p50_ns: u64,
    }

    /// `candor.route/1`.
    candor_route_v1 Open 24 = struct RouteV1 {
        /// Its bytes.
        0 => struct_size: u32,
        /// None yet.
        4 => flags: u32,
        /// Chooses.
        8 => choose: Option<
            unsafe extern "C-unwind" fn(*mut Instance, *const Arm, u32, u64, *const Value, u32, *mut u32) -> i32,
        >,
        /// How a choice turned out.
        16 => feedback: Option<unsafe extern "C-unwind" fn(*mut Instance, u32, f64, u64) -> i32>,
    }

    /// `candor.state/1`.
    candor_state_v1 Open 24 = struct StateV1 {
        /// Its bytes.
        0 => struct_size: u32,
        /// None yet.
        4 => flags: u32,
        /// Gives the artifact `state`.
        8 => save: Option<OnInstance>,
        /// Takes it back.
        16 => load: Option<unsafe extern "C-unwind" fn(*mut Instance, *mut Call, *const c_void, usize) -> i32>,
    }

    /// `candor.describe/1`.
    candor_describe_v1 Open 16 = struct DescribeV1 {
        /// Its bytes.
        0 => struct_size: u32,
        /// None yet.
        4 => flags: u32,
        /// Gives the artifact `describe.json`.
        8 => describe: Option<OnInstance>,
    }

    /// `candor.host.predict/1`.
    candor_host_predict_v1 Open 24 = struct HostPredictV1 {
        /// Its bytes.
        0 => struct_size: u32,
        /// None yet.
        4 => flags: u32,
        /// Handed to the function.
        8 => self_: *mut c_void,
        /// Calls a model; an empty name means the one that is being explained.
        16 => predict: Option<
            unsafe extern "C" fn(*mut c_void, *mut Call, Str, *const Value, u32, *mut *const Value, *mut u32) -> i32,
        >,
    }
}
