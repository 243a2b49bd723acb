//! Features as numbers: the tensors of a version to one matrix, and back.
//!
//! A row of the matrix is the rows of all inputs behind each other, so that features stand in the version's own order.
//! Numbers become `f64`, which holds every datatype but whole numbers beyond 2⁵³ exactly; a missing value is NaN; texts
//! become codes into a list of words. What explainers make of a row goes back the same way, whole numbers rounded.

use std::collections::HashMap;

use candor_domain::{BytesArray, Datatype, Error, ErrorCode, Result, Shape, Tensor, TensorData};
use half::{bf16, f16};

use super::{About, FeatureNote, Kind, Placed, subject::RowsAtOnce};

/// Rows of numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Matrix {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) data: Vec<f64>,
}

impl Matrix {
    /// A row.
    pub(crate) fn row(&self, row: usize) -> &[f64] {
        let start = row.saturating_mul(self.columns);
        self.data.get(start..start.saturating_add(self.columns)).unwrap_or_default()
    }
}

/// Texts by code.
#[derive(Debug, Default)]
pub(crate) struct Words {
    pub(crate) texts: Vec<Box<[u8]>>,
    codes: HashMap<Box<[u8]>, usize>,
}

impl Words {
    /// The code of a text, a new one if it has none.
    pub(crate) fn code(&mut self, text: &[u8]) -> f64 {
        let next = self.texts.len();
        let code = *self.codes.entry(text.into()).or_insert(next);
        if code == next {
            self.texts.push(text.into());
        }
        code as f64
    }

    /// The text of a code.
    pub(crate) fn text(&self, code: f64) -> Option<&[u8]> {
        (code >= -0.5).then(|| self.texts.get(code.round() as usize)).flatten().map(|text| &**text)
    }
}

/// Where the elements of a row of each input are in a row of the matrix.
#[derive(Debug)]
pub(crate) struct Layout {
    inputs: Vec<Laid>,
    /// Numbers of a row.
    pub(crate) columns: usize,
}

/// One input.
#[derive(Debug)]
struct Laid {
    name: String,
    datatype: Datatype,
    /// Dimensions of a row.
    dims: Vec<i64>,
    first: usize,
    elements: usize,
}

impl Layout {
    /// The layout of rows such as these.
    ///
    /// # Errors
    /// `Unsupported` for inputs without rows, `TooLarge` for more numbers than may be.
    pub(crate) fn of(about: &About, inputs: &[Tensor], columns_max: usize) -> Result<Self> {
        if about.rows_at_once == RowsAtOnce::None {
            let what = "the inputs of this model do not fall apart into rows, so that nothing can stand for \"absent\"";
            return Err(Error::new(ErrorCode::Unsupported, what));
        }
        let mut columns = 0_usize;
        let mut laid = Vec::with_capacity(inputs.len());
        for (spec, tensor) in about.signature.inputs.iter().zip(inputs) {
            let dims = tensor.shape().dims().get(1..).unwrap_or_default().to_vec();
            let elements =
                dims.iter().fold(1, |all: usize, &dim| all.saturating_mul(usize::try_from(dim).unwrap_or(0)));
            let (name, datatype) = (spec.name.to_string(), tensor.datatype());
            laid.push(Laid { name, datatype, dims, first: columns, elements });
            columns = columns.saturating_add(elements);
        }
        if columns > columns_max {
            return Err(Error::new(ErrorCode::TooLarge, "a row of this model has too many numbers to explain each")
                .at("explanations.features_max")
                .expected(format!("at most {columns_max}"))
                .got(columns.to_string()));
        }
        Ok(Self { inputs: laid, columns })
    }

    /// The columns of a feature.
    pub(crate) fn columns_of(&self, feature: &FeatureNote) -> std::ops::Range<usize> {
        let Some(laid) = self.inputs.get(feature.input) else { return 0..0 };
        match feature.place {
            Placed::Column(column) => laid.first + column..laid.first + column + 1,
            Placed::Whole => laid.first..laid.first + laid.elements,
        }
    }

    /// Dimensions of a row of the input that a feature belongs to.
    pub(crate) fn dims_of(&self, feature: &FeatureNote) -> &[i64] {
        self.inputs.get(feature.input).map_or(&[], |laid| &laid.dims)
    }

    /// The columns that hold codes.
    pub(crate) fn textual(&self) -> Vec<i64> {
        let texts = self.inputs.iter().filter(|laid| Kind::of(laid.datatype) == Kind::Text);
        texts.flat_map(|laid| laid.first..laid.first + laid.elements).filter_map(|at| i64::try_from(at).ok()).collect()
    }

    /// Tensors as a matrix.
    ///
    /// # Errors
    /// `InvalidInput` when rows are of another shape than those that the layout was made for.
    pub(crate) fn encode(&self, inputs: &[Tensor], words: &mut Words) -> Result<Matrix> {
        let rows = rows_of(inputs);
        let mut data = vec![0.0; rows.saturating_mul(self.columns)];
        for (laid, tensor) in self.inputs.iter().zip(inputs) {
            let dims = tensor.shape().dims();
            if tensor.datatype() != laid.datatype || dims.get(1..) != Some(&laid.dims) || laid.rows(tensor) != rows {
                return Err(Error::invalid(format!("rows of '{}' have other shapes than those to explain", laid.name))
                    .expected(format!("{} {:?}", laid.datatype, laid.dims))
                    .got(format!("{} {}", tensor.datatype(), tensor.shape())));
            }
            let numbers = numbers(tensor.data(), words);
            let rows = data.chunks_exact_mut(self.columns.max(1)).zip(numbers.chunks_exact(laid.elements.max(1)));
            for (row, own) in rows {
                let place = row.get_mut(laid.first..laid.first + laid.elements);
                place.unwrap_or_default().iter_mut().zip(own).for_each(|(slot, number)| *slot = *number);
            }
        }
        Ok(Matrix { rows, columns: self.columns, data })
    }

    /// Rows of a matrix as tensors, the last one repeated up to `padded` rows.
    ///
    /// # Errors
    /// `InvalidInput` for a value that the input cannot have.
    pub(crate) fn decode(&self, data: &[f64], padded: usize, words: &Words) -> Result<Vec<Tensor>> {
        let columns = self.columns.max(1);
        let rows = data.len() / columns;
        let made = self.inputs.iter().map(|laid| {
            let row = |row: usize| {
                let start = row.min(rows.saturating_sub(1)) * columns + laid.first;
                data.get(start..start + laid.elements).unwrap_or_default()
            };
            let mut values = Vec::with_capacity(padded.saturating_mul(laid.elements));
            (0..padded).for_each(|at| values.extend_from_slice(row(at)));
            let dims: Vec<i64> =
                std::iter::once(i64::try_from(padded).unwrap_or(i64::MAX)).chain(laid.dims.iter().copied()).collect();
            let data = elements(laid.datatype, &values, words).map_err(|what| {
                Error::invalid(format!("the explainer put a value into '{}' that it cannot have: {what}", laid.name))
            })?;
            Tensor::new(Shape::new(&dims)?, data)
        });
        made.collect()
    }
}

impl Laid {
    fn rows(&self, tensor: &Tensor) -> usize {
        tensor.data().len() / self.elements.max(1)
    }
}

/// How many rows inputs have.
pub(crate) fn rows_of(inputs: &[Tensor]) -> usize {
    let first = inputs.first().and_then(|tensor| tensor.shape().dims().first());
    first.and_then(|rows| usize::try_from(*rows).ok()).unwrap_or(0)
}

/// Elements as numbers, texts as codes.
pub(crate) fn numbers(data: &TensorData, words: &mut Words) -> Vec<f64> {
    fn cast<T: Copy>(values: &[T], number: impl Fn(T) -> f64) -> Vec<f64> {
        values.iter().map(|value| number(*value)).collect()
    }
    match data {
        TensorData::Bool(values) | TensorData::Uint8(values) => cast(values, f64::from),
        TensorData::Uint16(values) => cast(values, f64::from),
        TensorData::Uint32(values) => cast(values, f64::from),
        #[allow(clippy::cast_precision_loss, reason = "said in this file's first lines")]
        TensorData::Uint64(values) => cast(values, |value| value as f64),
        TensorData::Int8(values) => cast(values, f64::from),
        TensorData::Int16(values) => cast(values, f64::from),
        TensorData::Int32(values) => cast(values, f64::from),
        #[allow(clippy::cast_precision_loss, reason = "said in this file's first lines")]
        TensorData::Int64(values) => cast(values, |value| value as f64),
        TensorData::Fp16(bits) => cast(bits, |bits| f16::from_bits(bits).to_f64()),
        TensorData::Bf16(bits) => cast(bits, |bits| bf16::from_bits(bits).to_f64()),
        TensorData::Fp32(values) => cast(values, f64::from),
        TensorData::Fp64(values) => values.clone(),
        TensorData::Bytes(texts) => texts.iter().map(|text| words.code(text)).collect(),
    }
}

/// Numbers as elements of a datatype; whole numbers are rounded to the nearest that there is.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "casts of floats saturate, as is wanted here"
)]
fn elements(datatype: Datatype, values: &[f64], words: &Words) -> Result<TensorData, &'static str> {
    macro_rules! whole {
        ($variant:ident, $type:ty) => {{
            if values.iter().any(|value| value.is_nan()) {
                return Err("a whole number cannot be missing");
            }
            TensorData::$variant(values.iter().map(|value| value.round() as $type).collect())
        }};
    }
    Ok(match datatype {
        Datatype::Bool => TensorData::Bool(values.iter().map(|value| u8::from(*value >= 0.5)).collect()),
        Datatype::Uint8 => whole!(Uint8, u8),
        Datatype::Uint16 => whole!(Uint16, u16),
        Datatype::Uint32 => whole!(Uint32, u32),
        Datatype::Uint64 => whole!(Uint64, u64),
        Datatype::Int8 => whole!(Int8, i8),
        Datatype::Int16 => whole!(Int16, i16),
        Datatype::Int32 => whole!(Int32, i32),
        Datatype::Int64 => whole!(Int64, i64),
        Datatype::Fp16 => TensorData::Fp16(values.iter().map(|value| f16::from_f64(*value).to_bits()).collect()),
        Datatype::Bf16 => TensorData::Bf16(values.iter().map(|value| bf16::from_f64(*value).to_bits()).collect()),
        Datatype::Fp32 => TensorData::Fp32(values.iter().map(|value| *value as f32).collect()),
        Datatype::Fp64 => TensorData::Fp64(values.to_vec()),
        Datatype::Bytes => {
            let mut texts = BytesArray::with_capacity(values.len());
            for value in values {
                texts.push(words.text(*value).ok_or("there is no text of this code")?);
            }
            TensorData::Bytes(texts)
        }
    })
}
