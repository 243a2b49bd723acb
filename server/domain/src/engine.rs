//! Contracts of engines: an [`Engine`] turns a model file into a [`Session`]; a session runs.
//!
//! Engines implement these traits and nothing else of Candor; serving calls them and nothing else of
//! engines. What an engine cannot run correctly it refuses in [`Engine::load`].

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    clock::{Clock, Tick},
    error::Result,
    signature::Signature,
    tensor::Tensor,
};

/// What an engine is, for people and for the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// Short name, such as `ort`.
    pub name: &'static str,
    /// Version of the engine's runtime.
    pub version: String,
    /// Where its native library was found, if it has one.
    pub library: Option<PathBuf>,
    /// sha256 of that library, in hex.
    pub library_sha256: Option<String>,
    /// The platform name that clients of the Open Inference Protocol know.
    pub platform: &'static str,
    /// The backend name that clients of Triton know.
    pub backend: &'static str,
}

/// A model file, read and measured, together with the folder that it may refer to.
#[derive(Debug, Clone, Copy)]
pub struct ModelSource<'a> {
    /// The file's bytes: what is served is what was hashed.
    pub bytes: &'a [u8],
    /// The folder of the file. External data may come from here and from nowhere else.
    pub folder: &'a Path,
}

/// A session and what its graph says of itself.
pub struct LoadedModel {
    /// Ready to run.
    pub session: Box<dyn Session>,
    /// Declared inputs and outputs.
    pub signature: Signature,
    /// Producer, graph name, description and custom metadata of the file.
    pub properties: BTreeMap<String, String>,
    /// Whether a run's time may depend on the values of its inputs and not only on their shapes, as with loops.
    /// Such a version does not run on a thread that others wait for.
    pub cost_depends_on_values: bool,
    /// Where the graph draws by chance, if it does: then the same inputs need not give the same answer twice.
    pub random: Option<String>,
}

/// Turns model files into sessions.
pub trait Engine: Send + Sync {
    /// What this engine is.
    fn info(&self) -> &EngineInfo;

    /// Makes a session. May take seconds; called on the load pool only.
    ///
    /// # Errors
    /// `InvalidModel` with the reason when the file is broken; `Unsupported` when the file may be good and
    /// this engine cannot run it correctly, so that another engine may be asked.
    fn load(&self, source: ModelSource<'_>) -> Result<LoadedModel>;

    /// What it keeps of files so that later loads are quick; nothing, if it keeps none.
    fn copies(&self) -> Option<&dyn Copies> {
        None
    }
}

/// Copies that an engine keeps of model files, in a form of its own that loads faster. They are made after a load that
/// went well, and stand for the file with that digest and for nothing else.
pub trait Copies: Send + Sync {
    /// Begins to look for a copy of a file of this size, on the side, while the caller reads and hashes the file;
    /// `None` when there is none. Where the caller expects a digest (sha256 in hex), only a copy of that file counts.
    fn look(&self, file_bytes: u64, sha256: Option<&str>) -> Option<Box<dyn FoundCopy + '_>>;

    /// Whether there is no copy of this file and there should be one.
    fn wants(&self, sha256: &str, file_bytes: u64) -> bool;

    /// Makes a copy. May take seconds, and as much memory as a load does.
    ///
    /// # Errors
    /// Why there is none. What the file is good for does not depend on it.
    fn keep(&self, source: ModelSource<'_>, sha256: &str) -> Result<()>;

    /// Bytes that a session takes, beyond what one takes that was loaded from the file, for a file of this size.
    fn beside_bytes(&self, file_bytes: u64) -> u64;
}

/// A copy that may be that of a file whose digest is not known yet.
pub trait FoundCopy {
    /// Makes a session of it, if it is undamaged and a copy of the file with this sha256 (in hex).
    fn load(self: Box<Self>, sha256: &str) -> Option<LoadedModel>;
}

/// One loaded version, ready to run, from any number of threads at once.
pub trait Session: Send + Sync {
    /// Runs the graph on `inputs` (all of them, in signature order, already checked) and gives the
    /// outputs at the positions `wanted`, in that order.
    ///
    /// # Errors
    /// `InvalidInput` when the engine calls the inputs wrong, `Cancelled` after [`Cancel::cancel`],
    /// `EngineFailed` otherwise.
    fn run(&self, inputs: &[Tensor], wanted: &[usize], cancel: Option<&Cancel>) -> Result<Vec<Tensor>>;

    /// As [`Self::run`], for a request of which more is known. The inputs may be moved about meanwhile, and are as they
    /// were when this has ended well.
    ///
    /// # Errors
    /// As [`Self::run`].
    fn run_as(&self, inputs: &mut [Tensor], wanted: &[usize], run: &mut Run<'_>) -> Result<Vec<Tensor>> {
        self.run(inputs, wanted, run.cancel)
    }
}

/// One run for a request: what is known of it, and what the session tells of the run.
pub struct Run<'a> {
    /// Tells when nobody waits any more.
    pub cancel: Option<&'a Cancel>,
    /// When it is too late.
    pub deadline: Option<Tick>,
    /// The clock on which that is told.
    pub clock: &'a dyn Clock,
    /// How many models wait for this run, each for the one before it: 0 for a request of a client.
    pub depth: u32,
    /// Nanoseconds of each part of the session that is over, in their order; nothing for a session of one part.
    pub laps: Vec<u64>,
}

impl<'a> Run<'a> {
    /// A run for a client's request.
    #[must_use]
    pub fn new(clock: &'a dyn Clock, cancel: Option<&'a Cancel>, deadline: Option<Tick>) -> Self {
        Self { cancel, deadline, clock, depth: 0, laps: Vec::new() }
    }
}

/// Stops work that nobody waits for any more, from another thread.
#[derive(Default)]
pub struct Cancel {
    cancelled: AtomicBool,
    hook: Mutex<Option<CancelHook>>,
}

type CancelHook = Box<dyn Fn() + Send>;

impl Cancel {
    /// Cancels: marks it, and tells a run in progress. Later calls do nothing.
    pub fn cancel(&self) {
        if self.cancelled.swap(true, Ordering::SeqCst) {
            return;
        }
        if let Some(hook) = &*self.hook.lock().unwrap_or_else(PoisonError::into_inner) {
            hook();
        }
    }

    /// Whether it has been cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// While `work` runs, a cancellation calls `hook` (also when it came just before). The hook is never
    /// called after this returns. Where `work` does the same, the hook in use before hears of a cancellation when
    /// the inner one is done.
    pub fn with_hook<T>(&self, hook: impl Fn() + Send + 'static, work: impl FnOnce() -> T) -> T {
        struct Unhook<'a>(&'a Cancel, Option<CancelHook>);
        impl Drop for Unhook<'_> {
            fn drop(&mut self) {
                let mut slot = self.0.hook.lock().unwrap_or_else(PoisonError::into_inner);
                let before = self.1.take();
                if let Some(hook) = before.as_ref().filter(|_| self.0.is_cancelled()) {
                    hook();
                }
                *slot = before;
            }
        }
        let before = {
            let mut slot = self.hook.lock().unwrap_or_else(PoisonError::into_inner);
            if self.is_cancelled() {
                hook();
            }
            slot.replace(Box::new(hook))
        };
        let _unhook = Unhook(self, before);
        work()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, atomic::AtomicUsize};

    #[test]
    fn the_hook_hears_a_cancellation_before_and_during_the_work_but_not_after() {
        let calls = Arc::new(AtomicUsize::new(0));
        let count = |calls: &Arc<AtomicUsize>| {
            let calls = Arc::clone(calls);
            move || {
                calls.fetch_add(1, Ordering::SeqCst);
            }
        };
        let during = Cancel::default();
        during.with_hook(count(&calls), || during.cancel());
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        during.with_hook(count(&calls), || ());
        assert_eq!(calls.load(Ordering::SeqCst), 2);
        let (nested, outer) = (Cancel::default(), Arc::new(AtomicUsize::new(0)));
        nested.with_hook(count(&outer), || {
            nested.with_hook(count(&calls), || ());
            assert_eq!((outer.load(Ordering::SeqCst), calls.load(Ordering::SeqCst)), (0, 2));
            nested.cancel();
            assert_eq!(outer.load(Ordering::SeqCst), 1, "it is still there after another");
        });
        let (nested, told) = (Cancel::default(), Arc::new(AtomicUsize::new(0)));
        nested.with_hook(count(&told), || {
            nested.with_hook(|| (), || nested.cancel());
            assert_eq!(told.load(Ordering::SeqCst), 1, "it hears of what came meanwhile");
        });
        let after = Cancel::default();
        after.with_hook(count(&calls), || ());
        after.cancel();
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }
}
