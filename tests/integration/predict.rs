//! The native API over real models: predictions from named features in every form, what is served, versions of
//! the API, typed documents.

use candor_tests::{Models, Plan, Reply, Request, TestServer, infer::outputs, until};
use flate2::read::GzDecoder;
use serde_json::{Value, json};

const FLOWER: [(&str, f64); 4] =
    [("sepal_length", 6.0), ("sepal_width", 3.0), ("petal_length", 5.0), ("petal_width", 1.8)];

fn server() -> TestServer {
    Plan::with(Models::copies(&["iris", "diabetes", "digits", "simple", "simple_string"])).start()
}

fn predict(server: &TestServer, model: &str, body: &Value) -> Reply {
    server.post(&format!("/api/v1/models/{model}/predict"), body)
}

fn flower() -> Value {
    FLOWER.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect::<serde_json::Map<_, _>>().into()
}

fn flower_values() -> Vec<f64> {
    FLOWER.iter().map(|(_, value)| *value).collect()
}

#[test]
fn a_flower_by_name_gets_its_label_and_the_probabilities_that_tensors_get() {
    let server = server();
    let reply = predict(&server, "iris", &json!({"rows": [flower()], "id": "mine"})).expect(200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let reply = reply.json();
    assert_eq!((&reply["id"], &reply["model"], &reply["version"]), (&json!("mine"), &json!("iris"), &json!("2")));
    assert_eq!(reply["engine"]["name"], "ort");
    assert_eq!(reply["predictions"][0]["label"], "virginica");
    assert!(reply.get("filled").is_none());
    assert!(reply["timings_ms"]["run"].as_f64().unwrap() >= 0.0);
    let tensors = json!({"inputs": [
        {"name": "features", "datatype": "FP32", "shape": [1, 4], "data": flower_values()}]});
    let tensors = outputs(&server.post("/v2/models/iris/infer", &tensors));
    let probabilities = &reply["predictions"][0]["probabilities"];
    let by_label: Vec<&Value> = ["setosa", "versicolor", "virginica"].iter().map(|name| &probabilities[name]).collect();
    assert_eq!(by_label, tensors[1].elements().iter().collect::<Vec<_>>());
    // A version that is named answers, and differently.
    let old = server.post("/api/v1/models/iris/versions/1/predict", &json!({"rows": [flower()]})).expect(200).json();
    assert_eq!(old["version"], "1");
    assert_ne!(&old["predictions"][0]["probabilities"], probabilities);
}

#[test]
fn every_form_of_a_table_gets_the_same_predictions() {
    let server = server();
    let names: Vec<&str> = FLOWER.iter().map(|(name, _)| *name).collect();
    let values: Vec<String> = flower_values().iter().map(ToString::to_string).collect();
    let columns: serde_json::Map<String, Value> =
        FLOWER.iter().map(|(name, value)| ((*name).to_owned(), json!([value, value]))).collect();
    let want =
        predict(&server, "iris", &json!({"rows": [flower(), flower()]})).expect(200).json()["predictions"].clone();
    assert_eq!(want.as_array().unwrap().len(), 2);
    let line = values.join(",");
    let ask = |media_type: &str, body: String| {
        let request = Request::post("/api/v1/models/iris/predict").header("Content-Type", media_type).body(body);
        server.send(&request).expect(200).json()["predictions"].clone()
    };
    for (media_type, body) in [
        ("application/json", json!({"rows": [flower_values(), flower()]}).to_string()),
        ("application/vnd.candor.v1+json", json!({"columns": columns}).to_string()),
        ("text/csv", format!("{}\n{line}\r\n{line}", names.join(","))),
        ("text/csv; charset=utf-8; header=absent", format!("{line}\n{line}\n")),
        ("application/jsonl", format!("{}\n\n{}\n", flower(), json!(flower_values()))),
        ("application/x-ndjson", format!("{}\r\n{}", flower(), flower())),
    ] {
        assert_eq!(ask(media_type, body), want, "{media_type}");
    }
    // Columns of CSV may stand in any order.
    let turned: Vec<&str> = names.iter().rev().copied().collect();
    let turned_values: Vec<&str> = values.iter().rev().map(String::as_str).collect();
    let line = turned_values.join(",");
    assert_eq!(ask("text/csv", format!("{}\n{line}\n{line}", turned.join(","))), want);
}

#[test]
fn every_prediction_has_an_id_of_its_own_that_sorts_by_time() {
    let server = server();
    let ids: Vec<String> = (0..50)
        .map(|_| {
            let reply = predict(&server, "iris", &json!({"rows": [flower()]})).expect(200).json();
            reply["prediction_id"].as_str().unwrap().to_owned()
        })
        .collect();
    for id in &ids {
        assert_eq!((id.len(), id.as_bytes()[14], id.as_bytes()[8]), (36, b'7', b'-'), "{id}");
    }
    // The first 48 bits are the milliseconds; within one the order is open (RFC 9562 §5.7).
    assert!(ids.windows(2).all(|pair| pair[0][..13] <= pair[1][..13]), "{ids:?}");
    let distinct: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
}

#[test]
fn regressions_images_and_models_without_declared_names_answer_too() {
    let server = server();
    let diabetes = server.get("/api/v1/models/diabetes").expect(200).json();
    let row: serde_json::Map<String, Value> = diabetes["features"]
        .as_array()
        .unwrap()
        .iter()
        .map(|feature| (feature["name"].as_str().unwrap().to_owned(), json!(0.01)))
        .collect();
    let reply = predict(&server, "diabetes", &json!({"rows": [row]})).expect(200).json();
    assert!(reply["predictions"][0]["value"].as_f64().unwrap() > 25.0, "{reply}");
    let image = json!([vec![vec![0.0; 8]; 8]]);
    let reply = predict(&server, "digits", &json!({"rows": [{"image": image}, [image]]})).expect(200).json();
    let prediction = &reply["predictions"][1];
    assert_eq!(prediction, &reply["predictions"][0]);
    assert!(prediction["label"].as_str().unwrap().parse::<u8>().unwrap() < 10);
    assert_eq!(prediction["probabilities"].as_object().unwrap().len(), 10);
    assert_eq!(prediction["scores"].as_object().unwrap().len(), 10);
    let names = |input: &str| (0..16).map(|at| format!("{input}_f{at}")).collect::<Vec<_>>();
    let row: serde_json::Map<String, Value> =
        names("INPUT0").into_iter().chain(names("INPUT1")).map(|name| (name, json!(3))).collect();
    let reply = predict(&server, "simple", &json!({"rows": [row]})).expect(200).json();
    assert_eq!(reply["predictions"][0]["outputs"], json!({"OUTPUT0": vec![6; 16], "OUTPUT1": vec![0; 16]}));
    let reply = predict(&server, "simple_string", &json!({"rows": [vec!["4"; 32]]})).expect(200).json();
    assert_eq!(reply["predictions"][0]["outputs"]["OUTPUT0"], json!(vec!["8"; 16]));
}

#[test]
fn what_a_manifest_declares_for_gaps_is_done_and_told() {
    let models = Models::copies(&["iris"]);
    let manifest = std::fs::read_to_string(models.path("iris/model.toml")).unwrap();
    let manifest = manifest
        .replace("name = \"sepal_width\"", "name = \"sepal_width\", default = 3.0")
        .replace("name = \"petal_width\"", "name = \"petal_width\", impute = 1.8");
    models.write("iris/model.toml", manifest);
    let server = Plan::with(models).start();
    let want = predict(&server, "iris", &json!({"rows": [flower()]})).expect(200).json()["predictions"].clone();
    let row = json!({"sepal_length": 6.0, "petal_length": 5.0, "petal_width": null});
    let reply = predict(&server, "iris", &json!({"rows": [row]})).expect(200).json();
    assert_eq!(reply["predictions"], want);
    assert_eq!(reply["filled"], json!(["/rows/0/petal_width", "/rows/0/sepal_width"]));
    assert_eq!(reply["filled_count"], 2);
    let csv = Request::post("/api/v1/models/iris/predict").header("Content-Type", "text/csv");
    let reply = server.send(&csv.body("petal_width,sepal_length,petal_length\n,6,5\n")).expect(200).json();
    assert_eq!(reply["predictions"], want);
    assert_eq!(reply["filled"], json!(["line 2, column \"petal_width\"", "line 2, column \"sepal_width\""]));
    let described = server.get("/api/v1/models/iris").json();
    assert_eq!(
        (&described["features"][1]["required"], &described["features"][1]["default"]),
        (&json!(false), &json!(3.0))
    );
    let typed = server.get("/api/v1/models/iris/openapi.json").json();
    let row = &typed["components"]["schemas"]["Row"];
    assert_eq!(row["required"], json!(["sepal_length", "petal_length", "petal_width"]));
    assert_eq!(row["properties"]["petal_width"]["type"], json!(["number", "null"]));
    // Not `default`, which generated clients would send.
    assert_eq!(
        (row["properties"]["sepal_width"].get("default"), &row["properties"]["sepal_width"]["x-default"]),
        (None, &json!(3.0))
    );
}

#[test]
fn nothing_of_a_csv_is_lost_or_guessed() {
    let models = Models::copies(&["iris"]);
    // Three of the four are filled in, so that a table of one column can be sent.
    let manifest = std::fs::read_to_string(models.path("iris/model.toml")).unwrap();
    let manifest = ["sepal_width", "petal_length", "petal_width"].iter().fold(manifest, |text, name| {
        text.replace(&format!("name = \"{name}\""), &format!("name = \"{name}\", default = 1.0"))
    });
    models.write("iris/model.toml", manifest.replace("name = \"sepal_length\"", "name = \"sepal_length\", impute = 6"));
    let server = Plan::with(models).start();
    let ask = |body: &str| {
        let request = Request::post("/api/v1/models/iris/predict").header("Content-Type", "text/csv").body(body);
        server.send(&request)
    };
    let reply = ask("sepal_length\n1\n\n\"3\"\n").expect(200).json();
    assert_eq!(reply["predictions"].as_array().unwrap().len(), 3, "an empty line of one column is a cell");
    assert!(reply["filled"].as_array().unwrap().contains(&json!("line 3, column \"sepal_length\"")), "{reply}");
    for (body, says) in [
        ("sepal_length\n1\n\n", "line 3"),
        ("sepal_length,petal_width\n1,2\n\n3,4\n", "line 3"),
        ("sepal_length,petal_width\n1,\"4\"5\n", "line 2"),
        ("sepal_length,petal_width\n1,2\n3,\"4", "line 3"),
        ("sepal_length,petal_width\n\"1\n\",x\n2,y\n", "line 2, column \"petal_width\""),
    ] {
        let problem = ask(body).expect(400).json();
        assert_eq!(problem["at"], says, "{body:?}: {problem}");
    }
    assert_eq!(
        ask("sepal_length,petal_width\n1,2\n\n\n").expect(200).json()["predictions"].as_array().unwrap().len(),
        1
    );
}

#[test]
fn a_small_body_cannot_ask_for_much() {
    let server = server();
    // Two columns of 32 hold a number for each of 300,000 rows; all columns would be ten million elements.
    let column = vec![0; 300_000];
    let body = json!({"columns": {"INPUT0_f0": column}});
    let problem = predict(&server, "simple", &body).expect(400).json();
    assert!(problem["detail"].as_str().unwrap().contains("at most 8 rows"), "{problem}");
    let small = Plan::with(Models::copies(&["iris"])).set("limits.tensor_elements_max=1000").start();
    let problem = predict(&small, "iris", &json!({"columns": {"sepal_length": vec![1; 251]}})).expect(400).json();
    assert!(problem["detail"].as_str().unwrap().contains("at most 1000 elements of all inputs"), "{problem}");
}

#[test]
fn models_are_listed_page_by_page_and_filtered() {
    let server = server();
    let names = |query: &str| -> Vec<String> {
        let list = server.get(&format!("/api/v1/models{query}")).expect(200).json();
        list["models"].as_array().unwrap().iter().map(|model| model["name"].as_str().unwrap().to_owned()).collect()
    };
    let all = names("");
    assert_eq!(all, ["diabetes", "digits", "iris", "simple", "simple_string"]);
    assert_eq!(names("?task=regression"), ["diabetes"]);
    assert_eq!(names("?q=IRIS%20spec"), ["iris"]);
    assert_eq!(names("?q=simple&state=ready"), ["simple", "simple_string"]);
    let _ = server.unload("simple").expect(200);
    until("it has gone", || (names("?state=unloaded") == ["simple"]).then_some(()));
    let (mut seen, mut query) = (Vec::new(), "?page_size=2".to_owned());
    loop {
        let page = server.get(&format!("/api/v1/models{query}")).expect(200).json();
        let models = page["models"].as_array().unwrap();
        assert!(models.len() <= 2);
        seen.extend(models.iter().map(|model| model["name"].as_str().unwrap().to_owned()));
        match page.get("next_page_token") {
            Some(token) => query = format!("?page_size=2&page_token={}", token.as_str().unwrap()),
            None => break,
        }
    }
    assert_eq!(seen, all);
    let first = server.get("/api/v1/models/iris/versions?page_size=1").expect(200).json();
    let engine = &server.get("/v2").expect(200).json()["engines"][0];
    assert_eq!(engine["name"], "ort");
    assert_eq!(first["versions"], json!([{"version": "1", "state": "ready", "engine": engine}]));
    let second = server.get("/api/v1/models/iris/versions?page_size=1&page_token=1").expect(200).json();
    assert_eq!(second["versions"], json!([{"version": "2", "state": "ready", "engine": engine}]));
    assert!(second.get("next_page_token").is_none());
}

#[test]
fn a_model_is_described_with_everything_that_a_caller_needs() {
    let server = server();
    let iris = server.get("/api/v1/models/iris").expect(200).json();
    assert_eq!((&iris["version"], &iris["ready_versions"]), (&json!("2"), &json!(["1", "2"])));
    let want = json!({"name": "petal_width", "declared": true, "type": "number", "datatype": "FP32",
        "input": "features", "column": 3, "required": true, "unit": "cm", "description": "Width of a petal",
        "min": 0.0, "max": 30.0});
    assert_eq!(iris["features"][3], want);
    assert_eq!((&iris["outputs"][0]["role"], &iris["outputs"][1]["role"]), (&json!("label"), &json!("probabilities")));
    assert_eq!(server.get("/api/v1/models/iris/versions/1").expect(200).json()["version"], "1");
    assert_eq!(server.get("/api/v1/models/digits").json()["features"][0]["shape"], json!([1, 8, 8]));
    assert_eq!(server.get("/api/v1/models/simple").json()["features"][17]["name"], "INPUT1_f1");
}

#[test]
fn versions_of_the_api_are_negotiated() {
    let server = server();
    let ask = |path: &str, accept: &str| server.send(&Request::get(path).header("Accept", accept));
    let native = ask("/api/v1/models/iris", "application/vnd.candor.v1+json").expect(200);
    assert_eq!(native.header("content-type"), Some("application/vnd.candor.v1+json"));
    let unknown = ask("/api/v1/models/iris", "application/vnd.candor.v2+json").expect(406);
    assert_eq!(unknown.header("content-type"), Some("application/problem+json"));
    assert_eq!(unknown.json()["type"], "/problems/not-acceptable");
    for method in ["GET", "POST", "DELETE"] {
        let moved = server.send(&Request::new(method, "/api/models/iris/predict?x=1")).expect(308);
        assert_eq!(moved.header("location"), Some("/api/v1/models/iris/predict?x=1"));
        assert_eq!(moved.header("deprecation"), Some("@1795219200"));
    }
    let _ = server.get("/api/v9/models").expect(404);
    assert_eq!(server.get("/api/v1/nothing").expect(404).json()["type"], "/problems/not-found");
    let method = server.send(&Request::new("PUT", "/api/v1/models/iris/predict")).expect(405);
    assert_eq!((method.header("allow"), &method.json()["code"]), (Some("POST"), &json!("method_not_allowed")));
    // The Open Inference Protocol keeps its own errors.
    assert!(server.get("/v2/models/irsi").expect(404).error().contains("did you mean 'iris'?"));
}

#[test]
fn every_problem_type_has_a_page_where_it_points() {
    let server = server();
    for (path, status) in [("/api/v1/models/none", 404), ("/api/v1/models?page_size=0", 400)] {
        let problem = server.get(path).expect(status).json();
        let page = server.get(problem["type"].as_str().unwrap()).expect(200).text();
        assert!(page.starts_with(&format!("# {}\n", problem["title"].as_str().unwrap())), "{page}");
    }
    assert!(server.get("/problems/nothing").expect(404).error().contains("invalid-input"));
}

#[test]
fn a_long_answer_is_compressed_for_who_reads_that() {
    let server = server();
    let body = json!({"rows": vec![flower_values(); 200]});
    let plain = predict(&server, "iris", &body).expect(200).json();
    let request = Request::post("/api/v1/models/iris/predict").json(&body).header("Accept-Encoding", "gzip");
    let packed = server.send(&request).expect(200);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let unpacked: Value = serde_json::from_reader(GzDecoder::new(&packed.body[..])).unwrap();
    assert_eq!(unpacked["predictions"], plain["predictions"]);
}

#[test]
fn a_caller_may_limit_the_time() {
    let models = Models::copies(&["iris"]).with_fixture("long_loop");
    let server = Plan::with(models).set("execution.threads=1").start();
    let reply = predict(&server, "long_loop", &json!({"rows": [{"turns": 1_u64 << 40}], "timeout_ms": 200}));
    let reply = reply.expect(503);
    assert_eq!(reply.json()["code"], "deadline_exceeded");
    assert!(reply.error().contains("within 200 ms"), "{}", reply.error());
    let short = predict(&server, "long_loop", &json!({"rows": [{"turns": 2}]})).expect(200).json();
    assert!(short["predictions"][0]["outputs"].is_object(), "{short}");
}

#[test]
fn the_manifest_in_the_documentation_can_be_read() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/API.md")).unwrap();
    let manifest = page.split("```toml").nth(1).unwrap().split("```").next().unwrap();
    let models = Models::copies(&["iris"]).with_file("iris/model.toml", manifest);
    let (status, said) = {
        let server = Plan::with(models).start();
        let reply = server.load("iris");
        (reply.status, reply.text())
    };
    // It is read as far as the graph, which is another's.
    assert_eq!(status, 400);
    assert!(said.contains("the graph has no such name 'x'"), "{said}");
}
