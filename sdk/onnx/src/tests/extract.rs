//! Trees and linear models: the samples answer as they should when the flat form is walked, and ill-made
//! ones are refused.

use prost::Message as _;
use serde_json::Value;

use super::{
    build::{floats, graph, model, node, read, with},
    samples::{golden, samples},
};
use crate::{
    extract::{Aggregate, Child, Labels, Linear, Mode, PostTransform, TreeEnsemble},
    graph::Node,
    proto::{NodeProto, OperatorSetIdProto, TensorProto},
};

/// Walks the ensemble as the specification says, in double precision after the comparisons.
fn scores(trees: &TreeEnsemble, row: &[f32]) -> Vec<f64> {
    let mut scores = vec![0.0; trees.targets];
    for root in &trees.roots {
        let mut at = *root;
        while !at.is_leaf() {
            let (node, x) = (at.at(), f64::from(row[trees.features[at.at()] as usize]));
            let threshold = trees.thresholds.get(node).unwrap();
            let holds = match trees.modes[node] {
                Mode::Leq => x <= threshold,
                Mode::Lt => x < threshold,
                Mode::Gte => x >= threshold,
                Mode::Gt => x > threshold,
                Mode::Eq => x == threshold,
                Mode::Neq => x != threshold,
                Mode::Member => trees.members_of(node).any(|at| trees.members.get(at) == Some(x)),
            };
            let yes = if x.is_nan() { trees.missing_true[node] } else { holds };
            at = if yes { trees.if_true[node] } else { trees.if_false[node] };
        }
        for vote in trees.votes_of(at.at()) {
            scores[trees.vote_targets[vote] as usize] += trees.vote_weights.get(vote).unwrap();
        }
    }
    for (at, score) in scores.iter_mut().enumerate() {
        *score += trees.base_values.get(at).unwrap_or(0.0);
    }
    scores
}

fn node_of(sample: &str, op: &str) -> Node {
    let (_, bytes) = samples().into_iter().find(|(name, _)| name == sample).unwrap();
    read(&bytes).unwrap().graph.nodes.into_iter().find(|node| node.op_type == op).unwrap()
}

/// Rows and expected numbers of all golden cases.
fn cases(sample: &str, output: &str) -> Vec<(Vec<f32>, Vec<f64>)> {
    let numbers =
        |tensor: &Value| -> Vec<Option<f64>> { tensor["data"].as_array().unwrap().iter().map(Value::as_f64).collect() };
    let mut found = Vec::new();
    for case in golden(sample)["cases"].as_array().unwrap() {
        let input = &case["inputs"][0];
        let width = input["shape"][1].as_u64().unwrap() as usize;
        let wanted = case["outputs"].as_array().unwrap().iter().find(|tensor| tensor["name"] == output).unwrap();
        let (rows, outputs) = (numbers(input), numbers(wanted));
        let per_row = wanted["shape"][1].as_u64().unwrap() as usize;
        for (row, output) in rows.chunks(width).zip(outputs.chunks(per_row)) {
            let row: Option<Vec<f32>> = row.iter().map(|number| number.map(|number| number as f32)).collect();
            let output: Option<Vec<f64>> = output.iter().copied().collect();
            found.extend(row.zip(output));
        }
    }
    assert!(found.len() > 5);
    found
}

fn close(got: f64, wanted: f64) -> bool {
    (got - wanted).abs() <= 1e-5 * wanted.abs().max(1.0)
}

#[test]
fn the_sample_classifier_answers_as_onnx_runtime_does() {
    let trees = TreeEnsemble::of(&node_of("breast_cancer", "TreeEnsembleClassifier"), Some(30)).unwrap();
    assert!(trees.one_score && !trees.votes_are_positive, "votes are for one of two classes");
    assert_eq!(trees.labels, Some(Labels::Ints(vec![0, 1])));
    assert_eq!(trees.post_transform, PostTransform::Logistic);
    assert_eq!(trees.only_mode(), Some(Mode::Leq));
    for (row, wanted) in cases("breast_cancer", "probabilities") {
        let score: f64 = scores(&trees, &row).iter().sum();
        let second = 1.0 / (1.0 + (-score).exp());
        assert!(close(second, wanted[1]), "{second} for {wanted:?}");
    }
}

#[test]
fn the_sample_regressor_answers_as_onnx_runtime_does() {
    let trees = TreeEnsemble::of(&node_of("diabetes", "TreeEnsembleRegressor"), Some(10)).unwrap();
    assert_eq!((trees.targets, trees.features_min, trees.aggregate), (1, 10, Aggregate::Sum));
    assert_eq!(trees.leaves(), 1600);
    assert_eq!(trees.features.len(), 1500);
    for (row, wanted) in cases("diabetes", "progression") {
        let got = scores(&trees, &row)[0];
        assert!(close(got, wanted[0]), "{got} for {wanted:?}");
    }
}

#[test]
fn nodes_stand_in_walking_order() {
    let trees = TreeEnsemble::of(&node_of("diabetes", "TreeEnsembleRegressor"), None).unwrap();
    for (at, child) in trees.if_true.iter().enumerate().filter(|(_, child)| !child.is_leaf()) {
        assert_eq!(child.at(), at + 1, "the child for true is next");
    }
    assert!(trees.if_false.iter().enumerate().all(|(at, child)| child.is_leaf() || child.at() > at));
    assert!(trees.roots.is_sorted_by_key(|root| root.at()));
}

#[test]
fn the_sample_linear_model_answers_as_onnx_runtime_does() {
    let linear = Linear::of(&node_of("iris", "LinearClassifier"), Some(4)).unwrap();
    assert_eq!((linear.scores, linear.features, linear.is_multi_class), (3, 4, true));
    let scaler = node_of("iris", "Scaler");
    let (offset, scale) = (scaler.floats("offset").unwrap().unwrap(), scaler.floats("scale").unwrap().unwrap());
    for (row, wanted) in cases("iris", "probabilities") {
        let x: Vec<f32> = row.iter().zip(offset).zip(scale).map(|((x, offset), scale)| (x - offset) * scale).collect();
        let score = |(weights, intercept): (&[f32], &f32)| -> f64 {
            weights.iter().zip(&x).map(|(weight, x)| f64::from(weight * x)).sum::<f64>() + f64::from(*intercept)
        };
        let scores: Vec<f64> = linear.coefficients.chunks(4).zip(&linear.intercepts).map(score).collect();
        let sum: f64 = scores.iter().map(|score| score.exp()).sum();
        assert!(scores.iter().zip(&wanted).all(|(score, wanted)| close(score.exp() / sum, *wanted)), "{wanted:?}");
    }
}

fn parsed(proto: NodeProto) -> Node {
    let mut proto = proto;
    proto.domain = Some("ai.onnx.ml".into());
    let mut model = model(graph(vec![proto]));
    model.opset_import.push(OperatorSetIdProto { domain: Some("ai.onnx.ml".into()), version: Some(5) });
    read(&model.encode_to_vec()).unwrap().graph.nodes.remove(0)
}

type Lists<'a> = &'a [(&'a str, &'a [i64])];

fn with_ints(op: &str, lists: Lists<'_>) -> NodeProto {
    let set = |node, (name, list): &(&str, &[i64])| with(node, name, 7, |attribute| attribute.ints = list.to_vec());
    lists.iter().fold(node(op, &["x"], &["y"]), set)
}

/// Two trees: a stump whose ids do not begin at zero, and a single leaf.
const FLAT: [(&str, &[i64]); 9] = [
    ("nodes_treeids", &[4, 4, 4, 9]),
    ("nodes_nodeids", &[7, 3, 5, 0]),
    ("nodes_featureids", &[2, 0, 0, 0]),
    ("nodes_truenodeids", &[5, 0, 0, 0]),
    ("nodes_falsenodeids", &[3, 0, 0, 0]),
    ("target_treeids", &[4, 4, 4, 9]),
    ("target_nodeids", &[3, 5, 5, 0]),
    ("target_ids", &[0, 0, 1, 1]),
    ("nodes_missing_value_tracks_true", &[1, 0, 0, 0]),
];

fn flat(change: &[(&'static str, &'static [i64])], modes: &[&'static str]) -> Result<TreeEnsemble, String> {
    let mut lists = FLAT.to_vec();
    for (name, list) in change {
        lists.iter_mut().find(|(known, _)| known == name).unwrap().1 = list;
    }
    let node = with_ints("TreeEnsembleRegressor", &lists);
    let node = with(node, "nodes_modes", 8, |a| a.strings = modes.iter().map(|mode| mode.as_bytes().into()).collect());
    let node = with(node, "nodes_values", 6, |a| a.floats = vec![0.5, 0.0, 0.0, 0.0]);
    let node = with(node, "target_weights", 6, |a| a.floats = vec![1.0, 2.0, 4.0, 8.0]);
    let node = with(node, "n_targets", 2, |a| a.i = Some(2));
    TreeEnsemble::of(&parsed(node), Some(3)).map_err(|error| error.to_string())
}

#[test]
fn ids_may_be_any_numbers_and_a_tree_a_single_leaf() {
    let trees = flat(&[], &["BRANCH_LT", "LEAF", "LEAF", "LEAF"]).unwrap();
    assert_eq!(trees.modes, [Mode::Lt]);
    assert_eq!(format!("{:?}", trees.roots), "[node 0, leaf 2]");
    assert_eq!((trees.if_true[0].at(), trees.if_false[0].at()), (1, 0));
    assert_eq!(scores(&trees, &[0.0, 0.0, 0.4]), [2.0, 12.0]);
    assert_eq!(scores(&trees, &[0.0, 0.0, 0.5]), [1.0, 8.0], "on the threshold, less is not true");
    assert_eq!(scores(&trees, &[0.0, 0.0, f32::NAN]), [2.0, 12.0], "missing tracks true");
}

#[test]
fn ill_made_flat_trees_are_refused_with_their_place() {
    let modes = ["BRANCH_LEQ", "LEAF", "LEAF", "LEAF"];
    for (change, why) in [
        (("nodes_truenodeids", &[6_i64, 0, 0, 0][..]), "does not exist at tree 4, node 6"),
        (("nodes_truenodeids", &[7, 0, 0, 0]), "no root leads to a node"),
        (("nodes_truenodeids", &[3, 0, 0, 0]), "a tree has two roots at tree 4, node 5"),
        (("nodes_nodeids", &[7, 3, 3, 0]), "appears twice in a tree at tree 4, node 3"),
        (("nodes_treeids", &[4, 4, 4, 4]), "a tree has two roots"),
        (("nodes_featureids", &[3, 0, 0, 0]), "a feature id points beyond what there is: expected 0 to 2, got 3"),
        (("nodes_featureids", &[-1, 0, 0, 0]), "a feature id points beyond"),
        (("nodes_featureids", &[1, 0, 0]), "nodes_featureids is not as long"),
        (("target_ids", &[0, 0, 2, 1]), "target_ids points beyond"),
        (("target_nodeids", &[3, 5, 6, 0]), "a vote is for a leaf that does not exist at tree 4, node 6"),
        (("nodes_missing_value_tracks_true", &[1]), "is not as long as the other lists: expected 4 elements, got 1"),
    ] {
        let error = flat(&[change], &modes).unwrap_err();
        assert!(error.contains(why), "{error} / {why}");
    }
    assert!(flat(&[], &["BRANCH_LEQ", "LEAF", "LEAF", "branch"]).unwrap_err().contains("no known comparison"));
    let circle = [("nodes_truenodeids", &[5, 7, 0, 0][..]), ("nodes_falsenodeids", &[3, 5, 0, 0])];
    assert!(flat(&circle, &["BRANCH_LEQ", "BRANCH_LEQ", "LEAF", "LEAF"]).is_err());
    let alone = [("nodes_truenodeids", &[3, 7, 0, 0][..]), ("nodes_falsenodeids", &[5, 3, 0, 0])];
    assert!(flat(&alone, &["BRANCH_LEQ", "BRANCH_LEQ", "LEAF", "LEAF"]).is_err());
}

fn tensor(data_type: i32, bytes: &[u8], count: usize) -> TensorProto {
    let raw_data = Some(bytes.to_vec().into());
    TensorProto { data_type: Some(data_type), raw_data, ..floats("", &[count as i64], &[]) }
}

fn split(change: &[(&'static str, &'static [i64])], modes: &[u8], members: &[f32]) -> Result<TreeEnsemble, String> {
    let mut lists: Vec<(&str, &[i64])> = vec![
        ("tree_roots", &[1]),
        ("nodes_featureids", &[0, 1]),
        ("nodes_trueleafs", &[1, 0]),
        ("nodes_falseleafs", &[1, 1]),
        ("nodes_truenodeids", &[0, 0]),
        ("nodes_falsenodeids", &[1, 2]),
        ("leaf_targetids", &[0, 0, 0]),
    ];
    for (name, list) in change {
        lists.iter_mut().find(|(known, _)| known == name).unwrap().1 = list;
    }
    let doubles = |values: &[f64]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let set = |node, name: &str, value: TensorProto| with(node, name, 4, |a| a.t = Some(Box::new(value)));
    let node = with_ints("TreeEnsemble", &lists);
    let node = set(node, "nodes_modes", tensor(2, modes, modes.len()));
    let node = set(node, "nodes_splits", tensor(11, &doubles(&[0.1, 0.0]), 2));
    let node = set(node, "leaf_weights", tensor(11, &doubles(&[1.0, 2.0, 4.0]), 3));
    let node = if members.is_empty() {
        node
    } else {
        set(node, "membership_values", floats("", &[members.len() as i64], members))
    };
    let node = with(node, "aggregate_function", 2, |a| a.i = Some(2));
    TreeEnsemble::of(&parsed(node), None).map_err(|error| error.to_string())
}

#[test]
fn split_trees_are_put_in_walking_order_with_their_members() {
    let trees = split(&[], &[5, 6], &[3.0, 7.0]).unwrap();
    assert_eq!(trees.modes, [Mode::Member, Mode::Neq], "the root comes first");
    assert_eq!(trees.thresholds.get(1), Some(0.1), "doubles stay doubles");
    assert_eq!((trees.members_of(0), trees.members_of(1)), (0..2, 0..0));
    assert_eq!(trees.aggregate, Aggregate::Min);
    assert_eq!(scores(&trees, &[1.0, 7.0]), [1.0]);
    assert_eq!(scores(&trees, &[1.0, 6.0]), [4.0]);
    let two = split(&[], &[6, 6], &[3.0, f32::NAN, 7.0, f32::NAN]).unwrap();
    assert_eq!((two.members_of(0), two.members_of(1)), (2..3, 0..1), "sets are counted in the file's order");
}

#[test]
fn ill_made_split_trees_are_refused() {
    let why = |change: (&'static str, &'static [i64])| split(&[change], &[0, 0], &[]).unwrap_err();
    assert!(why(("tree_roots", &[2])).contains("tree_roots points beyond"));
    assert!(why(("tree_roots", &[0])).contains("no root leads to a node"));
    assert!(why(("nodes_truenodeids", &[0, 1])).contains("leads back to its own node"));
    assert!(why(("nodes_falsenodeids", &[1, 3])).contains("nodes_falsenodeids points beyond"));
    assert!(why(("leaf_targetids", &[0, 0, 1])).contains("leaf_targetids points beyond"));
    assert!(why(("leaf_targetids", &[0])).contains("leaf_weights is not as long"));
    assert!(split(&[], &[0, 7], &[]).unwrap_err().contains("no known comparison"));
    assert!(split(&[], &[6, 0], &[]).unwrap_err().contains("membership_values is missing"));
    assert!(split(&[], &[6, 0], &[1.0, f32::NAN, 2.0]).unwrap_err().contains("sets in membership_values"));
}

/// `nodes` of feature, whether each child is a leaf (1), and where each leads; the root is the first.
fn shared(modes: &[u8], splits: &[f32], nodes: &[[i64; 5]], leaves: usize) -> Result<TreeEnsemble, String> {
    let list = |at: usize| nodes.iter().map(|node| node[at]).collect::<Vec<i64>>();
    let lists = [
        ("tree_roots", vec![0]),
        ("nodes_featureids", list(0)),
        ("nodes_trueleafs", list(1)),
        ("nodes_truenodeids", list(2)),
        ("nodes_falseleafs", list(3)),
        ("nodes_falsenodeids", list(4)),
        ("leaf_targetids", vec![0; leaves]),
    ];
    let lists: Vec<(&str, &[i64])> = lists.iter().map(|(name, list)| (*name, list.as_slice())).collect();
    let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let set = |node, name: &str, value: TensorProto| with(node, name, 4, |a| a.t = Some(Box::new(value)));
    let node = with_ints("TreeEnsemble", &lists);
    let node = set(node, "nodes_modes", tensor(2, modes, modes.len()));
    let node = set(node, "nodes_splits", tensor(1, &bytes(splits), splits.len()));
    let weights: Vec<f32> = (0..leaves).map(|leaf| (leaf + 1) as f32).collect();
    let node = set(node, "leaf_weights", tensor(1, &bytes(&weights), leaves));
    TreeEnsemble::of(&parsed(node), None).map_err(|error| error.to_string())
}

#[test]
fn a_chain_of_equalities_with_one_goal_is_a_set() {
    // x0 in {1, 8, 9} → (x1 ≤ 0.5 → leaf 0, else leaf 1), else leaf 2; then one more equality elsewhere.
    let nodes = [[0, 0, 3, 0, 1], [0, 0, 3, 0, 2], [0, 0, 3, 1, 2], [1, 1, 0, 1, 1]];
    let trees = shared(&[4, 4, 4, 0], &[1.0, 8.0, 9.0, 0.5], &nodes, 3).unwrap();
    assert_eq!(trees.modes, [Mode::Member, Mode::Leq]);
    let members: Vec<f64> = trees.members_of(0).filter_map(|at| trees.members.get(at)).collect();
    assert_eq!(members, [1.0, 8.0, 9.0]);
    for (row, wanted) in [([1.0, 0.0], 1.0), ([9.0, 1.0], 2.0), ([8.0, 0.5], 1.0), ([7.0, 0.0], 3.0)] {
        assert_eq!(scores(&trees, &row), [wanted], "{row:?}");
    }
    // Another feature in the middle, or another goal, ends a chain: what is shared is written out.
    let nodes = [[0, 0, 3, 0, 1], [1, 0, 3, 0, 2], [0, 0, 3, 1, 2], [1, 1, 0, 1, 1]];
    let trees = shared(&[4, 4, 4, 0], &[1.0, 8.0, 9.0, 0.5], &nodes, 3).unwrap();
    assert_eq!(trees.modes, [Mode::Eq, Mode::Leq, Mode::Eq, Mode::Leq, Mode::Eq, Mode::Leq]);
    for (row, wanted) in [([1.0, 0.0], 1.0), ([0.0, 8.0], 2.0), ([9.0, 0.25], 1.0), ([7.0, 0.0], 3.0)] {
        assert_eq!(scores(&trees, &row), [wanted], "{row:?}");
    }
}

#[test]
fn circles_and_trees_that_grow_without_bounds_are_refused() {
    let circle = [[0, 0, 1, 1, 0], [0, 0, 0, 1, 1]];
    assert!(shared(&[0, 0], &[0.0; 2], &circle, 2).unwrap_err().contains("no circle"));
    // Both branches of each node lead to the next: 2^40 paths.
    let ladder: Vec<[i64; 5]> =
        (1..=40).map(|next| if next < 40 { [0, 0, next, 0, next] } else { [0, 1, 0, 1, 1] }).collect();
    let error = shared(&[0; 40], &[0.0; 40], &ladder, 2).unwrap_err();
    assert!(error.contains("grow too large") && error.contains("at most 65536 nodes and members of sets"), "{error}");
    let twice: Vec<[i64; 5]> =
        ladder[30..].iter().map(|node| [0, node[1], node[2] - 30, node[3], node[4] - 30]).collect();
    let twice: Vec<[i64; 5]> =
        twice.into_iter().map(|node| if node[1] == 1 { [0, 1, 0, 1, 1] } else { node }).collect();
    assert_eq!(shared(&[0; 10], &[0.0; 10], &twice, 2).unwrap().modes.len(), 1023);
}

#[test]
fn a_tree_as_deep_as_it_is_large_needs_no_stack() {
    let count: i64 = 1 << 18;
    let next: Vec<i64> = (1..count).chain([0]).collect();
    let inner: Vec<i64> = (1..count).map(|_| 0).chain([1]).collect();
    let zeros = vec![0; count as usize];
    let node = with_ints(
        "TreeEnsemble",
        &[
            ("tree_roots", &[0]),
            ("nodes_featureids", &zeros),
            ("nodes_trueleafs", &inner),
            ("nodes_falseleafs", &vec![1; count as usize]),
            ("nodes_truenodeids", &next),
            ("nodes_falsenodeids", &zeros),
            ("leaf_targetids", &[0]),
        ],
    );
    let set = |node, name: &str, value: TensorProto| with(node, name, 4, |a| a.t = Some(Box::new(value)));
    let node = set(node, "nodes_modes", tensor(2, &vec![0; count as usize], count as usize));
    let node = set(node, "nodes_splits", tensor(1, &vec![0; 4 * count as usize], count as usize));
    let node = set(node, "leaf_weights", tensor(1, &[0; 4], 1));
    let trees = TreeEnsemble::of(&parsed(node), None).unwrap();
    assert_eq!(trees.if_true.last().copied().map(Child::is_leaf), Some(true));
}

#[test]
fn half_floats_are_widened_exactly() {
    let halves: Vec<u8> =
        [0x3C00_u16, 0xC000, 0x0001, 0x7C00, 0x3555].iter().flat_map(|bits| bits.to_le_bytes()).collect();
    let node = with(node("Constant", &[], &["y"]), "value", 4, |a| a.t = Some(Box::new(tensor(10, &halves, 5))));
    let model = read(&model(graph(vec![node])).encode_to_vec()).unwrap();
    let numbers = crate::extract::Numbers::of(model.graph.nodes[0].tensor("value").unwrap().unwrap()).unwrap();
    let wanted = [1.0, -2.0, 2_f64.powi(-24), f64::INFINITY, 0.333_251_953_125];
    assert!(wanted.iter().enumerate().all(|(at, wanted)| numbers.get(at) == Some(*wanted)), "{numbers:?}");
}

#[test]
fn linear_models_that_do_not_fit_are_refused() {
    let linear = |coefficients: usize, intercepts: usize, labels: &[i64], width| {
        let node = with_ints("LinearClassifier", &[("classlabels_ints", labels)]);
        let node = with(node, "coefficients", 6, |a| a.floats = vec![1.0; coefficients]);
        let node = with(node, "intercepts", 6, |a| a.floats = vec![1.0; intercepts]);
        Linear::of(&parsed(node), width)
            .map(|linear| (linear.scores, linear.features))
            .map_err(|error| error.to_string())
    };
    assert_eq!(linear(6, 3, &[0, 1, 2], Some(2)), Ok((3, 2)));
    assert_eq!(linear(4, 1, &[0, 1], None), Ok((1, 4)), "one score for two classes");
    assert_eq!(linear(4, 0, &[0, 1], Some(4)), Ok((1, 4)));
    assert_eq!(linear(4, 0, &[0, 1], None), Ok((2, 2)));
    assert!(linear(6, 2, &[0, 1, 2], None).unwrap_err().contains("not as many scores as classes"));
    assert!(linear(7, 3, &[0, 1, 2], None).unwrap_err().contains("coefficients is not as long"));
    assert!(linear(6, 3, &[0, 1, 2], Some(3)).unwrap_err().contains("rows of this width"));
    assert!(linear(0, 3, &[0, 1, 2], None).unwrap_err().contains("coefficients is missing"));
    assert!(linear(6, 3, &[], None).unwrap_err().contains("no labels, or two lists"));
    assert!(Linear::of(&parsed(node("Scaler", &["x"], &["y"])), None).is_err());
}
