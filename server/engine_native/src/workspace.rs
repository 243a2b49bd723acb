//! Memory that runs use again: one workspace per thread, shared by all sessions on it.
//!
//! A plan takes vectors from here for what lies between its steps and gives them back after the last use, so
//! that a run allocates its outputs and nothing else. What a thread keeps is bounded.

use std::{cell::RefCell, mem};

use candor_domain::{Error, Result, Shape, Tensor, TensorData};

/// Most elements of one tensor that a kernel may make: a shape that a model computes can be anything.
const ELEMENTS_MAX: usize = 1 << 28;

/// Vectors beyond this are given back to the system and not kept.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// Most vectors of one type that a thread keeps.
const KEPT_MAX: usize = 16;

/// Vectors that wait to be used again.
#[derive(Default)]
pub(crate) struct Buffers {
    f32s: Vec<Vec<f32>>,
    f64s: Vec<Vec<f64>>,
    i64s: Vec<Vec<i64>>,
    i32s: Vec<Vec<i32>>,
    i16s: Vec<Vec<i16>>,
    i8s: Vec<Vec<i8>>,
    u64s: Vec<Vec<u64>>,
    u32s: Vec<Vec<u32>>,
    u16s: Vec<Vec<u16>>,
    u8s: Vec<Vec<u8>>,
}

/// Elements whose vectors are kept.
pub(crate) trait Pooled: Copy {
    fn kept(buffers: &mut Buffers) -> &mut Vec<Vec<Self>>;
}

macro_rules! pooled {
    ($($type:ty: $field:ident),*) => {
        $(impl Pooled for $type {
            fn kept(buffers: &mut Buffers) -> &mut Vec<Vec<Self>> {
                &mut buffers.$field
            }
        })*
    };
}

pooled!(f32: f32s, f64: f64s, i64: i64s, i32: i32s, i16: i16s, i8: i8s);
pooled!(u64: u64s, u32: u32s, u16: u16s, u8: u8s);

impl Buffers {
    /// An empty vector with room for `elements`.
    ///
    /// # Errors
    /// `InvalidInput` for more elements than a tensor may have, or than there is memory for.
    pub(crate) fn take<T: Pooled>(&mut self, elements: usize) -> Result<Vec<T>> {
        let mut vector = T::kept(self).pop().unwrap_or_default();
        room(&mut vector, elements)?;
        Ok(vector)
    }

    /// Takes back a vector that is used no more.
    pub(crate) fn give<T: Pooled>(&mut self, mut vector: Vec<T>) {
        let kept = T::kept(self);
        if kept.len() < KEPT_MAX && vector.capacity().saturating_mul(size_of::<T>()) <= KEPT_BYTES_MAX {
            vector.clear();
            kept.push(vector);
        }
    }

    /// Takes back a tensor that is used no more.
    pub(crate) fn give_tensor(&mut self, tensor: Tensor) {
        let data = tensor.into_parts().1;
        match data {
            TensorData::Fp32(vector) => self.give(vector),
            TensorData::Fp64(vector) => self.give(vector),
            TensorData::Int64(vector) => self.give(vector),
            TensorData::Int32(vector) => self.give(vector),
            TensorData::Int16(vector) => self.give(vector),
            TensorData::Int8(vector) => self.give(vector),
            TensorData::Uint64(vector) => self.give(vector),
            TensorData::Uint32(vector) => self.give(vector),
            TensorData::Uint16(vector) | TensorData::Fp16(vector) | TensorData::Bf16(vector) => self.give(vector),
            TensorData::Bool(vector) | TensorData::Uint8(vector) => self.give(vector),
            TensorData::Bytes(_) => {}
        }
    }
}

/// Makes room for `elements` in a vector, within what a tensor may have.
///
/// # Errors
/// As [`Buffers::take`].
pub(crate) fn room<T>(vector: &mut Vec<T>, elements: usize) -> Result<()> {
    bounded(elements)?;
    vector.try_reserve(elements).map_err(|_| Error::invalid("there is no memory for a tensor that the model makes"))
}

/// Checks that a tensor may have so many elements.
///
/// # Errors
/// `InvalidInput` if not.
pub(crate) fn bounded(elements: usize) -> Result<()> {
    if elements <= ELEMENTS_MAX {
        return Ok(());
    }
    Err(Error::invalid("the model makes a tensor that is too large")
        .expected(format!("at most {ELEMENTS_MAX} elements"))
        .got(elements.to_string()))
}

/// Checks that a shape is one of a tensor that could be, if all its dimensions had a size: without elements too,
/// loops go along the axes that have one.
///
/// # Errors
/// As [`bounded`].
pub(crate) fn bounded_shape(shape: &Shape) -> Result<()> {
    let size = |size: &i64| usize::try_from(*size).unwrap_or(usize::MAX).max(1);
    bounded(shape.dims().iter().map(size).fold(1, usize::saturating_mul))
}

/// What one run works in.
#[derive(Default)]
pub(crate) struct Workspace {
    pub(crate) buffers: Buffers,
    /// One per value that a step makes.
    pub(crate) slots: Vec<Option<Tensor>>,
    /// Outputs of the step that runs.
    pub(crate) made: Vec<Tensor>,
}

impl Workspace {
    /// Hands `work` this thread's workspace; a fresh one if it is in use, as when a run starts another.
    pub(crate) fn with<T>(work: impl FnOnce(&mut Self) -> T) -> T {
        thread_local! {
            static OF_THREAD: RefCell<Workspace> = RefCell::default();
        }
        OF_THREAD.with(|workspace| match workspace.try_borrow_mut() {
            Ok(mut workspace) => work(&mut workspace),
            Err(_) => work(&mut Self::default()),
        })
    }

    /// Empty slots for a plan.
    pub(crate) fn begin(&mut self, slots: usize) {
        self.end();
        self.slots.resize_with(slots, || None);
    }

    /// Takes back whatever is left.
    pub(crate) fn end(&mut self) {
        let Self { buffers, slots, made } = self;
        let left = slots.iter_mut().filter_map(mem::take).chain(made.drain(..));
        left.for_each(|tensor| buffers.give_tensor(tensor));
        slots.clear();
    }
}
