//! `candor infer`: what it sends, how it prints answers, and how it tells what went wrong.
//!
//! Against the server itself; and against a stub, for what was sent and for answers of others.

use std::fs;

use candor_domain::Access;
use candor_tests::{
    Plan, Stub, TestServer,
    process::{self, Said},
    server::token_of,
    stub::Asked,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::lifecycle::BINARY;

/// An answer as the contract of the route has it.
fn answer() -> String {
    json!({
        "id": "x", "prediction_id": "01890000-0000-7000-8000-000000000000", "model": "iris", "version": "2",
        "engine": {"name": "onnxruntime", "version": "1.31.1"},
        "predictions": [
            {"label": "setosa", "probabilities": {"setosa": 0.9976472, "versicolor": 0.002352764, "virginica": 2.9242033e-13}},
            {"label": "virginica", "probabilities": {"setosa": 1e-9, "versicolor": 0.25, "virginica": 0.75}},
        ],
        "filled": ["/rows/1/petal_width"],
        "timings_ms": {"queue": 0.0, "decode": 0.01, "run": 0.03},
    })
    .to_string()
}

/// Runs `infer` against a stub that gives one answer.
fn ask(args: &[&str], status: u16, body: &str, input: &str) -> (Said, Asked) {
    let media_type = if status == 200 { "application/json" } else { "application/problem+json" };
    let stub = Stub::answering(&[(status, media_type, body)]);
    let url = stub.url();
    let args = [&["infer", "iris"], args, &["--server", &url]].concat();
    let mut said = process::run_with_input(BINARY, &args, &[], input);
    said.err = said.err.replace(&url, "<server>");
    (said, stub.asked().remove(0))
}

fn sent(asked: &Asked) -> Value {
    serde_json::from_str(&asked.body).unwrap()
}

#[test]
fn one_row_on_the_command_line_is_one_row_of_json() {
    let (said, asked) = ask(&["sepal_length=5.1", "kind=red", "--timeout-ms", "250"], 200, &answer(), "");
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert_eq!(asked.line, "POST /api/v1/models/iris/predict");
    assert_eq!(asked.header("content-type"), Some("application/json"));
    assert_eq!(asked.header("authorization"), None);
    assert_eq!(sent(&asked), json!({"rows": [{"sepal_length": 5.1, "kind": "red"}], "timeout_ms": 250}));
    // Elsewhere than on a terminal it prints what the server said.
    assert_eq!(serde_json::from_str::<Value>(&said.out).unwrap(), serde_json::from_str::<Value>(&answer()).unwrap());
}

#[test]
fn answers_are_printed_as_a_table_or_as_csv() {
    let (said, asked) = ask(&["a=1", "--output", "table", "--version", "2"], 200, &answer(), "");
    assert_eq!(asked.line, "POST /api/v1/models/iris/versions/2/predict");
    insta::assert_snapshot!("infer_table", said.out);
    let (said, _) = ask(&["a=1", "--output", "csv"], 200, &answer(), "");
    insta::assert_snapshot!("infer_csv", said.out);
}

#[test]
fn files_are_sent_as_what_they_are() {
    let folder = TempDir::new().unwrap();
    let csv = "sepal_length,sepal_width\n5.1,3.5\n";
    let jsonl = "{\"a\":1}\n{\"a\":2}\n";
    let body = "{\"columns\":{\"a\":[1,2]},\"id\":\"x\"}";
    for (name, content, media_type) in [
        ("rows.csv", csv, "text/csv"),
        ("rows.jsonl", jsonl, "application/jsonl"),
        ("rows.json", body, "application/json"),
    ] {
        let file = folder.path().join(name);
        fs::write(&file, content).unwrap();
        let (said, asked) = ask(&["--input", file.to_str().unwrap()], 200, &answer(), "");
        assert_eq!(said.code, Some(0), "{}", said.err);
        assert_eq!(asked.header("content-type"), Some(media_type), "{name}");
        if media_type == "application/json" {
            assert_eq!(sent(&asked), serde_json::from_str::<Value>(content).unwrap());
        } else {
            assert_eq!(asked.body, content, "{name}");
        }
        // The same through a pipe, where the look must tell.
        let (_, asked) = ask(&["--input", "-"], 200, &answer(), content);
        assert_eq!(asked.header("content-type"), Some(media_type), "{name}");
    }
    let (_, asked) = ask(&["--input", "-", "--no-header", "--input-format", "csv"], 200, &answer(), "1,2\n");
    assert_eq!(asked.header("content-type"), Some("text/csv; header=absent"));
    let (_, asked) = ask(&["-i", "-"], 200, &answer(), "[[1, 2], [3, 4]]");
    assert_eq!(sent(&asked), json!({"rows": [[1, 2], [3, 4]]}));
}

#[test]
fn the_token_comes_from_a_file_or_from_the_environment() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, "from-a-file\n").unwrap();
    let (_, asked) = ask(&["a=1", "--token-file", file.to_str().unwrap()], 200, &answer(), "");
    assert_eq!(asked.header("authorization"), Some("Bearer from-a-file"));
    let said = process::run(BINARY, &["infer", "iris", "a=1", "--token-file", "/nowhere"], &[]);
    assert_eq!(said.code, Some(2));
    insta::assert_snapshot!("infer_no_token_file", said.err);
}

#[test]
fn problems_are_told_with_place_expectation_and_help() {
    let one = json!({"type": "/problems/invalid-input", "title": "The input is wrong", "status": 400,
        "detail": "unknown feature 'sepal_lenght'; expected one of a, b", "code": "invalid_input", "pointer": "/rows/0/sepal_lenght",
        "expected": "one of a, b", "hint": "did you mean 'sepal_length'?"});
    let (said, _) = ask(&["sepal_lenght=1"], 400, &one.to_string(), "");
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    insta::assert_snapshot!("infer_problem", said.err);
    let many = json!({"title": "The input is wrong", "status": 400, "detail": "2 problems", "code": "invalid_input",
    "errors": [
        {"detail": "feature 'sepal_width' is missing", "pointer": "/rows/0", "expected": "a number from 0 to 30 (cm)"},
        {"detail": "feature 'petal_width' is out of the declared range", "pointer": "/rows/0/petal_width",
         "expected": "a number from 0 to 30 (cm)", "got": "31"},
    ]});
    let (said, _) = ask(&["sepal_length=1"], 400, &many.to_string(), "");
    assert_eq!(said.code, Some(1));
    insta::assert_snapshot!("infer_problems", said.err);
}

#[test]
fn a_server_that_is_not_there_or_is_another_is_told_apart() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let said = process::run(BINARY, &["infer", "iris", "a=1", "--server", &gone.to_string()], &[]);
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    insta::assert_snapshot!("infer_unreachable", said.err.replace(&gone.to_string(), "<server>"));
    let (said, _) = ask(&["a=1"], 404, "<html>not found</html>", "");
    assert_eq!(said.code, Some(1));
    insta::assert_snapshot!("infer_stranger", said.err);
    let (said, _) = ask(&["a=1"], 404, "{\"error\": \"there is no such route\"}", "");
    assert_eq!((said.code, said.err.as_str()), (Some(1), "error: there is no such route\n"));
}

#[test]
fn wrong_arguments_are_refused_before_anything_is_sent() {
    for (name, args, input) in [
        ("infer_no_rows", &["iris"][..], ""),
        ("infer_no_value", &["iris", "sepal_length"], ""),
        ("infer_https", &["iris", "a=1", "--server", "https://example.test"], ""),
        ("infer_no_file", &["iris", "--input", "/nowhere/rows.csv"], ""),
        ("infer_empty_input", &["iris", "--input", "-"], "\n"),
        ("infer_broken_json", &["iris", "--input", "-"], "{\"rows\": ["),
        ("infer_bad_name", &["../iris", "a=1"], ""),
        ("infer_bad_version", &["iris", "a=1", "--version", "v2"], ""),
        ("infer_row_and_file", &["iris", "a=1", "--input", "rows.csv"], ""),
    ] {
        let said = process::run_with_input(BINARY, &[&["infer"], args].concat(), &[("COLUMNS", "100")], input);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{name}: {}", said.err);
        insta::assert_snapshot!(name, said.err);
    }
}

/// Runs `infer` against a server; its address, times and ids left out.
fn infer(server: &TestServer, args: &[&str], env: &[(&str, &str)], input: &str) -> Said {
    let url = format!("http://{}", server.addr());
    let mut said = process::run_with_input(BINARY, &[&["infer"], args, &["--server", &url]].concat(), env, input);
    said.err = said.err.replace(&url, "<server>");
    let origin = said.out.lines().find(|line| line.contains(", prediction ")).map(str::to_owned);
    if let Some(origin) = origin {
        let who = origin.split_once(", ").unwrap().0;
        said.out = said.out.replace(&origin, &format!("{who}, <engine, times, id>"));
    }
    said
}

#[test]
fn the_server_answers_every_form_of_the_same_rows_alike() {
    let server = TestServer::start();
    let wanted = infer(&server, &["iris", "-i", "-"], &[], "[[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]");
    assert_eq!((wanted.code, wanted.err.as_str()), (Some(0), ""));
    let predictions = |said: &Said| serde_json::from_str::<Value>(&said.out).unwrap()["predictions"].clone();
    assert_eq!(predictions(&wanted)[1]["label"], "virginica");
    let csv = "sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n";
    let jsonl =
        "[5.1,3.5,1.4,0.2]\n{\"petal_width\":2.3,\"sepal_length\":6.7,\"sepal_width\":3.0,\"petal_length\":5.2}\n";
    let columns = "{\"columns\":{\"sepal_length\":[5.1,6.7],\"sepal_width\":[3.5,3.0],\"petal_length\":[1.4,5.2],\"petal_width\":[0.2,2.3]}}";
    for (more, input) in [
        (&[][..], csv),
        (&[], jsonl),
        (&["--timeout-ms", "10000"], jsonl),
        (&[], columns),
        (&["--timeout-ms", "10000"], columns),
        (&["--no-header", "--input-format", "csv"], "5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n"),
    ] {
        let said = infer(&server, &[&["iris", "-i", "-"], more].concat(), &[], input);
        assert_eq!(said.code, Some(0), "{input}: {}", said.err);
        assert_eq!(predictions(&said), predictions(&wanted), "{input}");
    }
    let row = ["iris", "sepal_length=6.7", "sepal_width=3", "petal_length=5.2", "petal_width=2.3", "-o", "table"];
    let said = infer(&server, &row, &[], "");
    assert_eq!(said.code, Some(0), "{}", said.err);
    insta::assert_snapshot!("served_row", said.out);
    let table = infer(
        &server,
        &["digits_rows", "-i", "-", "-o", "table"],
        &[],
        &json!([{"rows": [vec![0; 8], vec![9; 8]]}]).to_string(),
    );
    assert_eq!(table.code, Some(0), "{}", table.err);
    insta::assert_snapshot!("served_many_classes", table.out);
    server.stop_and_expect_clean();
}

#[test]
fn what_the_server_refuses_is_told_as_it_tells_it() {
    let server = TestServer::start();
    for (name, args, input) in [
        (
            "refused_misspelt",
            &["iris", "sepal_lenght=5.1", "sepal_width=3.5", "petal_length=1.4", "petal_width=0.2"][..],
            "",
        ),
        ("refused_csv", &["iris", "-i", "-"], "sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,x,0.2\n"),
        ("refused_model", &["irsi", "a=1"], ""),
    ] {
        let said = infer(&server, args, &[], input);
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{name}");
        insta::assert_snapshot!(name, said.err);
    }
    // Every problem has a block of its own; how each is worded is the server's.
    let said = infer(&server, &["iris", "-i", "-"], &[], "[{\"sepal_length\": 99, \"sepal_width\": \"wide\"}]");
    assert_eq!(said.code, Some(1));
    let blocks: Vec<&str> = said.err.split("\n\n").collect();
    assert_eq!(blocks.len(), 5, "{}", said.err);
    assert!(
        blocks[..4].iter().all(|block| block.starts_with("error[invalid_input]: ") && block.contains("  --> /rows/0"))
    );
    assert_eq!(blocks[4], "error: 4 problems\n");
}

#[test]
fn a_server_with_tokens_is_asked_with_one() {
    let server = Plan::default().with_tokens().start();
    let row = ["iris", "sepal_length=5.1", "sepal_width=3.5", "petal_length=1.4", "petal_width=0.2"];
    let without = infer(&server, &row, &[], "");
    assert_eq!(without.code, Some(1));
    assert!(without.err.starts_with("error[unauthenticated]: "), "{}", without.err);
    let token = token_of(Access::Infer);
    let with = infer(&server, &row, &[("CANDOR_TOKEN", &token)], "");
    assert_eq!((with.code, with.err.as_str()), (Some(0), ""));
}

#[test]
fn filled_gaps_are_told_beside_a_csv() {
    let (said, _) = ask(&["a=1", "--output", "csv"], 200, &answer(), "");
    assert_eq!(said.err, "! filled in as model.toml says: /rows/1/petal_width\n");
    assert!(said.out.starts_with("row,label,"), "{}", said.out);
}

#[test]
fn no_time_limit_may_be_asked_for() {
    let (said, asked) = ask(&["a=1", "--timeout-ms", "0"], 200, &answer(), "");
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(sent(&asked)["timeout_ms"], 0);
    let server = TestServer::start();
    let url = format!("http://{}", server.addr());
    let row = ["sepal_length=5.1", "sepal_width=3.5", "petal_length=1.4", "petal_width=0.2"];
    let said =
        process::run(BINARY, &[&["infer", "iris"], &row[..], &["--timeout-ms", "0", "--server", &url]].concat(), &[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
}

#[test]
fn who_has_no_token_is_told_how_to_give_one_here() {
    let server = Plan::with(candor_tests::Models::copies(&["iris"])).with_tokens().start();
    let url = format!("http://{}", server.addr());
    let ask =
        |token: &str| process::run(BINARY, &["infer", "iris", "a=1", "--server", &url], &[("CANDOR_TOKEN", token)]);
    let said = ask("");
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("help: --token-file FILE, or the variable CANDOR_TOKEN"), "{}", said.err);
    assert!(!said.err.contains("Bearer"), "{}", said.err);
    assert!(ask("wrong").err.contains("does not know the token of --token-file or CANDOR_TOKEN"));
}

#[test]
fn tables_that_pandas_splits_are_rows_and_those_without_commas_are_refused() {
    let table = r#"{"columns":["a","b"],"index":[0,1],"data":[[1,"x"],[2,"y"]]}"#;
    let (said, asked) = ask(&["-i", "-"], 200, &answer(), table);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(sent(&asked), json!({"rows": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]}));
    let folder = TempDir::new().unwrap();
    for (name, content, says) in [
        (
            "rows.csv",
            "a;b\n5,1;2\n",
            "its columns are parted by semicolons: the first line would be one column, \"a;b\"",
        ),
        ("rows.tsv", "a\tb\n5.1\t2\n", "its columns are parted by tabs"),
    ] {
        let file = folder.path().join(name);
        fs::write(&file, content).unwrap();
        let said = process::run(BINARY, &["infer", "iris", "--input", file.to_str().unwrap()], &[]);
        assert_eq!(said.code, Some(2), "{}", said.err);
        assert!(said.err.contains(says) && said.err.contains("write it with commas"), "{}", said.err);
    }
}
