//! Raw requests: the whole body is the one input of the model (a header length of 0 says so).

use candor_domain::{Datatype, Dim, Error, Result, Shape, Signature, Tensor, TensorData, TensorSpec};
use candor_serving::oip::bytes::read_tensor;

/// Reads a raw request: one input, of which one dimension besides the batch may be free; the batch is 1.
/// A BYTES input has one element: the whole body.
pub(crate) fn read_raw(signature: &Signature, body: &[u8]) -> Result<Tensor> {
    let refuse = |why: &str| {
        Error::invalid(format!("a raw request cannot be read for this model: {why}"))
            .at("header Inference-Header-Content-Length: 0")
            .hint("send JSON, or JSON with tensors in bytes behind it")
    };
    let [input] = signature.inputs.as_slice() else { return Err(refuse("it has more than one input")) };
    let Some(dims) = &input.dims else { return Err(refuse("the rank of its input is not known")) };
    if input.datatype == Datatype::Bytes {
        let shape: Vec<i64> = dims.iter().map(|dim| if dim.wire() < 0 { 1 } else { dim.wire() }).collect();
        let shape = Shape::new(&shape)?;
        if shape.elements() != 1 {
            return Err(refuse("a BYTES input must have one element"));
        }
        return Tensor::new(shape, TensorData::Bytes([body].into_iter().collect()));
    }
    read_tensor(input.datatype, raw_shape(input, dims, body.len()).map_err(|why| refuse(&why))?, body)
}

fn raw_shape(input: &TensorSpec, dims: &[Dim], body_bytes: usize) -> Result<Shape, String> {
    let mut shape: Vec<i64> = dims.iter().map(Dim::wire).collect();
    if let (true, Some(batch)) = (input.has_batch_dim(), shape.first_mut()) {
        *batch = 1;
    }
    let known: i64 = shape.iter().filter(|&&dim| dim >= 0).product();
    let each = input.datatype.element_bytes().and_then(|bytes| i64::try_from(bytes).ok()).unwrap_or(1);
    let mut free = shape.iter_mut().filter(|dim| **dim < 0);
    if let Some(dim) = free.next() {
        if free.next().is_some() {
            return Err("more than one of its dimensions is free".to_owned());
        }
        let body_bytes = i64::try_from(body_bytes).unwrap_or(i64::MAX);
        *dim = body_bytes / known.saturating_mul(each).max(1);
    }
    Shape::new(&shape).map_err(|error| error.to_string())
}
