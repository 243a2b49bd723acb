//! What a ready version tells of its parts: what each is, where it comes from, and how long it takes.
//!
//! The pipeline counts the laps of a run here; metrics and descriptions read. Counters outlive the version, as all facts
//! do. It does not run anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use candor_domain::{Component, ComponentOrigin, Signature, TensorSpec};
use crossbeam_utils::CachePadded;

use crate::facts::{Facts, Histogram, HistogramTotals, thread_number};

/// What a part is to the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A stage before the engine.
    Before,
    /// The engine.
    Engine,
    /// A member of an ensemble.
    Member,
    /// What makes one answer of the members'.
    Combiner,
    /// A stage after the engine.
    After,
}

impl Role {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Engine => "engine",
            Self::Member => "member",
            Self::Combiner => "combiner",
            Self::After => "after",
        }
    }
}

/// One part of a version.
#[derive(Clone)]
pub struct Part {
    /// What it is called in timings, errors and metrics.
    pub name: String,
    /// What it is to the version.
    pub role: Role,
    /// The component that does it; none for an engine that reads a graph, and for a member.
    pub id: Option<String>,
    /// Names of what it is given, as the model calls it.
    pub inputs: Vec<String>,
    /// Names of what it gives, as the model calls it.
    pub outputs: Vec<String>,
    /// Whether it may run on a thread that others wait for.
    pub inline: bool,
    /// Whether the same inputs give the same outputs, as far as it tells.
    pub deterministic: bool,
    pub(crate) component: Option<Arc<dyn Component>>,
}

impl Part {
    /// An engine that reads a graph.
    pub(crate) fn engine(signature: &Signature) -> Self {
        let named = |specs: &[TensorSpec]| specs.iter().map(|spec| spec.name.to_string()).collect();
        let (inputs, outputs) = (named(&signature.inputs), named(&signature.outputs));
        let (name, role) = ("engine".to_owned(), Role::Engine);
        Self { name, role, id: None, inputs, outputs, inline: true, deterministic: true, component: None }
    }

    /// Where its component comes from now.
    #[must_use]
    pub fn origin(&self) -> Option<ComponentOrigin> {
        self.component.as_ref().map(|component| component.origin())
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.role.word(), self.name)
    }
}

/// `tokenizer (candor.tokenizer, candor-text 1.0.0)`.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match (&self.id, self.origin()) {
            (Some(id), Some(origin)) => write!(f, " ({id}, {} {})", origin.plugin, origin.version),
            (Some(id), None) => write!(f, " ({id})"),
            (None, _) => Ok(()),
        }
    }
}

/// The parts of a version in the order in which they run; none for a version that is a graph and nothing else.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    parts: Vec<Part>,
    facts: Vec<Arc<PartFacts>>,
}

impl Parts {
    /// Parts in their order. One that is called like one before it gets its role behind its name.
    pub(crate) fn new(mut parts: Vec<Part>) -> Self {
        let mut names = BTreeSet::new();
        for part in &mut parts {
            while !names.insert(part.name.clone()) {
                part.name = format!("{} ({})", part.name, part.role.word());
            }
        }
        Self { parts, facts: Vec::new() }
    }

    /// Whether there is only an engine.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// In their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Part> {
        self.parts.iter()
    }

    /// From now on their times are counted there.
    pub(crate) fn count_in(&mut self, facts: &Facts) {
        self.facts = self.parts.iter().map(|part| facts.part(&part.name)).collect();
    }

    /// Counts the parts of a run that are over; of one that failed, the part that came next did.
    pub(crate) fn count(&self, laps: &[u64], failed: bool) {
        for (facts, &nanos) in self.facts.iter().zip(laps) {
            facts.took(nanos);
        }
        if failed && let Some(facts) = self.facts.get(laps.len()) {
            facts.failures.fetch_add(1, Relaxed);
        }
    }

    /// Names of the parts with what each took.
    pub fn named<'a>(&'a self, laps: &'a [u64]) -> impl Iterator<Item = (&'a str, u64)> {
        self.parts.iter().zip(laps).map(|(part, &nanos)| (&*part.name, nanos))
    }

    /// The whole as one line.
    #[must_use]
    pub fn line(&self) -> String {
        self.parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" → ")
    }
}

/// Counters of one part.
#[derive(Debug)]
pub(crate) struct PartFacts {
    shards: Box<[CachePadded<Histogram>]>,
    failures: AtomicU64,
}

/// Counters of one part, added up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartTotals {
    /// The part.
    pub name: String,
    /// How long its runs took that ended well.
    pub times: HistogramTotals,
    /// Runs of the version that ended here.
    pub failures: u64,
}

impl PartFacts {
    pub(crate) fn new(threads: usize) -> Self {
        Self { shards: (0..threads.max(1)).map(|_| CachePadded::default()).collect(), failures: AtomicU64::new(0) }
    }

    fn took(&self, nanos: u64) {
        if let Some(shard) = self.shards.get(thread_number() % self.shards.len()) {
            shard.record(nanos);
        }
    }

    pub(crate) fn totals(&self, name: &str) -> PartTotals {
        let mut times = HistogramTotals::default();
        self.shards.iter().for_each(|shard| shard.add_to(&mut times));
        PartTotals { name: name.to_owned(), times, failures: self.failures.load(Relaxed) }
    }
}

/// Counters of the parts of a version, by name, whatever loads of it there were.
pub(crate) type PartBook = BTreeMap<String, Arc<PartFacts>>;
