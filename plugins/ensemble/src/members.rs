//! The members' answers: which there are, read as numbers or labels, and held to the same rows.
//!
//! It does not know what is made of them.

use candor_plugin_sdk::{Call, Element, Error, Inputs, Port, Result, TensorView, abi::Dtype};
use serde::Deserialize;

/// Most members.
const MEMBERS_MAX: usize = 256;

/// The type of numbers that are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[allow(missing_docs, reason = "the usual words")]
pub enum Datatype {
    #[default]
    #[serde(rename = "FP32")]
    Fp32,
    #[serde(rename = "FP64")]
    Fp64,
}

impl Datatype {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
        }
    }

    /// Writes an output of numbers.
    #[allow(clippy::cast_possible_truncation, reason = "the nearest one is meant")]
    pub(crate) fn write(self, call: &Call<'_>, name: &str, shape: &[i64], numbers: &[f64]) -> Result<()> {
        match self {
            Self::Fp32 => {
                for (out, &number) in call.output::<f32>(name, shape)?.iter_mut().zip(numbers) {
                    *out = number as f32;
                }
            }
            Self::Fp64 => {
                for (out, &number) in call.output::<f64>(name, shape)?.iter_mut().zip(numbers) {
                    *out = number;
                }
            }
        }
        Ok(())
    }
}

/// How many members there are, and how much each counts.
pub struct Members {
    /// `y_0`, `y_1` and so on; empty if the configuration does not say how many.
    names: Vec<String>,
    weights: Option<Vec<f64>>,
}

impl Members {
    /// Of a configuration. Weights must be finite, and those that are divided by their sum not negative.
    pub(crate) fn new(members: Option<usize>, weights: Option<Vec<f64>>, shares: bool) -> Result<Self> {
        let wrong = |what: &str| Err(Error::invalid(format!("`weights`: {what}")));
        if let Some(weights) = &weights {
            if weights.is_empty() {
                return wrong("there are none");
            }
            if members.is_some_and(|members| members != weights.len()) {
                return wrong(&format!("there are {} for {} members", weights.len(), members.unwrap_or(0)));
            }
            if !weights.iter().all(|weight| weight.is_finite()) {
                return wrong("one is no finite number");
            }
            if shares && !weights.iter().all(|weight| *weight >= 0.0) {
                return wrong("one is negative");
            }
            let sum: f64 = weights.iter().sum();
            if shares && !(sum > 0.0 && sum.is_finite()) {
                return wrong(&format!("their sum is {sum}"));
            }
        }
        let count = members.or(weights.as_ref().map(Vec::len)).unwrap_or(0);
        if members == Some(0) || count > MEMBERS_MAX {
            return Err(Error::invalid(format!("there are {count} members; expected 1 to {MEMBERS_MAX}")));
        }
        Ok(Self { names: (0..count).map(name).collect(), weights })
    }

    /// One port for each member.
    pub(crate) fn ports(&self, datatype: &str, shape: &[i64]) -> Result<Vec<Port>> {
        if self.names.is_empty() {
            return Err(Error::unsupported("the configuration does not say how many `members` there are"));
        }
        Ok(self.names.iter().map(|name| Port::new(name, datatype, shape)).collect())
    }

    /// How much a member counts.
    pub(crate) fn weight(&self, member: usize) -> f64 {
        self.weights.as_ref().map_or(1.0, |weights| weights.get(member).copied().unwrap_or(0.0))
    }

    /// The answers, in the members' order.
    pub(crate) fn answers<'c>(&self, inputs: &Inputs<'c>) -> Result<Vec<TensorView<'c>>> {
        let came = inputs.iter().filter(|input| input.name().is_ok_and(is_member)).count();
        if !self.names.is_empty() && came != self.names.len() {
            return Err(Error::invalid(format!("{came} answers came, expected {}", self.names.len())));
        }
        if came > MEMBERS_MAX {
            return Err(Error::invalid(format!("{came} answers came; at most {MEMBERS_MAX} can be combined")));
        }
        (0..came.max(1)).map(|member| inputs.need(&name(member))).collect()
    }
}

fn name(member: usize) -> String {
    format!("y_{member}")
}

fn is_member(name: &str) -> bool {
    name.strip_prefix("y_").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// An answer, or another input, as rows of numbers.
pub struct Rows {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) numbers: Vec<f64>,
}

impl Rows {
    /// Of a shape `[rows]` or `[rows, columns]`.
    pub(crate) fn of(view: &TensorView<'_>) -> Result<Self> {
        let (rows, columns) = match *view.shape() {
            [rows] => (rows, 1),
            [rows, columns] => (rows, columns),
            ref shape => {
                let name = view.name()?;
                return Err(Error::invalid(format!(
                    "`{name}` has the shape {shape:?}, expected rows, or rows and columns"
                )));
            }
        };
        let cannot = |_| Error::invalid("a shape cannot be");
        let (rows, columns) = (usize::try_from(rows).map_err(cannot)?, usize::try_from(columns).map_err(cannot)?);
        Ok(Self { rows, columns, numbers: numbers(view)? })
    }

    pub(crate) fn row(&self, row: usize) -> &[f64] {
        let start = row.saturating_mul(self.columns);
        self.numbers.get(start..start.saturating_add(self.columns)).unwrap_or_default()
    }

    /// The column of the largest number of a row; the first of several. NaN is an error: nobody can say where it stands.
    pub(crate) fn largest(&self, row: usize, name: &str) -> Result<usize> {
        largest(self.row(row)).ok_or_else(|| Error::invalid(format!("`{name}` has no largest number in row {row}")))
    }
}

/// The place of the largest number; the first of several, and none if one is NaN.
pub fn largest(numbers: &[f64]) -> Option<usize> {
    let mut best = None;
    for (at, &number) in numbers.iter().enumerate() {
        if number.is_nan() {
            return None;
        }
        if best.is_none_or(|(_, largest)| number > largest) {
            best = Some((at, number));
        }
    }
    best.map(|(at, _)| at)
}

/// The elements in C order, whatever numbers they are.
pub fn numbers(view: &TensorView<'_>) -> Result<Vec<f64>> {
    let dtype = view.dtype();
    if dtype == Dtype::F32 {
        read::<f32>(view, f64::from)
    } else if dtype == Dtype::F64 {
        view.to_vec::<f64>()
    } else if dtype == Dtype::I64 {
        #[allow(clippy::cast_precision_loss, reason = "features above 2^53 are rounded, as in NumPy")]
        read::<i64>(view, |number| number as f64)
    } else if dtype == Dtype::I32 {
        read::<i32>(view, f64::from)
    } else if dtype == Dtype::U8 {
        read::<u8>(view, f64::from)
    } else {
        let name = view.name()?;
        Err(Error::invalid(format!("`{name}` has elements that are no FP32, FP64, INT64, INT32 or UINT8")))
    }
}

fn read<T: Element>(view: &TensorView<'_>, of: impl Fn(T) -> f64) -> Result<Vec<f64>> {
    Ok(view.to_vec::<T>()?.into_iter().map(of).collect())
}

/// The number of rows and columns as a shape has them.
pub fn dim(size: usize) -> Result<i64> {
    i64::try_from(size).map_err(|_| Error::invalid("there are too many rows"))
}

/// That every answer has so many rows.
pub fn same_rows(rows: usize, expected: usize, member: usize) -> Result<()> {
    if rows == expected {
        return Ok(());
    }
    Err(Error::invalid(format!("`{}` has {rows} rows and `y_0` has {expected}", name(member))))
}
