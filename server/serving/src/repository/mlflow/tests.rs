//! `MLmodel`: what is read, what it does to features, and every complaint with its place.

use candor_domain::{Datatype, Dim, TensorSpec};

use super::*;

fn file(inputs: &str, outputs: &str) -> String {
    let side = |name: &str, json: &str| {
        if json.is_empty() { String::new() } else { format!("  {name}: '{json}'\n") }
    };
    let (inputs, outputs) = (side("inputs", inputs), side("outputs", outputs));
    format!("flavors:\n  onnx:\n    data: model.onnx\nsignature:\n{inputs}{outputs}  params: null\n")
}

fn spec(name: &str, datatype: Datatype, dims: &[i64]) -> TensorSpec {
    let rest = dims.iter().map(|dim| if *dim < 0 { Dim::Any(None) } else { Dim::Fixed(*dim) });
    TensorSpec {
        name: name.into(),
        datatype,
        dims: Some([Dim::Any(Some("N".into()))].into_iter().chain(rest).collect()),
    }
}

fn matrix() -> Signature {
    Signature {
        inputs: vec![spec("x", Datatype::Fp32, &[2])],
        outputs: vec![spec("label", Datatype::Int64, &[]), spec("probabilities", Datatype::Fp32, &[3])],
    }
}

fn columns() -> Signature {
    Signature {
        inputs: vec![spec("age", Datatype::Fp32, &[1]), spec("town", Datatype::Bytes, &[1])],
        outputs: vec![spec("price", Datatype::Fp32, &[1])],
    }
}

fn fit(text: &str, graph: &Signature, toml: &str) -> Result<(Manifest, Vec<String>)> {
    let mut manifest = Manifest::parse(toml).unwrap();
    let notes = MlModel::parse(text)?.fit(graph, &mut manifest)?;
    Ok((manifest, notes))
}

fn features(manifest: &Manifest) -> Vec<&str> {
    manifest.inputs.iter().flat_map(|notes| &notes.features).map(|feature| &*feature.name).collect()
}

const TWO: &str =
    r#"[{"type": "double", "name": "a", "required": true}, {"type": "long", "name": "b", "required": true}]"#;

#[test]
fn columns_name_the_features_of_the_only_input() {
    let (manifest, notes) = fit(&file(TWO, ""), &matrix(), "").unwrap();
    assert_eq!(features(&manifest), ["a", "b"]);
    assert_eq!(manifest.inputs[0].name, "x");
    assert!(notes.is_empty(), "{notes:?}");
    // What model.toml says of the input stays.
    let toml = "[[inputs]]\nname = \"x\"\ndescription = \"d\"\n";
    let (manifest, _) = fit(&file(TWO, ""), &matrix(), toml).unwrap();
    assert_eq!((features(&manifest), manifest.inputs[0].description.as_deref()), (vec!["a", "b"], Some("d")));
    let toml = "[[inputs]]\nname = \"x\"\nfeatures = [{ name = \"a\", unit = \"cm\" }, { name = \"b\" }]\n";
    let (manifest, _) = fit(&file(TWO, ""), &matrix(), toml).unwrap();
    assert_eq!(manifest.inputs[0].features[0].unit.as_deref(), Some("cm"));
}

#[test]
fn columns_with_the_names_of_the_inputs_are_those() {
    let json = r#"[{"type": "string", "name": "town"}, {"type": "float", "name": "age", "required": false}]"#;
    let (manifest, notes) = fit(&file(json, ""), &columns(), "").unwrap();
    assert!(features(&manifest).is_empty());
    assert_eq!(
        notes,
        ["MLmodel signature.inputs: \"age\" may be left out in MLflow; here a default in model.toml says so"]
    );
}

#[test]
fn tensors_are_compared_with_the_graph() {
    let tensor = |name: &str, dtype: &str, shape: &str| {
        format!(r#"[{{{name}"type": "tensor", "tensor-spec": {{"dtype": "{dtype}", "shape": {shape}}}}}]"#)
    };
    let named = "\"name\": \"x\", ";
    for json in [
        tensor("", "float32", "[-1, 2]"),
        tensor(named, "float32", "[-1, 2]"),
        tensor(named, "float64", "[-1, -1]"),
        tensor(named, "float32", "[7, 2]"),
    ] {
        assert!(fit(&file(&json, ""), &matrix(), "").is_ok(), "{json}");
    }
    for (json, want) in [
        (tensor(named, "int64", "[-1, 2]"), "[0]: the dtype of 'x' is not the graph's; expected FP32, got int64"),
        (tensor(named, "float32", "[-1, 3]"), "[0]: the shape of 'x' is not the graph's; expected [N, 2], got [-1, 3]"),
        (tensor("", "float32", "[-1]"), "[0]: the shape of 'x' is not the graph's; expected [N, 2], got [-1]"),
        (tensor("\"name\": \"y\", ", "float32", "[-1, 2]"), "[0]: \"y\" is not in the graph; expected x"),
    ] {
        let error = fit(&file(&json, ""), &matrix(), "").unwrap_err().to_string();
        assert_eq!(error, format!("MLmodel signature.inputs{want}"), "{json}");
    }
}

#[test]
fn what_contradicts_the_graph_is_refused_by_its_place() {
    let three = TWO.replace(']', r#", {"type": "double", "name": "c"}]"#);
    let twice = TWO.replace("\"b\"", "\"a\"");
    let text = TWO.replace("long", "string");
    let one_input = r#"[{"type": "double", "name": "age"}]"#;
    let number = r#"[{"type": "double", "name": "age"}, {"type": "double", "name": "town"}]"#;
    for (json, graph, want) in [
        (
            three.as_str(),
            matrix(),
            ": the columns do not fit the graph's input 'x'; expected as many as its shape says: [N, 2], got 3",
        ),
        (&twice, matrix(), "[1]: two columns are called \"a\""),
        (&text, matrix(), "[1]: the column does not fit the graph's input 'x'; expected numbers, got string"),
        (
            TWO,
            columns(),
            ": 2 columns do not fit the graph; expected columns with the names of its inputs: age, town, got a, b",
        ),
        (one_input, columns(), ": input 'town' of the graph is missing; expected age, town"),
        (number, columns(), "[1]: the column does not fit the graph's input 'town'; expected string, got double"),
    ] {
        let error = fit(&file(json, ""), &graph, "").unwrap_err().to_string();
        assert_eq!(error, format!("MLmodel signature.inputs{want}"), "{json}");
    }
    let toml = "[[inputs]]\nname = \"x\"\nfeatures = [{ name = \"b\" }, { name = \"a\" }]\n";
    let error = fit(&file(TWO, ""), &matrix(), toml).unwrap_err().to_string();
    assert_eq!(
        error,
        "MLmodel signature.inputs: the columns of input 'x' contradict model.toml; expected b, a, got a, b"
    );
}

#[test]
fn outputs_count_where_the_graph_has_their_names() {
    let outputs = r#"[{"type": "long", "name": "species"}, {"type": "tensor", "name": "probabilities", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}]"#;
    let (_, notes) = fit(&file("", outputs), &matrix(), "").unwrap();
    assert_eq!(
        notes,
        ["MLmodel signature.outputs[0]: the graph has no output \"species\"; it has label, probabilities"]
    );
    let error = fit(&file("", &outputs.replace("-1, 3", "-1, 2")), &matrix(), "").unwrap_err().to_string();
    assert_eq!(
        error,
        "MLmodel signature.outputs[1]: the shape of 'probabilities' is not the graph's; expected [N, 3], got [-1, 2]"
    );
}

#[test]
fn only_the_onnx_flavour_is_served() {
    for (text, want) in [
        (
            "flavors:\n  python_function: {loader_module: mlflow.sklearn}\n  sklearn: {pickled_model: model.pkl}\n",
            "MLmodel flavors: the model has no ONNX flavour; expected onnx, got \"python_function\", \"sklearn\"; no pickle is read here: convert the model to ONNX and save it with mlflow.onnx.save_model",
        ),
        (
            "run_id: x\n",
            "MLmodel flavors: the model has no ONNX flavour; expected onnx, got none; no pickle is read here: convert the model to ONNX and save it with mlflow.onnx.save_model",
        ),
        (
            "flavors: {onnx: {data: ../secret.onnx}}\n",
            "MLmodel flavors.onnx.data: data is not the name of a file; expected a name without a path, such as model.onnx, got \"../secret.onnx\"",
        ),
    ] {
        assert_eq!(MlModel::parse(text).unwrap_err().to_string(), want);
    }
    assert_eq!(MlModel::parse("flavors: {onnx: {}}\n").unwrap().data, "model.onnx");
}

#[test]
fn what_is_no_mlmodel_is_refused_with_its_place() {
    for (text, want) in [
        ("flavors: [", "MLmodel: "),
        ("flavors: 3\n", "MLmodel: "),
        ("- a\n", "MLmodel: "),
        ("flavors: {onnx: {data: [1]}}\n", "MLmodel: "),
        (&file("[{", ""), "MLmodel signature.inputs: EOF while parsing"),
        (&file("", r#"[{"name": "x"}]"#), "MLmodel signature.outputs: missing field `type`"),
        (&" ".repeat(BYTES_MAX + 1), "MLmodel: the file is too large; expected at most 262144 bytes, got 262145 bytes"),
    ] {
        let error = MlModel::parse(text).unwrap_err().to_string();
        assert!(error.starts_with(want), "{text}: {error}");
    }
}

#[test]
fn facts_and_metadata_become_properties() {
    let text = file("", "")
        + "run_id: 12e45\nmodel_uuid: abc\nmlflow_version: 3.17.2\nmodel_id: null\n\
           metadata:\n  title: Houses\n  description: What they cost\n  rows: 3\n  nested: {a: 1}\n  list: [1]\n  none: null\n";
    let (manifest, _) = fit(&text, &matrix(), "title = \"T\"\n").unwrap();
    assert_eq!((manifest.title.as_deref(), manifest.description.as_deref()), (Some("T"), Some("What they cost")));
    let properties = MlModel::parse(&text).unwrap().properties;
    let shown: Vec<_> = properties.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(
        shown,
        ["mlflow.metadata.rows=3", "mlflow.mlflow_version=3.17.2", "mlflow.model_uuid=abc", "mlflow.run_id=12e45"]
    );
}

#[test]
fn a_file_that_repeats_itself_through_aliases_stays_small() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", [before.as_str(); 9].join(", "));
    }
    let metadata = "metadata:\n  title: *a11\n  bomb: *a11\n";
    // Either skipped or refused, and soon; built, it would have 9¹² elements.
    if let Ok(model) = MlModel::parse(&(bomb.clone() + metadata + "flavors: {onnx: {data: model.onnx}}\n")) {
        assert!(model.properties.is_empty() && model.title.is_none());
    }
    // One long list that thousands of entries name.
    let list = format!("list: &a [{}]\n", vec!["x"; 50_000].join(","));
    let many = |key: &str| (0..9000).map(|at| format!("  {key}{at}: *a\n")).collect::<String>();
    let with = |metadata: &str| MlModel::parse(&format!("{list}flavors: {{onnx: {{}}}}\nmetadata:\n{metadata}"));
    let error = with(&many("k")).unwrap_err().to_string();
    assert!(error.contains("metadata repeats itself through aliases"), "{error}");
    let deeper = format!("  k: [{}]\n", vec!["*a"; 9000].join(","));
    assert!(with(&deeper).is_ok(), "what is in a list is not followed");
    // Entries beyond those that are looked at are not followed either.
    let few: String = (0..32).map(|at| format!("  p{at}: {at}\n")).collect();
    assert_eq!(with(&(few + &many("k") + "  last: 1\n")).unwrap().properties.len(), 32);
    assert!(with(&format!("  k: [{}]\n", vec!["x"; 50_000].join(","))).is_ok(), "a long list is no fault");
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(MlModel::parse(&format!("flavors: {{onnx: {{}}}}\nx: {}\n", deep(5000))).is_ok(), "it is skipped");
    let error = MlModel::parse(&format!("flavors: {{onnx: {{data: {}}}}}\n", deep(5000))).unwrap_err().to_string();
    assert!(error.starts_with("MLmodel: "), "{error}");
}
