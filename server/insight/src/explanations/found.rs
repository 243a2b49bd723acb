//! What a search told that gives no shares, by name and as numbers: each tensor is turned into numbers once.
//!
//! Before it: `scene`, which asked. After it: `anchors` and `what_if`, which know what the names mean.

use candor_domain::{Error, ErrorCode, Result, Tensor};

use super::layout::{Words, numbers};

/// What was told.
pub(super) struct Found<'a> {
    component: &'static str,
    all: Vec<(&'a str, &'a Tensor, Vec<f64>)>,
}

impl<'a> Found<'a> {
    /// What this component told.
    pub(super) fn new(component: &'static str, tensors: &'a [(String, Tensor)]) -> Self {
        let all =
            tensors.iter().map(|(name, tensor)| (name.as_str(), tensor, numbers(tensor.data(), &mut Words::default())));
        Self { component, all: all.collect() }
    }

    fn wrong(&self, what: &str) -> Error {
        Error::new(ErrorCode::EngineFailed, format!("{} gave {what}", self.component))
    }

    fn get(&self, name: &str) -> Result<(&'a Tensor, &[f64])> {
        let found = self.all.iter().find(|(known, ..)| *known == name);
        let (_, tensor, values) = found.ok_or_else(|| self.wrong(&format!("no '{name}'")))?;
        Ok((tensor, values))
    }

    /// A tensor as it was told.
    pub(super) fn tensor(&self, name: &str) -> Result<&'a Tensor> {
        Ok(self.get(name)?.0)
    }

    /// Of `each` numbers for everything that was asked about, those at `index`.
    pub(super) fn part(&self, name: &str, each: usize, index: usize) -> Result<&[f64]> {
        let part = self.get(name)?.1.get(index * each..(index + 1) * each);
        part.ok_or_else(|| self.wrong(&format!("'{name}' of another shape")))
    }

    /// Of as many numbers for each of the rows, those of a row.
    pub(super) fn of_row(&self, name: &str, (row, rows): (usize, usize)) -> Result<&[f64]> {
        let values = self.get(name)?.1.len();
        if !values.is_multiple_of(rows.max(1)) {
            return Err(self.wrong(&format!("'{name}' of another shape")));
        }
        self.part(name, values / rows.max(1), row)
    }

    /// Of one number for everything that was asked about, that at `index`.
    pub(super) fn one(&self, name: &str, index: usize) -> Result<f64> {
        self.part(name, 1, index).map(|part| part.first().copied().unwrap_or(f64::NAN))
    }
}

#[cfg(test)]
mod tests {
    use candor_domain::{Shape, TensorData};

    use super::*;

    #[test]
    fn parts_are_found_and_what_does_not_fit_is_told_with_its_name() {
        let tensor = |numbers: Vec<f64>| {
            Tensor::new(Shape::new(&[i64::try_from(numbers.len()).unwrap()]).unwrap(), TensorData::Fp64(numbers))
                .unwrap()
        };
        let tensors =
            [("low".to_owned(), tensor(vec![1.0, 2.0, 3.0, 4.0])), ("found".to_owned(), tensor(vec![0.0, 1.0]))];
        let found = Found::new("candor.test", &tensors);
        assert_eq!(found.part("low", 2, 1).unwrap(), [3.0, 4.0]);
        assert_eq!(found.of_row("low", (0, 2)).unwrap(), [1.0, 2.0]);
        assert_eq!(found.one("found", 1).unwrap(), 1.0);
        assert_eq!(found.tensor("low").unwrap().data().len(), 4);
        for error in [
            found.part("low", 3, 1).unwrap_err(),
            found.of_row("low", (0, 3)).unwrap_err(),
            found.one("low", 4).unwrap_err(),
        ] {
            assert_eq!(
                (error.code(), error.to_string().contains("'low' of another shape")),
                (ErrorCode::EngineFailed, true)
            );
        }
        assert!(found.one("high", 0).unwrap_err().to_string().contains("candor.test gave no 'high'"));
    }
}
