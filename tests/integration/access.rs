//! Every route with every kind of token, however the path is spelt; and quotas.

use candor_domain::Access;
use candor_http_api::routes::{ROUTES, Route};
use candor_tests::{
    Models, Plan, Reply, Request, TestServer,
    infer::iris,
    server::{token_of, tokens_file},
};

use super::refusal::still_answers;

/// One with tokens, and with the contracts of other servers on.
fn server() -> TestServer {
    server_with("tf_serving")
}

fn server_with(v1: &str) -> TestServer {
    Plan::with(Models::copies(&["iris", "simple"])).with_tokens().with_contracts(v1).start()
}

fn concrete(pattern: &str) -> String {
    pattern
        .replace("{model}", "iris")
        .replace("{version}", "1")
        .replace("{file:.*}", "index.html")
        .replace("{name}", "not-found")
        .replace("{plugin}", "acme-scale")
        .replace("{background}", "u-0123456789abcdef")
        .replace("{job}", "j018bcfe56800000001")
}

fn knock(server: &TestServer, route: &Route, with: impl FnOnce(Request) -> Request) -> Reply {
    server.send(&with(Request::new(route.method.as_str(), concrete(route.path)).json(&iris())))
}

/// Whatever a route itself answers: anything but a refusal of the caller.
fn is_let_in(reply: &Reply) -> bool {
    !matches!(reply.status, 401 | 403)
}

#[test]
fn every_route_asks_for_what_it_declares() {
    for v1 in ["tf_serving", "kserve"] {
        let server = server_with(v1);
        // The few that only the other contract has are not there: that asks for what most routes ask for.
        ROUTES.iter().for_each(|route| asks_for_what_it_declares(&server, route));
        server.stop_and_expect_clean();
    }
}

fn asks_for_what_it_declares(server: &TestServer, route: &Route) {
    let name = format!("{} {}", route.method, route.path);
    for access in Access::ALL.into_iter().filter(|access| *access > Access::Public) {
        let reply = knock(server, route, |request| request.token(&token_of(access)));
        if access >= route.access {
            assert!(is_let_in(&reply), "{name} with {access}: {} {}", reply.status, reply.text());
        } else {
            let says = format!("'{access}' may not do this; expected access '{}', got '{access}'", route.access);
            assert_eq!((reply.status, reply.error()), (403, says), "{name}");
            assert_eq!(reply.header("candor-reason"), Some("forbidden"));
        }
    }
    let nobody = knock(server, route, |request| request);
    if route.access == Access::Public {
        assert!(is_let_in(&nobody), "{name} is public: {}", nobody.status);
        return;
    }
    assert_eq!(nobody.status, 401, "{name} without a token");
    assert_eq!(nobody.header("www-authenticate"), Some("Bearer realm=\"candor\""));
    assert!(nobody.error().contains(&format!("a token with access '{}'", route.access)), "{}", nobody.error());
}

#[test]
fn what_strangers_may_see_and_what_operators_may_do_is_this_list() {
    let of = |access: Access| -> Vec<String> {
        let routes = ROUTES.iter().filter(|route| route.access == access);
        routes.map(|route| format!("{} {}", route.method, route.path)).collect()
    };
    let public = [
        "/vertex/health",
        "/v2/health/live",
        "/v2/health/ready",
        "/health",
        "/health/live",
        "/health/ready",
        "/ping",
        "/openapi.json",
        "/openapi.yaml",
        "/openapi-3.0.json",
        "/problems/{name}",
        "/docs",
    ];
    let public: Vec<String> = public.iter().chain(&["/docs/{file:.*}"]).map(|path| format!("GET {path}")).collect();
    assert_eq!(of(Access::Public), public);
    let operate = [
        "POST /api/v1/models/{model}/explain/global",
        "POST /api/v1/models/{model}/versions/{version}/explain/global",
        "POST /api/v1/models/{model}/backgrounds",
        "POST /api/v1/models/{model}/versions/{version}/backgrounds",
        "DELETE /api/v1/models/{model}/versions/{version}/backgrounds/{background}",
        "POST /models",
        "DELETE /models/{model}",
        "POST /v2/repository/models/{model}/load",
        "POST /v2/repository/models/{model}/unload",
        "POST /api/v1/models/{model}/versions/{version}/breaker/reset",
        "DELETE /api/v1/jobs/{job}",
    ];
    assert_eq!(of(Access::Operate), operate);
    let faults = ["PUT", "GET", "DELETE"].map(|method| format!("{method} /api/v1/models/{{model}}/faults"));
    let admin: Vec<String> = faults.into_iter().chain(["POST /api/v1/plugins/{plugin}/reload".to_owned()]).collect();
    assert_eq!(of(Access::Admin), admin);
}

#[test]
fn a_token_that_is_wrong_in_any_way_opens_nothing() {
    let server = server();
    let admin = token_of(Access::Admin);
    let wrong: Vec<Vec<u8>> = [
        "Bearer",
        "Bearer ",
        "Bearer  ",
        "Basic dXNlcjpwYXNz",
        "Digest x",
        "bearer",
        "Token x",
        "null",
        "",
        &format!("Basic {admin}"),
        &admin,
        &format!("Bearer{admin}"),
        &format!("Bearer {admin}x"),
        &format!("Bearer {}", &admin[1..]),
        &format!("Bearer {}", admin.to_uppercase()),
        &format!("Bearer {admin} {admin}"),
        &format!("Bearer \"{admin}\""),
        &format!("Bearer {admin},"),
        &format!("Bearer, {admin}"),
        // What JWT libraries have fallen for.
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.",
        "Bearer ' OR '1'='1",
    ]
    .into_iter()
    .map(|text| text.as_bytes().to_vec())
    .chain([b"Bearer \xff\xfe".to_vec(), [b"Bearer ".as_slice(), &b"x".repeat(50_000)].concat()])
    .collect();
    for route in ROUTES {
        for header in &wrong {
            let reply = knock(&server, route, |request| request.header("Authorization", header));
            let shown = String::from_utf8_lossy(&header[..header.len().min(60)]);
            let name = format!("{} {} with {shown:?}", route.method, route.path);
            if route.access == Access::Public {
                // Whose token is stale may still ask whether the server lives.
                assert!(is_let_in(&reply), "{name} is public: {}", reply.status);
            } else {
                assert_eq!(reply.status, 401, "{name}: {}", reply.text());
            }
            assert!(!reply.text().contains(&admin), "{shown:?} gives a token away");
        }
    }
    // The digest that stands in the file is no token.
    for line in tokens_file().lines().filter_map(|line| line.strip_prefix("sha256 = ")) {
        let reply = server.send(&Request::get("/v2").token(line.trim_matches('"')));
        assert_eq!(reply.status, 401);
    }
}

#[test]
fn no_spelling_of_a_protected_path_gets_around_the_gate() {
    let server = server();
    let last = |path: &str| (path.len() - 1, format!("%{:02x}", path.as_bytes()[path.len() - 1]));
    for route in ROUTES.iter().filter(|route| route.access > Access::Public) {
        let path = concrete(route.path);
        let (at, encoded) = last(&path);
        let spellings = [
            path.clone(),
            format!("{path}/"),
            format!("{path}//"),
            format!("/{path}"),
            format!("/.{path}"),
            format!("/x/..{path}"),
            format!("/v2/health/live/../../..{path}"),
            format!("/docs/..{path}"),
            format!("/docs/..%2f{}", &path[1..]),
            path.replace('/', "%2f"),
            path.replacen("/v2", "/%76%32", 1),
            path.replacen("/v2", "/V2", 1),
            format!("{}{encoded}", &path[..at]),
            format!("{}{}", &path[..at], encoded.to_uppercase()),
            format!("{path}?"),
            format!("{path}?token={}", token_of(Access::Admin)),
            format!("{path}#x"),
            format!("{path};x=1"),
            format!("{path}%00"),
            format!("{path}.json"),
            format!("http://test{path}"),
            format!("//test{path}"),
        ];
        for spelling in &spellings {
            for method in [route.method.as_str(), "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "BREW"] {
                let reply = server.send(&Request::new(method, spelling));
                // Below /docs/ lies a public page, which takes GET only and has no way up.
                let refused =
                    matches!(reply.status, 400 | 401 | 404) || (reply.status == 405 && spelling.starts_with("/docs/"));
                let redirected = reply.status == 308 && reply.header("location") == Some("/docs/");
                assert!(refused || redirected, "{method} {spelling}: {} {}", reply.status, reply.text());
            }
        }
    }
    let overridden = Request::get("/v2/health/live").header("X-HTTP-Method-Override", "POST");
    let overridden = overridden.header("X-Original-URL", "/metrics").header("X-Rewrite-URL", "/metrics");
    assert_eq!(server.send(&overridden).text(), "{\"live\":true}");
    server.stop_and_expect_clean();
}

#[test]
fn what_no_route_matches_is_hidden_from_strangers_too() {
    let server = server();
    for path in [
        "/",
        "/nothing",
        "/v3",
        "/admin",
        "/v2/models",
        "/v2/trace/setting",
        "/v2/logging",
        "/v2/systemsharedmemory/status",
    ] {
        for method in ["GET", "POST"] {
            assert_eq!(server.send(&Request::new(method, path)).status, 401, "{method} {path}");
            let known = Request::new(method, path).token(&token_of(Access::Infer));
            assert_eq!(server.send(&known).status, 404, "{method} {path}");
        }
    }
    // A method that a path does not have asks for the highest of what the others ask for.
    let path = "/v2/repository/models/iris/load";
    let with = |access| server.send(&Request::get(path).token(&token_of(access))).status;
    assert_eq!((with(Access::Observe), with(Access::Operate)), (403, 405));
}

#[test]
fn who_is_refused_changes_nothing() {
    let server = server();
    let state = || {
        let request = Request::post("/v2/repository/index").token(&token_of(Access::Admin));
        server.send(&request).expect(200).json()
    };
    let before = state();
    for action in ["load", "unload"] {
        let request = || Request::post(format!("/v2/repository/models/iris/{action}"));
        assert_eq!(server.send(&request()).status, 401);
        assert_eq!(server.send(&request().token(&token_of(Access::Observe))).status, 403);
    }
    assert_eq!(state(), before);
    let unload = Request::post("/v2/repository/models/iris/unload").token(&token_of(Access::Operate));
    assert_eq!(server.send(&unload).status, 200);
    assert_ne!(state(), before);
}

#[test]
fn without_a_tokens_file_everybody_may_do_everything() {
    let server = Plan::with(Models::copies(&["iris"])).start();
    for route in ROUTES {
        assert!(is_let_in(&knock(&server, route, |request| request)), "{} {}", route.method, route.path);
        let with = knock(&server, route, |request| request.token("whatever"));
        assert!(is_let_in(&with), "{} {} with a token nobody asked for", route.method, route.path);
    }
}

#[test]
fn one_callers_quota_is_its_own() {
    let plan = Plan::with(Models::copies(&["iris"])).with_tokens().set("limits.requests_per_second_max=3");
    let server = plan.start();
    let ask = |access| server.send(&Request::get("/v2/models/iris").token(&token_of(access)));
    let over = (0..1000).map(|_| ask(Access::Infer)).find(|reply| reply.status != 200).expect("no quota");
    assert_eq!(over.status, 429);
    assert_eq!(over.header("candor-reason"), Some("quota_exceeded"));
    let wait: u32 = over.header("retry-after").unwrap().parse().unwrap();
    assert_eq!(wait, 1);
    let error = over.error();
    assert!(error.contains("limits.requests_per_second_max") && error.contains("at most 3 a second"), "{error}");
    // Others have quotas of their own; health has none.
    assert_eq!(ask(Access::Observe).status, 200);
    for _ in 0..20 {
        assert_eq!(server.get("/v2/health/live").status, 200);
    }
    candor_tests::until("the quota comes back", || (ask(Access::Infer).status == 200).then_some(()));
}

#[test]
fn without_tokens_a_caller_is_an_address() {
    let server = Plan::with(Models::copies(&["iris"])).set("limits.requests_per_second_max=3").start();
    let spent = (0..1000)
        .any(|n| server.send(&Request::get("/v2").header("X-Forwarded-For", format!("10.0.0.{n}"))).status == 429);
    assert!(spent, "an address that a client writes itself must not count");
}

#[test]
fn listening_beyond_loopback_needs_tokens_or_a_word() {
    let beyond = || Plan::with(Models::copies(&["iris"])).set("http.addr=0.0.0.0:0");
    let error = beyond().try_start().unwrap_err();
    assert!(error.contains("listening beyond loopback needs auth.tokens_file, or --insecure"), "{error}");
    assert!(beyond().set("http.addr=[::]:0").try_start().is_err());
    assert!(beyond().set("auth.insecure=true").try_start().is_ok());
    assert!(beyond().with_tokens().try_start().is_ok());
}

#[test]
fn tokens_files_that_are_wrong_keep_the_server_from_starting() {
    for (text, says) in [
        ("", "nobody could call the server"),
        (
            "[[token]]\nname = 'a'\naccess = 'root'\nsha256 = ''\n",
            "expected infer, observe, operate or admin, got root",
        ),
        ("[[token]]\nname = 'a'\naccess = 'admin'\nsha256 = 'secret'\n", "expected 64 hex digits"),
        ("[[token]]\nname = 'a'\n", "missing field"),
        ("token = 5", "invalid type"),
        ("not toml at all", "tokens.toml"),
    ] {
        let plan = Plan::with(Models::copies(&["iris"])).with_tokens();
        std::fs::write(plan.scratch().join("tokens.toml"), text).unwrap();
        let error = plan.try_start().unwrap_err();
        assert!(error.contains("tokens.toml") && error.contains(says), "{text:?}: {error}");
    }
    let plan = Plan::with(Models::copies(&["iris"])).with_tokens();
    std::fs::remove_file(plan.scratch().join("tokens.toml")).unwrap();
    let error = plan.try_start().unwrap_err();
    assert!(error.contains("cannot be read"), "{error}");
}

#[test]
fn nobody_needs_a_token_to_be_told_that_the_server_lives() {
    let server = server();
    assert_eq!(server.get("/v2/health/live").status, 200);
    assert_eq!(server.get("/v2/health/ready").status, 200);
    // Which models there are is nobody's business.
    let told = server.get("/health/ready").expect(200).text();
    assert!(!told.contains("iris"), "{told}");
    let open = Plan::with(Models::copies(&["iris"])).start();
    still_answers(open.addr());
}
