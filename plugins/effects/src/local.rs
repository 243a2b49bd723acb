//! Accumulated local effects, of one feature and of two: Apley & Zhu 2020, "Visualizing the effects of predictor variables in
//! black box supervised learning models", with the conventions of their program ALEPlot.
//!
//! Before it come rows and edges of bins, after it the effect at the edges. It does not know how edges are chosen but by
//! [`edges`].

use crate::{Fault, Matrix, Model, Result};

/// The effect of one feature, centred: its mean over the rows is 0.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalEffect {
    /// Edges, outputs.
    pub effect: Vec<f64>,
    /// The weight of the rows of each bin: their number where each weighs 1.
    pub weights: Vec<f64>,
}

/// The edges of bins: the smallest number and the quantiles at 1/K, 2/K … 1 (the inverse of the empirical distribution, R's
/// type 1), each once. A constant column has one edge.
///
/// # Errors
/// `Invalid` when the column has no number at all.
pub fn edges(column: impl Iterator<Item = f64>, bins: usize) -> Result<Vec<f64>> {
    let mut sorted: Vec<f64> = column.filter(|number| number.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let (Some(&first), n) = (sorted.first(), sorted.len()) else {
        return Err(Fault::invalid("no row has a number for this feature; give the edges"));
    };
    let bins = bins.max(1);
    // ⌈n·k/K⌉ in whole numbers, so that no rounding moves an edge.
    let quantile = |k: usize| sorted.get((n * k).div_ceil(bins).saturating_sub(1)).copied().unwrap_or(first);
    let mut edges = vec![first];
    edges.extend((1..=bins).map(quantile));
    edges.dedup();
    Ok(edges)
}

/// The bin of a number: (z[k-1], z[k]], the first with its lower edge; nothing outside.
fn bin(edges: &[f64], number: f64) -> Option<usize> {
    let (first, last) = (edges.first()?, edges.last()?);
    let inside = edges.len() > 1 && number >= *first && number <= *last;
    inside.then(|| edges.partition_point(|edge| *edge < number).max(1) - 1)
}

fn growing(edges: &[f64]) -> Result<()> {
    let right = edges.iter().all(|edge| edge.is_finite()) && edges.windows(2).all(|pair| pair.first() < pair.last());
    if right && !edges.is_empty() {
        return Ok(());
    }
    Err(Fault::invalid("the edges of bins are no growing finite numbers"))
}

/// The effect of one feature. Rows outside the edges, or with nothing there, are left out.
///
/// # Errors
/// `Invalid` for edges that do not grow or weights without a sum, `Limit`, and what the model said.
pub fn first_order(
    model: &mut Model<'_>,
    rows: &Matrix,
    weights: &[f64],
    feature: usize,
    edges: &[f64],
) -> Result<LocalEffect> {
    growing(edges)?;
    let placed = placed(rows, weights, |row| bin(edges, row.get(feature).copied()?).map(|bin| (bin, 0)));
    let total = total(model, rows, &placed)?;
    let outputs = model.outputs();
    let bins = edges.len() - 1;
    let (mut sums, mut counts) = (vec![0.0; bins * outputs], vec![0.0; bins]);
    // The answer at the lower edge comes first, that at the upper one second.
    model.each(
        placed.len() * 2,
        |at, out| {
            let Some(place) = placed.get(at / 2) else { return };
            out.copy_from_slice(rows.row(place.row));
            if let (Some(number), Some(edge)) = (out.get_mut(feature), edges.get(place.bin.0 + at % 2)) {
                *number = *edge;
            }
        },
        |at, answer| {
            let Some(place) = placed.get(at / 2) else { return Ok(()) };
            let weight = if at % 2 == 0 { -place.weight } else { place.weight };
            add(&mut sums, place.bin.0, answer, weight);
            if at % 2 == 1
                && let Some(count) = counts.get_mut(place.bin.0)
            {
                *count += place.weight;
            }
            Ok(())
        },
    )?;
    let mut effect = vec![0.0; edges.len() * outputs];
    for output in 0..outputs {
        let mut sum = 0.0;
        for (at, count) in counts.iter().enumerate() {
            sum += ratio(get(&sums, at * outputs + output), *count);
            put(&mut effect, (at + 1) * outputs + output, sum);
        }
        // The effect within a bin is that of its middle.
        let middle =
            |at: usize| f64::midpoint(get(&effect, at * outputs + output), get(&effect, (at + 1) * outputs + output));
        let mean =
            counts.iter().enumerate().map(|(at, count)| middle(at) * count).sum::<f64>() / total.max(f64::MIN_POSITIVE);
        effect.iter_mut().skip(output).step_by(outputs).for_each(|number| *number -= mean);
    }
    Ok(LocalEffect { effect, weights: counts })
}

/// The effect of two features beyond their own: edges of the first, edges of the second, outputs. Cells without rows take
/// the change of the nearest cell that has some.
///
/// # Errors
/// As [`first_order`].
pub fn second_order(
    model: &mut Model<'_>,
    rows: &Matrix,
    weights: &[f64],
    features: (usize, usize),
    edges: (&[f64], &[f64]),
) -> Result<LocalEffect> {
    growing(edges.0)?;
    growing(edges.1)?;
    let number = |row: &[f64], feature: usize| row.get(feature).copied();
    let placed = placed(rows, weights, |row| {
        Some((bin(edges.0, number(row, features.0)?)?, bin(edges.1, number(row, features.1)?)?))
    });
    total(model, rows, &placed)?;
    let outputs = model.outputs();
    let (high, wide) = (edges.0.len() - 1, edges.1.len() - 1);
    let (mut sums, mut counts) = (vec![0.0; high * wide * outputs], vec![0.0; high * wide]);
    model.each(
        placed.len() * 4,
        |at, out| {
            let Some(place) = placed.get(at / 4) else { return };
            out.copy_from_slice(rows.row(place.row));
            let (first, second) = (edges.0.get(place.bin.0 + at % 4 / 2), edges.1.get(place.bin.1 + at % 2));
            for (feature, edge) in [(features.0, first), (features.1, second)] {
                if let (Some(number), Some(edge)) = (out.get_mut(feature), edge) {
                    *number = *edge;
                }
            }
        },
        |at, answer| {
            let Some(place) = placed.get(at / 4) else { return Ok(()) };
            let cell = place.bin.0 * wide + place.bin.1;
            let weight = if matches!(at % 4, 0 | 3) { place.weight } else { -place.weight };
            add(&mut sums, cell, answer, weight);
            if at % 4 == 3
                && let Some(count) = counts.get_mut(cell)
            {
                *count += place.weight;
            }
            Ok(())
        },
    )?;
    let from = nearest_known(&counts, edges, wide);
    let mut effect = vec![0.0; edges.0.len() * edges.1.len() * outputs];
    for output in 0..outputs {
        let change = |cell: usize| {
            from.get(cell).map_or(0.0, |&from| ratio(get(&sums, from * outputs + output), get(&counts, from)))
        };
        let plane = Plane { wide: wide + 1, cells: accumulated(high, wide, change) };
        let plane = plane.beyond_single(&counts);
        for (at, number) in plane.cells.iter().enumerate() {
            put(&mut effect, at * outputs + output, *number);
        }
    }
    Ok(LocalEffect { effect, weights: counts })
}

/// A row in its bin.
struct Placed {
    row: usize,
    weight: f64,
    bin: (usize, usize),
}

fn placed(rows: &Matrix, weights: &[f64], bin: impl Fn(&[f64]) -> Option<(usize, usize)>) -> Vec<Placed> {
    let weight = |row: usize| weights.get(row).copied().unwrap_or(1.0);
    let place = |(row, numbers): (usize, &[f64])| Some(Placed { row, weight: weight(row), bin: bin(numbers)? });
    rows.rows().enumerate().filter_map(place).filter(|placed| placed.weight > 0.0).collect()
}

/// The weight of all rows that are in bins. A first row is asked so that the outputs are known also if none is.
fn total(model: &mut Model<'_>, rows: &Matrix, placed: &[Placed]) -> Result<f64> {
    model.each(1, |_, out| out.copy_from_slice(rows.row(0)), |_, _| Ok(()))?;
    let total: f64 = placed.iter().map(|placed| placed.weight).sum();
    if total.is_finite() { Ok(total) } else { Err(Fault::invalid(format!("the weights sum to {total}"))) }
}

fn ratio(sum: f64, count: f64) -> f64 {
    if count > 0.0 { sum / count } else { 0.0 }
}

fn get(list: &[f64], at: usize) -> f64 {
    list.get(at).copied().unwrap_or(0.0)
}

fn put(list: &mut [f64], at: usize, number: f64) {
    if let Some(place) = list.get_mut(at) {
        *place = number;
    }
}

fn add(sums: &mut [f64], at: usize, answer: &[f64], weight: f64) {
    let sums = sums.get_mut(at * answer.len()..).unwrap_or_default();
    sums.iter_mut().zip(answer).for_each(|(sum, number)| *sum += weight * number);
}

/// For each cell the nearest one that has rows, by the distance of their middles in shares of the ranges.
fn nearest_known(counts: &[f64], edges: (&[f64], &[f64]), wide: usize) -> Vec<usize> {
    let middles = |edges: &[f64]| -> Vec<f64> {
        let range = edges.last().zip(edges.first()).map_or(1.0, |(last, first)| last - first);
        edges.windows(2).map(|pair| pair.iter().sum::<f64>() / 2.0 / range).collect()
    };
    let (first, second) = (middles(edges.0), middles(edges.1));
    let middle = |cell: usize| (get(&first, cell / wide.max(1)), get(&second, cell % wide.max(1)));
    let known: Vec<usize> = (0..counts.len()).filter(|&cell| get(counts, cell) > 0.0).collect();
    let apart = |one: usize, other: usize| {
        let (a, b) = (middle(one), middle(other));
        (a.0 - b.0).powi(2) + (a.1 - b.1).powi(2)
    };
    let nearest = |cell: usize| {
        let near = |a: &&usize, b: &&usize| apart(cell, **a).total_cmp(&apart(cell, **b));
        if get(counts, cell) > 0.0 { cell } else { known.iter().min_by(near).copied().unwrap_or(cell) }
    };
    (0..counts.len()).map(nearest).collect()
}

/// The sums of all changes below and left of each edge.
fn accumulated(high: usize, wide: usize, change: impl Fn(usize) -> f64) -> Vec<f64> {
    let mut cells = vec![0.0; (high + 1) * (wide + 1)];
    for at in 0..high {
        let mut line = 0.0;
        for across in 0..wide {
            line += change(at * wide + across);
            let above = get(&cells, at * (wide + 1) + across + 1);
            put(&mut cells, (at + 1) * (wide + 1) + across + 1, above + line);
        }
    }
    cells
}

/// Effects at the corners of cells.
struct Plane {
    wide: usize,
    cells: Vec<f64>,
}

impl Plane {
    fn at(&self, first: usize, second: usize) -> f64 {
        get(&self.cells, first * self.wide + second)
    }

    /// Less the effects of each feature by itself, and centred: the mean over the rows is 0.
    fn beyond_single(mut self, counts: &[f64]) -> Self {
        let (rows, columns) = ((self.cells.len() / self.wide.max(1)).saturating_sub(1), self.wide - 1);
        let count = |row: usize, column: usize| get(counts, row * columns + column);
        let mean = |cells: &mut dyn Iterator<Item = (f64, f64)>| {
            let (sum, weight) =
                cells.fold((0.0, 0.0), |(sum, all), (change, weight)| (sum + change * weight, all + weight));
            ratio(sum, weight)
        };
        let mut first = vec![0.0];
        for row in 0..rows {
            let change = |column: usize| self.at(row + 1, column) - self.at(row, column);
            let mut cells =
                (0..columns).map(|column| (f64::midpoint(change(column), change(column + 1)), count(row, column)));
            first.push(get(&first, row) + mean(&mut cells));
        }
        let mut second = vec![0.0];
        for column in 0..columns {
            let change = |row: usize| self.at(row, column + 1) - self.at(row, column);
            let mut cells = (0..rows).map(|row| (f64::midpoint(change(row), change(row + 1)), count(row, column)));
            second.push(get(&second, column) + mean(&mut cells));
        }
        let wide = self.wide;
        for (at, cell) in self.cells.iter_mut().enumerate() {
            *cell -= get(&first, at / wide) + get(&second, at % wide);
        }
        let corners = |row: usize, column: usize| {
            let low = self.at(row, column) + self.at(row, column + 1);
            (low + self.at(row + 1, column) + self.at(row + 1, column + 1)) / 4.0
        };
        let middle = mean(&mut (0..rows * columns).map(|cell| {
            let (row, column) = (cell / columns.max(1), cell % columns.max(1));
            (corners(row, column), count(row, column))
        }));
        self.cells.iter_mut().for_each(|cell| *cell -= middle);
        self
    }
}
