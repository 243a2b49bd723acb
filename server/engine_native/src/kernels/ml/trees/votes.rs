//! What leaves say: votes for scores, in the form that costs least to count.

use candor_domain::{Error, ErrorCode, Result};
use candor_onnx::extract::{Aggregate, Child, TreeEnsemble};

use super::{Walker, number::Number};

/// The votes of an ensemble.
pub(super) enum Votes<T> {
    /// There is one score and at most one vote a leaf: leaves hold what they add.
    One,
    /// All leaves of a tree have one vote, for the tree's target; leaves hold what they add.
    OfTree(Vec<u32>),
    /// Every leaf votes for every target: leaves hold their position, the list has a row for each.
    Dense(Vec<T>),
    /// Any number of votes a leaf; leaves hold their position.
    Sparse(Sparse<T>),
    /// The smallest vote for a target counts, and no other; leaves hold their position.
    Smallest(Sparse<T>),
    /// The largest.
    Largest(Sparse<T>),
}

/// Votes by leaf.
pub(super) struct Sparse<T> {
    /// Votes of leaf `l` are `starts[l] .. starts[l + 1]`.
    starts: Vec<u32>,
    /// Target and what is added.
    votes: Vec<(u32, T)>,
}

impl<T: Number> Votes<T> {
    /// The form for an ensemble; `targets` are its scores.
    ///
    /// # Errors
    /// `Unsupported` for extremes among votes that are not numbers.
    pub(super) fn of(ensemble: &TreeEnsemble, targets: usize) -> Result<Self> {
        let has_nan = (0..ensemble.vote_weights.len()).any(|at| weight(ensemble, at).is_nan());
        match ensemble.aggregate {
            Aggregate::Min | Aggregate::Max if has_nan => {
                return Err(Error::new(
                    ErrorCode::Unsupported,
                    "the smallest or largest of votes that are not numbers",
                ));
            }
            Aggregate::Min => return Ok(Self::Smallest(Sparse::of(ensemble, targets))),
            Aggregate::Max => return Ok(Self::Largest(Sparse::of(ensemble, targets))),
            Aggregate::Sum | Aggregate::Average => {}
        }
        // What leaves hold inline must not be NaN.
        if !has_nan && targets == 1 && (0..ensemble.leaves()).all(|leaf| ensemble.votes_of(leaf).len() <= 1) {
            return Ok(Self::One);
        }
        let of_trees = if has_nan { None } else { targets_of_trees(ensemble) };
        Ok(of_trees.map_or_else(|| Self::added(ensemble, targets), Self::OfTree))
    }

    /// The same votes in a form whose leaves hold their position.
    pub(super) fn by_position(self, ensemble: &TreeEnsemble, targets: usize) -> Self {
        match self {
            Self::One | Self::OfTree(_) => Self::added(ensemble, targets),
            Self::Dense(_) | Self::Sparse(_) | Self::Smallest(_) | Self::Largest(_) => self,
        }
    }

    fn added(ensemble: &TreeEnsemble, targets: usize) -> Self {
        let weights = (0..ensemble.vote_weights.len()).map(|at| T::of(weight(ensemble, at)));
        if is_dense(ensemble, targets) {
            Self::Dense(weights.collect())
        } else {
            Self::Sparse(Sparse::of(ensemble, targets))
        }
    }

    /// The score for which nobody has voted yet.
    pub(super) fn nothing(&self) -> T {
        match self {
            Self::One | Self::OfTree(_) | Self::Dense(_) | Self::Sparse(_) => T::default(),
            Self::Smallest(_) | Self::Largest(_) => T::NAN,
        }
    }

    /// Counts the votes for prepared rows, numbers and how many a row has, into their scores, likewise, which are
    /// [`Votes::nothing`] before.
    pub(super) fn count(&self, walker: &Walker<T>, rows: (&[T], usize), scores: (&mut [T], usize)) {
        match self {
            Self::One => walker.walk(rows, scores, |scores, _, held| {
                for score in scores {
                    *score = held.iter().fold(*score, |sum, vote| sum + *vote);
                }
            }),
            Self::OfTree(targets) => walker.walk(rows, scores, |scores, first, held| {
                let targets = targets.get(first..).unwrap_or_default();
                for (target, vote) in targets.iter().zip(held) {
                    add(scores, *target, *vote);
                }
            }),
            Self::Dense(votes) => walker.walk(rows, scores, |scores, _, held| {
                for leaf in held {
                    let from = leaf.position() as usize * scores.len();
                    let votes = votes.get(from..from + scores.len()).unwrap_or_default();
                    scores.iter_mut().zip(votes).for_each(|(score, vote)| *score = *score + *vote);
                }
            }),
            Self::Sparse(sparse) => walker.walk(rows, scores, |scores, _, held| {
                let votes = held.iter().flat_map(|leaf| sparse.of_leaf(*leaf));
                votes.for_each(|(target, vote)| add(scores, *target, *vote));
            }),
            Self::Smallest(sparse) => sparse.extreme(walker, rows, scores, |vote, least| vote < least),
            Self::Largest(sparse) => sparse.extreme(walker, rows, scores, |vote, most| vote > most),
        }
    }

    /// What a leaf holds in this form.
    pub(super) fn held(&self, ensemble: &TreeEnsemble, leaf: Child) -> T {
        match self {
            Self::One | Self::OfTree(_) => {
                ensemble.votes_of(leaf.at()).next().map_or_else(T::default, |at| T::of(weight(ensemble, at)))
            }
            Self::Dense(_) | Self::Sparse(_) | Self::Smallest(_) | Self::Largest(_) => {
                T::of_position(u32::try_from(leaf.at()).unwrap_or_default())
            }
        }
    }
}

impl<T: Number> Sparse<T> {
    /// All votes; if there is one score, they are for it.
    fn of(ensemble: &TreeEnsemble, targets: usize) -> Self {
        let target = |target: &u32| if targets == 1 { 0 } else { *target };
        let votes = ensemble.vote_targets.iter().enumerate();
        let votes = votes.map(|(at, to)| (target(to), T::of(weight(ensemble, at)))).collect();
        Self { starts: ensemble.leaf_starts.clone(), votes }
    }

    /// Counts the votes that beat the others; 0 where nobody has voted.
    fn extreme(
        &self,
        walker: &Walker<T>,
        rows: (&[T], usize),
        scores: (&mut [T], usize),
        beats: impl Fn(T, T) -> bool,
    ) {
        let (counted, targets) = scores;
        walker.walk(rows, (counted, targets), |scores, _, held| {
            for (target, vote) in held.iter().flat_map(|leaf| self.of_leaf(*leaf)) {
                if let Some(score) = scores.get_mut(*target as usize)
                    && (score.is_nan() || beats(*vote, *score))
                {
                    *score = *vote;
                }
            }
        });
        for score in counted.iter_mut().filter(|score| score.is_nan()) {
            *score = T::default();
        }
    }

    /// The votes of a leaf.
    fn of_leaf(&self, leaf: T) -> &[(u32, T)] {
        let leaf = leaf.position() as usize;
        let start = |at: usize| self.starts.get(at).map_or(0, |start| *start as usize);
        self.votes.get(start(leaf)..start(leaf + 1)).unwrap_or_default()
    }
}

fn add<T: Number>(scores: &mut [T], target: u32, vote: T) {
    if let Some(score) = scores.get_mut(target as usize) {
        *score = *score + vote;
    }
}

fn weight(ensemble: &TreeEnsemble, at: usize) -> f64 {
    ensemble.vote_weights.get(at).unwrap_or_default()
}

/// For each tree the target that all its leaves vote for, once; none if there is a tree where that is not so.
fn targets_of_trees(ensemble: &TreeEnsemble) -> Option<Vec<u32>> {
    let target = |leaf: Child| {
        let mut votes = ensemble.votes_of(leaf.at());
        if votes.len() == 1 { ensemble.vote_targets.get(votes.next()?).copied() } else { None }
    };
    let of_tree = |root: &Child| {
        let (mut waiting, mut found) = (vec![*root], None);
        while let Some(child) = waiting.pop() {
            if child.is_leaf() {
                let here = target(child)?;
                if *found.get_or_insert(here) != here {
                    return None;
                }
            } else {
                waiting.extend([*ensemble.if_true.get(child.at())?, *ensemble.if_false.get(child.at())?]);
            }
        }
        found
    };
    ensemble.roots.iter().map(of_tree).collect()
}

/// Whether every leaf votes for the targets from the first to the last, in that order.
fn is_dense(ensemble: &TreeEnsemble, targets: usize) -> bool {
    (0..ensemble.leaves()).all(|leaf| {
        let votes = ensemble.vote_targets.get(ensemble.votes_of(leaf)).unwrap_or_default();
        votes.len() == targets && votes.iter().zip(0..).all(|(target, at)| *target == at)
    })
}
