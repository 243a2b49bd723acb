//! What lies beside the graph (`config.pbtxt`, `MLmodel`) on its way into a ready version.

use super::*;

const CONFIG: &str =
    "max_batch_size: 4\ninput { name: \"x\" data_type: TYPE_FP32 dims: [ 1, 2 ] reshape { shape: 2 } }\n";

#[test]
fn callers_see_what_triton_would_show_them_and_golden_pairs_are_in_those_shapes() {
    let world = World::new();
    world.put("m/1", "m/1", 7);
    world.put("m/2", "m/2", 8);
    world.write("m/config.pbtxt", CONFIG);
    let golden = |shape: &str| {
        format!(
            r#"{{"tolerance": 0, "cases": [{{"name": "c",
                "inputs": [{{"name": "x", "datatype": "FP32", "shape": {shape}, "data": [0, 0]}}],
                "outputs": [{{"name": "y", "datatype": "INT64", "shape": [1, 3], "data": [8, 8, 8]}}]}}]}}"#
        )
    };
    world.write("m/2/golden.json", &golden("[1, 2]"));
    let error = world.load("m").unwrap_err().to_string();
    assert!(error.contains("golden case 'c' failed") && error.contains("[rows, 1, 2]"), "{error}");
    world.write("m/2/golden.json", &golden("[1, 1, 2]"));
    world.load("m").unwrap();
    assert_eq!(world.ready("m"), ["2"], "without a policy, Triton serves the highest version");
    let lease = world.registry.lease("m", None).unwrap();
    assert_eq!(lease.signature.inputs[0].wire_shape(), [-1, 1, 2]);
    assert_eq!((lease.manifest.batch_rows_max, lease.origin.file.as_str()), (Some(4), "model.onnx"));
}

#[test]
fn a_change_of_what_lies_beside_the_versions_loads_them_again() {
    let world = World::new();
    world.put("m/1", "m/1", 7);
    world.poll();
    world.write("m/config.pbtxt", "max_batch_size: 4");
    world.poll();
    assert_eq!(world.registry.lease("m", None).unwrap().manifest.batch_rows_max, Some(4));
    world.poll();
    assert_eq!(world.hooks.loads("m/1"), 2, "nothing changed since");
    world.write("m/config.pbtxt", "max_batch_size: 16 platform: \"x\"");
    world.poll();
    assert!(world.state("m", "").1.starts_with("config.pbtxt:1: platform"), "{:?}", world.state("m", ""));
    assert_eq!(world.registry.lease("m", None).unwrap().manifest.batch_rows_max, Some(4), "what was there stays");
    world.write("m/config.pbtxt", "max_batch_size: 16");
    world.poll();
    assert_eq!(world.registry.lease("m", None).unwrap().manifest.batch_rows_max, Some(16));
}

#[test]
fn columns_of_an_mlflow_signature_are_features() {
    let world = World::new();
    world.put("m/1", "m/1", 7);
    let mlmodel = |columns: &str| format!("flavors: {{onnx: {{}}}}\nrun_id: r\nsignature:\n  inputs: '[{columns}]'\n");
    world.write("m/1/MLmodel", &mlmodel(r#"{"type": "double", "name": "age"}, {"type": "long", "name": "rooms"}"#));
    world.load("m").unwrap();
    let lease = world.registry.lease("m", None).unwrap();
    let names: Vec<_> = lease.features.as_ref().unwrap().all().iter().map(|feature| feature.name.to_string()).collect();
    assert_eq!(names, ["age", "rooms"]);
    assert_eq!(lease.properties["mlflow.run_id"], "r");
    world.write("m/1/MLmodel", &mlmodel(r#"{"type": "double", "name": "age"}"#));
    let error = world.load("m").unwrap_err().to_string();
    assert!(
        error.contains("version 1: MLmodel signature.inputs: the columns do not fit the graph's input 'x'"),
        "{error}"
    );
}
