//! Rows of numbers. They do not know what the numbers mean; NaN stands for what is missing.

use crate::{Fault, Result};

/// Rows of one width, which is not 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    width: usize,
    data: Vec<f64>,
}

impl Matrix {
    /// Rows of `width` numbers one after another.
    ///
    /// # Errors
    /// `Invalid` when there is no row, no feature, or a row is cut.
    pub fn new(width: usize, data: Vec<f64>) -> Result<Self> {
        if width == 0 {
            return Err(Fault::invalid("the rows have no features"));
        }
        if data.is_empty() {
            return Err(Fault::invalid("there are no rows"));
        }
        if !data.len().is_multiple_of(width) {
            return Err(Fault::invalid(format!("{} numbers are no rows of {width}", data.len())));
        }
        Ok(Self { width, data })
    }

    /// How many numbers a row has.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.data.len() / self.width
    }

    /// Never: there is a row at least.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// A row; empty beyond the last.
    #[must_use]
    pub fn row(&self, at: usize) -> &[f64] {
        let from = at.saturating_mul(self.width);
        self.data.get(from..from.saturating_add(self.width)).unwrap_or_default()
    }

    /// The rows.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.data.chunks_exact(self.width)
    }

    /// One number; NaN outside.
    #[must_use]
    pub fn at(&self, row: usize, feature: usize) -> f64 {
        self.row(row).get(feature).copied().unwrap_or(f64::NAN)
    }

    /// A feature's numbers.
    pub fn column(&self, feature: usize) -> impl Iterator<Item = f64> {
        self.rows().filter_map(move |row| row.get(feature).copied())
    }
}
