//! The breaker alone, closed: what a call costs that asks, ends well and is counted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use anyhow::{Result, bail};
use candor_domain::{Breaker, BreakerSettings, Clock as _, Ending};

use crate::{
    timer::RealClock,
    usage::{Cost, measure},
};

/// What a call through a closed breaker costs, with `callers` threads in all that do nothing else.
pub fn measure_closed(callers: usize, span: Duration) -> Result<Cost> {
    let breaker = Arc::new(Breaker::new(BreakerSettings::default(), 0, Box::new(|_| ())));
    let clock = RealClock::start();
    // The pipeline hands in a time that it has read anyway; the read here is in the price.
    let call = || {
        let now = clock.now();
        let Ok(permit) = breaker.enter(now) else { bail!("the breaker opened") };
        permit.end(Ending::Succeeded, Duration::ZERO, now);
        Ok(())
    };
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 1..callers {
            scope.spawn(|| (0..u64::MAX).take_while(|_| !over.load(Relaxed)).try_for_each(|_| call()));
        }
        let cost = measure(span, call);
        over.store(true, Relaxed);
        cost
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_breaker_can_be_measured_alone_and_beside_others() {
        for callers in [1, 2] {
            assert!(measure_closed(callers, Duration::from_millis(5)).unwrap().wall_us > 0.0);
        }
    }
}
