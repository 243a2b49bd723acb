//! What every kind of component has: a name, a version, a configuration, claims, a beginning.
//!
//! Implemented by authors; read by the thunks, which make tables of it. It does not know the kinds.

use std::ffi::CStr;

use candor_plugin_abi as abi;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Call, Error, Result};

/// One thing that a plugin offers. An instance is one configuration of it; it is shared by threads.
pub trait Component: Send + Sync + Sized + 'static {
    /// Its configuration, read from JSON that the host has checked against [`Component::CONFIG_SCHEMA`].
    type Config: DeserializeOwned;

    /// Its name: `vendor.thing`.
    const ID: &'static CStr;

    /// Its version; see [`crate::version!`].
    const VERSION: &'static CStr;

    /// A JSON Schema of its configuration; see [`crate::schema!`]. This one allows anything.
    const CONFIG_SCHEMA: &'static CStr = c"{}";

    /// What it claims of itself. The host relies on it and `check` tests it.
    const CLAIMS: Claims = Claims::NONE;

    /// Whether it has [`Component::save`] and [`Component::load`].
    const STATEFUL: bool = false;

    /// Makes an instance.
    ///
    /// # Errors
    /// `Invalid` when the configuration is wrong.
    fn create(config: Self::Config, call: &Call<'_>) -> Result<Self>;

    /// Its inputs and outputs in this configuration.
    ///
    /// # Errors
    /// `Unsupported` when it cannot tell.
    fn describe(&self) -> Result<Description> {
        Err(Error::unsupported("it does not tell its inputs and outputs"))
    }

    /// What was fitted, as bytes.
    ///
    /// # Errors
    /// `Unsupported` when it is not [`Component::STATEFUL`].
    fn save(&self) -> Result<Vec<u8>> {
        Err(Error::unsupported("it has no state"))
    }

    /// Takes back what [`Component::save`] gave.
    ///
    /// # Errors
    /// `Unsupported` when it is not [`Component::STATEFUL`], `Invalid` for bytes that are not its own.
    fn load(&mut self, state: &[u8]) -> Result<()> {
        let _ = state;
        Err(Error::unsupported("it has no state"))
    }
}

/// What a component claims of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claims(u32);

impl Claims {
    /// Nothing but what the SDK knows: that instances are shared by threads.
    pub const NONE: Self = Self(0);

    /// The same inputs give the same outputs.
    #[must_use]
    pub const fn deterministic(self) -> Self {
        Self(self.0 | abi::COMPONENT_DETERMINISTIC)
    }

    /// It waits for something else than the processor.
    #[must_use]
    pub const fn may_block(self) -> Self {
        Self(self.0 | abi::COMPONENT_MAY_BLOCK)
    }

    /// It starts threads, and joins them when it is dropped.
    #[must_use]
    pub const fn owns_threads(self) -> Self {
        Self(self.0 | abi::COMPONENT_OWNS_THREADS)
    }

    /// It takes less than 50 µs, waits for nothing and calls no model.
    #[must_use]
    pub const fn inline(self) -> Self {
        Self(self.0 | abi::COMPONENT_INLINE)
    }

    /// The interface's flags. Rust's own rules make every instance safe to share.
    pub(crate) const fn flags(self) -> u32 {
        self.0 | abi::COMPONENT_CONCURRENT
    }
}

/// The configuration of a component that has none: `{}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// Inputs and outputs of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// What it reads.
    pub inputs: Vec<Port>,
    /// What it gives.
    pub outputs: Vec<Port>,
}

/// One input or output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its type, by the Open Inference Protocol's names, such as `FP32`.
    pub datatype: String,
    /// Its shape; -1 where any size goes.
    pub shape: Vec<i64>,
}

impl Port {
    /// A port.
    pub fn new(name: &str, datatype: &str, shape: &[i64]) -> Self {
        Self { name: name.to_owned(), datatype: datatype.to_owned(), shape: shape.to_vec() }
    }
}
