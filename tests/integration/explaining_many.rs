//! Beyond one explanation: backgrounds, counterfactuals, two versions, jobs over many rows.

use candor_domain::Access;
use candor_tests::{Models, Plan, Reply, Request, TestServer, counters::scrape, server::token_of, until};
use serde_json::{Value, json};

use super::explaining::{explain, rows, server, shares};

const FLOWER: [f64; 4] = [5.1, 3.5, 1.4, 0.2];

/// Waits for a job to be over.
fn over(server: &TestServer, job: &Value) -> Value {
    let path = format!("/api/v1/jobs/{}", job["id"].as_str().unwrap());
    until("the job is over", || {
        let job = server.get(&path).expect(200).json();
        job.get("ended_unix_ms").is_some().then_some(job)
    })
}

fn submit(server: &TestServer, model: &str, body: &Value) -> Value {
    let reply = server.post(&format!("/api/v1/models/{model}/explain/global"), body).expect(202);
    let job = reply.json();
    let location = format!("/api/v1/jobs/{}", job["id"].as_str().unwrap());
    assert_eq!(reply.header("location"), Some(location.as_str()));
    job
}

#[test]
fn uploaded_rows_stand_for_absent_and_are_listed_and_forgotten() {
    let server = server();
    let list = || server.get("/api/v1/models/iris/backgrounds").expect(200).json();
    assert_eq!(list()["backgrounds"][0]["source"], "file");
    let upload = |body: &Value| server.post("/api/v1/models/iris/backgrounds", body);
    let reply = upload(&json!({"rows": [FLOWER]})).expect(201);
    let background = reply.json();
    assert_eq!(upload(&json!({"rows": [FLOWER]})).expect(201).json(), background);
    assert_eq!(list()["backgrounds"].as_array().unwrap().len(), 2);
    let id = background["id"].as_str().unwrap();
    let explained = explain(&server, "iris", &json!({"rows": [FLOWER], "background": id, "output": "setosa"}));
    assert_eq!(explained["background"]["sha256"], background["sha256"]);
    // A row beside itself has nothing to tell.
    assert!(shares(&explained["explanations"][0]["outputs"][0]).iter().all(|share| *share == 0.0));
    let location = reply.header("location").unwrap().to_owned();
    assert_eq!(location, format!("/api/v1/models/iris/versions/2/backgrounds/{id}"));
    assert_eq!(server.send(&Request::new("DELETE", &location)).status, 204);
    assert_eq!(server.send(&Request::new("DELETE", &location)).status, 404);
    let asked = json!({"rows": [FLOWER], "background": id});
    let refused = server.post("/api/v1/models/iris/explain", &asked).expect(404).json();
    assert_eq!(refused["pointer"], "/background");
    let wrong = upload(&json!({"rows": [[1, 2, 3, "x"]]})).expect(400).json();
    assert_eq!(wrong["pointer"], "/rows/0/3");
    // A load makes the version new, and takes its uploads along.
    let _ = upload(&json!({"rows": [FLOWER]})).expect(201);
    let _ = server.post("/v2/repository/models/iris/unload", &json!({})).expect(200);
    let _ = server.post("/v2/repository/models/iris/load", &json!({})).expect(200);
    assert_eq!(list()["backgrounds"].as_array().unwrap().len(), 1);
}

#[test]
fn a_summary_of_a_background_costs_less_and_says_what_it_is() {
    let server = server();
    let ask = |background: Value| {
        explain(
            &server,
            "breast_cancer",
            &json!({"rows": rows("breast_cancer")[..1], "method": "kernel",
            "budget": 100, "background": background}),
        )
    };
    let (all, few) = (ask(json!({})), ask(json!({"summary": 2})));
    assert_eq!((&few["background"]["summary"], &few["background"]["id"]), (&json!(2), &all["background"]["id"]));
    assert!(few["evaluations"].as_u64() < all["evaluations"].as_u64());
}

#[test]
fn counterfactuals_are_answers_of_the_version_itself_within_what_is_allowed() {
    let server = server();
    let asked = json!({"rows": [FLOWER], "wanted": "versicolor", "count": 3, "immutable": ["sepal_width"],
        "ranges": {"sepal_length": [5.0, 6.5]}, "directions": {"petal_width": "increase"}});
    let found = server.post("/api/v1/models/iris/counterfactuals", &asked).expect(200).json();
    let row = &found["counterfactuals"][0];
    let changed = row["found"].as_array().unwrap();
    assert!(!changed.is_empty() && row["already"] == false);
    let names = ["sepal_length", "sepal_width", "petal_length", "petal_width"];
    for one in changed {
        assert_eq!(one["valid"], true, "{one}");
        let mut flower = FLOWER.map(|value| json!(value));
        for change in one["changes"].as_array().unwrap() {
            let at = names.iter().position(|name| change["feature"] == *name).unwrap();
            assert_eq!(change["from"], flower[at]);
            flower[at] = change["to"].clone();
            let to = change["to"].as_f64().unwrap();
            match at {
                0 => assert!((5.0..=6.5).contains(&to)),
                1 => panic!("a feature that stays was changed"),
                3 => assert!(to > FLOWER[3]),
                _ => {}
            }
        }
        let predicted = server.post("/api/v1/models/iris/predict", &json!({"rows": [flower]})).expect(200).json();
        assert_eq!(predicted["predictions"][0]["label"], "versicolor");
    }
    assert_eq!(server.post("/api/v1/models/iris/counterfactuals", &asked).expect(200).json(), found);
    // Trees: along their thresholds; a regression: within limits.
    let trees = json!({"rows": rows("breast_cancer")[..1], "count": 1});
    let found = server.post("/api/v1/models/breast_cancer/counterfactuals", &trees).expect(200).json();
    assert_eq!(found["search"], "thresholds");
    let limits = json!({"rows": rows("diabetes")[..1], "wanted": {"at_least": 150}, "count": 1});
    let found = server.post("/api/v1/models/diabetes/counterfactuals", &limits).expect(200).json();
    let one = &found["counterfactuals"][0]["found"][0];
    assert!(one["valid"] == false || one["answer"]["progression"].as_f64().unwrap() >= 150.0, "{one}");
}

#[test]
fn two_versions_are_compared_on_the_same_rows_with_the_same_background() {
    let server = server();
    let asked = json!({"rows": rows("iris"), "versions": ["1", "2"], "output": "setosa"});
    let compared = server.post("/api/v1/models/iris/explain/compare", &asked).expect(200).json();
    let versions = compared["versions"].as_array().unwrap();
    assert_eq!((&versions[0]["version"], &versions[1]["version"]), (&json!("1"), &json!("2")));
    assert_eq!(versions[0]["background"], versions[1]["background"]);
    assert_ne!(versions[0]["sha256"], versions[1]["sha256"]);
    let output = |version: usize| &versions[version]["explanations"][1]["outputs"][0];
    let (one, other) = (shares(output(0)), shares(output(1)));
    let differences = compared["differences"][1]["outputs"][0]["attributions"].as_array().unwrap();
    for ((one, other), difference) in one.iter().zip(&other).zip(differences) {
        assert_eq!(difference["difference"].as_f64().unwrap(), other - one);
    }
    for (versions, status) in [(json!(["1"]), 400), (json!(["1", "1"]), 400), (json!(["1", "9"]), 404)] {
        let asked = json!({"rows": rows("iris"), "versions": versions});
        assert_eq!(server.post("/api/v1/models/iris/explain/compare", &asked).status, status, "{versions}");
    }
}

#[test]
fn a_job_finds_out_about_many_rows_and_its_result_is_the_same_twice() {
    let server = server();
    let order = json!({"rows": rows("iris"), "truth": vec!["setosa"; rows("iris").len()], "features": ["petal_length"],
        "parts": ["attributions", "permutation_importance", "partial_dependence", "local_effects"], "keep_rows": true});
    let (one, other) = (submit(&server, "iris", &order), submit(&server, "iris", &order));
    assert_eq!((&one["kind"], &one["about"]), (&json!("explain_global"), &json!("iris/2")));
    let (one, other) = (over(&server, &one), over(&server, &other));
    assert_eq!((&one["state"], &one["progress"]), (&json!("succeeded"), &json!(1.0)));
    let result = |job: &Value| server.get(job["result"].as_str().unwrap()).expect(200);
    assert_eq!(result(&one).text(), result(&other).text());
    let result = result(&one).json();
    // Means of what each row says.
    let attributions = &result["attributions"];
    let every = attributions["explanations"].as_array().unwrap();
    assert_eq!(every.len(), rows("iris").len());
    for (class, output) in attributions["outputs"].as_array().unwrap().iter().enumerate() {
        for (at, feature) in output["features"].as_array().unwrap().iter().enumerate() {
            let all: Vec<f64> = every.iter().map(|row| shares(&row["outputs"][class])[at]).collect();
            let mean = all.iter().map(|share| share.abs()).sum::<f64>() / all.len() as f64;
            assert!((feature["mean_absolute"].as_f64().unwrap() - mean).abs() < 1e-9 * mean.max(1.0));
        }
    }
    let importance = &result["permutation_importance"];
    assert_eq!((&importance["features"][2], &importance["scorer"]), (&json!("petal_length"), &json!(["accuracy"])));
    let curve = &result["partial_dependence"][0];
    assert_eq!(curve["average"].as_array().unwrap().len(), curve["grid_0"].as_array().unwrap().len());
    assert_eq!(result["local_effects"][0]["features"], json!(["petal_length"]));
    let jobs = server.get("/api/v1/jobs?page_size=1").expect(200).json();
    assert_eq!((jobs["jobs"].as_array().unwrap().len(), jobs["next_page_token"].is_string()), (1, true));
    assert_eq!(server.get("/api/v1/jobs?state=failed").expect(200).json()["jobs"], json!([]));
    let metrics = scrape(&server);
    assert_eq!(metrics.value("candor_jobs_total", &[("outcome", "succeeded")]), 2.0);
    assert_eq!(metrics.value("candor_explanations_total", &[("method", "linear"), ("outcome", "success")]), 2.0);
}

#[test]
fn an_order_without_rows_takes_those_of_the_background_and_wrong_ones_are_told_at_once() {
    let server = server();
    let job = over(&server, &submit(&server, "diabetes", &json!({})));
    let result = server.get(job["result"].as_str().unwrap()).expect(200).json();
    assert_eq!(result["rows"], result["attributions"]["background"]["rows"]);
    assert!(result["attributions"].get("explanations").is_none());
    let refused = |body: Value| {
        let problem = server.post("/api/v1/models/iris/explain/global", &body).expect(400).json();
        problem["pointer"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(refused(json!({"parts": ["everything"]})), "/parts/0");
    assert_eq!(refused(json!({"parts": []})), "/parts");
    assert_eq!(refused(json!({"parts": ["permutation_importance"]})), "/truth");
    assert_eq!(refused(json!({"rows": [FLOWER], "truth": ["tulip"]})), "/truth/0");
    assert_eq!(refused(json!({"rows": [FLOWER], "truth": ["setosa", "setosa"]})), "/truth");
    assert_eq!(refused(json!({"features": ["petal"]})), "/features");
    assert_eq!(refused(json!({"rows": [], "parts": ["attributions"]})), "/rows");
    // A table that may be left out is still read where it is given, and what stands behind it.
    assert_eq!(refused(json!({"rows": [{"petal": 1}]})), "/rows/0/petal");
    assert_eq!(refused(json!({"rows": [{}], "budget": 0})), "/rows/0");
    assert_eq!(server.get("/api/v1/jobs/j000").status, 404);
    assert_eq!(server.get("/api/v1/jobs?state=done").status, 400);
}

#[test]
fn a_job_that_is_not_over_has_no_result_and_can_be_stopped() {
    let server = server();
    // Minutes of work.
    let many: Vec<Value> = rows("breast_cancer").into_iter().cycle().take(2000).collect();
    let job = submit(&server, "breast_cancer", &json!({"rows": many, "method": "kernel", "budget": 50_000}));
    let path = format!("/api/v1/jobs/{}", job["id"].as_str().unwrap());
    until("it is at work", || (server.get(&path).json()["state"] == "running").then_some(()));
    let waiting = submit(&server, "iris", &json!({}));
    let early = server.get(&format!("{path}/result")).expect(503);
    assert_eq!((early.header("retry-after"), early.json()["code"].as_str()), (Some("1"), Some("not_ready")));
    let delete = |path: &str| server.send(&Request::new("DELETE", path)).expect(200).json();
    assert_eq!(delete(&format!("/api/v1/jobs/{}", waiting["id"].as_str().unwrap()))["state"], "cancelled");
    let stopping = delete(&path);
    assert!(stopping["stopping"] == true || stopping["state"] == "cancelled", "{stopping}");
    assert_eq!(over(&server, &job)["state"], "cancelled");
    assert_eq!(server.get(&format!("{path}/result")).expect(503).json()["code"], "cancelled");
    assert_eq!(delete(&path)["state"], "cancelled");
    assert_eq!(server.get(&path).status, 404);
    server.stop_and_expect_clean();
}

#[test]
fn who_may_infer_may_ask_and_only_who_may_operate_leaves_something_behind() {
    let server = Plan::with(Models::copies(&["iris"])).with_tokens().start();
    let ask = |access: Access, path: &str| -> Reply {
        let request = Request::post(format!("/api/v1/models/iris/{path}")).token(&token_of(access));
        server.send(&request.json(&json!({"rows": [FLOWER]})))
    };
    for path in ["explain", "counterfactuals"] {
        assert_eq!(ask(Access::Infer, path).status, 200, "{path}");
    }
    for path in ["backgrounds", "explain/global"] {
        assert_eq!(ask(Access::Observe, path).status, 403, "{path}");
        assert!(ask(Access::Operate, path).status < 300, "{path}");
    }
    let jobs = server.send(&Request::get("/api/v1/jobs").token(&token_of(Access::Observe))).expect(200).json();
    assert_eq!(jobs["jobs"][0]["actor"], "operate");
}
