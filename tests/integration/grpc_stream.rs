//! `ModelStreamInfer`: answers in order, errors that end nothing, bounds, deadlines, leaving, the server's own end.

use std::time::Duration;

use bytes::Bytes;
use candor_tests::{
    Grpc, Models, Plan, TestServer,
    counters::scrape,
    grpc::{
        BytesCodec, outputs,
        proto::{ModelInferRequest, infer_parameter::ParameterChoice},
        raw_request, request, typed_request, within,
    },
    infer,
    patience::timed,
    until,
};
use futures_util::{StreamExt as _, stream};
use serde_json::json;
use tonic::{Code, Request};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::slow::{FOREVER, turns};

fn long(number: i64) -> ModelInferRequest {
    typed_request("long_loop", turns(number)["inputs"].as_array().unwrap())
}

fn simple(number: i64) -> ModelInferRequest {
    let row = [number; 16];
    let values = [0, 1].map(|at| infer::tensor(&format!("INPUT{at}"), "INT32", &[1, 16], json!(row)));
    ModelInferRequest { id: number.to_string(), ..typed_request("simple", &values) }
}

fn server(settings: &[&str]) -> TestServer {
    let plan = Plan::with(Models::copies(&["simple"]).with_fixture("long_loop"));
    settings.iter().fold(plan, |plan, setting| plan.set(setting)).start()
}

fn in_flight(server: &TestServer) -> f64 {
    scrape(server).value("candor_requests_in_flight", &[("model", "long_loop")])
}

#[test]
fn answers_come_in_the_order_of_their_requests_and_an_error_ends_nothing() {
    let server = server(&[]);
    let grpc = Grpc::open(server.grpc_addr());
    // Slow ones among quick ones, wrong ones among right ones.
    let requests: Vec<_> = (0..60)
        .map(|number| match number % 10 {
            3 => ModelInferRequest { id: number.to_string(), ..long(2000) },
            5 => ModelInferRequest { id: number.to_string(), ..request("simple", Vec::new()) },
            7 => ModelInferRequest { id: number.to_string(), ..request("nobody", Vec::new()) },
            _ => simple(number),
        })
        .collect();
    let answers = grpc.infer_all(requests).unwrap();
    assert_eq!(answers.len(), 60);
    for (number, answer) in (0..60).zip(&answers) {
        let reply = answer.infer_response.as_ref().unwrap();
        assert_eq!(reply.id, number.to_string());
        match number % 10 {
            5 => assert!(answer.error_message.contains("input 'INPUT0' is missing"), "{}", answer.error_message),
            7 => assert!(answer.error_message.contains("there is no model 'nobody'"), "{}", answer.error_message),
            rest => {
                assert_eq!(answer.error_message, "");
                let last = &reply.parameters["triton_final_response"].parameter_choice;
                assert_eq!(*last, Some(ParameterChoice::BoolParam(true)));
                if rest != 3 {
                    assert_eq!(outputs(reply)[0]["data"], json!(vec![2 * number; 16]));
                }
            }
        }
    }
    server.stop_and_expect_clean();
}

#[test]
fn so_many_are_worked_on_at_the_same_time_and_no_more_are_read() {
    let server = server(&["grpc.stream_inflight_max=3", "execution.threads=8", "limits.inference_ms_max=600000"]);
    let grpc = Grpc::open(server.grpc_addr());
    let mut client = grpc.client();
    let stream = grpc.begin(async move { client.model_stream_infer(stream::iter(vec![long(FOREVER); 20])).await });
    until("three are in flight", || (in_flight(&server) == 3.0).then_some(()));
    let answers = grpc.wait(stream).unwrap().unwrap();
    assert_eq!(in_flight(&server), 3.0);
    // Whoever leaves takes the work along.
    drop(answers);
    until("all of it is given up", || (in_flight(&server) == 0.0).then_some(()));
    assert!(grpc.infer(simple(1)).is_ok());
}

#[test]
fn a_deadline_is_that_of_the_whole_stream() {
    let server = server(&["limits.inference_ms_max=600000"]);
    let grpc = Grpc::open(server.grpc_addr());
    let requests = stream::iter(vec![simple(1), long(FOREVER)]);
    let (status, took) = timed(|| {
        grpc.wait(async {
            let request = within(requests, Duration::from_millis(500));
            let mut answers = grpc.client().model_stream_infer(request).await.unwrap().into_inner();
            assert!(answers.message().await.unwrap().unwrap().infer_response.is_some());
            answers.message().await.unwrap_err()
        })
    });
    assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status}");
    assert!(took >= Duration::from_millis(400) && took < Duration::from_secs(20), "{took:?}");
    until("the run is given up", || (in_flight(&server) == 0.0).then_some(()));
}

#[test]
fn a_server_that_stops_answers_what_it_has_and_ends_the_stream_with_a_reason() {
    let server = server(&[]);
    let grpc = Grpc::open(server.grpc_addr());
    let (send, receive) = tokio::sync::mpsc::channel::<ModelInferRequest>(8);
    let requests = stream::unfold(receive, |mut receive| async { Some((receive.recv().await?, receive)) });
    let answers = grpc.wait(async {
        send.send(simple(7)).await.unwrap();
        let mut answers = grpc.client().model_stream_infer(requests).await.unwrap().into_inner();
        assert_eq!(answers.message().await.unwrap().unwrap().infer_response.unwrap().id, "7");
        answers
    });
    // The client keeps its side open.
    let (ended, took) = timed(|| {
        let reading = grpc.begin(async move {
            let mut answers = answers;
            answers.message().await
        });
        server.stop_and_expect_clean();
        grpc.wait(reading).unwrap()
    });
    let status = ended.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(status.message().contains("the server is stopping"), "{status}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    drop(send);
}

#[test]
fn a_stream_on_which_nothing_comes_ends_and_one_that_works_does_not() {
    let server = server(&["grpc.stream_idle_ms_max=300", "limits.inference_ms_max=600000"]);
    let grpc = Grpc::open(server.grpc_addr());
    let cut_off = || scrape(&server).value("candor_grpc_cut_off_total", &[("why", "stream_idle")]);
    // Nobody sends anything more, and a run that has no end is no idleness.
    let other = Grpc::open(server.grpc_addr());
    let mut client = other.client();
    let requests = stream::iter([simple(1), long(FOREVER)]).chain(stream::pending());
    let mut busy = other.wait(client.model_stream_infer(requests)).unwrap().into_inner();
    assert_eq!(other.wait(busy.message()).unwrap().unwrap().infer_response.unwrap().id, "1");
    until("it runs", || (in_flight(&server) == 1.0).then_some(()));
    let idle = stream::iter([simple(2)]).chain(stream::pending());
    let status = grpc.wait(async {
        let mut answers = grpc.client().model_stream_infer(idle).await.unwrap().into_inner();
        assert_eq!(answers.message().await.unwrap().unwrap().infer_response.unwrap().id, "2");
        answers.message().await.unwrap_err()
    });
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert!(status.message().contains("300 ms (grpc.stream_idle_ms_max)"), "{status}");
    assert_eq!((cut_off(), in_flight(&server)), (1.0, 1.0));
    // Reflection is no stream of ours, and ends all the same; watching health does not.
    let mut health = HealthClient::new(grpc.channel());
    let mut watched = grpc.wait(health.watch(HealthCheckRequest::default())).unwrap().into_inner();
    assert_eq!(grpc.wait(watched.message()).unwrap().unwrap().status, 1);
    let ended = grpc.wait(async {
        let mut client = tonic::client::Grpc::new(grpc.channel());
        client.ready().await.unwrap();
        let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo".parse().unwrap();
        let asked = Request::new(stream::pending::<Bytes>());
        match client.streaming(asked, path, BytesCodec).await {
            Ok(answers) => answers.into_inner().message().await.map(|_| ()),
            Err(status) => Err(status),
        }
    });
    assert!(ended.is_ok() || ended.unwrap_err().code() == Code::DeadlineExceeded);
    assert_eq!((cut_off(), in_flight(&server)), (2.0, 1.0));
    drop((busy, client, other));
    until("the run is given up", || (in_flight(&server) == 0.0).then_some(()));
    // The watcher is still there.
    let watching = grpc.begin(async move { watched.message().await });
    assert!(!watching.is_finished());
    server.stop_and_expect_clean();
    assert!(grpc.wait(watching).unwrap().unwrap().is_none_or(|last| last.status == 2));
}

/// A request whose answer is as large as itself.
fn large(bytes: usize) -> ModelInferRequest {
    raw_request("simple_identity", &[infer::tensor("INPUT0", "BYTES", &[1, 1], json!(["x".repeat(bytes)]))])
}

#[test]
fn who_does_not_read_holds_a_bounded_number_of_answers_and_not_for_ever() {
    const REQUESTS: usize = 100;
    let models = Models::copies(&["simple", "simple_identity"]);
    let plan = Plan::with(models).set("grpc.answer_read_ms_max=1000").set("grpc.stream_inflight_max=4");
    let server = plan.start();
    let grpc = Grpc::open(server.grpc_addr());
    let answered = || scrape(&server).requests("simple_identity", "1", "success");
    let cut_off = || scrape(&server).value("candor_grpc_cut_off_total", &[("why", "answer_unread")]);
    let mut client = grpc.client();
    let stream = stream::iter((0..REQUESTS).map(|_| large(512 << 10)));
    let mut answers = grpc.wait(client.model_stream_infer(stream)).unwrap().into_inner();
    until("the server loses patience", || (cut_off() == 1.0).then_some(()));
    // Those that were on their way, those that were worked on, and no more ever.
    let made = answered();
    assert!((1.0..20.0).contains(&made), "{made}");
    let (read, status) = grpc.wait(async {
        let mut read = 0;
        loop {
            match answers.message().await {
                Ok(Some(_)) => read += 1,
                Ok(None) => panic!("it ended well after {read}"),
                Err(status) => return (read, status),
            }
        }
    });
    assert!(read < 20, "{read}");
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert!(status.message().contains("1000 ms (grpc.answer_read_ms_max)"), "{status}");
    assert_eq!(answered(), made, "nothing was worked on after that");
    // The connection is as good as before.
    assert!(grpc.infer(simple(1)).is_ok());
    assert!(grpc.infer(large(512 << 10)).is_ok());
    server.stop_and_expect_clean();
}
