//! Wire contracts of other servers: off by default, there where the configuration says, documented, and under
//! the same access. What each says stands in its own file.

mod invocations;
mod v1;
mod vertex;

use candor_domain::Access;
use candor_http_api::routes::ROUTES;
use candor_tests::{Models, Plan, Reply, Request, TestServer, server::token_of};
use serde_json::{Value, json};

fn server(v1: &str, models: &[&str]) -> TestServer {
    Plan::with(Models::copies(models)).with_contracts(v1).start()
}

/// Sends what is no `json!` value, such as NaN.
fn post_text(server: &TestServer, path: &str, media_type: &str, body: &str) -> Reply {
    server.send(&Request::post(path).header("Content-Type", media_type).body(body))
}

/// A reply whose numbers are compared by their text, as they came.
fn said(reply: Reply) -> Value {
    assert_eq!(reply.header("content-type"), Some("application/json"));
    reply.expect(200).json()
}

/// Paths, bodies, statuses and words of wrong requests.
fn check_refusals(server: &TestServer, refusals: &[(&str, &str, u16, &str)]) {
    for (path, body, status, says) in refusals {
        let reply = post_text(server, path, "application/json", body);
        assert_eq!(reply.status, *status, "{path} {body}: {}", reply.text());
        assert!(reply.error().contains(says), "{path} {body}: {}", reply.error());
    }
}

#[test]
fn contracts_are_off_by_default_and_say_how_to_turn_them_on() {
    let server = Plan::with(Models::copies(&["iris"])).start();
    let mut seen = 0;
    for route in ROUTES.iter().filter(|route| route.contract.is_some()) {
        let path = route.path.replace("{model}", "iris").replace("{version}", "1").replace("{label}", "x");
        let reply =
            server.send(&Request::new(route.method.as_str(), &path).json(&json!({"instances": [[1, 2, 3, 4]]})));
        assert_eq!(reply.status, 404, "{} {path}", route.method);
        let error = reply.error();
        assert!(
            error.contains("to have this; see docs/CONTRACTS.md") && error.contains("contracts."),
            "{path}: {error}"
        );
        seen += 1;
    }
    assert!(seen > 20);
    let paths = server.get("/openapi.json").expect(200).json()["paths"].clone();
    assert!(paths.get("/invocations").is_none() && paths.get("/v1/models/{model}:predict").is_none());
    server.stop_and_expect_clean();
}

#[test]
fn one_contract_on_brings_no_other() {
    let plan = || Plan::with(Models::copies(&["iris"]));
    let server = plan().set("contracts.v1=kserve").start();
    assert_eq!(server.get("/v1/models").status, 200);
    for path in ["/v1/models/iris/metadata", "/v1/models/iris/versions/1"] {
        let error = server.get(path).expect(404).error();
        assert!(error.contains("contracts.v1 is \"kserve\", which has no such path"), "{error}");
    }
    assert_eq!((server.get("/ping").status, server.get("/vertex/health").status), (404, 404));
    let server = plan().set("contracts.invocations=true").start();
    assert_eq!((server.get("/ping").status, server.get("/v1/models/iris").status), (200, 404));
    assert_eq!(server.get("/vertex/health").status, 404);
}

#[test]
fn what_is_on_is_documented_where_it_is_and_its_examples_work() {
    for v1 in ["tf_serving", "kserve"] {
        let plan = Plan::with(Models::copies(&["iris", "diabetes"])).with_contracts(v1);
        let server = plan.set("contracts.vertex_predict_route=/predict").start();
        let document = server.get("/openapi.json").expect(200).json();
        let paths = document["paths"].as_object().unwrap();
        assert!(paths.contains_key("/predict") && !paths.contains_key("/vertex/predict"));
        assert_eq!(paths.contains_key("/v1/models"), v1 == "kserve");
        assert_eq!(paths.contains_key("/v1/models/{model}/metadata"), v1 == "tf_serving");
        let of_contracts = paths.iter().flat_map(|(path, item)| {
            item.as_object().unwrap().iter().map(move |(method, operation)| (path, method, operation))
        });
        let mut asked = 0;
        for (path, method, operation) in of_contracts.filter(|(.., operation)| operation["tags"][0] == "contracts") {
            let schema = operation.pointer("/requestBody/content/application~1json/schema/$ref");
            let body = schema.map(|schema| {
                document.pointer(schema.as_str().unwrap().trim_start_matches('#')).unwrap()["example"].clone()
            });
            let model = if method == "delete" { "diabetes" } else { "iris" };
            let path = path.replace("{model}", model).replace("{version}", "1");
            let request = Request::new(&method.to_uppercase(), &path);
            let reply = server.send(&body.iter().fold(request, |request, body| request.json(body)));
            assert_eq!(reply.status, 200, "{method} {path}: {}", reply.text());
            asked += 1;
        }
        assert!(asked >= 12, "{asked}");
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(document.pointer(reference).is_some(), "{reference} leads nowhere");
        }
    }
}

#[test]
fn pages_of_other_origins_and_forms_change_nothing() {
    let server = server("off", &["iris"]);
    let load = || Request::post("/models").body("{\"model_name\":\"iris\"}");
    for (request, status) in [
        (load().header("Content-Type", "application/x-www-form-urlencoded"), 415),
        (load().header("Content-Type", "text/plain"), 415),
        (load().header("Content-Type", "application/json").header("Origin", "http://evil.example"), 403),
        (load().header("Content-Type", "application/json").header("Origin", "null"), 403),
        (Request::new("DELETE", "/models/iris").header("Origin", "http://evil.example"), 403),
    ] {
        assert_eq!(server.send(&request).status, status, "{request:?}");
        assert_eq!(server.get("/models/iris").status, 200);
    }
}

#[test]
fn the_health_of_vertex_may_be_where_health_is_asked_for_anyhow() {
    for path in ["/health", "/ping"] {
        let plan = Plan::with(Models::copies(&["iris"])).with_tokens().with_contracts("off");
        let server = plan.set(&format!("contracts.vertex_health_route={path}")).start();
        assert_eq!(server.get(path).status, 200);
        assert_eq!(server.get("/v2/health/live").status, 200);
    }
}

#[test]
fn configured_paths_are_guarded_where_they_are_and_gone_where_they_were() {
    let plan = Plan::with(Models::copies(&["iris"])).with_tokens().with_contracts("off");
    let plan = plan.set("contracts.vertex_health_route=/v1/endpoints/7/deployedModels/9");
    let server = plan.set("contracts.vertex_predict_route=/v1/endpoints/7/deployedModels/9:predict").start();
    let flower = json!({"instances": [[5.1, 3.5, 1.4, 0.2]]});
    let predict = || Request::post("/v1/endpoints/7/deployedModels/9:predict").json(&flower);
    assert_eq!(server.send(&predict()).status, 401);
    assert_eq!(server.send(&predict().token(&token_of(Access::Infer))).status, 200);
    assert_eq!(server.get("/v1/endpoints/7/deployedModels/9").status, 200, "health is public");
    // The paths that they have by default are nobody's.
    assert_eq!(server.get("/vertex/health").status, 401);
    let gone = Request::post("/vertex/predict").json(&flower).token(&token_of(Access::Infer));
    assert_eq!(server.send(&gone).status, 404);
    let wrong = server.send(&Request::post("/v1/endpoints/7/deployedModels/9").token(&token_of(Access::Infer)));
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET, HEAD")));
}
