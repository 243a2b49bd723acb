//! The two paths of a Vertex AI custom container.

use serde_json::json;

use super::{check_refusals, said, server};

#[test]
fn instances_give_predictions() {
    let server = server("off", &["iris", "digits"]);
    assert_eq!(server.get("/vertex/health").status, 200);
    let instances = json!([[5.1, 3.5, 1.4, 0.2], {"sepal_length": 7.2, "sepal_width": 3.0, "petal_length": 5.8, "petal_width": 1.6}]);
    for body in [
        json!({"instances": instances}),
        json!({"instances": instances, "parameters": {}}),
        json!({"parameters": null, "instances": instances}),
    ] {
        let reply = said(server.post("/vertex/predict", &body));
        assert_eq!(
            (&reply["predictions"][0]["label"], &reply["predictions"][1]["label"]),
            (&json!("setosa"), &json!("virginica"))
        );
        assert_eq!(reply.as_object().unwrap().len(), 1, "{reply}");
    }
    check_refusals(
        &server,
        &[
            ("/vertex/predict", r#"{"instances":[[1,2,3,4]],"parameters":{"k":3}}"#, 400, "/parameters: an ONNX model"),
            ("/vertex/predict", r#"{"inputs":[[1,2,3,4]]}"#, 400, "expected instances, parameters"),
            (
                "/vertex/predict",
                r#"{"instances":[[1,2,3]]}"#,
                400,
                "/instances/0: the row has the wrong number of values",
            ),
            ("/vertex/predict", r#"{"instances":[]}"#, 400, "/instances: there are no rows"),
        ],
    );
    server.stop_and_expect_clean();
}
