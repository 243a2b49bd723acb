//! One small component of every kind, as authors write them, and one that does odd things on demand.

use std::{ffi::CStr, panic::panic_any};

use candor_plugin_sdk::{
    Arms, Call, Claims, Combiner, Component, Description, Detector, Error, Explainer, Inputs, Level, Metric, Model,
    NoConfig, Port, Predictor, Question, Resampler, Result, Router, Selector, Trainer, Transform, log, metric, module,
    version,
};

module!(
    predictor Scale,
    transform Center,
    predictor Odd,
    explainer Occlusion,
    detector Mean,
    combiner Vote,
    resampler Twice,
    selector First,
    trainer Counter,
    router Sticky,
);

/// What most components here have in common.
macro_rules! plain {
    ($type:ty = $id:literal) => {
        impl Component for $type {
            type Config = NoConfig;
            const ID: &'static CStr = $id;
            const VERSION: &'static CStr = version!();
            fn create(_config: NoConfig, _call: &Call<'_>) -> Result<Self> {
                Ok(Self::default())
            }
        }
    };
}

#[derive(serde::Deserialize)]
pub struct ScaleConfig {
    #[serde(default = "one")]
    factor: f32,
}

fn one() -> f32 {
    1.0
}

pub struct Scale(f32);

impl Component for Scale {
    type Config = ScaleConfig;
    const ID: &'static CStr = c"test.scale";
    const VERSION: &'static CStr = version!();
    const CLAIMS: Claims = Claims::NONE.deterministic().inline();

    fn create(config: ScaleConfig, _call: &Call<'_>) -> Result<Self> {
        Ok(Self(config.factor))
    }

    fn describe(&self) -> Result<Description> {
        Ok(Description { inputs: vec![Port::new("x", "FP32", &[-1])], outputs: vec![Port::new("y", "FP32", &[-1])] })
    }
}

impl Predictor for Scale {
    fn predict(&self, call: &Call<'_>, inputs: &Inputs<'_>) -> Result<()> {
        let x = inputs.need("x")?;
        let y = call.output::<f32>("y", x.shape())?;
        for (y, x) in y.iter_mut().zip(x.to_vec::<f32>()?) {
            *y = x * self.0;
        }
        Ok(())
    }
}

#[derive(Default)]
pub struct Center;
plain!(Center = c"test.center");

impl Transform for Center {
    fn transform(&self, call: &Call<'_>, inputs: &Inputs<'_>) -> Result<()> {
        let x = inputs.need("x")?;
        let values = x.slice::<f32>()?;
        let mean = values.iter().sum::<f32>() / f32::from(u16::try_from(values.len()).unwrap_or(1));
        for (out, x) in call.output::<f32>("x", x.shape())?.iter_mut().zip(values) {
            *out = x - mean;
        }
        Ok(())
    }
}

#[derive(Default)]
pub struct Odd;
plain!(Odd = c"test.odd");

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the payload of a panic was dropped");
    }
}

#[derive(serde::Deserialize)]
struct Params {
    top: i64,
}

impl Predictor for Odd {
    fn predict(&self, call: &Call<'_>, inputs: &Inputs<'_>) -> Result<()> {
        match inputs.need("do")?.strings()?.next().unwrap_or_default() {
            b"panic" => panic!("on purpose: {}", 7),
            b"panic with a payload that panics" => panic_any(Bomb),
            b"strings" => call.output_strings("s", &[3], &[&b"one"[..], b"", b"\xff"]),
            b"twice" => {
                let _first = call.output::<f32>("y", &[1])?;
                call.output::<f32>("y", &[1]).map(|_| ())
            }
            b"wait" => loop {
                call.check()?;
                std::thread::yield_now();
            },
            b"talk" => {
                log(Level::Warn, &format!("hello from {}", call.request_id()));
                metric(Metric::Counter, "rows", 2.0, "{}");
                call.progress(0.5, "half");
                call.artifact("a", b"one")?;
                call.artifact("a", b"two")?;
                call.check()?;
                if let [top] = call.output::<i64>("top", &[])? {
                    *top = call.params::<Params>()?.top;
                }
                Ok(())
            }
            other => Err(Error::invalid(String::from_utf8_lossy(other).into_owned())),
        }
    }
}

#[derive(Default)]
pub struct Occlusion;
plain!(Occlusion = c"test.occlusion");

impl Explainer for Occlusion {
    fn explain(&self, call: &Call<'_>, question: &Question<'_>, model: &Model<'_>) -> Result<()> {
        let (shape, x) = (question.x.shape(), question.x.slice::<f32>()?);
        let ask = |row: &[f32]| -> Result<f32> {
            let answer = model.predict("x", shape, row)?;
            Ok(answer.need("y")?.slice::<f32>()?[0])
        };
        let whole = ask(x)?;
        for (at, out) in call.output::<f32>("attributions", shape)?.iter_mut().enumerate() {
            let mut row = x.to_vec();
            row[at] = 0.0;
            *out = whole - ask(&row)?;
        }
        call.output::<f32>("base", &[1])?[0] = ask(&vec![0.0; x.len()])?;
        Ok(())
    }
}

#[derive(Default, serde::Serialize, serde::Deserialize)]
pub struct Mean {
    sum: f64,
    rows: u32,
}

impl Component for Mean {
    type Config = NoConfig;
    const ID: &'static CStr = c"test.mean";
    const VERSION: &'static CStr = version!();
    const STATEFUL: bool = true;

    fn create(_config: NoConfig, _call: &Call<'_>) -> Result<Self> {
        Ok(Self::default())
    }

    fn save(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| Error::internal(error.to_string()))
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        *self = serde_json::from_slice(state).map_err(|error| Error::invalid(error.to_string()))?;
        Ok(())
    }
}

impl Detector for Mean {
    fn begin(&mut self, _call: &Call<'_>) -> Result<()> {
        *self = Self::default();
        Ok(())
    }

    fn reference(&mut self, _call: &Call<'_>, inputs: &Inputs<'_>) -> Result<()> {
        let x = inputs.need("x")?.slice::<f64>()?;
        self.sum += x.iter().sum::<f64>();
        self.rows += u32::try_from(x.len()).unwrap_or(0);
        Ok(())
    }

    fn finish(&mut self, _call: &Call<'_>) -> Result<()> {
        if self.rows == 0 { Err(Error::invalid("no reference rows")) } else { Ok(()) }
    }

    fn judge(&self, call: &Call<'_>, window: &Inputs<'_>) -> Result<()> {
        if self.rows == 0 {
            return Err(Error::invalid("not fitted"));
        }
        let x = window.need("x")?.slice::<f64>()?;
        let mean = x.iter().sum::<f64>() / f64::from(u32::try_from(x.len()).unwrap_or(1));
        call.output::<f64>("statistic", &[1])?[0] = (mean - self.sum / f64::from(self.rows)).abs();
        Ok(())
    }
}

#[derive(Default)]
pub struct Vote;
plain!(Vote = c"test.vote");

impl Combiner for Vote {
    fn combine(&self, call: &Call<'_>, answers: &Inputs<'_>) -> Result<()> {
        let first = answers.need("y_0")?;
        let y = call.output::<f32>("y", first.shape())?;
        let share = 1.0 / f32::from(u16::try_from(answers.len()).unwrap_or(1));
        for answer in answers.iter() {
            for (y, value) in y.iter_mut().zip(answer.slice::<f32>()?) {
                *y += value * share;
            }
        }
        Ok(())
    }
}

#[derive(Default)]
pub struct Twice;
plain!(Twice = c"test.twice");

impl Resampler for Twice {
    fn resample(&self, call: &Call<'_>, inputs: &Inputs<'_>) -> Result<()> {
        let x = inputs.need("x")?;
        let twice = x.slice::<f32>()?.repeat(2);
        call.output::<f32>("x", &[x.shape()[0] * 2])?.copy_from_slice(&twice);
        Ok(())
    }
}

#[derive(Default)]
pub struct First {
    columns: usize,
}
plain!(First = c"test.first");

impl Selector for First {
    fn begin(&mut self, _call: &Call<'_>) -> Result<()> {
        self.columns = 0;
        Ok(())
    }

    fn batch(&mut self, _call: &Call<'_>, inputs: &Inputs<'_>) -> Result<()> {
        self.columns = usize::try_from(inputs.need("x")?.shape()[1]).unwrap_or(0);
        Ok(())
    }

    fn finish(&mut self, _call: &Call<'_>) -> Result<()> {
        Ok(())
    }

    fn select(&self, call: &Call<'_>, inputs: &Inputs<'_>) -> Result<()> {
        let x = inputs.need("x")?;
        let out = call.output::<f32>("x", &[x.shape()[0], 1])?;
        for (out, row) in out.iter_mut().zip(x.slice::<f32>()?.chunks(self.columns)) {
            *out = row[0];
        }
        Ok(())
    }
}

#[derive(Default)]
pub struct Counter {
    rows: usize,
}
plain!(Counter = c"test.trainer");

impl Trainer for Counter {
    fn begin(&mut self, _call: &Call<'_>) -> Result<()> {
        self.rows = 0;
        Ok(())
    }

    fn batch(&mut self, _call: &Call<'_>, inputs: &Inputs<'_>) -> Result<()> {
        self.rows += inputs.need("x")?.elements()?;
        Ok(())
    }

    fn finish(&mut self, call: &Call<'_>) -> Result<()> {
        call.artifact("model.onnx", format!("{} rows", self.rows).as_bytes())
    }
}

#[derive(Default)]
pub struct Sticky;
plain!(Sticky = c"test.sticky");

impl Router for Sticky {
    fn choose(&self, arms: Arms<'_>, key: u64, _features: &Inputs<'_>) -> Option<u32> {
        match key {
            999 => Some(99),
            1000 => panic!("no way"),
            key => (key % u64::try_from(arms.len()).ok().filter(|&arms| arms > 0)?).try_into().ok(),
        }
    }
}
