//! What a call gave, where it lies: borrowed from the call until the next one.
//!
//! It does not know how an output was asked.
#![allow(unsafe_code, reason = "reads what plugins wrote into the arena")]

use std::slice;

use candor_domain::{
    error::Result,
    tensor::{BytesArray, Datatype, Shape, Tensor, TensorData},
};

use super::Inner;
use crate::values::{self, RANK_MAX};

/// Bytes of an output's shape and steps; its name lies behind them.
pub(super) const DIMS_BYTES: usize = 2 * RANK_MAX * size_of::<i64>();

/// An output, where it lies: all in the arena, so that an output allocates nothing.
pub(super) struct Slot {
    name: *const u8,
    name_bytes: usize,
    datatype: Datatype,
    dims: *const i64,
    rank: usize,
    elements: usize,
    data: *const u8,
    strings: Option<Box<BytesArray>>,
}

impl Slot {
    /// An output whose dimensions, steps and name lie at `kept`.
    pub(super) fn new(
        name: &str,
        kept: *const i64,
        rank: usize,
        datatype: Datatype,
        elements: usize,
        data: *const u8,
        strings: Option<Box<BytesArray>>,
    ) -> Self {
        let start = kept.cast::<u8>().wrapping_add(DIMS_BYTES);
        Self { name: start, name_bytes: name.len(), datatype, dims: kept, rank, elements, data, strings }
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        // SAFETY: a copy of a name that was UTF-8, in the arena, which is not reset while there are slots.
        unsafe { std::str::from_utf8_unchecked(slice::from_raw_parts(self.name, self.name_bytes)) }
    }
}

/// What a call gave, where it lies.
#[derive(Clone, Copy)]
pub struct Outputs<'c>(pub(super) &'c Inner);

impl<'c> Outputs<'c> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.slots.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.slots.is_empty()
    }

    /// The outputs in the order in which they were asked.
    pub fn iter(&self) -> impl Iterator<Item = Output<'c>> + use<'c> {
        self.0.slots.iter().map(Output)
    }

    /// The output of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Output<'c>> {
        self.iter().find(|output| output.name() == name)
    }
}

/// One output, where it lies.
#[derive(Clone, Copy)]
pub struct Output<'c>(&'c Slot);

impl<'c> Output<'c> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'c str {
        self.0.name()
    }

    /// The type of its elements.
    #[must_use]
    pub fn datatype(&self) -> Datatype {
        self.0.datatype
    }

    /// Sizes of its dimensions.
    #[must_use]
    pub fn dims(&self) -> &'c [i64] {
        // SAFETY: in the arena, which is not reset while the outputs are borrowed.
        unsafe { slice::from_raw_parts(self.0.dims, self.0.rank) }
    }

    /// Its elements as bytes in C order; none for strings.
    #[must_use]
    pub fn bytes(&self) -> &'c [u8] {
        let len = self.0.datatype.element_bytes().unwrap_or(0) * self.0.elements;
        // SAFETY: as in `dims`; so many bytes were given out, and zeroed.
        unsafe { slice::from_raw_parts(self.0.data, len) }
    }

    /// Its elements, if they are strings.
    #[must_use]
    pub fn strings(&self) -> Option<&'c BytesArray> {
        self.0.strings.as_deref()
    }

    /// Its elements, if they are single-precision numbers.
    #[must_use]
    pub fn floats(&self) -> Option<&'c [f32]> {
        // SAFETY: as in `bytes`; aligned to 64 bytes, and every bit pattern is a number.
        (self.0.datatype == Datatype::Fp32)
            .then(|| unsafe { slice::from_raw_parts(self.0.data.cast(), self.0.elements) })
    }

    /// The output as a tensor of the server's own, copied.
    ///
    /// # Errors
    /// `EngineFailed` for booleans that are neither 0 nor 1.
    pub fn to_tensor(&self) -> Result<Tensor> {
        let data = match &self.0.strings {
            Some(strings) => TensorData::Bytes((**strings).clone()),
            None => values::copied(self.0.datatype, self.0.elements, self.bytes())
                .map_err(|error| error.at(format!("output {}", self.name())))?,
        };
        Tensor::new(Shape::new(self.dims())?, data)
    }
}
