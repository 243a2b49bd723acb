//! `TreeEnsembleClassifier`, `TreeEnsembleRegressor` (`ai.onnx.ml` 1, 3) and `TreeEnsemble` (5).
//!
//! Meaning is the specification's. Where that is silent, ONNX Runtime's: integers are compared as 32-bit floats,
//! votes are added in the order of the trees in the precision of the model, base values last, and two classes with
//! votes for one have one score. The precision is 64 bits if the input or any list of the model has it.
//!
//! ```text
//! rows ─► columns: what nodes compare ─► flat (or general): leaves ─► votes: counted ─► finish: scores, labels
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | `number` | the two precisions |
//! | `columns` | prepares rows so that all nodes ask the same question |
//! | `flat` | compiled trees; walks many at once, without a branch that depends on data |
//! | `general` | trees with any comparison |
//! | `votes` | what leaves say |
//! | `finish` | base values, transforms, labels |

mod columns;
mod finish;
mod flat;
mod general;
mod number;
#[cfg(test)]
mod tests;
mod votes;

use candor_domain::{Datatype, Error, Result, Tensor};
use candor_engine_source::told;
use candor_onnx::{
    Dim,
    extract::{Numbers, TreeEnsemble},
};

use self::{columns::Columns, finish::Finish, flat::Flat, general::General, number::Number, votes::Votes};
use super::scores;
use crate::{
    kernel::{Args, Build, Built, Kernel, Known},
    workspace::Buffers,
};

/// Rows that go through the trees together: as many as stay in a cache beside the trees.
const BLOCK_ROWS: std::ops::RangeInclusive<usize> = 16..=256;
const BLOCK_NUMBERS: usize = 16 << 10;

/// Any of the three operators.
pub(super) fn tree_ensemble(build: &Build<'_>) -> Result<Built> {
    let input = build.input(0)?;
    if !matches!(input.datatype, Datatype::Fp32 | Datatype::Fp64 | Datatype::Int64 | Datatype::Int32) {
        return Err(build.wrong_datatype(0, "FP32, FP64, INT64 or INT32"));
    }
    let ensemble = TreeEnsemble::of(build.node, build.width(0)).map_err(|error| told(&error))?;
    let lists = [&ensemble.thresholds, &ensemble.members, &ensemble.vote_weights, &ensemble.base_values];
    let is_wide = lists.into_iter().any(|list| matches!(list, Numbers::F64(_)));
    // The only one whose output has the input's datatype.
    let answers_wide = build.node.op_type == "TreeEnsemble" && input.datatype == Datatype::Fp64;
    if is_wide || input.datatype == Datatype::Fp64 {
        built(Trees::<f64>::of(&ensemble, answers_wide)?, input)
    } else {
        built(Trees::<f32>::of(&ensemble, answers_wide)?, input)
    }
}

fn built<T: Number>(trees: Trees<T>, input: &Known<'_>) -> Result<Built> {
    let rows = match input.dims.as_deref() {
        Some([rows, _]) => rows.clone(),
        Some([_]) => Dim::Fixed(1),
        Some(_) | None => Dim::Unknown,
    };
    let width = Dim::Fixed(trees.finish.width() as u64);
    let scores = if trees.answers_wide { Datatype::Fp64 } else { Datatype::Fp32 };
    let labels = trees.finish.labels().map(|labels| (scores::datatype(labels), Some(vec![rows.clone()])));
    let outputs = labels.into_iter().chain([(scores, Some(vec![rows, width]))]).collect();
    Ok(Built { kernel: Box::new(trees), outputs })
}

/// A compiled ensemble.
struct Trees<T> {
    columns: Columns,
    walker: Walker<T>,
    votes: Votes<T>,
    finish: Finish<T>,
    features_min: usize,
    answers_wide: bool,
}

/// Who finds the leaves.
enum Walker<T> {
    Flat(Flat<T>),
    General(General<T>),
}

impl<T: Number> Walker<T> {
    /// Counts the votes for `rows`, `width` numbers each, into their `scores`, `targets` each: `cast` is given the
    /// scores of a row, the position of a tree, and what the leaves of this tree and those after it hold.
    fn walk(&self, rows: (&[T], usize), scores: (&mut [T], usize), cast: impl FnMut(&mut [T], usize, &[T])) {
        match self {
            Self::Flat(flat) => flat.walk(rows, scores, cast),
            Self::General(general) => general.walk(rows, scores, cast),
        }
    }
}

impl<T: Number> Trees<T> {
    fn of(ensemble: &TreeEnsemble, answers_wide: bool) -> Result<Self> {
        let finish = Finish::of(ensemble)?;
        let votes = Votes::of(ensemble, finish.targets())?;
        let flat = Flat::of(ensemble, &|leaf| votes.held(ensemble, leaf));
        let (walker, columns, votes) = match flat {
            Some((flat, columns)) => (Walker::Flat(flat), columns, votes),
            None => {
                let columns = Columns::plain(ensemble.features_min);
                (Walker::General(General::of(ensemble)), columns, votes.by_position(ensemble, finish.targets()))
            }
        };
        Ok(Self { columns, walker, votes, finish, features_min: ensemble.features_min, answers_wide })
    }

    /// Rows and features of the input.
    fn shape(&self, input: &Tensor) -> Result<(usize, usize)> {
        let size = |size: &i64| usize::try_from(*size).unwrap_or_default();
        let (rows, width) = match input.shape().dims() {
            [width] => (1, size(width)),
            [rows, width] => (size(rows), size(width)),
            dims => {
                let error = Error::invalid("trees take rows of features").expected("a tensor [rows, features]");
                return Err(error.got(format!("{dims:?}")));
            }
        };
        if width < self.features_min {
            return Err(Error::invalid("the rows have too few features for the trees")
                .expected(format!("at least {}", self.features_min))
                .got(width.to_string()));
        }
        Ok((rows, width))
    }
}

impl<T: Number> Kernel for Trees<T> {
    fn run(&self, args: &mut Args<'_>, buffers: &mut Buffers, made: &mut Vec<Tensor>) -> Result<()> {
        let input = args.get(0)?;
        let (rows, width) = self.shape(input)?;
        let mut outputs = self.finish.begin(rows, self.answers_wide, buffers)?;
        let of_block = (BLOCK_NUMBERS / self.columns.width()).clamp(*BLOCK_ROWS.start(), *BLOCK_ROWS.end()).min(rows);
        let mut prepared = buffers.take::<T>(of_block * self.columns.width())?;
        let mut counted = buffers.take::<T>(of_block * self.finish.targets())?;
        for first in (0..rows).step_by(of_block.max(1)) {
            args.go_on()?;
            let rows = of_block.min(rows - first);
            self.columns.prepare(input.data(), width, first, rows, &mut prepared);
            counted.clear();
            counted.resize(rows * self.finish.targets(), self.votes.nothing());
            self.votes.count(&self.walker, (&prepared, self.columns.width()), (&mut counted, self.finish.targets()));
            self.finish.rows(&mut counted, &mut outputs);
        }
        buffers.give(prepared);
        buffers.give(counted);
        outputs.end(rows, self.finish.width(), buffers, made)
    }
}
