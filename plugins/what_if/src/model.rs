//! A model that is asked for batches of rows, within a budget.
//!
//! It does not know who answers; whoever does may stop between batches. Answers may be NaN: a search goes around them.

use crate::{Fault, Result};

/// What a batch may have of numbers, so that wide rows do not make it huge: 32 MiB.
const BATCH_ELEMENTS_MAX: usize = 1 << 22;

/// Answers for rows: as many numbers for each.
type Ask<'a> = Box<dyn FnMut(&[f64]) -> Result<Vec<f64>> + 'a>;

/// A model.
pub struct Model<'a> {
    ask: Ask<'a>,
    width: usize,
    batch_rows: usize,
    outputs: usize,
    evaluations: u64,
}

impl<'a> Model<'a> {
    /// A model of rows of `width`, asked with at most `batch_rows` at once.
    pub fn new(width: usize, batch_rows: usize, ask: impl FnMut(&[f64]) -> Result<Vec<f64>> + 'a) -> Self {
        let batch_rows = batch_rows.min(BATCH_ELEMENTS_MAX / width.max(1)).max(1);
        Self { ask: Box::new(ask), width: width.max(1), batch_rows, outputs: 0, evaluations: 0 }
    }

    /// How many numbers an answer has; 0 before the first one.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// How many rows were asked so far.
    #[must_use]
    pub fn evaluations(&self) -> u64 {
        self.evaluations
    }

    /// The answers for rows that lie one after another.
    ///
    /// # Errors
    /// `Invalid` when answers are of several sizes, and whatever the model said.
    pub fn predict(&mut self, rows: &[f64]) -> Result<Vec<f64>> {
        let mut all = Vec::new();
        for batch in rows.chunks(self.width * self.batch_rows) {
            let count = batch.len() / self.width;
            let answers = (self.ask)(batch)?;
            let outputs = answers.len().checked_div(count).unwrap_or(0);
            let other = self.outputs != 0 && outputs != self.outputs;
            if outputs == 0 || outputs * count != answers.len() || other {
                return Err(Fault::invalid(format!("the model gave {} numbers for {count} rows", answers.len())));
            }
            self.outputs = outputs;
            self.evaluations += count as u64;
            all.extend(answers);
        }
        Ok(all)
    }
}
