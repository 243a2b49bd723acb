//! The Open Inference Protocol's messages to tensors and back.
//!
//! A `ModelInferRequest` is kept as its bytes until the version is known, and then read once, within limits,
//! straight into typed buffers: protobuf's own types would take a hundred times the size of a message of many empty
//! parts, and one more copy of every element.
//!
//! | module | what it does |
//! |---|---|
//! | `request` | an infer request: head, inputs, outputs, raw or typed |
//! | `reply` | an infer reply, in the form of its request |
//! | `contents` | typed contents into elements |
//! | `params` | `parameters` maps |
//! | `fields` | the protobuf wire format |

mod contents;
mod fields;
mod params;
mod reply;
mod request;

#[cfg(test)]
mod tests;

pub use request::{InferCodec, InferMessage};
