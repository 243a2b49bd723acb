//! Types and shapes of values: what stands in signatures and in tensors.

use std::fmt;

/// `TensorProto.DataType`, with its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum DataType {
    /// Not said.
    Undefined = 0,
    /// IEEE 754, 32 bits.
    Float = 1,
    /// Unsigned integer, 8 bits.
    Uint8 = 2,
    /// Signed integer, 8 bits.
    Int8 = 3,
    /// Unsigned integer, 16 bits.
    Uint16 = 4,
    /// Signed integer, 16 bits.
    Int16 = 5,
    /// Signed integer, 32 bits.
    Int32 = 6,
    /// Signed integer, 64 bits.
    Int64 = 7,
    /// Bytes, meant as UTF-8.
    String = 8,
    /// One byte each.
    Bool = 9,
    /// IEEE 754, 16 bits.
    Float16 = 10,
    /// IEEE 754, 64 bits.
    Double = 11,
    /// Unsigned integer, 32 bits.
    Uint32 = 12,
    /// Unsigned integer, 64 bits.
    Uint64 = 13,
    /// Two 32-bit floats.
    Complex64 = 14,
    /// Two 64-bit floats.
    Complex128 = 15,
    /// The upper half of a 32-bit float.
    Bfloat16 = 16,
    /// Float of 8 bits, as its name says.
    Float8E4M3Fn = 17,
    /// Float of 8 bits, as its name says.
    Float8E4M3Fnuz = 18,
    /// Float of 8 bits, as its name says.
    Float8E5M2 = 19,
    /// Float of 8 bits, as its name says.
    Float8E5M2Fnuz = 20,
    /// Unsigned integer, 4 bits.
    Uint4 = 21,
    /// Signed integer, 4 bits.
    Int4 = 22,
    /// Float of 4 bits, as its name says.
    Float4E2M1 = 23,
    /// Float of 8 bits, as its name says.
    Float8E8M0 = 24,
    /// Unsigned integer, 2 bits.
    Uint2 = 25,
    /// Signed integer, 2 bits.
    Int2 = 26,
    /// Float of 6 bits, as its name says.
    Float6E2M3 = 27,
    /// Float of 6 bits, as its name says.
    Float6E3M2 = 28,
}

impl DataType {
    /// Every type, by its number.
    pub const ALL: [Self; 29] = [
        Self::Undefined,
        Self::Float,
        Self::Uint8,
        Self::Int8,
        Self::Uint16,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::String,
        Self::Bool,
        Self::Float16,
        Self::Double,
        Self::Uint32,
        Self::Uint64,
        Self::Complex64,
        Self::Complex128,
        Self::Bfloat16,
        Self::Float8E4M3Fn,
        Self::Float8E4M3Fnuz,
        Self::Float8E5M2,
        Self::Float8E5M2Fnuz,
        Self::Uint4,
        Self::Int4,
        Self::Float4E2M1,
        Self::Float8E8M0,
        Self::Uint2,
        Self::Int2,
        Self::Float6E2M3,
        Self::Float6E3M2,
    ];

    /// The type of this number.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// Bits of one element in raw data; none where that is not fixed.
    #[must_use]
    pub const fn bits(self) -> Option<u64> {
        Some(match self {
            Self::Undefined | Self::String => return None,
            Self::Uint2 | Self::Int2 => 2,
            Self::Uint4 | Self::Int4 | Self::Float4E2M1 => 4,
            Self::Float6E2M3 | Self::Float6E3M2 => 6,
            Self::Uint8
            | Self::Int8
            | Self::Bool
            | Self::Float8E4M3Fn
            | Self::Float8E4M3Fnuz
            | Self::Float8E5M2
            | Self::Float8E5M2Fnuz
            | Self::Float8E8M0 => 8,
            Self::Uint16 | Self::Int16 | Self::Float16 | Self::Bfloat16 => 16,
            Self::Float | Self::Int32 | Self::Uint32 => 32,
            Self::Int64 | Self::Double | Self::Uint64 | Self::Complex64 => 64,
            Self::Complex128 => 128,
        })
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_ascii_lowercase())
    }
}

/// One dimension of a declared shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dim {
    /// Always this many.
    Fixed(u64),
    /// Any number, the same wherever the name stands.
    Symbol(String),
    /// Any number. Negative numbers, which some exporters write, mean the same.
    Unknown,
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Symbol(name) => f.write_str(name),
            Self::Unknown => f.write_str("?"),
        }
    }
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ValueType {
    /// Not said.
    #[default]
    Unknown,
    /// A tensor; without a shape its rank is not known.
    Tensor {
        /// Type of its elements.
        element: DataType,
        /// Its dimensions, if declared.
        shape: Option<Vec<Dim>>,
    },
    /// A sparse tensor.
    SparseTensor {
        /// Type of its elements.
        element: DataType,
        /// Its dimensions, if declared.
        shape: Option<Vec<Dim>>,
    },
    /// A list of values of one type.
    Sequence(Box<Self>),
    /// A map from integers or strings.
    Map {
        /// Type of the keys.
        key: DataType,
        /// Type of the values.
        value: Box<Self>,
    },
    /// A value or nothing.
    Optional(Box<Self>),
    /// A type of somebody's own.
    Opaque {
        /// Whose.
        domain: String,
        /// Which.
        name: String,
    },
}

/// A named value and its type.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ValueInfo {
    /// Its name within the graph.
    pub name: String,
    /// Its type, as far as it is declared.
    pub value: ValueType,
}

impl ValueInfo {
    /// Element type and shape, if it is declared as a dense tensor.
    #[must_use]
    pub fn tensor(&self) -> Option<(DataType, Option<&[Dim]>)> {
        if let ValueType::Tensor { element, shape } = &self.value { Some((*element, shape.as_deref())) } else { None }
    }
}
