//! Repositories that were made for other servers, served as they lie: Triton's, TF Serving's, MLflow's.

use std::path::Path;

use candor_tests::{
    Models, Plan, TestServer,
    infer::{body, iris, outputs, path, tensor},
    models::{copy, golden_pairs, sample},
    until,
};
use serde_json::{Value, json};

use super::refusal::still_answers;

/// What a Triton user has for a scikit-learn model: the label's shape is the graph's `[batch]`, which Triton
/// can only give as `[batch, 1]`.
const CONFIG: &str = r#"# Iris, as our Triton serves it.
name: "species"
platform: "onnxruntime_onnx"
max_batch_size: 8
input [
  {
    name: "features"
    data_type: TYPE_FP32
    dims: [ 4 ]
  }
]
output [
  {
    name: "label"
    data_type: TYPE_INT64
    dims: [ 1 ]
    reshape { shape: [ ] }
  },
  {
    name: "probabilities"
    data_type: TYPE_FP32
    dims: [ 3 ]
    label_filename: "labels.txt"
  }
]
version_policy: { specific: { versions: [ 1, 3 ] } }
dynamic_batching { max_queue_delay_microseconds: 100 }
instance_group [ { count: 2 kind: KIND_GPU } ]
"#;

fn triton() -> Models {
    Models::none()
        .with_file("species/config.pbtxt", CONFIG)
        .with_file("species/labels.txt", "setosa\nversicolor\nvirginica\n")
        .with_file("species/1/model.onnx", sample("iris", "1"))
        .with_file("species/2/model.onnx", sample("iris", "1"))
        .with_file("species/3/model.onnx", sample("iris", "2"))
        .with_file("species/007/model.onnx", "zero-led folders do not count, in Triton and here")
}

fn mlflow(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mlflow").join(name)
}

fn elements(server: &TestServer, model: &str, request: &Value) -> Vec<Vec<Value>> {
    outputs(&server.post(&path(model), request)).iter().map(candor_tests::infer::Output::elements).collect()
}

/// The error of a load, and that nobody minds.
fn load_error(server: &TestServer, model: &str) -> String {
    server.load(model).expect(400).error()
}

#[test]
fn a_triton_repository_is_served_as_it_is() {
    let server = Plan::with(triton().with_copy("iris")).start();
    let metadata = server.get("/v2/models/species").expect(200).json();
    assert_eq!(metadata["versions"], json!(["1", "3"]));
    assert_eq!(metadata["platform"], "onnxruntime_onnx");
    assert_eq!(metadata["inputs"], json!([{"name": "features", "datatype": "FP32", "shape": [-1, 4]}]));
    assert_eq!(metadata["outputs"][0], json!({"name": "label", "datatype": "INT64", "shape": [-1, 1]}));
    assert_eq!(
        metadata["properties"]["notes"],
        "config.pbtxt:28: instance_group is passed over: one session on the CPU serves all threads"
    );
    let config = server.get("/v2/models/species/config").expect(200).json();
    assert_eq!(
        config,
        json!({
            "name": "species", "platform": "onnxruntime_onnx", "backend": "onnxruntime", "max_batch_size": 8,
            "version_policy": {"specific": {"versions": ["1", "3"]}},
            "input": [{"name": "features", "data_type": "TYPE_FP32", "dims": [4]}],
            "output": [
                {"name": "label", "data_type": "TYPE_INT64", "dims": [1]},
                {"name": "probabilities", "data_type": "TYPE_FP32", "dims": [3], "label_filename": "labels.txt"},
            ],
            "default_model_filename": "model.onnx",
            "parameters": {"engine": {"string_value": metadata["properties"]["engine"]}},
        })
    );
    let reply = outputs(&server.post(&path("species"), &iris()));
    assert_eq!(reply[0].shape, json!([1, 1]), "the label has the shape that Triton gives");
    assert_eq!(elements(&server, "species", &iris()), elements(&server, "iris", &iris()), "both serve the same graph");
    let mut ranked = iris();
    ranked["outputs"] = json!([{"name": "probabilities", "parameters": {"classification": 1}}]);
    let class = elements(&server, "species", &ranked)[0][0].as_str().unwrap().to_owned();
    assert!(class.ends_with(":0:setosa"), "{class}");
    let rows = json!({"rows": [[5.1, 3.5, 1.4, 0.2]]});
    let prediction = server.post("/api/v1/models/species/predict", &rows).expect(200).json()["predictions"][0].clone();
    assert!(prediction["probabilities"]["setosa"].as_f64().unwrap() > 0.9, "{prediction}");
    let nine = body(&[tensor("features", "FP32", &[9, 4], json!(vec![0; 36]))]);
    let error = server.post(&path("species"), &nine).expect(400).error();
    assert!(error.contains("at most 8 rows"), "{error}");
    still_answers(server.addr());
}

#[test]
fn a_triton_configuration_that_is_wrong_or_contradicts_the_graph_names_its_line() {
    let server = Plan::with(triton()).start();
    for (from, to, want) in [
        (
            "name: \"probabilities\"",
            "name: \"probs\"",
            "config.pbtxt:20: output 'probs' is not in the graph; expected label, probabilities",
        ),
        (
            "data_type: TYPE_INT64",
            "data_type: TYPE_INT32",
            "config.pbtxt:15: data_type of output 'label' is not the graph's; expected TYPE_INT64, got TYPE_INT32",
        ),
        (
            "dims: [ 4 ]",
            "dims: [ 5 ]",
            "config.pbtxt:9: dims of input 'features' do not fit the graph; expected [4] (the graph has [batch, 4]), got [5]",
        ),
        (
            "reshape { shape: [ ] }",
            "",
            "config.pbtxt:16: dims of output 'label' do not fit the graph; expected [] (the graph has [batch]), got [1]",
        ),
        (
            "dynamic_batching",
            "dinamic_batching",
            "config.pbtxt:27: model configuration has no field \"dinamic_batching\"; did you mean dynamic_batching?",
        ),
        ("onnxruntime_onnx", "tensorrt_plan", "config.pbtxt:3: platform \"tensorrt_plan\" is not served here"),
        ("dims: [ 3 ]", "dims: [ 3 ", "config.pbtxt:23:5: unexpected 'l'; expected ',' or ']'"),
        ("\"labels.txt\"", "\"names.txt\"", "config.pbtxt:23: there is no file \"names.txt\""),
        (
            "\"species\"",
            "\"iris\"",
            "config.pbtxt:2: the name is not that of the folder; expected \"species\", got \"iris\"",
        ),
    ] {
        // The files of the versions are those that serve, so only a new fingerprint makes them load again.
        server.models().write("species/config.pbtxt", CONFIG.replace(from, to));
        let error = load_error(&server, "species");
        assert!(error.contains(want), "{to}: {error}");
        assert_eq!(server.post(&path("species"), &iris()).status, 200, "what was there goes on serving");
    }
    server.models().write("species/config.pbtxt", CONFIG);
    assert_eq!(server.load("species").status, 200);
    server.models().write("species/labels.txt", "setosa\nversicolor\n");
    let error = load_error(&server, "species");
    assert!(error.contains("config.pbtxt:23: labels of output 'probabilities' do not fit the graph"), "{error}");
    let row = server.index_of("species").remove(0);
    assert!(row["reason"].as_str().unwrap().contains("config.pbtxt:23"), "{row}");
    server.stop_and_expect_clean();
}

#[test]
fn a_model_toml_beside_the_configuration_adds_to_it() {
    let toml =
        "title = \"Species\"\nbatch_rows_max = 8\n[[outputs]]\nname = \"label\"\nlabels = [\"a\", \"b\", \"c\"]\n";
    let server = Plan::with(triton().with_file("species/model.toml", toml)).start();
    assert_eq!(server.get("/v2/models/species").expect(200).json()["properties"]["title"], "Species");
    server.models().write("species/model.toml", toml.replace('8', "4"));
    assert_eq!(
        load_error(&server, "species"),
        "config.pbtxt:4: max_batch_size contradicts model.toml; expected batch_rows_max = 4, got 8"
    );
}

#[test]
fn polling_follows_the_files_beside_the_versions() {
    let server = Plan::with(triton()).set("repository.poll_s=1").start();
    let mut ranked = iris();
    ranked["outputs"] = json!([{"name": "probabilities", "parameters": {"classification": 1}}]);
    let class = || elements(&server, "species", &ranked)[0][0].as_str().unwrap().to_owned();
    server.models().write("species/labels.txt", "first\nsecond\nthird\n");
    until("the new labels are served", || class().ends_with(":0:first").then_some(()));
    server.models().write("species/config.pbtxt", CONFIG.replace("max_batch_size: 8", "max_batch_size: 9"));
    let config = || server.get("/v2/models/species/config").expect(200).json();
    until("the new limit is served", || (config()["max_batch_size"] == 9).then_some(()));
    server.models().write("species/config.pbtxt", CONFIG.replace("[ 1, 3 ]", "[ 2 ]"));
    until("the new version is served", || {
        (server.get("/v2/models/species").json()["versions"] == json!(["2"])).then_some(())
    });
}

#[test]
fn a_folder_of_versions_in_the_manner_of_tf_serving_is_served() {
    let models = Models::none()
        .with_file("half_plus_two/1700000000/half_plus_two.onnx", sample("iris", "1"))
        .with_file("half_plus_two/1700000500/half_plus_two.onnx", sample("iris", "2"))
        .with_file("several/1/a.onnx", sample("iris", "1"))
        .with_file("several/1/b.onnx", sample("iris", "1"))
        .with_file("saved/1/saved_model.pb", "x")
        .with_file("saved/1/variables/variables.index", "x")
        .with_file("flat/graph.onnx", sample("iris", "2"))
        .with_file("large/1/model.onnx/model.onnx", sample("iris", "2"))
        .with_copy("iris");
    let server = Plan::with(models).start();
    let same = elements(&server, "iris", &iris());
    for model in ["half_plus_two", "flat", "large"] {
        assert_eq!(elements(&server, model, &iris()), same, "{model}");
    }
    let versions = server.get("/v2/models/half_plus_two").expect(200).json()["versions"].clone();
    assert_eq!(versions, json!(["1700000500"]));
    let config = server.get("/v2/models/half_plus_two/config").expect(200).json();
    assert_eq!(config["default_model_filename"], "half_plus_two.onnx");
    assert_eq!(
        load_error(&server, "several"),
        "model 'several' has no version to serve (1 holds 2 ONNX files: \"a.onnx\", \"b.onnx\"; \
         keep one, or call the one to serve model.onnx)"
    );
    assert_eq!(
        load_error(&server, "saved"),
        "model 'saved' has no version to serve (1 holds no ONNX file but \"saved_model.pb\": a TensorFlow SavedModel; \
         convert it: python -m tf2onnx.convert --saved-model FOLDER --output model.onnx)"
    );
    still_answers(server.addr());
}

#[test]
fn an_mlflow_model_is_served_as_mlflow_saved_it() {
    let models = Models::none().with_copy("iris").with_copy("digits");
    copy(&mlflow("flowers"), &models.path("flowers"));
    // Versions of a registered model, each a folder that MLflow made; the weights lie outside the graph.
    copy(&mlflow("scans"), &models.path("scans/4"));
    let server = Plan::with(models).start();
    assert_eq!(elements(&server, "flowers", &iris()), elements(&server, "iris", &iris()));
    let metadata = server.get("/v2/models/flowers").expect(200).json();
    let properties = &metadata["properties"];
    assert_eq!(metadata["versions"], json!(["1"]));
    assert_eq!((&properties["title"], &properties["mlflow.metadata.team"]), (&json!("Flowers"), &json!("botany")));
    assert_eq!(properties["mlflow.mlflow_version"], "3.17.2");
    let flower = json!({"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2});
    let predict = |rows: Value| server.post("/api/v1/models/flowers/predict", &json!({"rows": rows}));
    assert_eq!(predict(json!([flower])).expect(200).json()["predictions"][0]["label"], "0");
    let problem = predict(json!([{"sepal_length": 5.1}])).expect(400).text();
    assert!(problem.contains("petal_width"), "columns of the signature are features: {problem}");
    let pair = golden_pairs().into_iter().find(|pair| pair.model == "digits").unwrap();
    let image = body(&pair.inputs);
    assert_eq!(elements(&server, "scans", &image), elements(&server, "digits", &image));
    assert_eq!(server.get("/v2/models/scans").expect(200).json()["versions"], json!(["4"]));
}

#[test]
fn an_mlflow_model_that_contradicts_its_graph_or_is_a_pickle_is_refused_by_name() {
    let models = Models::none();
    copy(&mlflow("flowers"), &models.path("flowers"));
    let server = Plan::with(models).start();
    let good = std::fs::read_to_string(mlflow("flowers").join("MLmodel")).unwrap();
    for (from, to, want) in [
        (
            r#"{"type": "double", "name": "sepal_length", "required": true}, "#,
            "",
            "MLmodel signature.inputs: the columns do not fit the graph's input 'features'; expected as many as its shape says: [batch, 4], got 3",
        ),
        (
            "\"dtype\": \"int64\"",
            "\"dtype\": \"float32\"",
            "MLmodel signature.outputs[0]: the dtype of 'label' is not the graph's; expected INT64, got float32",
        ),
        ("  onnx:\n", "  sklearn:\n", "MLmodel flavors: the model has no ONNX flavour; expected onnx, got"),
    ] {
        let text = good.replace(from, to);
        assert_ne!(text, good, "{from}");
        server.models().write("flowers/MLmodel", text);
        let error = load_error(&server, "flowers");
        assert!(error.contains(want), "{to}: {error}");
        assert_eq!(server.post(&path("flowers"), &iris()).status, 200, "what was there goes on serving");
    }
    assert!(load_error(&server, "flowers").contains("no pickle is read here"));
    server.models().write("flowers/MLmodel", &good);
    assert_eq!(server.load("flowers").status, 200);
    server.stop_and_expect_clean();
}

#[test]
fn a_folder_with_a_model_of_another_kind_says_how_to_convert_it() {
    let files = ["model.plan", "model.pt", "model.safetensors", "model.pkl", "model.joblib", "model.ubj", "model.txt"];
    let models = files.iter().fold(Models::none(), |models, file| {
        let name = file.replace('.', "_");
        models.with_file(&format!("{name}/{file}"), "x").with_file(&format!("{name}_versioned/1/{file}"), "x")
    });
    let server = Plan::with(models.with_copy("iris")).start();
    for (file, says) in files.iter().zip([
        "a TensorRT engine",
        "a PyTorch model; export it: torch.onnx.export",
        "weights without a graph",
        "no pickle is read, because reading one runs whatever it says",
        "no pickle is read",
        "an XGBoost model; convert it: onnxmltools",
        "a LightGBM model; convert it: onnxmltools",
    ]) {
        for model in [file.replace('.', "_"), file.replace('.', "_") + "_versioned"] {
            let error = load_error(&server, &model);
            assert!(error.contains(&format!("no ONNX file but \"{file}\"")) && error.contains(says), "{error}");
        }
    }
    still_answers(server.addr());
}
