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
//! | [`replay`] | what a policy would have made of a trace of requests |

pub mod ledger;
pub mod policy;
pub mod replay;

#[cfg(test)]
mod tests;
