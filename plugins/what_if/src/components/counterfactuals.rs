//! `candor.counterfactuals`. It does not know how they are searched.

use std::ffi::CStr;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use candor_onnx::Limits;
use candor_plugin_sdk::{
    Call, Claims, Component, Error, Explainer, Model as Lent, Question as Asked, Result, schema, version,
};
use serde::Deserialize;

use super::question::{EVALUATIONS_MAX, Question, dim, told, write, write_integers};
use crate::{Constraints, Cut, Found, Matrix, Options, Space, Wanted, counterfactuals, cuts, cuts::around_either};

/// The configuration; `counterfactuals.json` says the same to the host.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CounterfactualConfig {
    file: Option<ModelFile>,
    count: usize,
    threshold: f64,
    sparsity: f64,
    diversity: f64,
    evaluations_max: u64,
    batch_rows_max: usize,
}

impl Default for CounterfactualConfig {
    fn default() -> Self {
        Self {
            file: None,
            count: 4,
            threshold: 0.5,
            sparsity: 0.5,
            diversity: 1.0,
            evaluations_max: 5000,
            batch_rows_max: 1024,
        }
    }
}

const COUNT_MAX: usize = 64;

/// The model's file: the host puts its bytes where its name was.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum ModelFile {
    /// The file's bytes, in base64.
    Bytes {
        /// They.
        base64: String,
    },
    /// A name, if the host did not put bytes in its place.
    Named(String),
}

impl ModelFile {
    /// Where the graph's trees cut each feature; nothing for a graph that is not of trees over its input.
    fn cuts(&self) -> Result<Option<Vec<Vec<Cut>>>> {
        let base64 = match self {
            Self::Bytes { base64 } => base64,
            Self::Named(name) => {
                return Err(Error::unsupported(format!("the host gave the name of the file `{name}`, not its bytes")));
            }
        };
        let bytes = STANDARD.decode(base64).map_err(|error| Error::invalid(format!("`file` is no base64: {error}")))?;
        let model = candor_onnx::Model::from_slice(&bytes, &Limits::default());
        let model =
            model.map_err(|error| Error::invalid(format!("`file` is no ONNX file that can be read: {error}")))?;
        Ok(cuts(&model.graph))
    }
}

/// The smallest changes that give the answer that is wanted.
pub struct Counterfactuals {
    config: CounterfactualConfig,
    cuts: Option<Vec<Vec<Cut>>>,
}

impl Component for Counterfactuals {
    type Config = CounterfactualConfig;
    const ID: &'static CStr = c"candor.counterfactuals";
    const VERSION: &'static CStr = version!();
    const CONFIG_SCHEMA: &'static CStr = schema!("../../counterfactuals.json");
    const CLAIMS: Claims = Claims::NONE.deterministic();

    fn create(config: CounterfactualConfig, _call: &Call<'_>) -> Result<Self> {
        if !(1..=COUNT_MAX).contains(&config.count) {
            return Err(Error::invalid(format!("`count` is {}, expected 1 to {COUNT_MAX}", config.count)));
        }
        for (name, number) in [("sparsity", config.sparsity), ("diversity", config.diversity)] {
            if !(number >= 0.0 && number.is_finite()) {
                return Err(Error::invalid(format!("`{name}` is {number}, expected a finite number of 0 or more")));
            }
        }
        if !config.threshold.is_finite() {
            return Err(Error::invalid("`threshold` is no finite number"));
        }
        if !(1..=EVALUATIONS_MAX).contains(&config.evaluations_max) || config.batch_rows_max == 0 {
            return Err(Error::invalid(format!(
                "`evaluations_max` must be 1 to {EVALUATIONS_MAX}, and `batch_rows_max` 1 or more"
            )));
        }
        let cuts = config.file.as_ref().map(ModelFile::cuts).transpose()?.flatten();
        // Its bytes are not needed any more.
        Ok(Self { config: CounterfactualConfig { file: None, ..config }, cuts })
    }
}

impl Explainer for Counterfactuals {
    fn explain(&self, call: &Call<'_>, asked: &Asked<'_>, lent: &Lent<'_>) -> Result<()> {
        let question = Question::of(asked)?;
        let width = question.x.width();
        let background = question.background()?;
        let background = background.as_ref().map(|(rows, _)| rows);
        let space = Space::new(width, &constraints(&question)?, background).map_err(told)?;
        let low = question.floats("wanted_low")?.unwrap_or_default();
        let high = question.floats("wanted_high")?.unwrap_or_default();
        let class = question.number("wanted_class")?;
        let cuts = self.known_cuts(&question, width)?;
        let options = self.options(&question)?;
        let mut model = question.model(self.config.batch_rows_max, call, lent)?;
        let mut all = Vec::new();
        for row in question.x.rows() {
            let wanted = |now: &[f64]| Wanted::new(class, &low, &high, self.config.threshold, now);
            let found = counterfactuals(&mut model, &space, wanted, row, background, cuts.as_deref(), &options);
            all.push(found.map_err(told)?);
        }
        let answer = Answer { question: &question, space: &space, background, count: options.count, all: &all };
        answer.write(call, model.outputs())?;
        call.output_strings("method", &[1], &[if cuts.is_some() { "thresholds" } else { "genetic" }])
    }
}

impl Counterfactuals {
    fn options(&self, question: &Question<'_>) -> Result<Options> {
        let count = match question.count("count")? {
            None => self.config.count,
            Some(count) => usize::try_from(count)
                .ok()
                .filter(|count| (1..=COUNT_MAX).contains(count))
                .ok_or_else(|| Error::invalid(format!("`count` is {count}, expected 1 to {COUNT_MAX}")))?,
        };
        let budget = question.count("budget")?.unwrap_or(self.config.evaluations_max).min(self.config.evaluations_max);
        if budget == 0 {
            return Err(Error::invalid("`budget` is 0, expected 1 or more evaluations of the model for each row"));
        }
        let (price, diversity) = (self.config.sparsity, self.config.diversity);
        Ok(Options { count, budget, price, diversity, seed: question.seed()? })
    }

    /// Cuts that were given, or those of the model's file.
    fn known_cuts(&self, question: &Question<'_>, width: usize) -> Result<Option<Vec<Vec<Cut>>>> {
        let Some(thresholds) = question.floats("thresholds")? else {
            let Some(mut cuts) = self.cuts.clone() else { return Ok(None) };
            if cuts.len() > width {
                let least = cuts.len();
                return Err(Error::invalid(format!(
                    "the model's file is for {least} features at least, and `x` has {width}"
                )));
            }
            cuts.resize(width, Vec::new());
            return Ok(Some(cuts));
        };
        let features = question.integers("threshold_features")?.unwrap_or_default();
        if features.len() != thresholds.len() {
            let (thresholds, features) = (thresholds.len(), features.len());
            return Err(Error::invalid(format!(
                "there are {thresholds} `thresholds` and {features} `threshold_features`"
            )));
        }
        let mut cuts = vec![Vec::new(); width];
        for (feature, threshold) in features.iter().zip(thresholds) {
            let found = usize::try_from(*feature).ok().and_then(|at| cuts.get_mut(at));
            let list = found.ok_or_else(|| {
                Error::invalid(format!("`threshold_features` has {feature}, expected 0 to {}", width - 1))
            })?;
            list.extend(around_either(threshold));
        }
        Ok(Some(cuts))
    }
}

fn constraints(question: &Question<'_>) -> Result<Constraints> {
    let mut categorical = question.features("categorical")?;
    categorical.extend(question.features("textual")?);
    Ok(Constraints {
        immutable: question.features("immutable")?,
        integer: question.features("integer")?,
        categorical,
        lower: question.floats("lower")?.unwrap_or_default(),
        upper: question.floats("upper")?.unwrap_or_default(),
        direction: question.integers("direction")?.unwrap_or_default(),
        step: question.floats("step")?.unwrap_or_default(),
    })
}

/// What is written, for all rows.
struct Answer<'a> {
    question: &'a Question<'a>,
    space: &'a Space,
    background: Option<&'a Matrix>,
    count: usize,
    all: &'a [Found],
}

impl Answer<'_> {
    fn write(&self, call: &Call<'_>, outputs: usize) -> Result<()> {
        let (rows, width, count) = (self.all.len(), self.space.width(), self.count);
        let (mut places, mut answers, mut distances) = (Vec::new(), Vec::new(), Vec::new());
        let (mut valid, mut changed, mut nearest, mut gaps) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (found, own) in self.all.iter().zip(self.question.x.rows()) {
            let shown: Vec<_> = found.chosen.iter().chain(&found.nearest_miss).take(count).collect();
            for slot in 0..count {
                let Some(one) = shown.get(slot) else {
                    places.extend(std::iter::repeat_n(f64::NAN, width));
                    answers.extend(std::iter::repeat_n(f64::NAN, outputs));
                    [&mut distances, &mut nearest, &mut gaps].into_iter().for_each(|list| list.push(f64::NAN));
                    [&mut valid, &mut changed].into_iter().for_each(|list| list.push(0));
                    continue;
                };
                places.extend_from_slice(&one.row);
                answers.extend_from_slice(&one.answer);
                distances.push(self.space.distance(own, &one.row));
                nearest.push(self.nearest(&one.row));
                gaps.push(one.gap);
                valid.push(i64::from(one.gap == 0.0));
                changed.push(dim(Space::changed(own, &one.row).len()));
            }
        }
        write(call, "counterfactuals", &[rows, count, width], &places)?;
        write(call, "output", &[rows, count, outputs], &answers)?;
        write(call, "distance", &[rows, count], &distances)?;
        write(call, "background_distance", &[rows, count], &nearest)?;
        write(call, "gap", &[rows, count], &gaps)?;
        write_integers(call, "valid", &[rows, count], &valid)?;
        write_integers(call, "changed", &[rows, count], &changed)?;
        self.write_rows(call, outputs)
    }

    fn write_rows(&self, call: &Call<'_>, outputs: usize) -> Result<()> {
        let rows = self.all.len();
        let each = |of: &dyn Fn(&Found) -> i64| -> Vec<i64> { self.all.iter().map(of).collect() };
        let before: Vec<f64> = self.all.iter().flat_map(|found| found.answer.iter().copied()).collect();
        write(call, "output_before", &[rows, outputs], &before)?;
        write_integers(call, "found", &[rows], &each(&|found| dim(found.chosen.len())))?;
        write_integers(call, "already", &[rows], &each(&|found| i64::from(found.already)))?;
        write_integers(call, "proven", &[rows], &each(&|found| i64::from(found.proven)))?;
        let asked = |found: &Found| i64::try_from(found.evaluations).unwrap_or(i64::MAX);
        write_integers(call, "evaluations", &[rows], &each(&asked))?;
        let scales: Vec<f64> = self.space.features().map(crate::Feature::scale).collect();
        write(call, "scale", &[scales.len()], &scales)
    }

    fn nearest(&self, row: &[f64]) -> f64 {
        let rows = self.background.into_iter().flat_map(Matrix::rows);
        rows.map(|other| self.space.distance(row, other)).fold(f64::NAN, f64::min)
    }
}
