//! Which session leaves first when there is no room.
//!
//! The ledger tells how often and when each session was used, what it weighs and what loading it cost; a policy turns
//! that into a worth, and the least worth leaves. Knows no bytes in force, no waiters and no clock.
//!
//! [`Policy::Gdsf`] serves unless the configuration asks for [`Policy::Lru`]; the others are there to be compared with
//! it (`candor bench cache`). It is
//! GreedyDual-Size-Frequency (Cherkasova, 1998): worth = L + frequency × cost / size, where L is the worth of what
//! left last. L grows only when something leaves, so it is enough to count uses and to look at the counters then: no
//! request needs to tell anybody that it came.

use candor_domain::Tick;

/// How the worth of a session is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    /// By frequency, cost of loading and size, aged by what has left.
    #[default]
    Gdsf,
    /// By the time of the last use.
    Lru,
    /// By the number of uses.
    Lfu,
    /// By the time of the next use, which only a replay knows.
    Clairvoyant,
}

/// How a session is used, as somebody sees it who looks now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Uses since ever; never less than at the last look.
    pub uses: u64,
    /// When it was used last, where that is known better than by the looks.
    pub last_used: Option<Tick>,
    /// Whether somebody uses it now.
    pub busy: bool,
    /// When it will be used next, where that is known.
    pub next_use: Option<Tick>,
}

/// Share of its uses that a session is remembered by when it has left. All of them would reload a little less where
/// popularity never changes, and keep for ever what was popular once (decision 0021).
const REMEMBERED: f64 = 0.9;

/// What a policy remembers of one session.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Merit {
    /// The counter at the last look.
    seen: u64,
    /// Uses that count.
    frequency: f64,
    /// Worth by GDSF, as of the last use.
    worth: f64,
    last_used: Tick,
    next_use: Option<Tick>,
}

/// What a load cost and what it holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Price {
    pub(super) bytes: u64,
    pub(super) load_ms: u64,
}

impl Price {
    /// Milliseconds of loading that a MiB of memory saves.
    #[allow(clippy::cast_precision_loss, reason = "an order is made of it, not a sum")]
    fn of_a_mib(self) -> f64 {
        self.load_ms.max(1) as f64 / (self.bytes.max(1) as f64 / f64::from(1 << 20))
    }
}

impl Merit {
    /// Takes in what has happened since the last look. `floor` is the worth of what left last.
    #[allow(clippy::cast_precision_loss, reason = "counts below 2^53")]
    pub(super) fn look(&mut self, usage: Usage, now: Tick, floor: f64, price: Price) {
        self.next_use = usage.next_use;
        let fresh = usage.uses.saturating_sub(self.seen);
        if fresh == 0 {
            return;
        }
        self.seen = usage.uses;
        self.frequency += fresh as f64;
        self.last_used = usage.last_used.unwrap_or(now);
        self.worth = floor + self.frequency * price.of_a_mib();
    }

    /// It is in memory from now on.
    pub(super) fn seat(&mut self, usage: Usage, now: Tick, floor: f64, price: Price) {
        self.look(usage, now, floor, price);
        self.last_used = self.last_used.max(now);
        self.worth = floor + self.frequency.max(1.0) * price.of_a_mib();
    }

    /// It leaves; most of what it was asked so far counts again when it comes back.
    pub(super) fn leave(&mut self) {
        self.frequency *= REMEMBERED;
    }

    /// When it was used last.
    pub(super) fn last_used(&self) -> Tick {
        self.last_used
    }

    /// The worth that GDSF ages by.
    pub(super) fn aging(&self) -> f64 {
        self.worth
    }

    /// What it is worth to keep it; the least leaves first.
    #[allow(clippy::cast_precision_loss, reason = "an order is made of it, not a sum")]
    pub(super) fn worth(&self, policy: Policy, price: Price, now: Tick) -> f64 {
        match policy {
            Policy::Gdsf => self.worth,
            Policy::Lru => self.last_used.0 as f64,
            Policy::Lfu => self.frequency,
            // Loading that is saved per MiB and second of keeping it until then.
            Policy::Clairvoyant => {
                self.next_use.map_or(0.0, |next| price.of_a_mib() / (1.0 + now.until(next).as_secs_f64()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merit(uses: u64, floor: f64, price: Price) -> Merit {
        let mut merit = Merit::default();
        merit.seat(Usage { uses, ..Usage::default() }, Tick(5), floor, price);
        merit
    }

    #[test]
    fn dear_small_and_wanted_sessions_are_worth_more() {
        let price = |mib: u64, load_ms| Price { bytes: mib << 20, load_ms };
        let worth = |merit: &Merit| merit.worth(Policy::Gdsf, price(1, 1), Tick(9));
        let plain = merit(1, 0.0, price(10, 100));
        assert!(worth(&merit(1, 0.0, price(10, 200))) > worth(&plain), "dear");
        assert!(worth(&merit(1, 0.0, price(5, 100))) > worth(&plain), "small");
        assert!(worth(&merit(2, 0.0, price(10, 100))) > worth(&plain), "wanted");
        assert!(worth(&merit(1, 0.5, price(10, 100))) > worth(&plain), "newer, after others left");
    }

    #[test]
    fn who_is_not_used_keeps_its_old_worth_while_others_rise_with_the_floor() {
        let price = Price { bytes: 1 << 20, load_ms: 10 };
        let mut merit = merit(3, 0.0, price);
        let before = merit.aging();
        merit.look(Usage { uses: 3, ..Usage::default() }, Tick(90), 100.0, price);
        assert_eq!((merit.aging(), merit.last_used()), (before, Tick(5)));
        merit.look(Usage { uses: 4, ..Usage::default() }, Tick(90), 100.0, price);
        assert_eq!((merit.aging(), merit.last_used()), (140.0, Tick(90)));
    }

    #[test]
    fn the_clairvoyant_gives_up_first_what_is_never_wanted_again() {
        let price = Price { bytes: 1 << 20, load_ms: 10 };
        let mut merit = merit(1, 0.0, price);
        let never = merit.worth(Policy::Clairvoyant, price, Tick(0));
        let next = |seconds: u64| Usage { uses: 1, next_use: Some(Tick(seconds * 1_000_000_000)), ..Usage::default() };
        merit.look(next(100), Tick(0), 0.0, price);
        let late = merit.worth(Policy::Clairvoyant, price, Tick(0));
        merit.look(next(1), Tick(0), 0.0, price);
        let soon = merit.worth(Policy::Clairvoyant, price, Tick(0));
        assert!(never < late && late < soon);
    }
}
