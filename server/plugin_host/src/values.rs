//! The server's tensors as a plugin sees them, borrowed; and what a plugin gave as the server's tensors, copied.
//!
//! It does not know calls.
#![allow(unsafe_code, reason = "the interface's tensors are pointers")]

use std::{borrow::Cow, marker::PhantomData, ptr, slice};

use candor_domain::{
    error::{Error, ErrorCode, Result},
    tensor::{BytesArray, Datatype, Shape, Tensor, TensorData},
};
use candor_plugin_abi as abi;

/// Most dimensions, as a size.
pub const RANK_MAX: usize = candor_domain::tensor::RANK_MAX;

/// The interface's type for a datatype.
#[must_use]
pub const fn dtype(datatype: Datatype) -> abi::Dtype {
    match datatype {
        Datatype::Bool => abi::Dtype::BOOL,
        Datatype::Uint8 => abi::Dtype::U8,
        Datatype::Uint16 => abi::Dtype::U16,
        Datatype::Uint32 => abi::Dtype::U32,
        Datatype::Uint64 => abi::Dtype::U64,
        Datatype::Int8 => abi::Dtype::I8,
        Datatype::Int16 => abi::Dtype::I16,
        Datatype::Int32 => abi::Dtype::I32,
        Datatype::Int64 => abi::Dtype::I64,
        Datatype::Fp16 => abi::Dtype::F16,
        Datatype::Bf16 => abi::Dtype::BF16,
        Datatype::Fp32 => abi::Dtype::F32,
        Datatype::Fp64 => abi::Dtype::F64,
        Datatype::Bytes => abi::Dtype::STR,
    }
}

/// The datatype of the interface's type. Asked for each output, so it looks through no list.
#[must_use]
pub const fn datatype(of: abi::Dtype) -> Option<Datatype> {
    if of.lanes != 1 {
        return None;
    }
    Some(match (of.code, of.bits) {
        (abi::DTYPE_FLOAT, 32) => Datatype::Fp32,
        (abi::DTYPE_FLOAT, 64) => Datatype::Fp64,
        (abi::DTYPE_FLOAT, 16) => Datatype::Fp16,
        (abi::DTYPE_BFLOAT, 16) => Datatype::Bf16,
        (abi::DTYPE_INT, 8) => Datatype::Int8,
        (abi::DTYPE_INT, 16) => Datatype::Int16,
        (abi::DTYPE_INT, 32) => Datatype::Int32,
        (abi::DTYPE_INT, 64) => Datatype::Int64,
        (abi::DTYPE_UINT, 8) => Datatype::Uint8,
        (abi::DTYPE_UINT, 16) => Datatype::Uint16,
        (abi::DTYPE_UINT, 32) => Datatype::Uint32,
        (abi::DTYPE_UINT, 64) => Datatype::Uint64,
        (abi::DTYPE_BOOL, 8) => Datatype::Bool,
        (abi::DTYPE_OPAQUE, 128) => Datatype::Bytes,
        _ => return None,
    })
}

/// Steps in C order.
pub fn row_major(shape: &[i64]) -> [i64; RANK_MAX] {
    let mut strides = [0; RANK_MAX];
    let mut step = 1_i64;
    for (stride, &size) in strides.iter_mut().take(shape.len()).zip(shape).rev() {
        *stride = step;
        step = step.saturating_mul(size.max(1));
    }
    strides
}

/// Shape and steps of one tensor.
#[derive(Clone, Copy)]
struct Dims {
    shape: [i64; RANK_MAX],
    strides: [i64; RANK_MAX],
}

/// Inputs as a plugin sees them. Borrows the tensors; may be used for any number of calls, by any thread.
pub struct Values<'a> {
    values: Vec<abi::Value>,
    // What the values point to, besides the tensors' own memory. Never grown, so that it does not move.
    _dims: Vec<Dims>,
    _strings: Vec<Vec<abi::Str>>,
    lives: PhantomData<&'a Tensor>,
}

// SAFETY: everything behind the pointers is borrowed or owned, and only read.
unsafe impl Send for Values<'_> {}
// SAFETY: as above.
unsafe impl Sync for Values<'_> {}

impl<'a> Values<'a> {
    /// Named tensors, in this order.
    pub fn of(inputs: impl IntoIterator<Item = (&'a str, &'a Tensor)>) -> Self {
        let mut strings = Vec::new();
        let parts = inputs
            .into_iter()
            .map(|(name, tensor)| (name, tensor.datatype(), tensor.shape().dims(), first(tensor.data(), &mut strings)));
        Self::of_parts(parts).with(strings)
    }

    /// Tensors that lie anywhere: name, type, dimensions, first element.
    pub(crate) fn of_parts(parts: impl IntoIterator<Item = (&'a str, Datatype, &'a [i64], *const u8)>) -> Self {
        let parts = parts.into_iter();
        let (mut values, mut all) = (Vec::with_capacity(parts.size_hint().0), Vec::with_capacity(parts.size_hint().0));
        for (name, datatype, dims, start) in parts {
            let mut shape = [0; RANK_MAX];
            shape.iter_mut().zip(dims).for_each(|(slot, &dim)| *slot = dim);
            all.push(Dims { shape, strides: row_major(dims) });
            values.push(abi::Value {
                name: abi::Str::of(name),
                t: abi::Tensor {
                    data: start.cast_mut().cast(),
                    device: abi::Device::CPU,
                    ndim: i32::try_from(dims.len()).unwrap_or(0),
                    dtype: dtype(datatype),
                    shape: ptr::null(),
                    strides: ptr::null(),
                    byte_offset: 0,
                },
                flags: 0,
                reserved: 0,
            });
        }
        // From here on the list of dimensions does not move.
        for (value, dims) in values.iter_mut().zip(&all) {
            (value.t.shape, value.t.strides) = (dims.shape.as_ptr(), dims.strides.as_ptr());
        }
        Self { values, _dims: all, _strings: Vec::new(), lives: PhantomData }
    }

    /// The same with what strings are listed in.
    pub(crate) fn with(self, strings: Vec<Vec<abi::Str>>) -> Self {
        Self { _strings: strings, ..self }
    }

    pub(crate) fn raw(&self) -> &[abi::Value] {
        &self.values
    }
}

/// The first element; strings are listed first, and the list is kept.
fn first(data: &TensorData, strings: &mut Vec<Vec<abi::Str>>) -> *const u8 {
    if let TensorData::Bytes(bytes) = data {
        let list: Vec<abi::Str> = bytes.iter().map(abi::Str::of_bytes).collect();
        let first = list.as_ptr().cast();
        strings.push(list);
        return first;
    }
    macro_rules! start {
        ($($variant:ident)+) => {
            match data {
                $(TensorData::$variant(vector) => vector.as_ptr().cast(),)+
                TensorData::Bytes(_) => ptr::null(),
            }
        };
    }
    start!(Bool Uint8 Uint16 Uint32 Uint64 Int8 Int16 Int32 Int64 Fp16 Bf16 Fp32 Fp64)
}

fn wrong(what: String) -> Error {
    Error::new(ErrorCode::EngineFailed, what)
}

/// Elements of a type in the server's own form, copied from bytes in C order.
///
/// # Errors
/// `EngineFailed` for booleans that are neither 0 nor 1.
pub fn copied(of: Datatype, elements: usize, bytes: &[u8]) -> Result<TensorData> {
    // SAFETY: a slice of so many bytes.
    unsafe { copied_from(of, elements, bytes.as_ptr(), bytes.len()) }
}

/// As [`copied`], from bytes that somebody else may be writing.
///
/// # Safety
/// `from` must be readable for `len` bytes.
pub unsafe fn copied_from(of: Datatype, elements: usize, from: *const u8, len: usize) -> Result<TensorData> {
    if of.element_bytes().and_then(|size| size.checked_mul(elements)) != Some(len) {
        return Err(wrong(format!("{len} bytes are no {elements} elements of {of}")));
    }
    macro_rules! filled {
        ($($variant:ident)+) => {
            match of {
                // SAFETY: so many bytes are readable, and every bit pattern is a number.
                $(Datatype::$variant => TensorData::$variant(unsafe { numbers(from, elements) }),)+
                Datatype::Bytes => return Err(wrong("strings are no bytes of numbers".to_owned())),
            }
        };
    }
    let data = filled!(Bool Uint8 Uint16 Uint32 Uint64 Int8 Int16 Int32 Int64 Fp16 Bf16 Fp32 Fp64);
    if let TensorData::Bool(bools) = &data
        && let Some(other) = bools.iter().find(|&&byte| byte > 1)
    {
        return Err(wrong(format!("a boolean is {other}, which is neither 0 nor 1")));
    }
    Ok(data)
}

/// Numbers from bytes that need not be aligned, into memory that nobody has cleared for nothing.
///
/// # Safety
/// `from` must be readable for so many numbers, and every bit pattern be one.
unsafe fn numbers<T: Copy>(from: *const u8, elements: usize) -> Vec<T> {
    let mut vector = Vec::<T>::with_capacity(elements);
    // SAFETY: room for as many, all of which are written; the caller answers for what is read.
    unsafe {
        vector.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(from, elements * size_of::<T>());
        vector.set_len(elements);
    }
    vector
}

/// The bytes of elements in C order; strings as the end of each, then their bytes.
#[must_use]
pub fn bytes(data: &TensorData) -> Cow<'_, [u8]> {
    macro_rules! view {
        ($($variant:ident)+) => {
            match data {
                // SAFETY: so many bytes, and every number is bytes.
                $(TensorData::$variant(vector) => Cow::Borrowed(unsafe {
                    slice::from_raw_parts(vector.as_ptr().cast::<u8>(), size_of_val(vector.as_slice()))
                }),)+
                TensorData::Bytes(array) => string_bytes(array),
            }
        };
    }
    view!(Bool Uint8 Uint16 Uint32 Uint64 Int8 Int16 Int32 Int64 Fp16 Bf16 Fp32 Fp64)
}

/// Strings as the end of each, then their bytes.
#[must_use]
pub fn string_bytes(array: &BytesArray) -> Cow<'static, [u8]> {
    let mut bytes = Vec::with_capacity(array.len() * 8 + array.total_bytes());
    let mut end = 0_u64;
    for string in array.iter() {
        end += string.len() as u64;
        bytes.extend(end.to_le_bytes());
    }
    array.iter().for_each(|string| bytes.extend(string));
    Cow::Owned(bytes)
}

/// A tensor that a plugin hands over, copied. It must be in C order.
///
/// # Safety
/// The tensor and all that it points to must be as the interface says.
pub unsafe fn tensor(raw: &abi::Tensor) -> Result<Tensor> {
    let of = datatype(raw.dtype).ok_or_else(|| Error::invalid("the plugin's tensor has no known type"))?;
    let rank = usize::try_from(raw.ndim).ok().filter(|&rank| rank <= RANK_MAX);
    let rank = rank.ok_or_else(|| Error::invalid("the plugin's tensor has too many dimensions"))?;
    if raw.device.type_ != abi::DEVICE_CPU || (rank > 0 && (raw.shape.is_null() || raw.strides.is_null())) {
        return Err(Error::invalid("the plugin's tensor is not whole"));
    }
    let (dims, strides) = if rank == 0 {
        (&[][..], &[][..])
    } else {
        // SAFETY: not null, and the caller answers for so many numbers.
        unsafe { (slice::from_raw_parts(raw.shape, rank), slice::from_raw_parts(raw.strides, rank)) }
    };
    let shape = Shape::new(dims)?;
    let expected = row_major(dims);
    if dims.iter().zip(strides).zip(&expected).any(|((&dim, &stride), &step)| dim > 1 && stride != step) {
        return Err(Error::invalid("the plugin's tensor does not lie in C order"));
    }
    let elements = shape.elements();
    let bytes = elements.checked_mul(raw.dtype.bytes().unwrap_or(1));
    let bytes = bytes.filter(|&bytes| bytes <= isize::MAX.unsigned_abs());
    let bytes = bytes.ok_or_else(|| Error::invalid("the plugin's tensor is too large"))?;
    let offset = usize::try_from(raw.byte_offset).map_err(|_| Error::invalid("the plugin's tensor lies nowhere"))?;
    let start = raw.data.cast_const().cast::<u8>().wrapping_add(offset);
    if elements > 0 && start.is_null() {
        return Err(Error::invalid("the plugin's tensor lies nowhere"));
    }
    if of == Datatype::Bytes {
        let strings = start.cast::<abi::Str>();
        let copy = |at| {
            // SAFETY: the caller answers for so many texts; they are read wherever they lie.
            unsafe { strings.add(at).read_unaligned().bytes() }
        };
        let array: BytesArray = (0..elements).map(copy).collect();
        return Tensor::new(shape, TensorData::Bytes(array));
    }
    // SAFETY: the caller answers for so many bytes.
    let bytes = if elements == 0 { &[] } else { unsafe { slice::from_raw_parts(start, bytes) } };
    Tensor::new(shape, copied(of, elements, bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_datatype_has_its_type_and_back() {
        for of in Datatype::ALL {
            assert_eq!(datatype(dtype(of)), Some(of));
            let size = of.element_bytes().unwrap_or(size_of::<abi::Str>());
            assert_eq!(dtype(of).bytes(), Some(size), "{of}");
        }
        for wrong in [(5, 64, 1), (2, 32, 2), (2, 8, 1), (3, 64, 1)] {
            let wrong = abi::Dtype { code: wrong.0, bits: wrong.1, lanes: wrong.2 };
            assert_eq!((datatype(wrong), wrong.bytes()), (None, None), "{wrong:?}");
        }
    }

    #[test]
    fn tensors_go_there_and_back() {
        for of in Datatype::ALL {
            let tensor = Tensor::new(Shape::new(&[2, 3]).unwrap(), TensorData::zeros(of, 6)).unwrap();
            let values = Values::of([("x", &tensor)]);
            // SAFETY: made from a tensor that lives.
            assert_eq!(unsafe { super::tensor(&values.raw()[0].t) }.unwrap(), tensor, "{of}");
        }
        let strings = TensorData::Bytes(["a", "", "long enough"].iter().collect());
        let tensor = Tensor::new(Shape::new(&[3]).unwrap(), strings).unwrap();
        // SAFETY: as above.
        assert_eq!(unsafe { super::tensor(&Values::of([("x", &tensor)]).raw()[0].t) }.unwrap(), tensor);
    }

    #[test]
    fn what_a_plugin_hands_over_is_not_believed() {
        let tensor = Tensor::new(Shape::new(&[2, 2]).unwrap(), TensorData::Bool(vec![0, 1, 2, 0])).unwrap();
        let good = Values::of([("x", &tensor)]).raw()[0].t;
        let values = Values::of([("x", &tensor)]);
        let whole = values.raw()[0].t;
        let (steps, negative) = ([1_i64, 2], [-1_i64, 2]);
        let cases = [
            (whole, "neither 0 nor 1"),
            (abi::Tensor { ndim: 9, ..good }, "too many dimensions"),
            (abi::Tensor { ndim: -1, ..good }, "too many dimensions"),
            (abi::Tensor { strides: ptr::null(), ..whole }, "not whole"),
            (abi::Tensor { device: abi::Device { type_: 2, id: 0 }, ..whole }, "not whole"),
            (abi::Tensor { data: ptr::null_mut(), ..whole }, "lies nowhere"),
            (abi::Tensor { strides: steps.as_ptr(), ..whole }, "C order"),
            (abi::Tensor { shape: negative.as_ptr(), ..whole }, "negative"),
            (abi::Tensor { dtype: abi::Dtype { code: 9, bits: 8, lanes: 1 }, ..whole }, "no known type"),
        ];
        for (raw, says) in cases {
            // SAFETY: what it points to lives or is refused before it is read.
            let error = unsafe { super::tensor(&raw) }.unwrap_err().to_string();
            assert!(error.contains(says), "{says}: {error}");
        }
    }
}
