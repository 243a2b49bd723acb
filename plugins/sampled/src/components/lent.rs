//! The host's model as the methods want it: a function that appends numbers.
//!
//! It looks whether anybody still waits before each batch, and picks the outputs to explain. It does not know the
//! methods.

use candor_plugin_sdk::{Call, Error, Inputs, Model, Result};

use crate::model::{Asker, Failure};

/// Runs a method with the host's model; what the model says goes before what the method says of it.
pub fn with<T>(
    call: &Call<'_>,
    model: &Model<'_>,
    outputs: Option<&[usize]>,
    (features, batch_rows_max): (usize, usize),
    method: impl FnOnce(&mut Asker<'_>) -> std::result::Result<T, Failure>,
) -> Result<T> {
    let mut said = None;
    let mut ask = |rows: &[f64], answers: &mut Vec<f64>| {
        answer(call, model, outputs, features, rows, answers).map_err(|error| {
            said = Some(error);
            Failure::Model
        })
    };
    let done = method(&mut Asker::new(&mut ask, features, batch_rows_max));
    done.map_err(|failure| match failure {
        Failure::Model => said.unwrap_or_else(|| Error::internal("the model failed and nobody said how")),
        Failure::Wrong(what) => Error::invalid(what),
    })
}

fn answer(
    call: &Call<'_>,
    model: &Model<'_>,
    outputs: Option<&[usize]>,
    features: usize,
    rows: &[f64],
    answers: &mut Vec<f64>,
) -> Result<()> {
    call.check()?;
    let count = rows.len() / features;
    let size = |size: usize| i64::try_from(size).map_err(|_| Error::invalid("there are too many rows"));
    let given: Inputs<'_> = model.predict("x", &[size(count)?, size(features)?], rows)?;
    let y = given.need("y")?;
    let wide = match *y.shape() {
        [rows] if size(count)? == rows => 1,
        [rows, wide] if size(count)? == rows && wide > 0 => wide,
        ref shape => {
            return Err(Error::invalid(format!(
                "the model gave `y` of the shape {shape:?} for {count} rows; expected [{count}, outputs]"
            )));
        }
    };
    let wide = usize::try_from(wide).map_err(|_| Error::invalid("`y` has a shape that cannot be"))?;
    let copied;
    let y = if y.is_contiguous() {
        y.slice::<f64>()?
    } else {
        copied = y.to_vec::<f64>()?;
        &copied
    };
    match outputs {
        None => answers.extend_from_slice(y),
        Some([]) => return Err(Error::invalid("`outputs` is empty; leave it out for all of them")),
        Some(outputs) => {
            if let Some(odd) = outputs.iter().find(|&&output| output >= wide) {
                return Err(Error::invalid(format!(
                    "`outputs` has {odd} and the model has {wide} outputs, numbered from 0"
                )));
            }
            for row in y.chunks_exact(wide) {
                answers.extend(outputs.iter().filter_map(|&output| row.get(output)));
            }
        }
    }
    Ok(())
}
