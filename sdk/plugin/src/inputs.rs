//! The inputs of a call: named tensors, borrowed from the host for as long as the call lasts.
//!
//! Everything that the tables say is checked before it is believed: devices, types, shapes, steps. It does not know
//! what a kind calls its inputs.

use std::{borrow::Cow, slice};

use candor_plugin_abi as abi;

use crate::{Error, Result};

mod sealed {
    pub trait Sealed {}
}

/// A number that tensors are made of.
pub trait Element: sealed::Sealed + Copy + Send + Sync + 'static {
    /// Its type in the interface.
    const DTYPE: abi::Dtype;
}

macro_rules! elements {
    ($($type:ty => $dtype:ident)+) => {$(
        impl sealed::Sealed for $type {}
        impl Element for $type {
            const DTYPE: abi::Dtype = abi::Dtype::$dtype;
        }
    )+};
}

elements! {
    u8 => U8  u16 => U16  u32 => U32  u64 => U64
    i8 => I8  i16 => I16  i32 => I32  i64 => I64
    f32 => F32  f64 => F64
}

/// The inputs of one call.
#[derive(Clone, Copy)]
pub struct Inputs<'c> {
    values: &'c [abi::Value],
}

impl<'c> Inputs<'c> {
    /// # Safety
    /// `values` and all that they point to must be as the header says, during `'c`.
    pub(crate) unsafe fn new(values: *const abi::Value, n: u32) -> Self {
        if values.is_null() || n == 0 {
            return Self { values: &[] };
        }
        // SAFETY: not null, and the caller answers for the rest.
        Self { values: unsafe { slice::from_raw_parts(values, n as usize) } }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The inputs in the host's order.
    pub fn iter(&self) -> impl Iterator<Item = TensorView<'c>> + use<'c> {
        self.values.iter().map(|value| TensorView { value })
    }

    /// The input of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<TensorView<'c>> {
        self.iter().find(|view| view.name_bytes() == name.as_bytes())
    }

    /// The input of this name, or an error that says which ones came.
    ///
    /// # Errors
    /// `Invalid` when it is not there.
    pub fn need(&self, name: &str) -> Result<TensorView<'c>> {
        self.get(name).ok_or_else(|| {
            let came: Vec<Cow<'_, str>> = self.iter().map(|view| String::from_utf8_lossy(view.name_bytes())).collect();
            Error::invalid(format!("there is no input `{name}`; there is {}", came.join(", ")))
        })
    }
}

/// A tensor of the host's, to read.
#[derive(Clone, Copy)]
pub struct TensorView<'c> {
    value: &'c abi::Value,
}

impl<'c> TensorView<'c> {
    fn name_bytes(&self) -> &'c [u8] {
        // SAFETY: whoever made the inputs answers for what they point to, during `'c`.
        unsafe { self.value.name.bytes() }
    }

    /// Its name.
    ///
    /// # Errors
    /// `Invalid` when it is not UTF-8.
    pub fn name(&self) -> Result<&'c str> {
        std::str::from_utf8(self.name_bytes()).map_err(|_| Error::invalid("the name of an input is not UTF-8"))
    }

    /// The type of its elements.
    #[must_use]
    pub fn dtype(&self) -> abi::Dtype {
        self.value.t.dtype
    }

    fn dims(&self, of: *const i64) -> &'c [i64] {
        let ndim = self.value.t.ndim.clamp(0, abi::NDIM_MAX);
        if of.is_null() || ndim == 0 {
            return &[];
        }
        // SAFETY: as in `name_bytes`; shape and strides have `ndim` numbers.
        unsafe { slice::from_raw_parts(of, usize::try_from(ndim).unwrap_or(0)) }
    }

    /// Sizes of its dimensions, outermost first.
    #[must_use]
    pub fn shape(&self) -> &'c [i64] {
        self.dims(self.value.t.shape)
    }

    /// Steps of its dimensions, in elements.
    #[must_use]
    pub fn strides(&self) -> &'c [i64] {
        self.dims(self.value.t.strides)
    }

    /// Number of elements.
    ///
    /// # Errors
    /// `Invalid` for a shape that cannot be.
    pub fn elements(&self) -> Result<usize> {
        let product =
            self.shape().iter().try_fold(1_usize, |product, &dim| product.checked_mul(usize::try_from(dim).ok()?));
        product.ok_or_else(|| self.bad(&format!("its shape {:?} cannot be", self.shape())))
    }

    fn bad(&self, what: &str) -> Error {
        Error::invalid(format!("input `{}`: {what}", String::from_utf8_lossy(self.name_bytes())))
    }

    /// Whether the elements lie one after another in C order.
    #[must_use]
    pub fn is_contiguous(&self) -> bool {
        let (shape, strides) = (self.shape(), self.strides());
        let mut step = 1_i64;
        shape.len() == strides.len()
            && shape.iter().zip(strides).rev().all(|(&size, &stride)| {
                let fits = size <= 1 || stride == step;
                step = step.saturating_mul(size);
                fits
            })
    }

    /// The first element, if the data is of this type and where the processor can read it.
    fn start<T>(&self, dtype: abi::Dtype) -> Result<*const T> {
        let tensor = &self.value.t;
        if tensor.device.type_ != abi::DEVICE_CPU {
            return Err(self.bad("it does not lie in the processor's memory"));
        }
        if tensor.dtype != dtype {
            return Err(self.bad(&format!("its elements are {}, expected {}", shown(tensor.dtype), shown(dtype))));
        }
        let offset = usize::try_from(tensor.byte_offset).map_err(|_| self.bad("its offset cannot be"))?;
        let start = tensor.data.cast_const().cast::<u8>().wrapping_add(offset).cast::<T>();
        if start.is_null() || !start.is_aligned() {
            return Err(self.bad("its data is not aligned to its elements"));
        }
        Ok(start)
    }

    fn contiguous<T>(&self, dtype: abi::Dtype) -> Result<&'c [T]> {
        let elements = self.elements()?;
        if elements == 0 {
            return Ok(&[]);
        }
        let start = self.start::<T>(dtype)?;
        if !self.is_contiguous() {
            return Err(self.bad("its elements do not lie one after another; use `to_vec`"));
        }
        // SAFETY: not null, aligned, of this type and in C order; the host answers for as many elements as the shape
        // has, during `'c`, and nobody writes them.
        Ok(unsafe { slice::from_raw_parts(start, elements) })
    }

    /// The elements, where they lie.
    ///
    /// # Errors
    /// `Invalid` for another type of elements, and for elements that do not lie one after another.
    pub fn slice<T: Element>(&self) -> Result<&'c [T]> {
        self.contiguous(T::DTYPE)
    }

    /// The elements of a tensor of booleans: each 0 or 1.
    ///
    /// # Errors
    /// As [`TensorView::slice`].
    pub fn bools(&self) -> Result<&'c [u8]> {
        self.contiguous(abi::Dtype::BOOL)
    }

    /// The elements of a tensor of half-precision numbers or brain floats, as their bits.
    ///
    /// # Errors
    /// As [`TensorView::slice`].
    pub fn halves(&self) -> Result<&'c [u16]> {
        self.contiguous(if self.dtype() == abi::Dtype::BF16 { abi::Dtype::BF16 } else { abi::Dtype::F16 })
    }

    /// The elements of a tensor of strings.
    ///
    /// # Errors
    /// As [`TensorView::slice`].
    pub fn strings(&self) -> Result<impl ExactSizeIterator<Item = &'c [u8]> + use<'c>> {
        let strings: &'c [abi::Str] = self.contiguous(abi::Dtype::STR)?;
        // SAFETY: as in `name_bytes`.
        Ok(strings.iter().map(|string| unsafe { string.bytes() }))
    }

    /// The elements in C order, copied; for tensors of any steps.
    ///
    /// # Errors
    /// `Invalid` for another type of elements.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        let elements = self.elements()?;
        if elements == 0 {
            return Ok(Vec::new());
        }
        if self.is_contiguous() {
            return self.slice::<T>().map(<[T]>::to_vec);
        }
        let (start, shape, strides) = (self.start::<T>(T::DTYPE)?, self.shape(), self.strides());
        if strides.len() != shape.len() {
            return Err(self.bad("it has no steps"));
        }
        let mut index = [0_i64; abi::NDIM_MAX as usize];
        let mut out = Vec::with_capacity(elements);
        for _ in 0..elements {
            let offset: i64 = index.iter().zip(strides).map(|(&at, &stride)| at.wrapping_mul(stride)).sum();
            // SAFETY: the index lies within the shape, and the host answers for all that the steps lead to.
            out.push(unsafe { start.wrapping_offset(isize::try_from(offset).unwrap_or(0)).read() });
            for (at, &size) in index.iter_mut().zip(shape).take(shape.len()).rev() {
                *at += 1;
                if *at < size {
                    break;
                }
                *at = 0;
            }
        }
        Ok(out)
    }
}

fn shown(dtype: abi::Dtype) -> String {
    let name = match dtype.code {
        abi::DTYPE_BOOL => "bool",
        abi::DTYPE_UINT => "uint",
        abi::DTYPE_INT => "int",
        abi::DTYPE_FLOAT => "float",
        abi::DTYPE_BFLOAT => "bfloat",
        abi::DTYPE_OPAQUE if dtype == abi::Dtype::STR => return "strings".to_owned(),
        _ => return format!("of the unknown type {}", dtype.code),
    };
    if dtype == abi::Dtype::BOOL { name.to_owned() } else { format!("{name}{}", dtype.bits) }
}
