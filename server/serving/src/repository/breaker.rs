//! `[breaker]` in `model.toml`: how a model's breakers differ from the server's, and which version stands in.

use std::{ops::RangeInclusive, time::Duration};

use candor_domain::{BreakerSettings, Error, Version};
use serde::{Deserialize, Deserializer, de};

/// What a manifest says of breakers; the configuration's `[breaker]` says the rest.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as [breaker]")]
pub struct BreakerNotes {
    /// Whether the model's versions have breakers.
    pub enabled: Option<bool>,
    /// How far back calls count.
    pub window_ms: Option<u64>,
    /// Fewest calls in the window on which one opens.
    pub calls_min: Option<u64>,
    /// Share of failed calls at which one opens.
    pub failure_rate: Option<f64>,
    /// How long a slow run takes; 0 means that none is slow.
    pub slow_run_ms: Option<u64>,
    /// Share of slow runs at which one opens.
    pub slow_rate: Option<f64>,
    /// How long one is open the first time.
    pub open_ms: Option<u64>,
    /// How long one is open at most.
    pub open_ms_max: Option<u64>,
    /// Calls that are tried before one closes.
    pub trials: Option<u64>,
    /// The version that answers requests that name none, while their own version's breaker is open.
    #[serde(default, deserialize_with = "version")]
    pub fallback_version: Option<Version>,
}

fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Version>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Version::parse(&text).map(Some).map_err(de::Error::custom)
}

impl BreakerNotes {
    /// What is out of range, each with its key.
    #[must_use]
    pub fn faults(&self) -> Vec<Error> {
        type Key = (&'static str, Option<u64>, RangeInclusive<u64>);
        let wholes: [Key; 6] = [
            ("window_ms", self.window_ms, BreakerSettings::WINDOW_MS),
            ("calls_min", self.calls_min, BreakerSettings::CALLS_MIN),
            ("slow_run_ms", self.slow_run_ms, 0..=*BreakerSettings::OPEN_MS.end()),
            ("open_ms", self.open_ms, BreakerSettings::OPEN_MS),
            ("open_ms_max", self.open_ms_max, BreakerSettings::OPEN_MS),
            ("trials", self.trials, BreakerSettings::TRIALS),
        ];
        let rates = [("failure_rate", self.failure_rate), ("slow_rate", self.slow_rate)];
        let fault = |key: &str, expected: String, got: String| {
            Error::model("out of range").at(format!("model.toml breaker.{key}")).expected(expected).got(got)
        };
        let whole = |(key, value, range): Key| {
            let value = value.filter(|value| !range.contains(value))?;
            Some(fault(key, format!("{} to {}", range.start(), range.end()), value.to_string()))
        };
        let rate = |(key, value): (&'static str, Option<f64>)| {
            let value = value.filter(|value| !BreakerSettings::is_rate(*value))?;
            Some(fault(key, "a share above 0, at most 1".to_owned(), value.to_string()))
        };
        let faults = wholes.into_iter().filter_map(whole).chain(rates.into_iter().filter_map(rate));
        let order = match (self.open_ms, self.open_ms_max) {
            (Some(open), Some(max)) if max < open => {
                Some(fault("open_ms_max", format!("at least open_ms ({open})"), max.to_string()))
            }
            (Some(_) | None, Some(_) | None) => None,
        };
        faults.chain(order).collect()
    }

    /// The settings that hold for the model, where the server has `defaults`.
    #[must_use]
    pub fn over(&self, defaults: BreakerSettings) -> BreakerSettings {
        let millis = |own: Option<u64>, default: Duration| own.map_or(default, Duration::from_millis);
        let open = millis(self.open_ms, defaults.open);
        BreakerSettings {
            window: millis(self.window_ms, defaults.window),
            calls_min: self.calls_min.map_or(defaults.calls_min, |own| u32::try_from(own).unwrap_or(u32::MAX)),
            failure_rate: self.failure_rate.unwrap_or(defaults.failure_rate),
            slow: match self.slow_run_ms {
                None => defaults.slow,
                Some(0) => None,
                Some(own) => Some(Duration::from_millis(own)),
            },
            slow_rate: self.slow_rate.unwrap_or(defaults.slow_rate),
            open,
            open_max: millis(self.open_ms_max, defaults.open_max).max(open),
            trials: self.trials.map_or(defaults.trials, |own| u16::try_from(own).unwrap_or(u16::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::Manifest;

    fn notes(text: &str) -> BreakerNotes {
        Manifest::parse(&format!("[breaker]\n{text}")).unwrap().breaker
    }

    #[test]
    fn what_a_model_says_goes_before_what_the_server_says() {
        let defaults = BreakerSettings::default();
        assert_eq!(BreakerNotes::default().over(defaults), defaults);
        let own = notes(
            "window_ms = 500\ncalls_min = 3\nfailure_rate = 1\nslow_run_ms = 20\nslow_rate = 0.25\nopen_ms = 90000\ntrials = 1",
        );
        let millis = Duration::from_millis;
        let want = BreakerSettings {
            window: millis(500),
            calls_min: 3,
            failure_rate: 1.0,
            slow: Some(millis(20)),
            slow_rate: 0.25,
            open: millis(90_000),
            open_max: millis(90_000),
            trials: 1,
        };
        assert_eq!(own.over(defaults), want);
        assert_eq!(notes("slow_run_ms = 0").over(want).slow, None);
    }

    #[test]
    fn what_is_out_of_range_is_told_by_key_all_at_once() {
        let wrong = notes(
            "window_ms = 99\ncalls_min = 0\nfailure_rate = 1.5\nslow_rate = 0.0\nopen_ms = 10\nopen_ms_max = 9\ntrials = 1024",
        );
        let faults: Vec<String> = wrong.faults().iter().map(ToString::to_string).collect();
        assert_eq!(
            faults,
            [
                "model.toml breaker.window_ms: out of range; expected 100 to 3600000, got 99",
                "model.toml breaker.calls_min: out of range; expected 1 to 1000000, got 0",
                "model.toml breaker.trials: out of range; expected 1 to 1023, got 1024",
                "model.toml breaker.failure_rate: out of range; expected a share above 0, at most 1, got 1.5",
                "model.toml breaker.slow_rate: out of range; expected a share above 0, at most 1, got 0",
                "model.toml breaker.open_ms_max: out of range; expected at least open_ms (10), got 9",
            ]
        );
        assert!(notes("enabled = false\nfallback_version = \"1.4.0\"").faults().is_empty());
    }

    #[test]
    fn unknown_keys_and_versions_that_are_none_are_refused_with_their_line() {
        for (text, word) in [("failure_rat = 1", "failure_rat"), ("fallback_version = \"v1\"", "not a version")] {
            let error = Manifest::parse(&format!("[breaker]\n{text}")).unwrap_err().to_string();
            assert!(error.contains("line 2") && error.contains(word), "{error}");
        }
    }
}
