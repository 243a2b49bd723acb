//! Tables from keys to positions: made once, asked without allocating.

use std::collections::{HashMap, hash_map::Entry};

use candor_domain::{BytesArray, Datatype, Error, Result, TensorData};

/// A table of integers may be this many times larger than what it holds to be a plain list.
const SPARSE_MAX: i128 = 4;

/// Which of two equal keys counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeated {
    First,
    Last,
}

/// From keys of one datatype to positions in a list.
pub(super) enum Table {
    /// Integers close to each other: by their distance from the first.
    Dense { first: i64, at: Vec<Option<u32>> },
    /// Integers far apart, and floats as [`key32`] and [`key64`] write them, in order.
    Sorted(Vec<(i64, u32)>),
    /// Strings.
    Strings(HashMap<Box<[u8]>, u32>),
}

impl Table {
    /// A table of integers; a key that is none takes up a position and is never found.
    pub(super) fn of_ints(keys: impl Iterator<Item = Option<i64>>, repeated: Repeated) -> Result<Self> {
        let mut found = HashMap::new();
        for (at, key) in keys.enumerate().filter_map(|(at, key)| Some((at, key?))) {
            insert(&mut found, key, at, repeated)?;
        }
        let mut sorted: Vec<(i64, u32)> = found.into_iter().collect();
        sorted.sort_unstable();
        let (Some((first, _)), Some((last, _))) = (sorted.first().copied(), sorted.last().copied()) else {
            return Ok(Self::Sorted(sorted));
        };
        let span = i128::from(last) - i128::from(first) + 1;
        match usize::try_from(span) {
            Ok(size) if span <= SPARSE_MAX * sorted.len() as i128 => {
                let mut at = vec![None; size];
                for (key, position) in sorted {
                    let slot = usize::try_from(key.wrapping_sub(first)).ok().and_then(|offset| at.get_mut(offset));
                    slot.into_iter().for_each(|slot| *slot = Some(position));
                }
                Ok(Self::Dense { first, at })
            }
            Ok(_) | Err(_) => Ok(Self::Sorted(sorted)),
        }
    }

    /// A table of strings.
    pub(super) fn of_strings<'a>(keys: impl Iterator<Item = &'a [u8]>, repeated: Repeated) -> Result<Self> {
        let mut found = HashMap::new();
        for (at, key) in keys.enumerate() {
            insert(&mut found, Box::from(key), at, repeated)?;
        }
        Ok(Self::Strings(found))
    }

    /// Where an integer is, or a float written as one.
    pub(super) fn int(&self, key: i64) -> Option<usize> {
        let at = match self {
            Self::Dense { first, at } => {
                // What lies before the first wraps around and is far beyond the end.
                let offset = key.wrapping_sub(*first).cast_unsigned();
                usize::try_from(offset).ok().and_then(|offset| at.get(offset).copied().flatten())
            }
            Self::Sorted(sorted) => sorted
                .binary_search_by_key(&key, |(key, _)| *key)
                .ok()
                .and_then(|found| sorted.get(found).map(|(_, at)| *at)),
            Self::Strings(_) => None,
        };
        at.map(|at| at as usize)
    }

    /// Where a string is.
    pub(super) fn string(&self, key: &[u8]) -> Option<usize> {
        if let Self::Strings(strings) = self { strings.get(key).map(|at| *at as usize) } else { None }
    }

    /// Tells `each` where every element is, in order.
    ///
    /// # Errors
    /// `InvalidInput` for a datatype that has no keys.
    pub(super) fn find_all(&self, data: &TensorData, mut each: impl FnMut(Option<usize>)) -> Result<()> {
        match data {
            TensorData::Int64(held) => held.iter().for_each(|key| each(self.int(*key))),
            TensorData::Int32(held) => held.iter().for_each(|key| each(self.int(i64::from(*key)))),
            TensorData::Int16(held) => held.iter().for_each(|key| each(self.int(i64::from(*key)))),
            TensorData::Fp32(held) => held.iter().for_each(|key| each(self.int(key32(*key)))),
            TensorData::Fp64(held) => held.iter().for_each(|key| each(self.int(key64(*key)))),
            TensorData::Bytes(held) => held.iter().for_each(|key| each(self.string(key))),
            TensorData::Bool(_)
            | TensorData::Uint8(_)
            | TensorData::Uint16(_)
            | TensorData::Uint32(_)
            | TensorData::Uint64(_)
            | TensorData::Int8(_)
            | TensorData::Fp16(_)
            | TensorData::Bf16(_) => {
                return Err(Error::invalid("no keys are of this datatype").got(data.datatype().name()));
            }
        }
        Ok(())
    }
}

fn insert<K: Eq + std::hash::Hash>(found: &mut HashMap<K, u32>, key: K, at: usize, repeated: Repeated) -> Result<()> {
    let at = u32::try_from(at).map_err(|_| Error::model("there are too many keys"))?;
    match found.entry(key) {
        Entry::Vacant(entry) => {
            entry.insert(at);
        }
        Entry::Occupied(mut entry) if repeated == Repeated::Last => {
            entry.insert(at);
        }
        Entry::Occupied(_) => {}
    }
    Ok(())
}

/// A float as an integer that is equal where the floats are; everything that is no number is one key.
pub(super) fn key32(key: f32) -> i64 {
    if key.is_nan() {
        return i64::from(u32::MAX);
    }
    // Both zeros are one.
    i64::from((key + 0.0).to_bits())
}

/// As [`key32`].
pub(super) fn key64(key: f64) -> i64 {
    if key.is_nan() {
        return -1;
    }
    (key + 0.0).to_bits().cast_signed()
}

/// What a table's positions stand for; the last is for what is not in the table.
pub(super) enum Values {
    I64(Vec<i64>),
    I32(Vec<i32>),
    I16(Vec<i16>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Strings(BytesArray),
}

impl Values {
    pub(super) fn datatype(&self) -> Datatype {
        match self {
            Self::I64(_) => Datatype::Int64,
            Self::I32(_) => Datatype::Int32,
            Self::I16(_) => Datatype::Int16,
            Self::F32(_) => Datatype::Fp32,
            Self::F64(_) => Datatype::Fp64,
            Self::Strings(_) => Datatype::Bytes,
        }
    }

    /// How many there are, without the one for what is not in the table.
    pub(super) fn len(&self) -> usize {
        let all = match self {
            Self::I64(list) => list.len(),
            Self::I32(list) => list.len(),
            Self::I16(list) => list.len(),
            Self::F32(list) => list.len(),
            Self::F64(list) => list.len(),
            Self::Strings(list) => list.len(),
        };
        all.saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(table: &Table, data: &TensorData) -> Vec<Option<usize>> {
        let mut found = Vec::new();
        table.find_all(data, |at| found.push(at)).unwrap();
        found
    }

    #[test]
    fn integers_are_found_near_and_far() {
        for keys in [vec![-3, 5, 4], vec![i64::MIN, 0, i64::MAX], vec![7; 3], vec![i64::MAX, i64::MAX - 1]] {
            let table = Table::of_ints(keys.iter().copied().map(Some), Repeated::Last).unwrap();
            assert_eq!(matches!(table, Table::Dense { .. }), keys[0] != i64::MIN, "{keys:?}");
            for key in [i64::MIN, -4, -3, -1, 0, 1, 3, 4, 5, 6, 7, 8, i64::MAX - 2, i64::MAX - 1, i64::MAX] {
                assert_eq!(table.int(key), keys.iter().rposition(|known| *known == key), "{key} in {keys:?}");
            }
        }
        let none = Table::of_ints([None, None].into_iter(), Repeated::Last).unwrap();
        assert_eq!(found(&none, &TensorData::Int64(vec![0, 1])), [None, None]);
    }

    #[test]
    fn the_first_or_the_last_of_equal_keys_counts() {
        for (repeated, at) in [(Repeated::First, 0), (Repeated::Last, 2)] {
            let ints = Table::of_ints([Some(4), Some(9), Some(4)].into_iter(), repeated).unwrap();
            let strings = Table::of_strings([&b"a"[..], b"b", b"a"].into_iter(), repeated).unwrap();
            assert_eq!((ints.int(4), strings.string(b"a")), (Some(at), Some(at)));
            assert_eq!((ints.int(9), strings.string(b"b"), strings.string(b"")), (Some(1), Some(1), None));
        }
    }

    #[test]
    fn floats_are_equal_where_they_should_be() {
        let numbers = [f32::NAN, 0.0, 1.5, f32::NEG_INFINITY];
        let narrow = Table::of_ints(numbers.iter().map(|key| Some(key32(*key))), Repeated::First).unwrap();
        let wide = Table::of_ints(numbers.iter().map(|key| Some(key64(f64::from(*key)))), Repeated::First).unwrap();
        let asked = [-f32::NAN, -0.0, 1.5, f32::NEG_INFINITY, f32::INFINITY, f32::MIN_POSITIVE];
        let wanted = [Some(0), Some(1), Some(2), Some(3), None, None];
        assert_eq!(found(&narrow, &TensorData::Fp32(asked.to_vec())), wanted);
        assert_eq!(found(&wide, &TensorData::Fp64(asked.iter().copied().map(f64::from).collect())), wanted);
    }

    #[test]
    fn a_datatype_without_keys_is_refused() {
        let table = Table::of_ints([Some(1)].into_iter(), Repeated::First).unwrap();
        assert!(table.find_all(&TensorData::Bool(vec![1]), |_| ()).is_err());
        assert_eq!(found(&table, &TensorData::Bytes(["1"].into_iter().collect())), [None], "no text is a number");
    }
}
