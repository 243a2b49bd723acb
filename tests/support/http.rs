//! A small HTTP/1.1 client that sends exactly what it is told: odd paths, wrong lengths, halves of bodies.
//!
//! Client libraries tidy paths and refuse wrong headers, which is what these tests are about.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
};

use serde_json::Value;

use crate::patience::PATIENCE;

/// A request, written down.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    path: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
    body: Option<Vec<u8>>,
    says_length: bool,
}

impl Request {
    /// A request without a body.
    pub fn new(method: &str, path: impl AsRef<[u8]>) -> Self {
        let path = path.as_ref().to_vec();
        Self { method: method.to_owned(), path, headers: Vec::new(), body: None, says_length: true }
    }

    /// `GET`.
    pub fn get(path: impl AsRef<[u8]>) -> Self {
        Self::new("GET", path)
    }

    /// `POST` without a body yet.
    pub fn post(path: impl AsRef<[u8]>) -> Self {
        Self::new("POST", path)
    }

    /// Adds a header, as it is, however often it stands there already.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Adds a bearer token.
    #[must_use]
    pub fn token(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }

    /// Sets the body; its `Content-Length` is added on the way.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sets a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.header("Content-Type", "application/json").body(body.to_string())
    }

    /// Leaves `Content-Length` to the headers that were added.
    #[must_use]
    pub fn without_length(mut self) -> Self {
        self.says_length = false;
        self
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The bytes of the head.
    #[must_use]
    pub fn head(&self) -> Vec<u8> {
        let mut bytes = [self.method.as_bytes(), b" ", &self.path, b" HTTP/1.1\r\nHost: test\r\n"].concat();
        for (name, value) in &self.headers {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        if let Some(body) = self.body.as_ref().filter(|_| self.says_length) {
            bytes.extend(format!("Content-Length: {}\r\n", body.len()).into_bytes());
        }
        bytes.extend(b"\r\n");
        bytes
    }

    /// All its bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head();
        bytes.extend(self.body.iter().flatten());
        bytes
    }

    /// Sends it over a connection of its own and reads the reply.
    #[must_use]
    pub fn send(&self, addr: SocketAddr) -> Reply {
        Connection::open(addr).ask(self)
    }
}

/// A reply.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its status code.
    pub status: u16,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| *known == name.to_ascii_lowercase()).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {} {}", self.status, self.text()))
    }

    /// The message of an error in the form of the Open Inference Protocol, or of a problem (RFC 9457).
    ///
    /// # Panics
    /// When the body is neither `{"error": "..."}` and nothing else nor a problem.
    #[must_use]
    pub fn error(&self) -> String {
        let body = self.json();
        if self.header("content-type") == Some("application/problem+json") {
            assert_eq!(body["status"], self.status, "{body}");
            return body["detail"].as_str().unwrap_or_else(|| panic!("no detail: {body}")).to_owned();
        }
        let object = body.as_object().unwrap_or_else(|| panic!("not an object: {body}"));
        assert_eq!(object.len(), 1, "{body}");
        object["error"].as_str().unwrap_or_else(|| panic!("no text: {body}")).to_owned()
    }

    /// The same reply, if its status is `status`.
    ///
    /// # Panics
    /// When it is another.
    #[must_use]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Panics
    /// When nobody listens.
    #[must_use]
    pub fn open(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap_or_else(|error| panic!("cannot connect to {addr}: {error}"));
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, unread: Vec::new() }
    }

    /// Sends bytes. A server that has already refused may close meanwhile; its reply says why.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Sends a request and reads its reply.
    pub fn ask(&mut self, request: &Request) -> Reply {
        self.send(&request.bytes());
        self.reply_to(request.method())
    }

    /// Reads a reply to a request other than `HEAD`.
    pub fn reply(&mut self) -> Reply {
        self.reply_to("GET")
    }

    /// Reads a reply to a request with this method.
    ///
    /// # Panics
    /// When the server closes or says nothing instead.
    pub fn reply_to(&mut self, method: &str) -> Reply {
        self.try_reply_to(method).unwrap_or_else(|error| panic!("no reply: {error}"))
    }

    /// As [`Self::reply_to`], for a server that may close instead.
    ///
    /// # Errors
    /// When the connection ends before the reply does.
    pub fn try_reply_to(&mut self, method: &str) -> Result<Reply, String> {
        loop {
            let head = self.until_blank_line()?;
            let (status, headers) = read_head(&head)?;
            let mut reply = Reply { status, headers, body: Vec::new() };
            if (100..200).contains(&status) {
                continue;
            }
            if method != "HEAD" && status != 204 && status != 304 {
                reply.body = self.body_of(&reply)?;
            }
            return Ok(reply);
        }
    }

    fn body_of(&mut self, reply: &Reply) -> Result<Vec<u8>, String> {
        if reply.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
            return self.chunks();
        }
        match reply.header("content-length") {
            Some(length) => self.take(length.parse().map_err(|_| format!("length {length}"))?),
            None => {
                while self.more()? {}
                Ok(std::mem::take(&mut self.unread))
            }
        }
    }

    fn chunks(&mut self) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let length = usize::from_str_radix(line.trim(), 16).map_err(|_| format!("chunk {line:?}"))?;
            body.extend(self.take(length)?);
            self.line()?;
            if length == 0 {
                return Ok(body);
            }
        }
    }

    fn line(&mut self) -> Result<String, String> {
        loop {
            if let Some(at) = self.unread.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.unread.drain(..at + 2).collect();
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            self.must_have_more()?;
        }
    }

    fn until_blank_line(&mut self) -> Result<Vec<u8>, String> {
        loop {
            if let Some(at) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                return Ok(self.unread.drain(..at + 4).collect());
            }
            self.must_have_more()?;
        }
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, String> {
        while self.unread.len() < length {
            self.must_have_more()?;
        }
        Ok(self.unread.drain(..length).collect())
    }

    fn must_have_more(&mut self) -> Result<(), String> {
        if self.more()? { Ok(()) } else { Err(format!("closed after {:?}", String::from_utf8_lossy(&self.unread))) }
    }

    /// Reads what has come; false at the end.
    fn more(&mut self) -> Result<bool, String> {
        let mut piece = [0; 65536];
        match self.stream.read(&mut piece) {
            Ok(0) => Ok(false),
            Ok(length) => {
                self.unread.extend(&piece[..length]);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Whether the server closes the connection without saying anything more.
    ///
    /// # Panics
    /// When it neither closes nor speaks.
    pub fn is_closed_by_server(&mut self) -> bool {
        self.unread.is_empty() && !self.more().expect("the server neither closes nor speaks")
    }

    /// Whether a reply has begun to come; does not wait.
    ///
    /// # Panics
    /// When the connection is broken.
    #[must_use]
    pub fn has_reply(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        peeked.is_ok_and(|length| length > 0)
    }

    /// Says that nothing more will be sent, and goes on reading.
    pub fn finish_sending(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

fn read_head(head: &[u8]) -> Result<(u16, Vec<(String, String)>), String> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| format!("not a status line: {first:?}"))?;
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
    Ok((status, headers.collect()))
}
