//! The generated client of the whole API makes real calls.

use candor_generated_client_tests::api::{self, types};
use candor_tests::TestServer;
use serde_json::json;

fn client(server: &TestServer) -> api::Client {
    api::Client::new(&format!("http://{}", server.addr()))
}

#[tokio::test]
async fn an_inference_is_sent_and_read_in_types() {
    let server = TestServer::start();
    let input = types::InputTensor {
        name: "features".into(),
        shape: vec![1, 4],
        datatype: "FP32".into(),
        data: Some(vec![json!(5.1), json!(3.5), json!(1.4), json!(0.2)]),
        parameters: None,
    };
    let body = types::InferBody { id: Some("one".into()), inputs: vec![input], outputs: None, parameters: None };
    let reply = client(&server).infer("iris", &body).await.unwrap().into_inner();
    assert_eq!((reply.id.as_deref(), &*reply.model_name), (Some("one"), "iris"));
    let label = reply.outputs.iter().find(|output| output.name == "label").unwrap();
    assert_eq!(label.data, Some(vec![json!(0)]));
}

#[tokio::test]
async fn what_is_served_can_be_asked_for() {
    let server = TestServer::start();
    let client = client(&server);
    assert!(client.ready().await.unwrap().ready);
    let model = client.model_metadata("iris").await.unwrap();
    assert_eq!((&*model.inputs[0].name, &*model.inputs[0].shape), ("features", &[-1, 4][..]));
    let index = client.index(&types::IndexRequest { ready: Some(true) }).await.unwrap();
    assert!(index.iter().any(|row| row.name == "iris" && row.version.as_deref() == Some("2")));
}

#[tokio::test]
async fn an_error_is_read_in_types_too() {
    let server = TestServer::start();
    let error = client(&server).model_metadata("irsi").await.unwrap_err();
    assert_eq!(error.status().unwrap().as_u16(), 404);
    let progenitor_client::Error::ErrorResponse(reply) = error else { panic!("{error}") };
    assert!(reply.error.contains("irsi"), "{}", reply.error);
}
