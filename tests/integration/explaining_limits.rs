//! What explanations refuse, and that they end: limits, time, full queues, callers that leave, a server that stops.

use std::thread;

use candor_tests::{Connection, Models, Plan, Request, TestServer, counters::scrape, until};
use serde_json::{Value, json};

use super::explaining::{rows, server};

const FLOWER: [f64; 4] = [5.1, 3.5, 1.4, 0.2];

/// Status, pointer and code of a refusal.
fn refused(server: &TestServer, model: &str, body: &Value) -> (u16, String, String) {
    let reply = server.post(&format!("/api/v1/models/{model}/explain"), body);
    let problem = reply.json();
    let place = problem["pointer"].as_str().or(problem["at"].as_str()).unwrap_or_default();
    (reply.status, place.to_owned(), problem["code"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn every_wrong_member_is_refused_by_its_pointer() {
    let server = server();
    let cases = [
        (json!({"method": "best"}), "/method"),
        (json!({"method": 3}), "/method"),
        (json!({"method": "tree"}), "/method"),
        (json!({"method": "acme.unknown"}), "/method"),
        (json!({"space": "logit"}), "/space"),
        (json!({"space": "raw"}), "/space"),
        (json!({"method": "exact", "space": "margin"}), "/space"),
        (json!({"output": "tulip"}), "/output"),
        (json!({"output": 3}), "/output"),
        (json!({"output": []}), "/output"),
        (json!({"output": ["setosa", "setosa"]}), "/output/1"),
        (json!({"output": {"class": 1}}), "/output"),
        (json!({"budget": 0}), "/budget"),
        (json!({"budget": 1_000_000}), "/budget"),
        (json!({"budget": "many"}), "/budget"),
        (json!({"seed": -1}), "/seed"),
        (json!({"seed": 1.5}), "/seed"),
        (json!({"background": 7}), "/background"),
        (json!({"background": {"id": "background.csv", "size": 3}}), "/background"),
        (json!({"background": {"summary": 0}}), "/background/summary"),
        (json!({"groups": "mine"}), "/groups"),
        (json!({"groups": "declared"}), "/groups"),
        (json!({"groups": {"a": []}}), "/groups"),
        (json!({"groups": {"a": ["petals"]}}), "/groups/a"),
        (json!({"groups": {"a": ["petal_width"], "b": ["petal_width"]}}), "/groups/b"),
        (json!({"groups": {"petal_length": ["petal_width"]}}), "/groups"),
        (json!({"interactions": "yes"}), "/interactions"),
        (json!({"options": []}), "/options"),
        (json!({"options": {"players_max": 3}}), "/options"),
        (json!({"method": "exact", "options": {"file": "x"}}), "/options/file"),
        (json!({"method": "exact", "options": {"link": "logit"}}), "/options/link"),
        (json!({"method": "exact", "options": {"unheard_of": 1}}), "/options"),
        (json!({"priority": 3}), "/priority"),
        (json!({"timeout_ms": -1}), "/timeout_ms"),
    ];
    for (question, pointer) in cases {
        let mut body = json!({"rows": [FLOWER]});
        body.as_object_mut().unwrap().extend(question.as_object().unwrap().clone());
        let (status, place, code) = refused(&server, "iris", &body);
        assert_eq!((status, place.as_str(), code.as_str()), (400, pointer, "invalid_input"), "{question}");
    }
}

#[test]
fn wrong_rows_queries_and_wishes_are_refused_by_their_place() {
    let server = server();
    let rows = [
        (json!({"rows": [{"sepal_length": "x"}]}), "/rows/0/sepal_length"),
        (json!({"rows": [[1, 2, 3]]}), "/rows/0"),
        (json!({"rows": []}), "/rows"),
        (json!({}), "/rows"),
        (json!({"rows": [FLOWER], "rows_": 1}), ""),
    ];
    for (body, pointer) in rows {
        let (status, place, _) = refused(&server, "iris", &body);
        assert_eq!((status, place.as_str()), (400, pointer), "{body}");
    }
    for (query, at) in [
        ("?explain=maybe", "query explain"),
        ("?explain=true&method=x", "query method"),
        ("?explain=true&x=1", "query"),
    ] {
        let reply = server.post(&format!("/api/v1/models/iris/predict{query}"), &json!({"rows": [FLOWER]})).expect(400);
        assert_eq!(reply.json()["at"], at, "{query}");
    }
    assert_eq!(refused(&server, "nobody", &json!({"rows": [FLOWER]})).0, 404);
    let wrong = [
        (json!({"wanted": {"at_least": "x"}}), "/wanted"),
        (json!({"wanted": "tulip"}), "/wanted/class"),
        (json!({"immutable": ["petals"]}), "/immutable"),
        (json!({"ranges": {"petal_width": [2, 1]}}), "/ranges/petal_width"),
        (json!({"ranges": {"petal_width": 1}}), "/ranges/petal_width"),
        (json!({"directions": {"petal_width": "up"}}), "/directions"),
        (json!({"count": 0}), "/count"),
    ];
    for (question, pointer) in wrong {
        let mut body = json!({"rows": [FLOWER]});
        body.as_object_mut().unwrap().extend(question.as_object().unwrap().clone());
        let problem = server.post("/api/v1/models/iris/counterfactuals", &body).expect(400).json();
        assert_eq!(problem["pointer"], pointer, "{question}: {problem}");
    }
    let csv = Request::post("/api/v1/models/iris/counterfactuals").header("Content-Type", "text/csv").body("a\n1\n");
    assert_eq!(server.send(&csv).status, 415);
}

#[test]
fn rows_evaluations_features_and_uploads_are_bounded() {
    let plan = Plan::with(Models::copies(&["iris", "digits"]))
        .set("explanations.rows_max=2")
        .set("explanations.evaluations_max=10")
        .set("explanations.features_max=10")
        .set("explanations.background_rows_max=3")
        .set("explanations.job_rows_max=3");
    let server = plan.start();
    let (status, place, code) = refused(&server, "iris", &json!({"rows": [FLOWER, FLOWER, FLOWER]}));
    assert_eq!((status, place.as_str(), code.as_str()), (413, "/rows", "too_large"));
    let many = server.post("/api/v1/models/iris/predict?explain=true", &json!({"rows": [FLOWER, FLOWER, FLOWER]}));
    assert_eq!((many.status, many.json()["pointer"].as_str()), (413, Some("/rows")));
    let upload = |rows: usize| server.post("/api/v1/models/iris/backgrounds", &json!({"rows": vec![FLOWER; rows]}));
    assert_eq!(upload(4).status, 413);
    let _ = upload(3).expect(201);
    let asked = json!({"rows": [[6.0, 3.0, 5.0, 1.8]], "method": "permutation", "budget": 1000,
        "background": upload(3).json()["id"]});
    let (status, place, _) = refused(&server, "iris", &asked);
    assert_eq!((status, place.as_str()), (413, "explanations.evaluations_max"));
    // Four features have sixteen coalitions, each upon the three rows; nothing was asked of the model but the row itself.
    let told = server.post("/api/v1/models/iris/explain", &asked).json();
    assert!(told["detail"].as_str().unwrap().contains("48 evaluations"), "{told}");
    assert!(told["detail"].as_str().unwrap().contains("1 × 16 × 3 (rows, samples, rows of the background)"), "{told}");
    assert_eq!(scrape(&server).value("candor_explanation_evaluations_total", &[]), 0.0);
    let image = json!({"rows": [{"image": vec![vec![vec![0.0; 8]; 8]; 1]}]});
    let (status, place, _) = refused(&server, "digits", &image);
    assert_eq!((status, place.as_str()), (413, "explanations.features_max"));
    let order = json!({"rows": vec![FLOWER; 4]});
    assert_eq!(server.post("/api/v1/models/iris/explain/global", &order).status, 413);
}

/// A question that takes long: seconds, if nobody stops it.
fn long() -> Value {
    json!({"rows": rows("breast_cancer"), "method": "kernel", "budget": 60_000})
}

#[test]
fn time_is_bounded_by_the_server_and_by_the_caller() {
    let models = Models::copies(&["breast_cancer"]);
    let server = Plan::with(models).set("explanations.time_ms_max=300").start();
    let late = |body: &Value| {
        let reply = server.post("/api/v1/models/breast_cancer/explain", body).expect(503);
        assert_eq!(reply.json()["code"], "deadline_exceeded");
    };
    late(&long());
    let mut body = long();
    body["timeout_ms"] = json!(20);
    late(&body);
    until("threads are free again", || {
        (scrape(&server).value("candor_explanations_running", &[]) == 0.0).then_some(())
    });
    let quick = json!({"rows": rows("breast_cancer")});
    let _ = server.post("/api/v1/models/breast_cancer/predict", &quick).expect(200);
}

#[test]
fn a_full_queue_is_told_with_when_to_come_back_and_inferences_are_not_in_its_way() {
    let server = Plan::with(Models::copies(&["breast_cancer"]))
        .set("explanations.threads=1")
        .set("explanations.queue_max=1")
        .start();
    let ask = Request::post("/api/v1/models/breast_cancer/explain").json(&long());
    let mut first = Connection::open(server.addr());
    first.send(&ask.bytes());
    until("one runs", || (scrape(&server).value("candor_explanations_running", &[]) == 1.0).then_some(()));
    let mut second = Connection::open(server.addr());
    second.send(&ask.bytes());
    until("one waits", || (scrape(&server).value("candor_explanation_queue_length", &[]) == 1.0).then_some(()));
    let full = server.send(&ask).expect(503);
    let problem = full.json();
    assert_eq!((&problem["reason"], &problem["code"]), (&json!("queue_full"), &json!("overloaded")));
    assert!(full.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
    assert_eq!(problem["at"], "explanations.queue_max");
    // Whoever only predicts waits for nobody.
    let _ = server.post("/api/v1/models/breast_cancer/predict", &json!({"rows": rows("breast_cancer")})).expect(200);
    // Callers that leave take their work along.
    drop((first, second));
    until("nothing is left", || {
        let now = scrape(&server);
        let left = now.value("candor_explanations_running", &[]) + now.value("candor_explanation_queue_length", &[]);
        (left == 0.0).then_some(())
    });
    server.stop_and_expect_clean();
}

#[test]
fn a_server_that_stops_ends_what_it_explains_and_begins_nothing() {
    let server = Plan::with(Models::copies(&["iris", "breast_cancer"]))
        .set("explanations.threads=1")
        .set("shutdown.drain_delay_ms=1500")
        .start();
    let addr = server.addr();
    let asked = json!({"rows": rows("breast_cancer"), "method": "kernel", "budget": 3000});
    let mut under_way = Connection::open(addr);
    under_way.send(&Request::post("/api/v1/models/breast_cancer/explain").json(&asked).bytes());
    until("one runs", || (scrape(&server).value("candor_explanations_running", &[]) == 1.0).then_some(()));
    let stopping = thread::spawn(move || server.stop_and_expect_clean());
    // While it drains it still answers.
    assert_eq!(under_way.reply().status, 200);
    stopping.join().unwrap();
}
