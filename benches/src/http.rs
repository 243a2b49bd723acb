//! Just enough HTTP/1.1 for our own client: a request as bytes, and where a reply ends.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::cases::{Case, Format};

/// Longest wait for one reply outside of load.
const REPLY_MAX: Duration = Duration::from_secs(30);

/// A whole request.
pub fn request(addr: SocketAddr, case: &Case, format: Format) -> Vec<u8> {
    let body = case.body(format);
    let mut head = format!("POST {} HTTP/1.1\r\nHost: {addr}\r\nContent-Length: {}\r\n", case.path(format), body.len());
    match case.head_bytes(format) {
        None => head.push_str("Content-Type: application/json\r\n\r\n"),
        Some(bytes) => head.push_str(&format!(
            "Content-Type: application/octet-stream\r\nInference-Header-Content-Length: {bytes}\r\n\r\n"
        )),
    }
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// A reply that has arrived whole.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// The status line's number.
    pub status: u16,
    /// Whether the connection ends behind it.
    pub closes: bool,
    /// After how many seconds a refused caller may come again.
    pub retry_after: Option<u64>,
    /// The body.
    pub body: &'a [u8],
}

/// The reply in `received`, if it is whole. Replies without a length are not understood.
pub fn reply(received: &[u8]) -> Result<Option<Reply<'_>>> {
    const END: &[u8] = b"\r\n\r\n";
    let Some(head_bytes) = received.windows(END.len()).position(|window| window == END) else { return Ok(None) };
    let (head, rest) = received.split_at_checked(head_bytes).context("no head")?;
    let head = std::str::from_utf8(head).context("the reply's head is not text")?;
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).context("the reply has no status")?;
    let header = |wanted: &str| {
        head.lines().skip(1).find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then(|| value.trim())
        })
    };
    let length = header("content-length").and_then(|value| value.parse::<usize>().ok());
    let length = length.context("the reply has no length")?;
    let closes = header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    let retry_after = header("retry-after").and_then(|value| value.parse().ok());
    let body = rest.get(END.len()..).unwrap_or_default();
    ensure!(body.len() <= length, "the reply is longer than it says");
    Ok((body.len() == length).then_some(Reply { status, closes, retry_after, body }))
}

/// A reply of one's own.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub closes: bool,
    pub retry_after: Option<u64>,
    pub body: Vec<u8>,
}

/// A connection that waits for each answer.
pub struct Connection {
    addr: SocketAddr,
    stream: TcpStream,
}

impl Connection {
    /// Connects.
    pub fn open(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, REPLY_MAX).context("cannot connect")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REPLY_MAX))?;
        stream.set_write_timeout(Some(REPLY_MAX))?;
        Ok(Self { addr, stream })
    }

    /// Asks for an inference.
    pub fn post(&mut self, case: &Case, format: Format) -> Result<Answer> {
        self.send(&request(self.addr, case, format))
    }

    /// Sends a whole request and waits for the reply.
    pub fn send(&mut self, request: &[u8]) -> Result<Answer> {
        self.stream.write_all(request).context("cannot send")?;
        self.receive()
    }

    /// Waits for a reply.
    pub fn receive(&mut self) -> Result<Answer> {
        let (mut received, mut piece) = (Vec::new(), [0; 1 << 14]);
        loop {
            match self.stream.read(&mut piece).context("no reply")? {
                0 => bail!("the connection was closed before the reply ended"),
                count => received.extend_from_slice(piece.get(..count).unwrap_or_default()),
            }
            if let Some(Reply { status, closes, retry_after, body }) = reply(&received)? {
                return Ok(Answer { status, closes, retry_after, body: body.to_vec() });
            }
        }
    }

    /// The socket, for clients that behave badly.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }
}

/// One request over a connection of its own: status and body.
pub fn call(addr: SocketAddr, method: &str, path: &str, body: &[u8]) -> Result<(u16, Vec<u8>)> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {addr}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let answer = Connection::open(addr)?.send(&[head.as_bytes(), body].concat())?;
    Ok((answer.status, answer.body))
}

/// One question over a connection of its own: status and body.
pub fn get(addr: SocketAddr, path: &str) -> Result<(u16, Vec<u8>)> {
    call(addr, "GET", path, b"")
}

/// Sends one inference over a connection of its own and gives the reply's body, which must be a success.
pub fn ask(addr: SocketAddr, case: &Case, format: Format) -> Result<Vec<u8>> {
    let answer = Connection::open(addr)?.post(case, format)?;
    ensure!(answer.status == 200, "status {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
    Ok(answer.body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_whole_when_its_length_is_there() {
        let text = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ndate: x: y\r\n\r\nhello";
        for cut in 0..text.len() {
            assert_eq!(reply(&text[..cut]).unwrap(), None, "{cut}");
        }
        assert_eq!(reply(text).unwrap(), Some(Reply { status: 200, closes: false, retry_after: None, body: b"hello" }));
        assert!(reply(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nhello").is_err());
        assert!(reply(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        let text = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nRetry-After: 2\r\nConnection: close\r\n\r\n";
        let empty = Reply { status: 503, closes: true, retry_after: Some(2), body: b"" };
        assert_eq!(reply(text).unwrap(), Some(empty));
    }
}
