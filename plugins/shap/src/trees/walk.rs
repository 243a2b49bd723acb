//! Path-dependent shares of one tree: one walk over it a row, with a few numbers at each node.
//!
//! The Shapley value of a player is the integral of the derivative of the game's multilinear extension along the
//! diagonal, from 0 to 1 (G. Owen, "Multilinear Extensions of Games", 1972). For a tree that extension is known node
//! by node: with the player known with chance t, a node gives `t·hot + (1 - t)·(share_yes·yes + share_no·no)`, where
//! `hot` is the branch that the row takes. What is integrated for a leaf is a polynomial of a degree below the number
//! of players on its path, so that Gauss and Legendre's sum over half as many points is exact. All factors are
//! positive: nothing cancels, and nothing is divided that could be zero.
//!
//! Where a player is asked again below, its chance to be known has changed: of those who came by its branches above,
//! a share `z`, it is known with chance `a = t / (t + (1 - t)·z)`, and the derivative of that is
//! `z / (t + (1 - t)·z)²`. If the row left the path at that player above, it cannot be known below: `a = 0`.
#![allow(
    clippy::indexing_slicing,
    reason = "the innermost loop; nodes, steps and shares are parallel lists, and children, columns, players and \
              levels were checked when they were made"
)]

use super::{
    covers::Covers,
    forest::{Forest, Kid, Node, Tree},
    legendre,
    paths::{Paths, Step},
};

/// Most points that one walk carries. Polynomials of higher degrees take several walks.
const POINTS_MAX: usize = 8;

/// A tree, ready to be walked.
pub struct Walkable {
    covers: Covers,
    /// Points in walks of a number each.
    walks: Vec<Points>,
    depth: usize,
}

/// Points that go together, and what repeated players need at each of them.
struct Points {
    /// `t` and its weight.
    points: Vec<(f64, f64)>,
    /// For each node the place of its row in `bends`, where its player is asked again.
    bent: Vec<u32>,
    /// Rows: `a` for each point, then the derivative for each point.
    bends: Vec<f64>,
}

impl Walkable {
    /// Prepares a tree.
    #[must_use]
    pub fn new(tree: &Tree, paths: &Paths, covers: Covers) -> Self {
        let points = legendre::points(paths.width_max.div_ceil(2));
        let walks = points.chunks(POINTS_MAX).map(|points| Points::new(points, paths, &covers)).collect();
        let depth = tree.nodes.iter().map(|node| node.level as usize + 1).max().unwrap_or(0);
        Self { covers, walks, depth }
    }

    /// What the tree adds on average to each of its targets.
    #[must_use]
    pub fn means(&self) -> &[f64] {
        &self.covers.means
    }

    /// Shares of the branches of each node.
    #[must_use]
    pub const fn covers(&self) -> &Covers {
        &self.covers
    }

    /// Adds the shares of a row in the tree's `k`-th target to those of the players.
    pub fn add(&self, forest: &Forest, tree: &Tree, paths: &Paths, k: usize, row: &[f64], shares: &mut [f64]) {
        if tree.root.node().is_none() {
            return;
        }
        for points in &self.walks {
            let begin = Begin { forest, tree, paths, covers: &self.covers, points, depth: self.depth, k, row };
            match points.points.len() {
                1 => begin.walk::<1>(shares),
                2 => begin.walk::<2>(shares),
                3 => begin.walk::<3>(shares),
                4 => begin.walk::<4>(shares),
                5 => begin.walk::<5>(shares),
                6 => begin.walk::<6>(shares),
                7 => begin.walk::<7>(shares),
                _ => begin.walk::<POINTS_MAX>(shares),
            }
        }
    }
}

impl Points {
    fn new(points: &[(f64, f64)], paths: &Paths, covers: &Covers) -> Self {
        let mut made = Self { points: points.to_vec(), bent: vec![0; paths.steps.len()], bends: Vec::new() };
        for (at, step) in paths.steps.iter().enumerate().filter(|(_, step)| step.again > 0) {
            debug_assert!(step.width > 0);
            made.bent[at] = u32::try_from(made.bends.len()).unwrap_or(0);
            let z = covers.before[at];
            let whole = |t: f64| t + (1.0 - t) * z;
            made.bends.extend(points.iter().map(|(t, _)| t / whole(*t)));
            made.bends.extend(points.iter().map(|(t, _)| z / (whole(*t) * whole(*t))));
        }
        made
    }
}

/// What a walk begins with.
struct Begin<'a> {
    forest: &'a Forest,
    tree: &'a Tree,
    paths: &'a Paths,
    covers: &'a Covers,
    points: &'a Points,
    depth: usize,
    k: usize,
    row: &'a [f64],
}

impl Begin<'_> {
    fn walk<const N: usize>(&self, shares: &mut [f64]) {
        let (mut t, mut weights) = ([0.0; N], [0.0; N]);
        for (at, (point, weight)) in self.points.points.iter().enumerate().take(N) {
            (t[at], weights[at]) = (*point, *weight);
        }
        // Room for the deepest level in any case, so that most trees need no memory of their own.
        let (mut few, mut many) = ([false; 64], Vec::new());
        let known = if self.depth <= few.len() {
            &mut few[..]
        } else {
            many.resize(self.depth, false);
            &mut many[..]
        };
        let mut walk = Walk::<N> {
            members: &self.forest.members,
            nodes: &self.tree.nodes,
            steps: &self.paths.steps,
            shares: &self.covers.shares,
            points: self.points,
            values: &self.tree.values,
            targets: self.tree.targets.len(),
            k: self.k,
            row: self.row,
            t,
            known,
            found: shares,
        };
        walk.visit(0, &weights);
    }
}

struct Walk<'a, const N: usize> {
    members: &'a [f64],
    nodes: &'a [Node],
    steps: &'a [Step],
    shares: &'a [[f64; 2]],
    points: &'a Points,
    values: &'a [f64],
    targets: usize,
    k: usize,
    row: &'a [f64],
    t: [f64; N],
    /// By level: whether the row has kept to the path so far, as to the player that is asked there.
    known: &'a mut [bool],
    found: &'a mut [f64],
}

impl<const N: usize> Walk<'_, N> {
    /// A node's numbers at each point; adds what it says of its player. `above` are the products of what stands above.
    fn visit(&mut self, at: usize, above: &[f64; N]) -> [f64; N] {
        let (node, step, [no_share, yes_share]) = (&self.nodes[at], &self.steps[at], self.shares[at]);
        let yes = node.holds(self.row[node.column as usize], self.members);
        let (is_known, a, slope) = if step.again == 0 {
            (true, self.t, *above)
        } else if self.known[step.again as usize - 1] {
            let bend = &self.points.bends[self.points.bent[at] as usize..][..2 * N];
            let (mut a, mut slope) = ([0.0; N], [0.0; N]);
            for n in 0..N {
                (a[n], slope[n]) = (bend[n], above[n] * bend[N + n]);
            }
            (true, a, slope)
        } else {
            (false, [0.0; N], [0.0; N])
        };
        if let (Some(yes_leaf), Some(no_leaf)) = (node.yes.leaf(), node.no.leaf()) {
            let (yes_value, no_value) = (self.value(yes_leaf), self.value(no_leaf));
            let mean = yes_share * yes_value + no_share * no_value;
            let more = if yes { yes_value - mean } else { no_value - mean };
            let mut sum = 0.0;
            let mut here = [mean; N];
            for n in 0..N {
                sum += slope[n];
                here[n] += a[n] * more;
            }
            self.found[step.player as usize] += sum * more;
            return here;
        }
        let (mut to_yes, mut to_no) = ([0.0; N], [0.0; N]);
        for n in 0..N {
            let hot = above[n] * a[n];
            let rest = above[n] - hot;
            to_yes[n] = rest * yes_share + if yes { hot } else { 0.0 };
            to_no[n] = rest * no_share + if yes { 0.0 } else { hot };
        }
        let of_yes = self.kid(node.yes, node.level, is_known && yes, yes_share, &to_yes);
        let of_no = self.kid(node.no, node.level, is_known && !yes, no_share, &to_no);
        let mut here = [0.0; N];
        let mut sum = 0.0;
        for n in 0..N {
            let mean = yes_share * of_yes[n] + no_share * of_no[n];
            let more = if yes { of_yes[n] } else { of_no[n] } - mean;
            sum += slope[n] * more;
            here[n] = mean + a[n] * more;
        }
        if is_known {
            self.found[step.player as usize] += sum;
        }
        here
    }

    fn kid(&mut self, kid: Kid, level: u32, is_known: bool, share: f64, above: &[f64; N]) -> [f64; N] {
        match kid.node() {
            // Nobody comes there, and the row does not either.
            Some(_) if share == 0.0 && !is_known && above.iter().all(|above| *above == 0.0) => [0.0; N],
            Some(at) => {
                self.known[level as usize] = is_known;
                self.visit(at, above)
            }
            None => [self.value(kid.leaf().unwrap_or_default()); N],
        }
    }

    fn value(&self, leaf: usize) -> f64 {
        self.values[leaf * self.targets + self.k]
    }
}
