//! What two engines are asked: the inputs of golden pairs, and made-up ones that fit the signature.
//!
//! Made-up values keep to the ranges and categories of the features that `model.toml` declares. What the graph
//! itself refuses (a token that is not in its table) is no finding: the trial passes over it.

use candor_domain::{Datatype, Dim, Shape, Signature, Tensor, TensorData, TensorSpec};

use super::dice::Dice;
use crate::{
    features::{FeatureSet, FeatureSpec, Place, brain_bits, half_bits},
    repository::{Filler, Golden},
};

/// Rows of the made-up batches.
const BATCHES: [i64; 3] = [1, 3, 16];
/// Size of a dimension that is free and does not count rows.
const FREE_SIZE: i64 = 4;
/// Larger tensors are not made up: a check at load is to be cheap.
const ELEMENTS_MAX: usize = 1 << 20;
/// Largest of the made-up whole numbers of features without a range.
const WHOLE_MAX: u64 = 9;
/// One number in so many is a gap, where the model takes gaps.
const GAP_EVERY: u64 = 16;
/// Texts for features without categories: numbers, because a graph may read texts as such.
const WORDS: [&str; 4] = ["0", "1", "2", "10"];

/// All of them, golden pairs first.
pub(super) fn questions(
    signature: &Signature,
    features: Option<&FeatureSet>,
    golden: Option<&Golden>,
    seed: u64,
) -> Vec<Vec<Tensor>> {
    let cases = golden.into_iter().flat_map(|golden| &golden.cases);
    let mut questions: Vec<_> = cases.filter_map(|case| case.inputs_for(signature).ok()).collect();
    let mut dice = Dice::new(seed);
    let batches = if signature.is_batched() { BATCHES.as_slice() } else { BATCHES.get(..1).unwrap_or_default() };
    questions.extend(batches.iter().filter_map(|&rows| made_up(signature, features, rows, &mut dice)));
    questions
}

/// Made-up inputs of so many rows, the same for the same seed; nothing where a shape cannot be told or is too large.
pub(crate) fn made_up_rows(
    signature: &Signature,
    features: Option<&FeatureSet>,
    rows: u64,
    seed: u64,
) -> Option<Vec<Tensor>> {
    made_up(signature, features, i64::try_from(rows).ok()?, &mut Dice::new(seed))
}

/// One value for each input; nothing where a shape cannot be told or is too large.
fn made_up(signature: &Signature, features: Option<&FeatureSet>, rows: i64, dice: &mut Dice) -> Option<Vec<Tensor>> {
    let symbols: Vec<&str> = signature.inputs.iter().filter_map(|spec| row_symbol(spec)).collect();
    let one = |(position, spec): (usize, &TensorSpec)| {
        let size = |(place, dim): (usize, &Dim)| match dim {
            Dim::Fixed(size) => *size,
            Dim::Any(Some(symbol)) if symbols.contains(&&**symbol) => rows,
            Dim::Any(_) if place == 0 && signature.is_batched() => rows,
            Dim::Any(_) => FREE_SIZE,
        };
        let dims: Vec<i64> = spec.dims.as_ref()?.iter().enumerate().map(size).collect();
        let shape = Shape::new(&dims).ok().filter(|shape| shape.elements() <= ELEMENTS_MAX)?;
        let columns = columns(features, position);
        let data = data(spec.datatype, shape.elements(), &columns, dice);
        Tensor::new(shape, data).ok()
    };
    signature.inputs.iter().enumerate().map(one).collect()
}

fn row_symbol(spec: &TensorSpec) -> Option<&str> {
    match spec.dims.as_deref() {
        Some([Dim::Any(Some(symbol)), ..]) => Some(symbol),
        Some(_) | None => None,
    }
}

/// The features of an input, column by column; none where its rows are not made of columns.
fn columns(features: Option<&FeatureSet>, input: usize) -> Vec<&FeatureSpec> {
    let of_input = features.into_iter().flat_map(FeatureSet::all).filter(|feature| feature.input == input);
    of_input.filter(|feature| matches!(feature.place, Place::Column(_))).collect()
}

/// So many elements, whose columns take turns.
fn data(datatype: Datatype, elements: usize, columns: &[&FeatureSpec], dice: &mut Dice) -> TensorData {
    let feature = |element: usize| element.checked_rem(columns.len()).and_then(|column| columns.get(column).copied());
    macro_rules! made {
        ($variant:ident, $make:expr) => {
            TensorData::$variant((0..elements).map(|element| $make(feature(element), &mut *dice)).collect())
        };
    }
    // The ranges of made-up whole numbers fit every datatype; what model.toml declares was checked against it.
    macro_rules! whole_as {
        ($variant:ident) => {
            made!($variant, |feature, dice: &mut Dice| whole(feature, dice).try_into().unwrap_or_default())
        };
    }
    match datatype {
        Datatype::Bool => made!(Bool, |_, dice: &mut Dice| u8::from(dice.below(2) == 1)),
        Datatype::Uint8 => whole_as!(Uint8),
        Datatype::Uint16 => whole_as!(Uint16),
        Datatype::Uint32 => whole_as!(Uint32),
        Datatype::Uint64 => whole_as!(Uint64),
        Datatype::Int8 => whole_as!(Int8),
        Datatype::Int16 => whole_as!(Int16),
        Datatype::Int32 => whole_as!(Int32),
        Datatype::Int64 => made!(Int64, whole),
        Datatype::Fp16 => made!(Fp16, |feature, dice| half_bits(number(feature, dice)).unwrap_or_default()),
        Datatype::Bf16 => made!(Bf16, |feature, dice| brain_bits(number(feature, dice)).unwrap_or_default()),
        #[allow(clippy::cast_possible_truncation, reason = "the nearest float32 will do")]
        Datatype::Fp32 => made!(Fp32, |feature, dice| number(feature, dice) as f32),
        Datatype::Fp64 => made!(Fp64, number),
        Datatype::Bytes => TensorData::Bytes((0..elements).map(|element| text(feature(element), dice)).collect()),
    }
}

/// Within the declared range; without one, of very different sizes.
fn number(feature: Option<&FeatureSpec>, dice: &mut Dice) -> f64 {
    let notes = feature.map(|feature| &feature.notes);
    let takes_gaps = notes.is_some_and(|notes| matches!(notes.impute, Some(Filler::Number(value)) if value.is_nan()));
    if takes_gaps && dice.below(GAP_EVERY) == 0 {
        return f64::NAN;
    }
    let unit = dice.unit();
    match notes.map_or((None, None), |notes| (notes.min, notes.max)) {
        (Some(min), Some(max)) => min + unit * (max - min),
        (Some(min), None) => min + unit * 10.0,
        (None, Some(max)) => max - unit * 10.0,
        (None, None) => {
            let sizes = [0.1, 1.0, 10.0, 100.0];
            let size = sizes.get(usize::try_from(dice.below(4)).unwrap_or(0)).copied().unwrap_or(1.0);
            (unit * 2.0 - 1.0) * size
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "declared ranges of whole numbers are small")]
fn whole(feature: Option<&FeatureSpec>, dice: &mut Dice) -> i64 {
    let range = feature.map_or((None, None), |feature| (feature.notes.min, feature.notes.max));
    match range {
        (None, None) => i64::try_from(dice.below(WHOLE_MAX + 1)).unwrap_or(0),
        (Some(_), _) | (_, Some(_)) => number(feature, dice).round() as i64,
    }
}

fn text<'a>(feature: Option<&'a FeatureSpec>, dice: &mut Dice) -> &'a str {
    let categories = feature.map(|feature| feature.notes.categories.as_slice()).unwrap_or_default();
    let count = if categories.is_empty() { WORDS.len() } else { categories.len() };
    let chosen = usize::try_from(dice.below(count as u64)).unwrap_or(0);
    categories.get(chosen).map(String::as_str).or_else(|| WORDS.get(chosen).copied()).unwrap_or_default()
}

/// A seed of a file's own, so that every start asks the same.
pub(crate) fn seed_of(sha256: &str) -> u64 {
    sha256.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use candor_domain::RequestRules;

    use super::*;
    use crate::Manifest;

    fn spec(name: &str, datatype: Datatype, dims: &[Dim]) -> TensorSpec {
        TensorSpec { name: name.into(), datatype, dims: Some(dims.to_vec()) }
    }

    fn rows() -> Dim {
        Dim::Any(Some("rows".into()))
    }

    #[test]
    fn questions_of_every_datatype_fit_the_signature() {
        let inputs = Datatype::ALL.iter().map(|datatype| {
            spec(datatype.name(), *datatype, &[rows(), Dim::Fixed(3), Dim::Any(Some("other".into())), Dim::Any(None)])
        });
        let signature = Signature { inputs: inputs.collect(), outputs: Vec::new() };
        let all = questions(&signature, None, None, 1);
        let counted = all.iter().map(|question| signature.check(question, RequestRules::default()).unwrap());
        assert_eq!(counted.collect::<Vec<_>>(), [1, 3, 16]);
        assert_eq!(questions(&signature, None, None, 1), all, "the same every time");
        assert_ne!(questions(&signature, None, None, 2), all);
    }

    #[test]
    fn declared_ranges_categories_and_gaps_are_kept() {
        let signature = Signature {
            inputs: vec![
                spec("x", Datatype::Fp64, &[rows(), Dim::Fixed(2)]),
                spec("s", Datatype::Bytes, &[rows(), Dim::Fixed(1)]),
                spec("n", Datatype::Int8, &[rows(), Dim::Fixed(1)]),
            ],
            outputs: Vec::new(),
        };
        let manifest = Manifest::parse(
            "[[inputs]]\nname = \"x\"\nfeatures = [{ name = \"a\", min = 2, max = 3 }, { name = \"b\", impute = nan }]\n\
             [[inputs]]\nname = \"s\"\nfeatures = [{ name = \"c\", categories = [\"red\", \"green\"] }]\n\
             [[inputs]]\nname = \"n\"\nfeatures = [{ name = \"d\", min = -5, max = -3 }]\n",
        );
        let features = FeatureSet::new(&signature, &manifest.unwrap()).unwrap();
        let (mut gaps, mut seen) = (0, 0);
        for seed in 0..20 {
            for question in questions(&signature, Some(&features), None, seed) {
                let [x, s, n] = question.as_slice() else { panic!("three inputs") };
                let TensorData::Fp64(x) = x.data() else { panic!("FP64") };
                for pair in x.chunks(2) {
                    assert!((2.0..=3.0).contains(&pair[0]), "{pair:?}");
                    gaps += usize::from(pair[1].is_nan());
                    seen += 1;
                }
                let TensorData::Bytes(s) = s.data() else { panic!("BYTES") };
                assert!(s.iter().all(|text| [b"red".as_slice(), b"green"].contains(&text)));
                let TensorData::Int8(n) = n.data() else { panic!("INT8") };
                assert!(n.iter().all(|value| (-5..=-3).contains(value)), "{n:?}");
            }
        }
        assert!(gaps > 0 && gaps * 4 < seen, "{gaps} of {seen}");
    }

    #[test]
    fn what_cannot_be_told_or_is_too_large_is_not_made_up() {
        let huge =
            Signature { inputs: vec![spec("x", Datatype::Bool, &[rows(), Dim::Fixed(1 << 20)])], outputs: Vec::new() };
        assert_eq!(questions(&huge, None, None, 1).len(), 1, "one row fits");
        let unknown = TensorSpec { name: "x".into(), datatype: Datatype::Fp32, dims: None };
        assert!(questions(&Signature { inputs: vec![unknown], outputs: Vec::new() }, None, None, 1).is_empty());
        let fixed = Signature { inputs: vec![spec("x", Datatype::Fp32, &[Dim::Fixed(5)])], outputs: Vec::new() };
        assert_eq!(questions(&fixed, None, None, 1).len(), 1);
    }
}
