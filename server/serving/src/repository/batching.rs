//! `[batching]` in `model.toml`: how requests of a model are put together, where that differs from the server's way.
//!
//! What `config.pbtxt` says of it is filled in where `model.toml` says nothing.

use std::ops::RangeInclusive;

use candor_domain::Error;
use serde::Deserialize;

use crate::batching::BatchingSettings;

/// What a manifest says of batching; the configuration's `[batching]` says the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as [batching]")]
pub struct BatchingNotes {
    /// Whether requests are put together: true also where a batch was found to be answered a little differently.
    pub enabled: Option<bool>,
    /// Most rows of a batch.
    pub max_batch_rows: Option<u64>,
    /// Rows at which a batch waits no longer.
    pub full_batch_rows: Option<u64>,
    /// How long a request waits for others; as long as that pays if absent.
    pub max_queue_delay_us: Option<u64>,
    /// How late a request may be answered for the sake of others.
    pub latency_target_ms: Option<u64>,
    /// Levels of priority, 1 being the highest.
    pub priority_levels: Option<u64>,
    /// The level of requests that name none.
    pub default_priority_level: Option<u64>,
    /// Most requests that wait.
    pub queue_max: Option<u64>,
    /// Keys that `config.pbtxt` has filled in.
    #[serde(skip)]
    pub from_triton: Vec<&'static str>,
}

impl BatchingNotes {
    /// The file that says `key`.
    pub(crate) fn source_of(&self, key: &str) -> &'static str {
        if self.from_triton.contains(&key) { super::CONFIG_FILE } else { super::MANIFEST_FILE }
    }

    /// What is out of range, each with its key.
    #[must_use]
    pub fn faults(&self) -> Vec<Error> {
        type Key = (&'static str, Option<u64>, RangeInclusive<u64>);
        let target = 1..=*BatchingSettings::TARGET_MS.end();
        let keys: [Key; 7] = [
            ("max_batch_rows", self.max_batch_rows, BatchingSettings::ROWS_MAX),
            ("full_batch_rows", self.full_batch_rows, BatchingSettings::ROWS_MAX),
            ("max_queue_delay_us", self.max_queue_delay_us, BatchingSettings::DELAY_US),
            ("latency_target_ms", self.latency_target_ms, target),
            ("priority_levels", self.priority_levels, BatchingSettings::LEVELS),
            ("default_priority_level", self.default_priority_level, BatchingSettings::LEVELS),
            ("queue_max", self.queue_max, BatchingSettings::QUEUE_MAX),
        ];
        let fault = |(key, value, range): Key| {
            let value = value.filter(|value| !range.contains(value))?;
            let error = Error::model("out of range").at(format!("{} batching.{key}", self.source_of(key)));
            Some(error.expected(format!("{} to {}", range.start(), range.end())).got(value.to_string()))
        };
        keys.into_iter().filter_map(fault).chain(self.level_that_is_not()).collect()
    }

    /// A default level beyond the levels, where the model says both: it cannot know how many the server has.
    fn level_that_is_not(&self) -> Option<Error> {
        let levels = self.priority_levels.filter(|levels| BatchingSettings::LEVELS.contains(levels))?;
        let level = self.default_priority_level.filter(|level| BatchingSettings::LEVELS.contains(level))?;
        let at = format!("{} batching.default_priority_level", self.source_of("default_priority_level"));
        let error = Error::model("there is no such level of priority").at(at);
        (level > levels).then(|| error.expected(format!("1 to {levels} (priority_levels)")).got(level.to_string()))
    }

    /// Fills in what `config.pbtxt` says, where nothing is said yet.
    pub(crate) fn fill<T>(
        slot: &mut Option<T>,
        from_triton: &mut Vec<&'static str>,
        key: &'static str,
        value: Option<T>,
    ) {
        if slot.is_none()
            && let Some(value) = value
        {
            *slot = Some(value);
            from_triton.push(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::repository::Manifest;

    #[test]
    fn what_is_out_of_range_is_told_by_key_all_at_once() {
        let text = "[batching]\nenabled = true\nmax_batch_rows = 0\nmax_queue_delay_us = 10000001\nlatency_target_ms = 0\npriority_levels = 101\nqueue_max = 0\n";
        let notes = Manifest::parse(text).unwrap().batching;
        let faults: Vec<String> = notes.faults().iter().map(ToString::to_string).collect();
        assert_eq!(
            faults,
            [
                "model.toml batching.max_batch_rows: out of range; expected 1 to 65536, got 0",
                "model.toml batching.max_queue_delay_us: out of range; expected 0 to 10000000, got 10000001",
                "model.toml batching.latency_target_ms: out of range; expected 1 to 600000, got 0",
                "model.toml batching.priority_levels: out of range; expected 1 to 100, got 101",
                "model.toml batching.queue_max: out of range; expected 1 to 1000000, got 0",
            ]
        );
        let told = |levels: &str| {
            let notes = Manifest::parse(&format!("[batching]\n{levels}")).unwrap().batching;
            notes.faults().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            told("priority_levels = 10\ndefault_priority_level = 20\n"),
            ["model.toml batching.default_priority_level: there is no such level of priority; expected 1 to 10 \
                 (priority_levels), got 20"]
        );
        assert!(told("priority_levels = 10\ndefault_priority_level = 10\n").is_empty());
        assert_eq!(told("priority_levels = 0\ndefault_priority_level = 20\n").len(), 1, "one fault is told once");
        let error = Manifest::parse("[batching]\nmax_batch_size = 4\n").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("max_batch_size"), "{error}");
    }
}
