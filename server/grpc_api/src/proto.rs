//! The messages and the service of `proto/` as tonic makes them, and their descriptor.
//!
//! `ModelInferRequest` is not among them: [`crate::wire`] reads it by hand.

#![allow(
    missing_docs,
    clippy::all,
    clippy::wildcard_enum_match_arm,
    clippy::indexing_slicing,
    unreachable_pub,
    unused_qualifications,
    reason = "generated"
)]

tonic::include_proto!("inference");

/// The descriptor of `proto/`, for reflection.
pub(crate) const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));
