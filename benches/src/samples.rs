//! What was measured: one series of numbers for each request, target and quantity, in order of rounds.

use std::collections::BTreeMap;

use crate::stats::{Summary, paired};

/// What a request was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// `Session::run` of ONNX Runtime, in this process.
    Engine,
    /// Decoding and encoding, JSON.
    CodecJson,
    /// Decoding and encoding, tensors as bytes.
    CodecBinary,
    /// The whole pipeline over the null engine, JSON.
    NullJson,
    /// The whole pipeline over the null engine, tensors as bytes.
    NullBinary,
    /// The same as JSON without a breaker.
    NullNoBreaker,
    /// A call through a closed breaker, and nothing else.
    Breaker,
    /// The same while a second thread does it too.
    BreakerShared,
    /// A started server, JSON.
    HttpJson,
    /// A started server, tensors as bytes.
    HttpBinary,
    /// A started server, rows of named features.
    HttpRows,
    /// A started server, gRPC with raw contents.
    Grpc,
    /// A started server over the null engine, JSON.
    NullServer,
    /// The handler that only parses the JSON.
    Bare,
}

impl Target {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Engine => "engine alone",
            Self::CodecJson => "codec, JSON",
            Self::CodecBinary => "codec, binary",
            Self::NullJson => "null pipeline, JSON",
            Self::NullBinary => "null pipeline, binary",
            Self::NullNoBreaker => "null pipeline, JSON, no breaker",
            Self::Breaker => "breaker alone",
            Self::BreakerShared => "breaker alone, two threads",
            Self::HttpJson => "HTTP JSON",
            Self::HttpBinary => "HTTP binary",
            Self::HttpRows => "HTTP named rows",
            Self::Grpc => "gRPC",
            Self::NullServer => "HTTP JSON, null engine",
            Self::Bare => "bare handler",
        }
    }
}

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quantity {
    /// CPU microseconds per request: of the thread in this process, of the whole server over HTTP.
    CpuUs,
    /// Wall-clock microseconds per request, in this process.
    WallUs,
    /// Requests per second, closed loop.
    PerSecond,
    /// Median latency in microseconds, closed loop.
    P50Us,
    /// 99th percentile of the latency in microseconds, closed loop.
    P99Us,
    /// Arrivals per second, open loop.
    OpenRate,
    /// CPU microseconds per request, open loop.
    OpenCpuUs,
    /// Median latency from the intended moment of sending, open loop.
    OpenP50Us,
    /// 99th percentile of the same.
    OpenP99Us,
    /// 99th percentile of how late our own client began to send.
    OpenLagP99Us,
    /// Requests that were not answered soon after the schedule's end.
    OpenUnanswered,
}

/// All series.
#[derive(Debug, Default)]
pub struct Samples(BTreeMap<(usize, Target, Quantity), Vec<f64>>);

impl Samples {
    /// Appends this round's value.
    pub fn push(&mut self, case: usize, target: Target, quantity: Quantity, value: f64) {
        self.0.entry((case, target, quantity)).or_default().push(value);
    }

    /// One series; empty if it was not measured.
    pub fn series(&self, case: usize, target: Target, quantity: Quantity) -> &[f64] {
        self.0.get(&(case, target, quantity)).map(Vec::as_slice).unwrap_or_default()
    }

    /// Median and range of one series.
    pub fn summary(&self, case: usize, target: Target, quantity: Quantity) -> Option<Summary> {
        Summary::of(self.series(case, target, quantity))
    }

    /// CPU of `a` divided by that of `b`, round by round.
    pub fn cpu_ratio(&self, case: usize, a: Target, b: Target) -> Option<Summary> {
        let (a, b) = (self.series(case, a, Quantity::CpuUs), self.series(case, b, Quantity::CpuUs));
        Summary::of(&paired(a, b, |a, b| a / b))
    }

    /// CPU that `whole` uses beyond the engine, round by round.
    pub fn added_cpu(&self, case: usize, whole: Target) -> Vec<f64> {
        let engine = self.series(case, Target::Engine, Quantity::CpuUs);
        paired(self.series(case, whole, Quantity::CpuUs), engine, |whole, engine| whole - engine)
    }

    /// CPU that `a` uses beyond `b`, round by round.
    pub fn cpu_difference(&self, case: usize, a: Target, b: Target) -> Option<Summary> {
        let (a, b) = (self.series(case, a, Quantity::CpuUs), self.series(case, b, Quantity::CpuUs));
        Summary::of(&paired(a, b, |a, b| a - b))
    }

    /// CPU that `whole` uses beyond the engine, divided by what the bare handler uses.
    pub fn added_cpu_over_bare(&self, case: usize, whole: Target) -> Option<Summary> {
        let bare = self.series(case, Target::Bare, Quantity::CpuUs);
        Summary::of(&paired(&self.added_cpu(case, whole), bare, |added, bare| added / bare))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_rounds() {
        let mut samples = Samples::default();
        for (engine, http, bare) in [(4.0, 24.0, 10.0), (8.0, 48.0, 20.0), (4.0, 34.0, 10.0)] {
            samples.push(0, Target::Engine, Quantity::CpuUs, engine);
            samples.push(0, Target::HttpJson, Quantity::CpuUs, http);
            samples.push(0, Target::Bare, Quantity::CpuUs, bare);
        }
        assert_eq!(samples.added_cpu(0, Target::HttpJson), [20.0, 40.0, 30.0]);
        let added = samples.added_cpu_over_bare(0, Target::HttpJson);
        assert_eq!(added, Some(Summary { median: 2.0, min: 2.0, max: 3.0 }));
        let ratio = samples.cpu_ratio(0, Target::HttpJson, Target::Bare);
        assert_eq!(ratio, Some(Summary { median: 2.4, min: 2.4, max: 3.4 }));
        assert_eq!(samples.cpu_ratio(1, Target::HttpJson, Target::Bare), None);
    }
}
