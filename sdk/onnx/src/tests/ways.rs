//! A tensor can stand in many places of a file; external data are found in each, used or not.

use std::fs;

use prost::Message as _;

use super::build::{around, external, floats, graph, model, node, with};
use crate::{
    external::Folder,
    limits::Limits,
    proto::{
        FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, SparseTensorProto, TensorProto,
        TrainingInfoProto,
    },
    scan::Scan,
};

fn outside(dims: &[i64]) -> TensorProto {
    external("w", dims, &[("location", "../w.bin")])
}

fn sparse(values: TensorProto, indices: TensorProto) -> SparseTensorProto {
    SparseTensorProto { values: Some(Box::new(values)), indices: Some(Box::new(indices)), dims: vec![8] }
}

fn index() -> TensorProto {
    TensorProto { data_type: Some(7), int64_data: vec![0], ..floats("i", &[1], &[]) }
}

/// A graph of its own, without inputs, with one node.
fn inner(change: impl FnOnce(&mut GraphProto)) -> GraphProto {
    let mut graph = GraphProto { input: vec![], ..graph(vec![node("Constant", &[], &["y"])]) };
    change(&mut graph);
    graph
}

fn function(node: NodeProto) -> FunctionProto {
    let import = OperatorSetIdProto { domain: None, version: Some(21) };
    FunctionProto { name: Some("f".into()), node: vec![node], opset_import: vec![import], ..FunctionProto::default() }
}

/// A model for each way from the file down to a tensor.
fn ways() -> Vec<(&'static str, ModelProto)> {
    let relu = || node("Relu", &["x"], &["y"]);
    let one = || node("Constant", &[], &["z"]);
    let with_graph = |change: &dyn Fn(&mut GraphProto)| {
        let mut graph = graph(vec![relu()]);
        change(&mut graph);
        model(graph)
    };
    let with_node = |node: NodeProto| model(graph(vec![relu(), node]));
    let half = |values_outside: bool| {
        let indices = TensorProto { data_type: Some(7), ..outside(&[1]) };
        if values_outside { sparse(outside(&[1]), index()) } else { sparse(floats("w", &[1], &[1.0]), indices) }
    };
    let of_model = |change: &dyn Fn(&mut ModelProto)| {
        let mut model = model(graph(vec![relu()]));
        change(&mut model);
        model
    };
    let tensor_node = || with(one(), "value", 4, |a| a.t = Some(Box::new(outside(&[1]))));
    let in_default = || {
        let holder = with(one(), "d", 4, |a| a.t = Some(Box::new(outside(&[1]))));
        FunctionProto { attribute_proto: holder.attribute, ..function(one()) }
    };
    vec![
        ("initializer", with_graph(&|graph| graph.initializer = vec![outside(&[1])])),
        ("sparse values", with_graph(&|graph| graph.sparse_initializer = vec![half(true)])),
        ("sparse indices", with_graph(&|graph| graph.sparse_initializer = vec![half(false)])),
        ("tensor", with_node(tensor_node())),
        ("tensors", with_node(with(one(), "a", 9, |a| a.tensors = vec![outside(&[1])]))),
        ("sparse tensor", with_node(with(one(), "a", 11, |a| a.sparse_tensor = Some(Box::new(half(true)))))),
        ("sparse tensors", with_node(with(one(), "a", 12, |a| a.sparse_tensors = vec![half(false)]))),
        ("graph", model(graph(vec![around(inner(|graph| graph.initializer = vec![outside(&[1])]), &["y"])]))),
        (
            "graphs",
            with_node(with(one(), "a", 10, |a| {
                a.graphs = vec![inner(|_| ()), inner(|graph| graph.node.push(tensor_node()))];
            })),
        ),
        ("function", of_model(&|model| model.functions = vec![function(tensor_node())])),
        ("default of a function", of_model(&|model| model.functions = vec![in_default()])),
        (
            "training",
            of_model(&|model| {
                let initialization = Some(inner(|graph| graph.initializer = vec![outside(&[1])]));
                model.training_info = vec![TrainingInfoProto { initialization, algorithm: None }];
            }),
        ),
    ]
}

#[test]
fn a_location_is_found_wherever_a_tensor_can_stand() {
    let base = tempfile::tempdir().unwrap();
    let folder = base.path().join("model");
    fs::create_dir(&folder).unwrap();
    for path in ["w.bin", "model/w.bin"] {
        fs::write(base.path().join(path), [0; 8]).unwrap();
    }
    for (way, model) in ways() {
        let scan = Scan::of(&model.encode_to_vec(), &Folder::new(&folder), &Limits::default());
        let refusal = scan.refusal().map(ToString::to_string).unwrap_or_default();
        assert!(refusal.contains("\"../w.bin\" lie outside the model's folder"), "{way}: {refusal}");
    }
}

#[test]
fn what_is_drawn_by_chance_is_found_at_any_depth_and_named() {
    let scan = |model: ModelProto| Scan::of(&model.encode_to_vec(), &Folder::new("."), &Limits::default()).random;
    let within = |op: &str| inner(|graph| graph.node.push(node(op, &["y"], &["z"])));
    for op in ["RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"] {
        let found = scan(model(graph(vec![around(within(op), &["y"])]))).expect(op);
        assert!(found.contains(&format!("({op})")), "{found}");
        let of_function = ModelProto { functions: vec![function(node(op, &["a"], &["b"]))], ..model(graph(vec![])) };
        assert!(scan(of_function).is_some(), "{op} in a function");
    }
    for op in ["Neg", "Dropout"] {
        assert_eq!(scan(model(graph(vec![around(within(op), &["y"])]))), None, "{op}");
    }
    let dropout = |on: Option<u8>| {
        let mut graph = graph(vec![node("Dropout", &["x", "", "t"], &["y"])]);
        if let Some(on) = on {
            let bool = crate::DataType::Bool as i32;
            graph.initializer = vec![TensorProto {
                name: Some("t".into()),
                data_type: Some(bool),
                raw_data: Some(vec![on].into()),
                int64_data: vec![],
                ..index()
            }];
        }
        scan(model(graph)).is_some()
    };
    assert!(dropout(None) && dropout(Some(1)) && !dropout(Some(0)), "it drops nothing where it is not trained");
}

#[test]
fn work_by_values_is_found_at_any_depth() {
    let scan = |model: ModelProto| Scan::of(&model.encode_to_vec(), &Folder::new("."), &Limits::default());
    let within = |op: &str| inner(|graph| graph.node.push(node(op, &["y"], &["z"])));
    for op in ["Loop", "Scan", "ConstantOfShape"] {
        assert!(scan(model(graph(vec![around(within(op), &["y"])]))).cost_depends_on_values, "{op} in a branch");
        let of_function = ModelProto { functions: vec![function(node(op, &["a"], &["b"]))], ..model(graph(vec![])) };
        assert!(scan(of_function).cost_depends_on_values, "{op} in a function");
    }
    assert!(!scan(model(graph(vec![around(within("Neg"), &["y"])]))).cost_depends_on_values);
    let replaced = |is_input: bool| {
        let mut graph = graph(vec![node("Expand", &["x", "s"], &["y"])]);
        graph.initializer = vec![TensorProto { name: Some("s".into()), ..index() }];
        if is_input {
            graph.input.push(crate::proto::ValueInfoProto { name: Some("s".into()), r#type: None });
        }
        scan(model(graph)).cost_depends_on_values
    };
    assert!(replaced(true) && !replaced(false), "an initializer that a caller can replace is no constant");
}
