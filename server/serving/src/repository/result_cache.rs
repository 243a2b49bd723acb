//! `[result_cache]` in `model.toml`: whether a model's answers are kept, and for how long.
//!
//! What `config.pbtxt` says of it (`response_cache`) is filled in where `model.toml` says nothing.

use std::{ops::RangeInclusive, time::Duration};

use candor_domain::Error;
use serde::Deserialize;

/// What a manifest says of its answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as [result_cache]")]
pub struct ResultCacheNotes {
    /// Whether answers are kept; they are not if absent.
    pub enabled: Option<bool>,
    /// How long an answer is kept at most; as long as there is room if absent.
    pub time_to_live_ms: Option<u64>,
    /// Whether `config.pbtxt` said it.
    #[serde(skip)]
    pub from_triton: bool,
}

/// A year at most.
const TIME_TO_LIVE_MS: RangeInclusive<u64> = 1..=365 * 24 * 3600 * 1000;

impl ResultCacheNotes {
    /// Whether answers are kept.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.enabled == Some(true)
    }

    /// How long each is kept at most.
    #[must_use]
    pub fn time_to_live(&self) -> Option<Duration> {
        self.time_to_live_ms.map(Duration::from_millis)
    }

    /// What is out of range, with its key.
    #[must_use]
    pub fn faults(&self) -> Option<Error> {
        let value = self.time_to_live_ms.filter(|value| !TIME_TO_LIVE_MS.contains(value))?;
        let (start, end) = (TIME_TO_LIVE_MS.start(), TIME_TO_LIVE_MS.end());
        let error = Error::model("out of range").at("model.toml result_cache.time_to_live_ms");
        Some(error.expected(format!("{start} to {end}")).got(value.to_string()))
    }

    /// Answers that are drawn by chance must not be kept: each caller is owed a draw of its own.
    #[must_use]
    pub fn contradiction(&self, random: Option<&str>) -> Option<Error> {
        let place = random.filter(|_| self.is_on())?;
        let error = Error::model(format!("answers that are drawn by chance cannot be kept: {place} is random"));
        Some(if self.from_triton {
            error.at(format!("{} response_cache", super::CONFIG_FILE)).hint("leave response_cache out")
        } else {
            error.at("model.toml result_cache.enabled").hint("leave enabled out, or set it to false")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::Manifest;

    fn notes(text: &str) -> ResultCacheNotes {
        Manifest::parse(&format!("[result_cache]\n{text}")).unwrap().result_cache
    }

    #[test]
    fn nothing_is_kept_unless_the_owner_says_so() {
        assert!(!Manifest::parse("").unwrap().result_cache.is_on());
        assert!(!notes("").is_on() && !notes("enabled = false").is_on() && !notes("time_to_live_ms = 5").is_on());
        assert!(notes("enabled = true").is_on());
        let error = Manifest::parse("[result_cache]\nenable = true\n").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("`enabled`"), "{error}");
    }

    #[test]
    fn a_time_out_of_range_is_told_by_its_key() {
        let told = |text: &str| notes(text).faults().map(|fault| fault.to_string());
        assert_eq!(told("time_to_live_ms = 1"), None);
        assert_eq!(
            told("time_to_live_ms = 0").unwrap(),
            "model.toml result_cache.time_to_live_ms: out of range; expected 1 to 31536000000, got 0"
        );
    }

    #[test]
    fn answers_of_parts_that_may_change_are_not_kept() {
        let faults = |enabled: bool| {
            let text = format!("[plugin]\ncomponent = \"t.scale\"\n[result_cache]\nenabled = {enabled}\n");
            let signature = candor_domain::Signature { inputs: vec![], outputs: vec![] };
            Manifest::parse(&text).unwrap().faults(&signature)
        };
        assert!(faults(false).is_empty());
        let told = faults(true).iter().map(ToString::to_string).collect::<String>();
        assert!(told.contains("model.toml result_cache.enabled: answers of a model of several parts"), "{told}");
    }

    #[test]
    fn what_is_drawn_by_chance_is_not_kept_and_the_file_that_asks_for_it_is_named() {
        let on = notes("enabled = true");
        assert_eq!(on.contradiction(None), None);
        assert_eq!(notes("enabled = false").contradiction(Some("node 1")), None);
        let told = on.contradiction(Some("node 1 (RandomNormal)")).unwrap().to_string();
        assert!(told.contains("node 1 (RandomNormal)") && told.contains("model.toml result_cache.enabled"), "{told}");
        let told = ResultCacheNotes { from_triton: true, ..on }.contradiction(Some("node 1")).unwrap().to_string();
        assert!(told.contains("config.pbtxt response_cache"), "{told}");
    }
}
