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

/// Trees that are walked at once: their loads overlap.
pub(super) const LANES: usize = 8;

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
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// Positions of the roots; for those that a last group lacks, of a leaf.
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
    chunks: Vec<Vec<Group>>,
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
        let mut layout = Layout { ensemble, asked: &asked, places: &places, held, column_bits, nodes: Vec::new() };
        layout.nodes.push(Node { value: T::default(), packed: 0 });
        let (mut chunks, mut groups, mut begin) = (Vec::new(), Vec::new(), 0);
        for roots in ensemble.roots.chunks(LANES) {
            let mut group = Group { roots: [0; LANES], trees: roots.len(), depth: 0 };
            for (place, root) in group.roots.iter_mut().zip(roots) {
                *place = u32::try_from(layout.nodes.len()).ok()?;
                group.depth = group.depth.max(layout.tree(*root)?);
            }
            groups.push(group);
            if (layout.nodes.len() - begin) * size_of::<Node<T>>() >= CHUNK_BYTES {
                chunks.push(std::mem::take(&mut groups));
                begin = layout.nodes.len();
            }
        }
        chunks.push(groups);
        Some((Self { nodes: layout.nodes, chunks, column_bits }, columns))
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
            let mut after = first;
            for (row, scores) in rows.chunks_exact(width).zip(scores.chunks_exact_mut(targets)) {
                after = first;
                for group in chunk {
                    let held = self.leaves(group, row);
                    cast(scores, after, held.get(..group.trees).unwrap_or_default());
                    after += group.trees;
                }
            }
            first = after;
        }
    }

    /// What the leaves hold that a row comes to.
    #[inline]
    fn leaves(&self, group: &Group, row: &[T]) -> [T; LANES] {
        let (nodes, bits) = (self.nodes.as_slice(), self.column_bits);
        let mask = (1_u32 << bits) - 1;
        let mut at = group.roots;
        for _ in 0..group.depth {
            let mut moved = 0;
            for at in &mut at {
                let Some(node) = nodes.get(*at as usize) else { continue };
                let Some(x) = row.get((node.packed & mask) as usize) else { continue };
                let is_true = *x <= node.value;
                let distance = node.packed >> bits;
                moved |= distance;
                *at += distance + u32::from(!is_true);
            }
            if moved == 0 {
                break;
            }
        }
        at.map(|at| nodes.get(at as usize).map_or_else(T::default, |node| node.value))
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
