//! What the walk reads of a row: the features that the trees ask for, prepared so that every node asks the same
//! question, `x <= threshold`.
//!
//! A node that asks `x >= t` asks `-x <= -t` of a negated column. A node whose missing values go where "true" goes
//! asks a column in which NaN is the lowest number. So comparisons and flags cost nothing in the walk.

use std::collections::BTreeMap;

use candor_domain::TensorData;

use super::number::Number;

/// How a feature is prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Column {
    pub(super) feature: u32,
    pub(super) negated: bool,
    /// Whether NaN counts as the lowest number.
    pub(super) missing_is_lowest: bool,
}

/// The columns of an ensemble. The first is in every row the lowest number, which leaves compare.
pub(super) struct Columns {
    list: Vec<Column>,
    /// Whether the columns are the first features as they are.
    is_plain: bool,
}

impl Columns {
    /// Those in use, in the order of features; with the place of each in a prepared row.
    pub(super) fn of(used: impl Iterator<Item = Column>) -> (Self, BTreeMap<Column, u32>) {
        let mut places: BTreeMap<Column, u32> = used.map(|column| (column, 0)).collect();
        for (place, at) in places.values_mut().zip(1..) {
            *place = at;
        }
        (Self::new(places.keys().copied().collect()), places)
    }

    /// The first `features` as they are.
    pub(super) fn plain(features: usize) -> Self {
        let column = |feature| Column { feature, negated: false, missing_is_lowest: false };
        Self::new((0..).take(features).map(column).collect())
    }

    fn new(list: Vec<Column>) -> Self {
        let is_changed = |column: &Column| column.negated || column.missing_is_lowest;
        let is_plain = list.iter().zip(0..).all(|(column, at)| column.feature == at && !is_changed(column));
        Self { list, is_plain }
    }

    /// Numbers of a prepared row.
    pub(super) fn width(&self) -> usize {
        self.list.len() + 1
    }

    /// Prepares the rows from `first` on, up to `rows`; `data` has `width` features a row.
    pub(super) fn prepare<T: Number>(
        &self,
        data: &TensorData,
        width: usize,
        first: usize,
        rows: usize,
        out: &mut Vec<T>,
    ) {
        out.clear();
        match data {
            TensorData::Fp32(data) => self.each(data, width, first, rows, out, T::of_f32),
            TensorData::Fp64(data) => self.each(data, width, first, rows, out, T::of),
            TensorData::Int64(data) => self.each(data, width, first, rows, out, T::of_i64),
            TensorData::Int32(data) => self.each(data, width, first, rows, out, T::of_i32),
            // Refused when the kernel was built.
            TensorData::Bool(_)
            | TensorData::Uint8(_)
            | TensorData::Uint16(_)
            | TensorData::Uint32(_)
            | TensorData::Uint64(_)
            | TensorData::Int8(_)
            | TensorData::Int16(_)
            | TensorData::Fp16(_)
            | TensorData::Bf16(_)
            | TensorData::Bytes(_) => {}
        }
    }

    fn each<S: Copy, T: Number>(
        &self,
        data: &[S],
        width: usize,
        first: usize,
        rows: usize,
        out: &mut Vec<T>,
        of: impl Fn(S) -> T,
    ) {
        if width == 0 {
            // Rows without features are no chunks; trees of single leaves need none.
            out.resize(rows, T::LOWEST);
        }
        for row in data.chunks_exact(width.max(1)).skip(first).take(rows) {
            out.push(T::LOWEST);
            if self.is_plain {
                out.extend(row.iter().take(self.list.len()).map(|value| of(*value)));
                continue;
            }
            for column in &self.list {
                let value = row.get(column.feature as usize).map_or(T::NAN, |value| of(*value));
                out.push(match column {
                    Column { missing_is_lowest: true, .. } if value.is_nan() => T::LOWEST,
                    Column { negated: true, .. } => -value,
                    Column { .. } => value,
                });
            }
        }
    }
}
