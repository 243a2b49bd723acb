//! `candor.pdp`. It does not know how curves are computed.

use std::ffi::CStr;

use candor_plugin_sdk::{
    Call, Claims, Component, Error, Explainer, Model as Lent, Question as Asked, Result, schema, version,
};
use serde::Deserialize;

use super::question::{Limits, Question, told, write, write_evaluations};
use crate::{Grid, Partial, partial_dependence};

/// How many values an axis may have.
const AXIS_MAX: usize = 1000;

/// The configuration; `pdp.json` says the same to the host.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PartialDependenceConfig {
    percentiles: (f64, f64),
    grid_resolution: usize,
    individual: bool,
    batch_rows_max: usize,
    evaluations_max: u64,
}

impl Default for PartialDependenceConfig {
    fn default() -> Self {
        let Limits { batch_rows_max, evaluations_max } = Limits::default();
        Self { percentiles: (0.05, 0.95), grid_resolution: 100, individual: true, batch_rows_max, evaluations_max }
    }
}

/// How answers change with one or two features, on average and for each row.
pub struct PartialDependence {
    grid: Grid,
    individual: bool,
    limits: Limits,
}

impl Component for PartialDependence {
    type Config = PartialDependenceConfig;
    const ID: &'static CStr = c"candor.pdp";
    const VERSION: &'static CStr = version!();
    const CONFIG_SCHEMA: &'static CStr = schema!("../../pdp.json");
    const CLAIMS: Claims = Claims::NONE.deterministic();

    fn create(config: PartialDependenceConfig, _call: &Call<'_>) -> Result<Self> {
        let limits =
            Limits { batch_rows_max: config.batch_rows_max, evaluations_max: config.evaluations_max }.check()?;
        if config.grid_resolution > AXIS_MAX {
            let resolution = config.grid_resolution;
            return Err(Error::invalid(format!("`grid_resolution` is {resolution}, expected 2 to {AXIS_MAX}")));
        }
        let grid = Grid::new(config.percentiles, config.grid_resolution).map_err(told)?;
        Ok(Self { grid, individual: config.individual, limits })
    }
}

impl Explainer for PartialDependence {
    fn explain(&self, call: &Call<'_>, asked: &Asked<'_>, lent: &Lent<'_>) -> Result<()> {
        let question = Question::of(asked)?;
        let background = question.background()?;
        let features = question.features("features")?;
        let features = if features.is_empty() && question.x.width() == 1 { vec![0] } else { features };
        if !matches!(features.len(), 1 | 2) {
            return Err(Error::invalid(format!("`features` has {} numbers, expected one or two", features.len())));
        }
        let mut categories = question.features("categorical")?;
        categories.extend(question.features("textual")?);
        let observed = background.as_ref().map_or(&question.x, |(rows, _)| rows);
        let mut axes = Vec::new();
        for (at, &feature) in features.iter().enumerate() {
            let axis = match question.floats(&format!("values_{at}"))? {
                Some(given) if given.len() <= AXIS_MAX => given,
                Some(given) => {
                    let count = given.len();
                    return Err(Error::invalid(format!(
                        "`values_{at}` has {count} numbers, expected at most {AXIS_MAX}"
                    )));
                }
                None => {
                    let axis = self.grid.axis(observed.column(feature), categories.contains(&feature), AXIS_MAX);
                    axis.map_err(told).map_err(|error| {
                        Error::new(error.status(), format!("feature {feature}: {}", error.message()))
                    })?
                }
            };
            axes.push((feature, axis));
        }
        let population = background.as_ref().map(|(rows, weights)| (rows, weights.as_slice()));
        let mut model = question.model(self.limits, call, lent)?;
        let found = partial_dependence(&mut model, &question.x, population, &axes, self.individual).map_err(told)?;
        let (rows, outputs) = (question.x.len(), model.outputs());
        let mut shape: Vec<usize> = axes.iter().map(|(_, axis)| axis.len()).collect();
        for (at, (_, axis)) in axes.iter().enumerate() {
            write(call, &format!("grid_{at}"), &[axis.len()], axis)?;
        }
        shape.push(outputs);
        write(call, "average", &shape, &found.average)?;
        write(call, "average_centred", &shape, &Partial::centred(&found.average, found.points, outputs))?;
        if self.individual {
            shape.insert(0, rows);
            write(call, "individual", &shape, &found.individual)?;
            write(call, "individual_centred", &shape, &Partial::centred(&found.individual, found.points, outputs))?;
        }
        write_evaluations(call, model.evaluations())
    }
}
