//! `[residency]`: how much memory sessions may take, and how long requests wait for one that is not there.

use std::{path::Path, time::Duration};

use candor_serving::{
    ResultCacheSettings, memory,
    residency::{ResidencySettings, policy::Policy},
};
use toml::Value;

use super::{
    cold_start::{ColdStart, read_cold_start},
    result_cache::read_result_cache,
    settings::{DAY_MS, Reader, parse_bytes},
};

/// Of what a control group allows, the share that sessions get: the rest is for the server itself, for requests, and
/// for what runs take on top.
const GROUP_PERCENT: u64 = 70;

/// Words of `repository.load_at_start`, and whether all models are loaded then.
pub(super) const AT_START: [(&str, bool); 3] = [("all", true), ("none", false), ("lazy", false)];

/// What is in memory of models, and since when.
#[derive(Debug, Clone)]
pub struct Residency {
    /// Who may stay; nothing where everything may.
    pub bound: Option<ResidencySettings>,
    /// Whether models are loaded when they are first asked for.
    pub lazy: bool,
    /// How many of their answers are kept.
    pub results: ResultCacheSettings,
    /// What is kept so that they are loaded quickly.
    pub cold_start: ColdStart,
}

pub(super) fn read_residency(read: &mut Reader<'_>) -> Residency {
    let lazy = read.text("repository.load_at_start") == "lazy";
    Residency { bound: read_bound(read), lazy, results: read_result_cache(read), cold_start: read_cold_start(read) }
}

fn read_bound(read: &mut Reader<'_>) -> Option<ResidencySettings> {
    let idle_ttl = Duration::from_secs(read.whole("residency.idle_ttl_s", 0..=DAY_MS / 1000 * 365));
    let load_wait_max = Duration::from_millis(read.whole("residency.load_wait_ms_max", 1..=DAY_MS));
    let policy = read.word("residency.policy", &[("gdsf", Policy::Gdsf), ("lru", Policy::Lru)]);
    let budget = read_budget(read);
    if budget.is_none() && idle_ttl.is_zero() {
        return None;
    }
    Some(ResidencySettings {
        budget: budget.unwrap_or(u64::MAX),
        policy,
        idle_ttl: Some(idle_ttl).filter(|ttl| !ttl.is_zero()),
        load_wait_max,
        weights: None,
    })
}

fn read_budget(read: &mut Reader<'_>) -> Option<u64> {
    let key = "residency.budget";
    let bytes = match read.value(key) {
        Value::String(word) if word == "none" => return None,
        Value::String(word) if word == "auto" => {
            return memory::group_limit(Path::new("/")).map(|limit| limit / 100 * GROUP_PERCENT);
        }
        Value::String(text) => parse_bytes(&text),
        Value::Integer(bytes) => u64::try_from(bytes).ok(),
        Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    };
    let bytes = bytes.filter(|bytes| *bytes > 0);
    if bytes.is_none() {
        read.complain(key, "must be \"auto\", \"none\", or a size such as \"8 GiB\"");
    } else if read.value("cross_check.live_share").as_float().is_some_and(|share| share > 0.0) {
        read.complain(key, "does not count the second sessions of cross_check.live_share, which stay in memory: set one of the two back");
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::{Layers, Settings};
    use super::*;

    fn read(assignments: &[&str]) -> Result<Option<ResidencySettings>, String> {
        let mut layers = Layers::default();
        assignments.iter().for_each(|assignment| layers.add_assignment(assignment));
        Settings::read(&mut layers).map(|settings| settings.residency.bound).map_err(|report| report.to_string())
    }

    #[test]
    fn a_budget_is_a_size_or_a_word() {
        assert_eq!(read(&["residency.budget=none"]).unwrap(), None);
        let settings = read(&["residency.budget=3 GiB", "residency.load_wait_ms_max=5"]).unwrap().unwrap();
        assert_eq!((settings.budget, settings.idle_ttl), (3 << 30, None));
        assert_eq!((settings.load_wait_max, settings.policy), (Duration::from_millis(5), Policy::Gdsf));
        let lru = read(&["residency.budget=3 GiB", "residency.policy=lru"]).unwrap().unwrap();
        assert_eq!(lru.policy, Policy::Lru);
        let report = read(&["residency.policy=fifo"]).unwrap_err();
        assert!(report.contains("residency.policy") && report.contains("gdsf"), "{report}");
        assert_eq!(read(&["residency.budget=1000"]).unwrap().unwrap().budget, 1000);
        for bad in ["much", "0", "-1", "true", "1.5"] {
            let report = read(&[&format!("residency.budget={bad}")]).unwrap_err();
            assert!(report.contains("must be \"auto\", \"none\", or a size"), "{report}");
        }
    }

    #[test]
    fn unused_sessions_may_leave_without_a_budget() {
        let settings = read(&["residency.budget=none", "residency.idle_ttl_s=60"]).unwrap().unwrap();
        assert_eq!((settings.budget, settings.idle_ttl), (u64::MAX, Some(Duration::from_secs(60))));
    }

    #[test]
    fn second_sessions_that_stay_are_not_counted_so_they_are_refused() {
        let report = read(&["residency.budget=1 GiB", "cross_check.live_share=0.5"]).unwrap_err();
        assert!(report.contains("second sessions"), "{report}");
    }
}
