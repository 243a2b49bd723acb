//! What a component told, taken apart: by the contract of explainers, or in the simple form of an author's own.

use std::sync::Arc;

use candor_domain::{Error, ErrorCode, Result, Tensor};

use super::{
    Additivity, Heat, RowExplanation, Shown, Space,
    additivity::{self, agree},
    layout::{Words, numbers},
    target::{Target, Transform},
};

/// Height and width of images, and a share for each pixel and output.
type Pixels = ((usize, usize), Vec<f64>);

/// What was told of some rows.
pub(crate) struct Told {
    rows: usize,
    players: usize,
    /// Explained outputs.
    outputs: usize,
    shares: Vec<f64>,
    base: Vec<f64>,
    output: Option<Vec<f64>>,
    standard_errors: Option<Vec<f64>>,
    interactions: Option<Vec<f64>>,
    evaluations: Option<Vec<f64>>,
    /// Top, left, height and width of each part of an image.
    areas: Option<Vec<f64>>,
    /// Height and width of the image, and the share of each pixel in each output.
    heat: Option<Pixels>,
}

fn wrong(what: String) -> Error {
    Error::new(ErrorCode::EngineFailed, format!("the explainer {what}"))
}

fn any(answer: &[(String, Tensor)], name: &str) -> Option<Vec<f64>> {
    let (_, tensor) = answer.iter().find(|(known, _)| known == name)?;
    Some(numbers(tensor.data(), &mut Words::default()))
}

/// Of as many numbers for each row, those of a row.
fn part(values: &[f64], row: usize, each: usize) -> &[f64] {
    values.get(row * each..(row + 1) * each).unwrap_or_default()
}

fn named(answer: &[(String, Tensor)], name: &str) -> Result<Option<Vec<f64>>> {
    let Some(values) = any(answer, name) else { return Ok(None) };
    if values.iter().any(|value| !value.is_finite()) {
        return Err(wrong(format!("gave a number in '{name}' that is not finite")));
    }
    Ok(Some(values))
}

impl Told {
    /// Reads an answer about rows of a matrix.
    pub(crate) fn read(
        answer: Vec<(String, Tensor)>,
        (target, players): (&Target, usize),
        rows: usize,
        by_part: bool,
    ) -> Result<Self> {
        let shape = answer.iter().find(|(name, _)| name == "attributions").map(|(_, tensor)| *tensor.shape());
        let shares = named(&answer, "attributions")?.ok_or_else(|| wrong("gave no attributions".to_owned()))?;
        let wanted = target.elements.len();
        // Parts of an image are as many as the method makes of it.
        let of_shape = || shape.and_then(|shape| usize::try_from(*shape.dims().get(1)?).ok());
        let players = if by_part { of_shape().unwrap_or(players) } else { players };
        let per_row = rows.max(1) * players.max(1);
        // One number for each feature is an explanation of one output, whatever its rank.
        let outputs = if shares.len() == per_row { 1 } else { wanted };
        let is_one_of_two = outputs == 1 && target.all == 2;
        let fits = shares.len() == per_row * outputs && (outputs == wanted || is_one_of_two || wanted == 1);
        if !fits {
            let shape = shape.map_or_else(String::new, |shape| shape.to_string());
            let want = format!("[{rows}, {players}, {wanted}]");
            return Err(wrong("gave attributions of another shape than was asked for".to_owned())
                .expected(want)
                .got(shape));
        }
        let base = named(&answer, "base")?.ok_or_else(|| wrong("gave no base".to_owned()))?;
        let base = spread(base, rows, outputs).ok_or_else(|| wrong("gave a base of another shape".to_owned()))?;
        let sized = |name: &str, size: usize| -> Result<Option<Vec<f64>>> {
            match named(&answer, name)? {
                Some(values) if values.len() != size => Err(wrong(format!("gave '{name}' of another shape"))),
                other => Ok(other),
            }
        };
        let each = players;
        let standard_errors = any(&answer, "standard_error");
        if standard_errors.as_ref().is_some_and(|errors| errors.len() != shares.len()) {
            return Err(wrong("gave 'standard_error' of another shape".to_owned()));
        }
        let heat = if by_part { heat(&answer, rows, outputs)? } else { None };
        Ok(Self {
            heat,
            rows,
            players,
            areas: if by_part { sized("areas", rows * each * 4)? } else { None },
            outputs,
            output: sized("output", rows * outputs)?,
            standard_errors,
            interactions: sized("interactions", rows * each * each * outputs)?,
            evaluations: sized("evaluations", rows)?,
            shares,
            base,
        })
    }

    /// The outputs that it told of. Where a model of two classes adds up one number, that is of its second class.
    pub(crate) fn names(&self, target: &Target) -> Vec<String> {
        if self.outputs == target.names.len() {
            return target.names.clone();
        }
        target.names.last().cloned().into_iter().collect()
    }

    /// Who has shares: the players, or parts by their numbers.
    pub(crate) fn features(&self, players: &[String]) -> Vec<String> {
        if self.areas.is_none() && players.len() == self.players {
            return players.to_vec();
        }
        (0..self.players).map(|part| format!("part {part}")).collect()
    }

    /// Row by row; `served` holds all numbers of the output that is explained.
    pub(crate) fn rows(
        self,
        (target, is_additive): (&Target, bool),
        served: &[f64],
        values: Vec<Vec<Shown>>,
    ) -> Vec<RowExplanation> {
        let target = self.narrowed(target);
        let part = |values: &[f64], row: usize, each: usize| part(values, row, each).to_vec();
        let mut values = values.into_iter();
        let rows = (0..self.rows).map(|row| {
            let base = part(&self.base, row, self.outputs);
            let shares = part(&self.shares, row, self.players * self.outputs);
            let served = part(served, row, target.all);
            let sums = self.sums(&base, &shares);
            let output = match &self.output {
                Some(output) => part(output, row, self.outputs),
                // Who does not say what it explains has explained what was served, if that is in the same space.
                None => target.elements.iter().filter_map(|element| served.get(*element).copied()).collect(),
            };
            let additivity = (0..self.outputs).map(|at| {
                let shares = column(&shares, at, self.outputs);
                Additivity::of(base.get(at).copied().unwrap_or(0.0), shares, output.get(at).copied().unwrap_or(0.0))
            });
            RowExplanation {
                additivity: additivity.collect(),
                // Shares that are not meant to add up say nothing of the answer; what the method explains does.
                served: additivity::compare(&target, &served, if is_additive { &sums } else { &output }),
                values: values.next().unwrap_or_default(),
                areas: self.areas.as_ref().map(|all| areas(&part(all, row, self.players * 4))),
                heat: self.heat.as_ref().map(|((height, width), all)| {
                    let shares = part(all, row, height * width * self.outputs);
                    Arc::new(Heat { height: *height, width: *width, outputs: self.outputs, shares })
                }),
                // Who drew too few by chance to tell how far off he is says NaN.
                standard_errors: self
                    .standard_errors
                    .as_ref()
                    .map(|all| part(all, row, self.players * self.outputs))
                    .filter(|errors| errors.iter().all(|error| error.is_finite())),
                interactions: self
                    .interactions
                    .as_ref()
                    .map(|all| part(all, row, self.players * self.players * self.outputs)),
                evaluations: self.evaluations.as_ref().and_then(|all| all.get(row)).map(|count| {
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
                    let count = *count as u64;
                    count
                }),
                base,
                output,
                shares,
            }
        });
        rows.collect()
    }

    /// What the base and the shares of a row come to.
    fn sums(&self, base: &[f64], shares: &[f64]) -> Vec<f64> {
        let sum = |at| base.get(at).copied().unwrap_or(0.0) + column(shares, at, self.outputs).sum::<f64>();
        (0..self.outputs).map(sum).collect()
    }

    /// The target, where what reads the graph may have found no link in it: trees that vote probabilities add up what is
    /// served, and have no margin.
    pub(crate) fn settled(&self, target: Target, served: &[f64]) -> Target {
        if target.transform != Transform::Unknown {
            return target;
        }
        let narrowed = self.narrowed(&target);
        let is_served = |row: usize| {
            let base = part(&self.base, row, self.outputs);
            let sums = self.sums(base, part(&self.shares, row, self.players * self.outputs));
            let served = part(served, row, target.all);
            narrowed.elements.iter().zip(sums).all(|(at, sum)| served.get(*at).is_some_and(|own| agree(sum, *own)))
        };
        let is_probability = (0..self.rows).all(is_served);
        if is_probability { Target { space: Space::Probability, transform: Transform::Same, ..target } } else { target }
    }

    /// The target as far as it was told of.
    fn narrowed(&self, target: &Target) -> Target {
        let mut target = target.clone();
        if self.outputs < target.elements.len() {
            let from = target.elements.len() - self.outputs;
            target.elements.drain(..from);
            target.names.drain(..from);
        }
        target
    }
}

/// The share of each pixel, where a method tells it.
fn heat(answer: &[(String, Tensor)], rows: usize, outputs: usize) -> Result<Option<Pixels>> {
    let Some((_, tensor)) = answer.iter().find(|(name, _)| name == "heat") else { return Ok(None) };
    let sizes: Vec<usize> = tensor.shape().dims().iter().filter_map(|dim| usize::try_from(*dim).ok()).collect();
    match sizes.as_slice() {
        &[of_rows, height, width, of_outputs] if of_rows == rows && of_outputs == outputs => {
            Ok(named(answer, "heat")?.map(|values| ((height, width), values)))
        }
        _ => Err(wrong("gave 'heat' of another shape".to_owned())),
    }
}

/// Boxes from their numbers.
#[allow(clippy::cast_possible_truncation, reason = "places in an image")]
fn areas(numbers: &[f64]) -> Vec<[i64; 4]> {
    let boxes = numbers.chunks_exact(4).filter_map(|area| <[f64; 4]>::try_from(area).ok());
    boxes.map(|area| area.map(|number| number as i64)).collect()
}

/// Every `step`th value from `at`.
fn column(values: &[f64], at: usize, step: usize) -> impl Iterator<Item = f64> {
    values.iter().skip(at).step_by(step.max(1)).copied()
}

/// A base for each row and output, from one for all of them or for each output.
fn spread(base: Vec<f64>, rows: usize, outputs: usize) -> Option<Vec<f64>> {
    match base.len() {
        len if len == rows * outputs => Some(base),
        len if len == outputs => Some(base.repeat(rows)),
        1 => Some(base.repeat(rows * outputs)),
        len if len == rows => Some(base.into_iter().flat_map(|one| vec![one; outputs]).collect()),
        _ => None,
    }
}
