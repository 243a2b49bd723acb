//! The cache by itself: what stays, what leaves, who flies. Time moves by hand, and nothing sleeps.

use std::{collections::HashMap, sync::Mutex, thread};

use candor_domain::{ManualClock, Shape, TensorData};

use super::*;

fn tensor(values: &[f32]) -> Tensor {
    Tensor::new(Shape::new(&[values.len() as i64]).unwrap(), TensorData::Fp32(values.to_vec())).unwrap()
}

struct World {
    clock: Arc<ManualClock>,
    cache: Arc<ResultCache>,
}

impl World {
    fn new(bytes_max: u64) -> Self {
        let clock = Arc::new(ManualClock::default());
        let settings = ResultCacheSettings { bytes_max, ..ResultCacheSettings::default() };
        Self { cache: Arc::new(ResultCache::new(settings, clock.clone())), clock }
    }

    fn version(&self) -> Keeping {
        self.cache.keeping("aa", None).unwrap()
    }
}

/// What is there, if it is; whoever would have to find out gives up.
fn known(version: &Keeping, ask: f32) -> Option<Vec<Tensor>> {
    match version.look(&[tensor(&[ask])], &[0]) {
        Found::Here(answer) => Some(answer.outputs.clone()),
        Found::Lead(_) | Found::Follow(_) => None,
    }
}

fn lead(version: &Keeping, ask: f32) -> Flight {
    match version.look(&[tensor(&[ask])], &[0]) {
        Found::Lead(flight) => flight,
        Found::Here(_) | Found::Follow(_) => panic!("somebody was there before"),
    }
}

fn follow(version: &Keeping, ask: f32) -> tokio::sync::oneshot::Receiver<Told> {
    match version.look(&[tensor(&[ask])], &[0]) {
        Found::Follow(told) => told,
        Found::Here(_) | Found::Lead(_) => panic!("nobody was there before"),
    }
}

#[test]
fn what_was_answered_is_known_to_its_version_alone() {
    let world = World::new(1 << 20);
    let (one, other) = (world.version(), world.version());
    assert_eq!(known(&one, 1.0), None);
    one.keep(lead(&one, 1.0), &[tensor(&[7.0, 8.0])]);
    assert_eq!(known(&one, 1.0), Some(vec![tensor(&[7.0, 8.0])]));
    assert_eq!(known(&one, 2.0), None);
    assert_eq!(known(&other, 1.0), None, "another version of the same file");
    assert!(matches!(one.look(&[tensor(&[1.0])], &[1]), Found::Lead(_)), "another output is another question");
}

#[test]
fn an_answer_that_is_too_old_is_not_given_and_leaves() {
    let world = World::new(1 << 20);
    let version = world.cache.keeping("aa", Some(Duration::from_millis(100))).unwrap();
    version.keep(lead(&version, 1.0), &[tensor(&[7.0])]);
    world.clock.advance(Duration::from_millis(99));
    assert!(known(&version, 1.0).is_some());
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(known(&version, 1.0), None);
    let view = world.cache.view();
    assert_eq!((view.entries, view.bytes), (0, 0));
    assert_eq!(view.evictions, [("size", 0), ("expired", 1), ("unloaded", 0)]);
    version.keep(lead(&version, 1.0), &[tensor(&[7.0])]);
    assert!(known(&version, 1.0).is_some(), "it is as young as any");
}

#[test]
fn answers_go_with_their_version_and_others_stay() {
    let world = World::new(1 << 20);
    let (one, other) = (world.version(), world.version());
    for ask in 0..50_u8 {
        one.keep(lead(&one, f32::from(ask)), &[tensor(&[1.0])]);
        other.keep(lead(&other, f32::from(ask)), &[tensor(&[2.0])]);
    }
    let both = world.cache.view();
    assert_eq!(both.entries, 100);
    drop(one);
    let left = world.cache.view();
    assert_eq!((left.entries, left.bytes), (50, both.bytes / 2));
    assert_eq!(left.evictions, [("size", 0), ("expired", 0), ("unloaded", 50)]);
    assert!((0..50_u8).all(|ask| known(&other, f32::from(ask)) == Some(vec![tensor(&[2.0])])));
}

#[test]
fn the_bytes_of_all_answers_stay_within_their_bound() {
    let world = World::new(64 << 10);
    let version = world.version();
    let mut most = 0;
    for ask in 0..2000_u16 {
        version.keep(lead(&version, f32::from(ask)), &[tensor(&vec![0.5; 1 + usize::from(ask % 500)])]);
        most = most.max(world.cache.view().bytes);
    }
    let view = world.cache.view();
    assert!(most <= view.bytes_max && view.bytes > view.bytes_max / 2, "{most} {view:?}");
    assert_eq!(view.entries + view.evictions[0].1, 2000, "what is not there has been counted out");
}

#[test]
fn strings_count_with_their_bytes_and_numbers_with_theirs() {
    let strings = TensorData::Bytes(["a".repeat(1000), "b".repeat(24)].iter().collect());
    let strings = Tensor::new(Shape::new(&[2]).unwrap(), strings).unwrap();
    let around = bytes_of(&[]) + size_of::<Tensor>();
    assert_eq!(bytes_of(&[strings]) - around, 1024 + 16);
    assert_eq!(bytes_of(&[tensor(&[0.0; 100])]) - around, 400);
}

#[test]
fn what_can_never_fit_is_told_to_those_who_wait_and_not_kept() {
    let world = World::new(1000);
    let version = world.version();
    let flight = lead(&version, 1.0);
    let mut told = follow(&version, 1.0);
    version.keep(flight, &[tensor(&[1.0; 1000])]);
    assert!(matches!(told.try_recv(), Ok(Told::Landed(answer)) if answer.outputs == [tensor(&[1.0; 1000])]));
    assert_eq!(world.cache.view().entries, 0);
    drop(lead(&version, 1.0));
}

#[test]
fn a_cache_of_no_bytes_is_none() {
    assert!(World::new(0).cache.keeping("aa", None).is_none());
}

#[test]
fn who_comes_to_nothing_is_followed_by_the_next_one_who_is_still_there() {
    let world = World::new(1 << 20);
    let version = world.version();
    let first = lead(&version, 1.0);
    let (gone, mut second, also_gone) = (follow(&version, 1.0), follow(&version, 1.0), follow(&version, 1.0));
    let (mut third, mut fourth) = (follow(&version, 1.0), follow(&version, 1.0));
    drop(gone);
    assert!(second.try_recv().is_err(), "nobody knows anything yet");
    drop(first);
    let Ok(Told::Lead(flight)) = second.try_recv() else { panic!("it is the second one's turn") };
    assert!(third.try_recv().is_err());
    drop((also_gone, flight));
    // One that has been told, and leaves before it hears, passes it on too.
    let Ok(Told::Lead(flight)) = third.try_recv() else { panic!("it is the third one's turn") };
    drop(flight);
    let fifth = follow(&version, 1.0);
    let Ok(Told::Lead(flight)) = fourth.try_recv() else { panic!("it is the fourth one's turn") };
    drop(flight);
    drop(fifth);
    version.keep(lead(&version, 1.0), &[tensor(&[7.0])]);
    assert!(known(&version, 1.0).is_some());
}

/// Asks and flies until it has an answer; runs fail now and then. Counts the runs that did not.
fn ask(version: &Keeping, what: u8, runs: &Mutex<HashMap<u8, usize>>, dice: &mut u32) -> Vec<Tensor> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let told = match version.look(&[tensor(&[f32::from(what)])], &[0]) {
        Found::Here(answer) => return answer.outputs.clone(),
        Found::Lead(flight) => Told::Lead(flight),
        Found::Follow(told) => runtime.block_on(told).expect("everybody is told something"),
    };
    let flight = match told {
        Told::Landed(answer) => return answer.outputs.clone(),
        Told::Lead(flight) => flight,
    };
    *dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    thread::yield_now();
    if *dice >> 30 == 0 {
        // It fails: whoever is behind flies, and this one asks again.
        drop(flight);
        return ask(version, what, runs, dice);
    }
    *runs.lock().unwrap().entry(what).or_default() += 1;
    let outputs = [tensor(&[f32::from(what) * 10.0])];
    version.keep(flight, &outputs);
    outputs.to_vec()
}

#[test]
fn many_who_ask_the_same_at_once_get_their_answer_from_one_run() {
    let world = World::new(1 << 20);
    let version = world.version();
    let runs = Mutex::new(HashMap::new());
    thread::scope(|scope| {
        for number in 0..8_u32 {
            let (version, runs) = (&version, &runs);
            scope.spawn(move || {
                let mut dice = number * 7919 + 1;
                for round in 0..400_u32 {
                    let what = u8::try_from((round / 4) % 100).unwrap();
                    assert_eq!(ask(version, what, runs, &mut dice), [tensor(&[f32::from(what) * 10.0])]);
                }
            });
        }
    });
    let runs = runs.into_inner().unwrap();
    assert_eq!(runs.len(), 100);
    assert!(runs.values().all(|count| *count == 1), "a run that succeeded was made twice: {runs:?}");
}
