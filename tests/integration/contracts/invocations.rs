//! `/invocations` and its neighbours, as SageMaker's and MLflow's containers have them.

use candor_tests::{Models, Plan, Request};
use serde_json::{Value, json};

use super::{check_refusals, post_text, said, server};

const NAMES: [&str; 4] = ["sepal_length", "sepal_width", "petal_length", "petal_width"];

fn labels(reply: &Value) -> Vec<&str> {
    reply["predictions"].as_array().unwrap().iter().map(|row| row["label"].as_str().unwrap()).collect()
}

#[test]
fn every_form_of_a_table_gives_the_same_predictions() {
    let server = server("off", &["iris", "simple"]);
    let rows = json!([[5.1, 3.5, 1.4, 0.2], [7.2, 3.0, 5.8, 1.6]]);
    let record = |row: &Value| -> Value {
        let pairs = NAMES.iter().zip(row.as_array().unwrap());
        pairs.map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    };
    let records: Vec<Value> = rows.as_array().unwrap().iter().map(record).collect();
    let want = said(server.post("/invocations", &json!({"instances": rows})));
    assert_eq!(labels(&want), ["setosa", "virginica"]);
    assert!(want["predictions"][0]["probabilities"]["setosa"].as_f64().unwrap() > 0.9);
    for body in [
        json!({"dataframe_split": {"index": [0, 1], "columns": NAMES, "data": rows}}),
        json!({"dataframe_split": {"data": rows, "columns": NAMES}, "params": null}),
        json!({"dataframe_records": records}),
        json!({"instances": records}),
        json!({"inputs": rows}),
        json!({"inputs": {"features": rows}}),
    ] {
        assert_eq!(said(server.post("/invocations", &body)), want, "{body}");
    }
    let csv = "5.1,3.5,1.4,0.2\n7.2,3.0,5.8,1.6\n";
    let with_names = format!("{}\n{csv}", NAMES.join(","));
    for (media_type, body) in [
        ("text/csv", csv),
        ("text/csv", &with_names),
        ("text/csv; header=present", &with_names),
        ("text/csv; charset=utf-8; header=absent", csv),
        ("application/jsonlines", "[5.1,3.5,1.4,0.2]\n[7.2,3.0,5.8,1.6]"),
        ("application/json; format=pandas-split", &json!({"instances": rows}).to_string()),
    ] {
        assert_eq!(said(post_text(&server, "/invocations", media_type, body)), want, "{media_type} {body}");
    }
    assert_eq!(said(server.post("/models/iris/invoke", &json!({"instances": rows}))), want);
    assert_eq!(server.get("/ping").status, 200);
    assert_eq!(server.get("/health").status, 200);
    assert_eq!(server.get("/version").expect(200).text(), env!("CARGO_PKG_VERSION"));
}

#[test]
fn what_is_wrong_with_a_table_is_said_where_it_is() {
    let server = server("off", &["iris", "simple"]);
    let split =
        |columns: &str, data: &str| format!("{{\"dataframe_split\":{{\"columns\":{columns},\"data\":{data}}}}}");
    let names = "[\"sepal_length\",\"sepal_width\",\"petal_length\",\"petal_width\"]";
    check_refusals(
        &server,
        &[
            (
                "/invocations",
                "{}",
                400,
                "expected \"instances\", \"inputs\", \"dataframe_split\" or \"dataframe_records\"",
            ),
            ("/invocations", "[[1,2,3,4]]", 400, "invalid type: sequence"),
            ("/invocations", r#"{"dataframe_recods":[]}"#, 400, "did you mean \"dataframe_records\"?"),
            (
                "/invocations",
                r#"{"instances":[[1,2,3,99]]}"#,
                400,
                "/instances/0/3: feature 'petal_width' is out of the",
            ),
            ("/invocations", r#"{"instances":[[1,2,3,4]],"params":{"t":1}}"#, 400, "/params: an ONNX model takes no"),
            (
                "/invocations",
                &split("[\"sepal_lenth\",\"sepal_width\",\"petal_length\",\"petal_width\"]", "[[1,2,3,4]]"),
                400,
                "/dataframe_split/columns/0: the model has no feature \"sepal_lenth\"",
            ),
            (
                "/invocations",
                &split(names, "[[1,2,3,4],[1,2,null,4]]"),
                400,
                "/dataframe_split/data/1/2: feature 'petal_length' has no value",
            ),
            ("/models/irsi/invoke", "{}", 404, "did you mean 'iris'?"),
            ("/models/../invoke", "{}", 400, "model name"),
        ],
    );
    for (media_type, body, status, says) in [
        ("text/csv", "5.1,3.5,1.4\n", 400, "line 1: the line has the wrong number of cells; expected 4 cells, got 3"),
        (
            "text/csv",
            "5.1,3.5,1.4,x\n",
            400,
            "line 1, column \"petal_width\": feature 'petal_width' has the wrong type",
        ),
        (
            "text/csv",
            "sepal_length,sepal_wdith,petal_length,petal_width\n1,2,3,4\n",
            400,
            "did you mean 'sepal_width'?",
        ),
        ("application/jsonlines", "[1,2,3,4]\n[1,2,3]\n", 400, "line 2: the row has the wrong number of values"),
        ("text/csv", "", 400, "there are no rows"),
        ("application/x-npy", "x", 415, "expected application/json, text/csv or application/jsonlines"),
    ] {
        let reply = post_text(&server, "/invocations", media_type, body);
        assert_eq!(reply.status, status, "{media_type} {body}: {}", reply.text());
        assert!(reply.error().contains(says), "{media_type} {body}: {}", reply.error());
    }
    server.stop_and_expect_clean();
}

#[test]
fn a_gap_that_is_filled_is_told_in_a_header() {
    let manifest = "[[inputs]]\nname = \"features\"\nfeatures = [{ name = \"a\" }, { name = \"b\" }, { name = \"c\" }, \
                    { name = \"d\", impute = 0.2 }]\n";
    let models = Models::copies(&["iris"]).with_file("iris/model.toml", manifest);
    let server = Plan::with(models).with_contracts("off").start();
    let ask = |rows: Value| server.post("/invocations", &json!({"instances": rows})).expect(200);
    let filled = ask(json!([[5.1, 3.5, 1.4, null], [5.1, 3.5, 1.4, null]]));
    assert_eq!(filled.header("candor-filled"), Some("2"));
    assert_eq!(ask(json!([[5.1, 3.5, 1.4, 0.2]])).header("candor-filled"), None);
}

#[test]
fn a_path_without_a_model_means_the_only_one() {
    let plan = |models: &[&str]| Plan::with(Models::copies(models)).set("contracts.invocations=true");
    let flower = json!({"instances": [[5.1, 3.5, 1.4, 0.2]]});
    let server = plan(&["iris"]).start();
    assert_eq!(labels(&said(server.post("/invocations", &flower))), ["setosa"]);
    assert_eq!(server.unload("iris").status, 200);
    let error = server.post("/invocations", &flower).expect(503).error();
    assert!(error.contains("no model is ready"), "{error}");
    let server = plan(&["iris", "simple"]).start();
    let error = server.post("/invocations", &flower).expect(400).error();
    assert!(error.contains("2 models are ready, and the path names none; set contracts.default_model"), "{error}");
    let server = plan(&["iris", "simple"]).set("contracts.default_model=irsi").start();
    assert_eq!(server.post("/invocations", &flower).status, 404);
}

#[test]
fn models_are_listed_loaded_and_unloaded_in_sagemakers_words() {
    let server = server("off", &["iris", "simple"]);
    let row = |name: &str| json!({"modelName": name, "modelUrl": name});
    assert_eq!(server.get("/models").expect(200).json(), json!({"models": [row("iris"), row("simple")]}));
    assert_eq!(server.send(&Request::new("DELETE", "/models/iris")).status, 200);
    assert_eq!(server.get("/models").expect(200).json(), json!({"models": [row("simple")]}));
    assert_eq!(server.get("/models/iris").status, 503);
    assert_eq!(server.post("/models/iris/invoke", &json!({"instances": [[1, 2, 3, 4]]})).status, 503);
    let folder = server.models().root().join("iris");
    for url in [json!(null), json!("iris"), json!(folder)] {
        assert_eq!(server.post("/models", &json!({"model_name": "iris", "url": url})).status, 200, "{url}");
    }
    assert_eq!(server.get("/models/iris").expect(200).json(), row("iris"));
    check_refusals(
        &server,
        &[
            (
                "/models",
                r#"{"model_name":"iris","url":"s3://elsewhere/iris"}"#,
                501,
                "models come from the model repository",
            ),
            ("/models", r#"{"model_name":"iris","url":"../iris"}"#, 501, "/url: models come from the model repository"),
            ("/models", r#"{"model_name":"../iris"}"#, 400, "model name"),
            ("/models", r#"{"model_name":"nothing"}"#, 404, "nothing"),
            ("/models", r#"{"name":"iris"}"#, 400, "unknown field `name`"),
            ("/models", "", 400, "such as {\"model_name\": \"iris\"}"),
        ],
    );
    assert_eq!(server.send(&Request::new("DELETE", "/models/nothing")).status, 404);
    server.stop_and_expect_clean();
}

#[test]
fn a_ping_while_models_load_says_not_yet() {
    let plan = Plan::with(Models::copies(&["iris", "breast_cancer"])).with_contracts("off").without_waiting();
    let server = plan.start();
    // Whichever came first, the two agree once it is ready.
    candor_tests::until("it is ready", || (server.get("/ping").status == 200).then_some(()));
    assert_eq!(server.get("/v2/health/ready").status, 200);
    assert!(server.get("/ping").body.is_empty());
}
