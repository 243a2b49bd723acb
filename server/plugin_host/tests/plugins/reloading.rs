//! Generations: a new library is tried before it is used, a bad one changes nothing, and there is a cap.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use candor_domain::tensor::TensorData;
use candor_plugin_host::{CallContext, CallLimits, Live, Reason, Refusal, Values};

use super::support::Bench;

fn answer(live: &Live) -> f32 {
    let mut call = CallContext::new(CallLimits::default());
    let outputs = live.instance().infer(&mut call, &[]).unwrap();
    let TensorData::Fp32(y) = outputs[0].1.data() else { panic!("{outputs:?}") };
    y[0]
}

#[test]
fn a_new_library_is_swapped_in_and_the_old_instance_ends_with_its_last_call() {
    let bench = Bench::new();
    // At home: what is built anew is loaded anew, without a pin each time.
    let host = bench.at_home("odd");
    let folder = bench.odd(&["-DANSWER=1"]);
    let plugin = host.load(&folder).unwrap();
    let live = plugin.open("test.odd", "{}").unwrap();
    assert!((answer(&live) - 1.0).abs() < f32::EPSILON);

    let old = std::sync::Arc::clone(&live.instance());
    bench.odd(&["-DANSWER=2"]);
    let generation = host.reload(&folder, &|_| Ok(())).unwrap();
    assert_eq!((generation.number, plugin.mapped()), (2, 2));
    assert!((answer(&live) - 2.0).abs() < f32::EPSILON);
    // Who still calls the old one gets its answer.
    let mut call = CallContext::new(CallLimits::default());
    old.run(&mut call, &Values::of([])).unwrap();
    assert_eq!(call.outputs().get("y").unwrap().floats(), Some(&[1.0_f32][..]));
    assert!(!bench.left("destroy"));
    drop(old);
    assert!(bench.left("destroy"));
    assert!((answer(&plugin.open("test.odd", "{}").unwrap()) - 2.0).abs() < f32::EPSILON);
}

#[test]
fn a_bad_one_changes_nothing_and_the_number_is_capped() {
    let bench = Bench::new();
    let host = bench.at_home("odd");
    let folder = bench.odd(&["-DANSWER=1"]);
    let plugin = host.load(&folder).unwrap();
    let live = plugin.open("test.odd", "{}").unwrap();
    let fails = |flags: &[&str], reason: Reason| {
        bench.odd(flags);
        let refusal = host.reload(&folder, &|_| Ok(())).err().unwrap();
        assert_eq!(refusal.reason(), reason, "{refusal}");
        assert!((answer(&live) - 1.0).abs() < f32::EPSILON && plugin.current().number == 1);
        refusal
    };
    fails(&["-DABI_MAJOR=3"], Reason::Abi);
    fails(&["-DCREATE_FAILS"], Reason::Failed);
    bench.odd(&["-DANSWER=5"]);
    let refusal = host.reload(&folder, &|_| Err(Refusal::new(Reason::Failed, "the sample is answered wrongly")));
    assert_eq!(refusal.err().unwrap().reason(), Reason::Failed);
    assert!((answer(&live) - 1.0).abs() < f32::EPSILON);
    // Three are mapped now: the first, the one whose create fails, the one that was tried.
    let refusal = fails(&["-DANSWER=6"], Reason::Generations);
    assert!(refusal.to_string().contains("restart the server"), "{refusal}");
    // One that is mapped is used again.
    bench.odd(&["-DANSWER=5"]);
    assert_eq!(host.reload(&folder, &|_| Ok(())).unwrap().number, 3);
    assert!((answer(&live) - 5.0).abs() < f32::EPSILON);
}

#[test]
fn calls_go_on_while_instances_are_swapped() {
    let bench = Bench::new();
    let host = bench.at_home("odd");
    let folder = bench.odd(&["-DANSWER=1"]);
    let live = host.load(&folder).unwrap().open("test.odd", "{}").unwrap();
    let first = fs::read(super::support::library(&folder, "odd")).unwrap();
    bench.odd(&["-DANSWER=2"]);
    let second = fs::read(super::support::library(&folder, "odd")).unwrap();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let y = answer(&live);
                    assert!((y - 1.0).abs() < f32::EPSILON || (y - 2.0).abs() < f32::EPSILON);
                }
            });
        }
        for round in 0..50 {
            let bytes = if round % 2 == 0 { &second } else { &first };
            // As an installer does it: a new file under the old name.
            let path = super::support::library(&folder, "odd");
            fs::write(path.with_extension("new"), bytes).unwrap();
            fs::rename(path.with_extension("new"), &path).unwrap();
            let generation = host.reload(&folder, &|_| Ok(())).unwrap();
            let expected = if round % 2 == 0 { 2.0 } else { 1.0 };
            assert!((answer(&live) - expected).abs() < f32::EPSILON, "round {round}, generation {}", generation.number);
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(host.get("odd").unwrap().mapped(), 2);
}
