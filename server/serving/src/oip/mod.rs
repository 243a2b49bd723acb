//! What the Open Inference Protocol means, whatever the wire: shared by the doors.
//!
//! Doors read their own wire and bring their own places into errors; what a name, a shape, a wish or a counter
//! means is said here, once.
//!
//! | module | what it does |
//! |---|---|
//! | [`bytes`] | tensors as bytes |
//! | [`inputs`] | names, datatypes and shapes of a request, within limits; inputs in signature order |
//! | [`classification`] | the top classes of an output |
//! | [`describe`] | what the server and a version say of themselves |
//! | [`control`] | what a request to load may carry |
//! | [`statistics`] | counters as the statistics extension gives them |

pub mod bytes;
pub mod classification;
pub mod control;
pub mod describe;
pub mod inputs;
pub mod statistics;

pub use inputs::{Inputs, TensorLimits};
