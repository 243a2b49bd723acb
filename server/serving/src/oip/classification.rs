//! The top classes of an output: `"<value>:<index>[:<label>]"`, best first, as the `classification`
//! extension of the Open Inference Protocol writes them.

use std::cmp::Ordering;

use candor_domain::{BytesArray, Error, Result, Shape, Tensor, TensorData};

/// The best `count` classes of each row of `tensor`; the first dimension counts rows if `batched`.
/// Equal values stand in order of their index, NaN last.
///
/// # Errors
/// `InvalidInput` when its values are not numbers that have an order here.
pub fn top(tensor: &Tensor, count: u64, labels: &[String], batched: bool) -> Result<Tensor> {
    let rows = if batched { tensor.shape().dims().first().copied().unwrap_or(1) } else { 1 };
    let row_count = usize::try_from(rows).unwrap_or(0);
    let classes = tensor.data().len().checked_div(row_count).unwrap_or(0);
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(classes);
    let mut best = BytesArray::with_capacity(row_count * count);
    let texts = |indices: &[usize], texts: &dyn Fn(usize) -> String, offset: usize, best: &mut BytesArray| {
        for &index in indices.iter().take(count) {
            let mut text = format!("{}:{index}", texts(offset + index));
            if let Some(label) = labels.get(index) {
                text.push(':');
                text.push_str(label);
            }
            best.push(text.as_bytes());
        }
    };
    macro_rules! rank {
        ($values:expr, $compare:expr) => {
            for (row, values) in $values.chunks(classes.max(1)).enumerate() {
                let mut indices: Vec<usize> = (0..values.len()).collect();
                indices.sort_by(|&a, &b| match (values.get(a), values.get(b)) {
                    (Some(a), Some(b)) => $compare(b, a),
                    _ => Ordering::Equal,
                });
                let text = |index: usize| $values.get(index).map(ToString::to_string).unwrap_or_default();
                texts(&indices, &text, row * classes, &mut best);
            }
        };
    }
    match tensor.data() {
        TensorData::Fp32(values) => {
            rank!(values, |a: &f32, b: &f32| nan_last(a.is_nan(), b.is_nan(), a.partial_cmp(b)))
        }
        TensorData::Fp64(values) => {
            rank!(values, |a: &f64, b: &f64| nan_last(a.is_nan(), b.is_nan(), a.partial_cmp(b)))
        }
        TensorData::Uint8(values) => rank!(values, Ord::cmp),
        TensorData::Uint16(values) => rank!(values, Ord::cmp),
        TensorData::Uint32(values) => rank!(values, Ord::cmp),
        TensorData::Uint64(values) => rank!(values, Ord::cmp),
        TensorData::Int8(values) => rank!(values, Ord::cmp),
        TensorData::Int16(values) => rank!(values, Ord::cmp),
        TensorData::Int32(values) => rank!(values, Ord::cmp),
        TensorData::Int64(values) => rank!(values, Ord::cmp),
        TensorData::Bool(_) | TensorData::Fp16(_) | TensorData::Bf16(_) | TensorData::Bytes(_) => {
            return Err(Error::invalid(format!("classes cannot be ranked by {} values", tensor.datatype()))
                .expected("an output of numbers"));
        }
    }
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let dims = if batched { vec![rows, count] } else { vec![count] };
    Tensor::new(Shape::new(&dims)?, TensorData::Bytes(best))
}

/// Orders so that, best first, NaN comes after every number.
fn nan_last(a_is_nan: bool, b_is_nan: bool, order: Option<Ordering>) -> Ordering {
    order.unwrap_or_else(|| b_is_nan.cmp(&a_is_nan))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(values: Vec<f32>, dims: &[i64], count: u64, labels: &[&str], batched: bool) -> (Vec<i64>, Vec<String>) {
        let tensor = Tensor::new(Shape::new(dims).unwrap(), TensorData::Fp32(values)).unwrap();
        let labels: Vec<_> = labels.iter().map(ToString::to_string).collect();
        let best = top(&tensor, count, &labels, batched).unwrap();
        let TensorData::Bytes(strings) = best.data() else { unreachable!() };
        let strings = strings.iter().map(|string| String::from_utf8(string.to_vec()).unwrap());
        (best.shape().dims().to_vec(), strings.collect())
    }

    #[test]
    fn the_best_of_each_row_come_first_with_their_labels() {
        let (dims, strings) = texts(vec![0.25, 0.5, 0.25, 1.0, 0.0, f32::NAN], &[2, 3], 2, &["a", "b"], true);
        assert_eq!(dims, [2, 2]);
        assert_eq!(strings, ["0.5:1:b", "0.25:0:a", "1:0:a", "0:1:b"]);
    }

    #[test]
    fn more_classes_than_there_are_gives_all_and_nan_is_last() {
        let (dims, strings) = texts(vec![f32::NAN, -1.0, f32::INFINITY], &[3], 9, &[], false);
        assert_eq!(dims, [3]);
        assert_eq!(strings, ["inf:2", "-1:1", "NaN:0"]);
    }
}
