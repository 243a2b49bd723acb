//! A library that panics, for the tests: built as an example, loaded by `calling`.

use std::ffi::CStr;

use candor_plugin_sdk::{Call, Component, Inputs, NoConfig, Predictor, Result, export, module, version};

module!(predictor Panicking);
export!(MODULE);

/// Panics when it is given no input.
pub struct Panicking;

impl Component for Panicking {
    type Config = NoConfig;
    const ID: &'static CStr = c"test.panicking";
    const VERSION: &'static CStr = version!();

    fn create(_config: NoConfig, _call: &Call<'_>) -> Result<Self> {
        Ok(Self)
    }
}

impl Predictor for Panicking {
    fn predict(&self, call: &Call<'_>, inputs: &Inputs<'_>) -> Result<()> {
        assert!(!inputs.is_empty(), "there were {} inputs", inputs.len());
        call.output::<f32>("y", &[1]).map(|_| ())
    }
}
