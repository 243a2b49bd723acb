//! Operators of strings: StringNormalizer, StringConcat, StringSplit.
//!
//! Letters change case one by one, as in ONNX Runtime: what would become two letters stays as it is.

use std::collections::HashSet;

use candor_domain::{BytesArray, Datatype, Error, Result, Tensor, TensorData};
use candor_engine_source::told;
use candor_onnx::Dim;

use super::{
    compare::strings,
    dims::{Dims, broadcast},
    infer,
    moves::Strings,
};
use crate::{
    kernel::{Args, Build, Built, Kernel},
    workspace::Buffers,
};

fn only_strings(build: &Build<'_>, inputs: usize) -> Result<()> {
    let other = (0..inputs).find(|at| build.optional(*at).is_none_or(|known| known.datatype != Datatype::Bytes));
    other.map_or(Ok(()), |at| Err(build.wrong_datatype(at, "BYTES")))
}

/// What becomes of letters.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Case {
    Same,
    Lower,
    Upper,
}

impl Case {
    fn of(self, string: &[u8]) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(string) else { return string.to_vec() };
        match self {
            Self::Same => string.to_vec(),
            Self::Lower => text.chars().map(|letter| single(letter, letter.to_lowercase())).collect::<String>().into(),
            Self::Upper => text.chars().map(|letter| single(letter, letter.to_uppercase())).collect::<String>().into(),
        }
    }
}

fn single(letter: char, mut changed: impl ExactSizeIterator<Item = char>) -> char {
    match (letter, changed.len()) {
        // The only capital whose small letter is written with two.
        ('İ', _) => 'i',
        (_, 1) => changed.next().unwrap_or(letter),
        _ => letter,
    }
}

/// `StringNormalizer`: without stop words, in one case.
pub(super) fn normalizer(build: &Build<'_>) -> Result<Built> {
    only_strings(build, 1)?;
    let case = match build.text("case_change_action", "NONE")? {
        "NONE" => Case::Same,
        "LOWER" => Case::Lower,
        "UPPER" => Case::Upper,
        other => {
            return Err(Error::model("unknown change of case").expected("NONE, LOWER or UPPER").got(other.to_owned()));
        }
    };
    let exact = build.flag("is_case_sensitive", false)?;
    // Without regard to case, words are compared in one.
    let compared = if exact { Case::Same } else { Case::Lower };
    let words = build.node.strings("stopwords").map_err(|error| told(&error))?.unwrap_or_default();
    let stop: HashSet<Vec<u8>> = words.iter().map(|word| compared.of(word)).collect();
    let dims = build.input(0)?.dims.as_ref().map(|dims| match dims.as_slice() {
        [first, _] => vec![first.clone(), Dim::Unknown],
        other => vec![Dim::Unknown; other.len()],
    });
    Built::by(Datatype::Bytes, dims, move |args, _| {
        let input = args.get(0)?;
        let dims = Dims::from(input.shape());
        if !matches!(&*dims, [_] | [1, _]) {
            return Err(Error::invalid("StringNormalizer needs one row of strings").got(input.shape().to_string()));
        }
        let mut to = Strings::of(input.data().len())?;
        for string in strings(input)?.iter().filter(|string| stop.is_empty() || !stop.contains(&compared.of(string))) {
            to.push(&case.of(string))?;
        }
        let mut to = to.done();
        if to.is_empty() {
            to.push(b"");
        }
        Tensor::new(dims.with(dims.len().saturating_sub(1), to.len()).shape()?, TensorData::Bytes(to))
    })
}

/// `StringConcat`: the second behind the first.
pub(super) fn concat(build: &Build<'_>) -> Result<Built> {
    only_strings(build, 2)?;
    Built::by(Datatype::Bytes, infer::broadcast(build), |args, _| {
        let (first, second) = (args.get(0)?, args.get(1)?);
        let both = broadcast([Dims::from(first.shape()), Dims::from(second.shape())])?;
        let shape = both.dims.shape()?;
        let (first, second) = (strings(first)?, strings(second)?);
        let mut to = Strings::of(shape.elements())?;
        let (mut joined, mut outcome) = (Vec::new(), Ok(()));
        both.walk.each_element(|[a, b]| {
            if outcome.is_ok() {
                joined.clear();
                joined.extend_from_slice(first.get(a).unwrap_or_default());
                joined.extend_from_slice(second.get(b).unwrap_or_default());
                outcome = to.push(&joined);
            }
        });
        outcome?;
        Tensor::new(shape, TensorData::Bytes(to.done()))
    })
}

/// `StringSplit`: the parts of each string, filled up with empty ones, and how many there are.
pub(super) fn split(build: &Build<'_>) -> Result<Built> {
    only_strings(build, 1)?;
    let delimiter = build.text("delimiter", "")?.to_owned();
    let splits_max = build.node.int("maxsplit").map_err(|error| told(&error))?;
    let splits_max = splits_max.map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(usize::MAX));
    let dims = build.input(0)?.dims.clone();
    let parts = dims.clone().map(|mut dims| {
        dims.push(Dim::Unknown);
        dims
    });
    let outputs = vec![(Datatype::Bytes, parts), (Datatype::Int64, dims)];
    Ok(Built { kernel: Box::new(Split { delimiter, splits_max }), outputs })
}

struct Split {
    /// Empty for any run of white space.
    delimiter: String,
    splits_max: usize,
}

impl Split {
    /// Calls `visit` with each part.
    fn parts<'a>(&self, string: &'a [u8], mut visit: impl FnMut(&'a [u8])) {
        let text = std::str::from_utf8(string).unwrap_or_default();
        let limit = self.splits_max.saturating_add(1);
        if !self.delimiter.is_empty() {
            return text.splitn(limit, &self.delimiter).for_each(|part| visit(part.as_bytes()));
        }
        let mut rest = text.trim();
        for _ in 1..limit {
            let Some((part, behind)) = rest.split_once(char::is_whitespace) else { break };
            visit(part.as_bytes());
            rest = behind.trim_start();
        }
        if !rest.is_empty() {
            visit(rest.as_bytes());
        }
    }
}

impl Kernel for Split {
    fn run(&self, args: &mut Args<'_>, buffers: &mut Buffers, made: &mut Vec<Tensor>) -> Result<()> {
        let input = args.get(0)?;
        let from: &BytesArray = strings(input)?;
        let mut counts = buffers.take(from.len())?;
        for string in from.iter() {
            let mut count = 0_i64;
            self.parts(string, |_| count += 1);
            counts.push(count);
        }
        let most = usize::try_from(counts.iter().max().copied().unwrap_or(0)).unwrap_or(0);
        let mut dims = Dims::from(input.shape());
        dims.push(most)?;
        let shape = dims.shape()?;
        let mut to = Strings::of(shape.elements())?;
        for string in from.iter() {
            let (mut left, mut outcome) = (most, Ok(()));
            self.parts(string, |part| {
                left = left.saturating_sub(1);
                if outcome.is_ok() {
                    outcome = to.push(part);
                }
            });
            outcome?;
            (0..left).try_for_each(|_| to.push(b""))?;
        }
        made.push(Tensor::new(shape, TensorData::Bytes(to.done()))?);
        made.push(Tensor::new(*input.shape(), TensorData::Int64(counts))?);
        Ok(())
    }
}
