//! The outputs of a call, as docs/plugins/explainers.md names them.
//!
//! It does not know how shares come about.

use candor_plugin_sdk::{Call, Error, Result};

use crate::{fold::Output, matrix::Matrix};

/// Shares, ready to be told.
pub struct Answer<'a> {
    /// The rows that were explained.
    pub rows: &'a Matrix,
    /// How many players.
    pub players: usize,
    /// The outputs that were asked for.
    pub outputs: Vec<&'a Output>,
    /// How many scores there are.
    pub targets: usize,
}

impl Answer<'_> {
    /// Writes attributions: `shares` has for each row, for each score, one for each player.
    pub fn attributions(&self, call: &Call<'_>, shares: &[f64]) -> Result<()> {
        let shape = [dim(self.rows.rows)?, dim(self.players)?, dim(self.outputs.len())?];
        let out = call.output::<f64>("attributions", &shape)?;
        self.turn(shares, self.players, out);
        finite(out, "an attribution")
    }

    /// Writes interactions: `squares` has for each row, for each score, a square of players.
    pub fn interactions(&self, call: &Call<'_>, squares: &[f64]) -> Result<()> {
        let players = dim(self.players)?;
        let shape = [dim(self.rows.rows)?, players, players, dim(self.outputs.len())?];
        let out = call.output::<f64>("interactions", &shape)?;
        self.turn(squares, self.players * self.players, out);
        finite(out, "an interaction")
    }

    /// From scores to outputs, which become the last dimension.
    fn turn(&self, of_scores: &[f64], each: usize, out: &mut [f64]) {
        let (from, to) = ((self.targets * each).max(1), (self.outputs.len() * each).max(1));
        for (own, out) in of_scores.chunks_exact(from).zip(out.chunks_exact_mut(to)) {
            for (at, cells) in out.chunks_exact_mut(self.outputs.len().max(1)).enumerate() {
                for (cell, output) in cells.iter_mut().zip(&self.outputs) {
                    *cell = output.weighed(|score| own.get(score * each + at).copied().unwrap_or_default());
                }
            }
        }
    }

    /// Writes `base`, `output` and `evaluations`; `of_row` gives the outputs of a row.
    pub fn values(&self, call: &Call<'_>, base: &[f64], of_row: impl Fn(usize) -> Vec<f64>) -> Result<()> {
        let (rows, width) = (self.rows.rows, self.outputs.len());
        let shape = [dim(rows)?, dim(width)?];
        for out in call.output::<f64>("base", &shape)?.chunks_exact_mut(width.max(1)) {
            out.copy_from_slice(base);
        }
        let out = call.output::<f64>("output", &shape)?;
        for (row, out) in out.chunks_exact_mut(width.max(1)).enumerate() {
            out.iter_mut().zip(of_row(row)).for_each(|(out, value)| *out = value);
        }
        finite(out, "an output")?;
        // The graph is read, the model is not called.
        call.output::<i64>("evaluations", &[dim(rows)?])?.fill(0);
        Ok(())
    }
}

/// That all numbers are finite: a linear model gives none for a missing value.
fn finite(numbers: &[f64], what: &str) -> Result<()> {
    if numbers.iter().all(|number| number.is_finite()) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{what} is no finite number: `x` or `background` has values that the model cannot take"
    )))
}

fn dim(size: usize) -> Result<i64> {
    i64::try_from(size).map_err(|_| Error::invalid("a shape cannot be"))
}
