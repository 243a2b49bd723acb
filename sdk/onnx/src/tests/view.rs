//! What a reader sees of a well-made graph, and which ill-made ones it refuses.

use prost::Message as _;

use super::build::{around, floats, graph, model, node, read, refusal, with};
use crate::{
    graph::{Attribute, Origin},
    limits::Limits,
    proto::{
        FunctionProto, GraphProto, ModelProto, OperatorSetIdProto, SparseTensorProto, StringStringEntryProto,
        TensorProto, TensorShapeProto, TypeProto, tensor_shape_proto, type_proto,
    },
    tensor::Tensor,
    types::{DataType, Dim},
};

fn raw(name: &str, data_type: i32, dims: &[i64], bytes: &[u8]) -> TensorProto {
    let raw_data = Some(bytes.to_vec().into());
    TensorProto { data_type: Some(data_type), raw_data, ..floats(name, dims, &[]) }
}

#[test]
fn values_are_found_by_name() {
    let mut proto = graph(vec![node("Add", &["x", "w"], &["t"]), node("Relu", &["t"], &["y"])]);
    proto.initializer = vec![floats("w", &[2], &[1.0, 2.0])];
    let model = read(&model(proto).encode_to_vec()).unwrap();
    let graph = &model.graph;
    assert_eq!(graph.origin("x"), Some(Origin::Input(0)));
    assert_eq!(graph.origin("w"), Some(Origin::Initializer(0)));
    assert_eq!(graph.origin("t"), Some(Origin::Node { node: 0, output: 0 }));
    assert_eq!(graph.origin("nothing"), None);
    assert_eq!(graph.producer("y").map(|(at, node, _)| (at, &*node.op_type)), Some((1, "Relu")));
    assert_eq!(*graph.initializer("w").unwrap().values::<f32>().unwrap(), [1.0, 2.0]);
    assert_eq!(graph.nodes[0].opset, Some(21));
    assert_eq!(graph.order().unwrap(), [0, 1]);
}

#[test]
fn an_initializer_may_be_the_default_of_an_input() {
    let mut proto = graph(vec![node("Relu", &["x"], &["y"])]);
    proto.initializer = vec![floats("x", &[1], &[1.0])];
    let model = read(&model(proto).encode_to_vec()).unwrap();
    assert_eq!(model.graph.required_inputs().count(), 0);
    assert!(model.graph.input("x").is_some() && model.graph.initializer("x").is_some());
}

#[test]
fn two_things_of_one_name_are_refused() {
    let twice = |change: &dyn Fn(&mut GraphProto)| {
        let mut proto = graph(vec![node("Relu", &["x"], &["y"])]);
        proto.initializer = vec![floats("w", &[1], &[1.0])];
        change(&mut proto);
        refusal(&model(proto))
    };
    let sparse = |name: &str| SparseTensorProto {
        values: Some(Box::new(floats(name, &[1], &[1.0]))),
        indices: Some(Box::new(raw("", 7, &[1], &[0; 8]))),
        dims: vec![3],
    };
    for (change, name) in [
        (&(|graph: &mut GraphProto| graph.input.push(graph.input[0].clone())) as &dyn Fn(&mut GraphProto), "x"),
        (&|graph| graph.initializer.push(graph.initializer[0].clone()), "w"),
        (&|graph| graph.node.push(node("Neg", &["x"], &["y"])), "y"),
        (&|graph| graph.node.push(node("Neg", &["x"], &["x"])), "x"),
        (&|graph| graph.node.push(node("Neg", &["x"], &["w"])), "w"),
        (&|graph| graph.sparse_initializer.push(sparse("w")), "w"),
    ] {
        let error = twice(change);
        assert!(error.contains(&format!("the value \"{name}\" is defined twice")), "{error}");
    }
}

#[test]
fn tensors_are_read_from_raw_data_and_from_every_typed_field() {
    let tensor = |proto: TensorProto| {
        let node = with(node("Constant", &[], &["y"]), "value", 4, |attribute| attribute.t = Some(Box::new(proto)));
        let model = read(&model(graph(vec![node])).encode_to_vec()).unwrap();
        model.graph.nodes[0].tensor("value").unwrap().unwrap().clone()
    };
    assert_eq!(*tensor(raw("", 1, &[2], &[0, 0, 128, 63, 0, 0, 0, 64])).values::<f32>().unwrap(), [1.0, 2.0]);
    assert_eq!(*tensor(raw("", 7, &[], &[255; 8])).values::<i64>().unwrap(), [-1]);
    assert_eq!(*tensor(raw("", 9, &[3], &[0, 1, 2])).values::<bool>().unwrap(), [false, true, true]);
    assert_eq!(*tensor(raw("", 10, &[1], &[0, 0x3C])).values::<u16>().unwrap(), [0x3C00]);
    assert_eq!(tensor(raw("", 22, &[3], &[0x21, 0x03])).elements(), 3);
    let ints = |data_type, values: &[i32]| {
        let dims = [values.len() as i64];
        tensor(TensorProto { data_type: Some(data_type), int32_data: values.to_vec(), ..floats("", &dims, &[]) })
    };
    assert_eq!(*ints(3, &[-1, 2]).values::<i8>().unwrap(), [-1, 2]);
    assert_eq!(*ints(16, &[0x3F80]).values::<u16>().unwrap(), [0x3F80]);
    let error = ints(2, &[256]).values::<u8>().unwrap_err().to_string();
    assert!(error.starts_with("the tensor's numbers do not fit its type"), "{error}");
    let doubles = TensorProto { data_type: Some(11), double_data: vec![0.1], ..floats("", &[1], &[]) };
    assert_eq!(*tensor(doubles).values::<f64>().unwrap(), [0.1]);
    let small = TensorProto { data_type: Some(12), uint64_data: vec![7], ..floats("", &[], &[]) };
    assert_eq!(*tensor(small).values::<u32>().unwrap(), [7]);
    let text = TensorProto { data_type: Some(8), string_data: vec!["é".into()], ..floats("", &[1], &[]) };
    assert_eq!(tensor(text).strings().unwrap()[0], "é".as_bytes());
    let error = tensor(raw("", 1, &[0], &[])).values::<f64>().unwrap_err().to_string();
    assert_eq!(error, "the tensor is of another type at a tensor: expected double, got float");
}

#[test]
fn tensors_that_are_not_what_they_say_are_refused() {
    let refused = |tensor: TensorProto| {
        let mut proto = graph(vec![node("Relu", &["x"], &["y"])]);
        proto.initializer = vec![tensor];
        refusal(&model(proto))
    };
    for (tensor, why) in [
        (raw("w", 1, &[3], &[0; 8]), "more or less than its dimensions say at graph \"\", tensor \"w\""),
        (floats("w", &[2], &[1.0]), "expected 2 for 2 elements of float, got 1"),
        (floats("w", &[-1], &[1.0]), "a dimension is negative"),
        (floats("w", &[1 << 31, 1 << 31, 4], &[]), "more than any memory"),
        (floats("w", &[1 << 62, 0, 1 << 62], &[]), "more than any memory"),
        (TensorProto { float_data: vec![1.0], ..raw("w", 1, &[1], &[0; 4]) }, "in more than one place"),
        (TensorProto { data_type: Some(7), ..floats("w", &[1], &[1.0]) }, "field of another type"),
        (TensorProto { data_type: Some(99), ..floats("w", &[1], &[1.0]) }, "no known type"),
        (TensorProto { data_type: None, ..floats("w", &[1], &[1.0]) }, "no known type"),
        (TensorProto { data_location: Some(7), ..floats("w", &[1], &[1.0]) }, "no known kind of location"),
        (TensorProto { segment: Some(Default::default()), ..floats("w", &[1], &[1.0]) }, "a segment of another"),
        (raw("w", 8, &[1], &[0; 8]), "field of another type"),
        (floats("", &[1], &[1.0]), "an initializer has no name"),
    ] {
        let error = refused(tensor);
        assert!(error.contains(why), "{error} / {why}");
    }
}

#[test]
fn attributes_hold_what_their_type_says_and_nothing_beside() {
    let attribute = |kind, set: fn(&mut crate::proto::AttributeProto)| {
        let node = with(node("Op", &["x"], &["y"]), "a", kind, set);
        read(&model(graph(vec![node])).encode_to_vec()).map(|model| model.graph.nodes[0].attributes["a"].clone())
    };
    assert_eq!(attribute(2, |a| a.i = Some(-3)), Ok(Attribute::Int(-3)));
    assert_eq!(attribute(0, |a| a.f = Some(0.5)), Ok(Attribute::Float(0.5)));
    assert_eq!(attribute(7, |_| ()), Ok(Attribute::Ints(vec![])));
    assert_eq!(attribute(2, |_| ()), Ok(Attribute::Int(0)));
    assert_eq!(attribute(6, |a| a.ref_attr_name = Some("b".into())), Ok(Attribute::Reference("b".into())));
    let why = |kind, set| attribute(kind, set).unwrap_err().to_string();
    let place = "at graph \"\", node 0 (Op), attribute \"a\"";
    assert_eq!(
        why(1, |a| (a.i, a.f) = (Some(1), Some(1.0))),
        format!("the attribute holds more than one value {place}")
    );
    assert!(why(1, |a| a.i = Some(1)).contains("not of its type"));
    assert!(why(4, |_| ()).contains("has no value"));
    assert!(why(2, |a| (a.i, a.ref_attr_name) = (Some(1), Some("b".into()))).contains("more than one value"));
    let twice = with(with(node("Op", &["x"], &["y"]), "a", 2, |_| ()), "a", 2, |_| ());
    assert!(refusal(&model(graph(vec![twice]))).contains("no name, or that of another"));
    assert!(refusal(&model(graph(vec![node("", &["x"], &["y"])]))).contains("names no operator"));
}

#[test]
fn unsorted_nodes_are_sorted_and_circles_named() {
    let order = |nodes| read(&model(graph(nodes)).encode_to_vec()).unwrap().graph.order();
    let chain = || vec![node("A", &["x"], &["a"]), node("B", &["a"], &["b"]), node("C", &["b", ""], &["y", ""])];
    assert_eq!(order(chain()).unwrap(), [0, 1, 2]);
    assert_eq!(order(chain().into_iter().rev().collect()).unwrap(), [2, 1, 0]);
    let circle = vec![node("A", &["b"], &["a"]), node("B", &["a"], &["b"]), node("C", &["x"], &["y"])];
    assert_eq!(order(circle).unwrap_err().to_string(), "nodes use each other in a circle at node 0 (A)");
    let missing = vec![node("A", &["x", "z"], &["y"])];
    assert_eq!(order(missing).unwrap_err().to_string(), "nothing makes the value \"z\" at node 0 (A)");
    assert!(order(vec![node("A", &["x"], &["a"])]).unwrap_err().to_string().contains("nothing makes the value \"y\""));
}

#[test]
fn graphs_within_may_use_what_is_around_them() {
    let inner = |uses: &str| {
        let mut graph = graph(vec![node("Neg", &[uses], &["y"])]);
        graph.input.clear();
        graph
    };
    let order = |nodes| read(&model(graph(nodes)).encode_to_vec()).unwrap().graph.order();
    let later = vec![around(inner("a"), &["y"]), node("A", &["x"], &["a"])];
    assert_eq!(order(later).unwrap(), [1, 0], "what a graph within uses comes first");
    let mut deep = inner("a");
    for _ in 0..8 {
        deep = GraphProto { input: vec![], ..graph(vec![around(deep, &["y"])]) };
    }
    let deep = vec![around(deep, &["y"]), node("A", &["x"], &["a"])];
    assert_eq!(order(deep).unwrap(), [1, 0]);
    assert!(order(vec![around(inner("nowhere"), &["y"])]).unwrap_err().to_string().contains("\"nowhere\""));
}

#[test]
fn functions_imports_metadata_and_types_are_seen() {
    let dim = |value| tensor_shape_proto::Dimension { value: Some(value) };
    use tensor_shape_proto::dimension::Value::{DimParam, DimValue};
    let shape = TensorShapeProto {
        dim: vec![dim(DimParam("n".into())), dim(DimValue(4)), dim(DimValue(-1)), Default::default()],
    };
    let tensor = type_proto::Tensor { elem_type: Some(1), shape: Some(shape) };
    let mut proto = model(graph(vec![node("Relu", &["x"], &["y"])]));
    let graph = proto.graph.as_mut().unwrap();
    graph.input[0].r#type = Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)) });
    graph.node[0].domain = Some("ai.onnx".into());
    let import = |domain: &str, version| OperatorSetIdProto { domain: Some(domain.into()), version: Some(version) };
    proto.opset_import.push(import("ai.onnx.ml", 3));
    proto.metadata_props = vec![StringStringEntryProto { key: Some("k".into()), value: Some("v".into()) }];
    let function = |name: &str| FunctionProto {
        name: Some(name.into()),
        domain: Some("own".into()),
        input: vec!["p".into()],
        output: vec!["q".into()],
        node: vec![node("Neg", &["p"], &["q"])],
        opset_import: vec![import("", 18)],
        ..FunctionProto::default()
    };
    proto.functions = vec![function("g"), function("f")];
    let model = read(&proto.encode_to_vec()).unwrap();
    let (element, shape) = model.graph.inputs[0].tensor().unwrap();
    assert_eq!(element, DataType::Float);
    assert_eq!(shape.unwrap(), [Dim::Symbol("n".into()), Dim::Fixed(4), Dim::Unknown, Dim::Unknown]);
    assert_eq!((&*model.graph.nodes[0].domain, model.graph.nodes[0].opset), ("", Some(21)));
    assert_eq!(model.opsets["ai.onnx.ml"], 3);
    assert_eq!(model.metadata["k"], "v");
    let found = model.function("own", "f", "").unwrap();
    assert_eq!(found.body.nodes[0].opset, Some(18));
    assert!(model.function("", "f", "").is_none());
    proto.functions = vec![function("f"), function("f")];
    assert!(refusal(&proto).contains("the function \"f\" is defined twice"));
    proto.functions.clear();
    proto.opset_import = vec![import("", 1), import("ai.onnx", 2)];
    assert!(refusal(&proto).contains("two versions of the operators"));
    assert!(refusal(&ModelProto::default()).contains("without a graph"));
}

#[test]
fn a_file_of_one_tensor_is_read_and_bounded() {
    let bytes = |proto: TensorProto| proto.encode_to_vec().into();
    let read = |file| Tensor::read(file, &Limits::default());
    let tensor = read(bytes(raw("x", 7, &[2], &[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]))).unwrap();
    assert_eq!((&*tensor.name, &*tensor.values::<i64>().unwrap()), ("x", &[1_i64, 2][..]));
    let short = read(bytes(raw("x", 7, &[2], &[1; 8]))).unwrap_err().to_string();
    assert!(short.contains("more or less than its dimensions say"), "{short}");
    let cut = read(vec![0x4A, 0x7F, 1].into()).unwrap_err().to_string();
    assert!(cut.starts_with("the file is not an ONNX tensor, or is cut short at byte 0 (TensorProto)"), "{cut}");
    let tiny = Limits { file_bytes: 4, ..Limits::default() };
    assert!(Tensor::read(bytes(floats("x", &[1], &[1.0])), &tiny).is_err());
}
