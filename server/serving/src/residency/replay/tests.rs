//! Replays small enough to be done by hand, and the policies beside each other.

use super::*;

const MIB: u64 = 1 << 20;

fn need(mib: u64, load_ms: u64) -> Need {
    Need { load_bytes: mib * MIB, steady_bytes: mib * MIB, load_ms }
}

fn setting(policy: Policy, mib: u64) -> Setting {
    Setting { policy, budget: mib * MIB, idle_ttl: None, load_threads: 1 }
}

#[test]
fn a_replay_by_hand() {
    let trace = Trace {
        models: vec![need(60, 100), need(60, 50)],
        requests: vec![(0, 0), (40, 0), (200, 0), (300, 1), (320, 1), (1000, 0)],
    };
    let outcome = replay(&trace, setting(Policy::Lru, 100));
    assert_eq!((outcome.requests, outcome.hits, outcome.cold, outcome.refused), (6, 1, 5, 0));
    assert_eq!((outcome.reloads, outcome.reload_s, outcome.first_load_s), (1, 0.1, 0.15));
    assert_eq!((outcome.evictions, outcome.peak_bytes), (2, 60 * MIB));
    // 100 and 60, 50 and 30, 100.
    assert_eq!((outcome.cold_ms_p50, outcome.cold_ms_p999), (50.0, 100.0));
    let hours = 1.1 / 3600.0;
    assert!((outcome.gib_hours - 60.0 / 1024.0 * hours).abs() < 1e-9, "{}", outcome.gib_hours);
    let never = replay(&trace, setting(Policy::Lru, 59));
    assert_eq!((never.refused, never.evictions), (6, 0));
}

#[test]
fn loads_share_their_threads_and_one_load_serves_all_who_wait() {
    let trace = Trace { models: vec![need(1, 100), need(1, 100)], requests: vec![(0, 0), (0, 1), (10, 1)] };
    let one = replay(&trace, setting(Policy::Gdsf, 10));
    assert_eq!((one.cold_ms_p999, one.reloads, one.evictions), (200.0, 0, 0));
    let two = replay(&trace, Setting { load_threads: 2, ..setting(Policy::Gdsf, 10) });
    assert_eq!(two.cold_ms_p999, 100.0);
}

#[test]
fn unused_models_leave_in_a_replay_too() {
    let trace = Trace { models: vec![need(1, 10)], requests: vec![(0, 0), (9_000, 0), (20_500, 0)] };
    let ttl = Setting { idle_ttl: Some(Duration::from_secs(10)), ..setting(Policy::Lru, 10) };
    assert_eq!(replay(&trace, ttl).reloads, 1);
    assert_eq!(replay(&trace, setting(Policy::Lru, 10)).reloads, 0);
}

#[test]
fn a_trace_is_the_same_for_the_same_seed_and_in_order() {
    for shape in [Shape::Zipf, Shape::Diurnal, Shape::Bursts] {
        let one = synthetic(shape, 7, 50, 2000, 24.0);
        assert_eq!(one.requests, synthetic(shape, 7, 50, 2000, 24.0).requests, "{shape:?}");
        assert_ne!(one.requests, synthetic(shape, 8, 50, 2000, 24.0).requests, "{shape:?}");
        assert_eq!((one.models.len(), one.requests.len()), (50, 2000));
        assert!(one.requests.is_sorted());
    }
}

/// What the choice of the policy rests on (decision 0021).
#[test]
fn gdsf_reloads_less_than_what_does_not_know_sizes_and_costs() {
    for (shape, seed) in [(Shape::Zipf, 1), (Shape::Diurnal, 2), (Shape::Bursts, 3)] {
        let trace = synthetic(shape, seed, 200, 8_000, 24.0);
        let reload_s = |policy| {
            replay(&trace, Setting { budget: trace.bytes() / 5, load_threads: 2, ..setting(policy, 0) }).reload_s
        };
        let gdsf = reload_s(Policy::Gdsf);
        assert!(gdsf < reload_s(Policy::Lru), "{shape:?}");
        assert!(gdsf < reload_s(Policy::Lfu), "{shape:?}");
        assert!(reload_s(Policy::Clairvoyant) < gdsf, "{shape:?}: who knows the future does better");
    }
}
