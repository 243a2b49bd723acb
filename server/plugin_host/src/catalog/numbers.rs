//! Numbers that plugins tell, kept until somebody reads the metrics.
//!
//! Names and labels are the plugin's and may be anything, so what becomes a series is bounded: so many series for each
//! plugin, short names of few letters. What is more is counted as dropped. It does not know how a scrape looks.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use candor_domain::{PLUGIN_BUCKETS, PluginNumber, PluginValue};

use crate::services::{LogLevel, MetricKind, Services};

/// Most series of one plugin: names, each with its labels.
pub(crate) const SERIES_MAX: usize = 100;
/// Most labels of one number.
const LABELS_MAX: usize = 4;
/// Longest name of a number, name of a label and value of a label.
const TEXT_BYTES_MAX: usize = 64;

/// What a number is kept under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    name: String,
    labels: BTreeMap<String, String>,
    kind: MetricKind,
}

/// What one plugin has told.
#[derive(Default)]
pub(super) struct Numbers {
    series: Mutex<BTreeMap<Series, PluginValue>>,
    dropped: AtomicU64,
}

impl Numbers {
    fn tell(&self, kind: MetricKind, name: &str, value: f64, labels_json: &str) {
        if self.kept(kind, name, value, labels_json).is_none() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn kept(&self, kind: MetricKind, name: &str, value: f64, labels_json: &str) -> Option<()> {
        let is_sane = value.is_finite() && (kind != MetricKind::Counter || value >= 0.0);
        if !is_sane || !is_word(name) {
            return None;
        }
        let series = Series { name: name.to_owned(), labels: labels(labels_json)?, kind };
        let mut all = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get_mut(&series) {
            known.take(value);
        } else if all.len() < SERIES_MAX {
            let mut new = match kind {
                MetricKind::Counter => PluginValue::Counter(0.0),
                MetricKind::Gauge => PluginValue::Gauge(0.0),
                MetricKind::Histogram => {
                    PluginValue::Histogram { below: [0; PLUGIN_BUCKETS.len()], count: 0, sum: 0.0 }
                }
            };
            new.take(value);
            all.insert(series, new);
        } else {
            return None;
        }
        Some(())
    }

    /// All of them, by name.
    pub(super) fn list(&self) -> Vec<PluginNumber> {
        let all = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let number = |(Series { name, labels, .. }, value): (&Series, &PluginValue)| PluginNumber {
            name: name.clone(),
            labels: labels.clone().into_iter().collect(),
            value: value.clone(),
        };
        all.iter().map(number).collect()
    }

    /// How many were told that no series took.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// A letter or `_`, then letters, digits and `_`.
fn is_word(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    text.len() <= TEXT_BYTES_MAX
        && text.bytes().next().is_some_and(is_letter)
        && text.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit())
}

/// A few labels of few letters; nothing for what cannot be any.
fn labels(json: &str) -> Option<BTreeMap<String, String>> {
    if matches!(json, "" | "{}") {
        return Some(BTreeMap::new());
    }
    let labels: BTreeMap<String, String> = serde_json::from_str(json).ok()?;
    // These say whose number it is; names with two `_` belong to whoever scrapes.
    let is_free = |name: &str| !matches!(name, "plugin" | "name" | "le" | "quantile") && !name.starts_with("__");
    let fits = |(name, value): (&String, &String)| is_word(name) && is_free(name) && value.len() <= TEXT_BYTES_MAX;
    (labels.len() <= LABELS_MAX && labels.iter().all(fits)).then_some(labels)
}

/// The numbers of all plugins, by name.
#[derive(Default)]
pub(super) struct AllNumbers(Mutex<BTreeMap<String, Arc<Numbers>>>);

impl AllNumbers {
    /// Those of one plugin.
    pub(super) fn of(&self, plugin: &str) -> Arc<Numbers> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(plugin.to_owned()).or_default())
    }
}

/// Services whose numbers are kept here.
pub(super) struct Counted {
    pub(super) inner: Box<dyn Services>,
    pub(super) all: Arc<AllNumbers>,
    pub(super) own: Arc<Numbers>,
}

impl Services for Counted {
    fn log(&self, level: LogLevel, message: &str) {
        self.inner.log(level, message);
    }

    fn metric(&self, kind: MetricKind, name: &str, value: f64, labels_json: &str) {
        self.own.tell(kind, name, value, labels_json);
        self.inner.metric(kind, name, value, labels_json);
    }

    fn now_ns(&self) -> u64 {
        self.inner.now_ns()
    }

    fn of(&self, plugin: &str) -> Box<dyn Services> {
        Box::new(Self { inner: self.inner.of(plugin), all: Arc::clone(&self.all), own: self.all.of(plugin) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_one_name_and_kind_come_together() {
        let numbers = Numbers::default();
        numbers.tell(MetricKind::Counter, "rows", 2.0, "{}");
        numbers.tell(MetricKind::Counter, "rows", 3.0, "");
        numbers.tell(MetricKind::Counter, "rows", 1.0, r#"{"side": "left"}"#);
        numbers.tell(MetricKind::Gauge, "depth", 5.0, "{}");
        numbers.tell(MetricKind::Gauge, "depth", -1.0, "{}");
        numbers.tell(MetricKind::Histogram, "size", 0.5, "{}");
        numbers.tell(MetricKind::Histogram, "size", 1e9, "{}");
        let told = numbers.list();
        let names: Vec<&str> = told.iter().map(|one| one.name.as_str()).collect();
        assert_eq!((names, numbers.dropped()), (vec!["depth", "rows", "rows", "size"], 0));
        assert_eq!(told[0].value, PluginValue::Gauge(-1.0));
        assert_eq!((&told[1].value, &told[1].labels), (&PluginValue::Counter(5.0), &vec![]));
        assert_eq!(told[2].labels, [("side".to_owned(), "left".to_owned())]);
        let PluginValue::Histogram { below, count, sum } = &told[3].value else { panic!("{told:?}") };
        // 0.5 is below 1 and all bounds above it; 1e9 is above all.
        assert_eq!((below[..].to_vec(), *count), (vec![0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1], 2));
        assert!((sum - 1_000_000_000.5).abs() < 1e-6);
    }

    #[test]
    fn what_no_series_takes_is_counted() {
        let numbers = Numbers::default();
        for (kind, name, value, labels) in [
            (MetricKind::Counter, "rows", -1.0, "{}"),
            (MetricKind::Gauge, "depth", f64::NAN, "{}"),
            (MetricKind::Gauge, "", 1.0, "{}"),
            (MetricKind::Gauge, "a b", 1.0, "{}"),
            (MetricKind::Gauge, "\"} 1\n", 1.0, "{}"),
            (MetricKind::Gauge, "9", 1.0, "{}"),
            (MetricKind::Gauge, &"n".repeat(65), 1.0, "{}"),
            (MetricKind::Gauge, "a", 1.0, "[1]"),
            (MetricKind::Gauge, "a", 1.0, r#"{"plugin": "other"}"#),
            (MetricKind::Gauge, "a", 1.0, r#"{"b-c": "d"}"#),
            (MetricKind::Gauge, "a", 1.0, r#"{"a": "", "b": "", "c": "", "d": "", "e": ""}"#),
            (MetricKind::Gauge, "a", 1.0, &format!(r#"{{"a": "{}"}}"#, "v".repeat(65))),
        ] {
            let before = numbers.dropped();
            numbers.tell(kind, name, value, labels);
            assert_eq!(numbers.dropped(), before + 1, "{name:?} {value} {labels}");
        }
        assert!(numbers.list().is_empty());
        let before = numbers.dropped();
        for number in 0..SERIES_MAX + 7 {
            numbers.tell(MetricKind::Counter, &format!("n{number}"), 1.0, "{}");
        }
        // One that is known goes on.
        numbers.tell(MetricKind::Counter, "n0", 1.0, "{}");
        assert_eq!((numbers.list().len(), numbers.dropped() - before), (SERIES_MAX, 7));
    }
}
