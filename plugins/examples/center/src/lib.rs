//! An example: `example.center` subtracts a mean; `example.occlusion` asks the model again without each feature.
//!
//! Everything that is particular to plugins is here; `../plugin` exports it. It knows the SDK and nothing of the server.

use std::ffi::CStr;

use candor_plugin_sdk::{
    Call, Claims, Component, Description, Error, Explainer, Inputs, Model, NoConfig, Port, Question, Result, Transform,
    module, schema, version,
};

module!(transform Center, explainer Occlusion);

/// Subtracts one number per column.
pub struct Center {
    mean: Vec<f32>,
}

/// The configuration of [`Center`]; `schema.json` says the same to the host.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CenterConfig {
    mean: Vec<f32>,
}

impl Component for Center {
    type Config = CenterConfig;
    const ID: &'static CStr = c"example.center";
    const VERSION: &'static CStr = version!();
    const CONFIG_SCHEMA: &'static CStr = schema!("../schema.json");
    const CLAIMS: Claims = Claims::NONE.deterministic();

    fn create(config: CenterConfig, _call: &Call<'_>) -> Result<Self> {
        Ok(Self { mean: config.mean })
    }

    fn describe(&self) -> Result<Description> {
        let columns = i64::try_from(self.mean.len()).unwrap_or(-1);
        let port = || vec![Port::new("x", "FP32", &[-1, columns])];
        Ok(Description { inputs: port(), outputs: port() })
    }
}

impl Transform for Center {
    fn transform(&self, call: &Call<'_>, inputs: &Inputs<'_>) -> Result<()> {
        let x = inputs.need("x")?;
        let &[_, columns] = x.shape() else {
            return Err(Error::invalid(format!("x has the shape {:?}, expected rows and columns", x.shape())));
        };
        if usize::try_from(columns) != Ok(self.mean.len()) {
            return Err(Error::invalid(format!("x has {columns} columns, expected {}", self.mean.len())));
        }
        let out = call.output::<f32>("x", x.shape())?;
        for ((out, x), mean) in out.iter_mut().zip(x.slice::<f32>()?).zip(self.mean.iter().cycle()) {
            *out = x - mean;
        }
        Ok(())
    }
}

/// How much the answer changes when a feature is set to zero.
pub struct Occlusion;

impl Component for Occlusion {
    type Config = NoConfig;
    const ID: &'static CStr = c"example.occlusion";
    const VERSION: &'static CStr = version!();

    fn create(_config: NoConfig, _call: &Call<'_>) -> Result<Self> {
        Ok(Self)
    }
}

impl Explainer for Occlusion {
    fn explain(&self, call: &Call<'_>, question: &Question<'_>, model: &Model<'_>) -> Result<()> {
        let (shape, x) = (question.x.shape(), question.x.slice::<f32>()?);
        let ask = |row: &[f32]| -> Result<f32> {
            let answer = model.predict("x", shape, row)?;
            let y = answer.need("y")?.slice::<f32>()?;
            y.first().copied().ok_or_else(|| Error::internal("the model gave no number"))
        };
        let whole = ask(x)?;
        let mut row = x.to_vec();
        for (at, out) in call.output::<f32>("attributions", shape)?.iter_mut().enumerate() {
            call.check()?;
            let kept = row.get(at).copied().unwrap_or_default();
            row.iter_mut().skip(at).take(1).for_each(|value| *value = 0.0);
            *out = whole - ask(&row)?;
            row.iter_mut().skip(at).take(1).for_each(|value| *value = kept);
        }
        call.output::<f32>("base", &[1])?.fill(ask(&vec![0.0; x.len()])?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::MODULE;
    use candor_plugin_sdk::testing::{Harness, Input};

    #[test]
    fn each_column_loses_its_mean() {
        let center = Harness::new(&MODULE, "example.center", r#"{"mean": [1, 2]}"#).unwrap();
        let answer = center.run(&[Input::new("x", &[2, 2], &[1.0_f32, 2.0, 3.0, 4.0])]).unwrap();
        assert_eq!(answer.values::<f32>("x"), [0.0, 0.0, 2.0, 2.0]);
        let error = center.run(&[Input::new("x", &[1, 3], &[1.0_f32, 2.0, 3.0])]).err().unwrap();
        assert_eq!(error.message(), "x has 3 columns, expected 2");
    }
}
