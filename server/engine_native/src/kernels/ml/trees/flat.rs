//! The compiled form of trees: eight bytes a node (sixteen in 64 bits), children side by side, leaves inline.
//!
//! Every node asks `x <= value`: other comparisons and missing values are in the columns (see `columns`). The child
//! for "false" lies right behind the one for "true", so that the next position is this one, plus a distance, plus
//! one if the answer is "false". A leaf has the distance 0 and asks the first column, the lowest number, which is
//! below whatever the leaf holds: it is its own next node. So a walk needs no branch that depends on data.

use std::collections::{BTreeMap, VecDeque};

use candor_onnx::extract::{Child, Mode, TreeEnsemble};

use super::{
    columns::{Column, Columns},
    number::Number,
};

/// Trees that are walked at once, so that their loads overlap. Eight take a third more time.
const LANES: usize = 16;

/// As [`LANES`], for the few trees at the end that do not fill a group.
const LANES_LAST: usize = 4;

/// A group of deeper trees looks now and then whether all have come to a leaf: it costs less than the steps for
/// nothing of the shallow ones among them.
const DEPTH_SHALLOW: u32 = 16;
const STEPS_UNSEEN: u32 = 4;

/// Trees of one chunk take so many bytes at most (one tree may take more): half of a second-level cache. All rows
/// of a block go through one chunk before the next.
const CHUNK_BYTES: usize = 256 << 10;

/// A node, or a leaf.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<T> {
    /// The threshold, or what the leaf holds.
    value: T,
    /// Distance to the children, and below it the column; how many bits are the column's is one number for all.
    packed: u32,
}

/// Trees that are walked at once.
struct Group<const LANES: usize> {
    /// Positions of the roots; for those that the last group lacks, of a leaf.
    roots: [u32; LANES],
    /// How many are real.
    trees: usize,
    /// Steps to the deepest leaf.
    depth: u32,
}

/// The compiled trees.
pub(super) struct Flat<T> {
    nodes: Vec<Node<T>>,
    /// In the order of the file, by chunk.
    chunks: Vec<Vec<Group<LANES>>>,
    /// Those that are left.
    last: Vec<Group<LANES_LAST>>,
    column_bits: u32,
}

/// What a leaf holds.
pub(super) type Held<'a, T> = &'a dyn Fn(Child) -> T;

impl<T: Number> Flat<T> {
    /// Compiles an ensemble; none for what does not have this form: comparisons for equality, thresholds that are
    /// not numbers together with missing values, more columns and nodes than fit. What leaves hold must not be
    /// NaN.
    pub(super) fn of(ensemble: &TreeEnsemble, held: Held<'_, T>) -> Option<(Self, Columns)> {
        let asked: Vec<(Column, T)> =
            (0..ensemble.features.len()).map(|at| question(ensemble, at)).collect::<Option<_>>()?;
        let (columns, places) = Columns::of(asked.iter().map(|(column, _)| *column));
        let column_bits = usize::BITS - columns.width().leading_zeros();
        if column_bits >= u32::BITS {
            return None;
        }
        let mut layout = Layout { ensemble, asked: &asked, places: &places, held, column_bits, nodes: Vec::new() };
        layout.nodes.push(Node { value: T::default(), packed: 0 });
        let (full, rest) = ensemble.roots.as_chunks::<LANES>();
        let (mut chunks, mut groups, mut begin) = (Vec::new(), Vec::new(), 0);
        for roots in full {
            groups.push(layout.group(roots)?);
            if (layout.nodes.len() - begin) * size_of::<Node<T>>() >= CHUNK_BYTES {
                chunks.push(std::mem::take(&mut groups));
                begin = layout.nodes.len();
            }
        }
        chunks.push(groups);
        let last = rest.chunks(LANES_LAST).map(|roots| layout.group(roots)).collect::<Option<_>>()?;
        Some((Self { nodes: layout.nodes, chunks, last, column_bits }, columns))
    }

    #[cfg(test)]
    pub(super) fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// See [`super::Walker::walk`].
    pub(super) fn walk(
        &self,
        (rows, width): (&[T], usize),
        (scores, targets): (&mut [T], usize),
        mut cast: impl FnMut(&mut [T], usize, &[T]),
    ) {
        let mut first = 0;
        for chunk in &self.chunks {
            self.walk_groups(chunk, &mut first, (rows, width), (scores, targets), &mut cast);
        }
        // Too few trees to overlap: many rows do it instead, and trees again for those that are left.
        let of_rows = rows.len() / width / LANES * LANES;
        let (many, few) = rows.split_at_checked(of_rows * width).unwrap_or_default();
        let (scores_of_many, scores_of_few) = scores.split_at_mut_checked(of_rows * targets).unwrap_or_default();
        self.walk_rows(first, (many, width), (scores_of_many, targets), &mut cast);
        self.walk_groups(&self.last, &mut first, (few, width), (scores_of_few, targets), &mut cast);
    }

    /// Rows, [`LANES`] at a time, through the last trees, the first of which is the `tree` of all.
    fn walk_rows(
        &self,
        mut tree: usize,
        (rows, width): (&[T], usize),
        (scores, targets): (&mut [T], usize),
        cast: &mut impl FnMut(&mut [T], usize, &[T]),
    ) {
        for group in &self.last {
            for root in group.roots.iter().take(group.trees) {
                let lanes = rows.chunks_exact(width * LANES).zip(scores.chunks_exact_mut(targets * LANES));
                for (rows, scores) in lanes {
                    let held = self.leaves([*root; LANES], group.depth, |at| {
                        at.iter_mut().zip(rows.chunks_exact(width)).for_each(|(at, row)| self.step(at, row));
                    });
                    for (held, scores) in held.iter().zip(scores.chunks_exact_mut(targets)) {
                        cast(scores, tree, std::slice::from_ref(held));
                    }
                }
                tree += 1;
            }
        }
    }

    /// All rows through some groups, the first of whose trees is the `first` of all; moves that on.
    fn walk_groups<const LANES: usize>(
        &self,
        groups: &[Group<LANES>],
        first: &mut usize,
        (rows, width): (&[T], usize),
        (scores, targets): (&mut [T], usize),
        cast: &mut impl FnMut(&mut [T], usize, &[T]),
    ) {
        for (row, scores) in rows.chunks_exact(width).zip(scores.chunks_exact_mut(targets)) {
            let mut tree = *first;
            for group in groups {
                let held = self.leaves(group.roots, group.depth, |at| at.iter_mut().for_each(|at| self.step(at, row)));
                cast(scores, tree, held.get(..group.trees).unwrap_or_default());
                tree += group.trees;
            }
        }
        *first += groups.iter().map(|group| group.trees).sum::<usize>();
    }

    /// What the leaves hold that walks from some roots come to; `step` takes each of them one node on.
    fn leaves<const LANES: usize>(
        &self,
        roots: [u32; LANES],
        depth: u32,
        step: impl Fn(&mut [u32; LANES]),
    ) -> [T; LANES] {
        let mut at = roots;
        let stretch = if depth <= DEPTH_SHALLOW { depth } else { STEPS_UNSEEN };
        let mut left = depth;
        while left > 0 {
            let before = at;
            for _ in 0..stretch.min(left) {
                step(&mut at);
            }
            left = left.saturating_sub(stretch);
            if left > 0 && at == before {
                break;
            }
        }
        at.map(|at| self.nodes.get(at as usize).map_or_else(T::default, |node| node.value))
    }

    /// One node on; none at a leaf.
    #[inline]
    fn step(&self, at: &mut u32, row: &[T]) {
        let mask = (1_u32 << self.column_bits) - 1;
        // Both are there: whoever laid the nodes out has seen to it.
        if let Some(node) = self.nodes.get(*at as usize)
            && let Some(x) = row.get((node.packed & mask) as usize)
        {
            let is_true = *x <= node.value;
            *at += (node.packed >> self.column_bits) + u32::from(!is_true);
        }
    }
}

/// What a node asks, as `x <= threshold` of a column.
fn question<T: Number>(ensemble: &TreeEnsemble, at: usize) -> Option<(Column, T)> {
    let threshold = T::of(ensemble.thresholds.get(at)?);
    let (negated, threshold) = match ensemble.modes.get(at)? {
        Mode::Leq => (false, threshold),
        Mode::Lt => (false, threshold.before()),
        Mode::Gte => (true, -threshold),
        Mode::Gt => (true, (-threshold).before()),
        Mode::Eq | Mode::Neq | Mode::Member => return None,
    };
    let missing_is_lowest = *ensemble.missing_true.get(at)?;
    // The lowest number is not below NaN.
    let is_askable = !(missing_is_lowest && threshold.is_nan());
    is_askable.then_some((Column { feature: *ensemble.features.get(at)?, negated, missing_is_lowest }, threshold))
}

struct Layout<'a, T> {
    ensemble: &'a TreeEnsemble,
    asked: &'a [(Column, T)],
    places: &'a BTreeMap<Column, u32>,
    held: Held<'a, T>,
    column_bits: u32,
    nodes: Vec<Node<T>>,
}

impl<T: Number> Layout<'_, T> {
    /// Lays out some trees behind what is there.
    fn group<const LANES: usize>(&mut self, roots: &[Child]) -> Option<Group<LANES>> {
        let mut group = Group { roots: [0; LANES], trees: roots.len(), depth: 0 };
        for (place, root) in group.roots.iter_mut().zip(roots) {
            *place = u32::try_from(self.nodes.len()).ok()?;
            group.depth = group.depth.max(self.tree(*root)?);
        }
        Some(group)
    }

    /// Lays out a tree behind what is there; gives its depth.
    fn tree(&mut self, root: Child) -> Option<u32> {
        let empty = Node { value: T::default(), packed: 0 };
        // Who waits for being laid out: where, what, and how deep.
        let mut waiting = VecDeque::from([(self.nodes.len(), root, 0)]);
        self.nodes.push(empty);
        let mut depth = 0;
        while let Some((place, child, level)) = waiting.pop_back() {
            depth = depth.max(level);
            let node = if child.is_leaf() {
                Node { value: (self.held)(child), packed: 0 }
            } else {
                let (column, value) = *self.asked.get(child.at())?;
                let pair = self.nodes.len();
                let distance =
                    u32::try_from(pair - place).ok().filter(|distance| *distance <= u32::MAX >> self.column_bits)?;
                self.nodes.extend([empty, empty]);
                waiting.push_back((pair + 1, *self.ensemble.if_false.get(child.at())?, level + 1));
                waiting.push_back((pair, *self.ensemble.if_true.get(child.at())?, level + 1));
                Node { value, packed: distance << self.column_bits | *self.places.get(&column)? }
            };
            *self.nodes.get_mut(place)? = node;
        }
        Some(depth)
    }
}
