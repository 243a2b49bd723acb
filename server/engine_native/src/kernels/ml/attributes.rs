//! Attributes of a node, with the reader's errors in the words of the domain.

use candor_domain::Result;
use candor_engine_source::told;
use candor_onnx::{Bytes, Tensor};

use crate::kernel::Build;

/// Numbers; none if the node does not have them.
pub(super) fn floats<'a>(build: &Build<'a>, name: &str) -> Result<&'a [f32]> {
    Ok(build.node.floats(name).map_err(|error| told(&error))?.unwrap_or_default())
}

/// Integers; none if the node does not have them.
pub(super) fn ints<'a>(build: &Build<'a>, name: &str) -> Result<&'a [i64]> {
    Ok(build.node.ints(name).map_err(|error| told(&error))?.unwrap_or_default())
}

/// Strings; none if the node does not have them.
pub(super) fn strings<'a>(build: &Build<'a>, name: &str) -> Result<&'a [Bytes]> {
    Ok(build.node.strings(name).map_err(|error| told(&error))?.unwrap_or_default())
}

/// A tensor, if the node has it.
pub(super) fn tensor<'a>(build: &Build<'a>, name: &str) -> Result<Option<&'a Tensor>> {
    build.node.tensor(name).map_err(|error| told(&error))
}

/// A number, or what stands for it.
pub(super) fn float(build: &Build<'_>, name: &str, default: f32) -> Result<f32> {
    Ok(build.node.float(name).map_err(|error| told(&error))?.unwrap_or(default))
}

/// An integer, or what stands for it.
pub(super) fn int(build: &Build<'_>, name: &str, default: i64) -> Result<i64> {
    Ok(build.node.int(name).map_err(|error| told(&error))?.unwrap_or(default))
}

/// A string, or what stands for it.
pub(super) fn bytes<'a>(build: &Build<'a>, name: &str, default: &'static [u8]) -> Result<&'a [u8]> {
    Ok(build.node.bytes(name).map_err(|error| told(&error))?.map_or(default, |bytes| bytes))
}

/// A string as text, or what stands for it.
pub(super) fn text<'a>(build: &Build<'a>, name: &str, default: &'static str) -> Result<&'a str> {
    Ok(build.node.text(name).map_err(|error| told(&error))?.unwrap_or(default))
}
