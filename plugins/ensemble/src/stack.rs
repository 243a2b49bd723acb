//! `candor.stack`: a linear or logistic model over the members' answers, and over the features too if they are passed
//! through.
//!
//! As scikit-learn's `StackingClassifier` and `StackingRegressor` with such a model at their end; its coefficients
//! stand in the configuration. It does not know how they were found.

use std::ffi::CStr;

use candor_plugin_sdk::{Call, Claims, Combiner, Component, Description, Error, Inputs, Port, Result, schema, version};
use serde::Deserialize;

use crate::{
    classes::Classes,
    members::{Datatype, Members, Rows, dim, largest, same_rows},
};

/// What stands at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meta {
    /// Numbers.
    Linear,
    /// Classes: of two by the logistic function, of more by softmax.
    Logistic,
}

/// One row for each output or class; of two classes, one row for the second.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Coefficients {
    /// A single row.
    Row(Vec<f64>),
    /// Rows.
    Rows(Vec<Vec<f64>>),
}

/// The configuration; `stack.json` says the same to the host.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StackConfig {
    meta: Meta,
    coefficients: Coefficients,
    intercept: Vec<f64>,
    classes: Option<Classes>,
    members: Option<usize>,
    passthrough: Option<String>,
    /// Of two probabilities the second says it all; scikit-learn leaves the first away.
    both_of_two: Option<bool>,
    #[serde(default)]
    datatype: Datatype,
}

/// Stacks as its configuration says.
pub struct Stack {
    meta: Meta,
    /// Coefficients and intercept of every row.
    rows: Vec<(Vec<f64>, f64)>,
    classes: Option<Classes>,
    members: Members,
    passthrough: Option<String>,
    both_of_two: bool,
    datatype: Datatype,
}

impl Component for Stack {
    type Config = StackConfig;
    const ID: &'static CStr = c"candor.stack";
    const VERSION: &'static CStr = version!();
    const CONFIG_SCHEMA: &'static CStr = schema!("../stack.json");
    const CLAIMS: Claims = Claims::NONE.deterministic();

    fn create(config: StackConfig, _call: &Call<'_>) -> Result<Self> {
        let rows = match config.coefficients {
            Coefficients::Row(row) => vec![row],
            Coefficients::Rows(rows) => rows,
        };
        let width = rows.first().map_or(0, Vec::len);
        let wrong = |what: String| Err(Error::invalid(what));
        if width == 0 || rows.iter().any(|row| row.len() != width) {
            return wrong("`coefficients` are no rows of one length".to_owned());
        }
        if config.intercept.len() != rows.len() {
            return wrong(format!("`intercept` has {} numbers for {} rows", config.intercept.len(), rows.len()));
        }
        if !rows.iter().flatten().chain(&config.intercept).all(|number| number.is_finite()) {
            return wrong("`coefficients` or `intercept` have what is no finite number".to_owned());
        }
        let classes_of = if rows.len() == 1 { 2 } else { rows.len() };
        match (&config.classes, config.meta) {
            (Some(_), Meta::Linear) => return wrong("`classes` go with the `meta` \"logistic\" only".to_owned()),
            (Some(classes), Meta::Logistic) => {
                classes.check()?;
                if classes.len() != classes_of {
                    return wrong(format!(
                        "`classes` has {}, and the coefficients are for {classes_of}",
                        classes.len()
                    ));
                }
            }
            (None, Meta::Linear | Meta::Logistic) => {}
        }
        Ok(Self {
            meta: config.meta,
            rows: rows.into_iter().zip(config.intercept).collect(),
            classes: config.classes,
            members: Members::new(config.members, None, false)?,
            passthrough: config.passthrough,
            both_of_two: config.both_of_two.unwrap_or(config.meta == Meta::Linear),
            datatype: config.datatype,
        })
    }

    fn describe(&self) -> Result<Description> {
        let (number, width) = (self.datatype.name(), dim(self.rows.len())?);
        let mut inputs = self.members.ports(number, &[-1, -1])?;
        inputs.extend(self.passthrough.as_ref().map(|name| Port::new(name, number, &[-1, -1])));
        let outputs = match self.meta {
            Meta::Linear if width == 1 => vec![Port::new("y", number, &[-1])],
            Meta::Linear => vec![Port::new("y", number, &[-1, width])],
            Meta::Logistic => vec![
                Port::new("y", Classes::datatype(self.classes.as_ref()), &[-1]),
                Port::new("probabilities", number, &[-1, width.max(2)]),
            ],
        };
        Ok(Description { inputs, outputs })
    }
}

impl Combiner for Stack {
    fn combine(&self, call: &Call<'_>, answers: &Inputs<'_>) -> Result<()> {
        let members = self.members.answers(answers)?;
        let mut parts = members.iter().map(Rows::of).collect::<Result<Vec<_>>>()?;
        let rows = parts.first().map_or(0, |first| first.rows);
        for (member, part) in parts.iter().enumerate() {
            same_rows(part.rows, rows, member)?;
        }
        if let Some(name) = &self.passthrough {
            let features = Rows::of(&answers.need(name)?)?;
            if features.rows != rows {
                return Err(Error::invalid(format!("`{name}` has {} rows and `y_0` has {rows}", features.rows)));
            }
            parts.push(features);
        }
        let skipped =
            |at: usize, part: &Rows| usize::from(!self.both_of_two && part.columns == 2 && at < members.len());
        let width: usize = parts.iter().enumerate().map(|(at, part)| part.columns - skipped(at, part)).sum();
        let expected = self.rows.first().map_or(0, |(coefficients, _)| coefficients.len());
        if width != expected {
            return Err(Error::invalid(format!(
                "the answers have {width} columns together, and there are {expected} coefficients"
            )));
        }
        let mut scores = Vec::with_capacity(rows.saturating_mul(self.rows.len()));
        let mut columns = Vec::with_capacity(width);
        for row in 0..rows {
            columns.clear();
            for (at, part) in parts.iter().enumerate() {
                columns.extend(part.row(row).iter().skip(skipped(at, part)));
            }
            for (coefficients, intercept) in &self.rows {
                let products = coefficients.iter().zip(&columns).map(|(factor, column)| factor * column);
                scores.push(products.sum::<f64>() + intercept);
            }
        }
        self.write(call, rows, scores)
    }
}

impl Stack {
    fn write(&self, call: &Call<'_>, rows: usize, scores: Vec<f64>) -> Result<()> {
        let rows = dim(rows)?;
        match self.meta {
            Meta::Linear if self.rows.len() == 1 => self.datatype.write(call, "y", &[rows], &scores),
            Meta::Linear => self.datatype.write(call, "y", &[rows, dim(self.rows.len())?], &scores),
            Meta::Logistic => {
                let classes = self.rows.len().max(2);
                let probabilities = if self.rows.len() == 1 { logistic(&scores) } else { softmax(scores, classes) };
                let winner = |(row, of): (usize, &[f64])| {
                    let best =
                        largest(of).ok_or_else(|| Error::invalid(format!("an answer in row {row} is no number")));
                    best.and_then(dim)
                };
                let winners =
                    probabilities.chunks_exact(classes).enumerate().map(winner).collect::<Result<Vec<_>>>()?;
                Classes::write(self.classes.as_ref(), call, &winners)?;
                self.datatype.write(call, "probabilities", &[rows, dim(classes)?], &probabilities)
            }
        }
    }
}

/// Two probabilities for each score, computed on the side where nothing overflows.
fn logistic(scores: &[f64]) -> Vec<f64> {
    let both = |&score: &f64| {
        let small = (-score.abs()).exp();
        let (small, large) = (small / (1.0 + small), 1.0 / (1.0 + small));
        if score >= 0.0 { [small, large] } else { [large, small] }
    };
    scores.iter().flat_map(both).collect()
}

fn softmax(mut scores: Vec<f64>, classes: usize) -> Vec<f64> {
    for row in scores.chunks_exact_mut(classes) {
        let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row.iter_mut().for_each(|score| *score = (*score - top).exp());
        let sum: f64 = row.iter().sum();
        row.iter_mut().for_each(|score| *score /= sum);
    }
    scores
}
