//! Requests per second of one caller; off by default.
//!
//! A caller is its token's name, or its address without one. Over the quota the answer says how long to wait.

use std::{net::IpAddr, num::NonZeroU32, sync::Arc};

use candor_domain::{Error, ErrorCode, Result};
use governor::{DefaultKeyedRateLimiter, RateLimiter, clock::Clock as _, clock::DefaultClock};

/// Who is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Caller {
    /// Somebody with a token.
    Named(Arc<str>),
    /// Somebody without.
    Address(Option<IpAddr>),
}

/// Callers that are remembered before those that have been quiet are forgotten.
const CALLERS_REMEMBERED: usize = 10_000;

/// A token bucket per caller.
pub struct Quota {
    buckets: DefaultKeyedRateLimiter<Caller>,
    clock: DefaultClock,
    per_second: NonZeroU32,
}

impl Quota {
    /// At most `per_second` requests a second for each caller, in bursts of as many.
    #[must_use]
    pub fn per_second(per_second: NonZeroU32) -> Self {
        let buckets = RateLimiter::keyed(governor::Quota::per_second(per_second));
        Self { buckets, clock: DefaultClock::default(), per_second }
    }

    /// Counts one request.
    ///
    /// # Errors
    /// `QuotaExceeded` with the seconds to wait.
    pub(super) fn spend(&self, caller: &Caller) -> Result<()> {
        if self.buckets.len() > CALLERS_REMEMBERED {
            self.buckets.retain_recent();
        }
        self.buckets.check_key(caller).map_err(|not_until| {
            let seconds = not_until.wait_time_from(self.clock.now()).as_secs_f64().ceil();
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a wait of seconds, not negative"
            )]
            let seconds = (seconds as u32).max(1);
            Error::new(ErrorCode::QuotaExceeded, "too many requests")
                .at("limits.requests_per_second_max")
                .expected(format!("at most {} a second", self.per_second))
                .hint(format!("retry in {seconds} s"))
                .retry_after_s(seconds)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_does_not_spend_anothers_quota() {
        let quota = Quota::per_second(NonZeroU32::new(2).unwrap());
        let (ann, bob) = (Caller::Named("ann".into()), Caller::Address(None));
        assert!(quota.spend(&ann).is_ok() && quota.spend(&ann).is_ok());
        let error = quota.spend(&ann).unwrap_err();
        assert_eq!((error.code(), error.retry_after()), (ErrorCode::QuotaExceeded, Some(1)));
        assert!(quota.spend(&bob).is_ok());
    }
}
