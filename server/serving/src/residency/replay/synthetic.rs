//! Traces from a seed: the same for the same seed, for ever.
//!
//! Sizes of models follow a log-normal distribution; what a load takes goes with the size, and for some models, whose
//! graphs are much work for their size, is several times as much. How popular a model is follows Zipf's law and has
//! nothing to do with its size.

use crate::{
    cross_check::Dice,
    residency::{ledger::Need, replay::Trace},
};

/// How requests come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Always the same models are popular.
    Zipf,
    /// Each model has its hours of the day.
    Diurnal,
    /// Models are asked many times in a short while, and then not for long.
    Bursts,
}

/// The largest and the smallest model.
const BYTES: std::ops::RangeInclusive<f64> = 262_144.0..=1_073_741_824.0;
const MEDIAN_BYTES: f64 = 12_000_000.0;
/// Standard deviation of the logarithm of sizes.
const SPREAD: f64 = 1.4;
/// Popularity of the n-th model is n to the power of minus this.
const ZIPF: f64 = 0.9;
const DAY_MS: f64 = 86_400_000.0;
/// Mean number of requests in a burst.
const BURST: f64 = 40.0;
/// Mean milliseconds between two requests of a burst.
const BURST_GAP_MS: f64 = 400.0;

/// Makes `requests` requests to `models` models over `hours` hours.
#[must_use]
pub fn synthetic(shape: Shape, seed: u64, models: u32, requests: u32, hours: f64) -> Trace {
    let mut dice = Dice::new(seed);
    let needs = (0..models).map(|_| need(&mut dice)).collect();
    let ranks = Ranks::new(models, &mut dice);
    let span_ms = hours * 3_600_000.0;
    let mut at: Vec<(u64, u32)> = match shape {
        Shape::Zipf => (0..requests).map(|_| (millis(dice.unit() * span_ms), ranks.draw(&mut dice))).collect(),
        Shape::Diurnal => (0..requests).map(|_| by_the_hour(&ranks, span_ms, &mut dice)).collect(),
        Shape::Bursts => bursts(&ranks, span_ms, requests, &mut dice),
    };
    at.sort_unstable();
    Trace { models: needs, requests: at }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sizes and times are positive and small")]
fn millis(value: f64) -> u64 {
    value as u64
}

fn need(dice: &mut Dice) -> Need {
    let bytes = (MEDIAN_BYTES * (SPREAD * normal(dice)).exp()).clamp(*BYTES.start(), *BYTES.end());
    // From 150 to 600 MB a second; one model in eight takes five times as long.
    let bytes_per_ms = 150_000.0 + 450_000.0 * dice.unit();
    let dear = if dice.below(8) == 0 { 5.0 } else { 1.0 };
    let load_ms = 4.0 + dear * bytes / bytes_per_ms;
    let peak = 1.1 + dice.unit();
    Need { load_bytes: millis(bytes * peak), steady_bytes: millis(bytes), load_ms: millis(load_ms) }
}

/// A normal variable (Box and Muller, 1958).
fn normal(dice: &mut Dice) -> f64 {
    let radius = (-2.0 * (1.0 - dice.unit()).ln()).sqrt();
    radius * (std::f64::consts::TAU * dice.unit()).cos()
}

/// An exponential variable with mean 1.
fn exponential(dice: &mut Dice) -> f64 {
    -(1.0 - dice.unit()).ln()
}

/// Models in order of popularity.
struct Ranks {
    /// Share of the requests up to each rank.
    shares: Vec<f64>,
    models: Vec<u32>,
}

impl Ranks {
    fn new(models: u32, dice: &mut Dice) -> Self {
        let mut sum = 0.0;
        let mut shares: Vec<f64> = (1..=models)
            .map(|rank| {
                sum += f64::from(rank).powf(-ZIPF);
                sum
            })
            .collect();
        shares.iter_mut().for_each(|share| *share /= sum);
        let mut models: Vec<u32> = (0..models).collect();
        for last in (1..models.len()).rev() {
            models.swap(last, usize::try_from(dice.below(last as u64 + 1)).unwrap_or(0));
        }
        Self { shares, models }
    }

    fn draw(&self, dice: &mut Dice) -> u32 {
        let unit = dice.unit();
        let rank = self.shares.partition_point(|share| *share <= unit);
        self.models.get(rank).or_else(|| self.models.last()).copied().unwrap_or(0)
    }
}

/// A request at an hour that is one of its model's: most at its noon, hardly any twelve hours later.
fn by_the_hour(ranks: &Ranks, span_ms: f64, dice: &mut Dice) -> (u64, u32) {
    loop {
        let (at, model) = (dice.unit() * span_ms, ranks.draw(dice));
        // Four quarters of the world.
        let noon = f64::from(model % 4) / 4.0;
        let height = (std::f64::consts::TAU * (at / DAY_MS - noon)).cos().mul_add(0.5, 0.5).powi(2);
        if dice.unit() < height.max(0.01) {
            return (millis(at), model);
        }
    }
}

fn bursts(ranks: &Ranks, span_ms: f64, requests: u32, dice: &mut Dice) -> Vec<(u64, u32)> {
    let wanted = requests as usize;
    let mut all = Vec::with_capacity(wanted);
    while all.len() < wanted {
        let (mut at, model) = (dice.unit() * span_ms, ranks.draw(dice));
        let count = 1 + millis(BURST * exponential(dice));
        for _ in 0..count {
            if all.len() < wanted && at < span_ms {
                all.push((millis(at), model));
            }
            at += BURST_GAP_MS * exponential(dice);
        }
    }
    all
}
