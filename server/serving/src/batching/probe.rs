//! Rows alone and together, at load: are they answered the same, and what does a larger run cost?
//!
//! Before it: a version whose golden pairs have passed. After it: the plan. Rows come from golden pairs, or are made
//! up. What cannot be run says nothing: then it has not been measured.

use std::fmt;

use candor_domain::{Clock, ErrorCode, Result, Session, Signature, Tensor, TensorData};

use super::join::{concat, cut, rows_of, split};
use crate::{compare::compare, cross_check::made_up_rows, engines::caught, features::FeatureSet, repository::Golden};

/// Rows that are put together.
const ROWS: u64 = 8;
/// A run this long is not made more often than need be, and with two rows only.
const SLOW_NANOS: u64 = 100_000_000;
/// The larger run is measured so often, as long as it is no longer than this: what takes long varies little.
const RUNS: usize = 3;
const AGAIN_NANOS: u64 = 50_000_000;
/// A difference that is none: relative above 1, absolute below.
const NEAR: f64 = 1e-5;

/// Whether rows of a batch are answered as each alone.
#[derive(Debug, Clone, PartialEq)]
pub enum Invariance {
    /// Every bit is the same.
    BitEqual,
    /// The largest difference is this, at most 1e-5 of the scale.
    Near(f64),
    /// The largest difference is this.
    Apart(f64),
    /// Why nobody knows.
    NotMeasured(String),
}

impl Invariance {
    /// In a few words, for metadata.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::BitEqual => "bit-equal",
            Self::Near(_) => "within 1e-5",
            Self::Apart(_) => "no",
            Self::NotMeasured(_) => "not measured",
        }
    }
}

impl fmt::Display for Invariance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What the load found.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    pub(crate) invariance: Invariance,
    /// Rows and nanoseconds of a small run and of a larger one; empty where nothing was measured.
    pub(crate) points: Vec<(u64, u64)>,
}

/// A version that is being loaded.
pub(crate) struct Subject<'a> {
    pub(crate) session: &'a dyn Session,
    pub(crate) signature: &'a Signature,
    pub(crate) features: Option<&'a FeatureSet>,
    pub(crate) golden: Option<&'a Golden>,
    pub(crate) rows_max: u64,
    pub(crate) seed: u64,
    pub(crate) clock: &'a dyn Clock,
}

impl Probe {
    /// Nothing was measured, and why.
    pub(crate) fn none(why: impl Into<String>) -> Self {
        Self { invariance: Invariance::NotMeasured(why.into()), points: Vec::new() }
    }

    /// Measures.
    pub(crate) fn of(subject: &Subject<'_>) -> Self {
        if !subject.signature.is_batched() {
            return Self::none("nothing counts rows");
        }
        if subject.rows_max < 2 {
            return Self::none("a batch may have one row only");
        }
        let mut found = Self::none("there are no rows to try");
        let rows = ROWS.min(subject.rows_max);
        let golden = subject.golden_rows(rows);
        let made_up = || made_up_rows(subject.signature, subject.features, rows, subject.seed);
        for inputs in golden.into_iter().chain(std::iter::once_with(made_up).flatten()) {
            match subject.try_rows(&inputs) {
                Ok(probe) => return probe,
                Err(error) => found = Self::none(error.what().to_owned()),
            }
        }
        found
    }
}

impl Subject<'_> {
    /// At least two rows of golden pairs that fit together; rows that are all the same would tell nothing.
    fn golden_rows(&self, rows: u64) -> Option<Vec<Tensor>> {
        let cases = &self.golden?.cases;
        let cases: Vec<Vec<Tensor>> = cases.iter().filter_map(|case| case.inputs_for(self.signature).ok()).collect();
        let first = cases.first()?;
        let fits = |case: &&Vec<Tensor>| {
            case.iter().zip(first).all(|(one, other)| one.shape().dims().get(1..) == other.shape().dims().get(1..))
        };
        let cases: Vec<_> = cases.iter().filter(fits).collect();
        let input = |place: usize| -> Option<Tensor> {
            let parts: Option<Vec<&Tensor>> = cases.iter().map(|case| case.get(place)).collect();
            let all = concat(&parts?).ok()?;
            let there = rows_of(&all)?;
            cut(&all, 0..rows.min(there)).ok()
        };
        let inputs: Option<Vec<Tensor>> = (0..self.signature.inputs.len()).map(input).collect();
        inputs.filter(|inputs| inputs.first().and_then(rows_of).is_some_and(|rows| rows >= 2))
    }

    fn run(&self, inputs: &[Tensor]) -> Result<(Vec<Tensor>, u64)> {
        let wanted: Vec<usize> = (0..self.signature.outputs.len()).collect();
        let began = self.clock.now();
        let outputs = caught(ErrorCode::EngineFailed, || self.session.run(inputs, &wanted, None))?;
        Ok((outputs, self.clock.now().nanos_since(began)))
    }

    fn rows(&self, inputs: &[Tensor], range: std::ops::Range<u64>) -> Result<Vec<Tensor>> {
        inputs.iter().map(|input| cut(input, range.clone())).collect()
    }

    fn try_rows(&self, inputs: &[Tensor]) -> Result<Probe> {
        let mut rows = inputs.first().and_then(rows_of).unwrap_or(0);
        let (first, mut alone_nanos) = self.run(&self.rows(inputs, 0..1)?)?;
        let is_slow = alone_nanos > SLOW_NANOS;
        if is_slow {
            rows = rows.min(2);
        }
        let mut alone = vec![first];
        for row in 1..rows {
            let (outputs, nanos) = self.run(&self.rows(inputs, row..row + 1)?)?;
            alone_nanos = alone_nanos.min(nanos);
            alone.push(outputs);
        }
        let together = self.rows(inputs, 0..rows)?;
        let (outputs, mut nanos) = self.run(&together)?;
        for _ in 1..RUNS {
            if nanos > AGAIN_NANOS {
                break;
            }
            nanos = nanos.min(self.run(&together)?.1);
        }
        let each =
            u64::try_from(alone.len()).map(|rows| vec![1; usize::try_from(rows).unwrap_or(0)]).unwrap_or_default();
        let invariance = match split(&outputs, &each) {
            Ok(parts) => compared(&alone, &parts),
            Err(_) => Invariance::Apart(f64::MAX),
        };
        Ok(Probe { invariance, points: vec![(1, alone_nanos), (rows, nanos)] })
    }
}

fn compared(alone: &[Vec<Tensor>], together: &[Vec<Tensor>]) -> Invariance {
    let (mut largest, mut equal) = (0.0_f64, true);
    let pairs = alone.iter().flatten().zip(together.iter().flatten());
    for (want, got) in pairs {
        match compare(want, got, NEAR) {
            Ok(distance) if distance.apart.is_some() => return Invariance::Apart(distance.largest.max(NEAR)),
            Ok(distance) => {
                largest = largest.max(distance.largest);
                equal &= same_bits(want.data(), got.data());
            }
            Err(_) => return Invariance::Apart(f64::MAX),
        }
    }
    if equal { Invariance::BitEqual } else { Invariance::Near(largest) }
}

fn same_bits(one: &TensorData, other: &TensorData) -> bool {
    #[allow(clippy::wildcard_enum_match_arm, reason = "only numbers with a fraction have two ways of being equal")]
    match (one, other) {
        (TensorData::Fp32(one), TensorData::Fp32(other)) => {
            one.iter().map(|number| number.to_bits()).eq(other.iter().map(|number| number.to_bits()))
        }
        (TensorData::Fp64(one), TensorData::Fp64(other)) => {
            one.iter().map(|number| number.to_bits()).eq(other.iter().map(|number| number.to_bits()))
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use candor_domain::{Cancel, Datatype, Dim, Error, ManualClock, Shape, TensorSpec};

    use super::*;

    /// Gives back its input, with an error that grows with the rows of the run; `None` ends all rows in one.
    struct Blur(Option<f32>);

    impl Session for Blur {
        fn run(&self, inputs: &[Tensor], _: &[usize], _: Option<&Cancel>) -> Result<Vec<Tensor>> {
            let TensorData::Fp32(values) = inputs[0].data() else { unreachable!() };
            let rows = rows_of(&inputs[0]).unwrap();
            let Some(blur) = self.0 else {
                let sum = values.iter().sum();
                return Ok(vec![Tensor::new(Shape::new(&[1]).unwrap(), TensorData::Fp32(vec![sum])).unwrap()]);
            };
            let blurred = values.iter().map(|value| value * (1.0 + blur * (rows - 1) as f32)).collect();
            Ok(vec![Tensor::new(*inputs[0].shape(), TensorData::Fp32(blurred)).unwrap()])
        }
    }

    struct Refuses;

    impl Session for Refuses {
        fn run(&self, _: &[Tensor], _: &[usize], _: Option<&Cancel>) -> Result<Vec<Tensor>> {
            Err(Error::invalid("not these rows"))
        }
    }

    fn signature() -> Signature {
        let spec = |name: &str| TensorSpec {
            name: name.into(),
            datatype: Datatype::Fp32,
            dims: Some(vec![Dim::Any(Some("rows".into())), Dim::Fixed(2)]),
        };
        Signature { inputs: vec![spec("x")], outputs: vec![spec("y")] }
    }

    fn probe(session: &dyn Session, rows_max: u64, golden: Option<&str>) -> Probe {
        let clock = ManualClock::default();
        let golden = golden.map(|text| Golden::parse(text).unwrap());
        let signature = signature();
        Probe::of(&Subject {
            session,
            signature: &signature,
            features: None,
            golden: golden.as_ref(),
            rows_max,
            seed: 7,
            clock: &clock,
        })
    }

    #[test]
    fn differences_are_found_and_named_by_their_size() {
        let word = |blur| probe(&Blur(blur), 64, None).invariance.word();
        assert_eq!(word(Some(0.0)), "bit-equal");
        assert_eq!(word(Some(3e-7)), "within 1e-5");
        assert_eq!(word(Some(1e-3)), "no");
        assert_eq!(word(None), "no", "one row comes out for all");
    }

    #[test]
    fn what_cannot_be_run_has_not_been_measured_and_says_why() {
        let found = probe(&Refuses, 64, None);
        assert_eq!(found.invariance, Invariance::NotMeasured("not these rows".to_owned()));
        assert!(found.points.is_empty());
        assert_eq!(probe(&Blur(Some(0.0)), 1, None).invariance.word(), "not measured");
    }

    #[test]
    fn golden_rows_come_first_and_are_put_together_where_each_has_one() {
        let case = |name: &str, x: &str| {
            format!(
                r#"{{"name":"{name}","inputs":[{{"name":"x","datatype":"FP32","shape":[1,2],"data":{x}}}],"outputs":[]}}"#
            )
        };
        let golden = format!(r#"{{"tolerance":1,"cases":[{},{}]}}"#, case("a", "[1,2]"), case("b", "[3,4]"));
        let found = probe(&Blur(Some(0.0)), 64, Some(&golden));
        assert_eq!(found.points.iter().map(|(rows, _)| *rows).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(found.invariance, Invariance::BitEqual);
    }
}
