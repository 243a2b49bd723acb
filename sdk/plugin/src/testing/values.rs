//! Inputs and outputs that own their memory, for tests.
//!
//! They know the layout of tensors and nothing of calls.

use candor_plugin_abi as abi;

use crate::{Element, kinds::row_major};

/// A cache line: outputs are aligned to 64 bytes.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
pub(super) struct CacheLine([u8; 64]);

/// Memory for so many bytes, zeroed and aligned.
pub(super) fn lines(bytes: usize) -> Vec<CacheLine> {
    vec![CacheLine([0; 64]); bytes.div_ceil(64).max(1)]
}

/// An input that owns its memory.
pub struct Input {
    name: String,
    dtype: abi::Dtype,
    shape: Vec<i64>,
    strides: Vec<i64>,
    memory: Vec<CacheLine>,
    strings: Vec<Vec<u8>>,
}

impl Input {
    /// A tensor of numbers in C order.
    pub fn new<T: Element>(name: &str, shape: &[i64], data: &[T]) -> Self {
        let elements: i64 = shape.iter().product();
        assert_eq!(i64::try_from(data.len()), Ok(elements), "the elements do not fit the shape");
        Self::strided(name, shape, &row_major(shape), data)
    }

    /// A tensor of numbers with steps of its own.
    pub fn strided<T: Element>(name: &str, shape: &[i64], strides: &[i64], data: &[T]) -> Self {
        let mut memory = lines(size_of_val(data));
        // SAFETY: there is room for as many bytes, and numbers may be copied as bytes.
        unsafe { memory.as_mut_ptr().cast::<T>().copy_from_nonoverlapping(data.as_ptr(), data.len()) };
        let (shape, strides) = (shape.to_vec(), strides.to_vec());
        Self { name: name.to_owned(), dtype: T::DTYPE, shape, strides, memory, strings: Vec::new() }
    }

    /// A tensor of strings.
    pub fn strings(name: &str, shape: &[i64], strings: &[&str]) -> Self {
        let strings: Vec<&[u8]> = strings.iter().map(|string| string.as_bytes()).collect();
        Self::bytes(name, shape, &strings)
    }

    /// A tensor of strings that need not be text.
    pub fn bytes(name: &str, shape: &[i64], strings: &[&[u8]]) -> Self {
        let strings: Vec<Vec<u8>> = strings.iter().map(|string| string.to_vec()).collect();
        let mut memory = lines(strings.len() * size_of::<abi::Str>());
        let first = memory.as_mut_ptr().cast::<abi::Str>();
        for (at, string) in strings.iter().enumerate() {
            // SAFETY: there is room for as many; what they point to is kept beside them.
            unsafe { first.add(at).write(abi::Str::of_bytes(string)) };
        }
        let (shape, strides) = (shape.to_vec(), row_major(shape));
        Self { name: name.to_owned(), dtype: abi::Dtype::STR, shape, strides, memory, strings }
    }

    /// As the interface has it; borrows.
    pub(super) fn value(&self) -> abi::Value {
        debug_assert!(
            self.dtype != abi::Dtype::STR || self.strings.len() == self.shape.iter().product::<i64>() as usize
        );
        abi::Value {
            name: abi::Str::of(&self.name),
            t: abi::Tensor {
                data: self.memory.as_ptr().cast_mut().cast(),
                device: abi::Device::CPU,
                ndim: i32::try_from(self.shape.len()).unwrap_or(i32::MAX),
                dtype: self.dtype,
                shape: self.shape.as_ptr(),
                strides: self.strides.as_ptr(),
                byte_offset: 0,
            },
            flags: 0,
            reserved: 0,
        }
    }
}

/// An output that owns its memory.
pub struct Output {
    /// Its name.
    pub name: String,
    /// The type of its elements.
    pub dtype: abi::Dtype,
    /// Sizes of its dimensions.
    pub shape: Vec<i64>,
    /// The elements of an output of strings.
    pub strings: Vec<Vec<u8>>,
    pub(super) strides: Vec<i64>,
    pub(super) memory: Vec<CacheLine>,
}

impl Output {
    /// An output of numbers, such as a model for an explainer gives.
    pub fn new<T: Element>(name: &str, shape: &[i64], data: &[T]) -> Self {
        let Input { name, dtype, shape, strides, memory, strings } = Input::new(name, shape, data);
        Self { name, dtype, shape, strings, strides, memory }
    }

    /// Its numbers.
    pub fn values<T: Element>(&self) -> Vec<T> {
        assert_eq!(self.dtype, T::DTYPE, "the output `{}` has elements of another type", self.name);
        let elements = self.shape.iter().map(|&dim| usize::try_from(dim).unwrap_or(0)).product();
        // SAFETY: the memory has room for as many, aligned, and every byte is a number.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr().cast::<T>(), elements) }.to_vec()
    }

    /// As the interface has it; borrows.
    pub(super) fn value(&self) -> abi::Value {
        abi::Value {
            name: abi::Str::of(&self.name),
            t: abi::Tensor {
                data: self.memory.as_ptr().cast_mut().cast(),
                device: abi::Device::CPU,
                ndim: i32::try_from(self.shape.len()).unwrap_or(i32::MAX),
                dtype: self.dtype,
                shape: self.shape.as_ptr(),
                strides: self.strides.as_ptr(),
                byte_offset: 0,
            },
            flags: 0,
            reserved: 0,
        }
    }
}

/// What a call gave.
#[derive(Default)]
pub struct Answer {
    /// The outputs, in the order in which they were asked.
    pub outputs: Vec<Output>,
    /// The artifacts, whole.
    pub artifacts: Vec<(String, Vec<u8>)>,
    /// How far it said that it was, and its notes.
    pub progress: Vec<(f64, String)>,
}

impl Answer {
    /// The output of this name.
    ///
    /// # Panics
    /// When it is not there.
    #[must_use]
    pub fn output(&self, name: &str) -> &Output {
        self.outputs.iter().find(|output| output.name == name).unwrap_or_else(|| panic!("there is no output `{name}`"))
    }

    /// The numbers of an output.
    ///
    /// # Panics
    /// When it is not there, or of another type.
    #[must_use]
    pub fn values<T: Element>(&self, name: &str) -> Vec<T> {
        self.output(name).values()
    }
}
