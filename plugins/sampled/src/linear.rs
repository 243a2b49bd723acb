//! Symmetric systems of equations: sums of outer products, Cholesky, and conjugate gradients for what is singular.
//!
//! Least squares come here as normal equations, in double precision. It does not know what is fitted.

/// A symmetric matrix; the lower triangle is kept up by sums and [`Symmetric::mirror`] fills the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Symmetric {
    size: usize,
    cells: Vec<f64>,
}

impl Symmetric {
    /// Of zeros.
    #[must_use]
    pub fn zeros(size: usize) -> Self {
        Self { size, cells: vec![0.0; size * size] }
    }

    /// How many rows it has.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// A row.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f64] {
        self.cells.get(row * self.size..(row + 1) * self.size).unwrap_or_default()
    }

    /// A row, to write.
    pub fn row_mut(&mut self, row: usize) -> &mut [f64] {
        self.cells.get_mut(row * self.size..(row + 1) * self.size).unwrap_or_default()
    }

    /// The rows.
    pub fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.cells.chunks_exact(self.size.max(1))
    }

    /// Adds `weight` z zᵀ for a z that is 1 at `ones` (in rising order) and 0 elsewhere; the lower triangle only.
    pub fn add_ones(&mut self, ones: &[usize], weight: f64) {
        for (at, &one) in ones.iter().enumerate() {
            let row = self.row_mut(one);
            for &other in ones.iter().take(at + 1) {
                if let Some(cell) = row.get_mut(other) {
                    *cell += weight;
                }
            }
        }
    }

    /// Adds `weight` z zᵀ; the lower triangle only.
    pub fn add_outer(&mut self, z: &[f64], weight: f64) {
        for (at, &one) in z.iter().enumerate() {
            let factor = weight * one;
            if factor != 0.0 {
                self.row_mut(at)
                    .iter_mut()
                    .zip(z.iter().take(at + 1))
                    .for_each(|(cell, other)| *cell += factor * other);
            }
        }
    }

    /// Copies the lower triangle to the upper one.
    pub fn mirror(&mut self) {
        for row in 0..self.size {
            for column in row + 1..self.size {
                let below = self.row(column).get(row).copied().unwrap_or(0.0);
                if let Some(cell) = self.row_mut(row).get_mut(column) {
                    *cell = below;
                }
            }
        }
    }

    /// The diagonal.
    pub fn diagonal(&self) -> impl Iterator<Item = f64> {
        self.rows().enumerate().map(|(at, row)| row.get(at).copied().unwrap_or(0.0))
    }

    /// Adds to the diagonal.
    pub fn add_diagonal(&mut self, what: f64) {
        for at in 0..self.size {
            if let Some(cell) = self.row_mut(at).get_mut(at) {
                *cell += what;
            }
        }
    }

    /// Those rows and columns.
    #[must_use]
    pub fn part(&self, of: &[usize]) -> Self {
        let mut part = Self::zeros(of.len());
        for (row, &from) in of.iter().enumerate() {
            let from = self.row(from);
            for (cell, &column) in part.row_mut(row).iter_mut().zip(of) {
                *cell = from.get(column).copied().unwrap_or(0.0);
            }
        }
        part
    }

    /// The product with a vector; needs both triangles.
    #[must_use]
    pub fn times(&self, vector: &[f64]) -> Vec<f64> {
        self.rows().map(|row| dot(row, vector)).collect()
    }
}

/// Σ a b.
#[must_use]
pub fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

/// The factor L of A = L Lᵀ.
#[derive(Debug, Clone)]
pub struct Cholesky(Symmetric);

impl Cholesky {
    /// Of the lower triangle; none if the matrix is not positive definite to working precision: if a pivot is not above
    /// 1e-12 of what stood on its place of the diagonal.
    #[must_use]
    pub fn of(matrix: &Symmetric) -> Option<Self> {
        let mut factor = Symmetric::zeros(matrix.size);
        for row in 0..matrix.size {
            let (done, rest) = factor.cells.split_at_mut(row * matrix.size);
            let own = rest.get_mut(..matrix.size)?;
            for column in 0..row {
                let above = done.get(column * matrix.size..column * matrix.size + column + 1)?;
                let (pivot, above) = above.split_last()?;
                let sum = dot(own.get(..column)?, above);
                let cell = matrix.row(row).get(column)?;
                *own.get_mut(column)? = (cell - sum) / pivot;
            }
            let diagonal = *matrix.row(row).get(row)?;
            let pivot = diagonal - own.get(..row)?.iter().map(|cell| cell * cell).sum::<f64>();
            if !(pivot > diagonal * 1e-12 && pivot.is_finite()) {
                return None;
            }
            *own.get_mut(row)? = pivot.sqrt();
        }
        Some(Self(factor))
    }

    /// Solves A x = b in place.
    pub fn solve(&self, b: &mut [f64]) {
        for at in 0..b.len() {
            let row = self.0.row(at);
            let sum = dot(row.get(..at).unwrap_or_default(), b);
            if let (Some(b), Some(pivot)) = (b.get_mut(at), row.get(at)) {
                *b = (*b - sum) / pivot;
            }
        }
        for at in (0..b.len()).rev() {
            let row = self.0.row(at);
            let Some((b_at, pivot)) = b.get(at).zip(row.get(at)) else { continue };
            let solved = b_at / pivot;
            b.iter_mut().zip(row).take(at).for_each(|(b, cell)| *b -= cell * solved);
            if let Some(b) = b.get_mut(at) {
                *b = solved;
            }
        }
    }

    /// A⁻¹.
    #[must_use]
    pub fn inverse(&self) -> Symmetric {
        let mut inverse = Symmetric::zeros(self.0.size);
        for at in 0..self.0.size {
            let row = inverse.row_mut(at);
            if let Some(cell) = row.get_mut(at) {
                *cell = 1.0;
            }
            self.solve(row);
        }
        inverse
    }
}

/// The shortest x that solves A x = b best, for a singular A and a b of its range: conjugate gradients from 0 (Hestenes
/// and Stiefel, 1952), which never leave that range. Needs both triangles.
#[must_use]
pub fn shortest(matrix: &Symmetric, b: &[f64]) -> Vec<f64> {
    let mut x = vec![0.0; b.len()];
    let mut residual = b.to_vec();
    let mut direction = residual.clone();
    let mut size = dot(&residual, &residual);
    let enough = size * 1e-26;
    for _ in 0..b.len() * 4 {
        let moved = matrix.times(&direction);
        let curvature = dot(&direction, &moved);
        if !(size > enough && curvature > 0.0) {
            break;
        }
        let step = size / curvature;
        x.iter_mut().zip(&direction).for_each(|(x, direction)| *x += step * direction);
        residual.iter_mut().zip(&moved).for_each(|(residual, moved)| *residual -= step * moved);
        let next = dot(&residual, &residual);
        let keep = next / size;
        direction.iter_mut().zip(&residual).for_each(|(direction, residual)| *direction = residual + keep * *direction);
        size = next;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: &[&[f64]]) -> Symmetric {
        Symmetric { size: rows.len(), cells: rows.concat() }
    }

    #[test]
    fn solves_and_inverts() {
        let a = matrix(&[&[4.0, 2.0, 0.6], &[2.0, 5.0, 1.0], &[0.6, 1.0, 3.0]]);
        let (factor, x) = (Cholesky::of(&a).unwrap(), [1.0, -2.0, 0.5]);
        let mut b = a.times(&x);
        factor.solve(&mut b);
        for (got, expected) in b.iter().zip(x) {
            assert!((got - expected).abs() < 1e-14, "{b:?}");
        }
        let inverse = factor.inverse();
        for (row, of) in inverse.rows().enumerate() {
            for (column, cell) in a.times(of).into_iter().enumerate() {
                assert!((cell - f64::from(u8::from(row == column))).abs() < 1e-14);
            }
        }
    }

    #[test]
    fn what_is_singular_has_no_factor_and_a_shortest_solution() {
        let a = matrix(&[&[1.0, 1.0, 0.0], &[1.0, 1.0, 0.0], &[0.0, 0.0, 2.0]]);
        assert!(Cholesky::of(&a).is_none());
        let x = shortest(&a, &[2.0, 2.0, 4.0]);
        for (got, expected) in x.iter().zip([1.0, 1.0, 2.0]) {
            assert!((got - expected).abs() < 1e-12, "{x:?}");
        }
        assert_eq!(shortest(&a, &[0.0; 3]), [0.0; 3]);
    }

    #[test]
    fn outer_products_add_up() {
        let (mut ones, mut outer) = (Symmetric::zeros(4), Symmetric::zeros(4));
        ones.add_ones(&[0, 2, 3], 1.5);
        outer.add_outer(&[1.0, 0.0, 1.0, 1.0], 1.5);
        assert_eq!(ones, outer);
        ones.mirror();
        assert_eq!(ones.part(&[3, 1]), matrix(&[&[1.5, 0.0], &[0.0, 0.0]]));
        assert_eq!(ones.row(0), [1.5, 0.0, 1.5, 1.5]);
    }
}
