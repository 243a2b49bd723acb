//! Values of a graph as columns, constants or scores, and how shapes go together.
//!
//! Every dimension but the first is known; the first is the rows. It does not know operators.

use std::sync::Arc;

use candor_onnx::{DataType, Tensor, extract::Numbers};

use super::{
    expr::{Expr, Kind},
    scores::Scores,
};
use crate::refusal::Refusal;

/// Most columns of one value.
pub const COLUMNS_MAX: usize = 1 << 20;

/// What a value is.
#[derive(Debug, Clone)]
pub enum Value {
    /// Columns that come of features.
    Columns(Columns),
    /// A constant.
    Fixed(Fixed),
    /// What a model has said.
    Scores(Scores),
    /// Labels, and what is made of them.
    Label,
}

/// Columns.
#[derive(Debug, Clone)]
pub struct Columns {
    /// What they hold.
    pub kind: Kind,
    /// Dimensions behind the first.
    pub dims: Vec<usize>,
    /// In row-major order.
    pub cells: Vec<Arc<Expr>>,
}

/// A constant.
#[derive(Debug, Clone)]
pub struct Fixed {
    /// What it holds.
    pub kind: Kind,
    /// All its dimensions.
    pub dims: Vec<usize>,
    /// In row-major order.
    pub cells: Vec<Arc<Expr>>,
    /// The same as numbers; none for texts.
    pub numbers: Vec<f64>,
}

/// The kind of a type of elements.
pub fn kind(of: DataType) -> Result<Kind, Refusal> {
    let known = [
        (DataType::Float, Kind::F32),
        (DataType::Double, Kind::F64),
        (DataType::Int64, Kind::Int),
        (DataType::Int32, Kind::Int),
        (DataType::Bool, Kind::Bool),
        (DataType::String, Kind::Text),
    ];
    let found = known.iter().find(|(known, _)| *known == of);
    found.map(|(_, kind)| *kind).ok_or_else(|| Refusal::new(format!("it holds {of}, which is not folded")))
}

/// What the reader says, in our words.
pub fn told(error: &candor_onnx::Error) -> Refusal {
    Refusal::new(error.to_string())
}

impl Fixed {
    /// Of a tensor of the file.
    pub fn of(tensor: &Tensor) -> Result<Self, Refusal> {
        let kind = kind(tensor.data_type)?;
        let dims = tensor.dims.iter().map(|dim| usize::try_from(*dim).unwrap_or(usize::MAX)).collect();
        if tensor.elements() > COLUMNS_MAX as u64 {
            return Err(Refusal::new(format!("a constant of more than {COLUMNS_MAX} elements")));
        }
        let numbers: Vec<f64> = match kind {
            Kind::F32 | Kind::F64 => {
                let numbers = Numbers::of(tensor).map_err(|error| told(&error))?;
                (0..numbers.len()).filter_map(|at| numbers.get(at)).collect()
            }
            #[allow(clippy::cast_precision_loss, reason = "indices and sizes; larger ones are not told apart")]
            Kind::Int if tensor.data_type == DataType::Int64 => {
                tensor.values::<i64>().map_err(|error| told(&error))?.iter().map(|number| *number as f64).collect()
            }
            Kind::Int => {
                tensor.values::<i32>().map_err(|error| told(&error))?.iter().map(|number| f64::from(*number)).collect()
            }
            Kind::Bool => {
                let held = tensor.values::<bool>().map_err(|error| told(&error))?;
                held.iter().map(|held| f64::from(u8::from(*held))).collect()
            }
            Kind::Text => {
                let texts = tensor.strings().map_err(|error| told(&error))?;
                let cells = texts.iter().map(|text| Arc::new(Expr::text(text.to_vec()))).collect();
                return Ok(Self { kind, dims, cells, numbers: Vec::new() });
            }
        };
        let cells = numbers.iter().map(|number| Arc::new(Expr::number(*number))).collect();
        Ok(Self { kind, dims, cells, numbers })
    }

    /// As integers.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "they were integers")]
    pub fn integers(&self) -> Vec<i64> {
        self.numbers.iter().map(|number| *number as i64).collect()
    }
}

impl Columns {
    /// Columns of these dimensions.
    pub fn new(kind: Kind, dims: Vec<usize>, cells: Vec<Arc<Expr>>) -> Result<Self, Refusal> {
        if cells.len() > COLUMNS_MAX {
            return Err(Refusal::new(format!("more than {COLUMNS_MAX} columns")));
        }
        Ok(Self { kind, dims, cells })
    }

    /// The last dimension; 1 if there is none.
    #[must_use]
    pub fn width(&self) -> usize {
        self.dims.last().copied().unwrap_or(1)
    }

    /// Each cell with the constant of its column: one for all, or one for each.
    pub fn by_column<'a>(
        &'a self,
        count: usize,
        what: &str,
    ) -> Result<impl Iterator<Item = (&'a Arc<Expr>, usize)> + use<'a>, Refusal> {
        let width = self.width();
        if count != 1 && count != width {
            return Err(Refusal::new(format!("{what} has {count} numbers for {width} columns")));
        }
        Ok(self.cells.iter().enumerate().map(move |(at, cell)| (cell, if count == 1 { 0 } else { at % count.max(1) })))
    }

    /// Every cell made anew, of another kind maybe.
    pub fn each(&self, kind: Kind, f: impl FnMut(&Arc<Expr>) -> Result<Arc<Expr>, Refusal>) -> Result<Self, Refusal> {
        Ok(Self { kind, dims: self.dims.clone(), cells: self.cells.iter().map(f).collect::<Result<_, _>>()? })
    }

    /// An axis as the graph counts it: the place among the dimensions behind the first.
    pub fn axis(&self, raw: i64) -> Result<usize, Refusal> {
        let rank = self.dims.len() + 1;
        let at = if raw < 0 {
            rank.checked_sub(usize::try_from(-raw).unwrap_or(usize::MAX))
        } else {
            usize::try_from(raw).ok()
        };
        match at {
            Some(0) => Err(Refusal::new("it works across rows (axis 0)")),
            Some(at) if at < rank => Ok(at - 1),
            _ => Err(Refusal::new(format!("axis {raw} of {rank} dimensions"))),
        }
    }

    /// The cells at these positions of an axis.
    pub fn picked(&self, axis: usize, positions: &[usize]) -> Result<Self, Refusal> {
        let size = self.dims.get(axis).copied().unwrap_or(1);
        let inner: usize = self.dims.iter().skip(axis + 1).product();
        let outer: usize = self.dims.iter().take(axis).product();
        if let Some(beyond) = positions.iter().find(|at| **at >= size) {
            return Err(Refusal::new(format!("position {beyond} of {size}")));
        }
        let places = (0..outer).flat_map(|outer| {
            positions.iter().flat_map(move |at| (0..inner).map(move |inner_at| (outer * size + at) * inner + inner_at))
        });
        let cells = places.filter_map(|at| self.cells.get(at).cloned()).collect();
        let mut dims = self.dims.clone();
        if let Some(dim) = dims.get_mut(axis) {
            *dim = positions.len();
        }
        Self::new(self.kind, dims, cells)
    }
}

/// Something with cells and dimensions behind the first, to be broadcast.
pub struct Shaped<'a> {
    dims: Vec<usize>,
    cells: &'a [Arc<Expr>],
}

impl<'a> Shaped<'a> {
    /// Of a value, beside columns of so many dimensions behind the first.
    pub fn of(value: &'a Value, rank: usize) -> Result<(Self, Kind), Refusal> {
        match value {
            Value::Columns(columns) => {
                if columns.dims.len() != rank {
                    return Err(Refusal::new("it broadcasts columns of different ranks"));
                }
                Ok((Self { dims: columns.dims.clone(), cells: &columns.cells }, columns.kind))
            }
            Value::Fixed(fixed) => {
                let (first, rest) = match fixed.dims.split_first() {
                    Some((first, rest)) if fixed.dims.len() == rank + 1 => (*first, rest),
                    _ => (1, &fixed.dims[..]),
                };
                if first != 1 || rest.len() > rank {
                    return Err(Refusal::new("a constant has a number for each row"));
                }
                let mut dims = vec![1; rank - rest.len()];
                dims.extend(rest);
                Ok((Self { dims, cells: &fixed.cells }, fixed.kind))
            }
            Value::Scores(_) | Value::Label => Err(Refusal::new("it puts a model's answer beside features")),
        }
    }

    /// The cell at a place of the broadcast dimensions.
    pub fn at(&self, mut place: usize, dims: &[usize]) -> Option<&'a Arc<Expr>> {
        let (mut at, mut step) = (0, 1);
        for (own, dim) in self.dims.iter().zip(dims).rev() {
            let index = place % dim;
            place /= dim;
            if *own > 1 {
                at += index * step;
            }
            step *= own;
        }
        self.cells.get(at)
    }
}

/// The dimensions that all broadcast to.
pub fn broadcast(shaped: &[&Shaped<'_>], rank: usize) -> Result<Vec<usize>, Refusal> {
    let mut dims = vec![1_usize; rank];
    for (at, dim) in dims.iter_mut().enumerate() {
        for own in shaped.iter().filter_map(|shaped| shaped.dims.get(at)) {
            if *own != *dim && *own != 1 && *dim != 1 {
                return Err(Refusal::new("its inputs do not broadcast"));
            }
            if *own != 1 {
                *dim = *own;
            }
        }
    }
    if dims.iter().product::<usize>() > COLUMNS_MAX || dims.contains(&0) {
        return Err(Refusal::new("it has no columns, or too many"));
    }
    Ok(dims)
}
