//! A wrong request, the status that it gets, and what the message must say; and that nothing else suffers.

use std::net::SocketAddr;

use candor_tests::{
    Models, Plan, Request, TestServer,
    infer::{iris, outputs, path},
};

/// A wrong request and its answer.
pub struct Refusal {
    name: String,
    request: Request,
    status: u16,
    says: Vec<String>,
}

/// A wrong request that is answered with `status` and a message that holds every one of `says`.
pub fn refusal(name: impl Into<String>, request: Request, status: u16, says: &[&str]) -> Refusal {
    Refusal { name: name.into(), request, status, says: says.iter().map(|&text| text.to_owned()).collect() }
}

/// A server over copies of these models, and `iris`.
pub fn server(models: &[&str]) -> TestServer {
    Plan::with(Models::copies(models).with_copy("iris")).start()
}

/// Fails unless `iris` answers a good request.
pub fn still_answers(addr: SocketAddr) {
    let reply = Request::post(path("iris")).json(&iris()).send(addr);
    assert_eq!(outputs(&reply)[0].elements(), [0]);
}

/// Sends every request; complains about all that were answered otherwise at once.
pub fn check_all(server: &TestServer, refusals: &[Refusal]) {
    let folder = server.models().root().display().to_string();
    let mut wrong = String::new();
    for Refusal { name, request, status, says } in refusals {
        let reply = server.send(request);
        let lacks: Vec<_> = says.iter().filter(|text| !reply.text().contains(&text.replace('"', "\\\""))).collect();
        if reply.status != *status || !lacks.is_empty() {
            wrong.push_str(&format!(
                "\n{name}: wanted {status}, got {} {}, lacks {lacks:?}",
                reply.status,
                reply.text()
            ));
            continue;
        }
        let error = reply.error();
        assert!(!error.contains(&folder), "{name} gives away where files are: {error}");
        assert!(error.len() < 2000, "{name} gives back too much: {} bytes", error.len());
        still_answers(server.addr());
    }
    assert!(wrong.is_empty(), "{wrong}");
}
