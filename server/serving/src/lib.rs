//! Serving answers: it keeps versions ready and takes a request from admission to reply.
//!
//! Before it: a door that has read a request's head. After it: nothing but the reply and its facts.
//! Knows the model repository, versions, leases, threads; knows nothing of HTTP, JSON bodies or any
//! engine's types. Doors hand in a [`Codec`], wiring hands in an engine.
//!
//! | module | what it does |
//! |---|---|
//! | [`repository`] | what lies in the model folder, and which of it counts |
//! | [`cross_check`] | a second engine answers too: at load, and for a share of live traffic |
//! | `compare` | whether two tensors say the same |
//! | [`engines`] | which engine runs which version, and what ran it before |
//! | [`features`] | what people call the columns of inputs, and what outputs are to them |
//! | [`registry`] | which versions are in memory and in which state; leases |
//! | [`residency`] | more models than memory: who is in memory, who leaves, who waits |
//! | [`pipeline`] | one inference: admit, lease, decode, check, run, encode, remember |
//! | [`stages`] | what a model is made of beside a graph: components before, after and in the place of an engine |
//! | [`oip`] | what the Open Inference Protocol means, whatever the wire |
//! | [`callers`] | who is calling, may they, and how often |
//! | [`readiness`] | whether the server may get traffic |
//! | [`scheduler`] | threads that run inferences, and who of those that wait is next |
//! | [`batching`] | requests of one version run together |
//! | [`result_cache`] | answers that are kept, for those who ask the same again |
//! | [`memory`] | what the process holds of the machine's memory |
//! | `pool` | named threads behind a bounded queue |
//! | [`breaker`] | the breaker of a version, and what happened at it |
//! | [`bodies`] | how much memory all bodies together may take |
//! | [`overload`] | who is refused for want of room |
//! | [`faults`] | faults on order, around a session's run |
//! | [`facts`] | per-worker counters and histograms of each version |
//! | `kept` | small files that outlive the process |
//! | [`tally`] | answers of a door by word |
//! | [`likeness`] | "did you mean …?" |

pub mod batching;
pub mod bodies;
pub mod breaker;
pub mod callers;
mod compare;
pub mod cross_check;
pub mod engines;
pub mod facts;
pub mod faults;
pub mod features;
mod kept;
pub mod likeness;
pub mod memory;
pub mod oip;
mod opened;
pub mod overload;
pub mod pipeline;
mod pool;
pub mod readiness;
pub mod registry;
pub mod repository;
pub mod residency;
pub mod result_cache;
pub mod scheduler;
pub mod stages;
pub mod tally;

pub use batching::{BatchNote, BatchTotals, BatchingSettings, BatchingView, Delay, SizeTotals};
pub use bodies::{Bodies, Counted, Held};
pub use breaker::{BreakerDefaults, BreakerTotals, BreakerView};
pub use callers::{Callers, Quota, Tokens};
pub use cross_check::{CrossCheckReport, CrossCheckSettings, CrossCheckState};
pub use engines::{EngineChoice, EngineId, Engines, PassedOver};
pub use facts::{FactsTotals, LATENCY_BUCKETS_NANOS};
pub use faults::Faults;
pub use overload::OverloadDefaults;
pub use pipeline::{Call, Codec, InferRequest, Pipeline, PipelineSettings, Ran};
pub use pool::Pending;
pub use readiness::{Component, Readiness};
pub use registry::{
    FindingsSettings, IndexEntry, Lease, Meaning, Opened, ReadyVersion, Registry, RegistrySettings, Standing,
    VersionView,
};
pub use repository::{Manifest, PartLimits, Repository, RepositoryLimits, Role, VersionPolicy};
pub use result_cache::{CacheNote, ResultCacheSettings, ResultCacheView};
pub use scheduler::{Lane, Scheduler, SchedulerSettings};
pub use stages::{Part, PartTotals, Parts};
pub use tally::Tally;
