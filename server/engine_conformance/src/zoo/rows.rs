//! Rows to compare engines on: drawn with a fixed seed, half of them ordinary, the others unkind.
//!
//! Unkind rows stand on the thresholds of the model's own trees and right beside them, or hold zeros of both
//! signs, not-a-numbers, infinities, the largest and smallest numbers; strings are known and unknown.
#![allow(clippy::wildcard_enum_match_arm, reason = "classical models take and give a few datatypes only")]

use std::ops::Range;

use candor_domain::{BytesArray, Shape, Tensor, TensorData};
use candor_onnx::{Attribute, Limits, Model};

/// Numbers that programs get wrong.
const SPECIAL: [f64; 14] = [
    0.0,
    -0.0,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f32::MIN_POSITIVE as f64,
    1e-40,
    -1e-45,
    1.0,
    -1.0,
    0.5,
    16_777_217.0,
    -65_504.0,
    1e-7,
];

/// At most one of these in a row, and no infinity beside it: engines add up in different orders, and may be beyond
/// the largest number on the way.
const HUGE: [f64; 2] = [1e30, -1e30];

/// For trees, which compare and do not add features up.
const LARGEST: [f64; 4] = [f32::MAX as f64, f32::MIN as f64, 1e30, -1e30];

const STRANGE_WORDS: [&str; 6] = ["", " ", "unknown", "größer", "0", "a word that is longer than any that was seen"];

const STRANGE_WHOLE: [i64; 6] = [-1, 0, -5, 16_777_217, 1 << 40, 999];

/// A sequence of numbers that is the same everywhere (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// In 0..1.
    #[allow(clippy::cast_precision_loss, reason = "53 bits fit")]
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let at = self.next() % (of.len() as u64).max(1);
        of.get(usize::try_from(at).unwrap_or(0))
    }
}

/// What kind of row it is.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Ordinary,
    Thresholds,
    Special,
}

/// All rows of a model, by input in the order of the examples.
pub(super) struct Rows {
    columns: Vec<Column>,
}

struct Column {
    width: usize,
    data: TensorData,
}

/// What values a feature takes: the range of the examples, and the thresholds of the trees.
struct Feature {
    low: f64,
    high: f64,
    thresholds: Vec<f64>,
}

impl Rows {
    /// Draws rows like `examples` for the model in `bytes`.
    ///
    /// # Errors
    /// When the model cannot be read, or an input is no table.
    pub(super) fn draw(bytes: &[u8], examples: &[(String, Tensor)], count: usize) -> Result<Self, String> {
        let model = Model::from_slice(bytes, &Limits::default()).map_err(|error| error.to_string())?;
        let thresholds = thresholds(&model)?;
        let words = words(&model);
        let mut random = Random(42);
        let mut kinds = Vec::with_capacity(count);
        for _ in 0..count {
            kinds.push(match random.next() % 10 {
                0..5 => Kind::Ordinary,
                5..8 => Kind::Thresholds,
                _ => Kind::Special,
            });
        }
        let mut column = |(name, example): &(String, Tensor)| {
            let &[_, width] = example.shape().dims() else { return Err(format!("{name} is no table")) };
            let width = usize::try_from(width).map_err(|error| error.to_string())?;
            let features: Vec<Feature> = (0..width).map(|at| Feature::of(example, at, width, &thresholds)).collect();
            let data = match example.data() {
                #[allow(clippy::cast_possible_truncation, reason = "the nearest number of 32 bits is meant")]
                TensorData::Fp32(_) => {
                    let cells = cells(&mut random, &features, &kinds);
                    TensorData::Fp32(cells.into_iter().map(|(at, step)| step.single(at as f32)).collect())
                }
                TensorData::Fp64(_) => {
                    let cells = cells(&mut random, &features, &kinds);
                    TensorData::Fp64(cells.into_iter().map(|(at, step)| step.double(at)).collect())
                }
                TensorData::Int64(_) => whole(&mut random, &features, &kinds),
                TensorData::Bytes(known) => strings(&mut random, known, &words, count * width),
                other => return Err(format!("{name} is {}", other.datatype())),
            };
            Ok(Column { width, data })
        };
        Ok(Self { columns: examples.iter().map(&mut column).collect::<Result<_, String>>()? })
    }

    /// Some of the rows, as tensors.
    pub(super) fn batch(&self, rows: Range<usize>) -> Result<Vec<Tensor>, String> {
        let tensor = |column: &Column| {
            let range = rows.start * column.width..rows.end * column.width;
            let data = match &column.data {
                TensorData::Fp32(list) => TensorData::Fp32(list.get(range).unwrap_or_default().to_vec()),
                TensorData::Fp64(list) => TensorData::Fp64(list.get(range).unwrap_or_default().to_vec()),
                TensorData::Int64(list) => TensorData::Int64(list.get(range).unwrap_or_default().to_vec()),
                TensorData::Bytes(list) => {
                    TensorData::Bytes(range.filter_map(|at| list.get(at)).collect::<BytesArray>())
                }
                other => return Err(format!("no rows of {}", other.datatype())),
            };
            let dims = [rows.len(), column.width].map(|dim| i64::try_from(dim).unwrap_or(i64::MAX));
            let shape = Shape::new(&dims).map_err(|error| error.to_string())?;
            Tensor::new(shape, data).map_err(|error| error.to_string())
        };
        self.columns.iter().map(tensor).collect()
    }
}

/// A number itself, or the next one up or down.
#[derive(Clone, Copy)]
enum Step {
    None,
    Up,
    Down,
}

impl Step {
    fn single(self, at: f32) -> f32 {
        match self {
            Self::None => at,
            Self::Up => at.next_up(),
            Self::Down => at.next_down(),
        }
    }

    fn double(self, at: f64) -> f64 {
        match self {
            Self::None => at,
            Self::Up => at.next_up(),
            Self::Down => at.next_down(),
        }
    }
}

fn cells(random: &mut Random, features: &[Feature], kinds: &[Kind]) -> Vec<(f64, Step)> {
    kinds.iter().flat_map(|kind| numbers(random, features, *kind)).collect()
}

fn numbers(random: &mut Random, features: &[Feature], kind: Kind) -> Vec<(f64, Step)> {
    let mut huge = features.len().checked_sub(1).filter(|_| kind == Kind::Special && random.next().is_multiple_of(4));
    if let Some(last) = &mut huge {
        *last = usize::try_from(random.next()).unwrap_or(0) % (*last + 1);
    }
    let mut cell = |(at, feature): (usize, &Feature)| {
        let ordinary = feature.low + random.share() * (feature.high - feature.low);
        let plain = |number: f64| (number, Step::None);
        match kind {
            Kind::Ordinary => plain(ordinary),
            Kind::Special if huge == Some(at) => {
                let huge = if feature.thresholds.is_empty() { &HUGE[..] } else { &LARGEST };
                plain(random.pick(huge).copied().unwrap_or(ordinary))
            }
            Kind::Special if !random.next().is_multiple_of(3) => plain(ordinary),
            Kind::Special => {
                let special = random.pick(&SPECIAL).copied().filter(|number| huge.is_none() || !number.is_infinite());
                plain(special.unwrap_or(ordinary))
            }
            Kind::Thresholds => {
                let threshold = random.pick(&feature.thresholds).copied().unwrap_or(ordinary);
                let step = [Step::None, Step::None, Step::Up, Step::Down];
                (threshold, random.pick(&step).copied().unwrap_or(Step::None))
            }
        }
    };
    features.iter().enumerate().map(&mut cell).collect()
}

#[allow(clippy::cast_possible_truncation, reason = "a whole number within the range of the examples")]
fn whole(random: &mut Random, features: &[Feature], kinds: &[Kind]) -> TensorData {
    let mut cell = |kind: &Kind, feature: &Feature| {
        let ordinary = (feature.low - 1.0 + random.share() * (feature.high - feature.low + 3.0)).floor() as i64;
        if *kind == Kind::Special { random.pick(&STRANGE_WHOLE).copied().unwrap_or(ordinary) } else { ordinary }
    };
    let mut all = Vec::with_capacity(kinds.len() * features.len());
    for kind in kinds {
        all.extend(features.iter().map(|feature| cell(kind, feature)));
    }
    TensorData::Int64(all)
}

fn strings(random: &mut Random, known: &BytesArray, words: &[Vec<u8>], count: usize) -> TensorData {
    let known: Vec<&[u8]> = known.iter().chain(words.iter().map(Vec::as_slice)).collect();
    let mut word = || {
        let strange = random.next().is_multiple_of(5);
        let strange = strange.then(|| random.pick(&STRANGE_WORDS).map(|word| word.as_bytes())).flatten();
        strange.or_else(|| random.pick(&known).copied()).unwrap_or_default()
    };
    TensorData::Bytes((0..count).map(|_| word()).collect())
}

impl Feature {
    fn of(example: &Tensor, at: usize, width: usize, thresholds: &[(i64, f64)]) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "only a range is wanted")]
        let seen: Vec<f64> = match example.data() {
            TensorData::Fp32(list) => list.iter().map(|number| f64::from(*number)).collect(),
            TensorData::Fp64(list) => list.clone(),
            TensorData::Int64(list) => list.iter().map(|number| *number as f64).collect(),
            _ => Vec::new(),
        };
        let seen = seen.into_iter().skip(at).step_by(width.max(1)).filter(|number| number.is_finite());
        let (low, high) = seen.fold((f64::MAX, f64::MIN), |(low, high), number| (low.min(number), high.max(number)));
        let (low, high) = if low <= high { (low, high) } else { (-1.0, 1.0) };
        let margin = (high - low).mul_add(0.5, 0.1);
        let mine = thresholds
            .iter()
            .filter(|(feature, _)| usize::try_from(*feature).is_ok_and(|feature| feature % width.max(1) == at));
        Self { low: low - margin, high: high + margin, thresholds: mine.map(|(_, number)| *number).collect() }
    }
}

/// Thresholds of all tree ensembles, with the feature that they are of; read here and not by the house's own
/// extraction, so that what it gets wrong is seen.
fn thresholds(model: &Model) -> Result<Vec<(i64, f64)>, String> {
    let mut found = Vec::new();
    for node in model.graph.nodes.iter().filter(|node| node.op_type.starts_with("TreeEnsemble")) {
        let fault = |error: candor_onnx::Error| error.to_string();
        let features = node.ints("nodes_featureids").map_err(fault)?.unwrap_or_default();
        let values = node.floats("nodes_values").map_err(fault)?.unwrap_or_default();
        found.extend(features.iter().copied().zip(values.iter().map(|value| f64::from(*value))));
    }
    Ok(found)
}

/// Strings that the nodes know.
fn words(model: &Model) -> Vec<Vec<u8>> {
    let lists = model.graph.nodes.iter().flat_map(|node| node.attributes.values());
    let strings =
        lists.filter_map(|attribute| if let Attribute::Strings(list) = attribute { Some(list) } else { None });
    strings.flatten().map(|word| word.to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_the_same_each_time_and_stand_on_thresholds() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/zoo/models");
        let bytes = std::fs::read(folder.join("sk_tree_multi.onnx")).unwrap();
        let example =
            Tensor::new(Shape::new(&[2, 4]).unwrap(), TensorData::Fp32(vec![1., 2., 3., 4., 5., 6., 7., 8.])).unwrap();
        let draw = || Rows::draw(&bytes, &[("x".to_owned(), example.clone())], 1000).unwrap().batch(0..1000).unwrap();
        let [first] = &*draw() else { panic!() };
        assert_eq!(first.shape().dims(), [1000, 4]);
        let TensorData::Fp32(values) = first.data() else { panic!() };
        let bits = |tensor: &Tensor| match tensor.data() {
            TensorData::Fp32(list) => list.iter().map(|number| number.to_bits()).collect::<Vec<_>>(),
            _ => panic!(),
        };
        assert_eq!(bits(first), bits(&draw()[0]));
        let model = Model::from_slice(&bytes, &Limits::default()).unwrap();
        for (feature, threshold) in thresholds(&model).unwrap() {
            let on = |number: &f32| f64::from(*number) == threshold;
            assert!(values.iter().skip(usize::try_from(feature).unwrap()).step_by(4).any(on), "{feature} {threshold}");
        }
        assert!(values.iter().any(|number| number.is_nan()) && values.contains(&f32::INFINITY));
    }
}
