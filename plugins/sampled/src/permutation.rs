//! Permutation SHAP: marginal contributions along random orders of the players, each order forwards and backwards.
//!
//! The sampling of Castro, Gómez and Tejada (Computers & Operations Research 36, 2009) with the antithetic pairs of
//! Mitchell et al. (JMLR 23, 2022), as `shap.PermutationExplainer` does it. Each order's contributions telescope, so
//! that the shares always add up. Before it comes the game; it does not know the model.

use crate::{
    coalition::{Coalitions, add, complement, everyone},
    exact::to_float,
    kernel::Shares,
    random::Random,
};

/// Orders, and the coalitions that they pass.
pub struct Plan {
    /// Every coalition once.
    pub coalitions: Coalitions,
    players: usize,
    orders: Vec<usize>,
    /// For each order, the numbers of the coalitions after each step forwards, and then after each step backwards:
    /// 2m + 1, from nobody over everyone to nobody.
    steps: Vec<usize>,
}

/// What `shap.PermutationExplainer` charges for an order: nobody, m steps forwards, m steps backwards.
#[must_use]
pub fn price(players: usize) -> usize {
    2 * players + 1
}

/// As many orders as the budget buys.
#[must_use]
pub fn plan(players: usize, budget: usize, seed: u64) -> Plan {
    let count = if players == 0 { 0 } else { budget / price(players) };
    let mut made = Plan { coalitions: Coalitions::new(players), players, orders: Vec::new(), steps: Vec::new() };
    let mut random = Random::new(seed, 0);
    let (all, mut order) = (everyone(players), (0..players).collect::<Vec<_>>());
    let (mut set, mut rest) = (vec![0; all.len()], vec![0; all.len()]);
    for _ in 0..count {
        random.shuffle(&mut order, players);
        made.orders.extend_from_slice(&order);
        set.fill(0);
        let mut backwards = Vec::with_capacity(players);
        made.steps.push(made.coalitions.insert(&set).0);
        for &player in &order {
            add(&mut set, player);
            made.steps.push(made.coalitions.insert(&set).0);
            complement(&set, &all, &mut rest);
            backwards.push(made.coalitions.insert(&rest).0);
        }
        made.steps.extend_from_slice(&backwards);
    }
    made
}

impl Plan {
    /// How many orders there are.
    #[must_use]
    pub fn orders(&self) -> usize {
        self.orders.len() / self.players.max(1)
    }

    /// Means over the orders and the standard errors of these means; NaN for a single order. `worths` has a row of
    /// outputs for each coalition of the plan.
    #[must_use]
    pub fn shares(&self, worths: &[f64], outputs: usize) -> Shares {
        let cells = self.players * outputs;
        let (mut values, mut squares) = (vec![0.0; cells], vec![0.0; cells]);
        let worth = |at: usize| worths.get(at * outputs..(at + 1) * outputs).unwrap_or_default();
        let orders = self.orders.chunks_exact(self.players.max(1));
        let steps = || self.steps.chunks_exact(price(self.players));
        let step = |steps: &[usize], at: usize| worth(steps.get(at).copied().unwrap_or(0));
        // Two passes, so that the variance is a sum of squares.
        for (order, steps) in orders.clone().zip(steps()) {
            for (at, &player) in order.iter().enumerate() {
                let own = values.get_mut(player * outputs..(player + 1) * outputs).unwrap_or_default();
                contribution(own, &steps_of(&step, steps, at, self.players), |own, new| *own += new);
            }
        }
        let count = to_float(self.orders());
        values.iter_mut().for_each(|value| *value /= count.max(1.0));
        let mut own = vec![0.0; outputs];
        for (order, steps) in orders.zip(steps()) {
            for (at, &player) in order.iter().enumerate() {
                contribution(&mut own, &steps_of(&step, steps, at, self.players), |own, new| *own = new);
                let range = player * outputs..(player + 1) * outputs;
                let (mean, square) = (values.get(range.clone()), squares.get_mut(range));
                for ((square, mean), own) in
                    square.unwrap_or_default().iter_mut().zip(mean.unwrap_or_default()).zip(&own)
                {
                    *square += (own - mean) * (own - mean);
                }
            }
        }
        let spread = count * (count - 1.0);
        let errors = squares.into_iter().map(|sum| if spread > 0.0 { (sum / spread).sqrt() } else { f64::NAN });
        Shares { errors: errors.collect(), values }
    }
}

/// The worths before and after a player came forwards, and before and after it left backwards.
fn steps_of<'w>(
    step: &impl Fn(&[usize], usize) -> &'w [f64],
    steps: &[usize],
    at: usize,
    players: usize,
) -> [&'w [f64]; 4] {
    [step(steps, at), step(steps, at + 1), step(steps, players + at), step(steps, players + at + 1)]
}

/// The mean of what a player adds when it comes and takes away when it leaves.
fn contribution(own: &mut [f64], [before, after, with, without]: &[&[f64]; 4], take: impl Fn(&mut f64, f64)) {
    let (came, left) = (before.iter().zip(*after), with.iter().zip(*without));
    for (own, ((before, after), (with, without))) in own.iter_mut().zip(came.zip(left)) {
        take(own, 0.5 * ((after - before) + (with - without)));
    }
}
