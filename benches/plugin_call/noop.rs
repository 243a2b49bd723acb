//! The plugin that does nothing, for the benchmark: reads the first number and gives it back. Asked for anything but
//! `x`, it ends its process. A second component gives back twice what it is given.
//!
//! One crate is enough here: it is built as a library only, and linked into nothing. See `noop.c` for the same in C.

use std::ffi::CStr;

use candor_plugin_sdk::{Call, Component, Inputs, NoConfig, Predictor, Result, export, module, version};

module!(predictor Noop, predictor Twice);
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
        let Some(x) = inputs.get("x") else { std::process::abort() };
        let x = x.slice::<f32>()?;
        if let ([y], [first, ..]) = (call.output::<f32>("y", &[1])?, x) {
            *y = *first;
        }
        Ok(())
    }
}

/// Twice the input.
pub struct Twice;

impl Component for Twice {
    type Config = NoConfig;
    const ID: &'static CStr = c"bench.twice";
    const VERSION: &'static CStr = version!();

    fn create(_config: NoConfig, _call: &Call<'_>) -> Result<Self> {
        Ok(Self)
    }
}

impl Predictor for Twice {
    fn predict(&self, call: &Call<'_>, inputs: &Inputs<'_>) -> Result<()> {
        let x = inputs.need("x")?;
        for (y, x) in call.output::<f32>("y", x.shape())?.iter_mut().zip(x.slice::<f32>()?) {
            *y = x * 2.0;
        }
        Ok(())
    }
}
