//! SVMs and classes: the flat form answers as ONNX Runtime does when it is read as its documentation says, and
//! outputs are traced to the labels behind them.

use prost::Message as _;

use super::build::{graph, model, node, read, with};
use crate::{
    extract::{Classes, Labels, PostTransform, Svm, SvmKernel},
    graph::Node,
    proto::{NodeProto, OperatorSetIdProto},
};

fn parsed(nodes: Vec<NodeProto>) -> crate::Graph {
    let mut model = model(graph(nodes));
    model.opset_import.push(OperatorSetIdProto { domain: Some("ai.onnx.ml".into()), version: Some(3) });
    read(&model.encode_to_vec()).unwrap().graph
}

fn of_ml(mut node: NodeProto) -> NodeProto {
    node.domain = Some("ai.onnx.ml".into());
    node
}

fn floats(node: NodeProto, name: &str, list: &[f32]) -> NodeProto {
    with(node, name, 6, |attribute| attribute.floats = list.to_vec())
}

fn ints(node: NodeProto, name: &str, list: &[i64]) -> NodeProto {
    with(node, name, 7, |attribute| attribute.ints = list.to_vec())
}

fn text(node: NodeProto, name: &str, text: &str) -> NodeProto {
    with(node, name, 3, |attribute| attribute.s = Some(text.to_owned().into()))
}

/// Three classes with a support vector each.
fn triple() -> NodeProto {
    let node = of_ml(node("SVMClassifier", &["x"], &["label", "scores"]));
    let node = floats(node, "coefficients", &[1.0, -0.5, -0.7, 0.3, 0.8, -0.2]);
    let node = floats(node, "support_vectors", &[1.0, 2.0, -1.0, 0.0, 0.5, 0.5]);
    let node = ints(floats(node, "rho", &[0.1, -0.2, 0.05]), "vectors_per_class", &[1, 1, 1]);
    floats(ints(node, "classlabels_ints", &[5, 6, 7]), "kernel_params", &[0.5, 0.1, 3.0])
}

fn taken(node: NodeProto) -> Result<Svm, String> {
    Svm::of(&only(node), Some(2)).map_err(|error| error.to_string())
}

fn only(node: NodeProto) -> Node {
    parsed(vec![node]).nodes.remove(0)
}

/// What pairs of classes get, word by word as [`Svm`] says.
fn of_pairs(svm: &Svm, x: &[f32]) -> Vec<f32> {
    let alike = |vector: &[f32]| {
        let dot: f32 = x.iter().zip(vector).map(|(x, vector)| x * vector).sum();
        let distance: f32 = x.iter().zip(vector).map(|(x, vector)| (x - vector).powi(2)).sum();
        match svm.kernel {
            SvmKernel::Linear => dot,
            SvmKernel::Poly { gamma, coef0, degree } => (gamma * dot + coef0).powf(degree),
            SvmKernel::Rbf { gamma } => (-gamma * distance).exp(),
            SvmKernel::Sigmoid { gamma, coef0 } => (gamma * dot + coef0).tanh(),
        }
    };
    let alikes: Vec<f32> = svm.support_vectors.chunks(svm.features).map(alike).collect();
    let start = |class: usize| svm.vectors_per_class[..class].iter().sum::<usize>();
    let classes = svm.vectors_per_class.len();
    let pairs = (0..classes).flat_map(|i| (i + 1..classes).map(move |j| (i, j)));
    let part = |row: usize, class: usize| -> f32 {
        let vectors = start(class)..start(class + 1);
        vectors.map(|vector| svm.coefficients[row * svm.vectors + vector] * alikes[vector]).sum()
    };
    pairs.zip(&svm.rho).map(|((i, j), rho)| part(j - 1, i) + part(i, j) + rho).collect()
}

/// Expectations are what ONNX Runtime 1.31.1 answers.
#[test]
fn pairs_of_classes_get_what_onnx_runtime_says() {
    for (kernel, wanted) in [
        ("LINEAR", [5.6, 0.25, -1.05]),
        ("POLY", [17.707_998, 4.642_912, -0.124_025]),
        ("RBF", [1.090_842_1, -0.100_553_35, 0.007_351_55]),
        ("SIGMOID", [1.279_002, -0.387_040_44, -0.392_173_14]),
    ] {
        let svm = taken(text(triple(), "kernel_type", kernel)).unwrap();
        for (got, wanted) in of_pairs(&svm, &[1.0, 2.0]).iter().zip(wanted) {
            assert!((got - wanted).abs() < 1e-5, "{kernel}: {got} for {wanted}");
        }
        assert_eq!((svm.features, svm.vectors, svm.pairs()), (2, 3, 3));
        assert_eq!((svm.labels, svm.post_transform), (Some(Labels::Ints(vec![5, 6, 7])), PostTransform::None));
    }
}

#[test]
fn without_support_vectors_it_is_linear_whatever_the_kernel_is_called() {
    let node = of_ml(node("SVMRegressor", &["x"], &["y"]));
    let node = text(floats(floats(node, "coefficients", &[1.0, 2.0]), "rho", &[0.5]), "kernel_type", "RBF");
    let svm = taken(with(node, "one_class", 2, |attribute| attribute.i = Some(1))).unwrap();
    assert_eq!((svm.kernel, svm.features, svm.vectors, svm.is_one_class), (SvmKernel::Linear, 2, 0, true));
    assert_eq!(svm.labels, None);
}

#[test]
fn ill_made_machines_are_refused() {
    let set = |name: &str, list: &[f32]| {
        let mut node = triple();
        node.attribute.retain(|attribute| attribute.name() != name);
        floats(node, name, list)
    };
    let counts = |list: &[i64]| {
        let mut node = triple();
        node.attribute.retain(|attribute| attribute.name() != "vectors_per_class");
        ints(node, "vectors_per_class", list)
    };
    for (node, why) in [
        (set("coefficients", &[1.0; 5]), "coefficients is not as long as the other lists: expected 6 elements, got 5"),
        (set("support_vectors", &[1.0; 5]), "support_vectors does not divide into rows: expected a multiple of 3"),
        (set("support_vectors", &[1.0; 9]), "not for rows of this width: expected 2, got 3"),
        (set("rho", &[1.0]), "rho has less numbers than there are pairs of classes: expected 3, got 1"),
        (set("rho", &[]), "rho is missing"),
        (set("prob_a", &[1.0; 3]), "prob_b is not as long"),
        (counts(&[1, 2]), "vectors_per_class is not as long"),
        (counts(&[1, 1, -1]), "vectors_per_class is negative"),
        (counts(&[i64::MAX, i64::MAX, i64::MAX]), "vectors_per_class is more than there can be"),
        (counts(&[1, 1, 2]), "support_vectors does not divide into rows"),
        (text(set("kernel_params", &[0.5]), "kernel_type", "RBF"), "expected gamma, coef0 and degree, got 1 numbers"),
        (text(triple(), "kernel_type", "COSINE"), "kernel_type is no known choice"),
    ] {
        let error = taken(node).unwrap_err();
        assert!(error.contains(why), "{error} / {why}");
    }
}

#[test]
fn outputs_are_traced_to_their_classes() {
    let zipped = |input: &str| {
        let node = of_ml(node("ZipMap", &[input], &["zipped"]));
        ints(node, "classlabels_int64s", &[1, 2, 3])
    };
    let passed = [node("Identity", &["label"], &["a"]), node("Cast", &["a"], &["b"]), node("Sum", &["b"], &["c"])];
    let graph = |first: NodeProto, input| parsed([vec![first, zipped(input)], passed.to_vec()].concat());
    let machine = graph(triple(), "scores");
    let (own, keys) = (Labels::Ints(vec![5, 6, 7]), Labels::Ints(vec![1, 2, 3]));
    assert_eq!(Classes::of(&machine, "b"), Some(Classes::Elements(own.clone())));
    assert_eq!(Classes::of(&machine, "scores"), None, "one column per pair");
    assert_eq!(Classes::of(&machine, "zipped"), Some(Classes::Columns(keys)));
    assert_eq!(Classes::of(&machine, "c"), None, "a sum of labels is none");
    assert_eq!((Classes::of(&machine, "x"), Classes::of(&machine, "?")), (None, None));
    let platt = floats(floats(triple(), "prob_a", &[1.0; 3]), "prob_b", &[1.0; 3]);
    assert_eq!(Classes::of(&graph(platt, "scores"), "scores"), Some(Classes::Columns(own)));
}
