//! More models than memory: which sessions are in memory, who has to leave, who waits.
//!
//! The registry asks before it loads and tells what has become of it; what it must do comes back as a list. Before it:
//! a request for a version whose session is not in memory. After it: the load pool, and the thread that frees
//! sessions. Knows no file and no engine.
//!
//! | module | what it does |
//! |---|---|
//! | `ledger` | the byte budget as a state machine: reserve, evict, grant, release |
//! | `policy` | which session leaves first |
//! | [`weights`] | what each file takes, as measured |
//! | `seat` | a session in memory, and the place of one that comes and goes |
//! | `keeper` | the ledger with its hands: who asks, who is told, who loads |
//! | [`replay`] | what a policy would have made of a trace of requests |

mod keeper;
pub mod ledger;
pub mod policy;
pub mod replay;
mod seat;
pub mod weights;

pub use keeper::{ResidencySettings, ResidencyView};
pub use seat::Seated;

pub(crate) use keeper::{Ended, Keeper};
pub(crate) use seat::{ABSENT, Absent, Body, Departure, Place, Visited};

#[cfg(test)]
mod tests;
