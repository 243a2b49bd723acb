//! Sessions against the recorded answers of ONNX Runtime: sizes of all kinds, threads, cancellation, the sample
//! models; and what is refused.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail loudly too"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, mpsc::channel},
    thread,
    time::Duration,
};

use candor_domain::{
    Cancel, Dim, Engine as _, Error, ErrorCode, LoadedModel, ModelSource, Shape, Tensor, TensorData, TensorSpec,
};
use candor_engine_tract::TractEngine;
use serde_json::Value;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn load_file(path: &Path) -> Result<LoadedModel, Error> {
    let bytes = fs::read(path).unwrap();
    TractEngine::new().load(ModelSource { bytes: &bytes, folder: path.parent().unwrap() })
}

fn load(name: &str) -> LoadedModel {
    load_file(&fixtures().join(format!("{name}.onnx"))).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn tensor(written: &Value) -> Tensor {
    let dims: Vec<i64> = written["shape"].as_array().unwrap().iter().map(|dim| dim.as_i64().unwrap()).collect();
    let numbers = written["data"].as_array().unwrap();
    let data = match written["datatype"].as_str().unwrap() {
        "FP32" => TensorData::Fp32(numbers.iter().map(|number| number.as_f64().unwrap() as f32).collect()),
        "INT64" => TensorData::Int64(numbers.iter().map(|number| number.as_i64().unwrap()).collect()),
        "INT32" => TensorData::Int32(numbers.iter().map(|n| n.as_i64().unwrap().try_into().unwrap()).collect()),
        "BYTES" => TensorData::Bytes(numbers.iter().map(|text| text.as_str().unwrap()).collect()),
        other => panic!("{other}"),
    };
    Tensor::new(Shape::new(&dims).unwrap(), data).unwrap()
}

fn tensors(list: &Value) -> Vec<Tensor> {
    list.as_array().unwrap().iter().map(tensor).collect()
}

/// Equal, but for the last digits of floats.
fn assert_agree(got: &[Tensor], wanted: &[Tensor], what: &str) {
    assert_eq!(got.len(), wanted.len(), "{what}");
    for (got, wanted) in got.iter().zip(wanted) {
        assert_eq!((got.shape(), got.datatype()), (wanted.shape(), wanted.datatype()), "{what}");
        match (got.data(), wanted.data()) {
            (TensorData::Fp32(got), TensorData::Fp32(wanted)) => {
                let far = |(got, wanted): &(&f32, &f32)| (*got - *wanted).abs() > 1e-5 * wanted.abs().max(1.0);
                let far = got.iter().zip(wanted).find(far);
                assert!(far.is_none(), "{what}: {far:?}");
            }
            (got, wanted) => assert_eq!(got, wanted, "{what}"),
        }
    }
}

fn check(loaded: &LoadedModel, inputs: &[Tensor], wanted: &[Tensor], what: &str) {
    let positions: Vec<usize> = (0..wanted.len()).collect();
    let got = loaded.session.run(inputs, &positions, None).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_agree(&got, wanted, what);
}

/// Inputs and answers that are recorded for a fixture.
fn answers(name: &str) -> Vec<(Vec<Tensor>, Vec<Tensor>)> {
    let file = json(&fixtures().join("answers.json"));
    let answers = file["answers"].as_array().unwrap().iter().filter(|answer| answer["model"] == name);
    let answers: Vec<_> = answers.map(|answer| (tensors(&answer["inputs"]), tensors(&answer["outputs"]))).collect();
    assert!(!answers.is_empty(), "{name}");
    answers
}

#[test]
fn graphs_of_all_kinds_of_sizes_answer_as_onnx_runtime_does() {
    for name in ["dynamo", "transformer", "unnamed", "by_shape"] {
        let loaded = load(name);
        for (inputs, wanted) in answers(name) {
            check(&loaded, &inputs, &wanted, name);
        }
    }
}

fn dims(spec: &TensorSpec) -> Vec<Option<Value>> {
    let dim = |dim: &Dim| match dim {
        Dim::Fixed(size) => Some((*size).into()),
        Dim::Any(name) => name.as_deref().map(Into::into),
    };
    spec.dims.as_ref().unwrap().iter().map(dim).collect()
}

#[test]
fn outputs_are_told_as_onnx_runtime_tells_them() {
    let file = json(&fixtures().join("answers.json"));
    for name in ["transformer", "unnamed", "by_shape"] {
        let outputs = load(name).signature.outputs;
        for (spec, wanted) in outputs.iter().zip(file["outputs"][name].as_array().unwrap()) {
            assert_eq!(&*spec.name, wanted["name"].as_str().unwrap());
            let wanted = wanted["shape"].as_array().unwrap().iter().map(|dim| (!dim.is_null()).then(|| dim.clone()));
            assert_eq!(dims(spec), wanted.collect::<Vec<_>>(), "{name}");
        }
    }
    // Declared as [s0 + 1, 9]; the shapes that are declared within make ONNX Runtime expect six dimensions.
    let outputs = load("dynamo").signature.outputs;
    assert_eq!(dims(outputs.first().unwrap()), [Some("s0".into()), Some(2.into()), Some(3.into())]);
}

#[test]
fn ten_threads_with_shapes_of_their_own_get_answers_of_their_own() {
    for name in ["transformer", "by_shape"] {
        let (loaded, answers) = (load(name), answers(name));
        thread::scope(|scope| {
            for turn in 0..10 {
                let (loaded, answers) = (&loaded, &answers);
                // More shapes than plans that are kept, each thread beginning elsewhere.
                let work = move || {
                    for (inputs, wanted) in answers.iter().cycle().skip(turn).take(2 * answers.len()) {
                        check(loaded, inputs, wanted, name);
                    }
                };
                scope.spawn(work);
            }
        });
    }
}

#[test]
fn sample_models_without_classical_operators_give_their_golden_answers() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    for name in ["digits", "digits_rows", "simple", "simple_string", "simple_identity"] {
        let folder = models.join(name).join("1");
        let loaded = load_file(&folder.join("model.onnx")).unwrap_or_else(|error| panic!("{name}: {error}"));
        let golden = json(&folder.join("golden.json"));
        for case in golden["cases"].as_array().unwrap() {
            check(&loaded, &tensors(&case["inputs"]), &tensors(&case["outputs"]), name);
        }
    }
}

#[test]
fn classical_models_are_refused_by_the_name_of_their_operator_so_that_another_engine_is_asked() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    for (name, operator) in
        [("iris", "Scaler"), ("breast_cancer", "TreeEnsembleClassifier"), ("diabetes", "TreeEnsembleRegressor")]
    {
        let error = load_file(&models.join(name).join("1/model.onnx")).err().unwrap();
        assert_eq!(error.code(), ErrorCode::Unsupported, "{error}");
        assert!(error.what().contains(operator), "{error}");
    }
}

#[test]
fn a_run_is_cancelled_between_operators_and_the_session_goes_on() {
    const STILL_RUNS_AFTER: Duration = Duration::from_millis(50);
    const ENDS_WITHIN: Duration = Duration::from_secs(20);
    let session: Arc<dyn candor_domain::Session> = load("chain").session.into();
    let shape = Shape::new(&[1024, 1024]).unwrap();
    let zeros = Tensor::new(shape, TensorData::Fp32(vec![0.0; shape.elements()])).unwrap();
    let code = |outcome: Result<Vec<Tensor>, Error>| outcome.err().map(|error| error.code());

    let before = Cancel::default();
    before.cancel();
    assert_eq!(code(session.run(std::slice::from_ref(&zeros), &[0], Some(&before))), Some(ErrorCode::Cancelled));

    let cancel = Arc::new(Cancel::default());
    let (tell, ended) = channel();
    let (its_session, its_cancel, input) = (Arc::clone(&session), Arc::clone(&cancel), zeros);
    let runner = thread::spawn(move || tell.send(its_session.run(&[input], &[0], Some(&its_cancel))).unwrap());
    assert!(ended.recv_timeout(STILL_RUNS_AFTER).is_err(), "the run ended before it was cancelled");
    cancel.cancel();
    let outcome = ended.recv_timeout(ENDS_WITHIN).expect("the run went on after it was cancelled");
    assert_eq!(code(outcome), Some(ErrorCode::Cancelled));
    runner.join().unwrap();
}

#[test]
fn a_number_that_tract_would_lose_is_refused_by_the_name_of_the_operator() {
    let loaded = load("dynamo");
    for (odd, is_refused) in [(f32::NAN, true), (f32::INFINITY, false)] {
        let x = Tensor::new(Shape::new(&[1, 3]).unwrap(), TensorData::Fp32(vec![0.0, odd, 0.0])).unwrap();
        let outcome = loaded.session.run(&[x], &[0], None);
        assert_eq!(outcome.is_err(), is_refused, "{odd}");
        if let Err(error) = outcome {
            assert_eq!(error.code(), ErrorCode::InvalidInput);
            assert!(
                error.what().contains("input 'x' holds a not-a-number") && error.what().contains("Relu"),
                "{error}"
            );
        }
    }
}
