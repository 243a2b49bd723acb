//! Runs of several parts.

use std::time::Duration;

use candor_domain::ErrorCode;

use super::{
    ECHO, ENCODER, SENTENCES, World,
    fake::{address, fp32, longs, texts},
};

#[test]
fn text_goes_in_and_what_the_stages_make_of_it_comes_out() {
    let world = World::sentences();
    assert_eq!(world.letters(&["to be or not", "hello"]), [9, 5]);
    let lease = world.lease("m");
    let names =
        |specs: &[candor_domain::TensorSpec]| specs.iter().map(|spec| spec.name.to_string()).collect::<Vec<_>>();
    assert_eq!(
        (names(&lease.signature.inputs), names(&lease.signature.outputs)),
        (vec!["sentence".to_owned()], vec!["letters".to_owned()])
    );
    assert_eq!(lease.signature.inputs[0].datatype, candor_domain::Datatype::Bytes);
    assert!(lease.signature.is_batched());
    assert_eq!(lease.parts.line(), "words (t.words, test 1.0.0) → engine → pooling (t.pool, test 1.0.0)");
    assert_eq!(crate::oip::describe::properties(&lease)["stages"], lease.parts.line());
}

#[test]
fn each_part_is_timed_and_counted_and_named_in_the_answer() {
    let world = World::sentences();
    let reply = world.infer("m", vec![texts(&["a b"])]).unwrap();
    assert_eq!(reply.stages, ["words", "engine", "pooling"]);
    world.infer("m", vec![texts(&["a  b"])]).unwrap_err();
    let parts = world.pipeline.registry().views()[0].totals.parts.clone();
    let counts: Vec<_> = parts.iter().map(|part| (&*part.name, part.times.count(), part.failures)).collect();
    assert_eq!(counts, [("engine", 1, 0), ("pooling", 1, 0), ("words", 1, 1)]);
    // Counters outlive the version.
    world.write("m/1/another.txt", "x");
    world.load("m").unwrap();
    assert_eq!(world.pipeline.registry().views()[0].totals.parts, parts);
}

#[test]
fn a_model_that_is_a_graph_has_no_parts() {
    let world = World::new();
    world.put("m", "", Some(ECHO)).unwrap();
    let reply = world.infer("m", vec![fp32(&[1, 1], vec![2.0])]).unwrap();
    assert!(reply.stages.is_empty() && world.lease("m").parts.is_empty());
    assert!(world.pipeline.registry().views()[0].totals.parts.is_empty());
}

#[test]
fn an_error_says_which_stage_and_whose_fault_it_is() {
    let world = World::sentences();
    let error = world.infer("m", vec![texts(&["a  b"])]).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidInput);
    assert_eq!(error.to_string(), "stage 1 'words': text: a text has an empty word");
    let stage = |component: &str, at: &str, config: &str| {
        format!(
            "[[stage]]\nname = \"s\"\ncomponent = \"{component}\"\nat = \"{at}\"\nconfig = {config}\n{}",
            if at == "before" { "outputs = { y = \"x\" }" } else { "inputs = { x = \"y\" }" }
        )
    };
    let ask = |manifest: &str| {
        world.put("f", manifest, Some(ECHO)).unwrap();
        let error = world.infer("f", vec![fp32(&[1, 1], vec![2.0])]).unwrap_err();
        (error.code(), error.to_string())
    };
    let fails = |code: &str, at: &str| ask(&stage("t.fails", at, &format!("{{ code = \"{code}\" }}")));
    assert_eq!(fails("invalid", "before"), (ErrorCode::InvalidInput, "stage 1 's': it did not work".to_owned()));
    assert_eq!(fails("invalid", "after").0, ErrorCode::EngineFailed, "a caller sends nothing to a stage after");
    assert_eq!(fails("not_ready", "before").0, ErrorCode::NotReady);
    assert_eq!(fails("other", "after").0, ErrorCode::EngineFailed);
    let (code, text) = fails("panic", "before");
    assert!(code == ErrorCode::EngineFailed && text.starts_with("stage 1 's': the inference panicked"), "{text}");
    let lies = |how: &str| ask(&stage("t.lies", "before", &format!("{{ how = \"{how}\" }}")));
    for (how, what) in [
        ("rows", "stage 1 's': its output 'y' has another number of rows; expected 1, got 7"),
        ("rank", "stage 1 's': its output 'y' is not what it said; expected FP32 [?, ?], got FP32 [1]"),
        ("datatype", "stage 1 's': its output 'y' is not what it said; expected FP32 [?, ?], got INT64 [1, 1]"),
        ("nothing", "stage 1 's': it gave no output 'y'"),
    ] {
        assert_eq!(lies(how), (ErrorCode::EngineFailed, what.to_owned()));
    }
}

#[test]
fn what_stages_make_is_checked_before_the_engine_sees_it() {
    let world = World::new();
    world.put("m", "[[stage]]\ncomponent = \"t.scale\"\noutputs = { y = \"x\" }", Some(ECHO)).unwrap();
    let error = world.infer("m", vec![fp32(&[1, 2], vec![1.0, 2.0])]).unwrap_err();
    assert_eq!(error.code(), ErrorCode::EngineFailed);
    let wanted =
        "what the engine is given does not fit it: input 'x' has the wrong shape; expected [rows, 1], got [1, 2]";
    assert_eq!(error.to_string(), wanted);
}

#[test]
fn tensors_are_moved_and_what_the_caller_sent_is_put_back() {
    let world = World::new();
    let manifest = "[[stage]]\ncomponent = \"t.scale\"\nat = \"after\"\nconfig = { factor = 3.0 }\ninputs = { x = \"y\" }\noutputs = { y = \"z\" }";
    world.put("m", manifest, Some(ECHO)).unwrap();
    let lease = world.lease("m");
    let (mut inputs, clock) = (vec![fp32(&[1, 1], vec![2.0])], &*world.clock);
    let before = address(&inputs[0]);
    let mut run = candor_domain::Run::new(clock, None, None);
    let outputs = lease.session().run_as(&mut inputs, &[0], &mut run).unwrap();
    assert_eq!(super::fake::floats(&outputs[0]), [6.0]);
    assert_eq!((address(&inputs[0]), run.laps.len()), (before, 2));
    let seen = world.fake.seen.lock().unwrap();
    assert_eq!(seen.last(), Some(&address(&outputs[0])), "what the stage gave is the answer itself");
}

#[test]
fn outputs_that_nobody_asked_for_and_twice_the_same_are_no_trouble() {
    let world = World::sentences();
    let lease = world.lease("m");
    let inputs = [texts(&["one two"])];
    assert!(lease.session().run(&inputs, &[], None).unwrap().is_empty());
    let twice = lease.session().run(&inputs, &[0, 0], None).unwrap();
    assert_eq!((longs(&twice[0]), longs(&twice[1])), (vec![6], vec![6]));
}

#[test]
fn a_stage_that_does_not_promise_to_be_quick_runs_on_the_pool() {
    let thread = |component: &str| {
        let world = World::new();
        let one = |name: &str| format!("[{{ name = \"{name}\", datatype = \"FP32\", shape = [-1, 1] }}]");
        let ports = format!("takes = {}\ngives = {}", one("x"), one("y"));
        let manifest = format!("[[stage]]\ncomponent = \"{component}\"\noutputs = {{ y = \"x\" }}\n{ports}");
        world.put("m", &manifest, Some(ECHO)).unwrap();
        let run = || world.infer("m", vec![fp32(&[1, 1], vec![2.0])]).unwrap().thread;
        run()
    };
    assert_eq!(thread("t.slow"), "pool");
    assert_ne!(thread("t.scale"), "pool");
}

#[test]
fn nobody_waits_for_the_parts_that_are_left() {
    let world = World::new();
    world
        .put(
            "m",
            "[[stage]]\ncomponent = \"t.cancels\"\noutputs = { y = \"x\" }\n[batching]\nenabled = false",
            Some(ECHO),
        )
        .unwrap();
    let lease = world.lease("m");
    let (cancel, mut inputs) = (candor_domain::Cancel::default(), [fp32(&[1, 1], vec![2.0])]);
    let mut run = candor_domain::Run::new(&*world.clock, Some(&cancel), None);
    let error = lease.session().run_as(&mut inputs, &[0], &mut run).unwrap_err();
    assert_eq!((error.code(), run.laps.len()), (ErrorCode::Cancelled, 1));
    let asked = super::Tensors { inputs: vec![fp32(&[1, 1], vec![2.0])], timeout: Some(Duration::from_secs(60)) };
    assert_eq!(world.ask("m", asked).unwrap_err().code(), ErrorCode::Cancelled);
}

#[test]
fn requests_run_together_where_that_is_the_same_as_alone() {
    let world = World::new();
    let golden = r#"{"tolerance": 1e-6, "cases": [{"name": "a", "inputs":
        [{"name": "sentence", "datatype": "BYTES", "shape": [2], "data": ["to be", "or not to be"]}],
        "outputs": [{"name": "letters", "datatype": "INT64", "shape": [2], "data": [4, 9]}]}]}"#;
    world.write("m/1/golden.json", golden);
    world.put("m", SENTENCES, Some(ENCODER)).unwrap();
    assert_eq!(world.lease("m").lane().plan().to_string(), "on");
    world.write("w/1/golden.json", &golden.replace("[4, 9]", "[4, 8]"));
    let error = world.put("w", SENTENCES, Some(ENCODER)).unwrap_err().to_string();
    assert!(error.contains("golden case 'a' failed: output 'letters' has 9 at element 1, wanted 8"), "{error}");
}
