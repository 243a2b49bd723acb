//! `candor model`: what it says of the sample models, of broken ones, and of those on a server.

use std::fs;

use candor_tests::{
    Models, Plan, Stub, TestServer,
    models::{fixture, sample, samples},
    process::{self, Said},
    server::library,
};
use serde_json::{Value, json};

use super::lifecycle::BINARY;

fn run(args: &[&str]) -> Said {
    let library = library();
    // It is not where a binary would look for it when tests are built elsewhere.
    process::run(BINARY, args, &[("CANDOR_ENGINE_ORT_LIBRARY", library.to_str().unwrap())])
}

/// What was said, without what differs from machine to machine.
fn steady(text: &str, models: &str) -> String {
    let full = fs::canonicalize(models).unwrap();
    let mut steady = String::new();
    for line in text.replace(full.to_str().unwrap(), "<models>").replace(models, "<models>").lines() {
        let line = match line.split_once(" ms a row") {
            Some((before, after)) => {
                let number = before.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
                format!("{number}<time> ms a row{after}")
            }
            // What a second engine can do, and how near it comes, is no matter of the command line.
            None if line.trim_start().starts_with("✓ cross-check ") => "    ✓ cross-check  <cross-check>".to_owned(),
            None => line.to_owned(),
        };
        steady.push_str(&line);
        steady.push('\n');
    }
    // The library is not pinned by what is committed here.
    let engine = |line: &str| {
        let from = line.find("engine ")? + "engine ".len();
        Some(line.get(from..)?.trim().to_owned()).filter(|engine| engine.starts_with("ort "))
    };
    let version = steady.lines().find_map(engine);
    let steady = steady.replace(concat!("native ", env!("CARGO_PKG_VERSION")), "native <version>");
    version.map_or(steady.clone(), |version| steady.replace(&version, "<engine>"))
}

/// A repository with one fault in each model.
fn broken() -> Models {
    let golden = fs::read_to_string(samples().join("iris/1/golden.json")).unwrap().replace("0.9809737", "0.5");
    Models::copies(&["simple"])
        .with_file("wrong_golden/1/model.onnx", sample("iris", "1"))
        .with_file("wrong_golden/1/golden.json", golden)
        .with_file("contradicts/1/model.onnx", sample("iris", "1"))
        .with_file("contradicts/model.toml", "[[inputs]]\nname = \"featurs\"\n")
        .with_file("range/1/model.onnx", sample("iris", "1"))
        .with_file(
            "range/model.toml",
            "[[inputs]]\nname = \"features\"\nfeatures = [{ name = \"a\", min = 3, max = 1 }, { name = \"b\" }, \
             { name = \"c\" }, { name = \"d\" }]\n",
        )
        .with_file("misspelt/1/model.onnx", sample("iris", "1"))
        .with_file("misspelt/model.toml", "title = \"x\"\nlicense = \"MIT\"\n")
        .with_file("garbage/1/model.onnx", "this is no graph")
        .with_file("empty/1/model.onnx", "")
        .with_file("no_version/v1/model.onnx", sample("iris", "1"))
        .with_file("no_version/model.toml", "title = \"x\"\n")
        .with_file("bare/1/model.onnx", sample("iris", "1"))
        .with_file("bare/v2/model.onnx", sample("iris", "2"))
        .with_file("policy/1/model.onnx", sample("iris", "1"))
        .with_file("policy/model.toml", "versions = [\"3\"]\n")
        .with_file("maps/1/model.onnx", fixture("refused_sequence"))
        .with_file("notes/README.md", "no model")
}

fn steady_run(args: &[&str], models: &str, code: i32) -> String {
    let said = run(args);
    assert_eq!((said.code, said.err.as_str()), (Some(code), ""), "{}", said.out);
    steady(&said.out, models)
}

#[test]
fn the_sample_models_are_listed_without_loading() {
    let root = samples();
    let root = root.to_str().unwrap();
    insta::assert_snapshot!("list_samples", steady_run(&["model", "list", root], root, 0));
    let listed: Value = serde_json::from_str(&run(&["model", "list", root, "--json"]).out).unwrap();
    let iris = listed["models"].as_array().unwrap().iter().find(|model| model["name"] == "iris").unwrap();
    assert_eq!((&iris["title"], &iris["problems"]), (&json!("Iris species"), &json!([])));
    assert_eq!(iris["versions"][1]["version"], "2");
    // No engine is needed.
    let said = run(&["model", "list", root, "--ort-library", "/nowhere.so"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
}

#[test]
fn what_is_wrong_with_a_folder_is_listed_too() {
    let models = broken();
    let root = models.root().to_str().unwrap();
    insta::assert_snapshot!("list_broken", steady_run(&["model", "list", root], root, 0));
    insta::assert_snapshot!("list_empty", {
        let none = Models::none();
        let root = none.root().to_str().unwrap();
        steady_run(&["model", "list", root], root, 0)
    });
    let said = run(&["model", "list", "/nowhere/at/all"]);
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    insta::assert_snapshot!("list_nowhere", said.err);
}

#[test]
fn a_model_is_shown_with_a_request_to_paste() {
    let root = samples();
    let root = root.to_str().unwrap();
    for (name, args) in [
        ("show_iris", &["iris"][..]),
        ("show_iris_1", &["iris", "--version", "1"]),
        ("show_digits", &["digits"]),
        ("show_simple", &["simple"]),
    ] {
        let args = [&["model", "show"], args, &[root]].concat();
        insta::assert_snapshot!(name, steady_run(&args, root, 0));
    }
    let shown: Value = serde_json::from_str(&run(&["model", "show", "iris", root, "--json"]).out).unwrap();
    assert_eq!(shown["features"][0]["name"], "sepal_length");
    assert_eq!(shown["features"][0]["max"], 30.0);
    assert_eq!(shown["outputs"][0]["role"], "label");
}

#[test]
fn what_is_not_there_is_answered_with_what_is() {
    let root = samples();
    let root = root.to_str().unwrap();
    for (name, code, args) in [
        ("show_unknown_model", 1, &["irsi", root][..]),
        ("show_unknown_version", 1, &["iris", root, "--version", "7"]),
        ("show_no_name", 2, &["../iris", root]),
    ] {
        let said = run(&[&["model", "show"], args].concat());
        assert_eq!((said.code, said.out.as_str()), (Some(code), ""), "{name}");
        insta::assert_snapshot!(name, said.err);
    }
}

#[test]
fn nothing_is_wrong_with_the_sample_models() {
    let root = samples();
    let root = root.to_str().unwrap();
    insta::assert_snapshot!("check_samples", steady_run(&["model", "check", root], root, 0));
}

#[test]
fn every_fault_of_a_model_is_named_and_the_exit_code_says_so() {
    let models = broken();
    let root = models.root().to_str().unwrap();
    let said = run(&["model", "check", root]);
    assert_eq!(said.code, Some(1), "{}", said.err);
    insta::assert_snapshot!("check_broken", steady(&said.out, root));
    let report: Value = serde_json::from_str(&run(&["model", "check", root, "--json"]).out).unwrap();
    assert!(report["failed"].as_u64().unwrap() >= 7, "{report}");
    let wrong = report["models"].as_array().unwrap().iter().find(|model| model["model"] == "wrong_golden").unwrap();
    let checks = wrong["versions"][0]["checks"].as_array().unwrap();
    let golden: Vec<&Value> = checks.iter().filter(|check| check["check"] == "golden").collect();
    assert_eq!(golden.len(), 1, "the other pairs are right");
    assert_eq!(golden[0]["mark"], "fail");
    assert!(golden[0]["text"].as_str().unwrap().contains("4 of 5 pairs"), "{}", golden[0]);
}

#[test]
fn a_path_may_be_a_repository_a_model_or_a_version() {
    let models = Models::copies(&["iris"]).with_file("flat/model.onnx", sample("iris", "1"));
    let versions = |path: &str| {
        let path = models.path(path);
        let said = run(&["model", "check", path.to_str().unwrap(), "--json"]);
        assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
        let report: Value = serde_json::from_str(&said.out).unwrap();
        let of = |model: &Value| {
            let versions = model["versions"].as_array().unwrap().iter();
            versions.map(|version| format!("{}/{}", model["model"], version["version"]).replace('"', "")).collect()
        };
        report["models"].as_array().unwrap().iter().flat_map(|model| -> Vec<String> { of(model) }).collect::<Vec<_>>()
    };
    assert_eq!(versions(""), ["flat/1", "iris/1", "iris/2"]);
    assert_eq!(versions("iris"), ["iris/1", "iris/2"]);
    assert_eq!(versions("iris/2"), ["iris/2"]);
    assert_eq!(versions("flat"), ["flat/1"]);
    models.write("empty/notes.txt", "x");
    for (path, says) in [
        ("nowhere", "cannot open"),
        ("iris/model.toml", "is neither a folder nor an ONNX file"),
        ("empty", "holds no model"),
    ] {
        let path = models.path(path);
        let said = run(&["model", "check", path.to_str().unwrap()]);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{says}");
        assert!(said.err.contains(says), "{}", said.err);
    }
}

#[test]
fn a_servers_models_are_listed_over_all_pages() {
    let first = json!({"models": [{"name": "iris", "title": "Iris species", "task": "classification", "state": "ready",
        "versions": [{"version": "1", "state": "ready", "engine": {"name": "native", "version": "0"}}, {"version": "2", "state": "loading"}]}],
        "next_page_token": "a/b="});
    let second = json!({"models": [{"name": "sick", "state": "failed",
        "versions": [{"version": "1", "state": "failed", "reason": "golden case 'x' failed"}]}]});
    let pages = [(200, "application/json", first.to_string()), (200, "application/json", second.to_string())];
    let answers: Vec<_> =
        pages.iter().map(|(status, media_type, body)| (*status, *media_type, body.as_str())).collect();
    let stub = Stub::answering(&answers);
    let url = stub.url();
    let said = process::run(BINARY, &["model", "list", "--server", &url], &[("CANDOR_TOKEN", "secret")]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    insta::assert_snapshot!("list_server", said.out.replace(&url, "<server>"));
    let asked = stub.asked();
    let lines: Vec<&str> = asked.iter().map(|asked| asked.line.as_str()).collect();
    assert_eq!(lines, ["GET /api/v1/models", "GET /api/v1/models?page_token=a%2Fb%3D"]);
    assert_eq!(asked[1].header("authorization"), Some("Bearer secret"));
    assert_eq!(asked[0].header("accept"), Some("application/vnd.candor.v1+json"));
}

#[test]
fn a_server_and_its_folder_describe_a_model_alike() {
    let server = TestServer::start();
    let url = format!("http://{}", server.addr());
    let root = samples();
    let described = |args: &[&str]| {
        let said = run(&[&["model", "show", "iris", "--json"], args].concat());
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{args:?}");
        let mut description: Value = serde_json::from_str(&said.out).unwrap();
        let object = description.as_object_mut().unwrap();
        // What only one of the two can know.
        for key in ["load_ms", "state", "batching", "batch_invariant", "breaker", "cross_check", "inputs", "versions"] {
            object.remove(key);
        }
        description
    };
    let of_server = described(&["--server", &url]);
    assert_eq!(of_server["features"][3]["name"], "petal_width");
    assert_eq!(described(&[root.to_str().unwrap()]), of_server);
    assert_eq!(described(&["--server", &url, "--version", "1"])["version"], "1");
    let said = run(&["model", "show", "irsi", "--server", &url]);
    assert_eq!(said.code, Some(1));
    insta::assert_snapshot!("show_unknown_on_server", said.err);
    let shown = run(&["model", "show", "iris", "--server", &url]).out.replace(&url, "<server>");
    assert!(shown.contains("curl <server>/api/v1/models/iris/predict"), "{shown}");
    assert!(shown.contains("sepal_length  number  cm    0 to 30"), "{shown}");
}

#[test]
fn the_request_to_paste_is_answered() {
    let server = TestServer::start();
    let root = samples();
    for model in ["iris", "digits", "digits_rows", "simple", "simple_identity", "diabetes"] {
        let shown = run(&["model", "show", model, root.to_str().unwrap()]).out;
        let body = shown.split_once("-d '").unwrap().1.split_once('\'').unwrap().0;
        let reply = server.post(&format!("/api/v1/models/{model}/predict"), &serde_json::from_str(body).unwrap());
        assert_eq!(reply.status, 200, "{model}: {body}");
    }
}

#[test]
fn a_servers_models_are_listed_with_what_is_wrong_with_them() {
    let models = Models::copies(&["iris"])
        .with_file("contradicts/1/model.onnx", sample("iris", "1"))
        .with_file("contradicts/model.toml", "[[inputs]]\nname = \"featurs\"\n");
    let server = Plan::with(models).start();
    let url = format!("http://{}", server.addr());
    let said = run(&["model", "list", "--server", &url]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    insta::assert_snapshot!("list_real_server", said.out.replace(&url, "<server>"));
}

/// What would name a terminal's window, clear it, and turn text around.
const STEERING: &str = "\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}x";

/// Whether nothing in it but our own styles steers a terminal.
fn is_tame(said: &Said) -> bool {
    let all = format!("{}{}", said.out, said.err);
    let left = all.replace("\u{1b}[", "");
    !left.contains(|char: char| (char.is_control() && char != '\n') || char == '\u{202e}')
}

#[test]
fn no_text_of_others_steers_the_terminal() {
    let written = STEERING.replace('\u{1b}', "\\u001b").replace('\u{7}', "\\u0007").replace('\u{9b}', "\\u009b");
    let toml = format!("title = \"{written}\"\n[[inputs]]\nname = \"features\"\ndescription = \"{written}\"\n");
    let models = Models::none().with_file("iris/1/model.onnx", sample("iris", "1")).with_file("iris/model.toml", &toml);
    let root = models.root().to_str().unwrap();
    for args in [&["show", "iris", root][..], &["list", root], &["show", "iris", root, "--json"], &["check", root]] {
        let said = run(&[&["--color=always", "model"], args].concat());
        assert_eq!(said.code, Some(0), "{args:?}: {}", said.err);
        assert!(is_tame(&said), "{args:?}: {:?}", said.out);
        assert!(args[0] == "check" || said.out.contains("]0;owned"), "{args:?}: {}", said.out);
    }
    let shown: Value = serde_json::from_str(&run(&["model", "show", "iris", root, "--json"]).out).unwrap();
    assert_eq!(shown["title"], STEERING);

    let model = json!({"name": STEERING, "title": STEERING, "version": STEERING, "task": STEERING, "state": STEERING,
        "reason": STEERING, "features": [{"name": STEERING, "type": STEERING, "categories": [STEERING]}],
        "outputs": [{"name": STEERING, "labels": [STEERING]}], "properties": {STEERING: STEERING}});
    let problem = json!({"detail": STEERING, "code": STEERING, "pointer": STEERING, "got": STEERING, "hint": STEERING});
    for (args, status, body) in [
        (&["show", "iris"][..], 200, model.to_string()),
        (&["list"], 200, json!({ "models": [model] }).to_string()),
        (&["list"], 400, problem.to_string()),
        (&["list"], 500, STEERING.to_owned()),
    ] {
        let stub = Stub::answering(&[(status, "application/json", &body)]);
        let said = run(&[&["--color=always", "model"], args, &["--server", &stub.url()]].concat());
        assert!(is_tame(&said), "{args:?}: {:?} {:?}", said.out, said.err);
        assert!(format!("{}{}", said.out, said.err).contains("]0;owned"), "{args:?}");
        assert_eq!(stub.asked().len(), 1);
    }
}

#[test]
fn a_line_to_paste_holds_what_was_asked_and_not_what_was_answered() {
    for features in [json!([]), json!([{"name": "a'; b", "type": "number"}])] {
        let answer = json!({"name": "iris; rm -rf ~ #", "version": "1", "features": features}).to_string();
        let stub = Stub::answering(&[(200, "application/json", &answer)]);
        let said = run(&["model", "show", "iris", "--server", &stub.url()]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        assert!(!said.out.contains("rm -rf"), "{}", said.out);
        assert!(said.out.contains("/models/iris/"), "{}", said.out);
        assert_eq!(stub.asked().len(), 1);
    }
}

#[test]
fn a_token_is_trimmed_and_judged_before_anything_is_sent_and_secrets_are_not_shown() {
    let page = json!({"models": []}).to_string();
    let stub = Stub::answering(&[(200, "application/json", &page)]);
    let said = process::run(BINARY, &["model", "list", "--server", &stub.url()], &[("CANDOR_TOKEN", " secret\n")]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(stub.asked()[0].header("authorization"), Some("Bearer secret"));

    let folder = Models::none().with_file("token", "hidden words\n").with_file("empty", "\n");
    let (bad, empty) = (folder.path("token"), folder.path("empty"));
    let (bad, empty) = (bad.to_str().unwrap(), empty.to_str().unwrap());
    let list = ["model", "list", "--server"];
    for (args, variable, says) in [
        (&["127.0.0.1:1", "--token-file", bad][..], "", "the token has a character that no token has"),
        (&["127.0.0.1:1", "--token-file", empty], "", "there is no token"),
        (&["127.0.0.1:1"], "hidden\nwords", "the token has a character that no token has"),
        (&["http://user:hidden@127.0.0.1:1"], "", "an address holds no user and no password"),
    ] {
        let said = process::run(BINARY, &[&list, args].concat(), &[("CANDOR_TOKEN", variable)]);
        assert_eq!(said.code, Some(2), "{args:?}: {}", said.err);
        assert!(said.err.contains(says) && !said.err.contains("hidden"), "{args:?}: {}", said.err);
    }
}
