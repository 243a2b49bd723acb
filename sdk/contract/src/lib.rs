//! The plugin of the matrix, with the SDK: one answer for each thing that the interface has.
//!
//! `contract.c` and `raw.rs` are the same, by hand. It is built as a library only, so one crate is enough. What must hold
//! of it stands in `server/plugin_host/tests/plugins/matrix.rs`.

use std::{ffi::CStr, sync::atomic::Ordering, thread, time::Duration};

use candor_plugin_sdk::{
    Call, Claims, Component, Description, Error, Inputs, Level, Port, Predictor, Result, Status, export, log, module,
    now_ns, version,
};

module!(predictor Contract);
export!(MODULE);

/// Multiplies by a factor, and does what the names of its inputs ask for.
pub struct Contract(f32);

/// The factor.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    factor: f32,
}

impl Component for Contract {
    type Config = Config;
    const ID: &'static CStr = c"test.contract";
    const VERSION: &'static CStr = version!();
    const CONFIG_SCHEMA: &'static CStr =
        c"{\"type\":\"object\",\"properties\":{\"factor\":{\"type\":\"number\"}},\"required\":[\"factor\"]}";
    const CLAIMS: Claims = Claims::NONE.deterministic();

    fn create(config: Config, _call: &Call<'_>) -> Result<Self> {
        if !config.factor.is_finite() || config.factor == 0.0 {
            return Err(Error::invalid("`factor` is 0"));
        }
        log(Level::Info, "contract: made");
        Ok(Self(config.factor))
    }

    fn describe(&self) -> Result<Description> {
        let port = |name| vec![Port::new(name, "FP32", &[-1, -1])];
        Ok(Description { inputs: port("x"), outputs: port("y") })
    }
}

impl Predictor for Contract {
    fn predict(&self, call: &Call<'_>, inputs: &Inputs<'_>) -> Result<()> {
        if let Some(x) = inputs.get("x") {
            let numbers = x.to_vec::<f32>()?;
            for (y, x) in call.output::<f32>("y", x.shape())?.iter_mut().zip(numbers) {
                *y = x * self.0;
            }
            let rank = i64::try_from(x.shape().len()).unwrap_or(-1);
            call.output::<i64>("rank", &[1])?.fill(rank);
            call.progress(0.5, "half");
            return Ok(());
        }
        if let Some(words) = inputs.get("words") {
            let echoed: Vec<&[u8]> = words.strings()?.collect();
            return call.output_strings("words", words.shape(), &echoed);
        }
        if inputs.get("seen").is_some() {
            let seen = [now_ns() != 0, !call.request_id().is_empty(), call.artifact("seen", b"bytes").is_ok()];
            for (out, seen) in call.output::<i64>("seen", &[3])?.iter_mut().zip(seen) {
                *out = i64::from(seen);
            }
            return Ok(());
        }
        if inputs.get("wait").is_some() {
            for _ in 0..10_000 {
                if call.cancelled().load(Ordering::Relaxed) != 0 {
                    return Err(Error::new(Status::Cancelled, "nobody waits"));
                }
                thread::sleep(Duration::from_millis(1));
            }
            return Ok(());
        }
        assert!(inputs.get("panic").is_none(), "as asked");
        Err(Error::invalid("expected x, words, seen, wait or panic"))
    }
}
