//! The messages of `proto/onnx.proto` as prost makes them, and the table of their fields.

#![allow(clippy::all, reason = "generated")]

include!(concat!(env!("OUT_DIR"), "/onnx.rs"));

use crate::survey::{Content, Field, Shape};

include!(concat!(env!("OUT_DIR"), "/shapes.rs"));
