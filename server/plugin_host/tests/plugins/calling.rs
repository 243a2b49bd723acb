//! Calls through the interface: a plugin that does odd things, and the examples in C and in Rust.

use std::{
    sync::{Arc, atomic::Ordering},
    thread,
};

use candor_domain::{
    error::{Error, ErrorCode, Result},
    tensor::{Tensor, TensorData},
};
use candor_plugin_host::{AllowList, CallContext, CallLimits, LentModel, Live, LogLevel, Plugin, Reason, Values};

use super::support::{Bench, c_example, floats, library, panicking, pin, rust_example};

fn odd(bench: &Bench, flags: &[&str]) -> Arc<Live> {
    let folder = bench.odd(flags);
    let plugin = bench.trusting(&[(&folder, "odd")]).load(&folder).unwrap();
    plugin.open("test.odd", "{}").unwrap()
}

/// Asks the odd plugin for something, by the name of its input.
fn ask(live: &Live, call: &mut CallContext, what: &str) -> Result<Vec<(String, Tensor)>> {
    live.healthy().unwrap().infer(call, &[(what, &floats(&[1], &[0.0]))])
}

#[test]
fn what_a_plugin_asks_is_checked_and_the_next_call_is_answered() {
    let bench = Bench::new();
    let live = odd(&bench, &[]);
    let limits = CallLimits { output_bytes_max: 1 << 20, outputs_max: 8, ..CallLimits::default() };
    let mut call = CallContext::new(limits);
    let cases = [
        ("silent", ErrorCode::InvalidInput, "failed (invalid) and did not say why"),
        ("unknown status", ErrorCode::EngineFailed, "failed (internal)"),
        ("huge", ErrorCode::InvalidInput, "its shape [1099511627776, 1099511627776] cannot be"),
        ("large", ErrorCode::Overloaded, "outputs may have 1048576 bytes"),
        ("negative", ErrorCode::InvalidInput, "its shape [-1] cannot be"),
        ("rank", ErrorCode::InvalidInput, "9 dimensions cannot be"),
        ("no shape", ErrorCode::InvalidInput, "1 dimensions cannot be"),
        ("type", ErrorCode::Unsupported, "no output has elements of"),
        ("no place", ErrorCode::InvalidInput, "did not say why"),
        ("name", ErrorCode::InvalidInput, "no UTF-8"),
        ("twice", ErrorCode::InvalidInput, "output `y` was asked before"),
        ("many", ErrorCode::Overloaded, "there may be 8 outputs"),
        ("bool", ErrorCode::EngineFailed, "a boolean is 7"),
    ];
    for (what, code, says) in cases {
        let error = ask(&live, &mut call, what).unwrap_err();
        assert!(error.code() == code && error.to_string().contains(says), "{what}: {error}");
        assert_eq!(ask(&live, &mut call, "x").unwrap(), [("y".to_owned(), floats(&[1], &[1.0]))]);
    }
    assert_eq!(ask(&live, &mut call, "ignores refusals").unwrap(), []);
    let strings = ask(&live, &mut call, "strings").unwrap();
    assert_eq!(strings[0].1.data(), &TensorData::Bytes(["one", ""].iter().collect()));
    ask(&live, &mut call, "artifact").unwrap();
    assert_eq!(call.take_artifacts(), [("a".to_owned(), b"onetwo".to_vec())]);
    assert!((call.progress() - 0.25).abs() < f64::EPSILON);
}

#[test]
fn an_instance_that_panicked_is_made_anew() {
    let bench = Bench::new();
    let live = odd(&bench, &[]);
    let mut call = CallContext::new(CallLimits::default());
    let first = Arc::clone(&live.instance());
    let error = ask(&live, &mut call, "panic").unwrap_err();
    assert!(error.code() == ErrorCode::EngineFailed && error.to_string().contains("as if it panicked"), "{error}");
    assert!(first.is_poisoned());
    let error = first.run(&mut call, &Values::of([])).unwrap_err();
    assert!(error.to_string().contains("panicked before"), "{error}");
    assert!(ask(&live, &mut call, "x").is_ok());
    assert!(!bench.left("destroy"), "the first instance is still held");
    drop(first);
    assert!(bench.left("destroy"));
}

#[test]
fn a_call_is_cancelled_from_another_thread() {
    let bench = Bench::new();
    let live = odd(&bench, &[]);
    let mut call = CallContext::new(CallLimits::default());
    let flag = call.cancel_flag();
    let error = thread::scope(|scope| {
        scope.spawn(|| flag.store(1, Ordering::Relaxed));
        ask(&live, &mut call, "wait").unwrap_err()
    });
    assert_eq!(error.code(), ErrorCode::Cancelled);
}

#[test]
fn only_components_that_say_so_are_called_by_several_threads() {
    let bench = Bench::new();
    let live = odd(&bench, &["-DCOMPONENT_FLAGS=0"]);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut call = CallContext::new(CallLimits::default());
                for _ in 0..200 {
                    ask(&live, &mut call, "overlap").unwrap();
                }
            });
        }
    });
}

#[test]
fn the_example_in_c_scales() {
    let bench = Bench::new();
    let folder = c_example(&bench);
    let plugin = bench.trusting(&[(&folder, "c_scale")]).load(&folder).unwrap();
    let live = plugin.open("example.c_scale", r#"{"factor": 2.5}"#).unwrap();
    let mut call = CallContext::new(CallLimits::default());
    let x = floats(&[2, 2], &[1.0, 2.0, -4.0, 0.0]);
    let answer = live.instance().infer(&mut call, &[("x", &x)]).unwrap();
    assert_eq!(answer, [("y".to_owned(), floats(&[2, 2], &[2.5, 5.0, -10.0, 0.0]))]);
    for shape in [&[0][..], &[0, 4], &[4, 0], &[2, 0, 3]] {
        let nothing = floats(shape, &[]);
        let answer = live.instance().infer(&mut call, &[("x", &nothing)]).unwrap();
        assert_eq!(answer, [("y".to_owned(), nothing)], "{shape:?}");
    }
    let error = live.instance().infer(&mut call, &[]).unwrap_err();
    assert_eq!(error.to_string(), "plugin component example.c_scale: expected one input");

    let refusal = plugin.open("example.c_scale", r#"{"factor": "two"}"#).err().unwrap();
    assert!(refusal.reason() == Reason::Failed && refusal.to_string().contains("at `/factor`"), "{refusal}");
    let refusal = plugin.open("example.c_scale", r#"{"faktor": 2}"#).err().unwrap();
    assert!(refusal.to_string().contains("faktor"), "{refusal}");
}

struct Linear;

impl LentModel for Linear {
    fn predict(&self, model: &str, inputs: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>> {
        if let TensorData::Fp32(x) = inputs[0].1.data() {
            assert_eq!(model, "");
            if x[0] > 99.0 {
                return Err(Error::new(ErrorCode::NotReady, "not now"));
            }
            return Ok(vec![("y".to_owned(), floats(&[1], &[2.0 * x[0] - x[1] + 0.5 * x[2]]))]);
        }
        Err(Error::invalid("no floats"))
    }
}

/// A library has a standard library of its own, and this program's panic hook never hears of its panics.
#[test]
fn a_panic_in_a_library_becomes_a_status_and_a_line_in_the_log() {
    let bench = Bench::new();
    let folder = panicking(&bench);
    let allow = vec![pin(&library(&folder, "panicking"), "panicking")];
    let plugin = bench.host(AllowList { dev: false, allow }).load(&folder).unwrap();
    let live = plugin.open("test.panicking", "{}").unwrap();
    let mut call = CallContext::new(CallLimits::default());
    for round in 0..3 {
        let error = live.healthy().unwrap().infer(&mut call, &[]).unwrap_err();
        assert!(error.to_string().contains("it panicked: there were 0 inputs"), "{error}");
        let line = "there were 0 inputs";
        let lines = bench.heard.lines.lock().unwrap();
        let told = lines
            .iter()
            .filter(|(level, text)| *level == LogLevel::Error && text.contains("panicking.rs:") && text.ends_with(line))
            .count();
        assert_eq!(told, round + 1, "{lines:?}");
        drop(lines);
        assert!(live.healthy().unwrap().infer(&mut call, &[("x", &floats(&[1], &[1.0]))]).is_ok());
    }
}

/// The library, and the same module compiled in, answer alike.
#[test]
fn the_example_in_rust_answers_from_a_library_as_when_compiled_in() {
    let bench = Bench::new();
    let folder = rust_example(&bench);
    let pin = pin(&library(&folder, "candor_example_center_plugin"), "center");
    let host = bench.host(AllowList { dev: false, allow: vec![pin] });
    let loaded = host.load(&folder).unwrap();
    let compiled = host.compiled_in("center-compiled", "0.1.0", &candor_example_center::MODULE).unwrap();
    let infos =
        |plugin: &Plugin| plugin.current().module.components.iter().map(|one| one.info.clone()).collect::<Vec<_>>();
    assert_eq!(infos(&loaded), infos(&compiled));

    let mut call = CallContext::new(CallLimits::default());
    for plugin in [&loaded, &compiled] {
        let center = plugin.open("example.center", r#"{"mean": [1, 2]}"#).unwrap();
        let x = floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
        let answer = center.instance().infer(&mut call, &[("x", &x)]).unwrap();
        assert_eq!(answer, [("x".to_owned(), floats(&[2, 2], &[0.0, 0.0, 2.0, 2.0]))]);
        let error = center.instance().infer(&mut call, &[("z", &x)]).unwrap_err();
        assert!(error.to_string().contains("there is no input `x`; there is z"), "{error}");
        let json = center.instance().describe(&mut call).unwrap().unwrap();
        assert!(String::from_utf8(json).unwrap().contains(r#""shape":[-1,2]"#));
        let refusal = plugin.open("example.center", "{}").err().unwrap();
        assert!(refusal.to_string().contains("\"mean\" is a required property"), "{refusal}");

        let occlusion = plugin.open("example.occlusion", "{}").unwrap();
        let explain = |call: &mut CallContext, x: &[f32]| {
            let x = floats(&[1, 3], x);
            call.with_model(&Linear, |call| occlusion.instance().infer(call, &[("x", &x)]))
        };
        let answer = explain(&mut call, &[1.0, 2.0, 3.0]).unwrap();
        assert_eq!(answer[0], ("attributions".to_owned(), floats(&[1, 3], &[2.0, -2.0, 1.5])));
        assert_eq!(answer[1], ("base".to_owned(), floats(&[1], &[0.0])));
        let error = explain(&mut call, &[100.0, 0.0, 0.0]).unwrap_err();
        assert!(error.code() == ErrorCode::NotReady && error.to_string().contains("the model: not now"), "{error}");
        let x = floats(&[1, 3], &[1.0, 2.0, 3.0]);
        let error = occlusion.instance().infer(&mut call, &[("x", &x)]).unwrap_err();
        assert!(error.code() == ErrorCode::Unsupported && error.to_string().contains("no model is lent"), "{error}");
    }
    let lines = bench.heard.lines.lock().unwrap();
    assert!(lines.iter().all(|(level, _)| *level != LogLevel::Error), "{lines:?}");
}
