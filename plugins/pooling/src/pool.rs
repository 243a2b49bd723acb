//! The sums, for one row. They are kept in double precision and added in the order of the tokens, so that an answer
//! does not depend on the machine or on what else is in the request.
//!
//! It does not know inputs and outputs.

/// A number of an embedding.
pub trait Number: Copy {
    fn wide(self) -> f64;
    fn of(number: f64) -> Self;
}

impl Number for f32 {
    fn wide(self) -> f64 {
        f64::from(self)
    }
    #[allow(clippy::cast_possible_truncation, reason = "the nearest one is meant")]
    fn of(number: f64) -> Self {
        number as Self
    }
}

impl Number for f64 {
    fn wide(self) -> f64 {
        self
    }
    fn of(number: f64) -> Self {
        number
    }
}

/// What `sum / max(count, 1e-9)` and `x / max(norm, 1e-12)` are for: a row without tokens, an embedding of zeros.
const COUNT_MIN: f64 = 1e-9;
const NORM_MIN: f64 = 1e-12;

/// The tokens of one text.
pub struct Row<'a, T> {
    pub(crate) tokens: &'a [T],
    pub(crate) width: usize,
    /// 1 where a token counts; as many as there are tokens.
    pub(crate) weights: &'a [f64],
}

impl<T: Number> Row<'_, T> {
    fn counted(&self) -> impl Iterator<Item = &[T]> {
        self.tokens
            .chunks_exact(self.width)
            .zip(self.weights)
            .filter(|(_, weight)| **weight > 0.0)
            .map(|(token, _)| token)
    }

    /// The mean; zeros if nothing counts. What does not count is not looked at: it may be NaN.
    pub(crate) fn mean(&self, out: &mut [f64]) {
        out.fill(0.0);
        let mut count = 0.0;
        for token in self.counted() {
            count += 1.0;
            for (sum, number) in out.iter_mut().zip(token) {
                *sum += number.wide();
            }
        }
        let count = f64::max(count, COUNT_MIN);
        out.iter_mut().for_each(|sum| *sum /= count);
    }

    /// The first token.
    pub(crate) fn first(&self, out: &mut [f64]) {
        for (out, number) in out.iter_mut().zip(self.tokens) {
            *out = number.wide();
        }
    }

    /// The largest; zeros if nothing counts. NaN stays NaN.
    pub(crate) fn max(&self, out: &mut [f64]) {
        out.fill(f64::NEG_INFINITY);
        let mut any = false;
        for token in self.counted() {
            any = true;
            for (largest, number) in out.iter_mut().zip(token) {
                let number = number.wide();
                if number > *largest || number.is_nan() {
                    *largest = number;
                }
            }
        }
        if !any {
            out.fill(0.0);
        }
    }
}

/// Brings an embedding to the length 1.
pub fn normalize(embedding: &mut [f64]) {
    let norm = embedding.iter().map(|number| number * number).sum::<f64>().sqrt().max(NORM_MIN);
    embedding.iter_mut().for_each(|number| *number /= norm);
}
