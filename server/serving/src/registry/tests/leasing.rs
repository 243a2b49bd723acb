//! Leases through swaps and drains, with one thread, with several, and at random.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicUsize},
    thread,
};

use candor_domain::{Observation, Outcome};
use proptest::prelude::*;

use super::*;

#[test]
fn a_new_version_serves_before_the_old_one_goes() {
    let world = World::new();
    world.put("m/1", "m/1", 1);
    world.load("m").unwrap();
    world.put("m/2", "m/2", 2);
    let gate = world.hooks.hold_loads("m/2");
    let pending = world.registry.load(name("m"), None).unwrap();
    assert!(gate.wait_for(1));
    assert_eq!(answer(&world.registry.lease("m", None).unwrap()).0, 1);
    assert_eq!((world.state("m", "1").0, world.state("m", "2").0), (Lifecycle::Ready, Lifecycle::Loading));
    gate.open();
    pending.wait_blocking().unwrap().unwrap();
    assert_eq!(answer(&world.registry.lease("m", None).unwrap()).0, 2);
    assert_eq!(world.ready("m"), ["2"]);
    assert!(world.hooks.wait_for_live_of("m/1", 0));
}

#[test]
fn a_lease_keeps_its_version_alive_through_an_unload() {
    let world = World::new();
    world.put("m/1", "m/1", 1);
    world.load("m").unwrap();
    let lease = world.registry.lease("m", None).unwrap();
    let second = world.registry.lease("m", Some("1")).unwrap();
    assert_eq!(lease.inflight(), 2);
    world.unload("m").unwrap();
    let error = world.refusal("m", None);
    assert_eq!(error.code(), ErrorCode::NotReady);
    assert!(error.to_string().starts_with("model 'm' version 1 is not loaded (draining)"), "{error}");
    drop(second);
    world.settle();
    assert_eq!(world.state("m", "1"), (Lifecycle::Draining, "draining".to_owned()));
    assert_eq!((answer(&lease).0, world.hooks.live_of("m/1")), (1, 1));
    drop(lease);
    assert!(world.hooks.wait_for_live(0));
    world.settle();
    assert_eq!(world.state("m", "1"), (Lifecycle::Unloaded, "unloaded".to_owned()));
    world.load("m").unwrap();
    assert_eq!(world.ready("m"), ["1"]);
}

#[test]
fn a_lease_taken_while_the_old_version_drains_is_on_the_new_one() {
    let world = World::new();
    world.put("m/1", "m/1", 1);
    world.load("m").unwrap();
    let old = world.registry.lease("m", None).unwrap();
    world.put("m/2", "m/2", 2);
    world.load("m").unwrap();
    assert_eq!(answer(&world.registry.lease("m", None).unwrap()).0, 2);
    assert_eq!(world.refusal("m", Some("1")).code(), ErrorCode::NotReady);
    assert_eq!(answer(&old).0, 1);
    // The same version, replaced while it is leased: two sessions of one version for a while.
    world.put("m/2", "m/2b", 3);
    let before = world.registry.lease("m", Some("2")).unwrap();
    world.load("m").unwrap();
    assert_eq!(answer(&world.registry.lease("m", Some("2")).unwrap()).0, 3);
    assert_eq!((answer(&before).0, answer(&old).0, world.hooks.live()), (2, 1, 3));
    drop((before, old));
    assert!(world.hooks.wait_for_live(1));
    assert_eq!(world.state("m", "2"), (Lifecycle::Ready, String::new()));
}

#[test]
fn a_version_that_drains_can_be_loaded_again_before_it_is_gone() {
    let world = World::new();
    world.put("m/1", "m/1", 1);
    world.load("m").unwrap();
    let old = world.registry.lease("m", None).unwrap();
    world.unload("m").unwrap();
    world.load("m").unwrap();
    assert_eq!((world.hooks.live_of("m/1"), world.hooks.loads("m/1")), (2, 2));
    drop(old);
    assert!(world.hooks.wait_for_live_of("m/1", 1));
    world.settle();
    assert_eq!(world.state("m", "1"), (Lifecycle::Ready, String::new()));
    assert!(world.registry.lease("m", None).is_ok());
}

/// A reader that looked at the snapshot just before a swap holds a version that drains by the time it asks
/// for a lease. No sequence of calls from outside gets there reliably, so this takes the reader's steps.
#[test]
fn whoever_found_a_version_before_it_began_to_drain_gets_no_lease_on_it() {
    let world = World::new();
    world.put("m/1", "m/1", 1);
    world.load("m").unwrap();
    let snapshot = world.registry.core.snapshot.load_full();
    let found = Arc::clone(&snapshot.models["m"][&Version::first()]);
    drop(snapshot);
    drop(Lease::take(&found).expect("a lease while it is ready"));
    world.unload("m").unwrap();
    assert!(Lease::take(&found).is_none());
    assert_eq!(found.inflight(), 0, "the attempt is given back");
    drop(found);
    assert!(world.hooks.wait_for_live(0));
}

#[test]
fn leases_outlive_the_registry() {
    let World { registry, hooks, folder, puts } = World::new();
    let world = World { registry, hooks: hooks.clone(), folder, puts };
    world.put("m/1", "m/1", 1);
    world.load("m").unwrap();
    let lease = world.registry.lease("m", None).unwrap();
    drop(world);
    assert_eq!((answer(&lease).0, hooks.live()), (1, 1));
    drop(lease);
    assert!(hooks.wait_for_live(0));
}

#[test]
fn counters_outlive_a_reload_and_an_unload() {
    let world = World::new();
    world.put("m/1", "m/1", 1);
    world.load("m").unwrap();
    let count = |times: u64| {
        let lease = world.registry.lease("m", None).unwrap();
        for _ in 0..times {
            let nanos = [Some(1000), None, None, None, None];
            lease.facts().record(&Observation { outcome: Outcome::Success, rows: 2, nanos, ended_unix_ms: 5 });
        }
    };
    let view = || {
        let views = world.registry.views();
        views.iter().find(|view| view.model.as_str() == "m").map(|view| (view.totals.rows, view.inflight)).unwrap()
    };
    count(3);
    world.put("m/1", "m/1b", 2);
    world.load("m").unwrap();
    count(2);
    assert_eq!(view(), (10, Some(0)));
    let lease = world.registry.lease("m", None).unwrap();
    assert_eq!(view(), (10, Some(1)));
    drop(lease);
    world.unload("m").unwrap();
    assert_eq!(view(), (10, None));
}

/// Swaps a model again and again while threads use it. Every lease must be given, every answer must be
/// that of the file that the lease is on, and no thread may see an older file than it has seen before.
#[test]
fn two_hundred_swaps_under_load_fail_nobody() {
    const SWAPS: usize = 200;
    const THREADS: usize = 4;
    let world = World::new();
    world.put("m/1", "0", 0);
    world.load("m").unwrap();
    let (over, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    let registry = &world.registry;
    let use_it = || {
        let mut newest = 0;
        while !over.load(Ordering::SeqCst) {
            let lease = registry.lease("m", None).expect("a lease");
            let (constant, key) = answer(&lease);
            assert_eq!(constant.to_string(), key, "the session of another file answered");
            assert!(constant >= newest, "{constant} came after {newest}");
            newest = constant;
            answers.fetch_add(1, Ordering::SeqCst);
        }
    };
    thread::scope(|scope| {
        // Ends the threads however this ends, so that a failure is a failure and not a hang.
        struct End<'a>(&'a AtomicBool);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let _end = End(&over);
        let users: Vec<_> = (0..THREADS).map(|_| scope.spawn(use_it)).collect();
        for swap in 1..=SWAPS {
            // Even swaps replace the file of a version, odd ones bring a new version.
            let version = swap / 2 + 1;
            world.put(&format!("m/{version}"), &swap.to_string(), swap);
            world.load("m").unwrap();
        }
        over.store(true, Ordering::SeqCst);
        users.into_iter().for_each(|user| user.join().unwrap());
    });
    assert!(answers.load(Ordering::SeqCst) >= THREADS);
    assert_eq!(answer(&world.registry.lease("m", None).unwrap()).0, SWAPS as i64);
    assert!(world.hooks.wait_for_live(1));
    world.unload("m").unwrap();
    assert!(world.hooks.wait_for_live(0));
}

/// Something that can happen to a model.
#[derive(Debug, Clone)]
enum Event {
    Put { version: u8, broken: bool },
    Load,
    Unload,
    Poll,
    Lease { version: Option<u8> },
    Drop { which: usize },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (1_u8..4, prop::bool::weighted(0.2)).prop_map(|(version, broken)| Event::Put { version, broken }),
        3 => Just(Event::Load),
        1 => Just(Event::Unload),
        1 => Just(Event::Poll),
        4 => prop::option::of(1_u8..4).prop_map(|version| Event::Lease { version }),
        3 => any::<usize>().prop_map(|which| Event::Drop { which }),
    ]
}

/// Whatever happens: a leased session lives and answers, a lease is given exactly when its version is
/// ready, and what lives is what is ready or leased, to the last session.
fn goes_well(events: &[Event], policy: &str) {
    let world = World::with_policy(policy);
    let mut leases: Vec<(Lease, (i64, String))> = Vec::new();
    for (turn, event) in events.iter().enumerate() {
        match event {
            Event::Put { version, broken } => {
                let head = if *broken { "fail_load = \"broken\"" } else { "" };
                world.put_with(&format!("m/{version}"), &turn.to_string(), turn, head);
            }
            Event::Load => drop(world.load("m")),
            Event::Unload => drop(world.unload("m")),
            Event::Poll => world.poll(),
            Event::Lease { version } => {
                let version = version.map(|version| version.to_string());
                let ready = world.ready("m");
                let expected =
                    version.clone().map_or(ready.last().cloned(), |wanted| ready.contains(&wanted).then_some(wanted));
                let lease = world.registry.lease("m", version.as_deref());
                assert_eq!(lease.as_ref().ok().map(|lease| lease.version.to_string()), expected);
                leases.extend(lease.ok().map(|lease| {
                    let answer = answer(&lease);
                    (lease, answer)
                }));
            }
            Event::Drop { which } if !leases.is_empty() => drop(leases.swap_remove(which % leases.len())),
            Event::Drop { .. } => {}
        }
        for (lease, first_answer) in &leases {
            assert_eq!(answer(lease), *first_answer);
            assert!(world.hooks.live_of(&first_answer.1) >= 1, "{} was freed under a lease", first_answer.1);
        }
    }
    // Sessions that should live, by identity: those that are ready and those that are leased.
    let mut alive: BTreeMap<usize, ()> = BTreeMap::new();
    let identity = |lease: &Lease| std::ptr::from_ref::<ReadyVersion>(lease).addr();
    alive.extend(leases.iter().map(|(lease, _)| (identity(lease), ())));
    for version in world.ready("m") {
        alive.insert(identity(&world.registry.lease("m", Some(&version)).unwrap()), ());
    }
    assert!(world.hooks.wait_for_live(alive.len()), "{} live, wanted {}", world.hooks.live(), alive.len());
    drop(leases);
    drop(world.unload("m"));
    assert!(world.hooks.wait_for_live(0), "{} live at the end", world.hooks.live());
    world.settle();
    let in_memory = |state| matches!(state, Lifecycle::Ready | Lifecycle::Draining | Lifecycle::Loading);
    // Only `m`: settling promises nothing about the sentinel's own line.
    let index: Vec<_> =
        world.registry.index().unwrap().into_iter().filter(|entry| entry.model.as_str() == "m").collect();
    assert!(index.iter().all(|entry| !in_memory(entry.state)), "{index:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_leased_session_lives_and_nothing_else_stays(
        events in prop::collection::vec(event(), 0..40),
        policy in prop::sample::select(vec!["latest", "latest:2", "all"]),
    ) {
        goes_well(&events, policy);
    }
}
