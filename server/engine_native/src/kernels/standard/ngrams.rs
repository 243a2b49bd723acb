//! TfIdfVectorizer: how often known sequences of tokens come in a row of tokens.
//!
//! Sequences are a trie: each token has a number, and an edge leads from a sequence to the one that is longer by
//! a token. Where the specification is silent, this does what ONNX Runtime does.

use std::collections::HashMap;

use candor_domain::{Cancel, Datatype, Error, Result, Shape, Tensor, TensorData};
use candor_engine_source::told;
use candor_onnx::Dim;

use super::{compare::strings, dims::Dims, element::view};
use crate::{
    kernel::{Args, Build, Built, go_on},
    workspace::Buffers,
};

/// What a sequence that is found adds to the result.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    /// One for each time.
    Count,
    /// Its weight, once.
    Weight,
    /// Its weight for each time.
    Both,
}

/// A known sequence: where it counts and how much.
#[derive(Debug, Clone, Copy)]
struct Known {
    column: usize,
    weight: f32,
}

/// Numbers of tokens.
enum Tokens {
    Strings(HashMap<Box<[u8]>, u32>),
    Ints(HashMap<i64, u32>),
}

struct Ngrams {
    mode: Mode,
    shortest: usize,
    longest: usize,
    skips: usize,
    width: usize,
    tokens: Tokens,
    /// From a sequence and one more token to the longer sequence; 0 is the empty one.
    edges: HashMap<(u32, u32), u32>,
    known: HashMap<u32, Known>,
}

/// `TfIdfVectorizer`.
pub(super) fn tf_idf(build: &Build<'_>) -> Result<Built> {
    let ngrams = Ngrams::of(build)?;
    let input = build.input(0)?;
    let fits = match ngrams.tokens {
        Tokens::Strings(_) => input.datatype == Datatype::Bytes,
        Tokens::Ints(_) => matches!(input.datatype, Datatype::Int32 | Datatype::Int64),
    };
    if !fits {
        return Err(build.wrong_datatype(0, "that of the known sequences"));
    }
    let mut dims = input.dims.clone();
    if let Some(last) = dims.as_mut().and_then(|dims| dims.last_mut()) {
        *last = Dim::Fixed(ngrams.width as u64);
    }
    Built::by(Datatype::Fp32, dims, move |args, buffers| ngrams.run(args, buffers))
}

impl Ngrams {
    fn of(build: &Build<'_>) -> Result<Self> {
        let size = |name: &str| {
            let number = build.node.int(name).map_err(|error| told(&error))?;
            number
                .and_then(|number| usize::try_from(number).ok())
                .ok_or_else(|| Error::model(format!("{name} is missing or negative")))
        };
        let mode = match build.text("mode", "")? {
            "TF" => Mode::Count,
            "IDF" => Mode::Weight,
            "TFIDF" => Mode::Both,
            other => return Err(Error::model("unknown mode").expected("TF, IDF or TFIDF").got(other.to_owned())),
        };
        let (shortest, longest, skips) = (size("min_gram_length")?, size("max_gram_length")?, size("max_skip_count")?);
        let strings = build.node.strings("pool_strings").map_err(|error| told(&error))?.filter(|pool| !pool.is_empty());
        let ints = build.ints("pool_int64s")?.filter(|pool| !pool.is_empty());
        let (tokens, pool) = match (strings, ints) {
            (Some(pool), None) => {
                let mut numbers = HashMap::new();
                let pool =
                    pool.iter().map(|token| number(&mut numbers, Box::from(token.as_ref()))).collect::<Vec<u32>>();
                (Tokens::Strings(numbers), pool)
            }
            (None, Some(pool)) => {
                let mut numbers = HashMap::new();
                let pool = pool.iter().map(|token| number(&mut numbers, *token)).collect();
                (Tokens::Ints(numbers), pool)
            }
            _ => return Err(Error::model("there must be one pool of known sequences")),
        };
        let columns = build.ints("ngram_indexes")?.unwrap_or_default();
        let width =
            columns.iter().max().and_then(|last| usize::try_from(*last).ok()).map_or(0, |last| last.saturating_add(1));
        let mut ngrams =
            Self { mode, shortest, longest, skips, width, tokens, edges: HashMap::new(), known: HashMap::new() };
        ngrams.fill(build, &pool, &columns)?;
        Ok(ngrams)
    }

    /// Lays the sequences of the pool into the trie: those of one token come first, then those of two, ….
    fn fill(&mut self, build: &Build<'_>, pool: &[u32], columns: &[i64]) -> Result<()> {
        let counts = build.ints("ngram_counts")?.unwrap_or_default();
        let weights = build.node.floats("weights").map_err(|error| told(&error))?.unwrap_or_default();
        let wrong = || Error::model("the lists of known sequences do not fit each other");
        if self.shortest == 0 || self.shortest > self.longest || self.longest > counts.len() {
            return Err(Error::model("the lengths of sequences are not as they must be")
                .expected(format!("from 1 to {}", counts.len()))
                .got(format!("{} to {}", self.shortest, self.longest)));
        }
        if !weights.is_empty() && weights.len() != columns.len() {
            return Err(wrong());
        }
        let place = |at: usize| counts.get(at).map_or(Some(pool.len()), |start| usize::try_from(*start).ok());
        let mut number = 0_usize;
        for (at, length) in (0..counts.len()).zip(1..) {
            let (start, end) = (place(at).ok_or_else(wrong)?, place(at + 1).ok_or_else(wrong)?);
            let part = pool.get(start..end).ok_or_else(wrong)?;
            let sequences = part.chunks_exact(length);
            if !sequences.remainder().is_empty() {
                return Err(wrong());
            }
            for sequence in sequences {
                let column = columns.get(number).and_then(|column| usize::try_from(*column).ok()).ok_or_else(wrong)?;
                let weight = weights.get(number).copied().unwrap_or(1.0);
                number += 1;
                if (self.shortest..=self.longest).contains(&length) {
                    let end = self.lay(sequence);
                    if self.known.insert(end, Known { column, weight }).is_some() {
                        return Err(Error::model("a known sequence stands twice"));
                    }
                }
            }
        }
        if number == columns.len() { Ok(()) } else { Err(wrong()) }
    }

    fn lay(&mut self, sequence: &[u32]) -> u32 {
        let mut at = 0;
        for token in sequence {
            let next = u32::try_from(self.edges.len()).unwrap_or(u32::MAX).saturating_add(1);
            at = *self.edges.entry((at, *token)).or_insert(next);
        }
        at
    }

    fn run(&self, args: &Args<'_>, buffers: &mut Buffers) -> Result<Tensor> {
        let input = args.get(0)?;
        let dims = Dims::from(input.shape());
        let (rows, size) = match &*dims {
            [size] => (1, *size),
            [rows, size] => (*rows, *size),
            _ => {
                return Err(
                    Error::invalid("TfIdfVectorizer needs one or two dimensions").got(input.shape().to_string())
                );
            }
        };
        let shape: Shape = dims.with(dims.len().saturating_sub(1), self.width).shape()?;
        let tokens = self.numbers(input)?;
        let mut to = buffers.take(shape.elements())?;
        to.resize(shape.elements(), 0.0_f32);
        for row in 0..rows {
            args.go_on()?;
            let start = row.saturating_mul(size);
            let tokens = tokens.get(start..start.saturating_add(size)).unwrap_or_default();
            let first = row.saturating_mul(self.width);
            if let Some(sums) = to.get_mut(first..first.saturating_add(self.width)) {
                self.count(tokens, sums, args.cancel)?;
            }
        }
        Tensor::new(shape, TensorData::Fp32(to))
    }

    /// The numbers of an input's tokens; none for a token that stands in no sequence.
    fn numbers(&self, input: &Tensor) -> Result<Vec<Option<u32>>> {
        Ok(match &self.tokens {
            Tokens::Strings(numbers) => strings(input)?.iter().map(|token| numbers.get(token).copied()).collect(),
            Tokens::Ints(numbers) => match view::<i32>(input) {
                Ok(narrow) => narrow.iter().map(|token| numbers.get(&i64::from(*token)).copied()).collect(),
                Err(_) => view::<i64>(input)?.iter().map(|token| numbers.get(token).copied()).collect(),
            },
        })
    }

    /// Adds what is found in a row, with every distance between tokens that is allowed.
    fn count(&self, tokens: &[Option<u32>], sums: &mut [f32], cancel: Option<&Cancel>) -> Result<()> {
        let mut shortest = self.shortest;
        for distance in 1..=self.skips.saturating_add(1).min(tokens.len()) {
            go_on(cancel)?;
            if shortest > 1 && distance.saturating_mul(shortest - 1) >= tokens.len() {
                break;
            }
            for start in 0..tokens.len() {
                let mut at = 0;
                let reached = tokens.get(start..).unwrap_or_default().iter().step_by(distance).zip(1..=self.longest);
                for (token, length) in reached {
                    let Some(next) = token.and_then(|token| self.edges.get(&(at, token))) else { break };
                    at = *next;
                    if length >= shortest {
                        self.add(at, sums);
                    }
                }
            }
            // Single tokens are counted once: distances mean nothing to them.
            shortest = shortest.max(2);
            if shortest > self.longest {
                break;
            }
        }
        Ok(())
    }

    fn add(&self, sequence: u32, sums: &mut [f32]) {
        let Some(known) = self.known.get(&sequence) else { return };
        let Some(sum) = sums.get_mut(known.column) else { return };
        match self.mode {
            Mode::Count => *sum += 1.0,
            Mode::Weight => *sum = known.weight,
            Mode::Both => *sum += known.weight,
        }
    }
}

/// The number of a token, a new one if it has none.
fn number<K: std::hash::Hash + Eq>(numbers: &mut HashMap<K, u32>, token: K) -> u32 {
    let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
    *numbers.entry(token).or_insert(next)
}
