//! Every operator gets whatever it may get: it must answer or refuse, soon, and never panic.

use candor_domain::{Datatype, Tensor, TensorData};
use candor_onnx::Attribute;
use proptest::prelude::*;

use super::{super::TABLE, Op, floats, list, longs, tensor, texts};

#[test]
fn tensors_that_are_too_large_are_errors_before_they_are_made() {
    const HUGE: i64 = 1 << 40;
    let (one, scalar) = (floats(&[1], &[1.0]), |number: i64| longs(&[], &[number]));
    let values = floats(&[2], &[0.0, 1.0]);
    let bombs = [
        Op::new("ConstantOfShape", 9).run(&[&list(&[HUGE, HUGE])]),
        Op::new("ConstantOfShape", 9).run(&[&list(&[1 << 29])]),
        Op::new("ConstantOfShape", 9).run(&[&list(&[i64::MAX; 8])]),
        Op::new("ConstantOfShape", 9).run(&[&list(&[-1])]),
        Op::new("Expand", 13).run(&[&one, &list(&[HUGE])]),
        Op::new("Tile", 13).run(&[&one, &list(&[i64::MAX])]),
        Op::new("Range", 11).run(&[&scalar(0), &scalar(i64::MAX), &scalar(1)]),
        Op::new("Range", 11).run(&[&scalar(i64::MIN), &scalar(i64::MAX), &scalar(3)]),
        Op::new("Range", 11).run(&[&scalar(0), &scalar(5), &scalar(0)]),
        Op::new("Range", 11).run(&[&floats(&[], &[0.0]), &floats(&[], &[f32::INFINITY]), &floats(&[], &[1.0])]),
        Op::new("Pad", 13).run(&[&one, &list(&[HUGE, HUGE])]),
        Op::new("Pad", 13).run(&[&one, &list(&[i64::MAX, i64::MAX])]),
        Op::new("Pad", 13).run(&[&one, &list(&[-5, 1])]),
        Op::new("OneHot", 11).run(&[&list(&[1]), &scalar(HUGE), &values]),
        Op::new("Unsqueeze", 13).run(&[&one, &list(&[0, 1, 2, 3, 4, 5, 6, 7, 8])]),
        Op::new("Concat", 13).int("axis", i64::MIN).run(&[&one, &one]),
    ];
    for (at, bomb) in bombs.into_iter().enumerate() {
        assert!(bomb.is_err(), "bomb {at} gave {:?}", bomb.map(|tensor| *tensor.shape()));
    }
    let long = "x".repeat(1 << 21);
    let error = Op::new("Expand", 13).error(&[&texts(&[&long]), &list(&[1 << 12])]);
    assert!(error.contains("too long together"), "{error}");
}

#[test]
fn strings_that_are_picked_again_and_again_are_bounded_too() {
    let mut extractor = Op::new("ArrayFeatureExtractor", 1);
    extractor.node.domain = "ai.onnx.ml".to_owned();
    let many = texts(&["a"; 1 << 12]);
    let column = tensor(&[1 << 12, 1], many.into_parts().1);
    let error = extractor.error(&[&column, &list(&[0; 1 << 17])]);
    assert!(error.contains("too large"), "{error}");
    let long = "x".repeat(1 << 21);
    let error = extractor.error(&[&tensor(&[1, 1], texts(&[&long]).into_parts().1), &list(&[0; 1 << 12])]);
    assert!(error.contains("too long together"), "{error}");
}

#[test]
fn what_is_empty_costs_nothing_and_gives_pad_nothing_to_repeat() {
    let empty = floats(&[1 << 28, 0], &[]);
    let both = Op::new("Concat", 13).int("axis", 1).run(&[&empty; 64]).unwrap();
    assert_eq!(both.shape().dims(), [1 << 28, 0]);
    let lanes = tensor(&[0, 1 << 28], TensorData::Fp64(Vec::new()));
    let best = Op::new("TopK", 11).outputs(2).run(&[&lanes, &list(&[1])]).unwrap();
    assert_eq!(best.shape().dims(), [0, 1]);
    for mode in ["edge", "wrap", "reflect"] {
        let error = Op::new("Pad", 19).text("mode", mode).error(&[&floats(&[0], &[]), &list(&[1, 1])]);
        assert!(error.contains("needs elements to repeat"), "{mode}: {error}");
    }
}

/// Numbers with which arithmetic on shapes goes wrong, and small ones with which it does not.
const NUMBERS: [i64; 12] = [-2, -1, 0, 1, 2, 3, i64::MIN, i64::MIN + 1, i64::MAX, i64::MAX - 1, 1 << 40, 1 << 62];

/// Names that attributes of these operators have.
const ATTRIBUTES: [&str; 24] = [
    "axis",
    "axes",
    "keepdims",
    "k",
    "to",
    "perm",
    "starts",
    "ends",
    "split",
    "num_outputs",
    "shape",
    "pads",
    "value",
    "batch_dims",
    "exclusive",
    "reverse",
    "start",
    "end",
    "transA",
    "transB",
    "upper",
    "fmod",
    "dtype",
    "select_last_index",
];

fn number() -> impl Strategy<Value = i64> {
    proptest::sample::select(NUMBERS.as_slice())
}

fn any_tensor() -> impl Strategy<Value = Tensor> {
    let dims = proptest::collection::vec(0_i64..4, 0..4);
    (proptest::sample::select(Datatype::ALL.as_slice()), dims, proptest::collection::vec(number(), 64)).prop_map(
        |(datatype, dims, numbers)| {
            let count = usize::try_from(dims.iter().product::<i64>()).unwrap();
            let list = &numbers[..count];
            let data = match datatype {
                Datatype::Int64 => TensorData::Int64(list.to_vec()),
                Datatype::Int32 => TensorData::Int32(list.iter().map(|number| *number as i32).collect()),
                Datatype::Fp32 => TensorData::Fp32(list.iter().map(|number| *number as f32).collect()),
                Datatype::Fp64 => TensorData::Fp64(list.iter().map(|number| *number as f64).collect()),
                Datatype::Bool => TensorData::Bool(list.iter().map(|number| u8::from(*number > 0)).collect()),
                Datatype::Bytes => TensorData::Bytes(list.iter().map(i64::to_string).collect()),
                Datatype::Uint8
                | Datatype::Uint16
                | Datatype::Uint32
                | Datatype::Uint64
                | Datatype::Int8
                | Datatype::Int16
                | Datatype::Fp16
                | Datatype::Bf16 => TensorData::zeros(datatype, count),
            };
            tensor(&dims, data)
        },
    )
}

fn any_attribute() -> impl Strategy<Value = (&'static str, Attribute)> {
    let held = prop_oneof![
        number().prop_map(Attribute::Int),
        proptest::collection::vec(number(), 0..5).prop_map(Attribute::Ints),
        number().prop_map(|number| Attribute::Float(number as f32)),
    ];
    (proptest::sample::select(ATTRIBUTES.as_slice()), held)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn no_operator_panics(
        operator in 0..TABLE.len(),
        version in 1_i64..29,
        inputs in proptest::collection::vec(proptest::option::weighted(0.9, any_tensor()), 0..5),
        same in any::<bool>(),
        attributes in proptest::collection::vec(any_attribute(), 0..4),
        outputs in 1_usize..3,
    ) {
        let mut op = Op::new(TABLE[operator].0, version).outputs(outputs);
        for (name, attribute) in attributes {
            op = op.with(name, attribute);
        }
        // With one type for all, more operators come as far as to run.
        let first = inputs.first().cloned();
        let inputs: Vec<_> = match (same, first) {
            (true, Some(first)) => inputs.iter().map(|_| first.clone()).collect(),
            _ => inputs,
        };
        // An answer or an error: both are right.
        let _ = op.run_all(&inputs);
    }
}
