//! Requests whose head is wrong: lengths, types, encodings, compression, smuggling, sizes.

use std::io::Write as _;

use candor_tests::{
    Connection, Models, Plan, Request, TestServer,
    infer::{HEADER_LENGTH, iris, path},
};
use flate2::{Compression, write::GzEncoder};

use super::refusal::{check_all, refusal, server, still_answers};

fn ask() -> Request {
    Request::post(path("iris")).body(iris().to_string())
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(plain).unwrap();
    packer.finish().unwrap()
}

#[test]
fn the_length_of_the_json_part() {
    let server = server(&[]);
    let length = iris().to_string().len();
    let beyond = (length + 1).to_string();
    let wrong = |value: &str| ask().header(HEADER_LENGTH, value);
    let mut refusals = Vec::new();
    for value in [
        &beyond,
        "-1",
        "-0",
        "18446744073709551615",
        "18446744073709551616",
        "1e2",
        "0x10",
        "1.0",
        "+5",
        "",
        " ",
        "all",
    ] {
        refusals.push(refusal(
            format!("{value:?}"),
            wrong(value),
            400,
            &["Inference-Header-Content-Length", "not the length of the JSON part", &format!("from 0 to {length}")],
        ));
    }
    let good = length.to_string();
    let names_header = &["inference-header-content-length", "twice"][..];
    refusals.extend([
        refusal("twice", wrong(&good).header(HEADER_LENGTH, &good), 400, names_header),
        refusal("twice, two values", wrong(&good).header(HEADER_LENGTH, "1"), 400, names_header),
        refusal("a list", wrong(&format!("{good}, {good}")), 400, &["not the length"]),
        refusal("not text", ask().header(HEADER_LENGTH, b"\xff"), 400, &["not plain text"]),
        refusal("too short", wrong(&(length - 1).to_string()), 400, &["not the JSON", "EOF"]),
        refusal("1", wrong("1"), 400, &["not the JSON", "EOF"]),
    ]);
    check_all(&server, &refusals);
    assert_eq!(server.send(&wrong(&good)).status, 200);
}

#[test]
fn media_types_and_encodings() {
    let server = server(&[]);
    let typed = |value: &str| ask().header("Content-Type", value);
    let coded = |value: &str| ask().header("Content-Encoding", value);
    let mut refusals = Vec::new();
    for value in
        ["text/plain", "multipart/form-data; boundary=x", "application/xml", "image/png", "json", "application/jsonx"]
    {
        let says = [
            "header Content-Type",
            "application/json or application/octet-stream",
            "-H 'Content-Type: application/json'",
        ];
        refusals.push(refusal(value, typed(value), 415, &says));
    }
    for value in ["br", "zstd", "compress", "gzip, gzip", "utf-8"] {
        refusals.push(refusal(value, coded(value), 415, &["header Content-Encoding", "gzip, deflate or identity"]));
    }
    let json = "application/json";
    refusals.push(refusal("two types", typed(json).header("Content-Type", json), 400, &["content-type", "twice"]));
    refusals.push(refusal(
        "two codings",
        coded("gzip").header("Content-Encoding", "gzip"),
        400,
        &["content-encoding", "twice"],
    ));
    for value in ["gzip", "deflate"] {
        refusals.push(refusal(format!("not {value}"), coded(value), 400, &["the body is not valid"]));
    }
    check_all(&server, &refusals);
    for value in [
        "application/json",
        "APPLICATION/JSON; charset=utf-8",
        "application/vnd.sagemaker-triton.binary+json;json-header-size=1",
    ] {
        assert_eq!(server.send(&typed(value)).status, 200, "{value}");
    }
}

#[test]
fn packed_bodies_that_are_broken_or_bombs() {
    let plan = Plan::with(Models::copies(&["iris"])).set("limits.decompressed_bytes_max=1 MiB");
    let server = plan.set("limits.body_bytes_max=64 KiB").start();
    let packed = |body: Vec<u8>| Request::post(path("iris")).header("Content-Encoding", "gzip").body(body);
    let good = gzip(iris().to_string().as_bytes());
    let bomb = gzip(&vec![b' '; 32 << 20]);
    assert!(bomb.len() < 64 << 10, "it must get past the limit on what is sent");
    let mut wrong_sum = good.clone();
    let sum = wrong_sum.len() - 8;
    wrong_sum[sum] ^= 1;
    check_all(
        &server,
        &[
            refusal(
                "bomb",
                packed(bomb),
                413,
                &["too large", "1048576 bytes (after decompression; limits.decompressed_bytes_max)"],
            ),
            refusal("bomb of bombs", packed(gzip(&gzip(&vec![0; 1 << 20]))), 400, &["not the JSON"]),
            refusal("cut short", packed(good[..good.len() / 2].to_vec()), 400, &["not valid gzip"]),
            refusal("without its end", packed(good[..good.len() - 1].to_vec()), 400, &["not valid gzip"]),
            refusal("wrong checksum", packed(wrong_sum), 400, &["not valid gzip"]),
            refusal("head only", packed(good[..10].to_vec()), 400, &["not valid gzip"]),
            refusal("empty", packed(Vec::new()), 400, &["not valid gzip"]),
        ],
    );
    assert_eq!(server.send(&packed(good)).status, 200);
}

#[test]
fn bodies_that_are_too_large() {
    let server = Plan::with(Models::copies(&["iris"])).set("limits.body_bytes_max=1 KiB").start();
    let large = || Request::post(path("iris")).body(vec![b' '; 1 << 20]);
    check_all(
        &server,
        &[refusal("announced", large(), 413, &["too large", "at most 1024 bytes (limits.body_bytes_max)"])],
    );
    // Announced only, never sent: the answer must not wait for it.
    let mut connection = Connection::open(server.addr());
    let head = Request::post(path("iris")).header("Content-Length", "1000000000000").head();
    connection.send(&head);
    assert_eq!(connection.reply().status, 413);
    // In chunks nobody knows before; it is cut off where the limit is.
    let mut connection = Connection::open(server.addr());
    connection.send(&Request::post(path("iris")).header("Transfer-Encoding", "chunked").head());
    for _ in 0..64 {
        connection.send(format!("400\r\n{}\r\n", " ".repeat(1024)).as_bytes());
    }
    assert_eq!(connection.reply().status, 413);
    still_answers(server.addr());
    server.stop_and_expect_clean();
}

fn chunked(connection: &mut Connection, body: &str, each: usize) {
    let mut bytes = Request::post(path("iris")).header("Transfer-Encoding", "chunked").head();
    for chunk in body.as_bytes().chunks(each) {
        bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        bytes.extend([chunk, b"\r\n"].concat());
    }
    bytes.extend(b"0\r\n\r\n");
    connection.send(&bytes);
}

#[test]
fn many_chunks_are_one_body() {
    let server = server(&[]);
    // 65,536 chunks of one byte: another server kept each of them on its stack.
    let body = format!("{}{}", iris(), " ".repeat(65_536));
    let mut connection = Connection::open(server.addr());
    chunked(&mut connection, &body, 1);
    assert_eq!(connection.reply().status, 200);
    chunked(&mut connection, &iris().to_string(), 7);
    assert_eq!(connection.reply().status, 200);
}

/// What a server must not do with a request of two meanings: take it and then read its rest as another.
fn expect_one_refusal(server: &TestServer, name: &str, bytes: &[u8]) {
    let mut connection = Connection::open(server.addr());
    connection.send(bytes);
    connection.finish_sending();
    let first = connection.try_reply_to("POST").map(|reply| reply.status);
    assert!(!first.as_ref().is_ok_and(|status| *status < 400), "{name}: {first:?}");
    let second = connection.try_reply_to("GET").map(|reply| reply.status);
    assert!(second.is_err(), "{name}: first {first:?}, then {second:?}");
    still_answers(server.addr());
}

#[test]
fn requests_of_two_meanings_are_not_taken_for_two_requests() {
    let server = server(&[]);
    let smuggled = "GET /v2/health/live HTTP/1.1\r\nHost: test\r\n\r\n";
    let post = |headers: &str, body: &str| {
        format!("POST /v2/models/iris/infer HTTP/1.1\r\nHost: test\r\n{headers}\r\n\r\n{body}{smuggled}").into_bytes()
    };
    for (name, headers, body) in [
        ("length and chunks", "Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
        ("chunks and length", "Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n"),
        ("two lengths", "Content-Length: 2\r\nContent-Length: 3", "{} "),
        ("two equal lengths", "Content-Length: 2\r\nContent-Length: 2", "{}"),
        ("a list of lengths", "Content-Length: 2, 2", "{}"),
        ("a negative length", "Content-Length: -2", "{}"),
        ("a signed length", "Content-Length: +2", "{}"),
        ("a length in hex", "Content-Length: 0x2", "{}"),
        ("a length beyond 64 bits", "Content-Length: 18446744073709551618", "{}"),
        ("an unknown coding", "Transfer-Encoding: xchunked", "2\r\n{}\r\n0\r\n\r\n"),
        ("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
        ("chunked, then not", "Transfer-Encoding: chunked, identity", "0\r\n\r\n"),
        ("space before the colon", "Content-Length : 2", "{}"),
        ("a folded header", "X: y\r\n Content-Length: 2", "{}"),
        ("a chunk of a negative length", "Transfer-Encoding: chunked", "-2\r\n{}\r\n0\r\n\r\n"),
        ("a chunk length of 2^64", "Transfer-Encoding: chunked", "10000000000000002\r\n{}\r\n0\r\n\r\n"),
        ("a chunk without its end", "Transfer-Encoding: chunked", "2\r\n{}0\r\n\r\n"),
    ] {
        expect_one_refusal(&server, name, &post(headers, body));
    }
    server.stop_and_expect_clean();
}

#[test]
fn what_is_no_http() {
    let server = server(&[]);
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /v2 HTTP/9.9\r\n\r\n",
        b"GET  /v2 HTTP/1.1\r\n\r\n",
        b"G\0T /v2 HTTP/1.1\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nHost: a\0b\r\n\r\n",
        b"GET /v2\x80 HTTP/1.1\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"{\"inputs\":[]}\n",
    ] {
        let mut connection = Connection::open(server.addr());
        connection.send(bytes);
        connection.finish_sending();
        let reply = connection.try_reply_to("GET").map(|reply| reply.status);
        assert!(!reply.as_ref().is_ok_and(|status| *status < 400 || *status >= 500), "{bytes:?}: {reply:?}");
        still_answers(server.addr());
    }
}

#[test]
fn heads_that_never_end_are_cut_off() {
    let server = server(&[]);
    let long = format!("GET /v2?{} HTTP/1.1\r\nHost: test\r\n\r\n", "x".repeat(10 << 20));
    let many: String = (0..100_000).map(|n| format!("X-{n}: {n}\r\n")).collect();
    let wide = format!("GET /v2 HTTP/1.1\r\nHost: test\r\nX: {}\r\n\r\n", "y".repeat(10 << 20));
    for head in [long, format!("GET /v2 HTTP/1.1\r\n{many}\r\n"), wide] {
        let mut connection = Connection::open(server.addr());
        connection.send(head.as_bytes());
        let reply = connection.try_reply_to("GET").map(|reply| reply.status);
        assert!(!reply.as_ref().is_ok_and(|status| *status < 400 || *status >= 500), "{reply:?}");
        still_answers(server.addr());
    }
}
