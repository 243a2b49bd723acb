//! Inference over gRPC: every golden pair in both forms, what is wrong and where, many at once.
//!
//! The pairs were made by ONNX Runtime in Python, so agreement here is agreement with another program.

use std::collections::HashMap;

use candor_tests::{
    Grpc, Models, Plan, TestServer,
    grpc::{
        outputs,
        proto::{InferParameter, InferTensorContents, ModelInferRequest, infer_parameter::ParameterChoice},
        raw_request, request, tensor, typed, typed_request, wanted,
    },
    infer,
    models::{Golden, golden_pairs},
};
use serde_json::{Value, json};
use tonic::{Code, Status};

const TOLERANCE: f64 = 1e-6;

fn agree(pair: &Golden, got: &[Value]) {
    assert_eq!(got.len(), pair.outputs.len(), "{}", pair.case);
    for (got, want) in got.iter().zip(&pair.outputs) {
        let case = format!("{} output {}", pair.case, want["name"]);
        for key in ["name", "datatype", "shape"] {
            assert_eq!(got[key], want[key], "{case}");
        }
        let (elements, want) = (got["data"].as_array().unwrap(), want["data"].as_array().unwrap());
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

#[test]
fn every_golden_pair_in_both_forms() {
    let server = TestServer::start();
    let grpc = Grpc::open(server.grpc_addr());
    for pair in golden_pairs() {
        for (form, request) in
            [("typed", typed_request(&pair.model, &pair.inputs)), ("raw", raw_request(&pair.model, &pair.inputs))]
        {
            let request = ModelInferRequest { model_version: pair.version.clone(), id: pair.case.clone(), ..request };
            let answer = grpc.infer(request).unwrap_or_else(|status| panic!("{}: {status}", pair.case));
            assert_eq!((&answer.id, &answer.model_name), (&pair.case, &pair.model));
            assert_eq!(answer.model_version, pair.version);
            assert_eq!(answer.raw_output_contents.is_empty(), form == "typed", "an answer has its request's form");
            agree(&pair, &outputs(&answer));
        }
    }
    server.stop_and_expect_clean();
}

#[test]
fn half_precision_travels_as_bytes() {
    let server = Plan::with(Models::none().with_fixture("identity_fp16").with_fixture("identity_bf16")).start();
    let grpc = Grpc::open(server.grpc_addr());
    for (model, datatype) in [("identity_fp16", "FP16"), ("identity_bf16", "BF16")] {
        let described = grpc.wait(grpc.client().model_metadata(candor_tests::grpc::proto::ModelMetadataRequest {
            name: model.to_owned(),
            version: String::new(),
        }));
        let described = described.unwrap().into_inner();
        let name = &described.inputs[0].name;
        let rank = described.inputs[0].shape.len();
        let mut shape = vec![1; rank];
        shape[rank - 1] = if described.inputs[0].shape[rank - 1] > 0 { described.inputs[0].shape[rank - 1] } else { 2 };
        let bytes: Vec<u8> = (0..2 * shape[rank - 1]).map(|byte| u8::try_from(byte).unwrap()).collect();
        let raw = ModelInferRequest {
            raw_input_contents: vec![bytes.clone()],
            ..request(model, vec![tensor(name, datatype, &shape)])
        };
        assert_eq!(grpc.infer(raw).unwrap().raw_output_contents, [bytes], "{model}");
        let typed = request(model, vec![typed(name, datatype, &shape, InferTensorContents::default())]);
        let refused = grpc.infer(typed).unwrap_err();
        assert!(refused.message().contains(&format!("{datatype} has no field in contents")), "{refused}");
    }
}

fn refused(grpc: &Grpc, request: ModelInferRequest, code: Code, says: &[&str]) -> Status {
    let status = grpc.infer(request).unwrap_err();
    assert_eq!(status.code(), code, "{status}");
    for words in says {
        assert!(status.message().contains(words), "{}\nlacks: {words}", status.message());
    }
    status
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let server = Plan::with(Models::copies(&["iris", "simple"])).start();
    let grpc = Grpc::open(server.grpc_addr());
    let iris = || typed_request("iris", infer::iris()["inputs"].as_array().unwrap());
    let with = |change: &dyn Fn(&mut ModelInferRequest)| {
        let mut request = iris();
        change(&mut request);
        request
    };
    let wrong = Code::InvalidArgument;
    for (request, says) in [
        (
            with(&|request| request.inputs[0].name = "feature".to_owned()),
            &["inputs[0].name", "expected features, got \"feature\""][..],
        ),
        (
            with(&|request| request.inputs[0].datatype = "FP64".to_owned()),
            &["contents.fp64_contents", "contents.fp32_contents"],
        ),
        (
            with(&|request| request.inputs[0].shape = vec![2, 2]),
            &["input 'features'", "expected [", ", 4]", "got [2, 2]"],
        ),
        (with(&|request| request.inputs[0].shape = vec![4]), &["the first dimension counts rows"]),
        (with(&|request| request.inputs[0].shape = vec![1 << 40, 4]), &["limits.tensor_elements_max"]),
        (with(&|request| request.inputs[0].shape = vec![2, 4]), &["expected 8 elements for shape [2, 4], got 4"]),
        (with(&|request| request.inputs.clear()), &["input 'features' is missing"]),
        (with(&|request| request.raw_input_contents = vec![vec![0; 16], vec![]]), &["raw contents"]),
        (
            with(&|request| request.outputs = vec![wanted("species")]),
            &["outputs[0]", "label, probabilities", "got \"species\""],
        ),
        (with(&|request| request.id = "i".repeat(2000)), &["id", "limits.name_bytes_max"]),
        (with(&|request| request.model_name = "../iris".to_owned()), &["model name"]),
        (with(&|request| request.model_name = String::new()), &["the model name is empty"]),
        (with(&|request| request.model_version = "one".to_owned()), &["not a version"]),
    ] {
        let status = refused(&grpc, request, wrong, says);
        assert_eq!(status.metadata().get("candor-reason").unwrap(), "invalid_input");
    }
    let unknown = with(&|request| request.model_name = "irsi".to_owned());
    refused(&grpc, unknown, Code::NotFound, &["there is no model 'irsi'", "did you mean 'iris'?"]);
    let version = with(&|request| request.model_version = "9".to_owned());
    refused(&grpc, version, Code::NotFound, &["has no version 9"]);
    // The connection is none the worse.
    assert!(grpc.infer(iris()).is_ok());
}

#[test]
fn bytes_that_are_no_message_are_refused() {
    let server = Plan::with(Models::copies(&["iris"])).start();
    let grpc = Grpc::open(server.grpc_addr());
    let path = "/inference.GRPCInferenceService/ModelInfer";
    for bytes in [&b"\xff"[..], b"\x0a\x05iri", b"not protobuf at all", &[0x0b; 40]] {
        let status = grpc.call(path, tonic::Request::new(bytes.to_vec().into())).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
    let control = "/inference.GRPCInferenceService/RepositoryModelLoad";
    let status = grpc.call(control, tonic::Request::new(b"\xff".to_vec().into())).unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let large = tonic::Request::new(vec![0_u8; (1 << 20) + 1].into());
    let status = grpc.call(control, large).unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains("at most 1048576 bytes"), "{status}");
}

#[test]
fn the_best_classes_come_with_their_labels() {
    let server = Plan::with(Models::copies(&["iris"])).start();
    let grpc = Grpc::open(server.grpc_addr());
    let two = InferParameter { parameter_choice: Some(ParameterChoice::Int64Param(2)) };
    let mut probabilities = wanted("probabilities");
    probabilities.parameters = HashMap::from([("classification".to_owned(), two)]);
    let mut request = typed_request("iris", infer::iris()["inputs"].as_array().unwrap());
    request.outputs = vec![probabilities];
    let answer = outputs(&grpc.infer(request).unwrap());
    assert_eq!((&answer[0]["datatype"], &answer[0]["shape"]), (&json!("BYTES"), &json!([1, 2])));
    assert!(answer[0]["data"][0].as_str().unwrap().ends_with(":0:setosa"), "{answer:?}");
}

#[test]
fn many_at_once_never_mix() {
    let server = Plan::with(Models::copies(&["simple"])).start();
    let grpc = Grpc::open(server.grpc_addr());
    let ask = |number: i64| {
        let row: Vec<i64> = (0..16).map(|at| number * 100 + at).collect();
        let values = [0, 1].map(|at| infer::tensor(&format!("INPUT{at}"), "INT32", &[1, 16], json!(row)));
        let form = if number % 2 == 0 { raw_request } else { typed_request };
        ModelInferRequest { id: number.to_string(), ..form("simple", &values) }
    };
    let asked: Vec<_> = (0..200)
        .map(|number| {
            let (mut client, request) = (grpc.client(), ask(number));
            (number, grpc.begin(async move { client.model_infer(request).await }))
        })
        .collect();
    for (number, answer) in asked {
        let answer = grpc.wait(answer).unwrap().unwrap().into_inner();
        assert_eq!(answer.id, number.to_string());
        let sums: Vec<i64> = (0..16).map(|at| 2 * (number * 100 + at)).collect();
        assert_eq!(outputs(&answer)[0]["data"], json!(sums));
    }
}

#[test]
fn both_doors_count_into_the_same_facts() {
    let server = Plan::with(Models::copies(&["iris"])).start();
    let grpc = Grpc::open(server.grpc_addr());
    let iris = typed_request("iris", infer::iris()["inputs"].as_array().unwrap());
    for _ in 0..3 {
        assert!(grpc.infer(iris.clone()).is_ok());
        assert_eq!(server.post(&infer::path("iris"), &infer::iris()).status, 200);
    }
    assert!(grpc.infer(request("iris", Vec::new())).is_err());
    let metrics = candor_tests::counters::scrape(&server);
    assert_eq!(metrics.requests("iris", "2", "success"), 6.0);
    assert_eq!(metrics.requests("iris", "2", "invalid"), 1.0);
    let answers = |code| metrics.value("candor_grpc_responses_total", &[("code", code)]);
    assert_eq!((answers("ok"), answers("invalid_argument"), answers("internal")), (3.0, 1.0, 0.0));
    let over_grpc = grpc.wait(grpc.client().model_statistics(candor_tests::grpc::proto::ModelStatisticsRequest {
        name: "iris".to_owned(),
        version: "2".to_owned(),
    }));
    let over_grpc = over_grpc.unwrap().into_inner().model_stats.remove(0);
    let over_http = server.get("/v2/models/iris/versions/2/stats").expect(200).json()["model_stats"][0].clone();
    assert_eq!(json!(over_grpc.inference_count), over_http["inference_count"]);
    let stats = over_grpc.inference_stats.unwrap();
    for (name, span) in [("success", stats.success), ("fail", stats.fail), ("compute_infer", stats.compute_infer)] {
        let span = span.unwrap();
        assert_eq!(json!({"count": span.count, "ns": span.ns}), over_http["inference_stats"][name], "{name}");
    }
}
