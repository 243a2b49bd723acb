//! A server that says what it is told to: for clients, and for answers that the real one would not give.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread::JoinHandle,
};

/// One request as it came.
#[derive(Debug)]
pub struct Asked {
    /// `GET /path`.
    pub line: String,
    /// Header lines.
    pub headers: Vec<String>,
    /// The body as text.
    pub body: String,
}

impl Asked {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.headers.iter().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Answers one connection after the other, each with the next of its answers, and then ends.
#[derive(Debug)]
pub struct Stub {
    addr: SocketAddr,
    thread: JoinHandle<Vec<Asked>>,
}

impl Stub {
    /// One that has these answers: status, media type, body.
    ///
    /// # Panics
    /// When it cannot listen.
    #[must_use]
    pub fn answering(answers: &[(u16, &'static str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let answers: Vec<String> = answers
            .iter()
            .map(|(status, media_type, body)| {
                let length = body.len();
                format!(
                    "HTTP/1.1 {status} Said\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\
                     Connection: close\r\n\r\n{body}"
                )
            })
            .collect();
        let thread = std::thread::spawn(move || {
            answers.iter().map(|answer| serve(&listener.accept().unwrap().0, answer)).collect()
        });
        Self { addr, thread }
    }

    /// Where it listens, as a client writes it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// What it was asked, after its last answer.
    ///
    /// # Panics
    /// When it did not end well.
    #[must_use]
    pub fn asked(self) -> Vec<Asked> {
        self.thread.join().unwrap()
    }
}

fn serve(stream: &TcpStream, answer: &str) -> Asked {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    };
    let first = line();
    let headers: Vec<String> = std::iter::from_fn(|| Some(line()).filter(|line| !line.is_empty())).collect();
    let mut asked = Asked { line: first.trim_end_matches(" HTTP/1.1").to_owned(), headers, body: String::new() };
    let length = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
    reader.take(length).read_to_string(&mut asked.body).unwrap();
    let mut stream = stream;
    stream.write_all(answer.as_bytes()).unwrap();
    asked
}
