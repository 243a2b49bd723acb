//! The compiled form of trees: eight bytes a node in 32 bits, children side by side, leaves inline.
//!
//! Every node asks `x <= value`: `layout` and `columns` bring other comparisons and missing values into this form.
//! The child for "false" lies right behind the one for "true", so that the next position is this one, plus a
//! distance, plus one if the answer is "false". A leaf has the distance 0 and asks the first column, the lowest
//! number, which is below whatever the leaf holds: it is its own next node. So a walk needs no branch that depends
//! on data.

use candor_onnx::extract::TreeEnsemble;

use super::{
    columns::Columns,
    layout::{Held, Laid, lay_out},
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
pub(super) struct Node<T, P> {
    /// The threshold, or what the leaf holds.
    pub(super) value: T,
    /// Distance to the children, and the column.
    pub(super) packed: P,
}

/// A distance and a column in as few bytes as they need.
pub(super) trait Packed: Copy + Send + Sync + 'static {
    /// None if they do not fit; a column takes `bits` bits.
    fn of(distance: u32, column: u32, bits: u32) -> Option<Self>;

    fn distance(self, bits: u32) -> u32;

    fn column(self, bits: u32) -> usize;
}

impl Packed for u32 {
    fn of(distance: u32, column: u32, bits: u32) -> Option<Self> {
        let fits = bits < Self::BITS && distance <= Self::MAX >> bits;
        fits.then(|| distance << bits | column)
    }

    fn distance(self, bits: u32) -> u32 {
        self >> bits
    }

    fn column(self, bits: u32) -> usize {
        (self & ((1 << bits) - 1)) as usize
    }
}

impl Packed for u64 {
    fn of(distance: u32, column: u32, _: u32) -> Option<Self> {
        Some(Self::from(distance) << u32::BITS | Self::from(column))
    }

    fn distance(self, _: u32) -> u32 {
        (self >> u32::BITS) as u32
    }

    fn column(self, _: u32) -> usize {
        self as u32 as usize
    }
}

/// Trees that are walked at once.
pub(super) struct Group<const LANES: usize> {
    /// Positions of the roots; for those that the last group lacks, of a leaf.
    pub(super) roots: [u32; LANES],
    /// How many are real.
    pub(super) trees: usize,
    /// Steps to the deepest leaf.
    pub(super) depth: u32,
}

/// The compiled trees.
pub(super) struct Flat<T, P> {
    nodes: Vec<Node<T, P>>,
    /// In the order of the file, by chunk.
    chunks: Vec<Vec<Group<LANES>>>,
    /// Those that are left.
    last: Vec<Group<LANES_LAST>>,
    column_bits: u32,
}

impl<T: Number, P: Packed> Flat<T, P> {
    /// Compiles an ensemble; none if it does not fit. What leaves hold must not be NaN.
    pub(super) fn of(ensemble: &TreeEnsemble, held: Held<'_, T>) -> Option<(Self, Columns)> {
        let (full, rest) = ensemble.roots.as_chunks::<LANES>();
        let Laid { nodes, columns, column_bits, made: (chunks, last) } = lay_out(ensemble, held, |layout| {
            let (mut chunks, mut groups, mut begin) = (Vec::new(), Vec::new(), 0);
            for roots in full {
                groups.push(layout.group(roots)?);
                if layout.bytes() - begin >= CHUNK_BYTES {
                    chunks.push(std::mem::take(&mut groups));
                    begin = layout.bytes();
                }
            }
            chunks.push(groups);
            let last = rest.chunks(LANES_LAST).map(|roots| layout.group(roots)).collect::<Option<_>>()?;
            Some((chunks, last))
        })?;
        Some((Self { nodes, chunks, last, column_bits }, columns))
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
        // Both are there: whoever laid the nodes out has seen to it.
        if let Some(node) = self.nodes.get(*at as usize)
            && let Some(x) = row.get(node.packed.column(self.column_bits))
        {
            let is_true = *x <= node.value;
            *at += node.packed.distance(self.column_bits) + u32::from(!is_true);
        }
    }
}
