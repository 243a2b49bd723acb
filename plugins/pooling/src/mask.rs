//! Which tokens count, read of whatever type the mask is.
//!
//! It does not know what is pooled.

use candor_plugin_sdk::{Element, Error, Result, TensorView, abi::Dtype};

/// 0 or 1 for every token of every row, in C order.
pub struct Mask(Vec<f64>);

impl Mask {
    pub(crate) fn of(view: TensorView<'_>, rows: i64, length: i64) -> Result<Self> {
        let name = view.name().unwrap_or("the mask");
        if view.shape() != [rows, length] {
            let shape = view.shape();
            return Err(Error::invalid(format!("`{name}` has the shape {shape:?}, expected [{rows}, {length}]")));
        }
        let dtype = view.dtype();
        let numbers = if dtype == Dtype::I64 {
            read::<i64>(&view, |one| if one == 0 { Some(0.0) } else { (one == 1).then_some(1.0) })
        } else if dtype == Dtype::I32 {
            read::<i32>(&view, |one| if one == 0 { Some(0.0) } else { (one == 1).then_some(1.0) })
        } else if dtype == Dtype::U8 {
            read::<u8>(&view, |one| if one == 0 { Some(0.0) } else { (one == 1).then_some(1.0) })
        } else if dtype == Dtype::BOOL {
            Ok(view.bools()?.iter().map(|&one| Some(f64::from(u8::from(one != 0)))).collect())
        } else if dtype == Dtype::F32 {
            read::<f32>(&view, |one| [0.0_f64, 1.0].into_iter().find(|&bit| bit.to_bits() == f64::from(one).to_bits()))
        } else {
            Err(Error::invalid(format!(
                "`{name}` has elements of a type that no mask has; expected INT64, INT32, UINT8, BOOL or FP32"
            )))
        };
        let whole: Option<Vec<f64>> = numbers?.into_iter().collect();
        whole.map(Self).ok_or_else(|| Error::invalid(format!("`{name}` has a number that is neither 0 nor 1")))
    }

    /// The row of this number.
    pub(crate) fn row(&self, row: usize, length: usize) -> &[f64] {
        self.0.chunks_exact(length.max(1)).nth(row).unwrap_or_default()
    }
}

fn read<T: Element>(view: &TensorView<'_>, bit: impl Fn(T) -> Option<f64>) -> Result<Vec<Option<f64>>> {
    Ok(view.to_vec::<T>()?.into_iter().map(bit).collect())
}
