//! Operators of `ai.onnx.ml` against recorded answers, made by `fixtures/make_ml.py` and `fixtures/make_trees.py`.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail loudly too")]

use std::path::Path;

use candor_domain::{Engine, Error, ErrorCode, ModelSource, Shape, Tensor, TensorData, TensorSpec};
use candor_engine_native::NativeEngine;
use serde_json::Value;

fn bytes(hex: &Value) -> Vec<u8> {
    let (pairs, _) = hex.as_str().unwrap().as_bytes().as_chunks::<2>();
    pairs.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn elements<const BYTES: usize, T>(raw: &[u8], read: impl Fn([u8; BYTES]) -> T) -> Vec<T> {
    raw.as_chunks::<BYTES>().0.iter().map(|element| read(*element)).collect()
}

fn tensor(written: &Value) -> Tensor {
    let dims: Vec<i64> = written["shape"].as_array().unwrap().iter().map(|dim| dim.as_i64().unwrap()).collect();
    let datatype = written["datatype"].as_str().unwrap();
    let data = if datatype == "BYTES" {
        let strings = written["strings"].as_array().unwrap();
        TensorData::Bytes(strings.iter().map(|text| text.as_str().unwrap()).collect())
    } else {
        let raw = bytes(&written["hex"]);
        match datatype {
            "FP32" => TensorData::Fp32(elements(&raw, f32::from_le_bytes)),
            "FP64" => TensorData::Fp64(elements(&raw, f64::from_le_bytes)),
            "INT64" => TensorData::Int64(elements(&raw, i64::from_le_bytes)),
            "INT32" => TensorData::Int32(elements(&raw, i32::from_le_bytes)),
            "INT16" => TensorData::Int16(elements(&raw, i16::from_le_bytes)),
            other => panic!("{other}"),
        }
    };
    Tensor::new(Shape::new(&dims).unwrap(), data).unwrap()
}

fn close(got: f64, wanted: f64) -> bool {
    (got.is_nan() && wanted.is_nan()) || got == wanted || (got - wanted).abs() <= 1e-5 * wanted.abs().max(1.0)
}

/// Equal, but for the last digits of floats.
fn agree(got: &Tensor, wanted: &Tensor) -> bool {
    let is_close = match (got.data(), wanted.data()) {
        (TensorData::Fp32(got), TensorData::Fp32(wanted)) => {
            got.iter().zip(wanted).all(|(got, wanted)| close(f64::from(*got), f64::from(*wanted)))
        }
        (TensorData::Fp64(got), TensorData::Fp64(wanted)) => got.iter().zip(wanted).all(|(g, w)| close(*g, *w)),
        (got, wanted) => got == wanted,
    };
    got.shape() == wanted.shape() && got.datatype() == wanted.datatype() && is_close
}

fn tensors(list: &Value) -> Vec<Tensor> {
    list.as_array().unwrap().iter().map(tensor).collect()
}

/// What is wrong with the engine's answer to a case.
fn problem(case: &Value) -> Option<String> {
    let file = bytes(&case["model"]);
    let source = ModelSource { bytes: &file, folder: Path::new(".") };
    let says = |error: &Error, wanted: &Value, codes: &[ErrorCode]| {
        let is_right = codes.contains(&error.code()) && error.to_string().contains(wanted.as_str().unwrap());
        (!is_right).then(|| format!("{:?}: {error}", error.code()))
    };
    let loaded = match (NativeEngine::new().load(source), case.get("refused")) {
        (Ok(loaded), None) => loaded,
        (Ok(_), Some(_)) => return Some("is not refused".into()),
        (Err(error), None) => return Some(format!("is refused: {error}")),
        (Err(error), Some(wanted)) => {
            return says(&error, wanted, &[ErrorCode::InvalidModel, ErrorCode::Unsupported]);
        }
    };
    for (key, wanted) in case["properties"].as_object().into_iter().flatten() {
        if loaded.properties.get(key).map(String::as_str) != wanted.as_str() {
            return Some(format!("{key} is {:?}", loaded.properties.get(key)));
        }
    }
    let inputs = tensors(&case["inputs"]);
    let wanted: Vec<usize> = (0..loaded.signature.outputs.len()).collect();
    // Twice: the second run works in the vectors of the first.
    let first = loaded.session.run(&inputs, &wanted, None);
    let second = loaded.session.run(&inputs, &wanted, None);
    let outputs = match (second, case.get("fails")) {
        (Ok(outputs), None) => outputs,
        (Ok(_), Some(_)) => return Some("does not fail".into()),
        (Err(error), None) => return Some(format!("fails: {error}")),
        (Err(error), Some(wanted)) => return says(&error, wanted, &[ErrorCode::InvalidInput]),
    };
    let wanted = tensors(&case["outputs"]);
    let is_right = |outputs: &[Tensor]| {
        outputs.len() == wanted.len() && outputs.iter().zip(&wanted).all(|(got, wanted)| agree(got, wanted))
    };
    (!is_right(&outputs) || !is_right(&first.unwrap())).then(|| format!("got {outputs:?}\nwanted {wanted:?}"))
}

fn hold(recorded: &str, cases_min: usize) {
    let recorded: Value = serde_json::from_str(recorded).unwrap();
    let cases = recorded.get("cases").and_then(|cases| cases.as_array()).unwrap();
    assert!(cases.len() >= cases_min);
    let problems = cases.iter().filter_map(|case| problem(case).map(|problem| format!("{}: {problem}", case["name"])));
    let problems: Vec<String> = problems.collect();
    assert!(problems.is_empty(), "{} of {}:\n{}", problems.len(), cases.len(), problems.join("\n"));
}

#[test]
fn operators_answer_as_onnx_runtime_does() {
    hold(include_str!("fixtures/ml.json"), 150);
}

#[test]
fn trees_answer_as_the_specification_says() {
    hold(include_str!("fixtures/trees.json"), 120);
}

/// One byte changed: an error or an answer, and no panic. The changes are the same in every run.
#[test]
fn files_that_were_damaged_do_no_harm() {
    let recorded: Value = serde_json::from_str(include_str!("fixtures/ml.json")).unwrap();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let (mut refused, mut answered) = (0, 0);
    for case in recorded["cases"].as_array().unwrap() {
        let whole = bytes(&case["model"]);
        for _ in 0..60 {
            let mut file = whole.clone();
            let at = draw(file.len());
            file[at] = [0, 0x7F, 0x80, 0xFF, file[at] ^ 1 << draw(8)][draw(5)];
            let Ok(loaded) = NativeEngine::new().load(ModelSource { bytes: &file, folder: Path::new(".") }) else {
                refused += 1;
                continue;
            };
            let inputs = case.get("inputs").map(tensors).unwrap_or_default();
            let fits = |(spec, input): (&TensorSpec, &Tensor)| spec.datatype == input.datatype();
            let specs = &loaded.signature.inputs;
            if specs.len() == inputs.len() && specs.iter().zip(&inputs).all(fits) {
                answered += usize::from(loaded.session.run(&inputs, &[0], None).is_ok());
            }
        }
    }
    assert!(refused > 500 && answered > 500, "{refused} refused, {answered} answered");
}
