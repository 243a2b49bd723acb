//! What a gRPC caller may not: send too much, too slowly, too many; wait longer than it said.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use bytes::Bytes;
use candor_tests::{
    Grpc, Models, Plan, TestServer,
    counters::scrape,
    grpc::{proto::ModelInferRequest, raw_request, typed_request, within},
    infer,
    patience::timed,
    until,
};
use serde_json::json;
use tonic::{Code, Request, codec::CompressionEncoding};

use super::slow::{FOREVER, turns};

fn long(number: i64) -> ModelInferRequest {
    typed_request("long_loop", turns(number)["inputs"].as_array().unwrap())
}

fn server(settings: &[&str]) -> TestServer {
    let plan = Plan::with(Models::copies(&["iris", "simple_identity"]).with_fixture("long_loop"));
    settings.iter().fold(plan, |plan, setting| plan.set(setting)).start()
}

fn iris() -> ModelInferRequest {
    typed_request("iris", infer::iris()["inputs"].as_array().unwrap())
}

fn in_flight(server: &TestServer) -> f64 {
    scrape(server).value("candor_requests_in_flight", &[("model", "long_loop")])
}

#[test]
fn a_message_has_a_size_packed_or_not() {
    let server = server(&["grpc.message_bytes_max=64 KiB"]);
    let grpc = Grpc::open(server.grpc_addr());
    let text = |bytes: usize| {
        let value = infer::tensor("INPUT0", "BYTES", &[1, 1], json!(["x".repeat(bytes)]));
        raw_request("simple_identity", &[value])
    };
    assert!(grpc.infer(text(60_000)).is_ok());
    for mut client in [grpc.client(), grpc.client().send_compressed(CompressionEncoding::Gzip)] {
        let status = grpc.wait(client.model_infer(text(70_000))).unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        assert!(status.message().contains("at most 65536 bytes"), "{status}");
        assert!(status.message().contains("grpc.message_bytes_max"), "{status}");
        assert_eq!(status.metadata().get("candor-reason").unwrap(), "too_large");
    }
    let packed = grpc.wait(grpc.client().send_compressed(CompressionEncoding::Deflate).model_infer(text(60_000)));
    assert!(packed.is_ok());
}

#[test]
fn a_deadline_reaches_the_queue_and_the_engine() {
    let server = server(&["execution.threads=1", "limits.inference_ms_max=600000"]);
    let grpc = Grpc::open(server.grpc_addr());
    let (status, took) = timed(|| grpc.infer(within(long(FOREVER), Duration::from_millis(300))).unwrap_err());
    assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status}");
    assert!(took < Duration::from_secs(20), "{took:?}");
    // The run itself ends too, or the one thread would never be free again.
    assert!(grpc.infer(long(1)).is_ok());
    assert_eq!(scrape(&server).requests("long_loop", "1", "cancelled"), 1.0);
    // One that waits is never begun.
    let mut client = grpc.client();
    let running = grpc.begin(async move { client.model_infer(long(FOREVER)).await });
    until("the thread is busy", || (in_flight(&server) == 1.0).then_some(()));
    assert!(grpc.infer(within(long(1), Duration::from_millis(200))).is_err());
    running.abort();
    until("the thread is free", || (in_flight(&server) == 0.0).then_some(()));
    let metrics = scrape(&server);
    assert_eq!(metrics.requests("long_loop", "1", "cancelled"), 3.0);
    assert_eq!(metrics.requests("long_loop", "1", "success"), 1.0);
}

#[test]
fn a_deadline_that_is_none_is_refused() {
    let server = server(&[]);
    let grpc = Grpc::open(server.grpc_addr());
    let mut request = Request::new(Bytes::new());
    request.metadata_mut().insert("grpc-timeout", "soon".parse().unwrap());
    let status = grpc.call("/inference.GRPCInferenceService/ServerLive", request).unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
}

#[test]
fn a_timeout_of_the_protocol_counts_too() {
    use candor_tests::grpc::proto::{InferParameter, infer_parameter::ParameterChoice};
    let server = server(&["limits.inference_ms_max=600000"]);
    let grpc = Grpc::open(server.grpc_addr());
    let mut request = long(FOREVER);
    let micros = InferParameter { parameter_choice: Some(ParameterChoice::Uint64Param(200_000)) };
    request.parameters.insert("timeout".to_owned(), micros);
    let status = grpc.infer(request).unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert!(status.message().contains("expected an answer within 200 ms"), "{status}");
}

#[test]
fn who_leaves_takes_the_work_along() {
    let server = server(&["execution.threads=1", "limits.inference_ms_max=600000"]);
    let grpc = Grpc::open(server.grpc_addr());
    let asked: Vec<_> = (0..8)
        .map(|_| {
            let mut client = grpc.client();
            grpc.begin(async move { client.model_infer(long(FOREVER)).await })
        })
        .collect();
    until("all are there", || (in_flight(&server) == 8.0).then_some(()));
    asked.iter().for_each(tokio::task::JoinHandle::abort);
    until("all of it is given up", || (in_flight(&server) == 0.0).then_some(()));
    assert_eq!(scrape(&server).requests("long_loop", "1", "cancelled"), 8.0);
    assert!(grpc.infer(long(1)).is_ok());
    // A connection that breaks takes its work along too.
    let other = Grpc::open(server.grpc_addr());
    let mut client = other.client();
    other.begin(async move { client.model_infer(long(FOREVER)).await });
    until("it runs", || (in_flight(&server) == 1.0).then_some(()));
    drop(other);
    until("it is given up", || (in_flight(&server) == 0.0).then_some(()));
    server.stop_and_expect_clean();
}

#[test]
fn a_full_server_says_when_to_come_back() {
    let server = server(&["execution.threads=1", "limits.inflight_per_model_max=1", "limits.inference_ms_max=600000"]);
    let grpc = Grpc::open(server.grpc_addr());
    let mut client = grpc.client();
    let running = grpc.begin(async move { client.model_infer(long(FOREVER)).await });
    until("it runs", || (in_flight(&server) == 1.0).then_some(()));
    let status = grpc.infer(long(1)).unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(status.message().contains("limits.inflight_per_model_max"), "{status}");
    assert_eq!(status.metadata().get("candor-reason").unwrap(), "inflight_limit");
    assert_eq!(status.metadata().get("grpc-retry-pushback-ms").unwrap(), "1000");
    // Another model has room of its own.
    assert!(grpc.infer(iris()).is_ok());
    running.abort();
}

/// What a client says first: the preface and empty settings (RFC 9113 §3.4).
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[test]
fn there_are_so_many_connections_and_a_silent_one_does_not_keep_its_place() {
    let server = server(&["grpc.connections_max=1"]);
    let silent = TcpStream::connect(server.grpc_addr()).unwrap();
    // It waits for the place of the one that says nothing, and gets it.
    let grpc = Grpc::open(server.grpc_addr());
    assert!(grpc.infer(iris()).is_ok());
    drop(grpc);
    drop(silent);
    assert!(Grpc::open(server.grpc_addr()).infer(iris()).is_ok());
}

#[test]
fn a_connection_that_does_not_answer_is_closed() {
    let server = server(&["grpc.keep_alive_s=1", "grpc.keep_alive_wait_s=1"]);
    let mut deaf = TcpStream::connect(server.grpc_addr()).unwrap();
    deaf.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    deaf.write_all(GREETING).unwrap();
    let (_, took) = timed(|| {
        let mut rest = Vec::new();
        // Until the server closes: it is asked, and does not say that it is still there.
        let _ = deaf.read_to_end(&mut rest);
    });
    assert!(took < Duration::from_secs(20), "{took:?}");
    // One that is there stays.
    let grpc = Grpc::open(server.grpc_addr());
    assert!(grpc.infer(iris()).is_ok());
}

#[test]
fn a_message_that_does_not_come_is_not_waited_for() {
    let server = server(&["limits.body_read_ms_max=300"]);
    let grpc = Grpc::open(server.grpc_addr());
    let (status, took) = timed(|| {
        grpc.wait(async {
            let mut client = tonic::client::Grpc::new(grpc.channel());
            client.ready().await.unwrap();
            let never = futures_util::stream::pending::<ModelInferRequest>();
            let codec = tonic_prost::ProstCodec::<ModelInferRequest, ModelInferRequest>::default();
            let path = "/inference.GRPCInferenceService/ModelInfer".parse().unwrap();
            client.client_streaming(Request::new(never), path, codec).await.unwrap_err()
        })
    });
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert!(status.message().contains("300 ms (limits.body_read_ms_max)"), "{status}");
    assert!(took >= Duration::from_millis(250) && took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn what_is_no_http_2_is_turned_away() {
    let server = server(&[]);
    for bytes in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", &[0; 4096]] {
        let mut stream = TcpStream::connect(server.grpc_addr()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(bytes).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    assert!(Grpc::open(server.grpc_addr()).infer(iris()).is_ok());
    server.stop_and_expect_clean();
}

/// Reads frames until the server closes; whether it said that the client is to go.
fn is_told_to_go(mut stream: TcpStream) -> bool {
    const GO_AWAY: u8 = 7;
    const PING: u8 = 6;
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(GREETING).unwrap();
    let mut told = false;
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).is_err() {
            return told;
        }
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        stream.read_exact(&mut payload).unwrap();
        told |= head[3] == GO_AWAY;
        if head[3] == PING && head[4] & 1 == 0 {
            // The same back, acknowledged.
            head[4] = 1;
            let _ = stream.write_all(&[&head[..], &payload].concat());
        }
    }
}

fn cut_off(server: &TestServer, why: &str) -> f64 {
    scrape(server).value("candor_grpc_cut_off_total", &[("why", why)])
}

#[test]
fn a_connection_without_calls_is_told_to_go_and_one_with_a_call_stays() {
    let server = server(&["grpc.connection_idle_s_max=1", "limits.inference_ms_max=600000"]);
    let grpc = Grpc::open(server.grpc_addr());
    let mut client = grpc.client();
    let running = grpc.begin(async move { client.model_infer(long(FOREVER)).await });
    until("it runs", || (in_flight(&server) == 1.0).then_some(()));
    assert!(is_told_to_go(TcpStream::connect(server.grpc_addr()).unwrap()));
    assert_eq!((cut_off(&server, "connection_idle"), in_flight(&server)), (1.0, 1.0));
    running.abort();
    until("the other one is idle too", || (cut_off(&server, "connection_idle") == 2.0).then_some(()));
    // Whose client comes back over another one.
    assert!(grpc.infer(iris()).is_ok());
}

#[test]
fn an_old_connection_takes_no_more_calls_and_those_under_way_have_their_grace() {
    let settings = ["grpc.connection_age_s_max=1", "limits.inference_ms_max=600000"];
    let old = server(&[&settings[..], &["grpc.connection_age_grace_s=1"]].concat());
    let grpc = Grpc::open(old.grpc_addr());
    let mut client = grpc.client();
    let running = grpc.begin(async move { client.model_infer(long(FOREVER)).await });
    until("it runs", || (in_flight(&old) == 1.0).then_some(()));
    until("it is old", || (cut_off(&old, "connection_age") >= 1.0).then_some(()));
    // The client has been told, and calls over another connection; the one call that it was about to send may fail.
    until("it calls again", || grpc.infer(iris()).ok());
    // What takes longer is cut off, and its work is given up.
    assert!(grpc.wait(running).unwrap().is_err());
    until("it is given up", || (in_flight(&old) == 0.0).then_some(()));

    let gentle = server(&[&settings[..], &["grpc.connection_age_grace_s=600"]].concat());
    let grpc = Grpc::open(gentle.grpc_addr());
    let mut client = grpc.client();
    // About a second and a half here; however long it takes, it is answered.
    let running = grpc.begin(async move { client.model_infer(long(400_000)).await });
    until("it is old", || (cut_off(&gentle, "connection_age") >= 1.0).then_some(()));
    assert!(grpc.wait(running).unwrap().is_ok());
    assert!(is_told_to_go(TcpStream::connect(gentle.grpc_addr()).unwrap()));
    gentle.stop_and_expect_clean();
}
