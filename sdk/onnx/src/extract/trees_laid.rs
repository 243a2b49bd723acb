//! Puts the branching nodes of an ensemble in walking order, and makes trees of what writers share.
//!
//! A writer that has no comparison with a set says "is one of" as a chain of equalities that all lead to one
//! node (LightGBM's categories): [`Found::fold`] makes one node with a set of such a chain. What is still shared
//! after that is written out once per parent.

use std::ops::Range;

use super::{
    Numbers,
    trees::{Child, Mode},
};
use crate::error::{Error, ErrorKind, Result};

/// An ensemble may grow to this many nodes, or to this many times its size, when shared parts are written out.
const NODES_MAX: usize = 1 << 16;
const GROWTH_MAX: usize = 8;

/// Branching nodes as they were found, before they are put in order.
pub(super) struct Found {
    pub(super) features: Vec<u32>,
    pub(super) thresholds: Numbers,
    pub(super) modes: Vec<Mode>,
    pub(super) if_true: Vec<Child>,
    pub(super) if_false: Vec<Child>,
    pub(super) missing_true: Vec<bool>,
    pub(super) members: Numbers,
    /// Which members are a node's; empty when no node asks for membership.
    pub(super) member_ranges: Vec<Range<u32>>,
}

/// The nodes in walking order.
pub(super) struct Laid {
    pub(super) roots: Vec<Child>,
    pub(super) nodes: Found,
}

impl Found {
    /// Puts nodes in walking order and follows every branch on the way: each node has one parent then.
    pub(super) fn lay_out(mut self, roots: &[Child]) -> Result<Laid> {
        let folded = self.fold(roots);
        let Walk { roots, from, if_true, if_false } = self.walk(roots, &folded)?;
        let picked = |ranges: &[Range<u32>]| from.iter().filter_map(|at| ranges.get(*at).cloned()).collect();
        let nodes = Self {
            features: from.iter().filter_map(|at| self.features.get(*at).copied()).collect(),
            thresholds: self.thresholds.picked(from.iter().copied()),
            modes: from.iter().filter_map(|at| self.modes.get(*at).copied()).collect(),
            missing_true: from.iter().filter_map(|at| self.missing_true.get(*at).copied()).collect(),
            member_ranges: picked(&self.member_ranges),
            members: self.members,
            if_true,
            if_false,
        };
        Ok(Laid { roots, nodes })
    }

    /// Makes one node of each chain of equalities with one feature and one goal; says which nodes are gone.
    fn fold(&mut self, roots: &[Child]) -> Vec<bool> {
        let mut gone = vec![false; self.features.len()];
        if !self.member_ranges.is_empty() {
            return gone;
        }
        let mut parents = vec![0_u32; self.features.len()];
        for child in roots.iter().chain(&self.if_true).chain(&self.if_false).filter(|child| !child.is_leaf()) {
            if let Some(count) = parents.get_mut(child.at()) {
                *count = count.saturating_add(1);
            }
        }
        // The next link of the chain that a node is in.
        let next = |at: usize| {
            let follower = self.if_false.get(at).filter(|child| !child.is_leaf())?.at();
            let is_alike = self.modes.get(at) == Some(&Mode::Eq)
                && self.modes.get(follower) == Some(&Mode::Eq)
                && self.features.get(at) == self.features.get(follower)
                && self.if_true.get(at) == self.if_true.get(follower)
                && self.missing_true.get(at) == self.missing_true.get(follower);
            (is_alike && parents.get(follower) == Some(&1)).then_some(follower)
        };
        let nexts: Vec<Option<usize>> = (0..gone.len()).map(next).collect();
        for follower in nexts.iter().flatten() {
            if let Some(gone) = gone.get_mut(*follower) {
                *gone = true;
            }
        }
        let mut members = Vec::new();
        for head in (0..nexts.len()).filter(|at| gone.get(*at) == Some(&false)) {
            let chain: Vec<usize> = std::iter::successors(Some(head), |at| nexts.get(*at).copied().flatten()).collect();
            let [_, .., last] = *chain else { continue };
            let start = members.len();
            members.extend(chain);
            self.member_ranges.resize(nexts.len(), 0..0);
            let goal = self.if_false.get(last).copied();
            let slots = (self.modes.get_mut(head), self.if_false.get_mut(head), self.member_ranges.get_mut(head));
            if let (Some(mode), Some(if_false), Some(range), Some(goal)) = (slots.0, slots.1, slots.2, goal) {
                let below = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
                (*mode, *if_false, *range) = (Mode::Member, goal, below(start)..below(members.len()));
            }
        }
        if !members.is_empty() {
            self.members = self.thresholds.picked(members.into_iter());
        }
        gone
    }

    fn walk(&self, roots: &[Child], gone: &[bool]) -> Result<Walk> {
        let count = self.features.len();
        let limit = count.saturating_add(self.members.len()).saturating_mul(GROWTH_MAX).max(NODES_MAX);
        // A node's set is written out with it.
        let mut grown = 0_usize;
        let size = |at: usize| self.member_ranges.get(at).map_or(1, |range| range.len().saturating_add(1));
        let mut walk = Walk::default();
        let (mut seen, mut on_path) = (gone.to_vec(), vec![false; count]);
        let mut waiting = Vec::new();
        for root in roots {
            waiting.push(Turn::Enter(*root, Side::Root));
            while let Some(turn) = waiting.pop() {
                let (child, side) = match turn {
                    Turn::Enter(child, side) => (child, side),
                    Turn::Leave(at) => {
                        on_path.get_mut(at).into_iter().for_each(|flag| *flag = false);
                        continue;
                    }
                };
                if child.is_leaf() {
                    walk.link(side, child);
                    continue;
                }
                let at = child.at();
                let (Some(seen), Some(entered), Some(yes), Some(no)) =
                    (seen.get_mut(at), on_path.get_mut(at), self.if_true.get(at), self.if_false.get(at))
                else {
                    return Err(Error::invalid("a branch leads to a node that does not exist").got(at.to_string()));
                };
                if std::mem::replace(entered, true) {
                    let error = Error::invalid("a branch leads back to its own node: a tree must have no circle");
                    return Err(error.at(format_args!("tree node {at}")));
                }
                grown = grown.saturating_add(size(at));
                if grown > limit {
                    let what = "the trees share so much that they grow too large when they are written out";
                    return Err(Error::new(ErrorKind::Limit, what)
                        .expected(format!("at most {limit} nodes and members of sets")));
                }
                *seen = true;
                let place = walk.from.len();
                walk.link(side, Child::node(place)?);
                walk.from.push(at);
                // Overwritten as soon as the children have their places.
                walk.if_true.push(*yes);
                walk.if_false.push(*no);
                // The one put down last is next.
                waiting.extend([
                    Turn::Leave(at),
                    Turn::Enter(*no, Side::No(place)),
                    Turn::Enter(*yes, Side::Yes(place)),
                ]);
            }
        }
        match seen.iter().position(|seen| !seen) {
            Some(lost) => Err(Error::invalid("no root leads to a node: a tree must have one root and no circle")
                .at(format_args!("tree node {lost}"))),
            None => Ok(walk),
        }
    }
}

/// The order as it grows.
#[derive(Default)]
struct Walk {
    roots: Vec<Child>,
    /// Where each node stood before.
    from: Vec<usize>,
    if_true: Vec<Child>,
    if_false: Vec<Child>,
}

impl Walk {
    fn link(&mut self, side: Side, child: Child) {
        let slot = match side {
            Side::Root => return self.roots.push(child),
            Side::Yes(parent) => self.if_true.get_mut(parent),
            Side::No(parent) => self.if_false.get_mut(parent),
        };
        slot.into_iter().for_each(|slot| *slot = child);
    }
}

/// What a child is to its parent.
#[derive(Clone, Copy)]
enum Side {
    Root,
    Yes(usize),
    No(usize),
}

enum Turn {
    Enter(Child, Side),
    Leave(usize),
}
