//! Tensors with their names in JSON, as `zoo.json` and the sample models' `golden.json` hold them.

use candor_domain::{BytesArray, Datatype, Shape, Tensor, TensorData};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTensor {
    name: String,
    datatype: String,
    shape: Vec<i64>,
    data: Vec<Element>,
}

/// Strings stand for themselves, and for the numbers that JSON lacks.
#[derive(Deserialize)]
#[serde(untagged)]
enum Element {
    Whole(i64),
    Number(f64),
    Text(String),
}

impl Element {
    const fn whole(&self) -> Option<i64> {
        match self {
            Self::Whole(number) => Some(*number),
            Self::Number(_) | Self::Text(_) => None,
        }
    }
}

impl RawTensor {
    /// Its name and itself.
    pub(crate) fn read(&self) -> Result<(String, Tensor), String> {
        let data = match Datatype::from_name(&self.datatype) {
            #[allow(clippy::cast_possible_truncation, reason = "written from a number of 32 bits")]
            Some(Datatype::Fp32) => TensorData::Fp32(self.numbers()?.into_iter().map(|number| number as f32).collect()),
            Some(Datatype::Fp64) => TensorData::Fp64(self.numbers()?),
            Some(Datatype::Int64) => TensorData::Int64(self.each(|element| element.whole())?),
            Some(Datatype::Int32) => {
                TensorData::Int32(self.each(|element| element.whole().and_then(|number| i32::try_from(number).ok()))?)
            }
            Some(Datatype::Bytes) => {
                let texts = self.each(|element| if let Element::Text(text) = element { Some(text) } else { None })?;
                TensorData::Bytes(texts.into_iter().collect::<BytesArray>())
            }
            Some(_) | None => return Err(format!("no JSON of ours holds tensors of {}", self.datatype)),
        };
        let shape = Shape::new(&self.shape).map_err(|error| error.to_string())?;
        let tensor = Tensor::new(shape, data).map_err(|error| format!("{}: {error}", self.name))?;
        Ok((self.name.clone(), tensor))
    }

    #[allow(clippy::cast_precision_loss, reason = "written from a float that happens to be whole")]
    fn numbers(&self) -> Result<Vec<f64>, String> {
        self.each(|element| match element {
            Element::Whole(number) => Some(*number as f64),
            Element::Number(number) => Some(*number),
            Element::Text(word) => word.parse().ok(),
        })
    }

    fn each<'a, T>(&'a self, read: impl Fn(&'a Element) -> Option<T>) -> Result<Vec<T>, String> {
        let wrong = || format!("{} holds an element that is not of its datatype", self.name);
        self.data.iter().map(|element| read(element).ok_or_else(wrong)).collect()
    }
}
