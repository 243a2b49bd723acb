//! Limits of the HTTP door, each with its unit in its name. Values come from the configuration.

use std::time::Duration;

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
    /// Most elements of one tensor.
    pub tensor_elements_max: usize,
    /// Most dimensions of one tensor.
    pub tensor_rank_max: usize,
    /// Most tensors in one request.
    pub tensors_max: usize,
    /// Longest tensor name, request id, or parameter name or value.
    pub name_bytes_max: usize,
    /// Smallest reply that is compressed for a client that accepts it.
    pub compress_bytes_min: usize,
}
