//! The generated client of one model: features are members of a struct, labels variants of an enumeration.

use std::path::PathBuf;

use candor_generated_client_tests::iris::{self, types};
use candor_tests::TestServer;
use serde_json::Value;

fn committed() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../openapi/models/iris-3.0.json")
}

fn served() -> Value {
    TestServer::start().get("/api/v1/models/iris/openapi-3.0.json").expect(200).json()
}

#[test]
fn the_committed_document_is_what_the_server_says() {
    let committed: Value = serde_json::from_str(&std::fs::read_to_string(committed()).unwrap()).unwrap();
    assert_eq!(
        committed,
        served(),
        "openapi/models/iris-3.0.json is stale; write it with\n    \
         curl localhost:8080/api/v1/models/iris/openapi-3.0.json | python3 -m json.tool --indent 2 --no-ensure-ascii"
    );
}

#[tokio::test]
async fn a_flower_is_a_struct_and_its_species_a_variant() {
    let server = TestServer::start();
    let client = iris::Client::new(&format!("http://{}", server.addr()));
    let row = types::Row { sepal_length: 5.1, sepal_width: 3.5, petal_length: 1.4, petal_width: 0.2 };
    let request = types::PredictRequest { rows: vec![row], id: None, priority: None, timeout_ms: None };
    let reply = client.predict(&request).await.unwrap();
    let prediction = &reply.predictions[0];
    assert_eq!(prediction.label, types::PredictionLabel::Setosa);
    assert!(prediction.probabilities.setosa > prediction.probabilities.virginica);
}
