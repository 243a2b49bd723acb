//! Compiled trees against a plain walk over the extracted lists: random ensembles of all shapes, random rows made
//! of thresholds, their neighbours, infinities and NaN.

use candor_domain::{Shape, Tensor, TensorData};
use candor_onnx::{
    Attribute, Node,
    extract::{Aggregate, Mode, TreeEnsemble},
};
use proptest::prelude::*;

use super::{BLOCK_ROWS, Kernel as _, Trees, Walker, number::Number, votes::Votes};
use crate::{
    kernel::{Args, Source},
    workspace::Buffers,
};

/// Shape of a random ensemble.
#[derive(Debug, Clone)]
struct Plan {
    seed: u64,
    trees: u64,
    depth: u64,
    modes: &'static [&'static str],
    thresholds: &'static [f32],
    missing: bool,
    votes: Style,
    targets: u64,
    aggregate: &'static str,
    base: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Style {
    OneEach,
    OfTree,
    Dense,
    Any,
}

const FEATURES: u64 = 5;
const ORDERED: &[&str] = &["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT"];
const ALL: &[&str] = &["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"];
const PLAIN: &[f32] = &[-1.5, -0.0, 0.0, 0.25, 1.0, 3.0, 16_777_216.0];
const ODD: &[f32] = &[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 1e-45, -1e-45, 0.5];

fn plans() -> impl Strategy<Value = Plan> {
    let modes = prop::sample::select(vec![&ORDERED[..1], &ORDERED[1..2], ORDERED, ALL]);
    let votes = prop::sample::select(vec![Style::OneEach, Style::OfTree, Style::Dense, Style::Any]);
    let aggregate = prop::sample::select(vec!["SUM", "SUM", "AVERAGE", "MIN", "MAX"]);
    let thresholds = prop::sample::select(vec![PLAIN, PLAIN, ODD]);
    let sizes = (any::<u64>(), 1..40_u64, prop_oneof![0..7_u64, 17..30_u64], 1..4_u64);
    (sizes, modes, thresholds, any::<bool>(), votes, aggregate, any::<bool>()).prop_map(
        |((seed, trees, depth, targets), modes, thresholds, missing, votes, aggregate, base)| Plan {
            seed: seed | 1,
            trees,
            depth,
            modes,
            thresholds,
            missing,
            votes,
            targets,
            aggregate,
            base,
        },
    )
}

/// Numbers that follow from a seed (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }

    fn weight(&mut self) -> f32 {
        (self.below(2_000) as f32 - 1_000.0) / 300.0
    }
}

#[derive(Default)]
struct Lists {
    ints: std::collections::BTreeMap<&'static str, Vec<i64>>,
    values: Vec<f32>,
    modes: Vec<&'static str>,
    weights: Vec<f32>,
}

impl Lists {
    fn push(&mut self, name: &'static str, value: u64) {
        self.ints.entry(name).or_default().push(value as i64);
    }

    /// Adds a node and what is below it; gives its id.
    fn grow(&mut self, plan: &Plan, random: &mut Random, tree: u64, next: &mut u64, depth: u64) -> u64 {
        let id = *next;
        *next += 1;
        let at = self.modes.len();
        self.push("nodes_treeids", tree);
        self.push("nodes_nodeids", id);
        self.push("nodes_featureids", random.below(FEATURES));
        self.push("nodes_missing_value_tracks_true", u64::from(plan.missing) & random.below(2));
        self.push("nodes_truenodeids", 0);
        self.push("nodes_falsenodeids", 0);
        self.values.push(random.of(plan.thresholds));
        if depth == 0 || random.below(8) == 0 {
            self.modes.push("LEAF");
            self.vote(plan, random, tree, id);
            return id;
        }
        self.modes.push(random.of(plan.modes));
        for name in ["nodes_truenodeids", "nodes_falsenodeids"] {
            // Deep trees are slim.
            let below = if plan.depth > 16 && random.below(2) == 0 { depth.min(2) - 1 } else { depth - 1 };
            let child = self.grow(plan, random, tree, next, below);
            self.ints.get_mut(name).unwrap()[at] = child as i64;
        }
        id
    }

    fn vote(&mut self, plan: &Plan, random: &mut Random, tree: u64, leaf: u64) {
        // A list without any vote counts as missing.
        let least = u64::from(self.weights.is_empty());
        let any = |random: &mut Random| (0..least + random.below(4)).map(|_| random.below(plan.targets)).collect();
        let targets: Vec<u64> = match plan.votes {
            Style::OneEach => vec![random.below(plan.targets)],
            Style::OfTree => vec![tree % plan.targets],
            Style::Dense => (0..plan.targets).collect(),
            Style::Any => any(random),
        };
        for target in targets {
            self.push("target_treeids", tree);
            self.push("target_nodeids", leaf);
            self.push("target_ids", target);
            self.weights.push(random.weight());
        }
    }
}

fn node(plan: &Plan) -> Node {
    let (mut lists, mut random) = (Lists::default(), Random(plan.seed));
    for tree in 0..plan.trees {
        lists.grow(plan, &mut random, tree, &mut 0, plan.depth);
    }
    let mut node = Node { domain: "ai.onnx.ml".into(), op_type: "TreeEnsembleRegressor".into(), ..Node::default() };
    let strings = |list: &[&'static str]| list.iter().map(|text| text.as_bytes().into()).collect();
    let base = (0..plan.targets).map(|_| random.weight()).collect();
    let mut set = |name: &str, value| node.attributes.insert(name.to_owned(), value);
    for name in ["target_treeids", "target_nodeids", "target_ids"] {
        set(name, Attribute::Ints(Vec::new()));
    }
    for (name, list) in lists.ints {
        set(name, Attribute::Ints(list));
    }
    set("nodes_values", Attribute::Floats(lists.values));
    set("nodes_modes", Attribute::Strings(strings(&lists.modes)));
    set("target_weights", Attribute::Floats(lists.weights));
    set("aggregate_function", Attribute::String(plan.aggregate.as_bytes().into()));
    set("n_targets", Attribute::Int(plan.targets as i64));
    if plan.base {
        set("base_values", Attribute::Floats(base));
    }
    node
}

/// What the specification says, tree after tree, in the precision `T`.
fn walked<T: Number>(trees: &TreeEnsemble, row: &[T]) -> Vec<f32> {
    let mut scores: Vec<Option<T>> = vec![None; trees.targets];
    for root in &trees.roots {
        let mut at = *root;
        while !at.is_leaf() {
            let (x, threshold) =
                (row[trees.features[at.at()] as usize], trees.thresholds.get(at.at()).map(T::of).unwrap());
            let holds = match trees.modes[at.at()] {
                Mode::Leq => x <= threshold,
                Mode::Lt => x < threshold,
                Mode::Gte => x >= threshold,
                Mode::Gt => x > threshold,
                Mode::Eq => x == threshold,
                Mode::Neq => x != threshold,
                Mode::Member => trees.members_of(at.at()).any(|member| trees.members.get(member).map(T::of) == Some(x)),
            };
            let is_true = holds || x.is_nan() && trees.missing_true[at.at()];
            at = if is_true { trees.if_true[at.at()] } else { trees.if_false[at.at()] };
        }
        for vote in trees.votes_of(at.at()) {
            let (score, vote) =
                (&mut scores[trees.vote_targets[vote] as usize], T::of(trees.vote_weights.get(vote).unwrap()));
            *score = Some(match (*score, trees.aggregate) {
                (Some(sum), Aggregate::Sum | Aggregate::Average) => sum + vote,
                (Some(other), Aggregate::Min) if other <= vote => other,
                (Some(other), Aggregate::Max) if other >= vote => other,
                _ => vote,
            });
        }
    }
    let finished = |(at, score): (usize, &Option<T>)| {
        let score = score.unwrap_or_default();
        let divided =
            if trees.aggregate == Aggregate::Average { score / T::of(trees.roots.len() as f64) } else { score };
        (divided + trees.base_values.get(at).map_or_else(T::default, T::of)).widened() as f32
    };
    scores.iter().enumerate().map(finished).collect()
}

fn answered<T: Number>(trees: &Trees<T>, rows: usize, data: TensorData) -> Vec<f32> {
    let width = data.len().checked_div(rows).unwrap_or(FEATURES as usize);
    let inputs = [Tensor::new(Shape::new(&[rows as i64, width as i64]).unwrap(), data).unwrap()];
    let mut args =
        Args { sources: &[Some(Source::Input(0))], inputs: &inputs, constants: &[], slots: &mut [], cancel: None };
    let mut made = Vec::new();
    trees.run(&mut args, &mut Buffers::default(), &mut made).unwrap();
    let [scores] = made.as_slice() else { panic!("one output") };
    let TensorData::Fp32(scores) = scores.data() else { panic!("floats") };
    scores.clone()
}

/// Rows of thresholds and what is next to them.
fn rows_of(plan: &Plan, rows: usize) -> Vec<f32> {
    let mut random = Random(plan.seed ^ 0x5555);
    let mut value = || {
        let near = random.of(plan.thresholds);
        random.of(&[near, near.next_up(), near.next_down(), -near, 0.1, f32::NAN, f32::INFINITY, f32::NEG_INFINITY])
    };
    (0..rows * FEATURES as usize).map(|_| value()).collect()
}

fn same(got: &[f32], wanted: &[f32]) -> bool {
    // Signs of zeros and payloads of NaN are nobody's promise.
    got.len() == wanted.len()
        && got.iter().zip(wanted).all(|(got, wanted)| got == wanted || got.is_nan() && wanted.is_nan())
}

fn agree<T: Number>(ensemble: &TreeEnsemble, rows: &[T], data: TensorData) -> Result<(), TestCaseError> {
    let trees = Trees::<T>::of(ensemble, false).unwrap();
    let wanted: Vec<f32> = rows.chunks_exact(FEATURES as usize).flat_map(|row| walked(ensemble, row)).collect();
    let got = answered(&trees, rows.len() / FEATURES as usize, data);
    prop_assert!(same(&got, &wanted), "got {got:?}, wanted {wanted:?}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn compiled_trees_answer_as_a_plain_walk_does(
        plan in plans(),
        rows in prop::sample::select(vec![0, 1, 2, 7, 33, *BLOCK_ROWS.end(), *BLOCK_ROWS.end() + 1]),
    ) {
        let ensemble = TreeEnsemble::of(&node(&plan), None).unwrap();
        let singles = rows_of(&plan, rows);
        agree::<f32>(&ensemble, &singles, TensorData::Fp32(singles.clone()))?;
        let doubles: Vec<f64> = singles.iter().map(|x| f64::from(*x)).flat_map(|x| [x, x.next_up()]).take(singles.len()).collect();
        agree::<f64>(&ensemble, &doubles, TensorData::Fp64(doubles.clone()))?;
        let wholes: Vec<i64> = singles.iter().map(|x| ((*x * 3.0) as i64).saturating_add(1)).collect();
        let as_floats: Vec<f32> = wholes.iter().map(|x| *x as f32).collect();
        agree::<f32>(&ensemble, &as_floats, TensorData::Int64(wholes))?;
        let wholes: Vec<i32> = singles.iter().map(|x| (*x * 3.0) as i32).collect();
        let as_floats: Vec<f32> = wholes.iter().map(|x| *x as f32).collect();
        agree::<f32>(&ensemble, &as_floats, TensorData::Int32(wholes))?;
    }
}

fn plan() -> Plan {
    Plan {
        seed: 7,
        trees: 9,
        depth: 4,
        modes: ORDERED,
        thresholds: PLAIN,
        missing: true,
        votes: Style::OneEach,
        targets: 1,
        aggregate: "SUM",
        base: false,
    }
}

fn compiled(plan: &Plan) -> Trees<f32> {
    Trees::of(&TreeEnsemble::of(&node(plan), None).unwrap(), false).unwrap()
}

#[test]
fn each_shape_of_votes_has_its_form() {
    let one = compiled(&plan());
    assert!(matches!((one.walker, one.votes), (Walker::Flat(_), Votes::One)));
    let of_tree = compiled(&Plan { votes: Style::OfTree, targets: 3, ..plan() });
    assert!(matches!((of_tree.walker, of_tree.votes), (Walker::Flat(_), Votes::OfTree(_))));
    let dense = compiled(&Plan { votes: Style::Dense, targets: 3, ..plan() });
    assert!(matches!((dense.walker, dense.votes), (Walker::Flat(_), Votes::Dense(_))));
    let sparse = compiled(&Plan { votes: Style::Any, targets: 3, ..plan() });
    assert!(matches!((sparse.walker, sparse.votes), (Walker::Flat(_), Votes::Sparse(_))));
    let least = compiled(&Plan { aggregate: "MIN", ..plan() });
    assert!(matches!((least.walker, least.votes), (Walker::Flat(_), Votes::Smallest(_))));
    let most = compiled(&Plan { aggregate: "MAX", ..plan() });
    assert!(matches!((most.walker, most.votes), (Walker::Flat(_), Votes::Largest(_))));
}

#[test]
fn trees_of_many_chunks_are_added_in_their_order() {
    let plan = Plan { trees: 70, depth: 12, missing: false, ..plan() };
    let ensemble = TreeEnsemble::of(&node(&plan), None).unwrap();
    assert!(matches!(compiled(&plan).walker, Walker::Flat(flat) if flat.chunks() > 2));
    let rows = rows_of(&plan, 40);
    agree::<f32>(&ensemble, &rows, TensorData::Fp32(rows.clone())).unwrap();
}

#[test]
fn what_the_flat_form_cannot_ask_is_walked_in_general() {
    for plan in [Plan { modes: ALL, ..plan() }, Plan { thresholds: &[f32::NAN], ..plan() }] {
        assert!(matches!(compiled(&plan).walker, Walker::General(_)), "{plan:?}");
    }
    let without = Plan { thresholds: &[f32::NAN], missing: false, ..plan() };
    assert!(matches!(compiled(&without).walker, Walker::Flat(_)));
}

/// Membership cannot be written in these lists, so it is put in afterwards.
#[test]
fn membership_and_thresholds_of_64_bits_are_exact() {
    use candor_onnx::extract::Numbers;
    let mut ensemble = TreeEnsemble::of(&node(&Plan { trees: 3, ..plan() }), None).unwrap();
    let nodes = ensemble.features.len();
    ensemble.thresholds = Numbers::F64((0..nodes).map(|at| 0.1 * at as f64 - 0.3).collect());
    let rows: Vec<f64> =
        (0..nodes).flat_map(|at| [0.1 * at as f64 - 0.3, (0.1 * at as f64 - 0.3).next_up(), f64::NAN]).collect();
    let rows = &rows[..rows.len() / FEATURES as usize * FEATURES as usize];
    agree::<f64>(&ensemble, rows, TensorData::Fp64(rows.to_vec())).unwrap();
    ensemble.modes = vec![Mode::Member; nodes];
    ensemble.members = Numbers::F64(vec![-0.3, 0.1 * 2.0 - 0.3, 0.1]);
    ensemble.member_ranges = (0..nodes as u32).map(|at| at % 2..2 + at % 2).collect();
    agree::<f64>(&ensemble, rows, TensorData::Fp64(rows.to_vec())).unwrap();
}

#[test]
fn rows_may_be_wider_and_not_narrower() {
    let trees = compiled(&plan());
    let features = trees.features_min;
    let row = vec![0.3; features + 4];
    assert_eq!(
        answered(&trees, 1, TensorData::Fp32(row.clone())),
        answered(&trees, 1, TensorData::Fp32(row[..features].to_vec()))
    );
    let narrow =
        Tensor::new(Shape::new(&[1, features as i64 - 1]).unwrap(), TensorData::Fp32(vec![0.0; features - 1])).unwrap();
    let error = trees.shape(&narrow).unwrap_err().to_string();
    assert!(error.contains("too few features") && error.contains(&features.to_string()), "{error}");
    let cube = Tensor::new(Shape::new(&[1, 1, 8]).unwrap(), TensorData::Fp32(vec![0.0; 8])).unwrap();
    assert!(trees.shape(&cube).is_err());
    let flat = Tensor::new(Shape::new(&[8]).unwrap(), TensorData::Fp32(vec![0.0; 8])).unwrap();
    assert_eq!(trees.shape(&flat).unwrap(), (1, 8));
}

#[test]
fn trees_of_single_leaves_need_no_features() {
    let trees = compiled(&Plan { depth: 0, ..plan() });
    let wanted = answered(&trees, 1, TensorData::Fp32(vec![0.0; FEATURES as usize]));
    assert_eq!(answered(&trees, 3, TensorData::Fp32(Vec::new())), [wanted[0]; 3]);
}
