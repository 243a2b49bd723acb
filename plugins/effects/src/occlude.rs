//! Occlusion: how the answer changes when a part is covered, answer(row) − answer(row with the part covered).
//!
//! Zeiler & Fergus 2014, "Visualizing and understanding convolutional networks". Before it come parts, each a list of
//! features, and what covers them; after it their shares, which need not sum to anything. It does not know images.

use crate::{Model, Result};

/// The shares of one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Covered {
    /// Parts, outputs.
    pub attributions: Vec<f64>,
    /// The answer with all parts covered.
    pub base: Vec<f64>,
    /// The answer for the row.
    pub output: Vec<f64>,
}

/// Covers each part with what `cover` has there.
///
/// # Errors
/// `Limit`, and what the model said.
pub fn occlusion(model: &mut Model<'_>, row: &[f64], cover: &[f64], parts: &[Vec<usize>]) -> Result<Covered> {
    let put = |out: &mut [f64], features: &[usize]| {
        for &feature in features {
            if let (Some(out), Some(cover)) = (out.get_mut(feature), cover.get(feature)) {
                *out = *cover;
            }
        }
    };
    // The row, the row with everything covered, then one part after another.
    let answers = model.all(parts.len() + 2, |at, out| {
        out.copy_from_slice(row);
        match at {
            0 => {}
            1 => parts.iter().for_each(|part| put(out, part)),
            _ => put(out, parts.get(at - 2).map(Vec::as_slice).unwrap_or_default()),
        }
    })?;
    let outputs = model.outputs();
    let (output, rest) = answers.split_at(outputs);
    let (base, covered) = rest.split_at(outputs);
    let fall = |answer: &[f64]| -> Vec<f64> { output.iter().zip(answer).map(|(whole, less)| whole - less).collect() };
    let attributions = covered.chunks_exact(outputs.max(1)).flat_map(fall).collect();
    Ok(Covered { attributions, base: base.to_vec(), output: output.to_vec() })
}
