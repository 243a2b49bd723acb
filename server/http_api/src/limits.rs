//! Limits of the HTTP door, each with its unit in its name. Values come from the configuration.

use std::time::Duration;

use candor_serving::oip::TensorLimits;

/// What a request may be.
#[derive(Debug, Clone)]
pub struct HttpLimits {
    /// Largest body as sent.
    pub body_bytes_max: usize,
    /// Largest body after decompression.
    pub decompressed_bytes_max: usize,
    /// Longest time for a body to arrive.
    pub body_read_max: Duration,
    /// Deepest nesting of JSON.
    pub json_depth_max: usize,
    /// What the tensors of a request may be.
    pub tensors: TensorLimits,
    /// Smallest reply that is compressed for a client that accepts it.
    pub compress_bytes_min: usize,
}
