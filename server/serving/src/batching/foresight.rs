//! Whether waiting for one more request pays, learned from when requests came.
//!
//! Each time a thread could run what waits, the room notes how many rows wait, and at the next arrival how long that
//! took: what waiting would have brought, whether one waited or not. So nothing is tried out on callers. From these
//! times, by size of what waits, it tells how long to wait: as long as what the expected newcomer saves (the fixed cost
//! of a run of its own) is more than what those who wait lose. Knows no queue and no clock.

/// Sizes that are told apart: 1, 2–3, 4–7, … rows.
const CLASSES: usize = 8;
/// Upper bounds of the times that are told apart: 8 µs, doubled each time; the last one is "much later".
const BUCKETS: usize = 20;
const FIRST_BOUND_NANOS: f64 = 8_000.0;
/// Fewer notes than this are no reason to wait.
const NOTES_MIN: f64 = 8.0;
/// At so many notes all are halved, so that old ones fade.
const NOTES_MAX: f64 = 256.0;

#[derive(Debug, Clone, Default)]
struct Times {
    counts: [f64; BUCKETS],
    total: f64,
}

/// What is known of arrivals.
#[derive(Debug, Clone, Default)]
pub(crate) struct Foresight {
    classes: [Times; CLASSES],
    /// The size that waited when somebody last could have run it, and since when.
    noted: Option<(usize, u64)>,
}

fn class_of(rows: u64) -> usize {
    usize::try_from(rows.max(1).ilog2()).unwrap_or(CLASSES).min(CLASSES - 1)
}

fn bound(bucket: usize) -> f64 {
    FIRST_BOUND_NANOS * f64::from(1_u32 << bucket.min(31))
}

impl Foresight {
    /// A thread could run `rows` at `now`.
    pub(crate) fn could_run(&mut self, rows: u64, now: u64) {
        self.noted = Some((class_of(rows), now));
    }

    /// A request came.
    #[allow(clippy::cast_precision_loss, reason = "times")]
    pub(crate) fn arrived(&mut self, now: u64) {
        let Some((class, since)) = self.noted.take() else { return };
        let Some(times) = self.classes.get_mut(class) else { return };
        let took = now.saturating_sub(since) as f64;
        let bucket = (0..BUCKETS - 1).find(|&bucket| took <= bound(bucket)).unwrap_or(BUCKETS - 1);
        if let Some(count) = times.counts.get_mut(bucket) {
            *count += 1.0;
            times.total += 1.0;
        }
        if times.total >= NOTES_MAX {
            times.counts.iter_mut().for_each(|count| *count /= 2.0);
            times.total /= 2.0;
        }
    }

    /// For how long it pays that `rows` wait, in nanoseconds; 0 for not at all. `fixed` is the fixed cost of a run.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "times of less than seconds"
    )]
    pub(crate) fn wait(&self, rows: u64, fixed: f64) -> u64 {
        let Some(times) = self.classes.get(class_of(rows)) else { return 0 };
        if times.total < NOTES_MIN {
            return 0;
        }
        let waiting = rows as f64;
        let (mut came, mut gain, mut best) = (0.0, 0.0, (0.0, 0.0));
        for (bucket, count) in times.counts.iter().enumerate().take(BUCKETS - 1) {
            let until = bound(bucket);
            came += count;
            // The newcomer saves the fixed cost, less its own wait; those who wait lose the time until it comes.
            gain += count * (fixed - (waiting + 1.0) * 0.75 * until);
            let worth = gain - (times.total - came) * waiting * until;
            if worth > best.0 {
                best = (worth, until);
            }
        }
        best.1 as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIXED: f64 = 5_000_000.0;

    /// `notes` arrivals, each `gap` after a thread could have run `rows`.
    fn after(foresight: &mut Foresight, rows: u64, gap: u64, notes: u64) {
        for n in 0..notes {
            foresight.could_run(rows, n * 1_000_000_000);
            foresight.arrived(n * 1_000_000_000 + gap);
        }
    }

    #[test]
    fn nobody_waits_before_anything_is_known_nor_for_what_comes_late() {
        let mut foresight = Foresight::default();
        assert_eq!(foresight.wait(1, FIXED), 0);
        after(&mut foresight, 1, 40_000_000, 100);
        assert_eq!(foresight.wait(1, FIXED), 0);
        assert_eq!(foresight.wait(0, FIXED), 0);
    }

    #[test]
    fn one_waits_for_what_comes_soon_and_not_for_longer_than_that() {
        let mut foresight = Foresight::default();
        after(&mut foresight, 1, 100_000, 100);
        let wait = foresight.wait(1, FIXED);
        assert!((100_000..=300_000).contains(&wait), "{wait}");
        assert_eq!(foresight.wait(1, 150_000.0), 0, "it would not save what it costs");
        assert_eq!(foresight.wait(16, FIXED), 0, "of sixteen that wait nothing is known");
    }

    #[test]
    fn the_more_wait_the_sooner_they_go() {
        let mut foresight = Foresight::default();
        after(&mut foresight, 2, 400_000, 100);
        after(&mut foresight, 32, 400_000, 100);
        assert!(foresight.wait(2, FIXED) > 0);
        assert_eq!(foresight.wait(32, FIXED), 0);
    }

    #[test]
    fn what_changes_is_learned() {
        let mut foresight = Foresight::default();
        after(&mut foresight, 1, 100_000, 1000);
        after(&mut foresight, 1, 60_000_000, 1500);
        assert_eq!(foresight.wait(1, FIXED), 0);
    }

    #[test]
    fn an_arrival_counts_for_the_last_chance_only() {
        let mut foresight = Foresight::default();
        foresight.could_run(1, 0);
        foresight.could_run(4, 10);
        foresight.arrived(20);
        foresight.arrived(30);
        assert_eq!(foresight.classes[2].total, 1.0);
        assert_eq!(foresight.classes[0].total, 0.0);
    }
}
