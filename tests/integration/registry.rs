//! Loading, unloading and the index, as clients see them.

use std::{fs, thread};

use candor_tests::{
    Models, Plan, Request, TestServer,
    infer::{iris, outputs, path, simple},
    models::{fixture, sample},
    until,
};
use serde_json::{Value, json};

use super::{refusal::still_answers, slow::turns};

fn load(server: &TestServer, model: &str, config: &str) -> candor_tests::Reply {
    server.post(&format!("/v2/repository/models/{model}/load"), &json!({"parameters": {"config": config}}))
}

/// State and reason of each version of a model.
fn states(server: &TestServer, model: &str) -> Vec<(String, String, String)> {
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let rows = server.index_of(model);
    rows.iter().map(|row| (text(row, "version"), text(row, "state"), text(row, "reason"))).collect()
}

fn versions(server: &TestServer) -> Value {
    server.get("/v2/models/iris").expect(200).json()["versions"].clone()
}

#[test]
fn what_is_unloaded_is_gone_until_it_is_loaded() {
    let server = Plan::with(Models::copies(&["iris", "simple"])).start();
    let all = server.post("/v2/repository/index", &json!({})).expect(200).json();
    let row = |name: &str, version: &str| json!({"name": name, "version": version, "state": "READY", "reason": ""});
    assert_eq!(all, json!([row("iris", "1"), row("iris", "2"), row("simple", "1")]));
    // No body at all asks for the same.
    assert_eq!(server.send(&Request::post("/v2/repository/index")).expect(200).json(), all);
    let unloaded = server.unload("iris").expect(200);
    assert!(unloaded.body.is_empty());
    assert_eq!(server.post(&path("iris"), &iris()).status, 503);
    assert_eq!(server.get("/v2/models/iris/ready").status, 503);
    until("it has left", || states(&server, "iris").iter().all(|(_, state, _)| state == "UNAVAILABLE").then_some(()));
    let ready = server.post("/v2/repository/index", &json!({"ready": true})).expect(200).json();
    assert_eq!(ready, json!([row("simple", "1")]));
    assert_eq!(server.unload("iris").status, 200, "unloading what is not loaded is done already");
    assert_eq!(server.load("iris").status, 200);
    assert_eq!(server.post("/v2/repository/index", &json!({})).json(), all);
    still_answers(server.addr());
    server.stop_and_expect_clean();
}

#[test]
fn nothing_is_loaded_when_the_start_says_so() {
    let server = Plan::with(Models::copies(&["iris"])).empty().start();
    assert_eq!(states(&server, "iris"), [(String::new(), "UNAVAILABLE".into(), "not loaded".into())]);
    let error = server.post(&path("iris"), &iris()).expect(503).error();
    assert!(error.contains("POST /v2/repository/models/iris/load"), "{error}");
    assert_eq!(server.load("iris").status, 200);
    still_answers(server.addr());
}

#[test]
fn a_load_may_say_which_versions() {
    let models = Models::copies(&["iris"]);
    let server = Plan::with(models).start();
    let policy = |policy: &str| load(&server, "iris", &format!("{{\"version_policy\":{policy}}}"));
    for (asked, want) in [
        (r#"{"specific":{"versions":[1]}}"#, json!(["1"])),
        (r#"{"latest":{"num_versions":1}}"#, json!(["2"])),
        (r#"{"all":{}}"#, json!(["1", "2"])),
        (r#"{"specific":{"versions":["2"]}}"#, json!(["2"])),
        (r#"{"latest":{"num_versions":9}}"#, json!(["1", "2"])),
    ] {
        assert_eq!(policy(asked).status, 200, "{asked}");
        assert_eq!(versions(&server), want, "{asked}");
    }
    let error = policy(r#"{"specific":{"versions":[1,7]}}"#).expect(400).error();
    assert!(error.contains("version 7 is asked for but not in the repository; expected 1, 2"), "{error}");
    assert_eq!(versions(&server), json!(["1", "2"]), "a load that fails takes nothing away");
}

#[test]
fn a_load_takes_neither_files_nor_what_it_would_ignore() {
    let server = Plan::with(Models::copies(&["iris"])).start();
    let ask = |body: &Value| server.post("/v2/repository/models/iris/load", body);
    for (body, status, says) in [
        (
            json!({"parameters": {"file:1/model.onnx": "AAAA"}}),
            501,
            "/parameters/file:1/model.onnx: models are not taken from requests",
        ),
        (json!({"parameters": {"file:../../x": "AAAA"}}), 501, "models are not taken from requests"),
        (json!({"parameters": {"config": "{\"max_batch_size\":4}"}}), 501, "max_batch_size"),
        (json!({"parameters": {"config": "{"}}), 400, "/parameters/config"),
        (json!({"parameters": {"config": 4}}), 400, "/parameters/config: config is not text"),
        (
            json!({"parameters": {"config": "{\"version_policy\":{\"latest\":{\"num_versions\":0}}}"}}),
            400,
            "/parameters/config",
        ),
        (
            json!({"parameters": {"config": "{\"version_policy\":{\"specific\":{\"versions\":[\"../1\"]}}}"}}),
            400,
            "/parameters/config/version_policy: not a version",
        ),
        (json!({"parameters": 4}), 400, "not the JSON"),
        (json!([]), 400, "not the JSON"),
    ] {
        let reply = ask(&body);
        assert_eq!(reply.status, status, "{body}: {}", reply.text());
        assert!(reply.error().contains(says), "{body}: {}", reply.error());
    }
    assert_eq!(server.send(&Request::post("/v2/repository/models/iris/unload").body("no json")).status, 400);
    assert_eq!(server.send(&Request::post("/v2/repository/index").body("no json")).status, 400);
    assert_eq!(versions(&server), json!(["1", "2"]));
    still_answers(server.addr());
}

#[test]
fn a_reload_that_fails_keeps_what_was_there_and_says_why() {
    let server = Plan::with(Models::copies(&["simple", "iris"])).start();
    let good = sample("simple", "1");
    let answer = || outputs(&server.post(&path("simple"), &simple(1)));
    let before = answer();
    for (name, bytes) in
        [("garbage", b"garbage".to_vec()), ("cut", good[..good.len() / 2].to_vec()), ("empty", Vec::new())]
    {
        server.models().write("simple/1/model.onnx", bytes);
        let error = server.load("simple").expect(400).error();
        assert!(error.contains("'simple' could not be loaded: version 1:"), "{name}: {error}");
        assert!(error.contains("still serving: 1"), "{name}: {error}");
        assert_eq!(answer(), before, "{name}");
        let rows = states(&server, "simple");
        assert_eq!((rows[0].0.as_str(), rows[0].1.as_str()), ("1", "READY"));
        assert!(rows[0].2.contains("still serving the previous file; reload failed"), "{name}: {}", rows[0].2);
    }
    server.models().write("simple/1/model.onnx", &good);
    assert_eq!(server.load("simple").status, 200);
    assert_eq!(states(&server, "simple"), [("1".into(), "READY".into(), String::new())]);
    server.stop_and_expect_clean();
}

#[test]
fn a_new_version_that_fails_leaves_the_old_one_in_charge() {
    let server = Plan::with(Models::copies(&["simple", "iris"])).start();
    server.models().write("simple/2/model.onnx", fixture("refused_operator"));
    let error = server.load("simple").expect(400).error();
    assert!(error.contains("version 2:") && error.contains("still serving: 1"), "{error}");
    let rows = states(&server, "simple");
    assert_eq!((rows[0].1.as_str(), rows[1].1.as_str()), ("READY", "UNAVAILABLE"), "{rows:?}");
    assert!(!rows[1].2.is_empty());
    assert_eq!(server.post(&path("simple"), &simple(1)).expect(200).json()["model_version"], "1");
    assert_eq!(server.post("/v2/models/simple/versions/2/infer", &simple(1)).status, 503);
    // Its successor is loaded before the old one goes; with "latest" only it remains.
    server.models().write("simple/2/model.onnx", sample("simple", "1"));
    assert_eq!(server.load("simple").status, 200);
    assert_eq!(server.post(&path("simple"), &simple(1)).expect(200).json()["model_version"], "2");
    assert_eq!(server.post("/v2/models/simple/versions/1/infer", &simple(1)).status, 503);
}

#[test]
fn what_is_not_changed_is_not_loaded_again() {
    let server = Plan::with(Models::copies(&["iris"])).start();
    let sha = |version: &str| {
        server.get(&format!("/v2/models/iris/versions/{version}")).json()["properties"]["sha256"].clone()
    };
    let (one, two) = (sha("1"), sha("2"));
    assert_eq!(server.load("iris").status, 200);
    assert_eq!((sha("1"), sha("2")), (one.clone(), two.clone()));
    server.models().remove("iris/1/golden.json");
    server.models().write("iris/1/model.onnx", sample("iris", "2"));
    assert_eq!(server.load("iris").status, 200);
    assert_eq!((sha("1"), sha("2")), (two.clone(), two));
    assert_ne!(sha("1"), one);
}

#[test]
fn many_may_ask_for_the_same_load() {
    let server = Plan::with(Models::copies(&["iris"])).start();
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| assert_eq!(server.load("iris").status, 200));
        }
    });
    still_answers(server.addr());
}

#[test]
fn loads_and_unloads_in_a_storm_leave_a_server_that_works() {
    let server = Plan::with(Models::copies(&["iris", "simple"])).start();
    thread::scope(|scope| {
        for n in 0..4 {
            let server = &server;
            scope.spawn(move || {
                for _ in 0..25 {
                    let reply = if n % 2 == 0 { server.load("simple") } else { server.unload("simple") };
                    assert_eq!(reply.status, 200, "{}", reply.text());
                    let status = server.post(&path("simple"), &simple(1)).status;
                    assert!(matches!(status, 200 | 503), "{status}");
                    still_answers(server.addr());
                }
            });
        }
    });
    assert_eq!(server.load("simple").status, 200);
    assert_eq!(server.post(&path("simple"), &simple(1)).status, 200);
    server.stop_and_expect_clean();
}

/// A model whose golden pair takes a while: a whole number of rotations gives the matrix back.
pub fn slow_to_load(models: Models, turns: i64) -> Models {
    assert_eq!(turns % 32, 0);
    let diagonal: Vec<usize> = (0..32 * 32).map(|n| if n % 33 == 0 { n / 33 + 1 } else { 0 }).collect();
    let case = json!({"name": "turns",
        "inputs": [{"name": "turns", "datatype": "INT64", "shape": [], "data": [turns]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [32, 32], "data": diagonal}]});
    let golden = json!({"made_by": "hand", "tolerance": 0.0, "cases": [case]}).to_string();
    models.with_fixture("long_loop").with_file("long_loop/1/golden.json", golden)
}

#[test]
fn while_a_model_loads_it_says_so_and_others_answer() {
    let models = slow_to_load(Models::copies(&["iris"]), 32 * 10_000);
    let plan = Plan::with(models).set("repository.load_threads=2").without_waiting();
    let server = plan.start();
    until("it loads", || (states(&server, "long_loop").first()?.1 == "LOADING").then_some(()));
    until("iris is ready", || (server.get("/v2/models/iris/ready").status == 200).then_some(()));
    still_answers(server.addr());
    let reply = server.post(&path("long_loop"), &turns(1)).expect(503);
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert!(reply.error().contains("'long_loop' version 1 is loading"), "{}", reply.error());
    // The server as a whole is not ready before every model has been tried.
    assert_eq!(server.get("/v2/health/ready").expect(503).json(), json!({"ready": false}));
    let parts = server.get("/health/ready").expect(503).json();
    let startup = parts["components"].as_array().unwrap().iter().find(|part| part["name"] == "startup").unwrap();
    assert_eq!((&startup["ready"], &startup["required"]), (&json!(false), &json!(true)));
    assert_eq!(server.get("/v2/health/live").status, 200);
    until("all is ready", || (server.get("/v2/health/ready").status == 200).then_some(()));
    assert_eq!(server.post(&path("long_loop"), &turns(1)).status, 200);
}

#[test]
fn a_failed_model_makes_the_server_unready_only_when_that_is_wanted() {
    for (strict, status) in [("false", 200), ("true", 503)] {
        let models = Models::copies(&["iris"]).with_file("broken/1/model.onnx", "x");
        let server = Plan::with(models).set(&format!("health.strict={strict}")).without_waiting().start();
        until("both were tried", || {
            let tried = |model| {
                !states(&server, model).is_empty()
                    && states(&server, model).iter().all(|row| row.2 != "not loaded" && row.1 != "LOADING")
            };
            (tried("broken") && server.get("/v2/models/iris/ready").status == 200).then_some(())
        });
        until("the start is over", || {
            let parts = server.get("/health/ready").json();
            let over = parts["components"]
                .as_array()
                .unwrap()
                .iter()
                .any(|part| part["name"] == "startup" && part["ready"] == true);
            over.then_some(())
        });
        assert_eq!(server.get("/v2/health/ready").status, status);
        let parts = server.get("/health/ready").expect(status).json();
        let models = parts["components"].as_array().unwrap().iter().find(|part| part["name"] == "models").unwrap();
        assert_eq!(models["ready"], false);
        assert!(models["detail"].as_str().unwrap().contains("failed: broken"), "{models}");
        still_answers(server.addr());
    }
}

#[test]
fn what_lies_there_when_nobody_asked_is_not_touched() {
    let server = Plan::with(Models::copies(&["iris"])).start();
    fs::create_dir(server.models().path("simple")).unwrap();
    server.models().write("simple/1/model.onnx", sample("simple", "1"));
    assert_eq!(states(&server, "simple")[0].1, "UNAVAILABLE");
    assert_eq!(server.post(&path("simple"), &simple(1)).status, 503);
    assert_eq!(server.load("simple").status, 200);
    assert_eq!(server.post(&path("simple"), &simple(1)).status, 200);
}

#[test]
fn what_is_deleted_on_disk_is_forgotten_and_its_counters_stay() {
    let models = Models::copies(&["iris", "simple"]).with_file("iris/3/model.onnx", "no graph");
    let server = Plan::with(models).set("repository.version_policy=all").start();
    assert_eq!(server.post(&path("simple"), &simple(1)).status, 200);
    assert_eq!(server.unload("simple").status, 200);
    let root = server.models().root().to_path_buf();
    fs::remove_dir_all(root.join("iris/3")).unwrap();
    fs::remove_dir_all(root.join("simple")).unwrap();
    assert_eq!(server.load("iris").status, 200);
    assert_eq!(server.load("simple").status, 404);
    assert_eq!(states(&server, "iris").len(), 2);
    until("it has left", || states(&server, "simple").is_empty().then_some(()));
    let error = server.post(&path("simple"), &simple(1)).expect(404).error();
    assert_eq!(error, "there is no model 'simple'");
    let listed = server.get("/api/v1/models").expect(200).json();
    assert_eq!(listed["models"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed["models"][0]["versions"].as_array().unwrap().len(), 2, "{listed}");
    let metrics = server.get("/metrics").expect(200).text();
    assert!(metrics.contains("{model=\"simple\",version=\"1\""), "{metrics}");
}
