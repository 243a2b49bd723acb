//! The kinds of clients: what each does, again and again, and how that may end.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::SocketAddr,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use super::{Scene, replace, streams};
use crate::{
    cases::{Case, Format},
    http::{self, Answer, Connection},
    open_loop::Drawn,
};

/// How something that a client did ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// An answer with this status; over gRPC 200 stands for a stream that was answered whole.
    Status(u16),
    /// The server closed the connection.
    Closed,
    /// The client left.
    Left,
    /// Something that the client cannot explain.
    Wrong,
}

/// One kind of client.
pub struct Kind {
    pub name: &'static str,
    /// How many of them there are.
    pub threads: u32,
    /// What each waits between two acts.
    pub pause: Duration,
    /// The ways in which an act may end.
    pub allowed: &'static [Ending],
    pub act: fn(&Scene, &mut Client) -> Result<Ending>,
}

/// What a client keeps from one act to the next.
pub struct Client {
    pub http: SocketAddr,
    pub connection: Option<Connection>,
    pub drawn: Drawn,
    pub turn: u64,
}

use Ending::{Closed, Left, Status};

/// Answers of a model that comes and goes.
const COMING_AND_GOING: &[Ending] = &[Status(200), Status(404), Status(503)];

const fn kind(
    name: &'static str,
    threads: u32,
    pause_ms: u64,
    allowed: &'static [Ending],
    act: fn(&Scene, &mut Client) -> Result<Ending>,
) -> Kind {
    Kind { name, threads, pause: Duration::from_millis(pause_ms), allowed, act }
}

/// Who takes part. Nobody overloads iris, and nobody unloads it: whoever asks it gets an answer.
pub static KINDS: [Kind; 17] = [
    kind("iris, well-behaved", 4, 4, &[Status(200)], well_behaved),
    kind("CNN on the pool", 2, 30, &[Status(200), Status(503)], |scene, client| {
        client.post(&scene.cnn, Format::Binary)
    }),
    kind("CNN, flood", 16, 10, &[Status(200), Status(503)], |scene, client| client.post(&scene.cnn, Format::Binary)),
    kind("load and unload digits", 1, 40, &[Status(200)], |scene, client| load_or_unload(scene, client, "digits")),
    kind("load and unload a large model", 1, 500, &[Status(200)], |scene, client| {
        load_or_unload(scene, client, "minilm")
    }),
    kind("digits, which comes and goes", 2, 5, COMING_AND_GOING, |scene, client| {
        client.post(&scene.digits, Format::Json)
    }),
    kind("the large model, which comes and goes", 1, 50, COMING_AND_GOING, |scene, client| {
        client.post(&scene.minilm, Format::Json)
    }),
    kind("load a changed version", 1, 150, &[Status(200)], reload),
    kind("breast_cancer, which is replaced", 2, 5, &[Status(200)], |scene, client| {
        client.post(&scene.breast_cancer, Format::Json)
    }),
    kind("clients that leave", 4, 40, &[Left], leave),
    kind("bodies that trickle", 4, 10, &[Status(200), Status(408), Closed], trickle_body),
    kind("heads that trickle", 2, 10, &[Status(408), Closed], trickle_head),
    kind("clients that do not read", 2, 10, &[Left, Closed], do_not_read),
    kind("bodies that are too large", 1, 50, &[Status(413), Closed], too_large),
    kind("requests that are wrong", 2, 20, &[Status(400), Status(404), Status(405)], wrong),
    kind("gRPC streams", 2, 10, &[Status(200)], streams::whole),
    kind("gRPC streams that are left", 2, 10, &[Left], streams::left),
];

impl Client {
    /// Sends an inference over the connection that is kept.
    fn post(&mut self, case: &Case, format: Format) -> Result<Ending> {
        let request = http::request(self.http, case, format);
        self.send(&request)
    }

    /// Sends a request over the connection that is kept, or over a new one where there is none.
    fn send(&mut self, request: &[u8]) -> Result<Ending> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(self.http)?,
        };
        let answer = connection.send(request)?;
        if !answer.closes {
            self.connection = Some(connection);
        }
        Ok(Status(answer.status))
    }

    /// A whole number below `end`.
    fn below(&mut self, end: u32) -> u32 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 up to `end`")]
        let drawn = (self.drawn.next() * f64::from(end)) as u32;
        drawn.min(end - 1)
    }
}

/// The answer, or that there will be none because the server has closed the connection.
fn ending(answer: Result<Answer>) -> Result<Ending> {
    match answer {
        Ok(answer) => Ok(Status(answer.status)),
        Err(error) if has_closed(&error) => Ok(Closed),
        Err(error) => Err(error),
    }
}

fn has_closed(error: &anyhow::Error) -> bool {
    let kinds = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::ConnectionAborted];
    error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>()).any(|cause| kinds.contains(&cause.kind()))
        || error.to_string().contains("was closed before")
}

/// In turn: JSON, bytes, named rows, many rows.
fn well_behaved(scene: &Scene, client: &mut Client) -> Result<Ending> {
    match client.turn % 4 {
        0 => client.post(&scene.iris, Format::Json),
        1 => client.post(&scene.iris, Format::Binary),
        2 => client.post(&scene.iris, Format::Rows),
        _ => client.post(&scene.iris_long, Format::Json),
    }
}

fn operate(client: &mut Client, model: &str, verb: &str) -> Result<Ending> {
    let path = format!("/v2/repository/models/{model}/{verb}");
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}",
        client.http
    );
    client.send(head.as_bytes())
}

fn load_or_unload(_: &Scene, client: &mut Client, model: &str) -> Result<Ending> {
    operate(client, model, if client.turn.is_multiple_of(2) { "unload" } else { "load" })
}

/// Changes a word in the manifest, which makes the version new, and asks for it.
fn reload(scene: &Scene, client: &mut Client) -> Result<Ending> {
    let path = scene.repository.join("breast_cancer/model.toml");
    let text = std::fs::read_to_string(&path).context("no manifest")?;
    let text = text.split("\n# turn ").next().unwrap_or_default();
    replace(&path, &format!("{text}\n# turn {}\n", client.turn))?;
    operate(client, "breast_cancer", "load")
}

/// Sends a part of a request, or all of it, waits a moment and is gone.
fn leave(scene: &Scene, client: &mut Client) -> Result<Ending> {
    let request = http::request(scene.http, &scene.cnn, Format::Binary);
    let some = [request.len(), request.len(), request.len() / 2, 200];
    let some = some.get(client.below(4) as usize).copied().unwrap_or(1).min(request.len());
    let mut connection = Connection::open(scene.http)?;
    connection.stream().write_all(request.get(..some).unwrap_or_default()).context("cannot send")?;
    thread::sleep(Duration::from_millis(client.below(30).into()));
    Ok(Left)
}

/// Sends the body a few bytes at a time: in time, or not.
fn trickle_body(scene: &Scene, client: &mut Client) -> Result<Ending> {
    let request = http::request(scene.http, &scene.iris, Format::Json);
    let head_bytes = request.windows(4).position(|window| window == b"\r\n\r\n").context("no head")? + 4;
    let (head, body) = request.split_at_checked(head_bytes).context("no head")?;
    let mut connection = Connection::open(scene.http)?;
    connection.stream().write_all(head).context("cannot send")?;
    let piece_bytes = if client.below(2) == 0 { 1 } else { 16 };
    for piece in body.chunks(piece_bytes) {
        thread::sleep(Duration::from_millis(100));
        if connection.stream().write_all(piece).is_err() {
            break;
        }
    }
    ending(connection.receive())
}

/// Sends a head a byte at a time, for longer than the server waits.
fn trickle_head(scene: &Scene, _: &mut Client) -> Result<Ending> {
    let request = http::request(scene.http, &scene.iris, Format::Json);
    let mut connection = Connection::open(scene.http)?;
    for byte in request.chunks(1).take(80) {
        thread::sleep(Duration::from_millis(50));
        if connection.stream().write_all(byte).is_err() {
            break;
        }
    }
    ending(connection.receive())
}

/// Asks for megabytes, several times without waiting, and reads little of them.
fn do_not_read(scene: &Scene, client: &mut Client) -> Result<Ending> {
    let text = "x".repeat(1_000_000);
    let body = format!(r#"{{"inputs":[{{"name":"INPUT0","datatype":"BYTES","shape":[1,1],"data":["{text}"]}}]}}"#);
    let head = format!(
        "POST /v2/models/simple_identity/infer HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        scene.http,
        body.len()
    );
    let mut connection = Connection::open(scene.http)?;
    let stream = connection.stream();
    // A server that does not get rid of its answer reads no further request: that must not hold this client up.
    stream.set_write_timeout(Some(Duration::from_millis(500)))?;
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    for _ in 0..8 {
        if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).is_err() {
            break;
        }
    }
    let mut piece = [0; 4096];
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(20 + u64::from(client.below(30))));
        match stream.read(&mut piece) {
            Ok(0) => return Ok(Closed),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(Closed),
            Err(_) => break,
        }
    }
    Ok(Left)
}

/// A body above the limit, and one that says that it is.
fn too_large(scene: &Scene, client: &mut Client) -> Result<Ending> {
    let bytes = if client.below(2) == 0 { 3_u64 << 20 } else { 1_u64 << 40 };
    let head = format!(
        "POST /v2/models/iris/infer HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Content-Length: {bytes}\r\n\r\n",
        scene.http
    );
    let mut connection = Connection::open(scene.http)?;
    connection.stream().write_all(head.as_bytes()).context("cannot send")?;
    let piece = vec![b' '; 1 << 16];
    for _ in 0..48 {
        if connection.stream().write_all(&piece).is_err() {
            break;
        }
    }
    ending(connection.receive())
}

/// Broken JSON, a model that is not there, a method that is not allowed.
fn wrong(scene: &Scene, client: &mut Client) -> Result<Ending> {
    let (method, path, body) = match client.turn % 3 {
        0 => ("POST", "/v2/models/iris/infer", "{\"inputs\": [}"),
        1 => ("POST", "/v2/models/nothing/infer", "{}"),
        _ => ("DELETE", "/v2/models/iris/infer", ""),
    };
    let (status, body) = http::call(scene.http, method, path, body.as_bytes())?;
    ensure!(!body.is_empty(), "a refusal without a word: {status}");
    Ok(Status(status))
}
