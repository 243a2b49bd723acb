//! Tensors: a datatype, a shape and owned row-major data.
//!
//! Numbers are little-endian in memory wherever Candor runs (checked at compile time), so the bytes of a
//! tensor are its wire form. This module does not know JSON nor any engine's types.

use std::fmt;

use crate::error::{Error, Result};

#[cfg(target_endian = "big")]
compile_error!("tensors travel as little-endian bytes; big-endian machines are not supported");

/// Element type, by its Open Inference Protocol name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants are the protocol's own words")]
pub enum Datatype {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Bf16,
    Fp32,
    Fp64,
    Bytes,
}

impl Datatype {
    /// Every datatype.
    pub const ALL: [Self; 14] = [
        Self::Bool,
        Self::Uint8,
        Self::Uint16,
        Self::Uint32,
        Self::Uint64,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Fp16,
        Self::Bf16,
        Self::Fp32,
        Self::Fp64,
        Self::Bytes,
    ];

    /// The protocol's name, such as `FP32`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Uint8 => "UINT8",
            Self::Uint16 => "UINT16",
            Self::Uint32 => "UINT32",
            Self::Uint64 => "UINT64",
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Fp16 => "FP16",
            Self::Bf16 => "BF16",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Bytes => "BYTES",
        }
    }

    /// Reads the protocol's name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|datatype| datatype.name() == name)
    }

    /// Bytes of one element; `None` for [`Datatype::Bytes`], whose elements differ in length.
    #[must_use]
    pub const fn element_bytes(self) -> Option<usize> {
        match self {
            Self::Bool | Self::Uint8 | Self::Int8 => Some(1),
            Self::Uint16 | Self::Int16 | Self::Fp16 | Self::Bf16 => Some(2),
            Self::Uint32 | Self::Int32 | Self::Fp32 => Some(4),
            Self::Uint64 | Self::Int64 | Self::Fp64 => Some(8),
            Self::Bytes => None,
        }
    }
}

impl fmt::Display for Datatype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Most dimensions that a tensor may have. Shapes are stored inline, so this is fixed.
pub const RANK_MAX: usize = 8;

/// Sizes of a tensor's dimensions, outermost first; none negative; the product fits in `usize`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    rank: u8,
    dims: [i64; RANK_MAX],
}

impl Shape {
    /// A shape from its dimensions.
    ///
    /// # Errors
    /// `InvalidInput` for a negative dimension, more than [`RANK_MAX`] dimensions, or a product that
    /// does not fit in an `i64`.
    pub fn new(dims: &[i64]) -> Result<Self> {
        let mut shape = Self { rank: 0, dims: [0; RANK_MAX] };
        if dims.len() > RANK_MAX {
            return Err(Error::invalid("the tensor has too many dimensions")
                .expected(format!("at most {RANK_MAX}"))
                .got(dims.len().to_string()));
        }
        let mut product: i64 = 1;
        for (slot, &dim) in shape.dims.iter_mut().zip(dims) {
            if dim < 0 {
                return Err(Error::invalid("a dimension is negative")
                    .expected("sizes of 0 or more; −1 stands for \"any\" only in metadata")
                    .got(format!("{dims:?}")));
            }
            product = product
                .checked_mul(dim.max(1))
                .ok_or_else(|| Error::invalid("the shape's element count overflows").got(format!("{dims:?}")))?;
            *slot = dim;
            shape.rank += 1;
        }
        Ok(shape)
    }

    /// The dimensions, outermost first.
    #[must_use]
    pub fn dims(&self) -> &[i64] {
        self.dims.get(..usize::from(self.rank)).unwrap_or_default()
    }

    /// Number of dimensions.
    #[must_use]
    pub fn rank(&self) -> usize {
        usize::from(self.rank)
    }

    /// Number of elements: the product of the dimensions, 1 for a scalar.
    #[must_use]
    pub fn elements(&self) -> usize {
        // Cannot overflow: `new` has multiplied the same numbers.
        self.dims()
            .iter()
            .fold(1_usize, |product, &dim| product.saturating_mul(usize::try_from(dim).unwrap_or(usize::MAX)))
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.dims(), f)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.dims(), f)
    }
}

/// Elements of arbitrary bytes, kept in one buffer with the end of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BytesArray {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl BytesArray {
    /// An empty array with room for `elements`.
    #[must_use]
    pub fn with_capacity(elements: usize) -> Self {
        Self { bytes: Vec::new(), ends: Vec::with_capacity(elements) }
    }

    /// Appends one element.
    pub fn push(&mut self, element: &[u8]) {
        self.bytes.extend_from_slice(element);
        self.ends.push(self.bytes.len());
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The element at `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.bytes.get(start..end)
    }

    /// Bytes of all elements together.
    #[must_use]
    pub fn total_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The elements in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let element = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            element
        })
    }
}

impl<T: AsRef<[u8]>> FromIterator<T> for BytesArray {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        let elements = elements.into_iter();
        let mut array = Self::with_capacity(elements.size_hint().0);
        for element in elements {
            array.push(element.as_ref());
        }
        array
    }
}

/// Typed, owned elements in row-major order. Half-precision numbers are kept as their bits.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the variants are the protocol's own words")]
pub enum TensorData {
    /// Each byte is 0 or 1.
    Bool(Vec<u8>),
    Uint8(Vec<u8>),
    Uint16(Vec<u16>),
    Uint32(Vec<u32>),
    Uint64(Vec<u64>),
    Int8(Vec<i8>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Fp16(Vec<u16>),
    Bf16(Vec<u16>),
    Fp32(Vec<f32>),
    Fp64(Vec<f64>),
    Bytes(BytesArray),
}

/// Runs the same expression on the vector of whichever variant is there.
#[macro_export]
macro_rules! for_each_datatype {
    ($data:expr, $vector:ident => $body:expr) => {
        match $data {
            $crate::TensorData::Bool($vector) => $body,
            $crate::TensorData::Uint8($vector) => $body,
            $crate::TensorData::Uint16($vector) => $body,
            $crate::TensorData::Uint32($vector) => $body,
            $crate::TensorData::Uint64($vector) => $body,
            $crate::TensorData::Int8($vector) => $body,
            $crate::TensorData::Int16($vector) => $body,
            $crate::TensorData::Int32($vector) => $body,
            $crate::TensorData::Int64($vector) => $body,
            $crate::TensorData::Fp16($vector) => $body,
            $crate::TensorData::Bf16($vector) => $body,
            $crate::TensorData::Fp32($vector) => $body,
            $crate::TensorData::Fp64($vector) => $body,
            $crate::TensorData::Bytes($vector) => $body,
        }
    };
}

impl TensorData {
    /// The element type.
    #[must_use]
    pub const fn datatype(&self) -> Datatype {
        match self {
            Self::Bool(_) => Datatype::Bool,
            Self::Uint8(_) => Datatype::Uint8,
            Self::Uint16(_) => Datatype::Uint16,
            Self::Uint32(_) => Datatype::Uint32,
            Self::Uint64(_) => Datatype::Uint64,
            Self::Int8(_) => Datatype::Int8,
            Self::Int16(_) => Datatype::Int16,
            Self::Int32(_) => Datatype::Int32,
            Self::Int64(_) => Datatype::Int64,
            Self::Fp16(_) => Datatype::Fp16,
            Self::Bf16(_) => Datatype::Bf16,
            Self::Fp32(_) => Datatype::Fp32,
            Self::Fp64(_) => Datatype::Fp64,
            Self::Bytes(_) => Datatype::Bytes,
        }
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        for_each_datatype!(self, vector => vector.len())
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Zeros (empty byte strings for [`Datatype::Bytes`]).
    #[must_use]
    pub fn zeros(datatype: Datatype, elements: usize) -> Self {
        match datatype {
            Datatype::Bool => Self::Bool(vec![0; elements]),
            Datatype::Uint8 => Self::Uint8(vec![0; elements]),
            Datatype::Uint16 => Self::Uint16(vec![0; elements]),
            Datatype::Uint32 => Self::Uint32(vec![0; elements]),
            Datatype::Uint64 => Self::Uint64(vec![0; elements]),
            Datatype::Int8 => Self::Int8(vec![0; elements]),
            Datatype::Int16 => Self::Int16(vec![0; elements]),
            Datatype::Int32 => Self::Int32(vec![0; elements]),
            Datatype::Int64 => Self::Int64(vec![0; elements]),
            Datatype::Fp16 => Self::Fp16(vec![0; elements]),
            Datatype::Bf16 => Self::Bf16(vec![0; elements]),
            Datatype::Fp32 => Self::Fp32(vec![0.0; elements]),
            Datatype::Fp64 => Self::Fp64(vec![0.0; elements]),
            Datatype::Bytes => Self::Bytes((0..elements).map(|_| b"").collect()),
        }
    }
}

/// A shape and exactly as many elements.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    shape: Shape,
    data: TensorData,
}

impl Tensor {
    /// A tensor of `shape` over `data`.
    ///
    /// # Errors
    /// `InvalidInput` when the number of elements is not the product of the dimensions.
    pub fn new(shape: Shape, data: TensorData) -> Result<Self> {
        if shape.elements() == data.len() {
            return Ok(Self { shape, data });
        }
        Err(Error::invalid("the number of elements does not fit the shape")
            .expected(format!("{} elements for shape {shape}", shape.elements()))
            .got(format!("{} elements", data.len())))
    }

    /// A tensor without elements, to stand where another one was taken away. Allocates nothing.
    #[must_use]
    pub const fn nothing() -> Self {
        Self { shape: Shape { rank: 1, dims: [0; RANK_MAX] }, data: TensorData::Fp32(Vec::new()) }
    }

    /// The shape.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The elements.
    #[must_use]
    pub fn data(&self) -> &TensorData {
        &self.data
    }

    /// The element type.
    #[must_use]
    pub fn datatype(&self) -> Datatype {
        self.data.datatype()
    }

    /// The shape and the elements, taken apart.
    #[must_use]
    pub fn into_parts(self) -> (Shape, TensorData) {
        (self.shape, self.data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shapes_that_cannot_be_are_refused() {
        for bad in [&[-1_i64][..], &[i64::MAX, 2], &[1 << 32, 1 << 32], &[1; 9], &[2, -3], &[0, i64::MAX, i64::MAX]] {
            assert!(Shape::new(bad).is_err(), "{bad:?} was accepted");
        }
        assert_eq!(Shape::new(&[]).unwrap().elements(), 1);
        assert_eq!(Shape::new(&[3, 0, 2]).unwrap().elements(), 0);
        assert_eq!(Shape::new(&[3, 4]).unwrap().dims(), [3, 4]);
    }

    #[test]
    fn a_tensor_has_exactly_as_many_elements_as_its_shape_says() {
        let shape = Shape::new(&[2, 2]).unwrap();
        assert!(Tensor::new(shape, TensorData::Fp32(vec![0.0; 4])).is_ok());
        let error = Tensor::new(shape, TensorData::Fp32(vec![0.0; 3])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the number of elements does not fit the shape; expected 4 elements for shape [2, 2], got 3 elements"
        );
    }

    #[test]
    fn names_round_trip_and_zeros_have_their_type() {
        for datatype in Datatype::ALL {
            assert_eq!(Datatype::from_name(datatype.name()), Some(datatype));
            let zeros = TensorData::zeros(datatype, 3);
            assert_eq!((zeros.datatype(), zeros.len()), (datatype, 3));
        }
        assert_eq!(Datatype::from_name("fp32"), None);
    }

    proptest! {
        #[test]
        fn a_bytes_array_gives_back_what_was_put_in(elements: Vec<Vec<u8>>) {
            let array: BytesArray = elements.iter().collect();
            prop_assert_eq!(array.len(), elements.len());
            prop_assert!(array.iter().eq(elements.iter().map(Vec::as_slice)));
            prop_assert_eq!(array.total_bytes(), elements.iter().map(Vec::len).sum::<usize>());
        }

        #[test]
        fn any_dims_give_a_shape_or_an_error_never_a_wrong_product(dims in proptest::collection::vec(-2_i64..=1 << 40, 0..10)) {
            if let Ok(shape) = Shape::new(&dims) {
                let product: i128 = dims.iter().map(|&dim| i128::from(dim)).product();
                prop_assert_eq!(i128::try_from(shape.elements()).unwrap(), product);
            }
        }
    }
}
