//! The scan: what a model file could do to the machine that loads it, found before any engine sees it.
//!
//! Looks at everything in the file, used or not: graphs within graphs, functions, sparse initializers,
//! training. docs/SCAN.md says what is looked for and why. Reads no more of other files than indices of
//! sparse tensors; starts nothing, follows no link.

mod calls;
mod content;
mod external;
mod values;

use std::fmt;

use crate::{
    error::{Error, ErrorKind},
    external::Folder,
    limits::{Census, Limits},
    model::Model,
    walk::walk,
};

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Works, and may not do what is meant.
    Warn,
    /// Must not be loaded.
    Refuse,
}

impl Severity {
    /// In one word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warn => "warn",
            Self::Refuse => "refuse",
        }
    }
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Not ONNX, or cut short.
    File,
    /// More than the limits allow.
    Limit,
    /// Against the specification.
    Graph,
    /// Types that this reader does not know.
    Unsupported,
    /// Weights in other files.
    External,
    /// A value that nothing makes, a circle, unsorted nodes.
    Order,
    /// Operators of other domains.
    Domain,
    /// Versions of operator sets and of the format.
    Version,
    /// Values whose size is fixed by the file and large.
    Size,
    /// Loops whose length is fixed by the file and large.
    Loop,
    /// Functions that call each other in a circle, or grow when they are put in place.
    Function,
    /// Sparse tensors.
    Sparse,
    /// Work that depends on the values of inputs.
    Cost,
    /// Graphs for training.
    Training,
}

impl Topic {
    /// In one word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Limit => "limit",
            Self::Graph => "graph",
            Self::Unsupported => "unsupported",
            Self::External => "external",
            Self::Order => "order",
            Self::Domain => "domain",
            Self::Version => "version",
            Self::Size => "size",
            Self::Loop => "loop",
            Self::Function => "function",
            Self::Sparse => "sparse",
            Self::Cost => "cost",
            Self::Training => "training",
        }
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How grave it is.
    pub severity: Severity,
    /// What it is about.
    pub topic: Topic,
    /// What, where, what was expected and what came.
    pub problem: Error,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.severity.word(), self.topic.word(), self.problem)
    }
}

/// What the scan has found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scan {
    /// The gravest first.
    pub findings: Vec<Finding>,
    /// Findings that were counted and not kept, because there are too many.
    pub more: usize,
    /// Whether a run's work may depend on the values of its inputs and not only on their shapes.
    pub cost_depends_on_values: bool,
    /// Where a node stands whose output is drawn by chance, the first of them: the same inputs need not give the same
    /// answer twice.
    pub random: Option<String>,
    /// What was counted, if the file could be read so far.
    pub census: Census,
    /// The model, if it could be read.
    pub model: Option<Model>,
}

/// Findings that are kept.
const KEPT_MAX: usize = 100;

impl Scan {
    /// Scans a file that lies in `folder`.
    #[must_use]
    pub fn of(file: &[u8], folder: &Folder, limits: &Limits) -> Self {
        match Model::from_slice(file, limits) {
            Ok(model) => Self::of_model(model, folder, limits),
            Err(error) => {
                let mut scan = Self::default();
                scan.refuse(topic(error.kind()), error);
                scan
            }
        }
    }

    /// Scans a model that has been read.
    #[must_use]
    pub fn of_model(model: Model, folder: &Folder, limits: &Limits) -> Self {
        let mut scan = Self { census: model.census, ..Self::default() };
        content::look(&model, &mut scan);
        calls::look(&model, limits, &mut scan);
        walk(&model, &mut values::Values::new(limits, &mut scan));
        let mut external = external::Files::new(folder, limits, &mut scan);
        walk(&model, &mut external);
        external.sum_up();
        scan.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        scan.model = Some(model);
        scan
    }

    /// The gravest finding, if the file must not be loaded.
    #[must_use]
    pub fn refusal(&self) -> Option<&Error> {
        let gravest = self.findings.first().filter(|finding| finding.severity == Severity::Refuse);
        gravest.map(|finding| &finding.problem)
    }

    fn add(&mut self, severity: Severity, topic: Topic, problem: Error) {
        let finding = Finding { severity, topic, problem };
        if self.findings.len() < KEPT_MAX {
            self.findings.push(finding);
            return;
        }
        self.more += 1;
        // What matters is kept, however much comes before it.
        if severity == Severity::Refuse
            && let Some(milder) = self.findings.iter_mut().find(|kept| kept.severity < severity)
        {
            *milder = finding;
        }
    }

    fn refuse(&mut self, topic: Topic, problem: Error) {
        self.add(Severity::Refuse, topic, problem);
    }

    fn warn(&mut self, topic: Topic, problem: Error) {
        self.add(Severity::Warn, topic, problem);
    }

    fn note(&mut self, topic: Topic, problem: Error) {
        self.add(Severity::Note, topic, problem);
    }
}

const fn topic(kind: ErrorKind) -> Topic {
    match kind {
        ErrorKind::NotOnnx => Topic::File,
        ErrorKind::Limit => Topic::Limit,
        ErrorKind::Invalid => Topic::Graph,
        ErrorKind::Unsupported => Topic::Unsupported,
        ErrorKind::External => Topic::External,
    }
}
