//! Every golden pair of every sample version, every way that the protocol can carry it.
//!
//! The pairs were made by ONNX Runtime in Python, so agreement here is agreement with another program.

use candor_tests::{
    Reply, Request, TestServer,
    infer::{Output, in_bytes, outputs, with_tensors},
    models::{Golden, SAMPLES, golden_pairs},
};
use serde_json::{Value, json};

const TOLERANCE: f64 = 1e-6;

fn path(pair: &Golden) -> String {
    format!("/v2/models/{}/versions/{}/infer", pair.model, pair.version)
}

/// Groups the elements of a flat array as a shape says.
fn nested(data: &[Value], shape: &[Value]) -> Value {
    match shape {
        [] | [_] => json!(data),
        [_, rest @ ..] => {
            let each = rest.iter().map(|dim| usize::try_from(dim.as_u64().unwrap()).unwrap()).product();
            data.chunks(each).map(|chunk| nested(chunk, rest)).collect()
        }
    }
}

fn agree(pair: &Golden, got: &[Output]) {
    assert_eq!(got.len(), pair.outputs.len(), "{}", pair.case);
    for (got, want) in got.iter().zip(&pair.outputs) {
        let case = format!("{} output {}", pair.case, want["name"]);
        assert_eq!((&json!(got.name), &json!(got.datatype)), (&want["name"], &want["datatype"]), "{case}");
        assert_eq!(got.shape, want["shape"], "{case}");
        let (elements, want) = (got.elements(), want["data"].as_array().unwrap());
        assert_eq!(elements.len(), want.len(), "{case}");
        for (index, (got, want)) in elements.iter().zip(want).enumerate() {
            match (got.as_f64(), want.as_f64()) {
                (Some(a), Some(b)) if want.is_f64() => {
                    assert!((a - b).abs() <= TOLERANCE * b.abs().max(1.0), "{case}[{index}]: {a}, wanted {b}");
                }
                _ => assert_eq!(got, want, "{case}[{index}]"),
            }
        }
    }
}

fn check_all(ask: impl Fn(&TestServer, &Golden) -> Reply) {
    let (server, pairs) = (TestServer::start(), golden_pairs());
    for model in SAMPLES {
        assert!(pairs.iter().any(|pair| pair.model == model), "{model} has no pairs");
    }
    for pair in &pairs {
        agree(pair, &outputs(&ask(&server, pair)));
    }
    server.stop_and_expect_clean();
}

#[test]
fn flat_json() {
    check_all(|server, pair| server.post(&path(pair), &json!({"inputs": pair.inputs})));
}

#[test]
fn nested_json() {
    check_all(|server, pair| {
        let inputs = pair.inputs.iter().map(|input| {
            let mut input = input.clone();
            input["data"] = nested(input["data"].as_array().unwrap(), input["shape"].as_array().unwrap());
            input
        });
        server.post(&path(pair), &json!({"inputs": inputs.collect::<Vec<_>>()}))
    });
}

fn in_bytes_both_ways(pair: &Golden) -> Request {
    let (inputs, tensors): (Vec<_>, Vec<_>) = pair.inputs.iter().map(in_bytes).unzip();
    with_tensors(&path(pair), &json!({"inputs": inputs, "parameters": {"binary_data_output": true}}), &tensors)
}

#[test]
fn bytes_both_ways() {
    check_all(|server, pair| {
        let reply = server.send(&in_bytes_both_ways(pair));
        assert!(outputs(&reply).iter().all(|output| output.bytes.is_some()), "{}", pair.case);
        reply
    });
}

#[test]
fn bytes_in_and_json_out() {
    check_all(|server, pair| {
        let (inputs, tensors): (Vec<_>, Vec<_>) = pair.inputs.iter().map(in_bytes).unzip();
        let reply = server.send(&with_tensors(&path(pair), &json!({"inputs": inputs}), &tensors));
        assert!(outputs(&reply).iter().all(|output| output.data.is_some()), "{}", pair.case);
        reply
    });
}

#[test]
fn on_threads_of_the_pool_and_on_those_of_http() {
    use candor_tests::Plan;
    let pairs = golden_pairs();
    // Nothing is cheap enough for the first server, everything for the second.
    for inline_us in ["0", "1000000"] {
        let server = Plan::default().set(&format!("execution.inline_run_us_max={inline_us}")).start();
        for pair in &pairs {
            agree(pair, &outputs(&server.send(&in_bytes_both_ways(pair))));
        }
    }
}
