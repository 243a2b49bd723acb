//! Probabilities of classes out of what pairs of them got.
//!
//! J. Platt's sigmoid for each pair, then the second method of T.-F. Wu, C.-J. Lin and R. C. Weng,
//! "Probability estimates for multi-class classification by pairwise coupling" (2004), as LIBSVM does and
//! ONNX Runtime after it: in 32 bits, at most a hundred rounds, and good enough at 0.005 divided by the classes.

use candor_domain::Result;

use super::scores::logistic;
use crate::workspace::Buffers;

/// Rounds after which it stays as it is.
const ROUNDS_MAX: usize = 100;

/// What a pair's probability is kept away from 0 and 1.
const MARGIN: f32 = 1e-7;

/// What the iteration works in.
pub(super) struct Coupling {
    classes: usize,
    /// `pairwise[i][j]`: probability of `i` when it is `i` or `j`.
    pairwise: Vec<f32>,
    q: Vec<f32>,
    q_of_p: Vec<f32>,
    p: Vec<f32>,
}

impl Coupling {
    /// For so many classes.
    ///
    /// # Errors
    /// As [`Buffers::take`].
    pub(super) fn new(classes: usize, buffers: &mut Buffers) -> Result<Self> {
        let squared = classes.saturating_mul(classes);
        Ok(Self {
            classes,
            pairwise: buffers.take(squared)?,
            q: buffers.take(squared)?,
            q_of_p: buffers.take(classes)?,
            p: buffers.take(classes)?,
        })
    }

    /// Gives the vectors back.
    pub(super) fn release(self, buffers: &mut Buffers) {
        [self.pairwise, self.q, self.q_of_p, self.p].into_iter().for_each(|vector| buffers.give(vector));
    }

    /// The probability of each class; `parameters` are Platt's for each pair.
    pub(super) fn probabilities(
        &mut self,
        scores: &[f32],
        parameters: impl Iterator<Item = (f32, f32)>,
    ) -> impl Iterator<Item = f32> {
        self.fill_pairwise(scores, parameters);
        self.fill_q();
        self.iterate();
        self.p.iter().copied()
    }

    fn fill_pairwise(&mut self, scores: &[f32], parameters: impl Iterator<Item = (f32, f32)>) {
        let classes = self.classes;
        self.pairwise.clear();
        self.pairwise.resize(classes * classes, 0.0);
        let pairs = (0..classes).flat_map(|first| (first + 1..classes).map(move |second| (first, second)));
        for (((a, b), score), (first, second)) in parameters.zip(scores).zip(pairs) {
            // NaN stays NaN.
            let of_first = (1.0 - logistic(score * a + b)).clamp(MARGIN, 1.0 - MARGIN);
            let mut set = |at: usize, to: f32| self.pairwise.get_mut(at).into_iter().for_each(|cell| *cell = to);
            set(first * classes + second, of_first);
            set(second * classes + first, 1.0 - of_first);
        }
    }

    /// `Q[i][i] = Σ r[j][i]²` and `Q[i][j] = -r[j][i] · r[i][j]`.
    fn fill_q(&mut self) {
        let classes = self.classes.max(1);
        self.q.clear();
        for (at, row) in self.pairwise.chunks_exact(classes).enumerate() {
            let column = || self.pairwise.iter().skip(at).step_by(classes);
            let diagonal = column().fold(0.0, |sum, r| sum + r * r);
            let cells = column().zip(row).enumerate();
            self.q.extend(cells.map(|(other, (back, forth))| if other == at { diagonal } else { -(back * forth) }));
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "there are few classes")]
    fn iterate(&mut self) {
        let Self { classes, q, q_of_p, p, .. } = self;
        let count = *classes as f32;
        p.clear();
        p.resize(*classes, 1.0 / count);
        for _ in 0..ROUNDS_MAX {
            q_of_p.clear();
            let rows = q.chunks_exact((*classes).max(1));
            q_of_p.extend(rows.clone().map(|row| row.iter().zip(&*p).fold(0.0, |sum, (q, p)| sum + q * p)));
            let mut all = p.iter().zip(&*q_of_p).fold(0.0, |sum, (p, q)| sum + p * q);
            let error = q_of_p.iter().fold(0.0_f32, |most, q| most.max((q - all).abs()));
            if error < 0.005 / count {
                return;
            }
            for (at, row) in rows.enumerate() {
                let (Some(diagonal), Some(own), Some(share)) = (row.get(at), q_of_p.get(at), p.get_mut(at)) else {
                    return;
                };
                let change = (all - own) / diagonal;
                *share += change;
                all = (all + change * (change * diagonal + 2.0 * own)) / (1.0 + change) / (1.0 + change);
                for ((q_of_p, q), p) in q_of_p.iter_mut().zip(row).zip(p.iter_mut()) {
                    *q_of_p = (*q_of_p + change * q) / (1.0 + change);
                    *p /= 1.0 + change;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs that agree with some probabilities give just these back: `r[i][j] = p[i] / (p[i] + p[j])`.
    #[test]
    fn pairs_that_agree_give_back_what_they_came_from() {
        let wanted = [0.1_f32, 0.2, 0.3, 0.4];
        let mut scores = Vec::new();
        for (at, first) in wanted.iter().enumerate() {
            // With a = -1 and b = 0 the pair's probability is the logistic of its score.
            scores.extend(wanted.iter().skip(at + 1).map(|second| (first / second).ln()));
        }
        let mut coupling = Coupling::new(4, &mut Buffers::default()).unwrap();
        let got: Vec<f32> = coupling.probabilities(&scores, std::iter::repeat((-1.0, 0.0))).collect();
        for (got, wanted) in got.iter().zip(wanted) {
            assert!((got - wanted).abs() < 0.005, "{got} for {wanted}");
        }
        assert!((got.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn what_is_no_number_ends_it() {
        let mut coupling = Coupling::new(2, &mut Buffers::default()).unwrap();
        let got: Vec<f32> = coupling.probabilities(&[f32::NAN], std::iter::once((-1.0, 0.0))).collect();
        assert_eq!(got, [0.5, 0.5]);
    }
}
