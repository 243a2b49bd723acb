//! A client of a running server: sends one request, gives its JSON or the problems that it answered with.
//!
//! Plain HTTP only: the server has no TLS of its own either. Proxies of the environment are not asked.

use std::time::Duration;

use clap::Args;
use serde_json::Value;
use ureq::{Agent, Body, http::Response};

use super::{
    args::TokenArgs,
    problem::{Failure, Problem},
};

/// Names the version of the API that the answers are read as.
const ACCEPT: &str = "application/vnd.candor.v1+json";
const ANSWER_BYTES_MAX: u64 = 1 << 30;
/// For questions that the server answers from memory.
const PATIENCE: Duration = Duration::from_secs(10);
/// More pages than this are no list but a loop.
const PAGES_MAX: usize = 10_000;

/// Asks a running server instead of looking at files.
#[derive(Args)]
pub(super) struct ServerArgs {
    /// Ask the server that runs at this address, such as http://127.0.0.1:8080, instead of looking at files.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    #[command(flatten)]
    token: TokenArgs,
}

impl ServerArgs {
    /// A client, if a server is named.
    pub(super) fn client(&self) -> Result<Option<Client>, Failure> {
        self.server.as_deref().map(|server| Client::new(server, &self.token)).transpose()
    }
}

/// Knows where a server is and who asks.
pub(super) struct Client {
    agent: Agent,
    base: String,
    token: Option<String>,
}

impl Client {
    /// # Errors
    /// When `server` is no address that this client can talk to.
    pub(super) fn new(server: &str, token: &TokenArgs) -> Result<Self, Failure> {
        let base = base(server).map_err(Failure::misused)?;
        let config = Agent::config_builder().http_status_as_error(false).proxy(None).max_redirects(0);
        let config = config.user_agent(concat!("candor/", env!("CARGO_PKG_VERSION"))).accept(ACCEPT);
        Ok(Self { agent: config.build().new_agent(), base, token: token.token()? })
    }

    /// Where the server is.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    pub(super) fn get(&self, path: &str) -> Result<Value, Failure> {
        let request = self.agent.get(format!("{}{path}", self.base));
        let request = request.config().timeout_global(Some(PATIENCE)).build();
        let request = match &self.token {
            Some(token) => request.header("Authorization", format!("Bearer {token}")),
            None => request,
        };
        self.read(request.call())
    }

    /// Asks until no page follows; `key` names the list on a page.
    pub(super) fn pages(&self, path: &str, key: &str) -> Result<Vec<Value>, Failure> {
        let (mut all, mut next) = (Vec::new(), path.to_owned());
        for _ in 0..PAGES_MAX {
            let mut page = self.get(&next)?;
            match page.get_mut(key).map(Value::take) {
                Some(Value::Array(items)) => all.extend(items),
                _ => return Err(self.stranger(&format!("its answer to {path} holds no list '{key}'")).into()),
            }
            match page.get("next_page_token").and_then(Value::as_str) {
                Some(token) => {
                    let mark = if path.contains('?') { '&' } else { '?' };
                    next = format!("{path}{mark}page_token={}", escaped(token));
                }
                None => return Ok(all),
            }
        }
        Err(self.stranger(&format!("it sends more than {PAGES_MAX} pages for {path}")).into())
    }

    /// Without a timeout it waits for as long as the server takes: the server has limits of its own.
    pub(super) fn post(
        &self,
        path: &str,
        media_type: &str,
        body: &[u8],
        timeout: Option<Duration>,
    ) -> Result<Value, Failure> {
        let request = self.agent.post(format!("{}{path}", self.base)).content_type(media_type);
        let request = request.config().timeout_global(timeout).timeout_connect(Some(PATIENCE)).build();
        let request = match &self.token {
            Some(token) => request.header("Authorization", format!("Bearer {token}")),
            None => request,
        };
        self.read(request.send(body))
    }

    /// Posts JSON and takes the answer as it is, in a media type that is not JSON.
    pub(super) fn post_for(&self, path: &str, body: &[u8], media_type: &str) -> Result<String, Failure> {
        let request = self.agent.post(format!("{}{path}", self.base)).content_type("application/json");
        let request = request.header("Accept", media_type).config().timeout_connect(Some(PATIENCE)).build();
        let request = match &self.token {
            Some(token) => request.header("Authorization", format!("Bearer {token}")),
            None => request,
        };
        let (status, text) = self.text(request.send(body))?;
        if is_good(status) { Ok(text) } else { self.value(status, &text).map(|value| value.to_string()) }
    }

    fn read(&self, answer: Result<Response<Body>, ureq::Error>) -> Result<Value, Failure> {
        let (status, text) = self.text(answer)?;
        self.value(status, &text)
    }

    fn text(&self, answer: Result<Response<Body>, ureq::Error>) -> Result<(u16, String), Failure> {
        let mut answer = answer.map_err(|error| self.unreachable(&error))?;
        let status = answer.status().as_u16();
        let text = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
        Ok((status, text.map_err(|error| self.unreachable(&error))?))
    }

    fn value(&self, status: u16, text: &str) -> Result<Value, Failure> {
        let value: Option<Value> = serde_json::from_str(text).ok();
        match value {
            Some(value) if is_good(status) => Ok(value),
            Some(problem) if problem.get("detail").or_else(|| problem.get("title")).is_some() => {
                let problems = Problem::of_answer(&problem).into_iter();
                Err(Failure::failed(problems.map(|problem| self.for_callers(problem)).collect()))
            }
            // The Open Inference Protocol's form, and a server older than these routes.
            Some(problem) if problem.get("error").is_some_and(Value::is_string) => {
                let what = problem.get("error").and_then(Value::as_str).unwrap_or_default();
                Err(Problem::new(what).into())
            }
            Some(_) | None => {
                let shown: String = text.chars().take(200).collect();
                Err(self.stranger(&format!("it answered {}: {shown}", status)).into())
            }
        }
    }

    /// The server speaks of headers, which whoever calls from here does not write.
    fn for_callers(&self, problem: Problem) -> Problem {
        match &self.token {
            _ if !problem.is("unauthenticated") => problem,
            None => problem.help("--token-file FILE, or the variable CANDOR_TOKEN"),
            Some(_) => problem.help("the server does not know the token of --token-file or CANDOR_TOKEN"),
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> Problem {
        if matches!(error, ureq::Error::Timeout(_)) {
            return Problem::new(format!("{} did not answer in time", self.base)).help("GET /health/ready says whether it is well; `infer` waits longer with a larger --timeout-ms, or without one");
        }
        Problem::new(format!("cannot reach {}", self.base))
            .cause(error)
            .help("start one with `candor serve`, or name another with --server URL")
    }

    fn stranger(&self, why: &str) -> Problem {
        Problem::new(format!("{} does not answer as Candor does", self.base))
            .cause(why)
            .help("--server takes the address alone, such as http://127.0.0.1:8080")
    }
}

fn base(server: &str) -> Result<String, Problem> {
    let help = "such as http://127.0.0.1:8080";
    if server.contains('@') {
        // Not shown: it may hold a password.
        let problem = Problem::new("an address holds no user and no password here").at("--server");
        return Err(problem.help("the token goes into --token-file FILE, or into the variable CANDOR_TOKEN"));
    }
    if server.starts_with("https://") {
        return Err(Problem::new("https is not built in").at(format!("--server {server}")).help(
            "talk to the server's own address with http://, or use curl through the proxy that has the certificate",
        ));
    }
    let address = match server.split_once("://") {
        Some(("http", address)) => address,
        Some((scheme, _)) => {
            let what = format!("{scheme}:// is not spoken here");
            return Err(Problem::new(what).at(format!("--server {server}")).help(help));
        }
        None => server,
    };
    let url = format!("http://{}", address.trim_end_matches('/'));
    match url.parse::<ureq::http::Uri>() {
        Ok(uri) if uri.host().is_some_and(|host| !host.is_empty()) => Ok(url),
        Ok(_) => Err(Problem::new("the address has no host").at(format!("--server {server}")).help(help)),
        Err(error) => Err(Problem::new("not an address").at(format!("--server {server}")).cause(error).help(help)),
    }
}

/// A text as part of a path or query (RFC 3986).
pub(super) fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn is_good(status: u16) -> bool {
    (200..300).contains(&status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_with_and_without_scheme_and_slash() {
        for good in ["http://127.0.0.1:8080", "127.0.0.1:8080", "http://127.0.0.1:8080/", "127.0.0.1:8080//"] {
            assert_eq!(base(good).unwrap(), "http://127.0.0.1:8080", "{good}");
        }
        for (bad, what) in [
            ("https://host", "https is not built in"),
            ("grpc://host", "grpc:// is not spoken here"),
            ("http://", "not an address"),
            ("a b", "not an address"),
            ("http://user:pw@host", "an address holds no user and no password here"),
            ("https://user:pw@host", "an address holds no user and no password here"),
            ("user@host", "an address holds no user and no password here"),
        ] {
            assert_eq!(base(bad).unwrap_err().what(), what, "{bad}");
        }
    }

    #[test]
    fn what_a_path_cannot_hold_is_escaped() {
        assert_eq!(escaped("a-B_1.~/?ä="), "a-B_1.~%2F%3F%C3%A4%3D");
    }
}
