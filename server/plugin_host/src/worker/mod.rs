//! A plugin in a process of its own: the same library, loaded by the same steps, called through shared memory.
//!
//! ```text
//! server: Isolated ── order and memory over a socket ──►  worker: serve()
//!         inputs into the memory, bell ──►                    ◄── outputs into the memory, bell
//!         deadline: cancel, wait a little, kill, begin anew     lines and numbers over the socket
//! ```
//! The worker is hostile by assumption: whatever it writes is copied first and believed after it was checked. It knows
//! how to start a worker, and not what the program around it is.
//!
//! | module | what it does |
//! |---|---|
//! | `memory` | the shared memory and the messages in it |
//! | `control` | the socket: order, bells, lines, numbers |
//! | `confine` | what a worker may not ask of the system |
//! | `serve` | the worker's side |
//! | `process` | the server's side: starts a process and hears it |
//! | `isolated` | the server's side: makes calls |

mod confine;
mod control;
mod isolated;
mod memory;
mod process;
mod serve;

pub(crate) use control::{Offer, Task};
pub(crate) use isolated::order;
pub use isolated::{Counts, Isolated, WorkerSettings};
pub use memory::Named;
pub(crate) use process::Around;
pub use process::WorkerProgram;
pub use serve::serve;
