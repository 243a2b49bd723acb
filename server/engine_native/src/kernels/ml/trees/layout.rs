//! Writes trees in the form that `flat` walks: every node asks `x <= value` of a column.
//!
//! `>=`, `<`, `>` and missing values are a matter of columns and of the next smaller threshold. "Is one of" becomes a
//! search among the sorted members by the same question; its many ends jump to where "true" and "false" go on.

use std::{cmp::Ordering, collections::BTreeMap};

use candor_onnx::extract::{Child, Mode, TreeEnsemble};

use super::{
    columns::{Column, Columns},
    flat::{Group, Node, Packed},
    number::Number,
};

/// What a leaf holds; never NaN.
pub(super) type Held<'a, T> = &'a dyn Fn(Child) -> T;

/// What a node of the file asks.
enum Asked<T> {
    /// `column <= threshold`.
    AtMost(Column, T),
    /// Whether the feature is one of these sorted numbers, or is missing and `missing_true`.
    OneOf { feature: u32, members: Vec<T>, missing_true: bool },
    /// Whether it is another number than this.
    Not { feature: u32, members: Vec<T> },
}

impl<T: Number> Asked<T> {
    fn by(ensemble: &TreeEnsemble, at: usize) -> Option<Self> {
        let (feature, missing_true) = (*ensemble.features.get(at)?, *ensemble.missing_true.get(at)?);
        let threshold = T::of(ensemble.thresholds.get(at)?);
        let (negated, threshold) = match ensemble.modes.get(at)? {
            Mode::Leq => (false, threshold),
            Mode::Lt => (false, threshold.before()),
            Mode::Gte => (true, -threshold),
            Mode::Gt => (true, (-threshold).before()),
            Mode::Eq => return Some(Self::OneOf { feature, members: sorted([threshold].into_iter()), missing_true }),
            Mode::Neq => return Some(Self::Not { feature, members: sorted([threshold].into_iter()) }),
            Mode::Member => {
                let members = ensemble.members_of(at).filter_map(|at| ensemble.members.get(at)).map(T::of);
                return Some(Self::OneOf { feature, members: sorted(members), missing_true });
            }
        };
        if missing_true && threshold.is_nan() {
            // Nothing is below NaN, not even the lowest number that missing values are otherwise.
            return Some(Self::OneOf { feature, members: Vec::new(), missing_true });
        }
        Some(Self::AtMost(Column { feature, negated, missing_is_lowest: missing_true }, threshold))
    }

    fn column(&self) -> Column {
        match self {
            Self::AtMost(column, _) => *column,
            Self::OneOf { feature, .. } | Self::Not { feature, .. } => {
                Column { feature: *feature, negated: false, missing_is_lowest: false }
            }
        }
    }
}

fn sorted<T: Number>(members: impl Iterator<Item = T>) -> Vec<T> {
    let mut members: Vec<T> = members.filter(|member| !member.is_nan()).collect();
    members.sort_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
    members.dedup();
    members
}

/// Nodes in the making. The first is a leaf, for lanes without a tree.
pub(super) struct Layout<'a, T, P> {
    ensemble: &'a TreeEnsemble,
    asked: &'a [Asked<T>],
    places: &'a BTreeMap<Column, u32>,
    held: Held<'a, T>,
    column_bits: u32,
    nodes: Vec<Node<T, P>>,
}

/// Part of a tree that waits for being laid out: where its root is to be, what it is, and how deep.
struct Waiting(usize, Child, u32);

/// An ensemble that is laid out.
pub(super) struct Laid<T, P, R> {
    pub(super) nodes: Vec<Node<T, P>>,
    pub(super) columns: Columns,
    /// How many bits a column takes where bits are few.
    pub(super) column_bits: u32,
    /// What was made of the trees.
    pub(super) made: R,
}

/// Lays an ensemble out; none if it does not fit. `work` puts the trees where they are wanted.
pub(super) fn lay_out<T: Number, P: Packed, R>(
    ensemble: &TreeEnsemble,
    held: Held<'_, T>,
    work: impl FnOnce(&mut Layout<'_, T, P>) -> Option<R>,
) -> Option<Laid<T, P, R>> {
    let asked = (0..ensemble.features.len()).map(|at| Asked::by(ensemble, at)).collect::<Option<Vec<_>>>()?;
    let (columns, places) = Columns::of(asked.iter().map(Asked::column));
    let column_bits = usize::BITS - columns.width().leading_zeros();
    let mut layout = Layout { ensemble, asked: &asked, places: &places, held, column_bits, nodes: Vec::new() };
    layout.add(1)?;
    let made = work(&mut layout)?;
    Some(Laid { nodes: layout.nodes, columns, column_bits, made })
}

impl<T: Number, P: Packed> Layout<'_, T, P> {
    /// Bytes so far.
    pub(super) fn bytes(&self) -> usize {
        self.nodes.len() * size_of::<Node<T, P>>()
    }

    /// Lays out some trees behind what is there.
    pub(super) fn group<const LANES: usize>(&mut self, roots: &[Child]) -> Option<Group<LANES>> {
        let mut group = Group { roots: [0; LANES], trees: roots.len(), depth: 0 };
        for (place, root) in group.roots.iter_mut().zip(roots) {
            *place = u32::try_from(self.nodes.len()).ok()?;
            group.depth = group.depth.max(self.tree(*root)?);
        }
        Some(group)
    }

    /// Lays out a tree; gives its depth.
    fn tree(&mut self, root: Child) -> Option<u32> {
        let mut waiting = vec![Waiting(self.add(1)?, root, 0)];
        let mut depth = 0;
        while let Some(Waiting(place, child, level)) = waiting.pop() {
            depth = depth.max(level);
            if child.is_leaf() {
                self.set(place, place, 0, (self.held)(child))?;
                continue;
            }
            let if_true = *self.ensemble.if_true.get(child.at())?;
            let if_false = *self.ensemble.if_false.get(child.at())?;
            let asked = self.asked.get(child.at())?;
            let column = *self.places.get(&asked.column())?;
            let (pair, level) = match asked {
                Asked::AtMost(_, threshold) => (self.ask(place, column, *threshold)?, level + 1),
                Asked::OneOf { members, missing_true, .. } => {
                    self.search(place, level, column, members, *missing_true)?
                }
                Asked::Not { members, .. } => self.search(place, level, column, members, false)?,
            };
            let is_not = matches!(asked, Asked::Not { .. });
            let (if_true, if_false) = if is_not { (if_false, if_true) } else { (if_true, if_false) };
            // The one put down last is next.
            waiting.extend([Waiting(pair + 1, if_false, level), Waiting(pair, if_true, level)]);
        }
        Some(depth)
    }

    /// Searches for the feature among sorted members; gives the places where "true" and "false" go on, and how
    /// deep they are.
    fn search(
        &mut self,
        mut place: usize,
        mut level: u32,
        column: u32,
        members: &[T],
        missing_true: bool,
    ) -> Option<(usize, u32)> {
        // Ends of the search, and to which side.
        let (mut to_true, mut to_false) = (Vec::new(), Vec::new());
        if missing_true {
            // Only what is missing is not at most the highest number.
            let pair = self.ask(place, column, T::HIGHEST)?;
            to_true.push(pair + 1);
            (place, level) = (pair, level + 1);
        }
        let (mut waiting, mut depth) = (vec![(place, members, level)], level);
        while let Some((place, members, level)) = waiting.pop() {
            depth = depth.max(level);
            match members {
                [] => to_false.push(place),
                [member] => {
                    let pair = self.ask(place, column, *member)?;
                    let below = self.ask(pair, column, member.before())?;
                    to_false.extend([pair + 1, below]);
                    to_true.push(below + 1);
                    depth = depth.max(level + 2);
                }
                _ => {
                    let (low, high) = members.split_at(members.len() / 2);
                    let pair = self.ask(place, column, *low.last()?)?;
                    waiting.extend([(pair + 1, high, level + 1), (pair, low, level + 1)]);
                }
            }
        }
        let pair = self.add(2)?;
        for (places, target) in [(to_true, pair), (to_false, pair + 1)] {
            for place in places {
                // The first column is below everything: the answer is "true".
                self.set(place, target, 0, T::default())?;
            }
        }
        Some((pair, depth + 1))
    }

    /// A node that asks; gives the places of its children.
    fn ask(&mut self, place: usize, column: u32, threshold: T) -> Option<usize> {
        let pair = self.add(2)?;
        self.set(place, pair, column, threshold)?;
        Some(pair)
    }

    fn add(&mut self, nodes: usize) -> Option<usize> {
        let place = self.nodes.len();
        let empty = Node { value: T::default(), packed: P::of(0, 0, self.column_bits)? };
        self.nodes.extend(std::iter::repeat_n(empty, nodes));
        Some(place)
    }

    fn set(&mut self, place: usize, target: usize, column: u32, value: T) -> Option<()> {
        let distance = u32::try_from(target - place).ok()?;
        *self.nodes.get_mut(place)? = Node { value, packed: P::of(distance, column, self.column_bits)? };
        Some(())
    }
}
