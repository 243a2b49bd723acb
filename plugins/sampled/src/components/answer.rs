//! What an explainer answers, gathered row by row and written as outputs.
//!
//! The names are those of docs/plugins/explainers.md. It does not know how shares were found.

use candor_plugin_sdk::{Call, Error, Result};

/// Everything that is answered, rows one after another.
#[derive(Default)]
pub struct Answer {
    /// Rows × players × outputs.
    pub attributions: Vec<f64>,
    /// Rows × players × outputs, if there are any.
    pub errors: Option<Vec<f64>>,
    /// Rows × players × players × outputs, if they were asked for.
    pub interactions: Option<Vec<f64>>,
    /// Rows × outputs.
    pub base: Vec<f64>,
    /// Rows × outputs.
    pub output: Vec<f64>,
    /// Of each row.
    pub evaluations: Vec<i64>,
    /// Further outputs of rows × outputs.
    pub more: Vec<(&'static str, Vec<f64>)>,
}

impl Answer {
    /// Counts what the model was asked since the last row.
    pub fn spent(&mut self, asked: u64) {
        let before: i64 = self.evaluations.iter().sum();
        self.evaluations.push(i64::try_from(asked).unwrap_or(i64::MAX).saturating_sub(before));
    }

    /// Puts the shares of the players that vary to their places among all; the others have 0.
    pub fn place(into: &mut Vec<f64>, values: &[f64], varying: &[usize], players: usize, outputs: usize) {
        let start = into.len();
        into.resize(start + players * outputs, 0.0);
        let own = into.get_mut(start..).unwrap_or_default();
        for (values, player) in values.chunks_exact(outputs.max(1)).zip(varying) {
            own.get_mut(player * outputs..(player + 1) * outputs).unwrap_or_default().copy_from_slice(values);
        }
    }

    /// Writes all of it.
    pub fn write(self, call: &Call<'_>, players: usize, outputs: usize) -> Result<()> {
        let size = |size: usize| i64::try_from(size).map_err(|_| Error::invalid("there are too many rows"));
        let (rows, players, outputs) = (size(self.evaluations.len())?, size(players)?, size(outputs)?);
        let write = |name: &str, shape: &[i64], numbers: &[f64]| -> Result<()> {
            let out = call.output::<f64>(name, shape)?;
            if out.len() != numbers.len() {
                return Err(Error::internal(format!("`{name}` has {} numbers for the shape {shape:?}", numbers.len())));
            }
            out.copy_from_slice(numbers);
            Ok(())
        };
        write("attributions", &[rows, players, outputs], &self.attributions)?;
        write("base", &[rows, outputs], &self.base)?;
        write("output", &[rows, outputs], &self.output)?;
        if let Some(errors) = &self.errors {
            write("standard_error", &[rows, players, outputs], errors)?;
        }
        if let Some(interactions) = &self.interactions {
            write("interactions", &[rows, players, players, outputs], interactions)?;
        }
        for (name, numbers) in &self.more {
            write(name, &[rows, outputs], numbers)?;
        }
        call.output::<i64>("evaluations", &[rows])?.copy_from_slice(&self.evaluations);
        Ok(())
    }
}
