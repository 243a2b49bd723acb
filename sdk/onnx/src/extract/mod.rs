//! Classical models out of their nodes: tree ensembles, linear models and SVMs as flat arrays, validated.
//!
//! Semantics are those of the specification of `ai.onnx.ml` (docs/Operators-ml.md of the ONNX project); each
//! field says which attribute it comes from. Does not compute: an engine that walks the arrays may rely on
//! every index being in range and every tree ending in leaves.

mod labels;
mod linear;
mod svm;
mod trees;
mod trees_flat;
mod trees_laid;
mod trees_split;

pub use labels::{Classes, Labels};
pub use linear::Linear;
pub use svm::{Svm, SvmKernel};
pub use trees::{Aggregate, Child, Mode, TreeEnsemble};

use crate::{
    Attribute,
    error::{Error, ErrorKind, Result, quoted},
    graph::Node,
    tensor::Tensor,
    types::DataType,
};

/// Numbers of the precision that the file holds them in.
#[derive(Debug, Clone, PartialEq)]
pub enum Numbers {
    /// 32 bits; 16-bit floats are widened, which loses nothing.
    F32(Vec<f32>),
    /// 64 bits.
    F64(Vec<f64>),
}

impl Numbers {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::F32(list) => list.len(),
            Self::F64(list) => list.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number at a position, widened.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<f64> {
        match self {
            Self::F32(list) => list.get(at).copied().map(f64::from),
            Self::F64(list) => list.get(at).copied(),
        }
    }

    /// Those at these positions, in that order; positions beyond the end are left out.
    fn picked(&self, at: impl Iterator<Item = usize>) -> Self {
        match self {
            Self::F32(list) => Self::F32(at.filter_map(|at| list.get(at).copied()).collect()),
            Self::F64(list) => Self::F64(at.filter_map(|at| list.get(at).copied()).collect()),
        }
    }

    /// The numbers of a tensor of floats.
    ///
    /// # Errors
    /// As [`Tensor::values`]: when it holds no floats, or not in the file.
    pub fn of(tensor: &Tensor) -> Result<Self> {
        if tensor.data_type == DataType::Double {
            return Ok(Self::F64(tensor.values::<f64>()?.into_owned()));
        }
        if tensor.data_type == DataType::Float16 {
            return Ok(Self::F32(tensor.values::<u16>()?.iter().map(|bits| widened(*bits)).collect()));
        }
        Ok(Self::F32(tensor.values::<f32>()?.into_owned()))
    }

    /// An attribute as FLOATS, or as `<name>_as_tensor`.
    fn attribute(node: &Node, name: &str) -> Result<Option<Self>> {
        let in_tensor = node.tensor(&format!("{name}_as_tensor"))?.map(Self::of).transpose()?;
        let floats = node.floats(name)?.filter(|floats| !floats.is_empty());
        match (floats, in_tensor.filter(|numbers| !numbers.is_empty())) {
            (Some(_), Some(_)) => Err(Error::invalid(format!("{name} is given twice: as floats and as a tensor"))),
            (Some(floats), None) => Ok(Some(Self::F32(floats.to_vec()))),
            (None, tensor) => Ok(tensor),
        }
    }
}

/// A 16-bit float as one of 32 bits.
fn widened(bits: u16) -> f32 {
    let (sign, exponent, fraction) =
        (u32::from(bits >> 15) << 31, u32::from(bits >> 10 & 0x1F), u32::from(bits & 0x3FF));
    match exponent {
        // Zeros and subnormals: a multiple of 2^-24, exact in 32 bits.
        0 => f32::from_bits(sign | (f32::from(bits & 0x3FF) / 16_777_216.0).to_bits()),
        31 => f32::from_bits(sign | 0x7F80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

/// `post_transform`: what is done to the scores of a row at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PostTransform {
    /// Nothing.
    #[default]
    None,
    /// `exp(x) / Σ exp(x)`.
    Softmax,
    /// `1 / (1 + exp(-x))`, each by itself.
    Logistic,
    /// Softmax over those that are not zero; zeros stay.
    SoftmaxZero,
    /// The quantile function of the normal distribution, each by itself.
    Probit,
}

impl PostTransform {
    const NAMES: [(&'static str, Self); 5] = [
        ("NONE", Self::None),
        ("SOFTMAX", Self::Softmax),
        ("LOGISTIC", Self::Logistic),
        ("SOFTMAX_ZERO", Self::SoftmaxZero),
        ("PROBIT", Self::Probit),
    ];

    /// Of a node that names it; nothing if it does not.
    ///
    /// # Errors
    /// `Invalid` for a name that the specification does not know.
    pub fn of(node: &Node) -> Result<Self> {
        named(node, "post_transform", &Self::NAMES)
    }
}

/// A choice that is written by name (before `ai.onnx.ml` 5) or by its number in the list.
fn named<T: Copy + Default>(node: &Node, name: &str, choices: &[(&'static str, T)]) -> Result<T> {
    let Some(attribute) = node.attributes.get(name) else { return Ok(T::default()) };
    let found = if let Attribute::Int(number) = attribute {
        usize::try_from(*number).ok().and_then(|number| choices.get(number))
    } else {
        let text = node.text(name)?;
        choices.iter().find(|(known, _)| Some(*known) == text)
    };
    found.map(|(_, choice)| *choice).ok_or_else(|| {
        let known: Vec<&str> = choices.iter().map(|(known, _)| *known).collect();
        let got = node.text(name).ok().flatten().map_or_else(|| format!("{attribute:?}"), quoted);
        Error::invalid(format!("{name} is no known choice")).expected(known.join(", ")).got(got)
    })
}

/// Whether parallel lists are equally long.
fn same_length(name: &str, got: usize, expected: usize) -> Result<()> {
    if got == expected {
        return Ok(());
    }
    Err(Error::invalid(format!("{name} is not as long as the other lists"))
        .expected(format!("{expected} elements"))
        .got(got.to_string()))
}

fn missing(name: &str) -> Error {
    Error::invalid(format!("the attribute {name} is missing"))
}

/// An index of the file as one of ours, if it is below `count`.
fn index(name: &str, raw: i64, count: usize) -> Result<u32> {
    let found = u32::try_from(raw).ok().filter(|found| (*found as usize) < count);
    found.ok_or_else(|| {
        let error = Error::invalid(format!("{name} points beyond what there is"));
        error.expected(format!("0 to {}", count.saturating_sub(1))).got(raw.to_string())
    })
}

/// Feature ids as positions in a row, and how many features they need at least.
fn features(raw: impl Iterator<Item = i64>, width: Option<u64>) -> Result<(Vec<u32>, usize)> {
    let count = width.map_or(1 << 31, |width| usize::try_from(width).unwrap_or(usize::MAX));
    let ids: Vec<u32> = raw.map(|raw| index("a feature id", raw, count)).collect::<Result<_>>()?;
    let needed = ids.iter().max().map_or(0, |max| *max as usize + 1);
    Ok((ids, needed))
}

fn not_this(node: &Node) -> Error {
    Error::new(ErrorKind::Unsupported, "the node is none that can be taken out").got(quoted(&node.op_type))
}
