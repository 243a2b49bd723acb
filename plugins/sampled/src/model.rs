//! The model as the methods see it: rows of numbers in, rows of numbers out, in batches and counted.
//!
//! Whoever has a model wraps it in a function; the methods push rows. It does not know which model that is.

use std::fmt;

/// Why a method stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The function that asks the model said so; whoever gave it knows why.
    Model,
    /// The question is wrong.
    Wrong(String),
}

impl Failure {
    pub(crate) fn wrong(what: impl Into<String>) -> Self {
        Self::Wrong(what.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model => f.write_str("the model did not answer"),
            Self::Wrong(what) => f.write_str(what),
        }
    }
}

/// Asks the model: takes whole rows and appends as many numbers for each row as there are outputs to explain.
pub type Predict<'m> = dyn FnMut(&[f64], &mut Vec<f64>) -> Result<(), Failure> + 'm;

/// Collects rows into batches of one reused buffer, and asks the model for each.
pub struct Asker<'m> {
    predict: &'m mut Predict<'m>,
    features: usize,
    /// Room for a whole batch; the first `filled` numbers are rows that wait.
    rows: Vec<f64>,
    filled: usize,
    outputs: Option<usize>,
    asked: u64,
}

impl<'m> Asker<'m> {
    /// Asks in batches of at most so many rows.
    pub fn new(predict: &'m mut Predict<'m>, features: usize, batch_rows_max: usize) -> Self {
        let room = features.saturating_mul(batch_rows_max.max(1)).max(1);
        Self { predict, features, rows: vec![0.0; room], filled: 0, outputs: None, asked: 0 }
    }

    /// How many numbers a row has.
    #[must_use]
    pub fn features(&self) -> usize {
        self.features
    }

    /// How many outputs the model has; 0 before it was asked.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.outputs.unwrap_or(0)
    }

    /// How many rows the model was asked so far.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.asked
    }

    /// One more row, written by `write`. Answers come in order, now or when the batch is full or [`Asker::finish`]ed.
    ///
    /// # Errors
    /// What the model said.
    pub fn push(&mut self, answers: &mut Vec<f64>, write: impl FnOnce(&mut [f64])) -> Result<(), Failure> {
        if self.filled + self.features > self.rows.len() {
            self.finish(answers)?;
        }
        if let Some(row) = self.rows.get_mut(self.filled..self.filled + self.features) {
            write(row);
        }
        self.filled += self.features;
        Ok(())
    }

    /// Asks for the rows that wait.
    ///
    /// # Errors
    /// What the model said; `Wrong` for answers that are no finite numbers or not as many as before.
    pub fn finish(&mut self, answers: &mut Vec<f64>) -> Result<(), Failure> {
        let rows = self.rows.get(..self.filled).unwrap_or_default();
        let count = self.filled / self.features.max(1);
        self.filled = 0;
        if count == 0 {
            return Ok(());
        }
        let before = answers.len();
        (self.predict)(rows, answers)?;
        self.asked += count as u64;
        let new = answers.get(before..).unwrap_or_default();
        let outputs = *self.outputs.get_or_insert(new.len() / count);
        if new.len() != outputs * count {
            let came = new.len();
            return Err(Failure::wrong(format!(
                "the model gave {came} numbers for {count} rows and {outputs} outputs"
            )));
        }
        match new.iter().find(|number| !number.is_finite()) {
            None => Ok(()),
            Some(odd) => Err(Failure::wrong(format!(
                "the model answered {odd} for a row that was made from `x` and `background`; only finite answers can \
                 be shared out"
            ))),
        }
    }

    /// Answers for whole rows.
    ///
    /// # Errors
    /// As [`Asker::finish`].
    pub fn all(&mut self, rows: &[f64]) -> Result<Vec<f64>, Failure> {
        let mut answers = Vec::new();
        for row in rows.chunks_exact(self.features.max(1)) {
            self.push(&mut answers, |into| into.copy_from_slice(row))?;
        }
        self.finish(&mut answers)?;
        Ok(answers)
    }
}
