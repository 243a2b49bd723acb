//! Partial dependence (Friedman 2001) and individual conditional expectations (Goldstein et al. 2015), plain and centred.
//!
//! Before it come rows and an axis for one or two features; after it curves. Every row is asked at every point of the
//! grid: scikit-learn's method `brute`. It does not know how axes are chosen.

use crate::{Fault, Matrix, Model, Result, model::bounded};

/// How many numbers the curves of all rows may have: 128 MiB.
const CURVES_MAX: usize = 1 << 24;

/// Curves over a grid. Points run over the last axis first.
#[derive(Debug, Clone, PartialEq)]
pub struct Partial {
    /// How many points the grid has.
    pub points: usize,
    /// The mean of the rows that stand for the population: points, outputs.
    pub average: Vec<f64>,
    /// The curve of each row to explain: rows, points, outputs. Empty if they were not wanted.
    pub individual: Vec<f64>,
}

impl Partial {
    /// The curves less their value at the first point of the grid, so that they begin at 0.
    #[must_use]
    pub fn centred(curves: &[f64], points: usize, outputs: usize) -> Vec<f64> {
        let curve = points.saturating_mul(outputs).max(1);
        let mut centred = curves.to_vec();
        for curve in centred.chunks_exact_mut(curve) {
            let first: Vec<f64> = curve.iter().take(outputs).copied().collect();
            for point in curve.chunks_exact_mut(outputs.max(1)) {
                point.iter_mut().zip(&first).for_each(|(number, first)| *number -= first);
            }
        }
        centred
    }
}

/// One row's place in the population, and its weight there.
pub(crate) struct Population<'a> {
    pub(crate) rows: &'a Matrix,
    /// One for each row; empty for 1 each.
    pub(crate) weights: &'a [f64],
}

/// Asks for curves. The average is over `population` with its weights, or over `x` if there is none.
///
/// # Errors
/// `Invalid` for features that are not there or twice, and for weights of the sum 0; `Limit` over the number of
/// evaluations or the size of the answer; what the model said.
pub fn partial_dependence(
    model: &mut Model<'_>,
    x: &Matrix,
    population: Option<(&Matrix, &[f64])>,
    axes: &[(usize, Vec<f64>)],
    individual: bool,
) -> Result<Partial> {
    check(axes, x.width())?;
    let points = axes.iter().try_fold(1_usize, |points, (_, axis)| points.checked_mul(axis.len()));
    let rows = if individual || population.is_none() { x.len() } else { 0 };
    let others = population.map_or(0, |(rows, _)| rows.len());
    let asked = points.and_then(|points| points.checked_mul(rows.checked_add(others)?));
    model.afford(asked, "give fewer rows, a smaller grid or a summarised background")?;
    let points = points.unwrap_or(0);
    let own = Curves { axes, points, individual };
    if let Some((others, weights)) = population {
        let (average, _) = Curves { individual: false, ..own }.ask(model, &Population { rows: others, weights })?;
        let individual = if individual { own.ask(model, &Population { rows: x, weights: &[] })?.1 } else { Vec::new() };
        return Ok(Partial { points, average, individual });
    }
    let (average, individual) = own.ask(model, &Population { rows: x, weights: &[] })?;
    Ok(Partial { points, average, individual })
}

fn check(axes: &[(usize, Vec<f64>)], width: usize) -> Result<()> {
    let features: Vec<usize> = axes.iter().map(|(feature, _)| *feature).collect();
    match *features.as_slice() {
        [one] if one < width => {}
        [one, other] if one < width && other < width && one != other => {}
        _ => {
            return Err(Fault::invalid(format!(
                "the features are {features:?}, expected one or two different ones of 0 to {}",
                width - 1
            )));
        }
    }
    if axes.iter().any(|(_, axis)| axis.is_empty() || axis.iter().any(|value| !value.is_finite())) {
        return Err(Fault::invalid("an axis of the grid is empty or has what is no finite number"));
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Curves<'a> {
    axes: &'a [(usize, Vec<f64>)],
    points: usize,
    individual: bool,
}

impl Curves<'_> {
    fn place(&self, point: usize, row: &mut [f64]) {
        let mut rest = point;
        for (feature, axis) in self.axes.iter().rev() {
            let value = axis.get(rest % axis.len()).copied();
            rest /= axis.len();
            if let (Some(number), Some(value)) = (row.get_mut(*feature), value) {
                *number = value;
            }
        }
    }

    /// The average and, if wanted, each row's own.
    fn ask(&self, model: &mut Model<'_>, population: &Population<'_>) -> Result<(Vec<f64>, Vec<f64>)> {
        let rows = population.rows;
        let weight = |row: usize| population.weights.get(row).copied().unwrap_or(1.0);
        let total: f64 = (0..rows.len()).map(weight).sum();
        if !(total > 0.0 && total.is_finite()) {
            return Err(Fault::invalid(format!("the weights sum to {total}, expected more than 0")));
        }
        let (mut average, mut individual) = (Vec::new(), Vec::new());
        model.each(
            rows.len() * self.points,
            |at, out| {
                out.copy_from_slice(rows.row(at / self.points));
                self.place(at % self.points, out);
            },
            |at, answer| {
                let (row, point) = (at / self.points, at % self.points);
                if average.is_empty() {
                    let kept = if self.individual { rows.len() } else { 1 };
                    bounded("the curves", kept.saturating_mul(self.points), answer.len(), CURVES_MAX)?;
                    average = vec![0.0; self.points * answer.len()];
                }
                let sums = average.get_mut(point * answer.len()..).unwrap_or_default();
                for (sum, number) in sums.iter_mut().zip(answer) {
                    *sum += weight(row) * number;
                }
                if self.individual {
                    individual.extend_from_slice(answer);
                }
                Ok(())
            },
        )?;
        average.iter_mut().for_each(|sum| *sum /= total);
        Ok((average, individual))
    }
}
