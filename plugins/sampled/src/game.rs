//! The game: what a coalition of features is worth, when the others take the values of the background.
//!
//! v(S) = Σ w_b f(x_S, b_rest) / Σ w_b over the rows b of the background: the marginal (interventional) value function
//! (Lundberg and Lee, NeurIPS 2017; Janzing et al., AISTATS 2020). Before it come the methods, which choose
//! coalitions; after it the model. It does not know how worths become shares.

use std::collections::HashMap;

use crate::{
    coalition::{Coalitions, add, everyone, members},
    model::{Asker, Failure},
};

/// Worths of coalitions times background rows that are worked on at once: bounds the memory for answers.
const BLOCK: usize = 1 << 16;

/// Rows that stand for "absent", each kept once, with shares that sum to 1 and the model's answers.
#[derive(Debug, Clone)]
pub struct Background {
    features: usize,
    rows: Vec<f64>,
    weights: Vec<f64>,
    answers: Vec<f64>,
    /// The worth of nobody.
    base: Vec<f64>,
}

impl Background {
    /// Of rows and their weights (all 1 when there are none); asks the model for each different row.
    ///
    /// # Errors
    /// `Wrong` without a row that counts or for a weight that cannot be; what the model said.
    pub fn new(rows: &[f64], weights: Option<&[f64]>, asker: &mut Asker<'_>) -> Result<Self, Failure> {
        let features = asker.features();
        let count = rows.len() / features.max(1);
        if weights.is_some_and(|weights| weights.len() != count) {
            let came = weights.map_or(0, <[f64]>::len);
            return Err(Failure::wrong(format!(
                "`weights` has {came} numbers, expected {count}: one for each row of `background`"
            )));
        }
        let given = |at: usize| weights.map_or(1.0, |weights| weights.get(at).copied().unwrap_or(0.0));
        if let Some((at, weight)) =
            (0..count).map(|at| (at, given(at))).find(|(_, weight)| !weight.is_finite() || *weight < 0.0)
        {
            return Err(Failure::wrong(format!(
                "`weights` has {weight} at {at}, expected a finite number of at least 0"
            )));
        }
        let total: f64 = (0..count).map(given).sum();
        if !(total > 0.0 && total.is_finite()) {
            return Err(Failure::wrong(
                "`background` has no row that counts; give at least one row of a weight above 0",
            ));
        }
        let (mut kept, mut shares, mut seen) = (Vec::new(), Vec::<f64>::new(), HashMap::new());
        for (at, row) in rows.chunks_exact(features.max(1)).enumerate().filter(|(at, _)| given(*at) > 0.0) {
            let key: Vec<u64> = row.iter().map(|&number| bits(number)).collect();
            let place = *seen.entry(key).or_insert_with(|| {
                kept.extend_from_slice(row);
                shares.push(0.0);
                shares.len() - 1
            });
            if let Some(share) = shares.get_mut(place) {
                *share += given(at) / total;
            }
        }
        let answers = asker.all(&kept)?;
        let mut base = vec![0.0; asker.outputs()];
        for (answer, share) in answers.chunks_exact(base.len().max(1)).zip(&shares) {
            base.iter_mut().zip(answer).for_each(|(base, answer)| *base += share * answer);
        }
        Ok(Self { features, rows: kept, weights: shares, answers, base })
    }

    /// The worth of nobody, for each output.
    #[must_use]
    pub fn base(&self) -> &[f64] {
        &self.base
    }

    /// How many different rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.weights.len()
    }

    /// Never: a background has a row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.rows.chunks_exact(self.features.max(1))
    }
}

/// Which features each player has.
#[derive(Debug, Clone)]
pub struct Players {
    features: Vec<Vec<usize>>,
}

impl Players {
    /// One for each feature.
    #[must_use]
    pub fn each(features: usize) -> Self {
        Self { features: (0..features).map(|feature| vec![feature]).collect() }
    }

    /// Of the player that each feature belongs to; players are numbered from 0 without gaps.
    ///
    /// # Errors
    /// `Wrong` for a player without features or with a number below 0.
    pub fn of(groups: &[i64]) -> Result<Self, Failure> {
        let mut features: Vec<Vec<usize>> = Vec::new();
        for (feature, &player) in groups.iter().enumerate() {
            let at = usize::try_from(player).ok().filter(|&at| at < groups.len());
            let at = at.ok_or_else(|| {
                Failure::wrong(format!(
                    "`groups` has {player} for feature {feature}, expected 0 to {}",
                    groups.len().saturating_sub(1)
                ))
            })?;
            if features.len() <= at {
                features.resize(at + 1, Vec::new());
            }
            if let Some(own) = features.get_mut(at) {
                own.push(feature);
            }
        }
        match features.iter().position(Vec::is_empty) {
            None => Ok(Self { features }),
            Some(player) => Err(Failure::wrong(format!(
                "`groups` names players up to {} and none of the features belongs to player {player}; number them without gaps",
                features.len() - 1
            ))),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.features.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.features.is_empty()
    }

    /// The features of each.
    pub fn iter(&self) -> impl Iterator<Item = &[usize]> {
        self.features.iter().map(Vec::as_slice)
    }
}

/// The game of one row. Its players are those whose features differ from some row of the background.
pub struct Game<'a> {
    x: &'a [f64],
    background: &'a Background,
    /// The model's answer for the row.
    answer: &'a [f64],
    varying: Vec<usize>,
    /// The features of the varying players, one after another, and where each begins.
    features: Vec<usize>,
    starts: Vec<usize>,
}

impl<'a> Game<'a> {
    /// Of a row and the model's answer for it.
    #[must_use]
    pub fn new(x: &'a [f64], answer: &'a [f64], background: &'a Background, players: &Players) -> Self {
        let differs = |feature: usize| background.rows().any(|row| !same(x.get(feature), row.get(feature)));
        let (mut varying, mut features, mut starts) = (Vec::new(), Vec::new(), vec![0]);
        for (player, own) in players.iter().enumerate() {
            if own.iter().any(|&feature| differs(feature)) {
                varying.push(player);
                features.extend_from_slice(own);
                starts.push(features.len());
            }
        }
        Self { x, background, answer, varying, features, starts }
    }

    /// The numbers of the players that vary; the players of coalitions are places in this list.
    #[must_use]
    pub fn varying(&self) -> &[usize] {
        &self.varying
    }

    /// The worth of nobody.
    #[must_use]
    pub fn base(&self) -> &'a [f64] {
        &self.background.base
    }

    /// The worth of everyone.
    #[must_use]
    pub fn whole(&self) -> &'a [f64] {
        self.answer
    }

    fn own(&self, player: usize) -> &[usize] {
        let end = self.starts.get(player + 1).copied().unwrap_or(0);
        self.starts.get(player).and_then(|&start| self.features.get(start..end)).unwrap_or_default()
    }

    /// The players in which the row differs from a row of the background.
    fn differing(&self, row: &[f64], into: &mut [u64]) {
        into.fill(0);
        for player in 0..self.varying.len() {
            if self.own(player).iter().any(|&feature| !same(self.x.get(feature), row.get(feature))) {
                add(into, player);
            }
        }
    }

    /// A row of the background in which the players of a set have the explained row's values.
    fn write(&self, set: &[u64], row: &[f64], into: &mut [f64]) {
        into.copy_from_slice(row);
        for &feature in members(set).flat_map(|player| self.own(player)) {
            if let (Some(into), Some(&value)) = (into.get_mut(feature), self.x.get(feature)) {
                *into = value;
            }
        }
    }

    /// What coalitions are worth: a row of outputs for each.
    ///
    /// The model is asked once for each different row: a player whose values are those of the background row is as
    /// good as absent. Sums run over the background in its order, whatever the batches are.
    ///
    /// # Errors
    /// What the model said.
    pub fn worths(&self, coalitions: &Coalitions, asker: &mut Asker<'_>) -> Result<Vec<f64>, Failure> {
        let (outputs, count) = (self.answer.len(), coalitions.len().max(1));
        let mut worths = vec![0.0; coalitions.len() * outputs];
        let everyone = everyone(self.varying.len());
        let mut block = Block::new(coalitions, everyone);
        let rows: Vec<(usize, &[f64])> = self.background.rows().enumerate().collect();
        for some in rows.chunks((BLOCK / count).max(1)) {
            block.fill(self, some, coalitions, asker)?;
            for ((at, _), targets) in some.iter().zip(block.targets.chunks_exact(count)) {
                let weight = self.background.weights.get(*at).copied().unwrap_or(0.0);
                let absent = self.background.answers.get(at * outputs..(at + 1) * outputs).unwrap_or_default();
                for (worth, &target) in worths.chunks_exact_mut(outputs.max(1)).zip(targets) {
                    let answer = match target {
                        NOBODY => absent,
                        EVERYONE => self.answer,
                        asked => {
                            let start = asked as usize * outputs;
                            block.answers.get(start..start + outputs).unwrap_or_default()
                        }
                    };
                    worth.iter_mut().zip(answer).for_each(|(worth, answer)| *worth += weight * answer);
                }
            }
        }
        Ok(worths)
    }
}

/// The row of the background itself.
const NOBODY: u32 = u32::MAX;
/// The row that is explained itself.
const EVERYONE: u32 = u32::MAX - 1;
/// Coalitions whose features are written out as masks at once: few enough for the processor's nearest memory.
const MASKS: usize = 64;

/// Rows that are asked about together, and which coalition each answer belongs to.
struct Block {
    /// For each row of the background and each coalition, the number of the answer.
    targets: Vec<u32>,
    answers: Vec<f64>,
    /// Rows pushed since the block began.
    pushed: u32,
    everyone: Vec<u64>,
    /// The players that differ from each row of the background, one after another.
    differing: Vec<u64>,
    set: Vec<u64>,
    seen: Coalitions,
    /// The number of the answer of each set in `seen`.
    places: Vec<u32>,
    /// For some coalitions, all bits of each feature that is the explained row's.
    masks: Vec<u64>,
}

impl Block {
    fn new(coalitions: &Coalitions, everyone: Vec<u64>) -> Self {
        Self {
            targets: Vec::new(),
            answers: Vec::new(),
            pushed: 0,
            everyone,
            differing: Vec::new(),
            set: vec![0; coalitions.words()],
            seen: Coalitions::new(coalitions.players()),
            places: Vec::new(),
            masks: Vec::new(),
        }
    }

    /// Asks about all coalitions with some rows of the background.
    fn fill(
        &mut self,
        game: &Game<'_>,
        rows: &[(usize, &[f64])],
        coalitions: &Coalitions,
        asker: &mut Asker<'_>,
    ) -> Result<(), Failure> {
        let words = coalitions.words();
        self.targets.clear();
        self.targets.resize(rows.len() * coalitions.len(), NOBODY);
        self.answers.clear();
        self.pushed = 0;
        self.differing.clear();
        self.differing.resize(rows.len() * words, 0);
        for ((_, row), differing) in rows.iter().zip(self.differing.chunks_exact_mut(words)) {
            game.differing(row, differing);
        }
        self.untied(game, rows, coalitions, asker)?;
        for (at, (_, row)) in rows.iter().enumerate() {
            if self.differing(at) != self.everyone {
                self.tied(game, (at, row), coalitions, asker)?;
            }
        }
        asker.finish(&mut self.answers)
    }

    fn differing(&self, at: usize) -> &[u64] {
        let words = self.set.len();
        self.differing.get(at * words..(at + 1) * words).unwrap_or_default()
    }

    fn aim(&mut self, at: usize, target: u32) {
        if let Some(place) = self.targets.get_mut(at) {
            *place = target;
        }
    }

    /// With the rows in which every player differs: every coalition is another row.
    fn untied(
        &mut self,
        game: &Game<'_>,
        rows: &[(usize, &[f64])],
        coalitions: &Coalitions,
        asker: &mut Asker<'_>,
    ) -> Result<(), Failure> {
        let (features, count) = (asker.features(), coalitions.len());
        let sets: Vec<&[u64]> = coalitions.iter().collect();
        for (first, some) in sets.chunks(MASKS).enumerate() {
            self.masks.clear();
            self.masks.resize(some.len() * features, 0);
            for (set, mask) in some.iter().zip(self.masks.chunks_exact_mut(features)) {
                for &feature in members(set).flat_map(|player| game.own(player)) {
                    if let Some(mask) = mask.get_mut(feature) {
                        *mask = u64::MAX;
                    }
                }
            }
            for (at, (_, row)) in rows.iter().enumerate() {
                if self.differing(at) != self.everyone {
                    continue;
                }
                for (next, (set, mask)) in some.iter().zip(self.masks.chunks_exact(features)).enumerate() {
                    let target = if set.iter().all(|&word| word == 0) {
                        NOBODY
                    } else if *set == self.everyone {
                        EVERYONE
                    } else {
                        asker.push(&mut self.answers, |into| mix(into, mask, game.x, row))?;
                        self.pushed += 1;
                        self.pushed - 1
                    };
                    if let Some(place) = self.targets.get_mut(at * count + first * MASKS + next) {
                        *place = target;
                    }
                }
            }
        }
        Ok(())
    }

    /// With a row in which some players do not differ: coalitions that differ by these only are one row.
    fn tied(
        &mut self,
        game: &Game<'_>,
        (at, row): (usize, &[f64]),
        coalitions: &Coalitions,
        asker: &mut Asker<'_>,
    ) -> Result<(), Failure> {
        self.seen.clear();
        self.places.clear();
        let differing = self.differing(at).to_vec();
        for (next, coalition) in coalitions.iter().enumerate() {
            for ((set, &word), &differing) in self.set.iter_mut().zip(coalition).zip(&differing) {
                *set = word & differing;
            }
            let target = if self.set.iter().all(|&word| word == 0) {
                NOBODY
            } else if self.set == differing {
                EVERYONE
            } else {
                let (known, new) = self.seen.insert(&self.set);
                if new {
                    let set = &self.set;
                    asker.push(&mut self.answers, |into| game.write(set, row, into))?;
                    self.places.push(self.pushed);
                    self.pushed += 1;
                }
                self.places.get(known).copied().unwrap_or(NOBODY)
            };
            self.aim(at * coalitions.len() + next, target);
        }
        Ok(())
    }
}

/// The explained row where the mask is set, the background's elsewhere.
fn mix(into: &mut [f64], mask: &[u64], x: &[f64], row: &[f64]) {
    for (((into, mask), x), row) in into.iter_mut().zip(mask).zip(x).zip(row) {
        *into = f64::from_bits((x.to_bits() & mask) | (row.to_bits() & !mask));
    }
}

/// Equal for a model: the same bits, and any NaN is as missing as another.
fn same(one: Option<&f64>, other: Option<&f64>) -> bool {
    one.map(|&number| bits(number)) == other.map(|&number| bits(number))
}

fn bits(number: f64) -> u64 {
    if number.is_nan() { f64::NAN.to_bits() } else { number.to_bits() }
}
