//! What a cross-check has found, put together.

use std::fmt;

use candor_domain::Tensor;

use crate::{
    compare::{Apart, compare},
    engines::EngineId,
};

/// How two engines stand to each other on one version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CrossCheckState {
    /// Not yet known.
    #[default]
    Pending,
    /// All that was compared is the same within the tolerance.
    Agreed,
    /// Something was not.
    Disagreed,
    /// The second engine takes the file and did not answer what the first one answered.
    Failed,
    /// Nothing was compared.
    None,
}

impl CrossCheckState {
    /// The word of descriptions.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Agreed => "agreed",
            Self::Disagreed => "disagreed",
            Self::Failed => "failed",
            Self::None => "none",
        }
    }
}

/// The first values that differ by more than the tolerance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// Name of the output.
    pub output: String,
    /// Row within the batch, from 0.
    pub row: usize,
    /// What the engine that serves says.
    pub served: String,
    /// What the second one says.
    pub second: String,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { output, row, served, second } = self;
        write!(f, "output '{output}', row {row}: {served} and {second}")
    }
}

/// Requests of live traffic by what became of their samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LiveCounts {
    /// Chosen; all others add up to this, but for those that still wait.
    pub sampled: u64,
    /// Compared, and the same.
    pub agreed: u64,
    /// Compared, and not the same.
    pub disagreed: u64,
    /// Not answered by the second engine.
    pub failed: u64,
    /// Not compared, because too many waited or the tensors were too large.
    pub dropped: u64,
}

/// What is known of one version.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CrossCheckReport {
    /// How they stand.
    pub state: CrossCheckState,
    /// The second engine, if one was asked.
    pub engine: Option<EngineId>,
    /// Why nothing was compared, or why it failed.
    pub reason: Option<String>,
    /// Rows that were compared.
    pub rows: u64,
    /// The largest |a − b| ÷ max(1, |b|) of numbers with a fraction.
    pub largest_difference: f64,
    /// The first values that differ.
    pub disagreement: Option<Disagreement>,
    /// Live traffic, where it is checked.
    pub live: Option<LiveCounts>,
}

impl fmt::Display for CrossCheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.state.word())?;
        if let Some(engine) = &self.engine {
            write!(f, ": {engine}, {} rows, largest difference {:.1e}", self.rows, self.largest_difference)?;
        }
        if let Some(disagreement) = &self.disagreement {
            write!(f, "; {disagreement}")?;
        }
        match &self.reason {
            Some(reason) => write!(f, "; {reason}"),
            None => Ok(()),
        }
    }
}

/// What a comparison of one run's outputs gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Compared {
    pub(super) rows: u64,
    pub(super) largest: f64,
    pub(super) disagreement: Option<Disagreement>,
}

impl CrossCheckReport {
    /// Nothing was compared.
    pub(crate) fn none(why: impl Into<String>) -> Self {
        Self { state: CrossCheckState::None, reason: Some(why.into()), ..Self::default() }
    }

    /// The second engine did not do its part.
    pub(super) fn failed(engine: Option<EngineId>, why: String) -> Self {
        Self { state: CrossCheckState::Failed, engine, reason: Some(why), ..Self::default() }
    }

    /// Adds one run. Who has disagreed once does not agree again.
    pub(super) fn add(&mut self, compared: &Compared) {
        self.rows += compared.rows;
        self.largest_difference = self.largest_difference.max(compared.largest);
        if self.disagreement.is_none() {
            self.disagreement.clone_from(&compared.disagreement);
        }
        self.state = match (&self.disagreement, self.state) {
            (Some(_), _) => CrossCheckState::Disagreed,
            (None, CrossCheckState::Failed) => CrossCheckState::Failed,
            (None, _) => CrossCheckState::Agreed,
        };
        if self.state != CrossCheckState::Failed {
            self.reason = None;
        }
    }
}

/// Compares what two engines gave for one request; `outputs` are the names of what was asked for, in its order.
pub(super) fn compare_all(outputs: &[&str], served: &[Tensor], second: &[Tensor], tolerance: f64) -> Compared {
    let mut all = Compared::default();
    for ((output, served), second) in outputs.iter().zip(served).zip(second) {
        let rows = served.shape().dims().first().copied().and_then(|rows| usize::try_from(rows).ok()).unwrap_or(1);
        all.rows = all.rows.max(rows as u64);
        let apart = match compare(served, second, tolerance) {
            Ok(distance) => {
                all.largest = all.largest.max(distance.largest);
                distance.apart
            }
            Err(_) => {
                let shown = |tensor: &Tensor| format!("{} {}", tensor.datatype(), tensor.shape());
                Some(Apart { element: 0, want: shown(served), got: shown(second) })
            }
        };
        let a_row = served.data().len().checked_div(rows).unwrap_or(1).max(1);
        all.disagreement = all.disagreement.or_else(|| {
            let Apart { element, want, got } = apart?;
            Some(Disagreement { output: (*output).to_owned(), row: element / a_row, served: want, second: got })
        });
    }
    let missing = outputs.get(served.len().min(second.len())).filter(|_| served.len() != second.len());
    all.disagreement = all.disagreement.or_else(|| {
        let outputs = |given: &[Tensor]| format!("{} outputs", given.len());
        let (served, second) = (outputs(served), outputs(second));
        Some(Disagreement { output: (*missing?).to_owned(), row: 0, served, second })
    });
    all
}
