//! Names of models and versions that try to be paths, in every spelling, on every route that has one.
//!
//! None may ever reach a file: each is refused as a name (400) or leads to no route and no model (404).

use candor_http_api::routes::ROUTES;
use candor_tests::{
    Models, Plan, Request, TestServer,
    infer::iris,
    models::{copy, samples},
};

use super::refusal::{check_all, refusal, server, still_answers};

/// Ways up and out, as they stand in a request line.
const HOSTILE: [&[u8]; 49] = [
    b"..",
    b".",
    b"...",
    b"../..",
    b"../../../../etc/passwd",
    b"%2e%2e",
    b"%2E%2E",
    b"%2e.",
    b"..%2f",
    b"..%2f..%2fetc%2fpasswd",
    b"%2e%2e%2f",
    b"%2e%2e/",
    b"%252e%252e",
    b"%252e%252e%252f",
    b"%25252e",
    b"..%5c",
    b"..%5c..%5c",
    b"..\\..",
    b"%5c",
    b"%00",
    b"iris%00",
    b"iris%00.png",
    b"iris;",
    b"iris;x=1",
    b"iris%3bx",
    b"..;/iris",
    b"..;",
    b"%c0%ae%c0%ae",
    b"%c0%ae%c0%ae%c0%af",
    b"%e0%80%ae",
    b"%ef%bc%8e%ef%bc%8e",
    b"%e2%80%a4%e2%80%a4",
    b"%uff0e%uff0e",
    b"%u002e",
    b"%20iris",
    b"iris%20",
    b"+iris",
    b"~root",
    b"%2fetc%2fpasswd",
    b"%ff%fe",
    b"%",
    b"%2",
    b"%zz",
    b"iris%0d%0aX-Injected:%201",
    b"../iris",
    b"..%2firis",
    b"%2e%2e%2firis",
    b"..%5ciris",
    b"../inside/iris",
];

fn send(server: &TestServer, method: &str, path: &[u8]) -> u16 {
    let request = Request::new(method, path);
    let request = if method == "POST" { request.json(&iris()) } else { request };
    let mut connection = candor_tests::Connection::open(server.addr());
    connection.send(&request.bytes());
    connection.finish_sending();
    // Refusing to read the head at all is a refusal too.
    match connection.try_reply_to(method) {
        Ok(reply) => {
            assert_eq!(reply.header("x-injected"), None, "{}", String::from_utf8_lossy(path));
            assert!(!reply.text().contains("root:"), "{}", reply.text());
            reply.status
        }
        Err(_) => 400,
    }
}

fn with(pattern: &str, key: &str, value: &[u8]) -> Vec<u8> {
    let (before, after) = pattern.split_once(key).unwrap();
    let after = after.replace("{version}", "1");
    let before = before.replace("{model}", "iris");
    [before.as_bytes(), value, after.as_bytes()].concat()
}

#[test]
fn no_spelling_of_a_way_out_leads_anywhere() {
    // Beside the repository lies what a name that leaves it would find.
    let folder = Models::copies(&["iris"]);
    let inside = folder.path("inside");
    copy(&samples().join("iris"), &inside.join("iris"));
    let server =
        Plan::with(folder).set(&format!("repository.dir={}", inside.display())).with_contracts("tf_serving").start();
    for route in ROUTES.iter().filter(|route| route.path.contains("{model}")) {
        for key in ["{model}", "{version}"].into_iter().filter(|key| route.path.contains(key)) {
            for name in HOSTILE {
                let path = with(route.path, key, name);
                let status = send(&server, route.method.as_str(), &path);
                assert!(matches!(status, 400 | 404), "{} {}: {status}", route.method, String::from_utf8_lossy(&path));
            }
        }
    }
    still_answers(server.addr());
    server.stop_and_expect_clean();
}

#[test]
fn the_page_of_the_document_serves_no_other_files() {
    let server = server(&[]);
    for name in HOSTILE {
        let status = send(&server, "GET", &[b"/docs/", name].concat());
        assert!(matches!(status, 400 | 404), "/docs/{}: {status}", String::from_utf8_lossy(name));
    }
}

#[test]
fn names_that_are_no_names() {
    let server = server(&[]);
    let long = "x".repeat(256);
    let mut refusals = Vec::new();
    for name in [
        ".hidden",
        "-rf",
        "a b".replace(' ', "%20").as_str(),
        "a%2fb",
        "a%5cb",
        "%e2%80%a4",
        &long,
        "iris%00",
        "iris;x",
    ] {
        let request = Request::get(format!("/v2/models/{name}"));
        let says = ["model name", "1 to 255 of A-Z a-z 0-9 _ - ."];
        refusals.push(refusal(name, request, 400, &says));
    }
    for version in ["0", "01", "v1", "-1", "1.2.3.4.5", "99999999999999999999", "latest", "1%20", "%d9%a1"] {
        let request = Request::get(format!("/v2/models/iris/versions/{version}"));
        refusals.push(refusal(version, request, 400, &["model version", "a number such as 3, or 1.4.0"]));
    }
    check_all(&server, &refusals);
    // The longest name there can be is only unknown.
    assert_eq!(server.get(&format!("/v2/models/{}", "x".repeat(255))).status, 404);
}

#[test]
fn models_that_are_not_there_or_not_ready() {
    let models = Models::copies(&["iris", "simple"]).with_file("broken/1/model.onnx", "not a model");
    let server = Plan::with(models).start();
    let infer = |name: &str| Request::post(format!("/v2/models/{name}/infer")).json(&iris());
    assert_eq!(server.unload("simple").status, 200);
    check_all(
        &server,
        &[
            refusal("unknown", infer("nothing_of_the_kind"), 404, &["there is no model 'nothing_of_the_kind'"]),
            refusal("misspelt", infer("irsi"), 404, &["there is no model 'irsi'", "did you mean 'iris'?"]),
            refusal("unknown version", infer("iris/versions/7"), 404, &["'iris' has no version 7", "1, 2"]),
            refusal("failed", infer("broken"), 503, &["'broken' version 1 could not be loaded", "not an ONNX model"]),
            refusal("failed version", infer("broken/versions/1"), 503, &["'broken' version 1 could not be loaded"]),
            refusal(
                "unloaded",
                infer("simple"),
                503,
                &["'simple' version 1 is not loaded", "POST /v2/repository/models/simple/load"],
            ),
            refusal(
                "load unknown",
                Request::post("/v2/repository/models/irsi/load"),
                404,
                &["'irsi' is not in the repository"],
            ),
            refusal(
                "unload unknown",
                Request::post("/v2/repository/models/irsi/unload"),
                404,
                &["there is no model 'irsi'"],
            ),
            refusal(
                "load broken",
                Request::post("/v2/repository/models/broken/load"),
                400,
                &["'broken' could not be loaded", "not an ONNX model"],
            ),
            refusal("statistics of unknown", Request::get("/v2/models/irsi/stats"), 404, &["there is no model 'irsi'"]),
        ],
    );
    for path in ["broken/ready", "broken", "broken/config", "simple/ready"] {
        assert_eq!(server.get(&format!("/v2/models/{path}")).status, 503, "{path}");
    }
    // Counters outlive the model.
    assert_eq!(server.get("/v2/models/simple/stats").status, 200);
}

#[test]
fn paths_and_methods_that_lead_nowhere() {
    let server = server(&[]);
    let nothing = &["there is nothing at", "/docs"][..];
    let mut refusals = Vec::new();
    for path in [
        "/",
        "//",
        "/v2//models",
        "/v2/models",
        "/v2/models/",
        "/v2/models//infer",
        "/v2/models/iris/",
        "/V2",
        "/v2/models/iris/infer/",
        "/v1/models/iris",
        "/metrics/",
        "/..",
        "/v2/%2e%2e/metrics",
        "*",
    ] {
        refusals.push(refusal(path, Request::get(path), 404, nothing));
    }
    for (method, path, allowed) in [
        ("GET", "/v2/models/iris/infer", "POST"),
        ("DELETE", "/v2/models/iris", "GET, HEAD"),
        ("PUT", "/v2/repository/models/iris/load", "POST"),
        ("POST", "/metrics", "GET, HEAD"),
        ("PATCH", "/v2/health/live", "GET, HEAD"),
        ("BREW", "/v2", "GET, HEAD"),
    ] {
        let reply = server.send(&Request::new(method, path)).expect(405);
        assert_eq!(reply.header("allow"), Some(allowed), "{method} {path}");
        assert!(reply.error().contains(&format!("expected {allowed}, got {method}")), "{}", reply.error());
    }
    check_all(&server, &refusals);
    let head = server.send(&Request::new("HEAD", "/v2/models/iris"));
    assert_eq!((head.status, head.body.len()), (200, 0));
}
