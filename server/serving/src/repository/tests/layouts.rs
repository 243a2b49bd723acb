//! Layouts of other servers: which file is the graph, what counts as a model, what makes it new.

use super::*;

#[test]
fn a_graph_of_any_name_counts_when_it_is_the_only_one() {
    let scene = Scene::new().with(&["m/1/forest.onnx", "m/2/model.onnx", "m/2/other.onnx", "m/3/a.onnx", "m/3/b.onnx"]);
    scene.folder("m/4/x.onnx");
    let found = scene.find("m").unwrap();
    let files: Vec<_> = found.versions.iter().map(|found| found.file.to_str().unwrap()).collect();
    assert_eq!(files, ["forest.onnx", "model.onnx"], "model.onnx comes before all others");
    assert_eq!(
        found.ignored,
        [
            "3 holds 2 ONNX files: \"a.onnx\", \"b.onnx\"; keep one, or call the one to serve model.onnx",
            "4 holds no file model.onnx"
        ]
    );
    assert_eq!(scene.open().read_model(&found.versions[0]).unwrap(), b"content");
    let scene = Scene::new().with(&["m/graph.onnx"]);
    assert_eq!((scene.models().0, scene.version().file), (vec!["m".to_owned()], PathBuf::from("graph.onnx")));
}

#[cfg(unix)]
#[test]
fn a_graph_of_another_name_is_not_read_through_a_link() {
    let scene = Scene::new().with(&["real/1/model.onnx"]);
    scene.folder("m/1");
    scene.link("../../real/1/model.onnx", "m/1/graph.onnx");
    let error = scene.find("m").unwrap_err().to_string();
    assert!(error.contains("1/graph.onnx is a link; links are not followed"), "{error}");
    scene.folder("n/1/model.onnx");
    scene.link("../../../real/1/model.onnx", "n/1/model.onnx/model.onnx");
    assert!(scene.find("n").unwrap_err().to_string().contains("1/model.onnx/model.onnx is a link"));
}

#[test]
fn a_folder_called_like_the_graph_holds_it_and_its_weights() {
    let scene = Scene::new().with(&["m/1/model.onnx/model.onnx", "m/1/golden.json"]);
    let found = scene.version();
    assert_eq!(found.file, Path::new("model.onnx/model.onnx"));
    assert_eq!(found.graph_folder(), scene.open().root().join("m/1/model.onnx"));
    assert_eq!(scene.open().read_model(&found).unwrap(), b"content");
    scene.write("m/1/model.onnx/weights.bin", "x");
    assert_ne!(scene.version().fingerprint, found.fingerprint, "the weights count");
}

#[test]
fn triton_names_the_file_and_the_versions() {
    let scene = Scene::new().with(&["m/1/a.onnx", "m/1/b.onnx", "m/2/a.onnx", "m/3/model.onnx"]);
    scene.write("m/config.pbtxt", "default_model_filename: 'b.onnx' version_policy { all {} } max_batch_size: 4");
    let found = scene.find("m").unwrap();
    assert_eq!(found.versions.len(), 1);
    assert_eq!((found.versions[0].version.as_str(), found.versions[0].file.to_str().unwrap()), ("1", "b.onnx"));
    assert_eq!((found.manifest.versions, found.manifest.batch_rows_max), (Some(VersionPolicy::All), Some(4)));
    assert_eq!(found.ignored, ["2 holds no file b.onnx", "3 holds no file b.onnx"]);
    let only_config = Scene::new().with(&["n/config.pbtxt"]);
    assert_eq!(only_config.models().0, ["n"], "a configuration makes a model");
}

#[test]
fn the_fingerprint_changes_with_what_lies_beside_the_versions() {
    let scene = Scene::new().with(&["m/1/model.onnx"]);
    let mut last = scene.version().fingerprint;
    let output = "output { name: \"y\" label_filename: \"labels.txt\" }";
    scene.write("m/labels.txt", "a");
    assert_eq!(scene.version().fingerprint, last, "no configuration names it");
    for (file, text) in [
        ("m/config.pbtxt", output),
        ("m/labels.txt", "a\nb"),
        ("m/1/MLmodel", "flavors: {onnx: {}}"),
        ("m/1/MLmodel", "flavors: {onnx: {data: model.onnx}}"),
    ] {
        scene.write(file, text);
        let next = scene.version().fingerprint;
        assert_ne!(next, last, "{file}");
        last = next;
    }
}

#[test]
fn an_mlflow_folder_is_a_model_or_a_version() {
    let scene = Scene::new().with(&["m/metadata/conda.yaml", "m/graph.onnx", "v/2/model.onnx"]);
    scene.write("m/MLmodel", "flavors: {onnx: {data: graph.onnx}}");
    scene.write("v/2/MLmodel", "flavors: {onnx: {}}");
    scene.write("v/3/MLmodel", "flavors: {sklearn: {}}");
    scene.write("broken/MLmodel", "flavors: [");
    assert_eq!((scene.versions("m"), scene.find("m").unwrap().ignored), (vec!["1".to_owned()], vec![]));
    assert_eq!(scene.version().file, Path::new("graph.onnx"));
    assert_eq!(scene.versions("v"), ["2"]);
    let ignored = scene.find("v").unwrap().ignored.remove(0);
    assert!(ignored.starts_with("3/MLmodel flavors: the model has no ONNX flavour"), "{ignored}");
    assert!(scene.find("broken").unwrap_err().to_string().starts_with("MLmodel: "));
    assert_eq!(scene.models().0, ["broken", "m", "v"]);
}

#[test]
fn a_model_of_another_kind_is_told_from_an_empty_folder() {
    let scene = Scene::new().with(&["a/model.pkl", "b/Model.PT", "c/saved_model.pb", "d/1/model.plan", "e/notes.txt"]);
    let (names, ignored) = scene.models();
    assert_eq!(names, ["d"]);
    let begins = [
        "a holds no ONNX file but \"model.pkl\": a pickled Python object; no pickle is read",
        "b holds no ONNX file but \"Model.PT\": a PyTorch model; export it",
        "c holds no ONNX file but \"saved_model.pb\": a TensorFlow SavedModel; convert it",
        "e holds neither model.onnx nor a version folder",
    ];
    for (got, want) in ignored.iter().zip(begins) {
        assert!(got.starts_with(want), "{got}");
    }
    let error = scene.find("d").unwrap_err().to_string();
    assert!(error.contains("1 holds no ONNX file but \"model.plan\": a TensorRT engine"), "{error}");
}
