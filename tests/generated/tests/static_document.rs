//! The generated client of the whole API makes real calls.

use candor_generated_client_tests::api::{self, types};
use candor_tests::TestServer;
use futures_util::TryStreamExt as _;
use serde_json::json;

fn client(server: &TestServer) -> api::Client {
    api::Client::new(&format!("http://{}", server.addr()))
}

fn iris() -> types::ModelName {
    "iris".parse().unwrap()
}

#[tokio::test]
async fn rows_are_sent_and_predictions_read_in_types() {
    let server = TestServer::start();
    let client = client(&server);
    let body = types::PredictBody {
        rows: vec![json!({"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2})],
        id: Some("one".parse().unwrap()),
        ..Default::default()
    };
    let reply = client.predict(&iris(), None, &body).await.unwrap().into_inner();
    assert_eq!((reply.id.as_deref(), &*reply.model, &*reply.version), (Some("one"), "iris", "2"));
    assert_eq!(reply.predictions[0].label.as_deref(), Some("setosa"));
    assert!(reply.predictions[0].probabilities["setosa"] > 0.9);
    let older = client.predict_version(&iris(), &"1".parse().unwrap(), None, &body).await.unwrap();
    assert_eq!(older.version, "1");
}

#[tokio::test]
async fn tensors_are_sent_and_read_in_types() {
    let server = TestServer::start();
    let input = types::InputTensor {
        name: "features".into(),
        shape: vec![1, 4],
        datatype: "FP32".into(),
        data: vec![json!(5.1), json!(3.5), json!(1.4), json!(0.2)],
        parameters: Default::default(),
    };
    let (outputs, parameters) = Default::default();
    let body = types::InferBody { id: Some("one".into()), inputs: vec![input], outputs, parameters };
    let reply = client(&server).infer(&iris(), &body).await.unwrap().into_inner();
    assert_eq!((reply.id.as_deref(), &*reply.model_name), (Some("one"), "iris"));
    let label = reply.outputs.iter().find(|output| output.name == "label").unwrap();
    assert_eq!(label.data, [json!(0)]);
}

#[tokio::test]
async fn what_is_served_can_be_asked_for() {
    let server = TestServer::start();
    let client = client(&server);
    assert!(client.ready().await.unwrap().ready);
    let model = client.describe_model(&iris()).await.unwrap();
    assert_eq!((&*model.features[0].name, model.features[0].max), ("sepal_length", Some(30.0)));
    let list = client.list_models(None, None, Some("iris"), Some(types::State::Ready), None).await.unwrap();
    assert_eq!(list.models.iter().map(|model| &*model.name).collect::<Vec<_>>(), ["iris"]);
    let index = client.index(&types::IndexRequest { ready: Some(true) }).await.unwrap();
    assert!(index.iter().any(|row| row.name == "iris" && row.version.as_deref() == Some("2")));
}

#[tokio::test]
async fn errors_are_read_in_types_too() {
    let server = TestServer::start();
    let client = client(&server);
    let unknown: types::ModelName = "irsi".parse().unwrap();
    let error = client.model_metadata(&unknown).await.unwrap_err();
    assert_eq!(error.status().unwrap().as_u16(), 404);
    let progenitor_client::Error::ErrorResponse(reply) = error else { panic!("{error}") };
    assert!(reply.error.contains("irsi"), "{}", reply.error);
    // progenitor hands out bodies of application/problem+json as they are; the type is there all the same.
    let error = client.describe_model(&unknown).await.unwrap_err();
    let progenitor_client::Error::ErrorResponse(reply) = error else { panic!("{error}") };
    let pieces: Vec<_> = reply.into_inner().into_inner().try_collect().await.unwrap();
    let problem: types::ProblemBody = serde_json::from_slice(&pieces.concat()).unwrap();
    assert_eq!((&*problem.code, &*problem.type_), ("not_found", "/problems/not-found"));
    // A name that no model can have does not leave this process.
    "../iris".parse::<types::ModelName>().unwrap_err();
}
