//! `/v1/models` as TensorFlow Serving's REST API has it (its `api_rest.md`), and as KServe's v1 protocol does.

use candor_tests::{Models, Plan, models::fixture};
use serde_json::json;

use super::{check_refusals, post_text, said, server};

fn version_status(version: &str, state: &str) -> serde_json::Value {
    json!({"version": version, "state": state, "status": {"error_code": "OK", "error_message": ""}})
}

#[test]
fn tensorflow_serving_tells_states_and_signatures() {
    let server = server("tf_serving", &["iris", "simple", "simple_string"]);
    let status = server.get("/v1/models/iris").expect(200).json();
    let both = [version_status("2", "AVAILABLE"), version_status("1", "AVAILABLE")];
    assert_eq!(status, json!({"model_version_status": both}));
    let one = server.get("/v1/models/iris/versions/1").expect(200).json();
    assert_eq!(one, json!({"model_version_status": [version_status("1", "AVAILABLE")]}));
    let metadata = server.get("/v1/models/simple_string/metadata").expect(200).json();
    assert_eq!(metadata["model_spec"], json!({"name": "simple_string", "signature_name": "", "version": "1"}));
    let signature = &metadata["metadata"]["signature_def"]["signature_def"]["serving_default"];
    assert_eq!(signature["method_name"], "tensorflow/serving/predict");
    let dim = |size: &str| json!({"size": size, "name": ""});
    let shape = json!({"dim": [dim("-1"), dim("16")], "unknown_rank": false});
    let tensor = json!({"dtype": "DT_STRING", "tensor_shape": shape, "name": "INPUT1"});
    assert_eq!(signature["inputs"]["INPUT1"], tensor);
    assert_eq!(signature["outputs"].as_object().unwrap().len(), 2);
    let older = server.get("/v1/models/iris/versions/1/metadata").expect(200).json();
    assert_eq!(older["model_spec"]["version"], "1");
    assert_eq!(server.unload("simple").status, 200);
    candor_tests::until("it has left", || {
        let status = server.get("/v1/models/simple").expect(200).json();
        (status == json!({"model_version_status": [version_status("1", "END")]})).then_some(())
    });
    assert_eq!(server.get("/v1/models/irsi").status, 404);
    assert_eq!(server.get("/v1/models/iris/versions/9").status, 404);
    assert_eq!(server.get("/v1/models/iris/versions/9/metadata").status, 404);
}

#[test]
fn a_version_that_failed_says_why() {
    let models = Models::copies(&["iris"]).with_file("broken/1/model.onnx", b"no model");
    let server = Plan::with(models).with_contracts("tf_serving").start();
    let status = server.get("/v1/models/broken").expect(200).json()["model_version_status"][0].clone();
    assert_eq!((&status["state"], &status["status"]["error_code"]), (&json!("END"), &json!("UNKNOWN")));
    assert!(!status["status"]["error_message"].as_str().unwrap().is_empty());
}

#[test]
fn tensorflow_serving_predicts_by_row_and_by_column() {
    let server = server("tf_serving", &["iris", "diabetes", "simple", "simple_identity"]);
    let ask = |path: &str, body: serde_json::Value| said(server.post(path, &body));
    let rows = json!([[5.1, 3.5, 1.4, 0.2], [7.2, 3.0, 5.8, 1.6]]);
    let by_row = ask("/v1/models/iris:predict", json!({"signature_name": "serving_default", "instances": rows}));
    assert_eq!((&by_row["predictions"][0]["label"], &by_row["predictions"][1]["label"]), (&json!(0), &json!(2)));
    let whole = ask("/v1/models/iris:predict", json!({"inputs": {"features": rows}}));
    assert_eq!(whole["outputs"]["label"], json!([0, 2]));
    for row in 0..2 {
        assert_eq!(whole["outputs"]["probabilities"][row], by_row["predictions"][row]["probabilities"]);
    }
    // A version; a name of the only input; names of features.
    let older = ask("/v1/models/iris/versions/1:predict", json!({"instances": [{"features": [5.1, 3.5, 1.4, 0.2]}]}));
    assert_ne!(older["predictions"][0]["probabilities"], by_row["predictions"][0]["probabilities"]);
    let flower = json!({"petal_width": 0.2, "sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4});
    let named = ask("/v1/models/iris:predict", json!({"instances": [flower]}));
    assert_eq!(named["predictions"][0]["label"], 0);
    // A single output is not named.
    let zeros = json!([[0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]);
    let predictions = ask("/v1/models/diabetes:predict", json!({"instances": zeros}))["predictions"].clone();
    assert_eq!(predictions, ask("/v1/models/diabetes:predict", json!({"inputs": zeros}))["outputs"]);
    assert!((100.0..200.0).contains(&predictions[0][0].as_f64().unwrap()), "{predictions}");
    // Several inputs, several outputs.
    let sixteen: Vec<i32> = (0..16).collect();
    let sum = ask("/v1/models/simple:predict", json!({"instances": [{"INPUT0": sixteen, "INPUT1": sixteen}]}));
    let doubled: Vec<i32> = sixteen.iter().map(|number| 2 * number).collect();
    assert_eq!(sum, json!({"predictions": [{"OUTPUT0": doubled, "OUTPUT1": vec![0; 16]}]}));
    // Bytes.
    let bytes = json!({"instances": [["plain", {"b64": "aMOk"}, {"b64": "//4="}]]});
    let echoed = ask("/v1/models/simple_identity:predict", bytes);
    assert_eq!(echoed, json!({"predictions": [["plain", "hä", {"b64": "//4="}]]}));
}

#[test]
fn tensorflow_serving_reads_and_writes_numbers_that_json_does_not_have() {
    let models = Models::copies(&["iris"]).with_file("identity_fp32/1/model.onnx", fixture("identity_fp32"));
    let server = Plan::with(models).with_contracts("tf_serving").start();
    let path = "/v1/models/identity_fp32:predict";
    let body = "{\"inputs\": [[NaN, Infinity], [-Infinity, 1.5]]}";
    let reply = post_text(&server, path, "application/json", body);
    assert_eq!(reply.text(), "{\"outputs\":[[NaN,Infinity],[-Infinity,1.5]]}");
}

#[test]
fn tensorflow_serving_refuses_with_reasons() {
    let server = server("tf_serving", &["iris", "simple"]);
    let iris = "/v1/models/iris:predict";
    check_refusals(
        &server,
        &[
            (iris, "", 400, "the body is empty"),
            (iris, "{", 400, "the body is not the JSON that was expected"),
            (iris, "{}", 400, "the body holds nothing to predict; expected \"instances\" or \"inputs\""),
            (
                iris,
                r#"{"instances":[[1,2,3]]}"#,
                400,
                "input 'features' has the wrong shape; expected [batch, 4], got [1, 3]",
            ),
            (
                iris,
                r#"{"instances":[["a",1,2,3]]}"#,
                400,
                "/instances/0: input 'features' holds a value that is not FP32",
            ),
            (iris, r#"{"instances":[[1,2,3,4]],"inputs":[]}"#, 400, "/inputs: a body has one table"),
            (iris, r#"{"instances":[[1,2,3,4]],"signature_name":"x"}"#, 400, "/signature_name: the model has no such"),
            (iris, r#"{"examples":[]}"#, 400, "there is no member \"examples\" here; expected instances, inputs"),
            (
                iris,
                r#"{"instances":[{"sepal_lenth":5.1}]}"#,
                400,
                "/instances/0/sepal_lenth: the model has no feature \"sepal_lenth\"",
            ),
            ("/v1/models/irsi:predict", "{}", 404, "there is no model 'irsi'; did you mean 'iris'?"),
            ("/v1/models/iris/versions/7:predict", "{}", 404, "model 'iris' has no version 7"),
            ("/v1/models/..:predict", "{}", 400, "model name"),
            ("/v1/models/simple:predict", r#"{"instances":[[1]]}"#, 400, "the model has several inputs"),
            ("/v1/models/iris:classify", "{}", 501, "an ONNX graph has no signature of tf.Examples; send its tensors"),
            ("/v1/models/iris:regress", "{}", 501, "an ONNX graph has no signature of tf.Examples"),
            ("/v1/models/iris/versions/1:classify", "{}", 501, "an ONNX graph has no signature of tf.Examples"),
            ("/v1/models/iris/labels/stable:predict", "{}", 501, "versions have no labels here; name the version"),
        ],
    );
    assert_eq!(server.get("/v1/models/iris/labels/stable").status, 501);
    assert_eq!(server.get("/v1/models/iris:predict").expect(405).header("allow"), Some("POST"));
    for verb in ["/v1/models/iris:foo", "/v1/models/iris/versions/1:foo"] {
        assert!(server.post(verb, &json!({})).expect(404).error().contains("there is nothing at"), "{verb}");
    }
    assert_eq!(server.post("/v1/models/iris", &json!({})).status, 405);
    let image = post_text(&server, iris, "image/png", "x");
    assert_eq!(image.status, 415);
    server.stop_and_expect_clean();
}

#[test]
fn kserve_lists_tells_and_predicts() {
    let server = server("kserve", &["iris", "simple"]);
    assert_eq!(server.get("/v1/models").expect(200).json(), json!({"models": ["iris", "simple"]}));
    assert_eq!(server.get("/v1/models/iris").expect(200).json(), json!({"name": "iris", "ready": true}));
    assert_eq!(server.get("/v1/models/irsi").status, 404);
    let reply = said(
        server.post("/v1/models/iris:predict", &json!({"instances": [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]})),
    );
    let labels: Vec<_> = reply["predictions"].as_array().unwrap().iter().map(|row| row["label"].clone()).collect();
    assert_eq!(labels, [1, 1]);
    check_refusals(
        &server,
        &[
            ("/v1/models/iris:explain", r#"{"instances":[[1,2,3,4]]}"#, 501, "there are no explainers here"),
            ("/v1/models/iris:predict", r#"{"inputs":[[1,2,3,4]]}"#, 400, "expected instances"),
            ("/v1/models/iris:predict", r#"{"instances":[[1,2,3,NaN]]}"#, 400, "JSON has no NaN or Infinity"),
        ],
    );
    assert_eq!(server.unload("simple").status, 200);
    assert_eq!(server.get("/v1/models/simple").status, 503);
    assert_eq!(server.get("/v1/models").expect(200).json(), json!({"models": ["iris"]}));
}
