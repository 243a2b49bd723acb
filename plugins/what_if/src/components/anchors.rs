//! `candor.anchors`. It does not know how they are found.

use std::ffi::CStr;

use candor_plugin_sdk::{
    Call, Claims, Component, Error, Explainer, Model as Lent, Question as Asked, Result, schema, version,
};
use serde::Deserialize;

use super::question::{EVALUATIONS_MAX, Question, dim, told, write, write_integers};
use crate::{Anchor, AnchorOptions, Predicate, Sampler, Says, Wanted, anchor, predicates};

/// The configuration; `anchors.json` says the same to the host.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AnchorsConfig {
    precision: f64,
    delta: f64,
    tolerance: f64,
    slack: f64,
    beam: usize,
    length_max: usize,
    batch: usize,
    threshold: f64,
    within: Option<f64>,
    evaluations_max: u64,
    batch_rows_max: usize,
}

impl Default for AnchorsConfig {
    fn default() -> Self {
        Self {
            precision: 0.95,
            delta: 0.05,
            tolerance: 0.15,
            slack: 0.05,
            beam: 4,
            length_max: 8,
            batch: 100,
            threshold: 0.5,
            within: None,
            evaluations_max: 50_000,
            batch_rows_max: 1024,
        }
    }
}

/// Few predicates that hold a row's answer.
pub struct Anchors(AnchorsConfig);

impl Component for Anchors {
    type Config = AnchorsConfig;
    const ID: &'static CStr = c"candor.anchors";
    const VERSION: &'static CStr = version!();
    const CONFIG_SCHEMA: &'static CStr = schema!("../../anchors.json");
    const CLAIMS: Claims = Claims::NONE.deterministic();

    fn create(config: AnchorsConfig, _call: &Call<'_>) -> Result<Self> {
        let AnchorsConfig { precision, delta, tolerance, slack, .. } = config;
        for (name, share) in [("precision", precision), ("delta", delta), ("tolerance", tolerance)] {
            if !(share > 0.0 && share < 1.0) {
                return Err(Error::invalid(format!("`{name}` is {share}, expected more than 0 and less than 1")));
            }
        }
        if !(slack > 0.0 && slack < precision) {
            return Err(Error::invalid(format!("`slack` is {slack}, expected more than 0 and less than `precision`")));
        }
        if !config.threshold.is_finite() || config.within.is_some_and(|within| !(within >= 0.0 && within.is_finite())) {
            return Err(Error::invalid("`threshold` or `within` is no finite number, or `within` is negative"));
        }
        for (name, size, most) in
            [("beam", config.beam, 100), ("length_max", config.length_max, 100), ("batch", config.batch, 10_000)]
        {
            if !(1..=most).contains(&size) {
                return Err(Error::invalid(format!("`{name}` is {size}, expected 1 to {most}")));
            }
        }
        if !(1..=EVALUATIONS_MAX).contains(&config.evaluations_max) || config.batch_rows_max == 0 {
            return Err(Error::invalid(format!(
                "`evaluations_max` must be 1 to {EVALUATIONS_MAX}, and `batch_rows_max` 1 or more"
            )));
        }
        Ok(Self(config))
    }
}

impl Explainer for Anchors {
    fn explain(&self, call: &Call<'_>, asked: &Asked<'_>, lent: &Lent<'_>) -> Result<()> {
        let question = Question::of(asked)?;
        let (background, weights) = question
            .background()?
            .ok_or_else(|| Error::invalid("there is no `background`, from which anchors are drawn"))?;
        if !weights.is_empty() && weights.iter().sum::<f64>() <= 0.0 {
            return Err(Error::invalid("the `weights` sum to 0"));
        }
        let mut categorical = question.features("categorical")?;
        categorical.extend(question.features("textual")?);
        let budget = question.count("budget")?.unwrap_or(self.0.evaluations_max).min(self.0.evaluations_max);
        let options = self.options(budget, question.seed()?)?;
        let mut model = question.model(self.0.batch_rows_max, call, lent)?;
        let (mut all, mut outputs, mut classes) = (Vec::new(), Vec::new(), Vec::new());
        for row in question.x.rows() {
            let own = model.predict(row).map_err(told)?;
            // Any other class is what an anchor has to keep away.
            let away = Wanted::new(None, &[], &[], self.0.threshold, &own).map_err(told)?;
            let within = self.0.within;
            let same = |answer: &[f64]| match (within, answer, own.as_slice()) {
                (Some(within), [answer], [own]) => (answer - own).abs() <= within,
                _ => !answer.iter().any(|number| number.is_nan()) && away.class_of(answer) == away.class_of(&own),
            };
            let said = predicates(row, &background, &categorical);
            let sampler = Sampler::new(row, &background, &weights);
            all.push(anchor(&mut model, &sampler, &said, &same, &options).map_err(told)?);
            classes.push(dim(away.class_of(&own)));
            outputs.extend(own);
        }
        write_all(call, &all, &question)?;
        write(call, "output", &[all.len(), model.outputs()], &outputs)?;
        write_integers(call, "class", &[all.len()], &classes)
    }
}

impl Anchors {
    fn options(&self, budget: u64, seed: u64) -> Result<AnchorOptions> {
        if budget == 0 {
            return Err(Error::invalid("`budget` is 0, expected 1 or more evaluations of the model for each row"));
        }
        let AnchorsConfig { precision, delta, tolerance, slack, beam, length_max, batch, .. } = self.0;
        // One evaluation is the row's own.
        Ok(AnchorOptions { precision, delta, tolerance, slack, beam, length_max, batch, budget: budget - 1, seed })
    }
}

/// What is said of one feature, by all predicates together.
struct Clause {
    feature: usize,
    kind: i64,
    low: f64,
    high: f64,
    equals: f64,
}

fn clauses(predicates: &[Predicate]) -> Vec<Clause> {
    let mut clauses: Vec<Clause> = Vec::new();
    for predicate in predicates {
        let known = clauses.iter().position(|clause| clause.feature == predicate.feature);
        let at = known.unwrap_or_else(|| {
            let empty = Clause { feature: predicate.feature, kind: 0, low: f64::NAN, high: f64::NAN, equals: f64::NAN };
            clauses.push(empty);
            clauses.len() - 1
        });
        let Some(clause) = clauses.get_mut(at) else { continue };
        match predicate.says {
            Says::Above(bound) => clause.low = bound,
            Says::UpTo(bound) => clause.high = bound,
            Says::Is(code) => (clause.kind, clause.equals) = (1, code),
            Says::Missing => clause.kind = 2,
        }
    }
    clauses
}

fn write_all(call: &Call<'_>, all: &[Anchor], question: &Question<'_>) -> Result<()> {
    let said: Vec<Vec<Clause>> = all.iter().map(|anchor| clauses(&anchor.predicates)).collect();
    let (rows, longest) = (question.x.len(), said.iter().map(Vec::len).max().unwrap_or(0));
    let slots = || said.iter().flat_map(|clauses| (0..longest).map(move |at| clauses.get(at)));
    let integers = |of: fn(&Clause) -> i64| -> Vec<i64> { slots().map(|clause| clause.map_or(-1, of)).collect() };
    let floats = |of: fn(&Clause) -> f64| -> Vec<f64> { slots().map(|clause| clause.map_or(f64::NAN, of)).collect() };
    write_integers(call, "features", &[rows, longest], &integers(|clause| dim(clause.feature)))?;
    write_integers(call, "kind", &[rows, longest], &integers(|clause| clause.kind))?;
    write(call, "low", &[rows, longest], &floats(|clause| clause.low))?;
    write(call, "high", &[rows, longest], &floats(|clause| clause.high))?;
    write(call, "equals", &[rows, longest], &floats(|clause| clause.equals))?;
    let each = |of: fn(&Anchor) -> f64| -> Vec<f64> { all.iter().map(of).collect() };
    write(call, "precision", &[rows], &each(|anchor| anchor.precision))?;
    write(call, "precision_low", &[rows], &each(|anchor| anchor.bounds.0))?;
    write(call, "precision_high", &[rows], &each(|anchor| anchor.bounds.1))?;
    write(call, "coverage", &[rows], &each(|anchor| anchor.coverage))?;
    write_integers(call, "found", &[rows], &all.iter().map(|anchor| i64::from(anchor.found)).collect::<Vec<_>>())?;
    let asked = |anchor: &Anchor| i64::try_from(anchor.evaluations.saturating_add(1)).unwrap_or(i64::MAX);
    write_integers(call, "evaluations", &[rows], &all.iter().map(asked).collect::<Vec<_>>())
}
