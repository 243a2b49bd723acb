//! Compressed requests are unpacked; replies are packed for clients that accept it, when it is worth while.

use std::io::{Read as _, Write as _};

use candor_tests::{
    Models, Plan, Reply, Request, TestServer,
    infer::{HEADER_LENGTH, outputs, path, texts},
};
use flate2::{
    Compression,
    read::{GzDecoder, ZlibDecoder},
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};
use serde_json::{Value, json};

const MODEL: &str = "simple_identity";

fn server() -> TestServer {
    Plan::with(Models::copies(&[MODEL])).start()
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(plain).unwrap();
    packer.finish().unwrap()
}

#[test]
fn packed_requests_are_read() {
    let server = server();
    let plain = texts(&["packed"]).to_string().into_bytes();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(&plain).unwrap();
    let mut bare = DeflateEncoder::new(Vec::new(), Compression::default());
    bare.write_all(&plain).unwrap();
    // RFC 9110 means zlib by deflate; some clients send the bare stream.
    for (coding, packed) in [
        ("gzip", gzip(&plain)),
        ("GZIP", gzip(&plain)),
        ("deflate", zlib.finish().unwrap()),
        ("deflate", bare.finish().unwrap()),
        ("identity", plain.clone()),
    ] {
        let request = Request::post(path(MODEL)).header("Content-Encoding", coding).body(packed);
        assert_eq!(outputs(&server.send(&request))[0].elements(), ["packed"], "{coding}");
    }
}

fn ask(server: &TestServer, request: &Value, accept: &str) -> Reply {
    server.send(&Request::post(path(MODEL)).header("Accept-Encoding", accept).json(request)).expect(200)
}

fn unpacked(mut reply: Reply) -> Reply {
    let mut plain = Vec::new();
    match reply.header("content-encoding") {
        Some("gzip") => GzDecoder::new(&*reply.body).read_to_end(&mut plain),
        Some("deflate") => ZlibDecoder::new(&*reply.body).read_to_end(&mut plain),
        other => panic!("{other:?}"),
    }
    .unwrap();
    assert!(plain.len() > reply.body.len());
    assert_eq!(reply.header("vary"), Some("accept-encoding"));
    reply.body = plain;
    reply
}

#[test]
fn large_replies_are_packed_for_those_who_accept_it() {
    let server = server();
    let long = "long ".repeat(1000);
    for (accept, coding) in
        [("gzip", "gzip"), ("deflate", "deflate"), ("br;q=1, gzip;q=0.2", "gzip"), ("gzip;q=0, deflate", "deflate")]
    {
        let reply = ask(&server, &texts(&[&long]), accept);
        assert_eq!(reply.header("content-encoding"), Some(coding), "{accept}");
        assert_eq!(outputs(&unpacked(reply))[0].elements(), [long.as_str()]);
    }
    for accept in ["identity", "br", "gzip;q=0"] {
        assert_eq!(ask(&server, &texts(&[&long]), accept).header("content-encoding"), None, "{accept}");
    }
    assert_eq!(ask(&server, &texts(&["short"]), "gzip").header("content-encoding"), None);
}

#[test]
fn the_header_length_of_a_packed_reply_is_that_of_the_plain_json() {
    let server = server();
    let long = "long ".repeat(1000);
    let mut request = texts(&[&long]);
    request["parameters"] = json!({"binary_data_output": true});
    let reply = unpacked(ask(&server, &request, "gzip"));
    assert!(reply.header(HEADER_LENGTH).is_some());
    assert_eq!(outputs(&reply)[0].elements(), [long.as_str()]);
}

#[test]
fn a_packed_body_may_hold_tensors_in_bytes() {
    let server = server();
    let frame = candor_tests::infer::in_frame(b"both");
    let json = json!({"inputs": [{"name": "INPUT0", "datatype": "BYTES", "shape": [1, 1],
        "parameters": {"binary_data_size": frame.len()}}]});
    let json = json.to_string();
    let packed = gzip(&[json.as_bytes(), &frame].concat());
    // As tritonclient does: the length is that of the JSON before packing.
    let request = Request::post(path(MODEL)).header("Content-Encoding", "gzip");
    let reply = server.send(&request.header(HEADER_LENGTH, json.len().to_string()).body(packed));
    assert_eq!(outputs(&reply)[0].elements(), ["both"]);
}
