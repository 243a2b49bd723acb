//! `OneHotEncoder`: every element becomes a row of zeros with a one where its category stands.

use candor_domain::{Datatype, Error, Result, Shape, Tensor, TensorData, tensor::RANK_MAX};
use candor_onnx::Dim;

use super::{
    attributes::{int, ints, strings},
    numbers::cells,
    table::{Repeated, Table},
};
use crate::{
    kernel::{Args, Build, Built, Kernel},
    workspace::Buffers,
};

/// Builds it. An unknown category is a row of zeros, or an error if `zeros` is 0.
pub(super) fn one_hot_encoder(build: &Build<'_>) -> Result<Built> {
    let known = build.input(0)?;
    let ints = ints(build, "cats_int64s")?;
    let texts = strings(build, "cats_strings")?;
    let wants_texts = match known.datatype {
        Datatype::Bytes => true,
        Datatype::Int64 | Datatype::Int32 | Datatype::Fp32 | Datatype::Fp64 => false,
        Datatype::Bool
        | Datatype::Uint8
        | Datatype::Uint16
        | Datatype::Uint32
        | Datatype::Uint64
        | Datatype::Int8
        | Datatype::Int16
        | Datatype::Fp16
        | Datatype::Bf16 => return Err(build.wrong_datatype(0, "BYTES, INT64, INT32, FP32 or FP64")),
    };
    if ints.is_empty() == texts.is_empty() || wants_texts == texts.is_empty() {
        return Err(Error::model("there must be one list of categories, of the input's kind")
            .expected(if wants_texts { "cats_strings alone" } else { "cats_int64s alone" })
            .got(format!("{} integers and {} strings", ints.len(), texts.len())));
    }
    // ONNX Runtime lets the last of equal categories count.
    let table = if wants_texts {
        Table::of_strings(texts.iter().map(|text| &**text), Repeated::Last)?
    } else {
        Table::of_ints(ints.iter().copied().map(Some), Repeated::Last)?
    };
    let categories = ints.len().max(texts.len());
    let may_be_unknown = int(build, "zeros", 1)? != 0;
    let mut dims = known.dims.clone();
    if let Some(dims) = &mut dims {
        dims.push(Dim::Fixed(categories as u64));
    }
    Built::one(OneHot { table, categories, may_be_unknown }, Datatype::Fp32, dims)
}

struct OneHot {
    table: Table,
    categories: usize,
    may_be_unknown: bool,
}

impl OneHot {
    /// Where an element's category stands. Floats count as the integer towards zero.
    fn find_all(&self, data: &TensorData, mut each: impl FnMut(Option<usize>)) -> Result<()> {
        if let TensorData::Fp32(held) = data {
            held.iter().for_each(|number| each(self.table.int(truncated(f64::from(*number)))));
            return Ok(());
        }
        if let TensorData::Fp64(held) = data {
            held.iter().for_each(|number| each(self.table.int(truncated(*number))));
            return Ok(());
        }
        self.table.find_all(data, each)
    }
}

/// Towards zero; what is no 64-bit integer becomes the smallest, as on the processors that ONNX Runtime was
/// made for. Rust's own cast would make NaN the category 0.
#[allow(clippy::cast_possible_truncation, reason = "within the range of 64 bits")]
fn truncated(number: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&number) { number as i64 } else { i64::MIN }
}

impl Kernel for OneHot {
    fn run(&self, args: &mut Args<'_>, buffers: &mut Buffers, made: &mut Vec<Tensor>) -> Result<()> {
        let tensor = args.get(0)?;
        let count = cells(tensor.data().len(), self.categories);
        let mut hot = buffers.take::<f32>(count)?;
        hot.resize(count, 0.0);
        let (mut rows, mut at, mut unknown) = (hot.chunks_exact_mut(self.categories), 0_usize, None);
        self.find_all(tensor.data(), |category| {
            let row = rows.next();
            match category {
                Some(category) => {
                    row.and_then(|row| row.get_mut(category)).into_iter().for_each(|cell| *cell = 1.0);
                }
                None => unknown = unknown.or(Some(at)),
            }
            at += 1;
        })?;
        if let Some(at) = unknown.filter(|_| !self.may_be_unknown) {
            return Err(Error::invalid("a category is unknown, and the model allows none that is")
                .expected(format!("one of {} categories", self.categories))
                .got(format!("element {at}")));
        }
        let mut dims = [0; RANK_MAX];
        let known = tensor.shape().dims();
        let whole = known.iter().copied().chain([i64::try_from(self.categories).unwrap_or(i64::MAX)]);
        dims.iter_mut().zip(whole).for_each(|(dim, size)| *dim = size);
        let dims = dims.get(..=known.len()).ok_or_else(|| {
            Error::invalid("the input has too many dimensions").expected(format!("less than {RANK_MAX}"))
        })?;
        made.push(Tensor::new(Shape::new(dims)?, TensorData::Fp32(hot))?);
        Ok(())
    }
}
