//! Rows of numbers, and a weight for each row. It knows nothing of models.

/// Rows of equally many numbers, one row after another.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matrix {
    /// How many rows.
    pub rows: usize,
    /// Numbers of a row.
    pub width: usize,
    /// The numbers.
    pub cells: Vec<f64>,
}

impl Matrix {
    /// Of so many rows; none if the cells are not as many.
    #[must_use]
    pub fn new(rows: usize, width: usize, cells: Vec<f64>) -> Option<Self> {
        (rows.checked_mul(width) == Some(cells.len())).then_some(Self { rows, width, cells })
    }

    /// A row; empty beyond the end.
    #[must_use]
    pub fn row(&self, at: usize) -> &[f64] {
        let start = at.saturating_mul(self.width);
        self.cells.get(start..start.saturating_add(self.width)).unwrap_or_default()
    }
}

/// Rows that stand for what is not known, and how much each counts; the weights sum to 1.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Background {
    /// The rows.
    pub rows: Matrix,
    /// One weight for each.
    pub weights: Vec<f64>,
}

impl Background {
    /// Of rows that count alike, or by weights that are not negative and not all zero.
    #[must_use]
    pub fn new(rows: Matrix, weights: Option<&[f64]>) -> Option<Self> {
        let count = rows.rows;
        let weights = weights.map_or_else(|| vec![1.0; count], <[f64]>::to_vec);
        let sum: f64 = weights.iter().sum();
        let sound = count > 0 && weights.len() == count && sum.is_finite() && sum > 0.0;
        if !sound || !weights.iter().all(|weight| *weight >= 0.0) {
            return None;
        }
        Some(Self { rows, weights: weights.into_iter().map(|weight| weight / sum).collect() })
    }
}
