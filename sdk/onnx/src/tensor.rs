//! Tensors of a file: typed views over raw data or over typed fields, wherever the writer put them.
//!
//! Sizes have been checked against the dimensions when a [`Tensor`] exists; data in other files come when
//! they are asked for (`external`).

use std::borrow::Cow;

use prost::{Message as _, bytes::Bytes};

use crate::{
    error::{Error, ErrorKind, Result},
    external::{External, Folder},
    limits::Limits,
    proto::{TENSOR, TensorProto},
    survey::survey,
    types::DataType,
};

/// A dense tensor: name, type, dimensions and data.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Name of the value that it is; empty within attributes.
    pub name: String,
    /// Type of its elements.
    pub data_type: DataType,
    /// Its dimensions; none for a scalar.
    pub dims: Vec<u64>,
    pub(crate) data: Data,
}

/// Where a tensor's elements are.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Data {
    /// Little-endian, one after the other.
    Raw(Bytes),
    Floats(Vec<f32>),
    Doubles(Vec<f64>),
    Int32s(Vec<i32>),
    Int64s(Vec<i64>),
    Uint64s(Vec<u64>),
    Strings(Vec<Bytes>),
    External(External),
}

/// A sparse tensor in coordinates.
#[derive(Debug, Clone, PartialEq)]
pub struct SparseTensor {
    /// The elements that are not zero; its name is that of the whole.
    pub values: Tensor,
    /// Where they stand: `[n]` flat, or `[n, rank]`.
    pub indices: Tensor,
    /// Dimensions of the whole.
    pub dims: Vec<u64>,
}

/// What a tensor's elements can be read as.
pub trait Element: Copy + 'static {
    /// The types that are read so. 16-bit and 8-bit floats are read as their bits.
    const TYPES: &'static [DataType];
    #[doc(hidden)]
    fn from_raw(raw: &[u8]) -> Vec<Self>;
    #[doc(hidden)]
    fn from_typed(data: Typed<'_>) -> Option<Cow<'_, [Self]>>;
}

/// Typed fields of a tensor, for [`Element`].
#[doc(hidden)]
#[derive(Clone, Copy)]
pub enum Typed<'a> {
    Floats(&'a [f32]),
    Doubles(&'a [f64]),
    Int32s(&'a [i32]),
    Int64s(&'a [i64]),
    Uint64s(&'a [u64]),
}

macro_rules! element {
    ($type:ty, [$($of:ident),+], $list:ident => $read:expr) => {
        impl Element for $type {
            const TYPES: &'static [DataType] = &[$(DataType::$of),+];

            fn from_raw(raw: &[u8]) -> Vec<Self> {
                let (elements, _) = raw.as_chunks::<{ size_of::<$type>() }>();
                elements.iter().map(|element| Self::from_le_bytes(*element)).collect()
            }

            fn from_typed(data: Typed<'_>) -> Option<Cow<'_, [Self]>> {
                if let Typed::$list(list) = data { $read(list) } else { None }
            }
        }
    };
}

fn narrowed<'a, From: Copy, To: TryFrom<From> + Clone>(list: &'a [From]) -> Option<Cow<'a, [To]>> {
    list.iter().map(|element| To::try_from(*element).ok()).collect::<Option<Vec<To>>>().map(Cow::Owned)
}

fn borrowed<T: Clone>(list: &[T]) -> Option<Cow<'_, [T]>> {
    Some(Cow::Borrowed(list))
}

element!(f32, [Float], Floats => borrowed);
element!(f64, [Double], Doubles => borrowed);
element!(i64, [Int64], Int64s => borrowed);
element!(u64, [Uint64], Uint64s => borrowed);
element!(u32, [Uint32], Uint64s => narrowed);
element!(i32, [Int32], Int32s => borrowed);
element!(i16, [Int16], Int32s => narrowed);
element!(u16, [Uint16, Float16, Bfloat16], Int32s => narrowed);
element!(i8, [Int8], Int32s => narrowed);
element!(
    u8,
    [Uint8, Float8E4M3Fn, Float8E4M3Fnuz, Float8E5M2, Float8E5M2Fnuz, Float8E8M0],
    Int32s => narrowed
);

impl Element for bool {
    const TYPES: &'static [DataType] = &[DataType::Bool];

    fn from_raw(raw: &[u8]) -> Vec<Self> {
        raw.iter().map(|byte| *byte != 0).collect()
    }

    fn from_typed(data: Typed<'_>) -> Option<Cow<'_, [Self]>> {
        let Typed::Int32s(list) = data else { return None };
        Some(list.iter().map(|number| *number != 0).collect::<Vec<_>>().into())
    }
}

impl Tensor {
    /// Reads a file that holds one tensor and nothing else (`TensorProto`), as test data come with models.
    ///
    /// # Errors
    /// As [`Model::read`](crate::Model::read).
    pub fn read(file: Bytes, limits: &Limits) -> Result<Self> {
        survey(TENSOR, &file, limits)?;
        let decoded = TensorProto::decode(file).map_err(|error| {
            Error::new(ErrorKind::NotOnnx, "the file is not an ONNX tensor").got(format!("{error}"))
        })?;
        crate::read::tensor(decoded)
    }

    /// A list of integers.
    #[must_use]
    pub fn of_ints(list: Vec<i64>) -> Self {
        Self {
            name: String::new(),
            data_type: DataType::Int64,
            dims: vec![list.len() as u64],
            data: Data::Int64s(list),
        }
    }

    /// A list of numbers.
    #[must_use]
    pub fn of_floats(list: Vec<f32>) -> Self {
        Self {
            name: String::new(),
            data_type: DataType::Float,
            dims: vec![list.len() as u64],
            data: Data::Floats(list),
        }
    }

    /// How many elements it has.
    #[must_use]
    pub fn elements(&self) -> u64 {
        // Checked when the tensor was read.
        self.dims.iter().product()
    }

    /// Its elements as `T`, borrowed where the file holds them so.
    ///
    /// # Errors
    /// `Invalid` when it is of another type or a number does not fit its type, `External` when the data lie
    /// in another file ([`Tensor::resolve`] brings them).
    pub fn values<T: Element>(&self) -> Result<Cow<'_, [T]>> {
        if !T::TYPES.contains(&self.data_type) {
            let expected = T::TYPES.iter().map(DataType::to_string).collect::<Vec<_>>().join(" or ");
            let error = Error::invalid("the tensor is of another type").at(self.place());
            return Err(error.expected(expected).got(self.data_type.to_string()));
        }
        let typed = match &self.data {
            Data::Raw(raw) => return Ok(Cow::Owned(T::from_raw(raw))),
            Data::External(_) => return Err(self.elsewhere()),
            Data::Strings(_) => None,
            Data::Floats(list) => Some(Typed::Floats(list)),
            Data::Doubles(list) => Some(Typed::Doubles(list)),
            Data::Int32s(list) => Some(Typed::Int32s(list)),
            Data::Int64s(list) => Some(Typed::Int64s(list)),
            Data::Uint64s(list) => Some(Typed::Uint64s(list)),
        };
        typed.and_then(T::from_typed).ok_or_else(|| self.misfit())
    }

    /// Its strings.
    ///
    /// # Errors
    /// `Invalid` when it holds none.
    pub fn strings(&self) -> Result<&[Bytes]> {
        match &self.data {
            Data::Strings(strings) => Ok(strings),
            Data::External(_) => Err(self.elsewhere()),
            Data::Raw(_)
            | Data::Floats(_)
            | Data::Doubles(_)
            | Data::Int32s(_)
            | Data::Int64s(_)
            | Data::Uint64s(_) => {
                let error = Error::invalid("the tensor is of another type").at(self.place());
                Err(error.expected("string").got(self.data_type.to_string()))
            }
        }
    }

    /// Its elements as raw data, if the file holds them so: little-endian, packed.
    #[must_use]
    pub const fn raw(&self) -> Option<&Bytes> {
        if let Data::Raw(raw) = &self.data { Some(raw) } else { None }
    }

    /// Where its data lie, if in another file.
    #[must_use]
    pub const fn external(&self) -> Option<&External> {
        if let Data::External(external) = &self.data { Some(external) } else { None }
    }

    /// Itself with its data at hand: read from another file if they lie there.
    ///
    /// # Errors
    /// `External` when the file is not in the folder, is reached by a link, or is too short.
    pub fn resolve(&self, folder: &Folder) -> Result<Cow<'_, Self>> {
        let Some(external) = self.external() else { return Ok(Cow::Borrowed(self)) };
        let wanted = self.raw_bytes().ok_or_else(|| self.misfit())?;
        let raw = folder.read(external, wanted).map_err(|error| error.at(self.place()))?;
        let (name, dims) = (self.name.clone(), self.dims.clone());
        Ok(Cow::Owned(Self { name, dims, data_type: self.data_type, data: Data::Raw(raw) }))
    }

    /// Bytes of its elements as raw data; none for strings, or beyond 64 bits.
    #[must_use]
    pub fn raw_bytes(&self) -> Option<u64> {
        Some(self.elements().checked_mul(self.data_type.bits()?)?.div_ceil(8))
    }

    pub(crate) fn place(&self) -> String {
        if self.name.is_empty() {
            return "a tensor".to_owned();
        }
        format!("tensor {}", crate::error::quoted(&self.name))
    }

    fn misfit(&self) -> Error {
        Error::invalid("the tensor's numbers do not fit its type").at(self.place()).got(self.data_type.to_string())
    }

    fn elsewhere(&self) -> Error {
        Error::new(ErrorKind::External, "the tensor's data lie in another file").at(self.place())
    }
}
