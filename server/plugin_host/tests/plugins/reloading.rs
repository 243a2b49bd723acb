//! Generations: a new library is tried before it is used, a bad one changes nothing, and there is a cap.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use candor_domain::tensor::TensorData;
use candor_plugin_host::{
    AllowList, CallContext, CallLimits, HostSettings, Isolation, Live, Pin, PluginHost, Reason, Refusal, Values,
};

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

/// What this process holds: bytes in memory, mappings, files, threads.
fn held() -> [usize; 4] {
    let count = |folder: &str| fs::read_dir(folder).unwrap().count();
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap().lines().count();
    [pages * 4096, maps, count("/proc/self/fd"), count("/proc/self/task")]
}

/// A host that may map so many libraries, whoever made them.
fn keeping(bench: &Bench, generations_max: usize) -> PluginHost {
    let allow = vec![Pin { isolation: Isolation::Inproc, ..Pin::of("contract", "") }];
    let (allow, store) = (AllowList { dev: true, allow }, bench.temp.path().join("store"));
    let settings = HostSettings { allow, store, generations_max };
    PluginHost::new(settings, Box::new(super::support::Ears(std::sync::Arc::clone(&bench.heard))))
}

/// A thousand libraries of one plugin, one after the other, while four threads call it. None is unloaded, so memory
/// grows by what one library takes, and by nothing else; at the cap it is refused and goes on.
#[test]
#[ignore = "takes a minute; `cargo xtask test --only reloads`"]
#[allow(clippy::disallowed_methods, reason = "whoever runs it names the plugin")]
fn a_thousand_generations() {
    const GENERATIONS: usize = 1000;
    let from = std::path::PathBuf::from(std::env::var_os("CANDOR_RELOAD_FOLDER").expect("the plugin's folder"));
    let bench = Bench::new();
    let folder = bench.temp.path().join("contract");
    let path = super::support::library(&folder, "contract");
    super::support::ship(&super::support::library(&from, "contract"), &folder, "contract");
    fs::copy(from.join("plugin.toml"), folder.join("plugin.toml")).unwrap();
    let bytes = fs::read(&path).unwrap();
    // Other bytes behind the end of the file: another digest, the same library.
    let install = |number: usize| {
        let draft = path.with_extension("new");
        fs::write(&draft, [bytes.as_slice(), &number.to_le_bytes()].concat()).unwrap();
        super::support::set_mode(&draft, 0o755);
        fs::rename(&draft, &path).unwrap();
    };
    let host = keeping(&bench, GENERATIONS);
    let live = host.load(&folder).unwrap().open("test.contract", r#"{"factor": 2}"#).unwrap();
    let (over, calls) = (AtomicBool::new(false), AtomicU64::new(0));
    let answer = |call: &mut CallContext| {
        let x = super::support::floats(&[2], &[1.0, 2.5]);
        let outputs = live.instance().infer(call, &[("x", &x)]).unwrap();
        assert_eq!(outputs[0].1, super::support::floats(&[2], &[2.0, 5.0]));
    };
    let (mut swaps, before, after) = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut call = CallContext::new(CallLimits::default());
                while !over.load(Ordering::Relaxed) {
                    answer(&mut call);
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let (mut swaps, mut before) = (Vec::new(), held());
        for number in 1..GENERATIONS {
            if number == 100 {
                before = held();
            }
            install(number);
            let began = std::time::Instant::now();
            assert_eq!(host.reload(&folder, &|_| Ok(())).unwrap().number, number + 1);
            swaps.push(began.elapsed().as_micros());
        }
        let after = held();
        install(GENERATIONS);
        assert_eq!(host.reload(&folder, &|_| Ok(())).err().unwrap().reason(), Reason::Generations);
        over.store(true, Ordering::Relaxed);
        (swaps, before, after)
    });
    swaps.sort_unstable();
    let each = |at: usize| (after[at].saturating_sub(before[at])) as f64 / (GENERATIONS - 100) as f64;
    let millis = |part: usize| swaps[swaps.len() * part / 100] as f64 / 1000.0;
    println!(
        "{GENERATIONS} generations of {} KiB; {} calls meanwhile, none wrong; verify, load and swap p50 {:.2} ms, p99 {:.2} ms; each keeps {:.0} KiB and {:.1} mappings; files {} to {}, threads {} to {}; the next one refused",
        bytes.len() / 1024,
        calls.load(Ordering::Relaxed),
        millis(50),
        millis(99),
        each(0) / 1024.0,
        each(1),
        before[2],
        after[2],
        before[3],
        after[3],
    );
    assert_eq!((before[2], before[3]), (after[2], after[3]), "files and threads");
    // What a library takes: its relocated pages and the loader's own notes. Its whole file never is.
    assert!(each(0) < 512.0 * 1024.0 && each(1) < 8.0, "{} bytes, {} mappings each", each(0), each(1));
}
