//! Names, tensors and values. Frozen: they lie in arrays. The layout of a tensor is DLPack's.
//!
//! Beside the layouts stand the few conversions that both sides need. It does not know who owns what it points to.

use core::{ffi::c_void, ptr};

layout! {
    /// Text or bytes: pointer and length, no NUL at the end.
    candor_str Frozen 16 = struct Str {
        /// The first byte; may be null if there are none.
        0 => ptr: *const u8,
        /// How many bytes.
        8 => len: usize,
    }

    /// Where data lies, by DLPack's numbers.
    #[derive(Debug, PartialEq, Eq)]
    candor_device Frozen 8 = struct Device {
        /// 1 is the processor's memory.
        0 => type_: i32,
        /// Which of them.
        4 => id: i32,
    }

    /// The type of an element, by DLPack's numbers.
    #[derive(Debug, PartialEq, Eq, Hash)]
    candor_dtype Frozen 4 = struct Dtype {
        /// Integer, float and so on.
        0 => code: u8,
        /// Bits of one element.
        1 => bits: u8,
        /// 1.
        2 => lanes: u16,
    }

    /// DLPack's `DLTensor`, field for field.
    candor_tensor Frozen 48 = struct Tensor {
        /// The elements; may be null if there are none.
        0 => data: *mut c_void,
        /// Where they lie.
        8 => device: Device,
        /// Number of dimensions.
        16 => ndim: i32,
        /// The type of an element.
        20 => dtype: Dtype,
        /// Sizes of the dimensions, outermost first.
        24 => shape: *const i64,
        /// Steps of the dimensions in elements; never null if there are dimensions.
        32 => strides: *const i64,
        /// Bytes from `data` to the first element.
        40 => byte_offset: u64,
    }

    /// A tensor with its name.
    candor_value Frozen 80 = struct Value {
        /// The name.
        0 => name: Str,
        /// The tensor.
        16 => t: Tensor,
        /// None yet.
        64 => flags: u64,
        /// 0.
        72 => reserved: u64,
    }
}

impl Str {
    /// No text.
    pub const EMPTY: Self = Self { ptr: ptr::null(), len: 0 };

    /// Borrows a text; whoever takes it must not outlive it.
    #[must_use]
    pub const fn of(text: &str) -> Self {
        Self::of_bytes(text.as_bytes())
    }

    /// Borrows bytes; whoever takes them must not outlive them.
    #[must_use]
    pub const fn of_bytes(bytes: &[u8]) -> Self {
        Self { ptr: bytes.as_ptr(), len: bytes.len() }
    }

    /// The bytes.
    ///
    /// # Safety
    /// `ptr` must be readable for `len` bytes during `'a`, or `len` be 0.
    #[must_use]
    #[allow(unsafe_code, reason = "turns a pointer and a length from the other side into a slice")]
    pub const unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.len == 0 || self.ptr.is_null() {
            return &[];
        }
        // SAFETY: not null, and the caller answers for the length and the lifetime.
        unsafe { core::slice::from_raw_parts(self.ptr, self.len) }
    }
}

impl Device {
    /// The processor's memory.
    pub const CPU: Self = Self { type_: 1, id: 0 };
}

impl Dtype {
    const fn new(code: u8, bits: u8) -> Self {
        Self { code, bits, lanes: 1 }
    }

    /// Bytes that are 0 or 1.
    pub const BOOL: Self = Self::new(6, 8);
    /// `uint8`.
    pub const U8: Self = Self::new(1, 8);
    /// `uint16`.
    pub const U16: Self = Self::new(1, 16);
    /// `uint32`.
    pub const U32: Self = Self::new(1, 32);
    /// `uint64`.
    pub const U64: Self = Self::new(1, 64);
    /// `int8`.
    pub const I8: Self = Self::new(0, 8);
    /// `int16`.
    pub const I16: Self = Self::new(0, 16);
    /// `int32`.
    pub const I32: Self = Self::new(0, 32);
    /// `int64`.
    pub const I64: Self = Self::new(0, 64);
    /// Half precision.
    pub const F16: Self = Self::new(2, 16);
    /// Brain floats.
    pub const BF16: Self = Self::new(4, 16);
    /// Single precision.
    pub const F32: Self = Self::new(2, 32);
    /// Double precision.
    pub const F64: Self = Self::new(2, 64);
    /// Elements are [`Str`].
    pub const STR: Self = Self::new(3, 128);

    /// Every type that occurs.
    pub const ALL: [Self; 14] = [
        Self::BOOL,
        Self::U8,
        Self::U16,
        Self::U32,
        Self::U64,
        Self::I8,
        Self::I16,
        Self::I32,
        Self::I64,
        Self::F16,
        Self::BF16,
        Self::F32,
        Self::F64,
        Self::STR,
    ];

    /// Bytes of one element; `None` for a type that does not occur.
    #[must_use]
    pub const fn bytes(self) -> Option<usize> {
        // Asked for each output, so it looks through no list.
        match (self.lanes, self.code, self.bits) {
            (1, 0 | 1, 8 | 16 | 32 | 64) | (1, 2, 16 | 32 | 64) | (1, 3, 128) | (1, 4, 16) | (1, 6, 8) => {
                Some(self.bits as usize / 8)
            }
            _ => None,
        }
    }
}
