//! Limits of the gRPC door, each with its unit in its name. Values come from the configuration.

use std::time::Duration;

use candor_serving::oip::TensorLimits;

/// What callers may do.
#[derive(Debug, Clone)]
pub struct GrpcLimits {
    /// Largest message, as sent and after decompression.
    pub message_bytes_max: usize,
    /// Longest time for the message of a unary call to arrive.
    pub message_read_max: Duration,
    /// What the tensors of a request may be.
    pub tensors: TensorLimits,
    /// Open connections at most; more wait in the system's queue.
    pub connections_max: usize,
    /// Calls of one connection at the same time.
    pub calls_per_connection_max: u32,
    /// Requests of one inference stream that are worked on at the same time.
    pub stream_inflight_max: usize,
    /// How long a stream may go without a message when nothing is worked on for it.
    pub stream_idle_max: Duration,
    /// How long a client may take to make room for the next piece of an answer.
    pub answer_read_max: Duration,
    /// How long a connection may go without a call.
    pub connection_idle_max: Option<Duration>,
    /// How old a connection may become.
    pub connection_age_max: Option<Duration>,
    /// How long the calls of one that has become too old may still take.
    pub connection_age_grace: Duration,
    /// How long a connection may be silent before it is asked whether it is still there.
    pub keep_alive: Duration,
    /// How long it then has for an answer.
    pub keep_alive_wait: Duration,
}
