//! The plugin interface as raw types: what `include/candor_plugin.h` says, said again in Rust.
//!
//! The header is the source of truth and explains every struct, its rules and its threads; here stand the layouts,
//! asserted field by field at compile time. Before it comes nothing; after it come the SDK, on the plugin's side, and
//! the host. It does not know what either does with the tables.
//!
//! | module | what it has |
//! |---|---|
//! | `layout` | the macro that declares a struct with its offsets and asserts them |
//! | `values` | names, tensors and values: frozen |
//! | `call` | one call and what a plugin may ask during it |
//! | `tables` | host, module, component |
//! | `interfaces` | the shapes of calls |
//! | `numbers` | versions, status codes and other constants |
#![no_std]

#[macro_use]
mod layout;
mod call;
mod interfaces;
mod numbers;
mod tables;
mod values;

pub use call::{Call, CallFns};
pub use interfaces::{
    Arm, DESCRIBE_V1, DescribeV1, FIT_V1, FitV1, HOST_PREDICT_V1, HostPredictV1, ROUTE_V1, RUN_V1, RouteV1, RunV1,
    STATE_V1, StateV1,
};
#[doc(hidden)]
pub use layout::size_of_field;
pub use layout::{Field, Frozen, Layout};
pub use numbers::*;
pub use tables::{Component, Host, Instance, Module};
pub use values::{Device, Dtype, Str, Tensor, Value};

/// Every struct of the interface, for goldens and for whoever compares.
pub static LAYOUTS: [&Layout; 17] = [
    &Str::LAYOUT,
    &Device::LAYOUT,
    &Dtype::LAYOUT,
    &Tensor::LAYOUT,
    &Value::LAYOUT,
    &Call::LAYOUT,
    &CallFns::LAYOUT,
    &Host::LAYOUT,
    &HostPredictV1::LAYOUT,
    &Component::LAYOUT,
    &Module::LAYOUT,
    &RunV1::LAYOUT,
    &FitV1::LAYOUT,
    &Arm::LAYOUT,
    &RouteV1::LAYOUT,
    &StateV1::LAYOUT,
    &DescribeV1::LAYOUT,
];
