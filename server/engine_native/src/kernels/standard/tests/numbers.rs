//! Traps of arithmetic: whole numbers, not-a-numbers, infinities, text forms, sums.

use candor_domain::{Datatype, TensorData};
use candor_onnx::{Attribute, DataType};

use super::{Op, floats, list, longs, tensor, texts};

fn ints(of: &[i32]) -> candor_domain::Tensor {
    tensor(&[i64::try_from(of.len()).unwrap()], TensorData::Int32(of.to_vec()))
}

#[test]
fn whole_numbers_wrap_and_a_division_by_zero_is_an_error() {
    let (lowest, minus_one) = (ints(&[i32::MIN, 7]), ints(&[-1, -2]));
    assert_eq!(Op::new("Div", 14).run(&[&lowest, &minus_one]).unwrap(), ints(&[i32::MIN, -3]));
    assert_eq!(Op::new("Mod", 13).run(&[&lowest, &minus_one]).unwrap(), ints(&[0, -1]));
    assert_eq!(Op::new("Mod", 13).int("fmod", 1).run(&[&lowest, &minus_one]).unwrap(), ints(&[0, 1]));
    assert_eq!(Op::new("Abs", 13).run(&[&lowest]).unwrap(), ints(&[i32::MIN, 7]));
    assert_eq!(Op::new("Add", 14).run(&[&ints(&[i32::MAX]), &ints(&[1])]).unwrap(), ints(&[i32::MIN]));
    for op in ["Div", "Mod"] {
        let error = Op::new(op, 14).error(&[&ints(&[1, 2]), &ints(&[1, 0])]);
        assert!(error.contains("divided by zero"), "{error}");
    }
    let by_zero = Op::new("Div", 14).run(&[&floats(&[2], &[1.0, -1.0]), &floats(&[1], &[0.0])]).unwrap();
    assert_eq!(by_zero, floats(&[2], &[f32::INFINITY, f32::NEG_INFINITY]));
}

#[test]
fn powers_of_whole_numbers_are_exact() {
    let made = Op::new("Pow", 15).run(&[&longs(&[2], &[3, 2]), &longs(&[2], &[39, 62])]).unwrap();
    assert_eq!(made, longs(&[2], &[4_052_555_153_018_976_267, 1 << 62]));
}

#[test]
fn a_not_a_number_is_the_largest_for_max_and_top_k_but_not_for_arg_max() {
    let x = floats(&[4], &[1.0, f32::NAN, 3.0, 3.0]);
    let TensorData::Fp32(max) = Op::new("Max", 13).run(&[&x, &floats(&[1], &[2.0])]).unwrap().into_parts().1 else {
        panic!("no floats")
    };
    assert!(max[1].is_nan() && max[0] == 2.0 && max[2] == 3.0);
    let top = Op::new("TopK", 11).outputs(2).run_all(&[Some(x.clone()), Some(list(&[3]))]).unwrap();
    assert_eq!(top[1], list(&[1, 2, 3]), "of equal ones the earlier comes first");
    let lowest =
        Op::new("TopK", 11).int("largest", 0).outputs(2).run_all(&[Some(x.clone()), Some(list(&[3]))]).unwrap();
    assert_eq!(lowest[1], list(&[0, 2, 3]));
    let arg = |last| Op::new("ArgMax", 13).int("keepdims", 0).int("select_last_index", last).run(&[&x]).unwrap();
    assert_eq!((arg(0), arg(1)), (longs(&[], &[2]), longs(&[], &[3])));
}

#[test]
fn clip_has_finite_limits_where_none_are_said() {
    let x = floats(&[4], &[f32::INFINITY, f32::NEG_INFINITY, 0.25, 9.0]);
    let limits = floats(&[4], &[f32::MAX, f32::MIN, 0.25, 9.0]);
    assert_eq!(Op::new("Clip", 6).run(&[&x]).unwrap(), limits);
    assert_eq!(Op::new("Clip", 13).run(&[&x]).unwrap(), limits);
    let old = Op::new("Clip", 6).with("max", Attribute::Float(1.0)).with("min", Attribute::Float(0.5)).run(&[&x]);
    assert_eq!(old.unwrap(), floats(&[4], &[1.0, 0.5, 0.5, 1.0]));
    let made = Op::new("Clip", 12).run_all(&[Some(longs(&[3], &[-5, 0, 5])), None, Some(longs(&[], &[1]))]).unwrap();
    assert_eq!(made[0], longs(&[3], &[-5, 0, 1]));
}

fn cast(x: &candor_domain::Tensor, to: DataType) -> candor_domain::Result<candor_domain::Tensor> {
    Op::new("Cast", 13).int("to", to as i64).run(&[x])
}

#[test]
fn floats_are_written_as_c_writes_them() {
    let numbers = [0.1, 1.0, 123_456_789.0, 1e8, 99_999_999.0, 9_999_999.5, 1e-4, 1e-5, -0.0, 3.4e38, 16_777_216.0];
    let written = [
        "0.1",
        "1",
        "1.2345679e+08",
        "1e+08",
        "1e+08",
        "10000000",
        "9.9999997e-05",
        "9.9999997e-06",
        "-0",
        "3.4e+38",
        "16777216",
    ];
    assert_eq!(cast(&floats(&[11], &numbers), DataType::String).unwrap(), texts(&written));
    let special = floats(&[3], &[f32::NAN, f32::INFINITY, f32::NEG_INFINITY]);
    assert_eq!(cast(&special, DataType::String).unwrap(), texts(&["NaN", "INF", "-INF"]));
    let truths = tensor(&[2], TensorData::Bool(vec![0, 1]));
    assert_eq!(cast(&truths, DataType::String).unwrap(), texts(&["0", "1"]));
}

#[test]
fn strings_are_read_whole_or_not_at_all() {
    let read = texts(&["1e-5", " 2.5 ", "-INF", "nan"]);
    let TensorData::Fp32(numbers) = cast(&read, DataType::Float).unwrap().into_parts().1 else { panic!("no floats") };
    assert_eq!(numbers[..3], [1e-5, 2.5, f32::NEG_INFINITY]);
    assert!(numbers[3].is_nan());
    assert_eq!(cast(&texts(&["12", "-3.9"]), DataType::Int64).unwrap(), list(&[12, -3]));
    for (text, to) in
        [("", DataType::Float), ("1abc", DataType::Double), ("1e5", DataType::Int64), ("x", DataType::Bool)]
    {
        let error = cast(&texts(&[text]), to).unwrap_err().to_string();
        assert!(error.contains("a string is no number"), "{error}");
    }
}

#[test]
fn floats_beyond_whole_numbers_become_what_x86_makes_of_them() {
    let x = floats(&[5], &[1e10, -1e10, f32::NAN, 300.7, -1.5]);
    assert_eq!(cast(&x, DataType::Int32).unwrap(), ints(&[i32::MIN, i32::MIN, i32::MIN, 300, -1]));
    let bytes = tensor(&[5], TensorData::Uint8(vec![0, 0, 0, 44, 255]));
    assert_eq!(cast(&x, DataType::Uint8).unwrap(), bytes);
    let truths = tensor(&[5], TensorData::Bool(vec![1; 5]));
    assert_eq!(cast(&x, DataType::Bool).unwrap(), truths);
    let large = tensor(&[1], TensorData::Uint64(vec![u64::MAX]));
    assert_eq!(cast(&large, DataType::Int8).unwrap(), tensor(&[1], TensorData::Int8(vec![-1])));
    assert_eq!(cast(&large, DataType::Float).unwrap(), floats(&[1], &[18_446_744_073_709_551_615.0]));
}

#[test]
fn softmax_spans_all_later_axes_before_version_13() {
    let x = floats(&[1, 2, 2], &[0.0, 0.0, 0.0, 0.0]);
    assert_eq!(Op::new("Softmax", 11).run(&[&x]).unwrap(), floats(&[1, 2, 2], &[0.25; 4]));
    assert_eq!(Op::new("Softmax", 13).run(&[&x]).unwrap(), floats(&[1, 2, 2], &[0.5; 4]));
    assert_eq!(Op::new("Softmax", 13).int("axis", 0).run(&[&x]).unwrap(), floats(&[1, 2, 2], &[1.0; 4]));
    let large = floats(&[1, 2], &[1000.0, 0.0]);
    assert_eq!(Op::new("Softmax", 13).run(&[&large]).unwrap(), floats(&[1, 2], &[1.0, 0.0]));
    assert_eq!(Op::new("LogSoftmax", 13).run(&[&large]).unwrap(), floats(&[1, 2], &[0.0, -1000.0]));
}

#[test]
fn products_are_the_same_by_every_loop() {
    // Small whole numbers, whose sums are exact in any order.
    let fill =
        |count: usize, seed: usize| -> Vec<f32> { (0..count).map(|at| ((at * 7 + seed) % 11) as f32 - 5.0).collect() };
    for (rows, inner, columns) in [
        (1, 1, 1),
        (3, 8, 1),
        (2, 9, 7),
        (2, 3, 8),
        (3, 17, 9),
        (2, 4, 33),
        (9, 40, 25),
        (300, 40, 3),
        (0, 3, 2),
        (2, 0, 9),
    ] {
        let (a, b) = (fill(rows * inner, 1), fill(inner * columns, 4));
        let mut want = vec![0.0_f32; rows * columns];
        for (row, column, at) in
            (0..rows).flat_map(|r| (0..columns).flat_map(move |c| (0..inner).map(move |k| (r, c, k))))
        {
            want[row * columns + column] += a[row * inner + at] * b[at * columns + column];
        }
        let sizes = [rows, inner, columns].map(|size| i64::try_from(size).unwrap());
        let [m, k, n] = sizes;
        let (a, b, want) = (floats(&[m, k], &a), floats(&[k, n], &b), floats(&[m, n], &want));
        assert_eq!(Op::new("MatMul", 13).run(&[&a, &b]).unwrap(), want, "{sizes:?}");
        let turn = |x| Op::new("Transpose", 13).run(&[x]).unwrap();
        let gemm = Op::new("Gemm", 13).int("transA", 1).int("transB", 1);
        assert_eq!(gemm.run(&[&turn(&a), &turn(&b)]).unwrap(), want, "{sizes:?} turned");
    }
}

#[test]
fn empty_reductions_give_the_neutral_number() {
    let empty = floats(&[2, 0], &[]);
    let of = |name: &str| Op::new(name, 13).ints("axes", &[1]).int("keepdims", 0).run(&[&empty]).unwrap();
    assert_eq!(of("ReduceMax"), floats(&[2], &[f32::NEG_INFINITY; 2]));
    assert_eq!(of("ReduceProd"), floats(&[2], &[1.0; 2]));
    assert_eq!(of("ReduceLogSumExp"), floats(&[2], &[f32::NEG_INFINITY; 2]));
    let large = floats(&[2], &[1000.0, 1000.0]);
    let sum = Op::new("ReduceLogSumExp", 13).int("keepdims", 0).run(&[&large]).unwrap();
    assert_eq!(sum, floats(&[], &[1000.0 + 2.0_f32.ln()]));
    assert!(Op::new("ArgMax", 13).int("axis", 1).error(&[&empty]).contains("nothing"));
}

#[test]
fn sums_of_many_small_numbers_are_not_lost() {
    let x = floats(&[1 << 20], &[0.1; 1 << 20]);
    let TensorData::Fp32(sum) = Op::new("ReduceSum", 13).run(&[&x]).unwrap().into_parts().1 else {
        panic!("no floats")
    };
    assert!((sum[0] - 104_857.6).abs() < 0.01, "{}", sum[0]);
}

#[test]
fn n_grams_count_with_weights_of_the_pool() {
    let op = |mode| {
        Op::new("TfIdfVectorizer", 9)
            .text("mode", mode)
            .int("min_gram_length", 1)
            .int("max_gram_length", 2)
            .int("max_skip_count", 0)
            .ints("ngram_counts", &[0, 3])
            .ints("ngram_indexes", &[4, 3, 2, 1, 0])
            .ints("pool_int64s", &[1, 2, 3, 1, 2, 2, 3])
            .with("weights", Attribute::Floats(vec![10.0, 20.0, 30.0, 40.0, 50.0]))
    };
    let x = list(&[1, 2, 3, 1, 1]);
    assert_eq!(op("TF").run(&[&x]).unwrap(), floats(&[5], &[1.0, 1.0, 1.0, 1.0, 3.0]));
    assert_eq!(op("IDF").run(&[&x]).unwrap(), floats(&[5], &[50.0, 40.0, 30.0, 20.0, 10.0]));
    assert_eq!(op("TFIDF").run(&[&x]).unwrap(), floats(&[5], &[50.0, 40.0, 30.0, 20.0, 30.0]));
    assert_eq!(op("TF").run(&[&x]).unwrap().datatype(), Datatype::Fp32);
}
