//! Inputs that all components take, checked, and the host's model as the numeric rooms ask it.
//!
//! It does not know which component asks.

use crate::{Fault, Matrix, Model};
use candor_plugin_sdk::{Call, Error, Inputs, Model as Lent, Question as Asked, Result, Status, TensorView};

/// The error of a numeric room as the interface has it.
pub(crate) fn told(fault: Fault) -> Error {
    match fault {
        Fault::Invalid(what) => Error::invalid(what),
        Fault::Model(error) => {
            error.downcast::<Error>().map_or_else(|error| Error::internal(error.to_string()), |error| *error)
        }
    }
}

/// What may be configured as the most evaluations of the model for a row.
pub(crate) const EVALUATIONS_MAX: u64 = 1_000_000;
/// How many features a row may have: searches go through them one by one.
const FEATURES_MAX: usize = 2048;

/// What was asked.
pub(crate) struct Question<'c> {
    pub(crate) x: Matrix,
    inputs: Inputs<'c>,
}

impl<'c> Question<'c> {
    /// Reads `x`.
    pub(crate) fn of(asked: &Asked<'c>) -> Result<Self> {
        let x = matrix("x", &asked.x)?;
        if x.width() > FEATURES_MAX {
            let what = format!("`x` has {} features, and searches are for tables of at most {FEATURES_MAX}", x.width());
            return Err(Error::new(Status::Resource, what));
        }
        Ok(Self { x, inputs: asked.inputs })
    }

    /// The background, of rows as wide as those of `x`, with its weights (empty for 1 each).
    pub(crate) fn background(&self) -> Result<Option<(Matrix, Vec<f64>)>> {
        let Some(view) = self.inputs.get("background") else { return Ok(None) };
        let background = matrix("background", &view)?;
        if background.width() != self.x.width() {
            let (own, other) = (self.x.width(), background.width());
            return Err(Error::invalid(format!("`background` has {other} features and `x` has {own}")));
        }
        let weights = self.floats("weights")?.unwrap_or_default();
        if !weights.is_empty() && weights.len() != background.len() {
            let (weights, rows) = (weights.len(), background.len());
            return Err(Error::invalid(format!("`weights` has {weights} numbers for {rows} rows of `background`")));
        }
        if weights.iter().any(|weight| !weight.is_finite() || *weight < 0.0) {
            return Err(Error::invalid("`weights` has what is negative or no finite number"));
        }
        Ok(Some((background, weights)))
    }

    /// Numbers, if they were given.
    pub(crate) fn floats(&self, name: &str) -> Result<Option<Vec<f64>>> {
        self.inputs.get(name).map(|view| view.to_vec::<f64>()).transpose()
    }

    /// Integers, if they were given.
    pub(crate) fn integers(&self, name: &str) -> Result<Option<Vec<i64>>> {
        self.inputs.get(name).map(|view| view.to_vec::<i64>()).transpose()
    }

    /// One number that is not negative, if it was given.
    pub(crate) fn count(&self, name: &str) -> Result<Option<u64>> {
        let Some(numbers) = self.integers(name)? else { return Ok(None) };
        let number = if let [number] = numbers.as_slice() { u64::try_from(*number).ok() } else { None };
        number
            .map(Some)
            .ok_or_else(|| Error::invalid(format!("`{name}` is {numbers:?}, expected one number of 0 or more")))
    }

    /// One number, if it was given.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>> {
        match self.integers(name)?.as_deref() {
            None => Ok(None),
            Some([number]) => Ok(Some(*number)),
            Some(numbers) => Err(Error::invalid(format!("`{name}` has {} numbers, expected one", numbers.len()))),
        }
    }

    /// The seed, of any sign; 0 if none was given.
    pub(crate) fn seed(&self) -> Result<u64> {
        match self.integers("seed")?.as_deref() {
            None => Ok(0),
            Some([seed]) => Ok(seed.cast_unsigned()),
            Some(seeds) => Err(Error::invalid(format!("`seed` has {} numbers, expected one", seeds.len()))),
        }
    }

    /// Numbers of features, each there and given once.
    pub(crate) fn features(&self, name: &str) -> Result<Vec<usize>> {
        let mut features: Vec<usize> = Vec::new();
        for feature in self.integers(name)?.unwrap_or_default() {
            let found = usize::try_from(feature).ok().filter(|at| *at < self.x.width() && !features.contains(at));
            features.push(found.ok_or_else(|| {
                let last = self.x.width() - 1;
                Error::invalid(format!(
                    "`{name}` has the feature {feature} twice, or there is no such one; expected 0 to {last}"
                ))
            })?);
        }
        Ok(features)
    }

    /// The lent model for rows like those of `x`, of whose outputs those that were asked for are taken.
    pub(crate) fn model<'m>(&self, batch_rows: usize, call: &'m Call<'_>, lent: &'m Lent<'_>) -> Result<Model<'m>> {
        let wanted = self.integers("outputs")?;
        let width = self.x.width();
        let columns = i64::try_from(width).map_err(|_| Error::invalid("the rows are too wide"))?;
        let ask = move |rows: &[f64]| ask(call, lent, columns, rows, wanted.as_deref());
        Ok(Model::new(width, batch_rows, move |rows| ask(rows).map_err(|error| Fault::Model(Box::new(error)))))
    }
}

fn ask(call: &Call<'_>, lent: &Lent<'_>, columns: i64, rows: &[f64], wanted: Option<&[i64]>) -> Result<Vec<f64>> {
    call.check()?;
    let count = i64::try_from(rows.len()).unwrap_or(0) / columns;
    let answer = lent.predict("x", &[count, columns], rows)?;
    let y = answer.need("y")?;
    let outputs = match *y.shape() {
        [n] if n == count => 1,
        [n, outputs] if n == count => usize::try_from(outputs).unwrap_or(0),
        _ => return Err(Error::internal(format!("the model's answer has the shape {:?} for {count} rows", y.shape()))),
    };
    let numbers = y.to_vec::<f64>()?;
    let Some(wanted) = wanted else { return Ok(numbers) };
    let mut picked = Vec::with_capacity(wanted.len() * rows.len());
    for answer in numbers.chunks_exact(outputs.max(1)) {
        for output in wanted {
            let number = usize::try_from(*output).ok().and_then(|at| answer.get(at));
            picked.push(*number.ok_or_else(|| {
                Error::invalid(format!(
                    "`outputs` has {output}, and the model has outputs 0 to {}",
                    outputs.saturating_sub(1)
                ))
            })?);
        }
    }
    Ok(picked)
}

fn matrix(name: &str, view: &TensorView<'_>) -> Result<Matrix> {
    let &[_, width] = view.shape() else {
        return Err(Error::invalid(format!("`{name}` has the shape {:?}, expected rows and features", view.shape())));
    };
    let numbers = view.to_vec::<f64>()?;
    let matrix = Matrix::new(usize::try_from(width).unwrap_or(0), numbers);
    matrix.map_err(|fault| Error::invalid(format!("`{name}`: {fault}")))
}

/// A size as the interface has it.
pub(crate) fn dim(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// Writes an output of numbers.
pub(crate) fn write(call: &Call<'_>, name: &str, shape: &[usize], numbers: &[f64]) -> Result<()> {
    let shape: Vec<i64> = shape.iter().copied().map(dim).collect();
    let out = call.output::<f64>(name, &shape)?;
    if out.len() != numbers.len() {
        return Err(Error::internal(format!("`{name}` has {} numbers for the shape {shape:?}", numbers.len())));
    }
    out.copy_from_slice(numbers);
    Ok(())
}

/// Writes an output of integers.
pub(crate) fn write_integers(call: &Call<'_>, name: &str, shape: &[usize], numbers: &[i64]) -> Result<()> {
    let shape: Vec<i64> = shape.iter().copied().map(dim).collect();
    let out = call.output::<i64>(name, &shape)?;
    if out.len() != numbers.len() {
        return Err(Error::internal(format!("`{name}` has {} numbers for the shape {shape:?}", numbers.len())));
    }
    out.copy_from_slice(numbers);
    Ok(())
}
