//! Numbers of classes and their labels. Classes are numbered in the order in which the configuration has them.
//!
//! It does not know votes.

use candor_plugin_sdk::{Call, Error, Result, TensorView, abi::Dtype};
use serde::Deserialize;

use crate::members::dim;

/// The labels of classes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Classes {
    /// Numbers.
    Numbers(Vec<i64>),
    /// Words.
    Words(Vec<String>),
}

impl Classes {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Words(words) => words.len(),
        }
    }

    /// The datatype of labels.
    pub(crate) const fn datatype(classes: Option<&Self>) -> &'static str {
        match classes {
            Some(Self::Words(_)) => "BYTES",
            Some(Self::Numbers(_)) | None => "INT64",
        }
    }

    /// That no label stands twice, and that there are some.
    pub(crate) fn check(&self) -> Result<()> {
        let twice = match self {
            Self::Numbers(numbers) => first_twice(numbers).map(|number| number.to_string()),
            Self::Words(words) => first_twice(words).map(|word| format!("{word:?}")),
        };
        match twice {
            Some(label) => Err(Error::invalid(format!("`classes`: {label} stands twice"))),
            None if self.len() == 0 => Err(Error::invalid("`classes`: there are none")),
            None => Ok(()),
        }
    }

    fn unknown(member: usize, row: usize, label: &str) -> Error {
        Error::invalid(format!("`y_{member}` has the label {label} in row {row}, which is not in `classes`"))
    }

    /// The labels of an answer as numbers of classes; without classes, labels are numbers and stand for themselves.
    pub(crate) fn read(classes: Option<&Self>, view: &TensorView<'_>, member: usize) -> Result<Vec<i64>> {
        let (&[_] | &[_, 1]) = view.shape() else {
            let shape = view.shape();
            return Err(Error::invalid(format!(
                "`y_{member}` has the shape {shape:?}, expected one label for each row"
            )));
        };
        if let Some(Self::Words(words)) = classes {
            let class = |(row, word): (usize, &[u8])| {
                let at = words.iter().position(|known| known.as_bytes() == word);
                at.ok_or_else(|| Self::unknown(member, row, &format!("{:?}", String::from_utf8_lossy(word))))
                    .and_then(dim)
            };
            return view.strings()?.enumerate().map(class).collect();
        }
        let labels = if view.dtype() == Dtype::I32 {
            view.to_vec::<i32>()?.into_iter().map(i64::from).collect()
        } else if view.dtype() == Dtype::STR {
            return Err(Error::invalid(format!("`y_{member}` has labels that are words; they need `classes`")));
        } else {
            view.to_vec::<i64>()?
        };
        let Some(Self::Numbers(numbers)) = classes else { return Ok(labels) };
        let class = |(row, label): (usize, i64)| {
            let at = numbers.iter().position(|known| *known == label);
            at.ok_or_else(|| Self::unknown(member, row, &label.to_string())).and_then(dim)
        };
        labels.into_iter().enumerate().map(class).collect()
    }

    /// Writes `y`: the labels of these classes.
    pub(crate) fn write(classes: Option<&Self>, call: &Call<'_>, of: &[i64]) -> Result<()> {
        let shape = [dim(of.len())?];
        let at = |class: i64| usize::try_from(class).unwrap_or(usize::MAX);
        let gone = || Error::internal("a class without a label");
        match classes {
            Some(Self::Words(words)) => {
                let labels: Option<Vec<&str>> =
                    of.iter().map(|&class| words.get(at(class)).map(String::as_str)).collect();
                call.output_strings("y", &shape, &labels.ok_or_else(gone)?)
            }
            Some(Self::Numbers(numbers)) => {
                for (out, &class) in call.output::<i64>("y", &shape)?.iter_mut().zip(of) {
                    *out = numbers.get(at(class)).copied().ok_or_else(gone)?;
                }
                Ok(())
            }
            None => {
                call.output::<i64>("y", &shape)?.copy_from_slice(of);
                Ok(())
            }
        }
    }
}

fn first_twice<T: Ord>(labels: &[T]) -> Option<&T> {
    let mut sorted: Vec<&T> = labels.iter().collect();
    sorted.sort_unstable();
    sorted.windows(2).find_map(|pair| match pair {
        [one, other] if one == other => Some(*one),
        _ => None,
    })
}
