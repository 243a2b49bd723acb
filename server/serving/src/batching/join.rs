//! Tensors of several requests put together along the first dimension, and taken apart again.
//!
//! Before it: requests that the scheduler found alike. After it: one run, and each request its own rows. What does not
//! fit is said and not guessed at: the runner then runs each request alone.

use std::ops::Range;

use candor_domain::{Error, ErrorCode, Result, Shape, Tensor, TensorData};

fn wrong(what: &'static str) -> Error {
    Error::new(ErrorCode::Internal, what)
}

/// Rows of a tensor: its first dimension.
pub(super) fn rows_of(tensor: &Tensor) -> Option<u64> {
    tensor.shape().dims().first().and_then(|rows| u64::try_from(*rows).ok())
}

fn with_rows(shape: &Shape, rows: u64) -> Result<Shape> {
    let rows = i64::try_from(rows).map_err(|_| wrong("too many rows"))?;
    let mut dims = shape.dims().to_vec();
    *dims.first_mut().ok_or_else(|| wrong("a tensor has no rows"))? = rows;
    Shape::new(&dims)
}

/// One tensor with the rows of all `parts`, in their order.
///
/// # Errors
/// When they are of different datatypes, or differ in more than their rows.
pub(super) fn concat(parts: &[&Tensor]) -> Result<Tensor> {
    let (first, rest) = parts.split_first().ok_or_else(|| wrong("nothing to put together"))?;
    let trailing = |tensor: &Tensor| tensor.shape().dims().get(1..).map(<[i64]>::to_vec);
    let mut rows = rows_of(first).ok_or_else(|| wrong("a tensor has no rows"))?;
    for part in rest {
        if trailing(part) != trailing(first) {
            return Err(wrong("rows of different shapes"));
        }
        rows += rows_of(part).ok_or_else(|| wrong("a tensor has no rows"))?;
    }
    let data: Vec<&TensorData> = parts.iter().map(|part| part.data()).collect();
    Tensor::new(with_rows(first.shape(), rows)?, concat_data(&data)?)
}

fn concat_data(parts: &[&TensorData]) -> Result<TensorData> {
    macro_rules! joined {
        ($($variant:ident),*) => {
            match parts.first().ok_or_else(|| wrong("nothing to put together"))? {
                $(TensorData::$variant(_) => {
                    let total = parts.iter().map(|part| part.len()).sum();
                    let mut all = Vec::with_capacity(total);
                    for part in parts {
                        let TensorData::$variant(more) = part else { return Err(wrong("rows of different datatypes")) };
                        all.extend_from_slice(more);
                    }
                    TensorData::$variant(all)
                })*
                TensorData::Bytes(_) => {
                    let mut all = candor_domain::BytesArray::with_capacity(parts.iter().map(|part| part.len()).sum());
                    for part in parts {
                        let TensorData::Bytes(more) = part else { return Err(wrong("rows of different datatypes")) };
                        more.iter().for_each(|element| all.push(element));
                    }
                    TensorData::Bytes(all)
                }
            }
        };
    }
    Ok(joined!(Bool, Uint8, Uint16, Uint32, Uint64, Int8, Int16, Int32, Int64, Fp16, Bf16, Fp32, Fp64))
}

/// The rows in `range` of a tensor that has `rows`.
///
/// # Errors
/// When the tensor has other rows.
pub(super) fn cut(tensor: &Tensor, range: Range<u64>) -> Result<Tensor> {
    let rows = rows_of(tensor).filter(|rows| range.end <= *rows && range.start <= range.end);
    let rows = rows.ok_or_else(|| wrong("rows that are not there"))?;
    let each = tensor.data().len().checked_div(usize::try_from(rows).unwrap_or(usize::MAX)).unwrap_or(0);
    let element = |row: u64| usize::try_from(row).unwrap_or(usize::MAX).saturating_mul(each);
    let elements = element(range.start)..element(range.end);
    macro_rules! part {
        ($($variant:ident),*) => {
            match tensor.data() {
                $(TensorData::$variant(all) => TensorData::$variant(all.get(elements).unwrap_or_default().to_vec()),)*
                TensorData::Bytes(all) => {
                    TensorData::Bytes(elements.map(|element| all.get(element).unwrap_or_default()).collect())
                }
            }
        };
    }
    let data = part!(Bool, Uint8, Uint16, Uint32, Uint64, Int8, Int16, Int32, Int64, Fp16, Bf16, Fp32, Fp64);
    Tensor::new(with_rows(tensor.shape(), range.end - range.start)?, data)
}

/// The outputs of a joined run, for each of the requests that have so many rows: its own.
///
/// # Errors
/// When an output does not have as many rows as all requests together.
pub(super) fn split(outputs: &[Tensor], rows: &[u64]) -> Result<Vec<Vec<Tensor>>> {
    let total: u64 = rows.iter().sum();
    if outputs.iter().any(|output| rows_of(output) != Some(total)) {
        return Err(wrong("an output does not count rows"));
    }
    let mut start = 0;
    let own = |rows: &u64| {
        let range = start..start + rows;
        start = range.end;
        outputs.iter().map(|output| cut(output, range.clone())).collect::<Result<Vec<_>>>()
    };
    rows.iter().map(own).collect()
}

#[cfg(test)]
mod tests {
    use candor_domain::Datatype;
    use proptest::prelude::*;

    use super::*;

    fn numbered(datatype: Datatype, rows: u64, width: usize, first: u8) -> Tensor {
        let count = usize::try_from(rows).unwrap() * width;
        let shape = Shape::new(&[i64::try_from(rows).unwrap(), i64::try_from(width).unwrap()]).unwrap();
        let number = |place: usize| first.wrapping_add(u8::try_from(place % 251).unwrap());
        let numbers = || (0..count).map(number);
        let data = match datatype {
            Datatype::Bool => TensorData::Bool(numbers().map(|n| n % 2).collect()),
            Datatype::Uint8 => TensorData::Uint8(numbers().collect()),
            Datatype::Uint16 => TensorData::Uint16(numbers().map(u16::from).collect()),
            Datatype::Uint32 => TensorData::Uint32(numbers().map(u32::from).collect()),
            Datatype::Uint64 => TensorData::Uint64(numbers().map(u64::from).collect()),
            Datatype::Int8 => TensorData::Int8(numbers().map(u8::cast_signed).collect()),
            Datatype::Int16 => TensorData::Int16(numbers().map(i16::from).collect()),
            Datatype::Int32 => TensorData::Int32(numbers().map(i32::from).collect()),
            Datatype::Int64 => TensorData::Int64(numbers().map(i64::from).collect()),
            Datatype::Fp16 => TensorData::Fp16(numbers().map(u16::from).collect()),
            Datatype::Bf16 => TensorData::Bf16(numbers().map(u16::from).collect()),
            Datatype::Fp32 => TensorData::Fp32(numbers().map(f32::from).collect()),
            Datatype::Fp64 => TensorData::Fp64(numbers().map(f64::from).collect()),
            Datatype::Bytes => TensorData::Bytes(numbers().map(|n| vec![n; usize::from(n % 5)]).collect()),
        };
        Tensor::new(shape, data).unwrap()
    }

    proptest! {
        #[test]
        fn what_was_put_together_comes_apart_as_it_was(
            rows in proptest::collection::vec(1_u64..6, 1..7), width in 1_usize..4, kind in 0_usize..14,
        ) {
            let datatype = Datatype::ALL[kind];
            let parts: Vec<Tensor> =
                rows.iter().zip(1_u8..).map(|(&rows, n)| numbered(datatype, rows, width, n * 31)).collect();
            let all = concat(&parts.iter().collect::<Vec<_>>()).unwrap();
            prop_assert_eq!(rows_of(&all), Some(rows.iter().sum()));
            let apart = split(std::slice::from_ref(&all), &rows).unwrap();
            for (part, own) in parts.iter().zip(apart) {
                prop_assert_eq!(part, &own[0]);
            }
        }
    }

    #[test]
    fn rows_that_are_not_alike_are_not_put_together() {
        let fp32 = |rows, width| numbered(Datatype::Fp32, rows, width, 0);
        assert!(concat(&[&fp32(1, 2), &fp32(1, 3)]).is_err());
        assert!(concat(&[&fp32(1, 2), &numbered(Datatype::Fp64, 1, 2, 0)]).is_err());
        assert!(concat(&[]).is_err());
        let scalar = Tensor::new(Shape::new(&[]).unwrap(), TensorData::Fp32(vec![1.0])).unwrap();
        assert!(concat(&[&scalar]).is_err() && cut(&scalar, 0..1).is_err());
    }

    #[test]
    fn an_output_with_other_rows_is_not_split() {
        let output = numbered(Datatype::Fp32, 3, 1, 0);
        assert!(split(std::slice::from_ref(&output), &[1, 1]).is_err());
        assert!(split(&[output], &[1, 2]).is_ok());
    }
}
