//! Plugins in processes of their own: whatever happens to one, its request gets a clear error and the next one an
//! answer.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use candor_domain::{
    Cancel, ManualClock,
    error::{Error, ErrorCode},
    tensor::{Tensor, TensorData},
};
use candor_plugin_host::{AllowList, Isolated, Isolation, Pin, Reason, Refusal, WorkerProgram, WorkerSettings};

use super::support::{Bench, Ears, c_example, floats, library, pin};

/// A deadline that no good call reaches on a machine that is busy, and that a test can wait for.
const DEADLINE: Duration = Duration::from_secs(3);

struct Apart {
    isolated: Isolated,
    clock: Arc<ManualClock>,
}

fn settings() -> WorkerSettings {
    WorkerSettings { deadline: DEADLINE, start: Duration::from_secs(60), ..WorkerSettings::default() }
}

fn open(
    bench: &Bench,
    folder: &(PathBuf, &str),
    component: (&str, &str),
    settings: WorkerSettings,
) -> Result<Apart, Refusal> {
    let allow = vec![Pin { isolation: Isolation::Process, ..pin(&library(&folder.0, folder.1), folder.1) }];
    let host = bench.host(AllowList { dev: false, allow });
    let program = WorkerProgram { program: env!("CARGO_BIN_EXE_plugin-worker-under-test").into(), arguments: vec![] };
    let (clock, ears) = (Arc::new(ManualClock::default()), Arc::new(Ears(Arc::clone(&bench.heard))));
    let isolated = host.isolate(&folder.0, component, program, settings, (ears, Arc::clone(&clock) as _))?;
    Ok(Apart { isolated, clock })
}

fn odd(bench: &Bench, flags: &[&str], settings: WorkerSettings) -> Apart {
    open(bench, &(bench.odd(flags), "odd"), ("test.odd", "{}"), settings).unwrap()
}

impl Apart {
    fn ask(&self, what: &str) -> Result<Vec<(String, Tensor)>, Error> {
        self.isolated.infer(&[(what, &floats(&[1], &[0.0]))], None)
    }

    /// The error of a call, and that the next one is answered.
    #[track_caller]
    fn fails(&self, what: &str, code: ErrorCode, says: &str, workers: u64) {
        let error = self.ask(what).unwrap_err();
        assert!(error.code() == code && error.to_string().contains(says), "{what}: {error}");
        assert_eq!(self.ask("x").unwrap(), [("y".to_owned(), floats(&[1], &[1.0]))], "after {what}");
        assert_eq!(self.isolated.started(), workers, "after {what}");
    }
}

#[test]
fn it_answers_from_a_process_that_has_given_up_what_it_does_not_need() {
    let bench = Bench::new();
    let folder = bench.odd(&[]);
    let sha256 = pin(&library(&folder, "odd"), "odd").sha256;
    let apart = open(&bench, &(folder, "odd"), ("test.odd", "{}"), settings()).unwrap();
    assert!(bench.left("constructor"), "it ran in the worker");
    assert!(!fs::read_to_string("/proc/self/maps").unwrap().contains(&sha256), "it is mapped here");
    assert_eq!(apart.ask("x").unwrap(), [("y".to_owned(), floats(&[1], &[1.0]))]);
    // No new privileges, and nothing of the server's environment.
    assert_eq!(apart.ask("privileges").unwrap()[0].1, floats(&[1], &[1.0]));
    let strings = apart.ask("strings").unwrap();
    assert_eq!(strings[0].1.data(), &TensorData::Bytes(["one", ""].iter().collect()));
    assert_eq!(apart.isolated.started(), 1);
}

#[test]
fn large_tensors_go_there_and_back() {
    let bench = Bench::new();
    let folder = c_example(&bench);
    let scale =
        |settings| open(&bench, &(folder.clone(), "c_scale"), ("example.c_scale", r#"{"factor": 2}"#), settings);
    let apart = scale(settings()).unwrap();
    let x: Vec<f32> = (0..150_528_u32).map(|at| f32::from(u16::try_from(at % 1000).unwrap())).collect();
    let doubled: Vec<f32> = x.iter().map(|x| x * 2.0).collect();
    for _ in 0..3 {
        let answer = apart.isolated.infer(&[("x", &floats(&[3, 224, 224], &x))], None).unwrap();
        assert_eq!(answer, [("y".to_owned(), floats(&[3, 224, 224], &doubled))]);
    }
    let small = scale(WorkerSettings { region_bytes: 1 << 16, ..settings() }).unwrap();
    let error = small.isolated.infer(&[("x", &floats(&[3, 224, 224], &x))], None).unwrap_err();
    assert_eq!(error.code(), ErrorCode::TooLarge);
    assert!(small.isolated.infer(&[("x", &floats(&[1], &[1.0]))], None).is_ok());
    let refusal =
        open(&bench, &(folder, "c_scale"), ("example.c_scale", r#"{"factor": "x"}"#), settings()).err().unwrap();
    assert!(refusal.reason() == Reason::Failed && refusal.to_string().contains("at `/factor`"), "{refusal}");
}

#[test]
fn what_the_plugin_says_is_passed_on_and_its_process_goes_on() {
    let bench = Bench::new();
    let apart = odd(&bench, &[], settings());
    apart.fails("silent", ErrorCode::InvalidInput, "did not say why", 1);
    apart.fails("negative", ErrorCode::InvalidInput, "its shape [-1] cannot be", 1);
    apart.fails("panic", ErrorCode::EngineFailed, "as if it panicked", 1);
    apart.fails("bool", ErrorCode::NotReady, "neither 0 nor 1", 2);
}

#[test]
fn a_process_that_dies_takes_down_one_request() {
    let bench = Bench::new();
    for (what, says) in
        [("abort", "signal 6"), ("crash", "signal 11"), ("exit", "exit status: 3"), ("leak", "signal 6")]
    {
        let apart = odd(&bench, &[], WorkerSettings { memory_bytes: 300 << 20, ..settings() });
        apart.fails(what, ErrorCode::NotReady, says, 2);
    }
}

#[test]
fn a_call_that_hangs_is_stopped_or_its_process_killed() {
    let bench = Bench::new();
    let apart = odd(&bench, &[], WorkerSettings { grace: DEADLINE, ..settings() });
    // It listens: it stops by itself, and its process goes on.
    apart.fails("wait", ErrorCode::DeadlineExceeded, "did not answer in 3000 ms", 1);
    let apart = odd(&bench, &[], settings());
    apart.fails("hang", ErrorCode::DeadlineExceeded, "was killed", 2);
}

#[test]
fn a_caller_that_leaves_stops_its_call() {
    let bench = Bench::new();
    let apart = odd(&bench, &[], WorkerSettings { deadline: Duration::from_secs(600), ..settings() });
    let cancel = Cancel::default();
    let error = std::thread::scope(|scope| {
        scope.spawn(|| cancel.cancel());
        apart.isolated.infer(&[("wait", &floats(&[1], &[0.0]))], Some(&cancel)).unwrap_err()
    });
    assert_eq!(error.code(), ErrorCode::Cancelled);
    assert_eq!(apart.ask("x").unwrap()[0].1, floats(&[1], &[1.0]));
}

/// Before anything of it runs: the library, which is a predictor, has left no mark.
#[test]
fn what_fits_or_routes_is_told_that_it_cannot_be_isolated() {
    let bench = Bench::new();
    let folder = bench.odd(&[]);
    let manifest = fs::read_to_string(folder.join("plugin.toml")).unwrap();
    for kinds in ["'router'", "'trainer'", "'detector', 'selector'"] {
        fs::write(folder.join("plugin.toml"), manifest.replace("'predictor'", kinds)).unwrap();
        let refusal = open(&bench, &(folder.clone(), "odd"), ("test.odd", "{}"), settings()).err().unwrap();
        assert_eq!(refusal.reason(), Reason::NotIsolated);
        let said = refusal.to_string();
        for part in ["component test.odd is a ", "fits or routes", "plugins.allow with isolation = \"in_process\""] {
            assert!(said.contains(part), "{said}");
        }
    }
    assert!(!bench.left("constructor"));
}

#[test]
fn one_that_lies_or_floods_is_not_believed() {
    let bench = Bench::new();
    let apart = odd(&bench, &[], WorkerSettings { frames_max: 500, ..settings() });
    apart.fails("ring", ErrorCode::NotReady, "answered what cannot be", 2);
    apart.ask("flood").unwrap();
    assert!(apart.ask("x").is_ok());
    let lines = bench.heard.lines.lock().unwrap();
    assert!(lines.iter().filter(|(_, line)| line == "flood").count() <= 500);
}

#[test]
fn one_that_keeps_dying_is_left_alone_for_a_while() {
    let bench = Bench::new();
    let apart = odd(&bench, &[], settings());
    for _ in 0..3 {
        assert_eq!(apart.ask("abort").unwrap_err().code(), ErrorCode::NotReady);
    }
    let error = apart.ask("x").unwrap_err();
    assert!(error.code() == ErrorCode::BreakerOpen && error.retry_after().is_some(), "{error}");
    assert_eq!(apart.isolated.started(), 3, "none was started while it is open");
    apart.clock.advance(Duration::from_secs(31));
    assert!(apart.ask("x").is_ok());
    assert!(apart.ask("x").is_ok());
    assert_eq!(apart.isolated.started(), 4);
}

#[test]
fn one_that_died_between_two_calls_is_replaced_before_the_next() {
    let bench = Bench::new();
    let apart = odd(&bench, &[], settings());
    let id = apart.isolated.worker_ids()[0];
    let pid = rustix::process::Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    // Dead, and not yet buried: its state is Z.
    let dead = || fs::read_to_string(format!("/proc/{id}/stat")).unwrap().contains(") Z ");
    while !dead() {
        std::thread::yield_now();
    }
    assert!(apart.ask("x").is_ok());
    assert_eq!(apart.isolated.started(), 2);
    assert_ne!(apart.isolated.worker_ids(), [id]);
}

/// What would end the server, or cannot share a process, may run in one of its own.
#[test]
fn what_needs_isolation_is_taken_there() {
    let bench = Bench::new();
    for flag in ["-DFLAGS=CANDOR_MODULE_PANIC_ABORT", "-DFLAGS=CANDOR_MODULE_ISOLATED_ONLY"] {
        assert!(odd(&bench, &[flag], settings()).ask("x").is_ok());
    }
    let refused = |flags: &[&str]| {
        open(&bench, &(bench.odd(flags), "odd"), ("test.odd", "{}"), settings()).err().unwrap().to_string()
    };
    assert!(refused(&["-DCREATE_FAILS"]).contains("not today"));
    assert!(refused(&["-DINIT_STATUS=CANDOR_INTERNAL"]).contains("`init` failed"));
    assert!(refused(&["-DUNDEFINED", "-Wl,-z,lazy"]).contains("nobody_has_this"));
}

/// Runs what may never end: its answer, or a failure after half a minute.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(work()));
    told.recv_timeout(Duration::from_secs(30)).expect("it does not end")
}

/// The limit on the start is one on all of it, not on the silence between two lines.
#[test]
fn one_that_talks_is_not_given_more_time_to_be_ready() {
    let refusal = in_time(|| {
        let bench = Bench::new();
        let start = Duration::from_secs(2);
        let settings = WorkerSettings { start, ..settings() };
        let folder = bench.odd(&["-DTALKS_FOR_EVER"]);
        let refusal = open(&bench, &(folder, "odd"), ("test.odd", "{}"), settings).err().unwrap();
        assert!(bench.heard.lines.lock().unwrap().len() > 3, "it did talk");
        refusal.to_string()
    });
    assert!(refusal.contains("was not ready in time") && refusal.contains("signal 9"), "{refusal}");
}

/// Its files are its own: however it opens and fills them, the server waits for it no longer than it wants to.
#[test]
fn one_that_blocks_and_stuffs_its_bells_keeps_nobody() {
    in_time(|| {
        let bench = Bench::new();
        let apart = odd(&bench, &[], settings());
        apart.fails("silent", ErrorCode::InvalidInput, "did not say why", 1);
        assert!(apart.ask("block").is_ok());
        apart.fails("silent", ErrorCode::InvalidInput, "did not say why", 1);
        // What it answers to that is another matter.
        let _ = apart.ask("stuff");
        let _ = apart.ask("x");
        assert_eq!(apart.ask("x").unwrap(), [("y".to_owned(), floats(&[1], &[1.0]))]);
    });
}

#[test]
fn a_call_that_waited_too_long_for_its_process_is_not_made() {
    let bench = Bench::new();
    let apart = odd(&bench, &[], WorkerSettings { deadline: Duration::from_secs(600), ..settings() });
    let (cancel, gone) = (Cancel::default(), Cancel::default());
    let ask = |what: &str, cancel: &Cancel, seconds: u64| {
        let x = floats(&[1], &[0.0]);
        apart.isolated.infer_within(&[(what, &x)], Some(cancel), Duration::from_secs(seconds)).unwrap_err().code()
    };
    std::thread::scope(|scope| {
        let holder = scope.spawn(|| ask("wait", &cancel, 600));
        while !apart.isolated.worker_ids().is_empty() {
            std::thread::yield_now();
        }
        let never = Cancel::default();
        let (late, left) = (scope.spawn(move || ask("mark", &never, 5)), scope.spawn(|| ask("mark", &gone, 500)));
        // Each has counted its time from before it waits.
        while apart.isolated.counts().calls.load(std::sync::atomic::Ordering::Relaxed) < 3 {
            std::thread::yield_now();
        }
        gone.cancel();
        apart.clock.advance(Duration::from_secs(6));
        cancel.cancel();
        assert_eq!(holder.join().unwrap(), ErrorCode::Cancelled);
        assert_eq!(late.join().unwrap(), ErrorCode::DeadlineExceeded);
        assert_eq!(left.join().unwrap(), ErrorCode::Cancelled);
    });
    assert!(!bench.left("run"));
    assert_eq!(apart.isolated.started(), 1, "the process goes on");
}

#[test]
fn one_that_strikes_at_the_server_is_refused_by_the_system() {
    let bench = Bench::new();
    let apart = odd(&bench, &[], settings());
    // All nine of its attempts; that this test goes on is the rest of the answer.
    assert_eq!(apart.ask("strike").unwrap()[0].1, floats(&[1], &[9.0]));
    // Signals to itself are still its own.
    apart.fails("abort", ErrorCode::NotReady, "signal 6", 2);
}
