//! `ZipMap`: scores under the names of their classes.

use candor_domain::{Datatype, Error, Result, Tensor};
use candor_engine_source::told;
use candor_onnx::extract::Labels;

use super::numbers::rows_of;
use crate::{
    kernel::{Args, Build, Built, Kernel},
    workspace::Buffers,
};

/// The protocol has no maps: the scores pass through as the tensor that they are, one column per class.
pub(super) fn zipmap(build: &Build<'_>) -> Result<Built> {
    let known = build.input(0)?;
    if known.datatype != Datatype::Fp32 {
        return Err(build.wrong_datatype(0, "FP32"));
    }
    let labels = Labels::attribute(build.node, "classlabels_int64s", "classlabels_strings");
    let classes = labels.map_err(|error| told(&error))?.len();
    if let Some(width) = build.width(0).filter(|width| *width != classes as u64) {
        return Err(Error::model("there are not as many classes as scores of a row")
            .expected(width.to_string())
            .got(classes.to_string()));
    }
    Built::one(ZipMap { classes }, Datatype::Fp32, known.dims.clone())
}

struct ZipMap {
    classes: usize,
}

impl Kernel for ZipMap {
    fn run(&self, args: &mut Args<'_>, _: &mut Buffers, made: &mut Vec<Tensor>) -> Result<()> {
        rows_of(args.get(0)?, self.classes)?;
        made.push(args.take(0)?);
        Ok(())
    }
}
