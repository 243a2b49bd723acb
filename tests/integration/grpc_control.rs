//! What an operator sees and does over gRPC: health, reflection, repository, addresses, the end.

use std::{net::TcpListener, time::Duration};

use bytes::Bytes;
use candor_tests::{
    Grpc, Models, Plan, Process, Request as HttpRequest, TestServer,
    grpc::{
        BytesCodec,
        proto::{
            ModelMetadataRequest, ModelReadyRequest, ModelRepositoryParameter, RepositoryIndexRequest,
            RepositoryModelLoadRequest, RepositoryModelUnloadRequest, ServerReadyRequest,
            model_repository_parameter::ParameterChoice,
        },
        typed_request,
    },
    infer,
    patience::timed,
    until,
};
use futures_util::{StreamExt as _, stream};
use tonic::{Code, Request};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use super::lifecycle::BINARY;

fn server() -> TestServer {
    Plan::with(Models::copies(&["iris", "simple"])).start()
}

pub fn health(grpc: &Grpc, service: &str) -> Result<i32, tonic::Status> {
    let mut client = HealthClient::new(grpc.channel());
    let request = HealthCheckRequest { service: service.to_owned() };
    grpc.wait(client.check(request)).map(|answer| answer.into_inner().status)
}

#[test]
fn health_follows_readiness_and_a_watcher_is_told() {
    let plan = Plan::with(Models::copies(&["iris"])).set("shutdown.drain_delay_ms=2000");
    let server = plan.start();
    let grpc = Grpc::open(server.grpc_addr());
    for service in ["", "inference.GRPCInferenceService"] {
        assert_eq!(health(&grpc, service).unwrap(), i32::from(ServingStatus::Serving));
    }
    assert_eq!(health(&grpc, "iris").unwrap_err().code(), Code::NotFound);
    let mut client = HealthClient::new(grpc.channel());
    let mut watch = grpc.wait(client.watch(HealthCheckRequest::default())).unwrap().into_inner();
    let first = grpc.wait(watch.message()).unwrap().unwrap();
    assert_eq!(first.status, i32::from(ServingStatus::Serving));
    let watching = grpc.begin(async move {
        let next = watch.message().await;
        (next, watch.message().await)
    });
    // While it drains, it says that it is not ready, and still answers.
    server.stop_and_expect_clean();
    let (next, end) = grpc.wait(watching).unwrap();
    assert_eq!(next.unwrap().unwrap().status, i32::from(ServingStatus::NotServing));
    assert!(end.unwrap().is_none(), "the watch ends with the server");
}

#[test]
fn models_come_and_go() {
    let server = server();
    let grpc = Grpc::open(server.grpc_addr());
    let ready = |model: &str| {
        let request = ModelReadyRequest { name: model.to_owned(), version: String::new() };
        grpc.wait(grpc.client().model_ready(request)).unwrap().into_inner().ready
    };
    assert!(ready("iris") && !ready("irsi"));
    let unload = |repository: &str, model: &str| {
        let request = RepositoryModelUnloadRequest {
            repository_name: repository.to_owned(),
            model_name: model.to_owned(),
            ..RepositoryModelUnloadRequest::default()
        };
        grpc.wait(grpc.client().repository_model_unload(request)).map(tonic::Response::into_inner)
    };
    let load = |repository: &str, model: &str, parameters: &[(&str, ParameterChoice)]| {
        let parameter = |choice: &ParameterChoice| ModelRepositoryParameter { parameter_choice: Some(choice.clone()) };
        let request = RepositoryModelLoadRequest {
            repository_name: repository.to_owned(),
            model_name: model.to_owned(),
            parameters: parameters.iter().map(|(key, choice)| ((*key).to_owned(), parameter(choice))).collect(),
        };
        grpc.wait(grpc.client().repository_model_load(request)).map(tonic::Response::into_inner)
    };
    unload("", "iris").unwrap();
    assert!(!ready("iris"));
    assert_eq!(server.get("/v2/models/iris/ready").status, 503, "the HTTP door sees the same");
    let infer = typed_request("iris", infer::iris()["inputs"].as_array().unwrap());
    assert_eq!(grpc.infer(infer.clone()).unwrap_err().code(), Code::Unavailable);
    load("", "iris", &[]).unwrap();
    assert!(grpc.infer(infer).is_ok());
    // As KServe's clients write it, who read the answer too.
    let gone = unload("iris", "").unwrap();
    assert_eq!((&*gone.model_name, gone.is_unloaded), ("iris", true));
    let back = load("iris", "", &[]).unwrap();
    assert_eq!((&*back.model_name, back.is_loaded), ("iris", true));
    // What a load may carry, and what not.
    let text = |text: &str| ParameterChoice::StringParam(text.to_owned());
    load("", "iris", &[("config", text(r#"{"version_policy":{"specific":{"versions":[1]}}}"#))]).unwrap();
    let metadata = ModelMetadataRequest { name: "iris".to_owned(), version: String::new() };
    assert_eq!(grpc.wait(grpc.client().model_metadata(metadata)).unwrap().into_inner().versions, ["1"]);
    for (repository, model, parameters, code) in [
        ("other", "iris", vec![], Code::Unimplemented),
        ("", "", vec![], Code::InvalidArgument),
        ("", "../iris", vec![], Code::InvalidArgument),
        ("", "irsi", vec![], Code::NotFound),
        ("", "iris", vec![("file:1/model.onnx", ParameterChoice::BytesParam(vec![0; 8]))], Code::Unimplemented),
        ("", "iris", vec![("config", text(r#"{"max_batch_size":4}"#))], Code::Unimplemented),
        ("", "iris", vec![("config", text("no json"))], Code::InvalidArgument),
        ("", "iris", vec![("config", ParameterChoice::Int64Param(1))], Code::InvalidArgument),
    ] {
        let status = load(repository, model, &parameters).unwrap_err();
        assert_eq!(status.code(), code, "{repository:?} {model:?} {parameters:?}: {status}");
    }
}

#[test]
fn the_index_says_what_the_http_door_says() {
    let models = Models::copies(&["iris"]).with_file("broken/1/model.onnx", "no model");
    let server = Plan::with(models).start();
    let grpc = Grpc::open(server.grpc_addr());
    let index = |ready| {
        let request = RepositoryIndexRequest { repository_name: String::new(), ready };
        grpc.wait(grpc.client().repository_index(request)).unwrap().into_inner().models
    };
    let rows: Vec<_> = index(false).into_iter().map(|row| (row.name, row.version, row.state, row.reason)).collect();
    let over_http = server.send(&HttpRequest::post("/v2/repository/index")).expect(200).json();
    let text = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let over_http: Vec<_> = over_http
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (text(row, "name"), text(row, "version"), text(row, "state"), text(row, "reason")))
        .collect();
    assert_eq!(rows, over_http);
    assert!(rows.iter().any(|row| row.2 == "UNAVAILABLE") && index(true).iter().all(|row| row.state == "READY"));
    let named = RepositoryIndexRequest { repository_name: "other".to_owned(), ready: false };
    let status = grpc.wait(grpc.client().repository_index(named)).unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented, "{status}");
}

#[test]
fn reflection_is_there_unless_it_is_off() {
    let list = |server: &TestServer, version: &str| {
        let grpc = Grpc::open(server.grpc_addr());
        let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
        // list_services: "*"
        grpc.call(&path, Request::new(b"\x3a\x01*".to_vec().into()))
    };
    let on = server();
    for version in ["v1", "v1alpha"] {
        let names = list(&on, version).unwrap().unwrap();
        let names = String::from_utf8_lossy(&names).into_owned();
        assert!(names.contains("inference.GRPCInferenceService") && names.contains("grpc.health.v1.Health"), "{names}");
    }
    let off = Plan::with(Models::copies(&["iris"])).set("grpc.reflection=false").start();
    let status = list(&off, "v1").unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented, "{status}");
    assert!(status.message().contains("this service is off (grpc.reflection)"), "{status}");
}

#[test]
fn who_goes_on_asking_does_not_keep_the_server_from_stopping() {
    let server = server();
    let grpc = Grpc::open(server.grpc_addr());
    let mut answers = grpc.wait(async {
        let mut client = tonic::client::Grpc::new(grpc.channel());
        client.ready().await.unwrap();
        // list_services: "*", and then nothing more, for ever.
        let asked = stream::iter([Bytes::from_static(b"\x3a\x01*")]).chain(stream::pending());
        let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo".parse().unwrap();
        let answers = client.streaming(Request::new(asked), path, BytesCodec).await.unwrap();
        answers.into_inner()
    });
    assert!(grpc.wait(answers.message()).unwrap().is_some());
    let (_, took) = timed(|| server.stop_and_expect_clean());
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn an_address_that_is_taken_is_an_error_if_somebody_chose_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let plan = || Plan::with(Models::copies(&["iris"])).set(&format!("grpc.addr={addr}"));
    // The default address keeps no server from starting: it goes without gRPC.
    let server = plan().change(|settings| settings.grpc.addr_is_chosen = false).start();
    assert_eq!(server.post(&infer::path("iris"), &infer::iris()).status, 200);
    server.stop_and_expect_clean();
    let error = plan().try_start().unwrap_err();
    let says =
        "another process listens there; stop it or choose another --grpc-addr, or switch gRPC off with --grpc-addr off";
    assert!(error.contains(&format!("cannot listen on {addr}")) && error.contains(says), "{error}");
}

#[test]
fn it_can_be_off_and_a_data_folder_says_where_it_is() {
    let models = Models::copies(&["iris"]);
    let mut process = Process::serve(BINARY, models.root(), &[]);
    process.ready();
    let announced: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(process.announcement()).unwrap()).unwrap();
    let addr = announced["grpc"].as_str().unwrap().parse().unwrap();
    let grpc = Grpc::open(addr);
    assert!(grpc.wait(grpc.client().server_ready(ServerReadyRequest {})).unwrap().into_inner().ready);
    until("it says so", || process.said().contains(&format!("gRPC     {addr}")).then_some(()));
    process.signal("TERM");
    assert_eq!(process.end().0.code(), Some(0), "{}", process.said());
    assert!(Grpc::try_open(addr).is_err());

    let mut process = Process::serve(BINARY, models.root(), &["--set", "grpc.addr=off"]);
    process.ready();
    let announced: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(process.announcement()).unwrap()).unwrap();
    assert_eq!(announced.get("grpc"), None);
    process.signal("TERM");
    assert_eq!(process.end().0.code(), Some(0), "{}", process.said());
}
