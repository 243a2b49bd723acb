//! The plugin that does nothing, for the benchmark: reads the first number and gives it back.
//!
//! One crate is enough here: it is built as a library only, and linked into nothing. See `noop.c` for the same in C.

use std::ffi::CStr;

use candor_plugin_sdk::{Call, Component, Inputs, NoConfig, Predictor, Result, export, module, version};

module!(predictor Noop);
export!(MODULE);

/// Does nothing.
pub struct Noop;

impl Component for Noop {
    type Config = NoConfig;
    const ID: &'static CStr = c"bench.noop";
    const VERSION: &'static CStr = version!();

    fn create(_config: NoConfig, _call: &Call<'_>) -> Result<Self> {
        Ok(Self)
    }
}

impl Predictor for Noop {
    fn predict(&self, call: &Call<'_>, inputs: &Inputs<'_>) -> Result<()> {
        let x = inputs.need("x")?.slice::<f32>()?;
        if let ([y], [first, ..]) = (call.output::<f32>("y", &[1])?, x) {
            *y = *first;
        }
        Ok(())
    }
}
