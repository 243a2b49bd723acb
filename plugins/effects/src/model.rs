//! A model that is asked in batches: rows are made as they are needed, so that memory stays that of a batch.
//!
//! It counts evaluations and refuses answers that are no numbers. It does not know who answers; whoever does may stop
//! between batches.

use crate::{Fault, Result};

/// What a batch may have of numbers, so that wide rows do not make it huge: 32 MiB.
const BATCH_ELEMENTS_MAX: usize = 1 << 22;

/// How many numbers all answers that are kept may have: 256 MiB.
const ANSWERS_MAX: usize = 1 << 25;

/// Answers for rows: as many numbers for each.
type Ask<'a> = Box<dyn FnMut(&[f64]) -> Result<Vec<f64>> + 'a>;

/// A model.
pub struct Model<'a> {
    ask: Ask<'a>,
    width: usize,
    batch_rows: usize,
    outputs: usize,
    evaluations: u64,
    evaluations_max: u64,
}

impl<'a> Model<'a> {
    /// A model of rows of `width`, asked with at most `batch_rows` at once and `evaluations_max` altogether.
    pub fn new(
        width: usize,
        batch_rows: usize,
        evaluations_max: u64,
        ask: impl FnMut(&[f64]) -> Result<Vec<f64>> + 'a,
    ) -> Self {
        let batch_rows = batch_rows.min(BATCH_ELEMENTS_MAX / width.max(1)).max(1);
        Self { ask: Box::new(ask), width: width.max(1), batch_rows, outputs: 0, evaluations: 0, evaluations_max }
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

    /// Refuses so many rows before the first of them is asked.
    ///
    /// # Errors
    /// `Limit` when they are more than are allowed.
    pub fn afford(&self, rows: Option<usize>, hint: &str) -> Result<()> {
        let wanted = rows.and_then(|rows| u64::try_from(rows).ok());
        if wanted.is_some_and(|rows| self.evaluations.saturating_add(rows) <= self.evaluations_max) {
            return Ok(());
        }
        let wanted = wanted.map_or("more than can be counted".to_owned(), |rows| rows.to_string());
        Err(Fault::limit(format!(
            "it takes {wanted} evaluations of the model, and `evaluations_max` is {}; {hint}",
            self.evaluations_max
        )))
    }

    /// Asks for `rows` rows: `fill` makes each, `take` gets each answer, in order.
    ///
    /// # Errors
    /// `Limit` over `evaluations_max`, `Invalid` for answers that are no finite numbers, and what the model or `take` said.
    pub fn each(
        &mut self,
        rows: usize,
        mut fill: impl FnMut(usize, &mut [f64]),
        mut take: impl FnMut(usize, &[f64]) -> Result<()>,
    ) -> Result<()> {
        self.afford(Some(rows), "ask for less or raise it")?;
        let mut buffer = vec![0.0; self.width * self.batch_rows.min(rows)];
        let mut from = 0;
        while from < rows {
            let count = self.batch_rows.min(rows - from);
            let batch = buffer.get_mut(..count * self.width).unwrap_or_default();
            for (at, row) in batch.chunks_exact_mut(self.width).enumerate() {
                fill(from + at, row);
            }
            let answers = (self.ask)(batch)?;
            let outputs = answers.len() / count;
            if outputs == 0 || outputs * count != answers.len() {
                return Err(Fault::invalid(format!("the model gave {} numbers for {count} rows", answers.len())));
            }
            if self.outputs != 0 && outputs != self.outputs {
                let before = self.outputs;
                return Err(Fault::invalid(format!("the model gave {before} numbers for a row, and now {outputs}")));
            }
            self.outputs = outputs;
            self.evaluations += count as u64;
            for (at, answer) in answers.chunks_exact(outputs).enumerate() {
                if let Some(output) = answer.iter().position(|number| !number.is_finite()) {
                    return Err(Fault::invalid(format!(
                        "output {output} of the model is {} for a row that was asked; effects need finite numbers, \
                         such as probabilities in place of margins",
                        answer.get(output).copied().unwrap_or(f64::NAN)
                    )));
                }
                take(from + at, answer)?;
            }
            from += count;
        }
        Ok(())
    }

    /// The answers for `rows` rows, one after another.
    ///
    /// # Errors
    /// As [`Model::each`].
    pub fn all(&mut self, rows: usize, fill: impl FnMut(usize, &mut [f64])) -> Result<Vec<f64>> {
        let mut answers = Vec::new();
        self.each(rows, fill, |_, answer| {
            bounded("the answers of all rows", rows, answer.len(), ANSWERS_MAX)?;
            answers.extend_from_slice(answer);
            Ok(())
        })?;
        Ok(answers)
    }
}

/// Refuses what would be kept of `rows` times `each` numbers, if that is more than `most`.
pub(crate) fn bounded(what: &str, rows: usize, each: usize, most: usize) -> Result<()> {
    if rows.checked_mul(each).is_some_and(|size| size <= most) {
        return Ok(());
    }
    Err(Fault::limit(format!(
        "{what} would be {rows} times {each} numbers, expected at most {most}; choose `outputs` or ask for less"
    )))
}
