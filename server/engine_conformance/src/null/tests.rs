//! The null engine does what its files say, and its hooks see it.

use std::{path::Path, sync::Arc, thread};

use super::*;

const ECHO: &str = r#"
key = "echo"
[[inputs]]
name = "x"
datatype = "FP32"
dims = ["rows", -1]
[[inputs]]
name = "s"
datatype = "BYTES"
dims = ["words"]
[[outputs]]
name = "same"
datatype = "FP32"
dims = ["rows", -1]
echo = "x"
[[outputs]]
name = "half"
datatype = "FP64"
dims = ["rows", 3]
constant = 0.5
[[outputs]]
name = "words"
datatype = "BYTES"
dims = ["words"]
constant = "a"
[[outputs]]
name = "zero"
datatype = "BF16"
dims = []
"#;

fn load(engine: &NullEngine, text: &str) -> Result<LoadedModel> {
    engine.load(ModelSource { bytes: text.as_bytes(), folder: Path::new(".") })
}

fn tensor(dims: &[i64], data: TensorData) -> Tensor {
    Tensor::new(Shape::new(dims).unwrap(), data).unwrap()
}

fn inputs() -> Vec<Tensor> {
    let words = TensorData::Bytes(["p", "q", "r"].into_iter().collect());
    vec![tensor(&[2, 1], TensorData::Fp32(vec![13.0, 2.0])), tensor(&[3], words)]
}

#[test]
fn outputs_are_echoes_constants_and_zeros_of_the_declared_shape() {
    let loaded = load(&NullEngine::new(), ECHO).unwrap();
    assert_eq!(loaded.signature.check(&inputs(), candor_domain::RequestRules::default()).unwrap(), 2);
    let outputs = loaded.session.run(&inputs(), &[3, 2, 1, 0], None).unwrap();
    assert_eq!(outputs[0], tensor(&[], TensorData::Bf16(vec![0])));
    assert_eq!(outputs[1], tensor(&[3], TensorData::Bytes(["a"; 3].into_iter().collect())));
    assert_eq!(outputs[2], tensor(&[2, 3], TensorData::Fp64(vec![0.5; 6])));
    assert_eq!(outputs[3], inputs()[0]);
    assert_eq!(loaded.session.run(&inputs(), &[4], None).unwrap_err().code(), ErrorCode::Internal);
}

#[test]
fn files_order_failures_and_a_trigger_limits_them_to_one_value() {
    let engine = NullEngine::new();
    let refused = load(&engine, &format!("fail_load = \"no luck\"\n{ECHO}")).err().unwrap();
    assert_eq!((refused.code(), refused.what()), (ErrorCode::InvalidModel, "no luck"));
    let failing = load(&engine, &format!("fail_run = \"worn out\"\ntrigger = 13.0\n{ECHO}")).unwrap();
    let error = failing.session.run(&inputs(), &[0], None).unwrap_err();
    assert_eq!((error.code(), error.what()), (ErrorCode::EngineFailed, "worn out"));
    let calm = vec![tensor(&[1, 1], TensorData::Fp32(vec![1.0])), inputs()[1].clone()];
    assert!(failing.session.run(&calm, &[0], None).is_ok());
    let loud = load(&engine, &format!("panic_run = true\n{ECHO}")).unwrap();
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| loud.session.run(&calm, &[0], None))).is_err());
    let early = format!("panic_load = true\n{ECHO}");
    assert!(std::panic::catch_unwind(|| load(&NullEngine::new(), &early).is_ok()).is_err());
}

#[test]
fn files_tell_engines_apart_by_their_names() {
    let [a, b] = ["a", "b"].map(|name| NullEngine::new().named(name, "2"));
    assert_eq!((a.info().name, a.info().version.as_str()), ("a", "2"));
    let text = format!("not_for = [\"a\"]\nlies = [\"b\"]\n{ECHO}");
    let refused = load(&a, &text).err().unwrap();
    assert_eq!((refused.code(), refused.what()), (ErrorCode::Unsupported, "'echo' is not for this engine"));
    let outputs = load(&b, &text).unwrap().session.run(&inputs(), &[1, 2], None).unwrap();
    assert_eq!(outputs[0].data(), &TensorData::Fp64(vec![1.5, 0.5, 0.5, 0.5, 0.5, 0.5]));
    assert_eq!(outputs[1].data(), &TensorData::Bytes(["a"; 3].into_iter().collect()), "no number");
}

#[test]
fn files_that_make_no_sense_are_refused() {
    let engine = NullEngine::new();
    for wrong in [
        ECHO.replace("echo = \"x\"", "echo = \"s\""),
        ECHO.replace("echo = \"x\"", "echo = \"x\"\nconstant = 1"),
        ECHO.replace("\"FP64\"", "\"FP65\""),
        ECHO.replace("constant = 0.5", "constant = \"half\""),
        ECHO.replace("constant = 0.5", "konstant = 0.5"),
        ECHO.replace("[\"words\"]", "[-2]"),
        "\u{0}".to_owned(),
    ] {
        assert_eq!(load(&engine, &wrong).err().map(|error| error.code()), Some(ErrorCode::InvalidModel), "{wrong}");
    }
    assert!(engine.load(ModelSource { bytes: &[0xFF], folder: Path::new(".") }).is_err());
}

#[test]
fn hooks_count_sessions_and_runs_and_a_gate_holds_until_opened_or_cancelled() {
    let hooks = Hooks::default();
    let engine = NullEngine::with_hooks(hooks.clone());
    let session: Arc<dyn Session> = load(&engine, ECHO).unwrap().session.into();
    assert_eq!((hooks.live(), hooks.live_of("echo"), hooks.loads("echo"), hooks.live_of("x")), (1, 1, 1, 0));
    let gate = hooks.hold_runs("echo");
    let cancel = Arc::new(Cancel::default());
    let start = |cancel: Option<Arc<Cancel>>| {
        let session = Arc::clone(&session);
        thread::spawn(move || session.run(&inputs(), &[0], cancel.as_deref()).map(|_| ()))
    };
    let (given_up, patient) = (start(Some(Arc::clone(&cancel))), start(None));
    assert!(gate.wait_for(2));
    cancel.cancel();
    assert_eq!(given_up.join().unwrap().unwrap_err().code(), ErrorCode::Cancelled);
    assert!(!patient.is_finished());
    gate.open();
    assert!(patient.join().unwrap().is_ok());
    assert_eq!((hooks.runs("echo"), gate.arrived()), (2, 2));
    drop(session);
    assert!(hooks.wait_for_live(0));
}
