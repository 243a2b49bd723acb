//! The SDK from both sides: components as an author writes them, called as a host calls them.
//!
//! | module | what it has |
//! |---|---|
//! | `parts` | one small component of every kind |
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail loudly too"
)]

mod parts;

use std::{
    ffi::CStr,
    sync::atomic::{AtomicU32, Ordering},
};

use candor_plugin_sdk::{
    Description, Error, Level, Metric, Port, Status, abi, now_ns,
    testing::{Harness, Input, Output, Setup, logged, measured},
};
use parts::MODULE;

fn scale(config: &str) -> Harness {
    Harness::new(&MODULE, "test.scale", config).unwrap()
}

fn ones(shape: &[i64]) -> Input {
    let elements = usize::try_from(shape.iter().product::<i64>()).unwrap();
    Input::new("x", shape, &vec![1.0_f32; elements])
}

#[test]
fn a_predictor_answers_for_any_shape() {
    let scale = scale(r#"{"factor": 3}"#);
    for shape in [&[][..], &[4], &[2, 3], &[0, 3], &[1, 2, 3, 4, 5, 6, 1, 1]] {
        let answer = scale.run(&[ones(shape)]).unwrap();
        assert_eq!(answer.output("y").shape, shape);
        assert!(answer.values::<f32>("y").iter().all(|&y| y.to_bits() == 3.0_f32.to_bits()), "{shape:?}");
    }
}

#[test]
fn steps_of_any_kind_are_read_in_order() {
    let scale = scale("{}");
    let data: Vec<f32> = (0..6_u8).map(f32::from).collect();
    // A transposed matrix: the second dimension is the inner one of the memory.
    let transposed = Input::strided("x", &[3, 2], &[1, 3], &data);
    assert_eq!(scale.run(&[transposed]).unwrap().values::<f32>("y"), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
}

#[test]
fn errors_say_what_is_wrong_and_with_which_status() {
    let scale = scale("{}");
    let error = scale.run(&[Input::new("z", &[1], &[1.0_f32])]).err().unwrap();
    assert_eq!(error, Error::invalid("there is no input `x`; there is z"));
    let error = scale.run(&[Input::new("x", &[1], &[1.0_f64])]).err().unwrap();
    assert_eq!(error, Error::invalid("input `x`: its elements are float64, expected float32"));
    let error = scale.run(&[Input::strings("x", &[1], &["a"])]).err().unwrap();
    assert!(error.message().contains("its elements are strings"), "{error}");

    let error = Harness::new(&MODULE, "test.scale", r#"{"factor": "two"}"#).err().unwrap();
    assert_eq!(error.status(), Status::Invalid);
    assert!(
        error.message().contains("configuration: invalid type: string \"two\"") && error.message().contains("line 1")
    );
    let error = Harness::new(&MODULE, "test.none", "{}").err().unwrap();
    assert!(error.message().contains("there is test.scale, test.center"), "{error}");
}

#[test]
fn a_panic_becomes_a_status_and_the_next_call_is_answered() {
    let odd = Harness::new(&MODULE, "test.odd", "{}").unwrap();
    let ask = |what: &str| odd.run(&[Input::strings("do", &[1], &[what])]);
    let error = ask("panic").err().unwrap();
    assert_eq!((error.status(), error.message()), (Status::Panic, "it panicked: on purpose: 7"));
    let error = ask("panic with a payload that panics").err().unwrap();
    assert_eq!((error.status(), error.message()), (Status::Panic, "it panicked"));
    assert_eq!(ask("strings").unwrap().output("s").strings, [b"one".to_vec(), vec![], b"\xff".to_vec()]);
}

#[test]
fn the_same_output_is_not_given_twice() {
    let odd = Harness::new(&MODULE, "test.odd", "{}").unwrap();
    let error = odd.run(&[Input::strings("do", &[1], &["twice"])]).err().unwrap();
    assert!(error.message().contains("the host refused the output `y`"), "{error}");
}

#[test]
fn cancellation_and_deadline_are_seen() {
    let odd = Harness::new(&MODULE, "test.odd", "{}").unwrap();
    let (waits, cancel) = ([Input::strings("do", &[1], &["wait"])], AtomicU32::new(1));
    let status = |setup: &Setup<'_>| odd.run_with(setup, &waits).err().unwrap().status();
    assert_eq!(status(&Setup { cancel: Some(&cancel), ..Setup::default() }), Status::Cancelled);
    assert_eq!(status(&Setup { deadline_ns: 1, ..Setup::default() }), Status::Deadline);

    let cancel = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| cancel.store(1, Ordering::Relaxed));
        assert_eq!(status(&Setup { cancel: Some(&cancel), ..Setup::default() }), Status::Cancelled);
    });
}

#[test]
fn parameters_lines_numbers_and_progress_arrive() {
    let odd = Harness::new(&MODULE, "test.odd", "{}").unwrap();
    let setup = Setup { params_json: r#"{"top": 3}"#, deadline_ns: now_ns() + 1_000_000_000_000, ..Setup::default() };
    let answer = odd.run_with(&setup, &[Input::strings("do", &[1], &["talk"])]).unwrap();
    assert_eq!(answer.values::<i64>("top"), [3]);
    assert_eq!(answer.progress, [(0.5, "half".to_owned())]);
    assert_eq!(answer.artifacts, [("a".to_owned(), b"onetwo".to_vec())]);
    let lines = logged();
    assert_eq!((lines[0].level, lines[0].message.as_str()), (Level::Warn, "hello from test"));
    let numbers = measured();
    assert_eq!((numbers[0].metric, numbers[0].name.as_str()), (Metric::Counter, "rows"));
    assert!((numbers[0].value - 2.0).abs() < f64::EPSILON && numbers[0].labels_json == "{}");
}

#[test]
fn an_explainer_calls_the_model() {
    let explainer = Harness::new(&MODULE, "test.occlusion", "{}").unwrap();
    let x = [Input::new("x", &[1, 3], &[1.0_f32, 2.0, 3.0])];
    let error = explainer.run(&x).err().unwrap();
    assert_eq!(error.status(), Status::Unsupported);

    let model = |inputs: &candor_plugin_sdk::Inputs<'_>| {
        let x = inputs.need("x")?.slice::<f32>()?;
        Ok(vec![Output::new("y", &[1], &[2.0 * x[0] - x[1] + 0.5 * x[2]])])
    };
    let setup = Setup { model: Some(&model), ..Setup::default() };
    let answer = explainer.run_with(&setup, &x).unwrap();
    assert_eq!(answer.values::<f32>("attributions"), [2.0, -2.0, 1.5]);
    assert_eq!(answer.values::<f32>("base"), [0.0]);

    let failing = |_: &candor_plugin_sdk::Inputs<'_>| Err(Error::invalid("it does not like this"));
    let error = explainer.run_with(&Setup { model: Some(&failing), ..Setup::default() }, &x).err().unwrap();
    assert_eq!(error, Error::invalid("the model: it does not like this"));
    let error = explainer.run(&[Input::new("z", &[1], &[1.0_f32])]).err().unwrap();
    assert!(error.message().contains("no input `x`"), "{error}");
}

#[test]
fn a_detector_is_fitted_judges_and_keeps_its_state() {
    let mut detector = Harness::new(&MODULE, "test.mean", "{}").unwrap();
    let rows = |values: &[f64]| vec![Input::new("x", &[i64::try_from(values.len()).unwrap()], values)];
    assert_eq!(detector.run(&rows(&[1.0])).err().unwrap().status(), Status::Invalid);
    detector.fit(&[&rows(&[1.0, 2.0]), &rows(&[3.0])]).unwrap();
    assert_eq!(detector.run(&rows(&[5.0, 5.0])).unwrap().values::<f64>("statistic"), [3.0]);

    let mut other = Harness::new(&MODULE, "test.mean", "{}").unwrap();
    other.load(&detector.save().unwrap()).unwrap();
    assert_eq!(other.run(&rows(&[4.0])).unwrap().values::<f64>("statistic"), [2.0]);
    assert_eq!(other.load(b"no state").err().unwrap().status(), Status::Invalid);
    assert_eq!(scale("{}").save().err().unwrap().status(), Status::Unsupported);
}

#[test]
fn the_other_kinds_reach_their_traits() {
    let one = || Input::new("x", &[2], &[1.0_f32, 2.0]);
    let run = |id: &str, inputs: &[Input]| Harness::new(&MODULE, id, "{}").unwrap().run(inputs).unwrap();
    assert_eq!(run("test.center", &[one()]).values::<f32>("x"), [-0.5, 0.5]);
    let answers = [Input::new("y_0", &[2], &[1.0_f32, 0.0]), Input::new("y_1", &[2], &[0.0_f32, 0.5])];
    assert_eq!(run("test.vote", &answers).values::<f32>("y"), [0.5, 0.25]);
    assert_eq!(run("test.twice", &[one()]).values::<f32>("x"), [1.0, 2.0, 1.0, 2.0]);

    let mut selector = Harness::new(&MODULE, "test.first", "{}").unwrap();
    let wide = || [Input::new("x", &[2, 2], &[1.0_f32, 2.0, 3.0, 4.0])];
    selector.fit(&[&wide()]).unwrap();
    assert_eq!(selector.run(&wide()).unwrap().values::<f32>("x"), [1.0, 3.0]);

    let mut trainer = Harness::new(&MODULE, "test.trainer", "{}").unwrap();
    let trained = trainer.fit(&[&[one()], &[one()]]).unwrap();
    assert_eq!(trained.artifacts, [("model.onnx".to_owned(), b"4 rows".to_vec())]);
    assert_eq!(trainer.run(&[one()]).err().unwrap().status(), Status::Unsupported);
}

#[test]
fn a_router_chooses_within_its_arms() {
    let router = Harness::new(&MODULE, "test.sticky", "{}").unwrap();
    let arms = [("a", 1.0), ("b", 1.0)];
    assert_eq!((router.choose(&arms, 4), router.choose(&arms, 5)), (Ok(0), Ok(1)));
    assert_eq!(router.choose(&[], 4), Err(Status::Unavailable));
    // 999 makes it choose an arm that is not there, 1000 makes it panic.
    assert_eq!(router.choose(&arms, 999), Err(Status::Internal));
    assert_eq!(router.choose(&arms, 1000), Err(Status::Panic));
}

/// An older host's tables end earlier, and what lies behind is not touched: whatever is missing is a status.
#[test]
fn tables_of_older_hosts_are_read_no_further_than_they_go() {
    let odd = Harness::new(&MODULE, "test.odd", "{}").unwrap();
    let words = ["talk", "wait", "strings", "twice", "panic"];
    let cancel = AtomicU32::new(1);
    for bytes in (0..=64).step_by(8).chain([4]) {
        for word in words {
            if word == "wait" && bytes < 24 {
                // Without a flag nobody would tell it to stop.
                continue;
            }
            let setup = Setup { call_bytes: Some(bytes), cancel: Some(&cancel), ..Setup::default() };
            let ended = odd.run_with(&setup, &[Input::strings("do", &[1], &[word])]);
            assert!(bytes >= 16 || ended.is_err(), "{word} worked without functions");
        }
    }
    for bytes in (0..=48).step_by(8) {
        for word in words.into_iter().filter(|word| *word != "wait") {
            let setup = Setup { fns_bytes: Some(bytes), ..Setup::default() };
            let _ = odd.run_with(&setup, &[Input::strings("do", &[1], &[word])]);
        }
    }
    let scale = scale("{}");
    let none = scale.run_with(&Setup { fns_bytes: Some(8), ..Setup::default() }, &[ones(&[1])]).err().unwrap();
    assert_eq!(none.status(), Status::Unsupported);
    assert!(scale.run_with(&Setup { fns_bytes: Some(16), ..Setup::default() }, &[ones(&[1])]).is_ok());
}

/// A newer host's tables go on; a plugin does not look.
#[test]
fn tables_of_newer_hosts_may_be_larger() {
    let setup = Setup { call_bytes: Some(4096), fns_bytes: Some(4096), ..Setup::default() };
    assert_eq!(scale("{}").run_with(&setup, &[ones(&[1])]).unwrap().values::<f32>("y"), [1.0]);
}

#[test]
fn the_module_says_what_it_is() {
    assert_eq!((MODULE.magic, MODULE.abi_major, MODULE.abi_min_minor), (abi::MAGIC, abi::ABI_MAJOR, 1));
    assert_eq!(MODULE.struct_size as usize, size_of::<abi::Module>());
    // SAFETY: static text that ends with NUL.
    let info = unsafe { CStr::from_ptr(MODULE.build_info) }.to_str().unwrap();
    let info: serde_json::Value = serde_json::from_str(info).unwrap();
    assert_eq!((&info["language"], &info["panic"]), (&"rust".into(), &"unwind".into()));

    let scale = scale("{}");
    assert_eq!(
        scale.component().flags,
        abi::COMPONENT_CONCURRENT | abi::COMPONENT_DETERMINISTIC | abi::COMPONENT_INLINE
    );
    assert!(scale.interface(c"x.nobody.knows/0").is_null() && scale.interface(abi::FIT_V1).is_null());
    assert_eq!(scale.interface(abi::RUN_V1), scale.interface(abi::RUN_V1));
    let described = scale.describe().unwrap();
    let port = |name: &str| vec![Port::new(name, "FP32", &[-1])];
    assert_eq!(described, Description { inputs: port("x"), outputs: port("y") });
}

#[test]
fn one_instance_is_shared_by_threads() {
    let scale = scale(r#"{"factor": 2}"#);
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let scale = &scale;
            scope.spawn(move || {
                for round in 0..200_u8 {
                    let x = f32::from(thread) * 1000.0 + f32::from(round);
                    let answer = scale.run(&[Input::new("x", &[1], &[x])]).unwrap();
                    assert_eq!(answer.values::<f32>("y"), [x * 2.0]);
                }
            });
        }
    });
}
