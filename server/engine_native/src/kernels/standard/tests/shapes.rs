//! Traps of shapes: old ways to broadcast, axes, steps, indices; and that what can be moved is not copied.

use candor_domain::{Tensor, TensorData};

use super::{Op, floats, list, longs, tensor, texts};

#[test]
fn before_version_7_the_second_is_laid_along_an_axis() {
    let (x, y) = (floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0]), floats(&[2], &[10.0, 20.0]));
    let old = |axis: Option<i64>| {
        let op = Op::new("Add", 6).int("broadcast", 1);
        if let Some(axis) = axis { op.int("axis", axis) } else { op }.run(&[&x, &y]).unwrap()
    };
    assert_eq!(old(None), floats(&[2, 2], &[11.0, 22.0, 13.0, 24.0]));
    assert_eq!(old(Some(0)), floats(&[2, 2], &[11.0, 12.0, 23.0, 24.0]));
    assert_eq!(old(Some(1)), old(None));
    assert!(Op::new("Add", 6).error(&[&x, &y]).contains("do not fit"), "without the attribute nothing is broadcast");
    assert!(Op::new("Add", 7).error(&[&x, &floats(&[3], &[0.0; 3])]).contains("cannot be broadcast"));
}

#[test]
fn in_place_and_anew_give_the_same() {
    let (row, column) = (floats(&[3], &[1.0, 2.0, 3.0]), floats(&[2, 1], &[10.0, 20.0]));
    let whole = floats(&[2, 3], &[1.0; 6]);
    let minus = |a, b| Op::new("Sub", 14).run(&[a, b]).unwrap();
    assert_eq!(minus(&whole, &row), floats(&[2, 3], &[0.0, -1.0, -2.0, 0.0, -1.0, -2.0]));
    assert_eq!(minus(&whole, &column), floats(&[2, 3], &[-9.0, -9.0, -9.0, -19.0, -19.0, -19.0]));
    assert_eq!(minus(&row, &column), floats(&[2, 3], &[-9.0, -8.0, -7.0, -19.0, -18.0, -17.0]));
    let one = floats(&[1, 1], &[5.0]);
    assert_eq!(minus(&one, &one), floats(&[1, 1], &[0.0]));
}

#[test]
fn what_only_gets_another_shape_or_other_numbers_keeps_its_vector() {
    let start = |tensor: &Tensor| {
        let TensorData::Fp32(vector) = tensor.data() else { panic!("no floats") };
        vector.as_ptr()
    };
    let seconds =
        [("Reshape", Some(list(&[3, -1]))), ("Unsqueeze", Some(list(&[0]))), ("Add", Some(floats(&[3], &[1.0; 3])))];
    let alone = ["Identity", "Flatten", "Squeeze", "Exp", "Dropout", "Clip"].map(|op| (op, None));
    for (op, second) in seconds.into_iter().chain(alone) {
        let x = floats(&[2, 3], &[1.0; 6]);
        let given = start(&x);
        let made = Op::new(op, 14).run_on(vec![Some(x), second]).unwrap();
        assert_eq!(start(&made[0]), given, "{op} made a vector of its own");
    }
}

#[test]
fn reshape_says_what_is_wrong_with_a_shape() {
    let x = floats(&[2, 3], &[1.0; 6]);
    let reshape = |to: &[i64]| Op::new("Reshape", 14).run(&[&x, &list(to)]);
    assert_eq!(reshape(&[0, -1]).unwrap().shape().dims(), [2, 3]);
    for bad in [&[-1_i64, -1][..], &[4, -1], &[0, 0, 0], &[i64::MAX, i64::MAX], &[-2, 3], &[1; 9], &[-1, 0, 0, 0]] {
        assert!(reshape(bad).is_err(), "{bad:?}");
    }
    let zero = Op::new("Reshape", 14).int("allowzero", 1);
    assert_eq!(zero.run(&[&floats(&[0, 3], &[]), &list(&[3, 0])]).unwrap().shape().dims(), [3, 0]);
    assert!(zero.run(&[&floats(&[0, 3], &[]), &list(&[-1, 0])]).is_err());
    assert_eq!(Op::new("Reshape", 1).ints("shape", &[3, 2]).run(&[&x]).unwrap().shape().dims(), [3, 2]);
}

#[test]
fn slices_go_backwards_and_stop_at_the_ends() {
    let x = longs(&[5], &[0, 1, 2, 3, 4]);
    let slice = |start: i64, end: i64, by: i64| {
        Op::new("Slice", 13).run(&[&x, &list(&[start]), &list(&[end]), &list(&[0]), &list(&[by])])
    };
    for (start, end, by, want) in [
        (0, i64::MAX, 2, &[0_i64, 2, 4][..]),
        (-1, i64::MIN, -2, &[4, 2, 0]),
        (i64::MAX, i64::MIN, -1, &[4, 3, 2, 1, 0]),
        (3, 1, 1, &[]),
        (i64::MIN, i64::MAX, i64::MAX, &[0]),
        (4, 0, i64::MIN, &[4]),
    ] {
        assert_eq!(slice(start, end, by).unwrap(), list(want), "{start}..{end} by {by}");
    }
    assert!(slice(0, 5, 0).is_err());
    let old = Op::new("Slice", 1).ints("starts", &[-3]).ints("ends", &[-1]).run(&[&x]);
    assert_eq!(old.unwrap(), list(&[2, 3]));
}

#[test]
fn indices_count_from_the_end_and_end_at_the_ends() {
    let x = texts(&["a", "b", "c"]);
    let gather = |at: i64| Op::new("Gather", 13).run(&[&x, &list(&[at])]);
    assert_eq!((gather(-3).unwrap(), gather(2).unwrap()), (texts(&["a"]), texts(&["c"])));
    for at in [3, -4, i64::MAX, i64::MIN] {
        assert!(gather(at).unwrap_err().to_string().contains("out of range"), "{at}");
    }
    let narrow = tensor(&[1], TensorData::Int32(vec![-1]));
    assert_eq!(Op::new("Gather", 1).run(&[&x, &narrow]).unwrap(), texts(&["c"]));
}

#[test]
fn top_k_is_asked_for_in_three_ways() {
    let x = floats(&[3], &[1.0, 3.0, 2.0]);
    let old = Op::new("TopK", 1).int("k", 2).outputs(2).run_all(&[Some(x.clone())]).unwrap();
    let newer = Op::new("TopK", 10).outputs(2).run_all(&[Some(x.clone()), Some(list(&[2]))]).unwrap();
    assert_eq!((&old[1], &old), (&list(&[1, 2]), &newer));
    assert!(Op::new("TopK", 11).outputs(2).run_all(&[Some(x), Some(list(&[4]))]).is_err());
}

#[test]
fn parts_must_make_up_the_axis() {
    let x = longs(&[5], &[0, 1, 2, 3, 4]);
    let split = |version: i64, sizes: Option<&[i64]>| {
        let op = Op::new("Split", version).outputs(2);
        let op = if version >= 18 && sizes.is_none() { op.int("num_outputs", 2) } else { op };
        op.run_all(&[Some(x.clone()), sizes.map(list)])
    };
    assert_eq!(split(18, None).unwrap(), [list(&[0, 1, 2]), list(&[3, 4])]);
    assert!(split(13, None).is_err(), "before version 18 parts are equal");
    assert_eq!(split(13, Some(&[1, 4])).unwrap()[0], list(&[0]));
    for bad in [&[1_i64, 3][..], &[1, 5], &[-1, 6], &[5], &[2, 2, 1], &[i64::MAX, i64::MAX]] {
        assert!(split(13, Some(bad)).is_err(), "{bad:?}");
    }
}

#[test]
fn dropout_is_run_for_inference_only() {
    let x = floats(&[2], &[1.0, 2.0]);
    let made = Op::new("Dropout", 12).outputs(2).run_all(&[Some(x.clone())]).unwrap();
    assert_eq!(made, [x.clone(), tensor(&[2], TensorData::Bool(vec![1, 1]))]);
    assert!(Op::new("Dropout", 6).error(&[&x]).contains("inference only"));
    assert_eq!(Op::new("Dropout", 6).int("is_test", 1).run(&[&x]).unwrap(), x);
    let training = tensor(&[], TensorData::Bool(vec![1]));
    let ratio = floats(&[], &[0.5]);
    assert!(Op::new("Dropout", 13).error(&[&x, &ratio, &training]).contains("inference only"));
}
