//! Samples of live traffic: which requests, what is copied, and when it is not.
//!
//! Runs on the threads that answer, so it takes no lock there, and where nothing is sampled allocates nothing.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use candor_domain::{Datatype, Tensor, TensorData};

use super::{
    CrossCheck, CrossCheckSettings, Outbox, Second, dice,
    report::{LiveCounts, compare_all},
};

/// Larger requests are not copied; one that waits holds as much memory again.
const SAMPLE_BYTES_MAX: usize = 1 << 20;

/// What becomes of the live traffic of one version.
pub(crate) struct Live {
    /// A request is a sample if its throw is not above this.
    threshold: u64,
    requests: AtomicU64,
    second: OnceLock<Second>,
    outbox: Outbox,
    sampled: AtomicU64,
    agreed: AtomicU64,
    disagreed: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

/// A request that was answered, copied.
pub(crate) struct Sample {
    check: Arc<CrossCheck>,
    inputs: Vec<Tensor>,
    wanted: Vec<usize>,
    outputs: Vec<Tensor>,
}

impl Live {
    /// What `settings` say, if they want live traffic.
    pub(crate) fn new(settings: &CrossCheckSettings, outbox: &Outbox) -> Option<Self> {
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share"
        )]
        let threshold = (settings.live_share * u64::MAX as f64) as u64;
        (settings.live_share > 0.0).then(|| Self {
            threshold,
            requests: AtomicU64::new(0),
            second: OnceLock::new(),
            outbox: outbox.clone(),
            sampled: AtomicU64::new(0),
            agreed: AtomicU64::new(0),
            disagreed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        })
    }

    pub(super) fn counts(&self) -> LiveCounts {
        LiveCounts {
            sampled: self.sampled.load(Relaxed),
            agreed: self.agreed.load(Relaxed),
            disagreed: self.disagreed.load(Relaxed),
            failed: self.failed.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
        }
    }

    /// From now on there is a second engine to ask.
    pub(super) fn begin(&self, second: Second) {
        // A version has one trial.
        let _ = self.second.set(second);
    }

    /// Copies the request if it is a sample. As long as nobody could be asked, none is.
    pub(super) fn offer(&self, check: &Arc<CrossCheck>, inputs: &[Tensor], wanted: &[usize], outputs: &[Tensor]) {
        if self.second.get().is_none() || dice::throw(self.requests.fetch_add(1, Relaxed)) > self.threshold {
            return;
        }
        self.sampled.fetch_add(1, Relaxed);
        let bytes: usize = inputs.iter().chain(outputs).map(bytes_of).sum();
        let copied = || Sample {
            check: Arc::clone(check),
            inputs: inputs.to_vec(),
            wanted: wanted.to_vec(),
            outputs: outputs.to_vec(),
        };
        if bytes > SAMPLE_BYTES_MAX || !self.outbox.sample(copied) {
            self.dropped.fetch_add(1, Relaxed);
        }
    }
}

impl Sample {
    /// Asks the second engine and compares.
    pub(super) fn check(self) {
        let Some((live, second)) = self.check.live.as_ref().and_then(|live| Some((live, live.second.get()?))) else {
            return;
        };
        let Ok(answered) = second.run(&self.inputs, &self.wanted) else {
            live.failed.fetch_add(1, Relaxed);
            return;
        };
        let name = |wanted: &usize| self.check.outputs.get(*wanted).map_or("", String::as_str);
        let names: Vec<&str> = self.wanted.iter().map(name).collect();
        let mut compared = compare_all(&names, &self.outputs, &answered, self.check.tolerance);
        let texts: Vec<&str> =
            names.iter().zip(&self.outputs).filter(|(_, output)| is_text(output)).map(|(name, _)| *name).collect();
        if let Some(disagreement) = compared.disagreement.as_mut().filter(|one| texts.contains(&one.output.as_str())) {
            // What is kept is shown to others than the caller: one number says nothing of them, a text may.
            "a text".clone_into(&mut disagreement.served);
            "another text".clone_into(&mut disagreement.second);
        }
        let counter = if compared.disagreement.is_some() { &live.disagreed } else { &live.agreed };
        self.check.note_live(&compared);
        // Counted last: who waits for the count finds the rest in place.
        counter.fetch_add(1, Relaxed);
    }
}

fn is_text(tensor: &Tensor) -> bool {
    tensor.datatype() == Datatype::Bytes
}

fn bytes_of(tensor: &Tensor) -> usize {
    match (tensor.datatype().element_bytes(), tensor.data()) {
        (Some(bytes), data) => data.len().saturating_mul(bytes),
        // The end of each text is kept beside the texts.
        (None, TensorData::Bytes(texts)) => {
            texts.total_bytes().saturating_add(texts.len().saturating_mul(size_of::<usize>()))
        }
        // Only texts differ in length.
        (None, _) => 0,
    }
}
