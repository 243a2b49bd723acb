//! What an explainer is asked, and the model that it may call.
//!
//! The host lends the model through its extension `candor.host.predict/1`. It does not know which model that is.

use std::ptr;

use candor_plugin_abi::{self as abi, has};

use crate::{Call, Element, Error, Inputs, Result, Status, TensorView, call, host};

/// What an explainer is asked.
pub struct Question<'c> {
    /// The rows to explain.
    pub x: TensorView<'c>,
    /// Rows that stand for "absent", if there are any.
    pub background: Option<TensorView<'c>>,
    /// All inputs.
    pub inputs: Inputs<'c>,
}

impl<'c> Question<'c> {
    /// Reads a question.
    ///
    /// # Errors
    /// `Invalid` without `x`.
    pub(crate) fn of(inputs: Inputs<'c>) -> Result<Self> {
        Ok(Self { x: inputs.need("x")?, background: inputs.get("background"), inputs })
    }
}

/// The model that is explained.
pub struct Model<'c> {
    call: Call<'c>,
}

impl<'c> Model<'c> {
    pub(crate) fn of(call: Call<'c>) -> Self {
        Self { call }
    }

    /// Calls the model that is explained with one tensor of floats or integers.
    ///
    /// # Errors
    /// `Unsupported` when the host lends no model; whatever the model said.
    pub fn predict<T: Element>(&self, name: &str, shape: &[i64], data: &[T]) -> Result<Inputs<'c>> {
        self.named("", name, shape, data)
    }

    /// Calls a model by its name.
    ///
    /// # Errors
    /// As [`Model::predict`], and `NotFound` for a model that is not there.
    pub fn named<T: Element>(&self, model: &str, name: &str, shape: &[i64], data: &[T]) -> Result<Inputs<'c>> {
        let table = host::extension(abi::HOST_PREDICT_V1).cast::<abi::HostPredictV1>();
        let lent = || Error::unsupported("the host lends no model to explain");
        if table.is_null() {
            return Err(lent());
        }
        // SAFETY: a table of the host's, readable for its size, for as long as the process lives.
        let (predict, own) =
            unsafe { (has!(table => HostPredictV1.predict).flatten(), has!(table => HostPredictV1.self_)) };
        let (Some(predict), Some(own)) = (predict, own) else { return Err(lent()) };
        let elements = shape.iter().try_fold(1_usize, |product, &dim| product.checked_mul(usize::try_from(dim).ok()?));
        if elements != Some(data.len()) {
            return Err(Error::invalid(format!("{} elements do not fit the shape {shape:?}", data.len())));
        }
        let strides = row_major(shape);
        let value = abi::Value {
            name: abi::Str::of(name),
            t: abi::Tensor {
                data: data.as_ptr().cast_mut().cast(),
                device: abi::Device::CPU,
                ndim: i32::try_from(shape.len()).map_err(|_| Error::invalid("the shape has too many dimensions"))?,
                dtype: T::DTYPE,
                shape: shape.as_ptr(),
                strides: strides.as_ptr(),
                byte_offset: 0,
            },
            flags: 0,
            reserved: 0,
        };
        let (mut out, mut n) = (ptr::null(), 0);
        // SAFETY: the call is the host's own; everything lives until it returns. The answer is the host's and lives
        // until our own call returns.
        unsafe {
            let status =
                predict(own, self.call.raw(), abi::Str::of(model), &raw const value, 1, &raw mut out, &raw mut n);
            match Status::of(status) {
                None => Ok(call::answered(out, n)),
                Some(status) => Err(Error::new(status, "the model did not answer")),
            }
        }
    }
}

/// Steps in C order.
pub(crate) fn row_major(shape: &[i64]) -> Vec<i64> {
    let mut step = 1_i64;
    let mut strides: Vec<i64> = shape
        .iter()
        .rev()
        .map(|&size| {
            let own = step;
            step = step.saturating_mul(size.max(1));
            own
        })
        .collect();
    strides.reverse();
    strides
}
