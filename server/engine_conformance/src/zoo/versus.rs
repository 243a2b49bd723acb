//! Two engines on the same rows: every score within `1e-5 · max(1, |x|)`, every label the same.
//!
//! What is not held against an engine is counted: labels where the reference's own two best scores tie, and,
//! in models without trees, rows where the last two bits of the inputs move the reference as far, and a handful that
//! is off by up to ten times the tolerance.
#![allow(clippy::wildcard_enum_match_arm, reason = "classical models take and give a few datatypes only")]

use std::{fmt, ops::Range, path::Path};

use candor_domain::{Engine, LoadedModel, ModelSource, Shape, Tensor, TensorData};

use super::rows::Rows;
use crate::operators::{RULES, Tolerance};

/// Rows of a run, again and again; together [`ROWS`].
const BATCHES: [(usize, usize); 4] = [(1, 1000), (7, 200), (32, 100), (1000, 4)];
const ROWS: usize = 10_000;

/// Of how many rows one may be excused, whatever the excuse.
const EXCUSED_ONE_IN: usize = 100;

const TOLERANCE: Tolerance = Tolerance { relative: 1e-5, absolute: 1e-5 };

/// How many rows of a model without trees may be off by up to ten times the tolerance: where digits cancel within a
/// graph, machines differ by as much that run the same engine with wider or narrower registers.
const OFF_MAX: usize = 5;

/// By how many of the smallest steps an input moves, to see what rounding does.
const STEPS: usize = 4;

/// How two engines differ on one model.
#[derive(Debug, Default, Clone)]
pub struct Differences {
    /// Rows that were compared.
    pub rows: usize,
    /// Rows whose labels differ where the two best scores tie.
    pub ties: usize,
    /// Rows that differ by no more than the last two bits of the inputs move the reference.
    pub shaky: usize,
    /// Rows of a model without trees that are off by up to ten times the tolerance.
    pub off: usize,
    /// Rows that differ.
    pub wrong: usize,
    /// The first of them: the row, and both answers.
    pub shown: Vec<String>,
}

impl Differences {
    /// Whether the engines agree.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.wrong == 0 && self.off <= OFF_MAX && (self.ties + self.shaky) * EXCUSED_ONE_IN <= self.rows
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, ties, shaky, off, wrong, .. } = self;
        write!(f, "{wrong} of {rows} rows differ, {ties} ties, {shaky} shaky, {off} off")?;
        self.shown.iter().try_for_each(|shown| write!(f, "\n    {shown}"))
    }
}

/// Runs both engines on drawn rows; nothing when one of them refuses the model.
///
/// # Errors
/// When rows cannot be drawn.
pub fn compare(
    reference: &dyn Engine,
    engine: &dyn Engine,
    bytes: &[u8],
    examples: &[(String, Tensor)],
) -> Result<Option<Differences>, String> {
    let load = |engine: &dyn Engine| engine.load(ModelSource { bytes, folder: Path::new(".") });
    let (Ok(want), Ok(got)) = (load(reference), load(engine)) else { return Ok(None) };
    let mut found = Differences::default();
    if let Err(why) = same_signature(&want, &got) {
        found.wrong += 1;
        found.shown.push(why);
    }
    let examples: Vec<(String, Tensor)> = want
        .signature
        .inputs
        .iter()
        .filter_map(|spec| examples.iter().find(|(name, _)| **name == *spec.name).cloned())
        .collect();
    let rows = Rows::draw(bytes, &examples, ROWS)?;
    let has_trees = bytes.windows(12).any(|window| window == b"TreeEnsemble");
    let mut pair = Pair { want, got, rows, has_trees, found };
    let mut start = 0;
    for (size, times) in BATCHES {
        for _ in 0..times {
            pair.batch(start..start + size)?;
            start += size;
        }
    }
    pair.batch(start..ROWS)?;
    Ok(Some(pair.found))
}

fn same_signature(want: &LoadedModel, got: &LoadedModel) -> Result<(), String> {
    let names = |loaded: &LoadedModel| {
        let specs = loaded.signature.inputs.iter().chain(&loaded.signature.outputs);
        specs.map(|spec| format!("{} {} {:?}", spec.name, spec.datatype, spec.wire_shape())).collect::<Vec<_>>()
    };
    let (want, got) = (names(want), names(got));
    if want == got { Ok(()) } else { Err(format!("the signature is {got:?}, wanted {want:?}")) }
}

struct Pair {
    want: LoadedModel,
    got: LoadedModel,
    rows: Rows,
    has_trees: bool,
    found: Differences,
}

type Answer = Result<Vec<Tensor>, String>;

impl Pair {
    fn batch(&mut self, rows: Range<usize>) -> Result<(), String> {
        let inputs = self.rows.batch(rows.clone())?;
        self.want.signature.check(&inputs, RULES).map_err(|error| error.to_string())?;
        self.found.rows += rows.len();
        match (run(&self.want, &inputs), run(&self.got, &inputs)) {
            (Ok(want), Ok(got)) => self.answers(rows, &want, &got),
            // One row may be what both refuse.
            (_, _) if rows.len() > 1 => {
                self.found.rows -= rows.len();
                rows.clone().try_for_each(|row| self.batch(row..row + 1))
            }
            (Err(_), Err(_)) => Ok(()),
            (want, got) => self.wrong(&inputs, &want, &got),
        }
    }

    fn answers(&mut self, rows: Range<usize>, want: &[Tensor], got: &[Tensor]) -> Result<(), String> {
        let mut bad = Vec::new();
        for (want, got) in want.iter().zip(got) {
            if want.shape() != got.shape() || want.datatype() != got.datatype() {
                let inputs = self.rows.batch(rows.start..rows.start + 1)?;
                return self.wrong(&inputs, &Ok(vec![want.clone()]), &Ok(vec![got.clone()]));
            }
            bad.extend(different(want, got, rows.len()));
        }
        bad.sort_unstable();
        bad.dedup();
        for row in bad {
            let inputs = self.rows.batch(rows.start + row..rows.start + row + 1)?;
            // As they came in the batch: alone, a row may be added up in another order.
            let of = |tensors: &[Tensor]| tensors.iter().map(|tensor| one_row(tensor, row, rows.len())).collect();
            let (want, got): (Vec<Tensor>, Vec<Tensor>) = (of(want), of(got));
            let scores_agree = want.iter().zip(&got).all(|(want, got)| !is_scores(want) || near(want, got));
            if scores_agree && want.iter().any(ties) {
                self.found.ties += 1;
            } else if !self.has_trees && self.is_shaky(&inputs, &want, &got)? {
                self.found.shaky += 1;
            } else if !self.has_trees && want.iter().zip(&got).all(|(want, got)| is_off(want, got)) {
                self.found.off += 1;
            } else {
                self.wrong(&inputs, &Ok(want), &Ok(got))?;
            }
        }
        Ok(())
    }

    /// Whether the reference itself moves as far when the inputs move by their last two bits: the sum of what each
    /// does alone, which is what rounding in another order may do.
    fn is_shaky(&self, inputs: &[Tensor], want: &[Tensor], got: &[Tensor]) -> Result<bool, String> {
        let alone = run(&self.want, inputs)?;
        // A batch may be added up in another order than one row.
        let mut moves: Vec<f64> = want.iter().zip(&alone).map(|(want, alone)| distance(want, alone)).collect();
        for (at, input) in inputs.iter().enumerate() {
            for element in 0..input.data().len() {
                let mut inputs = inputs.to_vec();
                if let Some(moved) = inputs.get_mut(at) {
                    *moved = nudged(input, element)?;
                }
                let answer = run(&self.want, &inputs)?;
                for ((sum, alone), step) in moves.iter_mut().zip(&alone).zip(&answer) {
                    *sum += distance(alone, step);
                }
            }
        }
        let pairs = want.iter().zip(got).zip(&moves);
        Ok(pairs.into_iter().all(|((want, got), moved)| near(want, got) || distance(want, got) <= *moved))
    }

    #[allow(clippy::unnecessary_wraps, reason = "the last of several ways that can fail")]
    fn wrong(&mut self, inputs: &[Tensor], want: &Answer, got: &Answer) -> Result<(), String> {
        const SHOWN_MAX: usize = 3;
        self.found.wrong += 1;
        if self.found.shown.len() < SHOWN_MAX {
            let of = |tensors: &[Tensor]| {
                let each = tensors.iter().map(|tensor| format!("{:?}", tensor.data()).chars().take(400).collect());
                each.collect::<Vec<String>>().join(" ")
            };
            let answer = |answer: &Answer| answer.as_ref().map_or_else(Clone::clone, |tensors| of(tensors));
            self.found.shown.push(format!("{}: is {}, wanted {}", of(inputs), answer(got), answer(want)));
        }
        Ok(())
    }
}

fn run(loaded: &LoadedModel, inputs: &[Tensor]) -> Answer {
    let wanted: Vec<usize> = (0..loaded.signature.outputs.len()).collect();
    loaded.session.run(inputs, &wanted, None).map_err(|error| error.to_string())
}

/// Rows of the batch in which two outputs of one shape differ.
fn different(want: &Tensor, got: &Tensor, rows: usize) -> Vec<usize> {
    let each = (want.data().len() / rows.max(1)).max(1);
    let bad = |differs: &dyn Fn(usize) -> bool| {
        (0..want.data().len()).filter(|at| differs(*at)).map(|at| at / each).collect()
    };
    match (scores(want), scores(got)) {
        (Some(want), Some(got)) => bad(&|at| match (want.get(at), got.get(at)) {
            (Some(want), Some(got)) => !TOLERANCE.is_near(*want, *got),
            _ => true,
        }),
        _ => match (want.data(), got.data()) {
            (TensorData::Int64(want), TensorData::Int64(got)) => bad(&|at| want.get(at) != got.get(at)),
            (TensorData::Bytes(want), TensorData::Bytes(got)) => bad(&|at| want.get(at) != got.get(at)),
            (want, got) if want == got => Vec::new(),
            _ => (0..rows).collect(),
        },
    }
}

fn scores(tensor: &Tensor) -> Option<Vec<f64>> {
    match tensor.data() {
        TensorData::Fp32(list) => Some(list.iter().map(|number| f64::from(*number)).collect()),
        TensorData::Fp64(list) => Some(list.clone()),
        _ => None,
    }
}

/// A row of a batch's output; the output itself if it has no rows.
fn one_row(tensor: &Tensor, row: usize, rows: usize) -> Tensor {
    let each = tensor.data().len() / rows.max(1);
    let range = row * each..(row + 1) * each;
    let data = match tensor.data() {
        TensorData::Fp32(list) => list.get(range).map(|list| TensorData::Fp32(list.to_vec())),
        TensorData::Fp64(list) => list.get(range).map(|list| TensorData::Fp64(list.to_vec())),
        TensorData::Int64(list) => list.get(range).map(|list| TensorData::Int64(list.to_vec())),
        TensorData::Bytes(list) => Some(TensorData::Bytes(range.filter_map(|at| list.get(at)).collect())),
        _ => None,
    };
    let shape = Shape::new(&[1, i64::try_from(each).unwrap_or(i64::MAX)]);
    let row = shape.ok().zip(data).and_then(|(shape, data)| Tensor::new(shape, data).ok());
    row.unwrap_or_else(|| tensor.clone())
}

fn is_scores(tensor: &Tensor) -> bool {
    scores(tensor).is_some()
}

fn near(want: &Tensor, got: &Tensor) -> bool {
    different(want, got, 1).is_empty()
}

/// Whether outputs agree but for digits that ten times the tolerance covers.
fn is_off(want: &Tensor, got: &Tensor) -> bool {
    let wide = Tolerance { relative: TOLERANCE.relative * 10.0, absolute: TOLERANCE.absolute * 10.0 };
    near(want, got) || (is_scores(want) && wide.check(want, got).is_ok())
}

/// How far apart the scores are; for labels, 1 or 0.
fn distance(want: &Tensor, got: &Tensor) -> f64 {
    match (scores(want), scores(got)) {
        (Some(want), Some(got)) => {
            let far = |(want, got): (&f64, &f64)| {
                let same = want == got || (want.is_nan() && got.is_nan());
                let far = (want - got).abs();
                if same {
                    0.0
                } else if far.is_nan() {
                    f64::INFINITY
                } else {
                    far
                }
            };
            want.iter().zip(&got).map(far).fold(0.0, f64::max)
        }
        _ => f64::from(u8::from(want != got)),
    }
}

/// Whether the two best scores of a row are one number but for its last bits.
fn ties(tensor: &Tensor) -> bool {
    let Some(mut scores) = scores(tensor) else { return false };
    scores.sort_by(|one, other| other.total_cmp(one));
    let margin = |one: f64, other: f64| (one - other).abs() <= 4.0 * f64::from(f32::EPSILON) * one.abs();
    match &*scores {
        // A single score has its boundary at a half or at zero.
        [only] => margin(0.5, *only) || only.abs() <= f64::from(f32::EPSILON),
        [first, second, ..] => margin(*first, *second),
        [] => false,
    }
}

/// The same numbers, one of them moved by its last bits.
fn nudged(tensor: &Tensor, element: usize) -> Result<Tensor, String> {
    let mut data = tensor.data().clone();
    match &mut data {
        TensorData::Fp32(list) => {
            list.iter_mut().skip(element).take(1).for_each(|x| (0..STEPS).for_each(|_| *x = x.next_up()))
        }
        TensorData::Fp64(list) => {
            list.iter_mut().skip(element).take(1).for_each(|x| (0..STEPS).for_each(|_| *x = x.next_up()))
        }
        _ => {}
    }
    Tensor::new(*tensor.shape(), data).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candor_domain::{Cancel, Datatype, Dim, EngineInfo, Session, Signature, TensorSpec};
    use std::collections::BTreeMap;

    fn row(values: &[f32]) -> Tensor {
        let shape = Shape::new(&[1, i64::try_from(values.len()).unwrap()]).unwrap();
        Tensor::new(shape, TensorData::Fp32(values.to_vec())).unwrap()
    }

    #[test]
    fn the_batches_are_all_rows() {
        let drawn: usize = BATCHES.iter().map(|(size, times)| size * times).sum();
        assert!(drawn < ROWS && ROWS == 10_000, "{drawn}");
    }

    #[test]
    fn rows_that_differ_are_found() {
        let tensor =
            |values: [f32; 4]| Tensor::new(Shape::new(&[2, 2]).unwrap(), TensorData::Fp32(values.to_vec())).unwrap();
        let want = tensor([1.0, f32::NAN, 3.0, f32::INFINITY]);
        assert!(different(&want, &tensor([1.000_001, f32::NAN, 3.0, f32::INFINITY]), 2).is_empty());
        assert_eq!(different(&want, &tensor([1.0, f32::NAN, 3.0, f32::MAX]), 2), [1]);
        assert_eq!(different(&want, &tensor([1.001, 0.0, 3.0, f32::INFINITY]), 2), [0, 0]);
    }

    #[test]
    fn ties_are_to_the_last_bits() {
        assert!(ties(&row(&[0.5, 0.5])) && ties(&row(&[0.2, 0.4, 0.400_000_03])));
        assert!(ties(&row(&[0.5])) && ties(&row(&[0.0])));
        assert!(!ties(&row(&[0.5, 0.500_01])) && !ties(&row(&[0.4])));
    }

    #[test]
    fn too_many_excuses_are_a_difference() {
        let with = |ties, shaky| Differences { rows: 10_000, ties, shaky, ..Differences::default() }.is_none();
        assert!(with(10, 0) && with(50, 50) && !with(60, 41));
        assert!(!Differences { rows: 10_000, wrong: 1, ..Differences::default() }.is_none());
        assert!(!Differences { rows: 10_000, off: OFF_MAX + 1, ..Differences::default() }.is_none());
    }

    /// Says whether the second feature is below a threshold of `sk_tree_binary`, and gives a score.
    struct Stump {
        info: EngineInfo,
        or_equal: bool,
        bias: f32,
    }

    const THRESHOLD: f32 = 19.695;

    impl Stump {
        fn new(or_equal: bool, bias: f32) -> Self {
            let info = crate::NullEngine::new().info().clone();
            Self { info, or_equal, bias }
        }
    }

    impl Engine for Stump {
        fn info(&self) -> &EngineInfo {
            &self.info
        }

        fn load(&self, _: ModelSource<'_>) -> candor_domain::Result<LoadedModel> {
            let spec = |name: &str, datatype, width| TensorSpec {
                name: name.into(),
                datatype,
                dims: Some(vec![Dim::Any(None), Dim::Fixed(width)]),
            };
            let outputs = vec![spec("label", Datatype::Int64, 1), spec("score", Datatype::Fp32, 1)];
            let signature = Signature { inputs: vec![spec("x", Datatype::Fp32, 8)], outputs };
            let session = Box::new(Self::new(self.or_equal, self.bias));
            let properties = BTreeMap::new();
            Ok(LoadedModel { session, signature, properties, cost_depends_on_values: false, random: None })
        }
    }

    impl Session for Stump {
        fn run(&self, inputs: &[Tensor], _: &[usize], _: Option<&Cancel>) -> candor_domain::Result<Vec<Tensor>> {
            let TensorData::Fp32(values) = inputs[0].data() else { panic!() };
            let second = values.iter().skip(1).step_by(8);
            let below = |x: &f32| i64::from(if self.or_equal { *x <= THRESHOLD } else { *x < THRESHOLD });
            let shape = Shape::new(&[inputs[0].shape().dims()[0], 1])?;
            let labels = Tensor::new(shape, TensorData::Int64(second.clone().map(below).collect()))?;
            Ok(vec![labels, Tensor::new(shape, TensorData::Fp32(second.map(|x| x + self.bias).collect()))?])
        }
    }

    #[test]
    fn an_engine_that_takes_less_for_less_or_equal_is_caught() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/zoo/models");
        let bytes = std::fs::read(folder.join("sk_tree_binary.onnx")).unwrap();
        let examples = [("x".to_owned(), row(&[10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0]))];
        let compare = |one, other| compare(&one, &other, &bytes, &examples).unwrap().unwrap();
        let same = compare(Stump::new(true, 0.0), Stump::new(true, 0.0));
        assert!(same.is_none() && same.rows == 10_000, "{same}");
        let less = compare(Stump::new(true, 0.0), Stump::new(false, 0.0));
        assert!(!less.is_none() && less.wrong < 2000 && less.shown.len() == 3, "{less}");
        let near = compare(Stump::new(true, 0.0), Stump::new(true, 1e-6));
        assert!(near.is_none(), "{near}");
        let far = compare(Stump::new(true, 0.0), Stump::new(true, 0.1));
        assert!(far.wrong > 5000, "{far}");
    }
}
