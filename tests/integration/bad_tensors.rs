//! Tensors that are wrong: datatype, shape, rank, name, count, size, values.

use candor_tests::{
    Models, Plan, Request,
    infer::{body, path, tensor, with_tensors},
};
use serde_json::{Value, json};

use super::refusal::{Refusal, check_all, refusal, server};

fn ask(model: &str, body: &Value) -> Request {
    Request::post(path(model)).json(body)
}

fn features(datatype: &str, shape: &[i64], data: Value) -> Request {
    ask("iris", &body(&[tensor("features", datatype, shape, data)]))
}

/// A body in which the shape is written as text, for what no program would write.
fn shape(text: &str) -> Request {
    let data = "[1,2,3,4]";
    Request::post(path("iris"))
        .body(format!(r#"{{"inputs":[{{"name":"features","datatype":"FP32","shape":{text},"data":{data}}}]}}"#))
}

#[test]
fn datatypes_and_shapes() {
    let four = json!([1, 2, 3, 4]);
    let f = |datatype, dims: &[i64], data: &Value| features(datatype, dims, data.clone());
    check_all(
        &server(&[]),
        &[
            refusal("datatype", f("FP64", &[1, 4], &four), 400, &["features", "expected FP32, got FP64"]),
            refusal(
                "no such datatype",
                f("FLOAT", &[1, 4], &four),
                400,
                &["/inputs/0/datatype", "FP32", "got \"FLOAT\""],
            ),
            refusal(
                "datatype in small letters",
                f("fp32", &[1, 4], &four),
                400,
                &["/inputs/0/datatype", "got \"fp32\""],
            ),
            refusal(
                "columns",
                f("FP32", &[1, 3], &json!([1, 2, 3])),
                400,
                &["features", "expected [batch, 4], got [1, 3]"],
            ),
            refusal(
                "rank",
                f("FP32", &[4], &four),
                400,
                &["features", "expected [batch, 4], got [4]", "send shape [1, …]"],
            ),
            refusal("rank 0", f("FP32", &[], &json!([1])), 400, &["features", "expected [batch, 4], got []"]),
            refusal("rank 9", f("FP32", &[1; 9], &json!([1])), 400, &["/inputs/0/shape", "at most 8", "got 9"]),
            refusal(
                "rank 100",
                f("FP32", &[1; 100], &json!([1])),
                400,
                &["/inputs/0/shape", "too many dimensions", "at most 8"],
            ),
        ],
    );
}

#[test]
fn counts_and_nesting() {
    let f = |datatype, dims: &[i64], data: &Value| features(datatype, dims, data.clone());
    check_all(
        &server(&[]),
        &[
            refusal(
                "too few",
                f("FP32", &[1, 4], &json!([1, 2, 3])),
                400,
                &["/inputs/0/data", "expected 4 elements", "got 3"],
            ),
            refusal(
                "too many",
                f("FP32", &[1, 4], &json!([1, 2, 3, 4, 5])),
                400,
                &["/inputs/0/data", "expected 4 elements", "got more"],
            ),
            refusal(
                "nested wrongly",
                f("FP32", &[2, 4], &json!([[1, 2], [3, 4], [1, 2], [3, 4]])),
                400,
                &["/inputs/0/data", "level 2", "expected 4"],
            ),
            refusal(
                "nested too deep",
                f("FP32", &[1, 4], &json!([[[1, 2, 3, 4]]])),
                400,
                &["/inputs/0/data", "not nested as the shape says"],
            ),
            refusal("a number", f("FP32", &[1, 4], &json!(5)), 400, &["/inputs/0/data", "expected an array"]),
            // The example of the protocol's own text: shape [3] with one element.
            refusal(
                "the specification's example",
                f("BOOL", &[3], &json!([true])),
                400,
                &["/inputs/0/data", "expected 3 elements", "got 1"],
            ),
        ],
    );
}

#[test]
fn shapes_that_overflow_or_are_no_sizes() {
    check_all(
        &server(&[]),
        &[
            refusal("product", shape("[4611686018427387904,4]"), 400, &["/inputs/0/shape", "overflows"]),
            refusal(
                "product that wraps to 4",
                shape("[4294967296,4294967296,4]"),
                400,
                &["/inputs/0/shape", "overflows"],
            ),
            refusal(
                "product of a zero",
                shape("[0,9223372036854775807,9223372036854775807]"),
                400,
                &["/inputs/0/shape", "overflows"],
            ),
            refusal(
                "largest",
                shape("[9223372036854775807]"),
                400,
                &["/inputs/0/shape", "too large", "limits.tensor_elements_max"],
            ),
            refusal(
                "a billion",
                shape("[250000000,4]"),
                400,
                &["/inputs/0/shape", "too large", "limits.tensor_elements_max"],
            ),
            refusal(
                "2^63",
                shape("[9223372036854775808]"),
                400,
                &["9223372036854775808", "the size of a dimension", "column 76"],
            ),
            refusal("2^64", shape("[18446744073709551616]"), 400, &["the size of a dimension", "column 77"]),
            refusal("-1", shape("[-1,4]"), 400, &["/inputs/0/shape", "negative", "got [-1, 4]"]),
            refusal("smallest", shape("[-9223372036854775808,4]"), 400, &["/inputs/0/shape", "negative"]),
            refusal("a fraction", shape("[1.5,4]"), 400, &["floating point", "1.5"]),
            refusal("text", shape("[\"1\",4]"), 400, &["string"]),
            refusal("null", shape("null"), 400, &["whole numbers"]),
            refusal("an object", shape("{\"0\":1}"), 400, &["whole numbers"]),
            refusal("nested", shape("[[1],4]"), 400, &["sequence"]),
        ],
    );
}

#[test]
fn empty_tensors_are_refused_because_engines_die_of_them() {
    let server = server(&["digits_rows", "simple_identity"]);
    let rows = |shape: &[i64]| ask("digits_rows", &body(&[tensor("rows", "FP32", shape, json!([]))]));
    let mut refusals = vec![
        refusal(
            "features",
            features("FP32", &[0, 4], json!([])),
            400,
            &["'features' has no elements", "got [0, 4]", "empty_tensors"],
        ),
        refusal("columns", features("FP32", &[1, 0], json!([])), 400, &["features", "got [1, 0]"]),
        refusal("nested", features("FP32", &[0, 4], json!([[]])), 400, &["/inputs/0/data"]),
        refusal(
            "missing data",
            features("FP32", &[0, 4], json!([1, 2, 3, 4])),
            400,
            &["/inputs/0/data", "expected 0 elements"],
        ),
    ];
    for shape in [[0, 8, 8], [1, 0, 8], [1, 8, 0], [0, 0, 0]] {
        let in_bytes =
            json!({"name": "rows", "datatype": "FP32", "shape": shape, "parameters": {"binary_data_size": 0}});
        let in_bytes = with_tensors(&path("digits_rows"), &body(&[in_bytes]), &[]);
        refusals.push(refusal(format!("{shape:?}"), rows(&shape), 400, &["rows"]));
        refusals.push(refusal(format!("{shape:?} in bytes"), in_bytes, 400, &["rows"]));
    }
    check_all(&server, &refusals);
    // The model itself, which would have taken the process along, is alive.
    let good = body(&[tensor("rows", "FP32", &[1, 1, 8], json!([0, 1, 2, 3, 4, 5, 6, 7]))]);
    assert_eq!(server.post(&path("digits_rows"), &good).status, 200);
    server.stop_and_expect_clean();
}

/// An input of `simple`, if it has one of that name.
fn input(name: &str) -> Value {
    tensor(name, "INT32", &[1, 16], json!(vec![1; 16]))
}

#[test]
fn names_of_inputs() {
    let server = server(&["simple"]);
    let inputs = |inputs: Value| ask("simple", &json!({"inputs": inputs}));
    let long = "n".repeat(2000);
    check_all(
        &server,
        &[
            refusal(
                "unknown input",
                inputs(json!([input("INPUT0"), input("INPUT2")])),
                400,
                &["/inputs/1/name", "expected INPUT0, INPUT1", "got \"INPUT2\""],
            ),
            refusal("missing input", inputs(json!([input("INPUT0")])), 400, &["/inputs", "'INPUT1' is missing"]),
            refusal("no inputs", inputs(json!([])), 400, &["/inputs", "is missing"]),
            refusal(
                "no inputs key",
                ask("simple", &json!({"id": "1"})),
                400,
                &["/inputs", "has no inputs", "INPUT0, INPUT1"],
            ),
            refusal("twice", inputs(json!([input("INPUT0"), input("INPUT0")])), 400, &["/inputs/1/name", "twice"]),
            refusal(
                "three",
                inputs(json!([input("INPUT0"), input("INPUT1"), input("INPUT0")])),
                400,
                &["/inputs/2/name", "twice"],
            ),
            refusal(
                "no name",
                inputs(json!([{"shape": [1], "datatype": "INT32", "data": [1]}])),
                400,
                &["/inputs/0", "no name"],
            ),
            refusal(
                "no shape",
                inputs(json!([{"name": "INPUT0", "datatype": "INT32", "data": [1]}])),
                400,
                &["/inputs/0", "no shape"],
            ),
            refusal(
                "no datatype",
                inputs(json!([{"name": "INPUT0", "shape": [1], "data": [1]}])),
                400,
                &["/inputs/0", "no datatype"],
            ),
            refusal(
                "no data",
                inputs(json!([{"name": "INPUT0", "shape": [1], "datatype": "INT32"}])),
                400,
                &["/inputs/0", "neither data nor"],
            ),
            refusal(
                "a long name",
                inputs(json!([input(&long)])),
                400,
                &["/inputs/0/name", "limits.name_bytes_max", "got 2000 bytes"],
            ),
            refusal("an input that is text", inputs(json!(["INPUT0"])), 400, &["an input object"]),
        ],
    );
    server.stop_and_expect_clean();
}

#[test]
fn names_of_outputs() {
    let outputs =
        |outputs: Value| ask("simple", &json!({"inputs": [input("INPUT0"), input("INPUT1")], "outputs": outputs}));
    let many: Vec<Value> = (0..300).map(|_| json!({"name": "OUTPUT0"})).collect();
    check_all(
        &server(&["simple"]),
        &[
            refusal(
                "unknown output",
                outputs(json!([{"name": "OUTPUT2"}])),
                400,
                &["/outputs/0/name", "OUTPUT0, OUTPUT1", "got \"OUTPUT2\""],
            ),
            refusal(
                "output twice",
                outputs(json!([{"name": "OUTPUT0"}, {"name": "OUTPUT0"}])),
                400,
                &["/outputs/1/name", "twice"],
            ),
            refusal("300 outputs", outputs(json!(many)), 400, &["/outputs/1/name", "twice"]),
            refusal("output without name", outputs(json!([{}])), 400, &["/outputs/0", "no name"]),
            refusal("outputs that are text", outputs(json!("OUTPUT0")), 400, &["an array of outputs"]),
        ],
    );
}

#[test]
fn values_that_are_not_of_the_datatype() {
    let server = server(&["simple", "simple_identity"]);
    let int = |element: Value| {
        let mut data = vec![json!(1); 16];
        data[3] = element;
        let good = tensor("INPUT0", "INT32", &[1, 16], json!(vec![1; 16]));
        ask("simple", &body(&[good, tensor("INPUT1", "INT32", &[1, 16], json!(data))]))
    };
    let text = |element: Value| ask("simple_identity", &body(&[tensor("INPUT0", "BYTES", &[1, 1], json!([element]))]));
    let float = |element: Value| features("FP32", &[1, 4], json!([1, 2, 3, element]));
    let range = "from -2147483648 to 2147483647";
    check_all(
        &server,
        &[
            refusal(
                "2^31",
                int(json!(2_147_483_648_i64)),
                400,
                &["/inputs/1/data", "element 3", range, "got 2147483648"],
            ),
            refusal("-2^31-1", int(json!(-2_147_483_649_i64)), 400, &["element 3", range]),
            refusal("a fraction", int(json!(1.5)), 400, &["element 3", "got 1.5"]),
            refusal("1.0", int(json!(1.0)), 400, &["element 3"]),
            refusal("text", int(json!("1")), 400, &["element 3", "the string \"1\""]),
            refusal("a truth", int(json!(true)), 400, &["element 3", "got true"]),
            refusal("null", int(json!(null)), 400, &["element 3", "got null"]),
            refusal("an object", int(json!({})), 400, &["element 3", "an object"]),
            refusal("a number for text", text(json!(1)), 400, &["/inputs/0/data", "expected a string", "got 1"]),
            refusal("null for text", text(json!(null)), 400, &["expected a string", "got null"]),
            refusal("1e39", float(json!(1e39)), 400, &["/inputs/0/data", "element 3", "3.4028235e38"]),
            refusal("\"NaN\"", float(json!("NaN")), 400, &["element 3", "the string \"NaN\""]),
        ],
    );
}

#[test]
fn tensors_in_bytes() {
    let server = server(&["simple_identity"]);
    let sized = |size: Value| json!({"name": "features", "datatype": "FP32", "shape": [1, 4], "parameters": {"binary_data_size": size}});
    let bytes = |input: Value, bytes: usize| with_tensors(&path("iris"), &body(&[input]), &[vec![0; bytes]]);
    let text = |shape: &[i64], bytes: &[u8]| {
        let input = json!({"name": "INPUT0", "datatype": "BYTES", "shape": shape, "parameters": {"binary_data_size": bytes.len()}});
        with_tensors(&path("simple_identity"), &body(&[input]), &[bytes.to_vec()])
    };
    let mut both = sized(json!(16));
    both["data"] = json!([1, 2, 3, 4]);
    let none = tensor("features", "FP32", &[1, 4], json!([1, 2, 3, 4]));
    let refusals: Vec<Refusal> = vec![
        refusal(
            "cut short",
            bytes(sized(json!(16)), 15),
            400,
            &["/inputs/0/parameters/binary_data_size", "15 bytes that are left", "got 16"],
        ),
        refusal(
            "no bytes",
            bytes(sized(json!(16)), 0),
            400,
            &["0 bytes that are left", "Inference-Header-Content-Length"],
        ),
        refusal(
            "wrong size",
            bytes(sized(json!(12)), 12),
            400,
            &["/inputs/0", "expected 16 bytes for FP32 [1, 4]", "got 12"],
        ),
        refusal(
            "left over",
            bytes(sized(json!(16)), 17),
            400,
            &["behind the last tensor", "expected 16 bytes", "got 17"],
        ),
        refusal("nobody's bytes", bytes(none, 16), 400, &["behind the last tensor", "binary_data_size"]),
        refusal("both", bytes(both, 16), 400, &["/inputs/0", "both data and"]),
        refusal(
            "negative size",
            bytes(sized(json!(-1)), 16),
            400,
            &["/inputs/0/parameters/binary_data_size", "0 or more"],
        ),
        refusal("2^64-1", bytes(sized(json!(u64::MAX)), 16), 400, &["binary_data_size", "got 18446744073709551615"]),
        refusal("a fraction", bytes(sized(json!(16.5)), 16), 400, &["binary_data_size", "a whole number"]),
        refusal("text", bytes(sized(json!("16")), 16), 400, &["binary_data_size", "got \"16\""]),
        refusal("nested", bytes(sized(json!([16])), 16), 400, &["binary_data_size", "cannot be nested"]),
        refusal(
            "length beyond the end",
            text(&[1, 1], &[9, 0, 0, 0, b'a']),
            400,
            &["/inputs/0", "end within element 0"],
        ),
        refusal("length of 2^32-1", text(&[1, 1], &[255, 255, 255, 255, b'a']), 400, &["end within element 0"]),
        refusal("half a length", text(&[1, 1], &[1, 0]), 400, &["end within element 0"]),
        refusal("one text too few", text(&[1, 2], &[1, 0, 0, 0, b'a']), 400, &["end within element 1"]),
        refusal("one text too many", text(&[1, 1], &[0; 8]), 400, &["left after the last element", "got 4 bytes more"]),
        refusal("a million texts in four bytes", text(&[1000, 1000], &[0; 4]), 400, &["end within element 1"]),
    ];
    check_all(&server, &refusals);
}

/// What passes every check and is refused in the middle of the graph is still the caller's, whether the
/// library calls it a failure, an exception or an invalid argument.
#[test]
fn values_that_a_node_cannot_work_with() {
    let models = Models::copies(&["simple_string", "iris"]).with_fixture("reshape").with_fixture("gather");
    let server = Plan::with(models).start();
    let metadata = |model: &str| server.get(&format!("/v2/models/{model}")).expect(200).json();
    let input = |model: &str, shape: &[i64], data: Value| {
        let input = &metadata(model)["inputs"][0];
        ask(model, &body(&[tensor(input["name"].as_str().unwrap(), input["datatype"].as_str().unwrap(), shape, data)]))
    };
    let words = |name: &str| tensor(name, "BYTES", &[1, 16], json!(vec!["one"; 16]));
    let refusals = [
        refusal(
            "text that is no number",
            ask("simple_string", &body(&[words("INPUT0"), words("INPUT1")])),
            400,
            &["Cast"],
        ),
        refusal("three made into rows of four", input("reshape", &[1, 3], json!([1, 2, 3])), 400, &["Reshape"]),
        refusal("an index beyond the table", input("gather", &[1], json!([3])), 400, &["Gather"]),
    ];
    check_all(&server, &refusals);
}
