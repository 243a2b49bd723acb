//! ONNX Runtime as an engine: finds the library, makes sessions, runs them.
//!
//! Wiring calls [`OrtEngine::try_new`] once; after that serving sees only the traits of
//! `candor-domain`. No type of the `ort` crate leaves this room, because every call of that crate before
//! a library is loaded panics. This room does not know the registry, the doors, or the environment.
//!
//! | module | what it does |
//! |---|---|
//! | [`library`] | where the shared library is looked for, and what it is |
//! | `engine` | sessions out of model bytes that `candor-onnx` has scanned, signatures out of sessions |
//! | `maker` | sessions with the same options, of files and of copies |
//! | `copies` | optimised copies of files, kept so that later loads are quick |
//! | `twin` | a session that answers at once, and in whose place a faster one is put |
//! | `arena` | when a session gives memory back that only large requests needed |
//! | `processor` | what this processor can do, in a line |
//! | `codes` | the library's numbers in the server's words |
//! | `raw` | the one `unsafe` file: runs a session from many threads at once, maps a file, asks the system |

mod arena;
mod codes;
mod copies;
mod engine;
pub mod library;
mod maker;
mod processor;
mod raw;
mod twin;

pub use copies::CopySettings;
pub use engine::OrtEngine;
pub use processor::processor;

/// Gives memory that the process's C allocator holds free back to the system, and says whether there was any. ONNX
/// Runtime takes its memory from the same allocator as the rest of the process does.
#[must_use]
pub fn trim() -> bool {
    raw::trim()
}

/// Gives the calling thread this nice value, and turns on the processor of so many nanoseconds; 0: as long as is usual.
/// A thread that wakes up interrupts one with longer turns at once (Linux 6.12 and newer; older ones look at the nice
/// value alone). Threads that it makes begin with the same.
///
/// # Errors
/// When the system does not allow or know it; then nothing has changed.
pub fn take_turns(nice: i32, nanos: u64) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    return raw::take_turns(nice, nanos);
    #[cfg(not(target_os = "linux"))]
    Err(std::io::Error::from(std::io::ErrorKind::Unsupported)).inspect_err(|_| _ = (nice, nanos))
}
