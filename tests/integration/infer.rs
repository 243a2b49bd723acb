//! The request path in JSON: outputs that are asked for, ids, versions, datatypes, classes, metadata.

use std::thread;

use candor_tests::{
    Models, Plan, TestServer,
    infer::{self, body, iris, outputs, path, simple, tensor, texts},
};
use serde_json::{Value, json};

fn names(reply: &Value) -> Vec<&str> {
    reply["outputs"].as_array().unwrap().iter().map(|output| output["name"].as_str().unwrap()).collect()
}

#[test]
fn outputs_come_as_asked_in_the_order_asked() {
    let server = Plan::with(Models::copies(&["digits"])).start();
    let input = tensor("image", "FP32", &[1, 1, 8, 8], json!(vec![0.5; 64]));
    let ask = |outputs: Value| {
        server.post(&path("digits"), &json!({"inputs": [input], "outputs": outputs})).expect(200).json()
    };
    assert_eq!(names(&ask(json!([{"name": "logits"}, {"name": "label"}]))), ["logits", "label"]);
    assert_eq!(names(&ask(json!([{"name": "probabilities"}]))), ["probabilities"]);
    // Clients write an empty list for "all of them".
    assert_eq!(names(&ask(json!([]))), ["label", "probabilities", "logits"]);
}

#[test]
fn ids_are_echoed_exactly_and_only_when_given() {
    let server = Plan::with(Models::copies(&["iris"])).start();
    for id in ["1", "a \"quoted\" id\n", "идентификатор 🦀", &"x".repeat(1024)] {
        let mut request = iris();
        request["id"] = json!(id);
        assert_eq!(server.post(&path("iris"), &request).expect(200).json()["id"], id);
    }
    for without in [json!(null), json!("")] {
        let mut request = iris();
        request["id"] = without;
        assert_eq!(server.post(&path("iris"), &request).expect(200).json().get("id"), None);
    }
}

#[test]
fn a_reply_holds_what_the_protocol_requires_and_nothing_else() {
    let server = Plan::with(Models::copies(&["iris"])).start();
    let reply = server.post(&path("iris"), &iris()).expect(200).json();
    let keys: Vec<_> = reply.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["model_name", "model_version", "outputs"]);
    assert_eq!((&reply["model_name"], &reply["model_version"]), (&json!("iris"), &json!("2")));
    // Flat, as Triton and MLServer answer, though the shape has two dimensions.
    assert_eq!(reply["outputs"][1]["shape"], json!([1, 3]));
    assert!(reply["outputs"][1]["data"].as_array().unwrap().iter().all(Value::is_number));
}

#[test]
fn versions_have_routes_of_their_own_and_the_highest_is_the_default() {
    let server = Plan::with(Models::copies(&["iris"])).start();
    let ask = |version: &str| {
        let path = format!("/v2/models/iris{version}/infer");
        server.post(&path, &iris()).expect(200).json()
    };
    let (one, two, default) = (ask("/versions/1"), ask("/versions/2"), ask(""));
    assert_eq!((&one["model_version"], &two["model_version"]), (&json!("1"), &json!("2")));
    assert_ne!(one["outputs"], two["outputs"]);
    assert_eq!(two, default);
    let error = server.post("/v2/models/iris/versions/3/infer", &iris()).expect(404).error();
    assert!(error.contains("no version 3") && error.contains("1, 2"), "{error}");
}

#[test]
fn strings_come_back_as_they_went() {
    let server = Plan::with(Models::copies(&["simple_string", "simple_identity"])).start();
    let long = "long ".repeat(100_000);
    let odd = ["", " ", "\0", "a\0b", "\u{7f}\u{80}\u{2028}", "\"\\/\r\n\t", "日本語🦀", "{\"a\":[1]}", "NaN", &long];
    let reply = server.post(&path("simple_identity"), &texts(&odd)).expect(200).json();
    assert_eq!(reply["outputs"][0]["data"], json!(odd));
    assert_eq!(reply["outputs"][0]["shape"], json!([1, odd.len()]));
    let numbers: Vec<String> = (0..16).map(|n| n.to_string()).collect();
    let input = |name| tensor(name, "BYTES", &[1, 16], json!(numbers));
    let reply = server.post(&path("simple_string"), &body(&[input("INPUT0"), input("INPUT1")])).expect(200).json();
    let doubled: Vec<String> = (0..16).map(|n| (2 * n).to_string()).collect();
    assert_eq!(reply["outputs"][0]["data"], json!(doubled));
    assert_eq!(reply["outputs"][1]["data"], json!(vec!["0"; 16]));
}

#[test]
fn escapes_in_the_json_mean_what_json_says() {
    let server = Plan::with(Models::copies(&["simple_identity"])).start();
    let written = r#"{"inp\u0075ts":[{"n\u0061me":"INPUT\u0030","shape":[1,2],"datatype":"BYT\u0045S",
        "data":["\ud83e\udd80","\u00e9\/"]}]}"#;
    let request = candor_tests::Request::post(path("simple_identity")).body(written);
    assert_eq!(server.send(&request).expect(200).json()["outputs"][0]["data"], json!(["🦀", "é/"]));
}

#[test]
fn a_model_says_how_many_rows_it_takes_at_once() {
    let server = Plan::with(Models::copies(&["simple"])).start();
    assert_eq!(outputs(&server.post(&path("simple"), &simple(8)))[0].shape, json!([8, 16]));
    let error = server.post(&path("simple"), &simple(9)).expect(400).error();
    assert!(error.contains("at most 8 rows, got 9 rows") && error.contains("split the request"), "{error}");
}

#[test]
fn every_datatype_keeps_its_extremes() {
    let cases = [
        ("bool", "BOOL", json!([true, false])),
        ("uint8", "UINT8", json!([0, u8::MAX])),
        ("uint16", "UINT16", json!([0, u16::MAX])),
        ("uint32", "UINT32", json!([0, u32::MAX])),
        ("uint64", "UINT64", json!([0, u64::MAX])),
        ("int8", "INT8", json!([i8::MIN, i8::MAX])),
        ("int16", "INT16", json!([i16::MIN, i16::MAX])),
        ("int32", "INT32", json!([i32::MIN, i32::MAX])),
        ("int64", "INT64", json!([i64::MIN, i64::MAX])),
        ("fp32", "FP32", json!([f32::MIN, f32::MIN_POSITIVE])),
        ("fp64", "FP64", json!([f64::MAX, 5e-324])),
        ("bytes", "BYTES", json!(["", "é"])),
    ];
    let models =
        cases.iter().fold(Models::none(), |models, (name, ..)| models.with_fixture(&format!("identity_{name}")));
    let server = Plan::with(models).start();
    for (name, datatype, data) in cases {
        let model = format!("identity_{name}");
        let input = tensor("x", datatype, &[1, 2], data.clone());
        let reply = server.post(&path(&model), &body(std::slice::from_ref(&input))).expect(200);
        let as_json = outputs(&reply);
        let (described, bytes) = infer::in_bytes(&input);
        let head = json!({"inputs": [described], "parameters": {"binary_data_output": true}});
        let as_bytes = outputs(&server.send(&infer::with_tensors(&path(&model), &head, &[bytes])));
        let read = |value: &Value| value.as_f64().filter(|_| value.is_f64());
        for (got, want) in
            [&as_json, &as_bytes].into_iter().flat_map(|o| o[0].elements().into_iter().zip(data.as_array().unwrap()))
        {
            match (read(&got), read(want)) {
                (Some(got), Some(want)) if datatype == "FP32" => assert_eq!(got as f32, want as f32),
                _ => assert_eq!(&got, want, "{datatype}"),
            }
        }
    }
}

#[test]
fn half_precision_travels_as_bytes_only() {
    let server = Plan::with(Models::none().with_fixture("identity_fp16").with_fixture("identity_bf16")).start();
    for (model, datatype) in [("identity_fp16", "FP16"), ("identity_bf16", "BF16")] {
        let error =
            server.post(&path(model), &body(&[tensor("x", datatype, &[1, 2], json!([1, 2]))])).expect(400).error();
        assert!(error.contains(&format!("{datatype} has no JSON form")) && error.contains("binary"), "{error}");
        let input = json!({"name": "x", "datatype": datatype, "shape": [1, 2], "parameters": {"binary_data_size": 4}});
        // One, and a quiet NaN with a payload: bytes are not to be touched.
        let bytes = vec![0x80, 0x3f, 0x2a, 0x7e];
        let ask = |binary: bool| {
            let head = json!({"inputs": [input], "parameters": {"binary_data_output": binary}});
            server.send(&infer::with_tensors(&path(model), &head, std::slice::from_ref(&bytes)))
        };
        assert_eq!(outputs(&ask(true))[0].bytes.as_ref(), Some(&bytes));
        let error = ask(false).expect(400).error();
        assert!(error.contains("has no JSON form") && error.contains("\"binary_data\": true"), "{error}");
    }
}

#[test]
fn scalars_and_tensors_of_any_rank_are_served() {
    let server = Plan::with(Models::none().with_fixture("scalar").with_fixture("rankless")).start();
    let reply = server.post(&path("scalar"), &body(&[tensor("x", "FP32", &[], json!([2.5]))])).expect(200).json();
    assert_eq!(reply["outputs"][0]["shape"], json!([]));
    for shape in [&[][..], &[1], &[1, 1, 1, 1, 1, 1, 1, 1]] {
        let reply = server.post(&path("rankless"), &body(&[tensor("x", "FP32", shape, json!([2.5]))])).expect(200);
        assert_eq!(outputs(&reply)[0].shape, json!(shape));
    }
}

#[test]
fn classes_come_best_first_with_their_labels() {
    let server = Plan::with(Models::copies(&["iris", "simple_identity"])).start();
    let ask = |output: Value| {
        let mut request =
            body(&[tensor("features", "FP32", &[2, 4], json!([5.1, 3.5, 1.4, 0.2, 6.0, 2.8, 4.9, 1.65]))]);
        request["outputs"] = json!([output]);
        server.post("/v2/models/iris/versions/1/infer", &request)
    };
    let reply = outputs(&ask(json!({"name": "probabilities", "parameters": {"classification": 2}})));
    assert_eq!((reply[0].datatype.as_str(), &reply[0].shape), ("BYTES", &json!([2, 2])));
    let classes: Vec<String> = reply[0].elements().iter().map(|text| text.as_str().unwrap().to_owned()).collect();
    let ends: Vec<&str> = classes.iter().map(|class| class.split_once(':').unwrap().1).collect();
    assert_eq!(ends, ["0:setosa", "1:versicolor", "1:versicolor", "2:virginica"]);
    let values: Vec<f64> = classes.iter().map(|class| class.split(':').next().unwrap().parse().unwrap()).collect();
    for (got, want) in values.iter().zip([0.980_973_7, 0.019_025_696, 0.514_461_1, 0.480_882_08]) {
        assert!((got - want).abs() < 1e-6, "{got} {want}");
    }
    let all =
        outputs(&ask(json!({"name": "probabilities", "parameters": {"classification": 99, "binary_data": true}})));
    assert_eq!((&all[0].shape, all[0].elements().len()), (&json!([2, 3]), 6));
    let mut request = texts(&["a"]);
    request["outputs"] = json!([{"name": "OUTPUT0", "parameters": {"classification": 1}}]);
    let error = server.post(&path("simple_identity"), &request).expect(400).error();
    assert!(error.contains("OUTPUT0") && error.contains("cannot be ranked by BYTES"), "{error}");
}

#[test]
fn not_a_number_leaves_as_bytes_only() {
    let server = Plan::with(Models::none().with_fixture("identity_fp32")).start();
    let input = json!({"name": "x", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}});
    let bytes = [f32::NAN.to_le_bytes(), f32::NEG_INFINITY.to_le_bytes()].concat();
    let ask = |binary: bool| {
        let head = json!({"inputs": [input], "outputs": [{"name": "y", "parameters": {"binary_data": binary}}]});
        server.send(&infer::with_tensors(&path("identity_fp32"), &head, std::slice::from_ref(&bytes)))
    };
    assert_eq!(outputs(&ask(true))[0].bytes.as_ref(), Some(&bytes));
    let error = ask(false).expect(400).error();
    assert!(error.contains("'y' is NaN or infinite at element 0") && error.contains("binary_data"), "{error}");
}

#[test]
fn one_callers_rows_never_reach_another() {
    let server = Plan::with(Models::copies(&["simple_identity"])).start();
    thread::scope(|scope| {
        for caller in 0..8 {
            let server = &server;
            scope.spawn(move || {
                let mut connection = candor_tests::Connection::open(server.addr());
                for turn in 0..100 {
                    // Canaries: no two requests carry the same text.
                    let own: Vec<String> = (0..turn % 5 + 1).map(|n| format!("{caller}/{turn}/{n}")).collect();
                    let own: Vec<&str> = own.iter().map(String::as_str).collect();
                    let request = candor_tests::Request::post(path("simple_identity")).json(&texts(&own));
                    assert_eq!(outputs(&connection.ask(&request))[0].elements(), own);
                }
            });
        }
    });
    server.stop_and_expect_clean();
}

#[test]
fn metadata_and_configuration_say_what_clients_rely_on() {
    let server = TestServer::start();
    let server_says = server.get("/v2").expect(200).json();
    assert_eq!(server_says["name"], "candor");
    for extension in ["binary_tensor_data", "classification", "model_repository", "model_configuration", "statistics"] {
        assert!(server_says["extensions"].as_array().unwrap().contains(&json!(extension)), "{extension}");
    }
    assert_eq!(server.get("/v2/").expect(200).json(), server_says);
    let iris = server.get("/v2/models/iris").expect(200).json();
    assert_eq!(
        (&iris["name"], &iris["versions"], &iris["platform"]),
        (&json!("iris"), &json!(["1", "2"]), &json!("onnxruntime_onnx"))
    );
    assert_eq!(iris["inputs"], json!([{"name": "features", "datatype": "FP32", "shape": [-1, 4]}]));
    assert_eq!(iris["properties"]["title"], "Iris species");
    assert_eq!(server.get("/v2/models/iris/versions/1").expect(200).json()["properties"]["version"], "1");
    // Metadata counts rows in the shape; Triton's configuration leaves them out where there is a limit on them.
    let simple = server.get("/v2/models/simple").expect(200).json();
    assert_eq!(simple["inputs"][0]["shape"], json!([-1, 16]));
    let config = server.get("/v2/models/simple/config").expect(200).json();
    assert_eq!((&config["max_batch_size"], &config["input"][0]["dims"]), (&json!(8), &json!([16])));
    assert_eq!(config["input"][0]["data_type"], "TYPE_INT32");
    let config = server.get("/v2/models/iris/versions/2/config").expect(200).json();
    assert_eq!((&config["max_batch_size"], &config["input"][0]["dims"]), (&json!(0), &json!([-1, 4])));
    assert_eq!(config["version_policy"], json!({"all": {}}));
    for path in ["/v2/models/iris/ready", "/v2/models/iris/versions/1/ready"] {
        let ready = server.get(path).expect(200).json();
        assert_eq!((&ready["name"], &ready["ready"]), (&json!("iris"), &json!(true)));
    }
    assert_eq!(server.get("/v2/health/live").expect(200).json(), json!({"live": true}));
    assert_eq!(server.get("/v2/health/ready").expect(200).json(), json!({"ready": true}));
}
