//! `/metrics` read back: names, labels and values, and the rules of the format.

use std::collections::{BTreeMap, BTreeSet};

use crate::server::TestServer;

/// One line of an exposition.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The name of the metric.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

/// A whole exposition.
#[derive(Debug)]
pub struct Scrape(pub Vec<Sample>);

/// Scrapes a server.
///
/// # Panics
/// When it does not answer in the format.
#[must_use]
pub fn scrape(server: &TestServer) -> Scrape {
    let reply = server.get("/metrics").expect(200);
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    Scrape::read(&reply.text())
}

impl Scrape {
    /// Reads the text of an exposition, strictly.
    ///
    /// # Panics
    /// When it breaks a rule of the format.
    #[must_use]
    pub fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has no end");
        let (mut samples, mut types, mut helped) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
            } else {
                let sample = read_sample(line);
                let family = family(&sample.name, &types);
                assert!(family.is_some(), "no type before {line}");
                samples.push(sample);
            }
        }
        let distinct: BTreeSet<_> = samples.iter().map(|sample| (&sample.name, &sample.labels)).collect();
        assert_eq!(distinct.len(), samples.len(), "a series stands there twice");
        Self(samples)
    }

    /// The value of the one series that has the name and these labels.
    ///
    /// # Panics
    /// When there is none, or more than one.
    #[must_use]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |sample: &&Sample| {
            sample.name == name && labels.iter().all(|(key, value)| sample.labels.get(*key).is_some_and(|v| v == value))
        };
        let found: Vec<_> = self.0.iter().filter(fits).collect();
        assert_eq!(found.len(), 1, "{name} {labels:?}: {found:?}");
        found[0].value
    }

    /// Requests of a version that ended so.
    #[must_use]
    pub fn requests(&self, model: &str, version: &str, outcome: &str) -> f64 {
        self.value("candor_requests_total", &[("model", model), ("version", version), ("outcome", outcome)])
    }
}

fn family<'a>(name: &'a str, types: &BTreeMap<String, String>) -> Option<&'a str> {
    let bare = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
    let histogram = bare.filter(|bare| types.get(*bare).is_some_and(|kind| kind == "histogram"));
    histogram.or_else(|| types.contains_key(name).then_some(name))
}

fn read_sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
    let value = value.parse().unwrap_or_else(|_| panic!("not a number: {line}"));
    let Some((name, labels)) = series.split_once('{') else {
        return Sample { name: series.to_owned(), labels: BTreeMap::new(), value };
    };
    let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("labels do not end: {line}"));
    let labels = labels.split("\",").map(|pair| {
        let (key, value) = pair.split_once("=\"").unwrap_or_else(|| panic!("not a label: {line}"));
        assert!(key.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{line}");
        (key.to_owned(), value.trim_end_matches('"').to_owned())
    });
    Sample { name: name.to_owned(), labels: labels.collect(), value }
}
