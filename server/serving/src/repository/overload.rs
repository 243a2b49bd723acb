//! `[overload]` in `model.toml`: how a model's concurrency limits differ from the server's.

use std::{ops::RangeInclusive, time::Duration};

use candor_domain::{ConcurrencySettings, Error};
use serde::Deserialize;

/// What a manifest says of concurrency limits; the configuration's `[overload]` says the rest.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as [overload]")]
pub struct OverloadNotes {
    /// Whether the limits of the model's versions move.
    pub enabled: Option<bool>,
    /// The limit never falls below this.
    pub floor: Option<u64>,
    /// How many times as long as its own work and `wait_ms` a request may be inside, on average.
    pub tolerance: Option<f64>,
    /// Waiting that is no sign of overload.
    pub wait_ms: Option<u64>,
    /// Share of the way to its new value that the limit goes at each look.
    pub smoothing: Option<f64>,
    /// Time from one look to the next.
    pub window_ms: Option<u64>,
    /// Fewest requests that must have ended since the last look.
    pub calls_min: Option<u64>,
}

impl OverloadNotes {
    /// What is out of range, each with its key.
    #[must_use]
    pub fn faults(&self) -> Vec<Error> {
        type Key = (&'static str, Option<u64>, RangeInclusive<u64>);
        let fault = |key: &str, expected: String, got: String| {
            Error::model("out of range").at(format!("model.toml overload.{key}")).expected(expected).got(got)
        };
        let wholes: [Key; 4] = [
            ("floor", self.floor, ConcurrencySettings::FLOOR),
            ("wait_ms", self.wait_ms, ConcurrencySettings::WAIT_MS),
            ("window_ms", self.window_ms, ConcurrencySettings::WINDOW_MS),
            ("calls_min", self.calls_min, ConcurrencySettings::CALLS_MIN),
        ];
        let wholes = wholes.into_iter().filter_map(|(key, value, range)| {
            let value = value.filter(|value| !range.contains(value))?;
            Some(fault(key, format!("{} to {}", range.start(), range.end()), value.to_string()))
        });
        let tolerance = self.tolerance.filter(|tolerance| !ConcurrencySettings::TOLERANCE.contains(tolerance));
        let tolerance = tolerance.map(|value| fault("tolerance", "1 to 100".to_owned(), value.to_string()));
        let smoothing = self.smoothing.filter(|share| !ConcurrencySettings::is_share(*share));
        let smoothing =
            smoothing.map(|value| fault("smoothing", "a share above 0, at most 1".to_owned(), value.to_string()));
        wholes.chain(tolerance).chain(smoothing).collect()
    }

    /// The settings that hold for the model, where the server has `defaults`.
    #[must_use]
    pub fn over(&self, defaults: ConcurrencySettings) -> ConcurrencySettings {
        let whole = |own: Option<u64>, default: u32| own.map_or(default, |own| u32::try_from(own).unwrap_or(u32::MAX));
        ConcurrencySettings {
            floor: whole(self.floor, defaults.floor),
            tolerance: self.tolerance.unwrap_or(defaults.tolerance),
            wait: self.wait_ms.map_or(defaults.wait, Duration::from_millis),
            smoothing: self.smoothing.unwrap_or(defaults.smoothing),
            window: self.window_ms.map_or(defaults.window, Duration::from_millis),
            calls_min: whole(self.calls_min, defaults.calls_min),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::Manifest;

    fn notes(text: &str) -> OverloadNotes {
        Manifest::parse(&format!("[overload]\n{text}")).unwrap().overload
    }

    #[test]
    fn what_a_model_says_goes_before_what_the_server_says() {
        let defaults = ConcurrencySettings::default();
        assert_eq!(OverloadNotes::default().over(defaults), defaults);
        let own = notes("floor = 3\ntolerance = 1.5\nwait_ms = 5\nsmoothing = 1\nwindow_ms = 50\ncalls_min = 4");
        let want = ConcurrencySettings {
            floor: 3,
            tolerance: 1.5,
            wait: Duration::from_millis(5),
            smoothing: 1.0,
            window: Duration::from_millis(50),
            calls_min: 4,
        };
        assert_eq!(own.over(defaults), want);
    }

    #[test]
    fn what_is_out_of_range_is_told_by_key_all_at_once() {
        let wrong =
            notes("floor = 0\ntolerance = 0.9\nwait_ms = 600001\nsmoothing = 0.0\nwindow_ms = 9\ncalls_min = 0");
        let faults: Vec<String> = wrong.faults().iter().map(ToString::to_string).collect();
        assert_eq!(
            faults,
            [
                "model.toml overload.floor: out of range; expected 1 to 1000000, got 0",
                "model.toml overload.wait_ms: out of range; expected 0 to 600000, got 600001",
                "model.toml overload.window_ms: out of range; expected 10 to 60000, got 9",
                "model.toml overload.calls_min: out of range; expected 1 to 1000000, got 0",
                "model.toml overload.tolerance: out of range; expected 1 to 100, got 0.9",
                "model.toml overload.smoothing: out of range; expected a share above 0, at most 1, got 0",
            ]
        );
        assert!(notes("enabled = false").faults().is_empty());
    }
}
