//! Tensors as bytes behind the JSON, in every mixture; and raw requests, which are a tensor and nothing else.

use candor_tests::{
    Models, Plan, Request, TestServer,
    infer::{HEADER_LENGTH, body, in_bytes, in_frame, iris, outputs, path, tensor, to_bytes, with_tensors},
};
use serde_json::{Value, json};

fn server(models: &[&str]) -> TestServer {
    Plan::with(Models::copies(models)).start()
}

fn count(name: &str) -> Value {
    tensor(name, "INT32", &[1, 16], json!((0..16).collect::<Vec<_>>()))
}

#[test]
fn json_and_bytes_stand_side_by_side() {
    let server = server(&["simple"]);
    let want: Vec<i32> = (0..16).map(|n| 2 * n).collect();
    let (first, bytes) = in_bytes(&count("INPUT0"));
    for inputs in [json!([first, count("INPUT1")]), json!([count("INPUT1"), first])] {
        let reply =
            server.send(&with_tensors(&path("simple"), &json!({"inputs": inputs}), std::slice::from_ref(&bytes)));
        assert_eq!(json!(outputs(&reply)[0].elements()), json!(want));
    }
}

#[test]
fn bytes_follow_in_the_order_of_the_inputs_as_sent() {
    let server = server(&["simple"]);
    let (ones, _) = in_bytes(&tensor("INPUT0", "INT32", &[1, 16], json!(vec![1; 16])));
    let (first, bytes) = in_bytes(&count("INPUT1"));
    // INPUT1 is named first, so its bytes come first.
    let tensors = [bytes, to_bytes("INT32", &vec![json!(1); 16])];
    let reply = outputs(&server.send(&with_tensors(&path("simple"), &json!({"inputs": [first, ones]}), &tensors)));
    assert_eq!(json!(reply[1].elements()), json!((0..16).map(|n| 1 - n).collect::<Vec<_>>()));
}

#[test]
fn each_output_may_choose_its_own_form() {
    let server = server(&["simple"]);
    let ask = |all: Value, one: Value| {
        let inputs = json!([count("INPUT0"), count("INPUT1")]);
        let request = json!({"inputs": inputs, "parameters": {"binary_data_output": all},
            "outputs": [{"name": "OUTPUT1", "parameters": {"binary_data": one}}, {"name": "OUTPUT0"}]});
        let got = outputs(&server.post(&path("simple"), &request));
        assert_eq!((got[0].name.as_str(), got[1].name.as_str()), ("OUTPUT1", "OUTPUT0"));
        assert_eq!(json!(got[1].elements()), json!((0..16).map(|n| 2 * n).collect::<Vec<_>>()));
        (got[0].bytes.is_some(), got[1].bytes.is_some())
    };
    assert_eq!(ask(json!(true), json!(false)), (false, true));
    assert_eq!(ask(json!(false), json!(true)), (true, false));
    assert_eq!(ask(json!(true), json!(true)), (true, true));
}

#[test]
fn the_header_may_say_that_all_of_the_body_is_json() {
    let server = server(&["iris"]);
    let reply = server.send(&with_tensors(&path("iris"), &iris(), &[]));
    assert_eq!(outputs(&reply)[0].elements(), [0]);
}

#[test]
fn texts_in_bytes_need_not_be_utf8() {
    let server = server(&["simple_identity"]);
    let frames = [in_frame(b""), in_frame(&[0xff, 0, 0xc3]), in_frame("é".as_bytes())].concat();
    let input = json!({"name": "INPUT0", "datatype": "BYTES", "shape": [1, 3],
        "parameters": {"binary_data_size": frames.len()}});
    let ask = |binary: bool| {
        let head = json!({"inputs": [input], "parameters": {"binary_data_output": binary}});
        server.send(&with_tensors(&path("simple_identity"), &head, std::slice::from_ref(&frames)))
    };
    assert_eq!(outputs(&ask(true))[0].bytes.as_ref(), Some(&frames));
    let error = ask(false).expect(400).error();
    assert!(error.contains("OUTPUT0") && error.contains("element 1 that are not UTF-8"), "{error}");
}

fn raw(model: &str, bytes: impl Into<Vec<u8>>) -> Request {
    Request::post(path(model)).header(HEADER_LENGTH, "0").body(bytes)
}

#[test]
fn a_raw_request_is_one_row_and_is_answered_in_bytes() {
    let server = server(&["iris", "digits_rows", "simple_identity"]);
    let flower = to_bytes("FP32", &[json!(5.1), json!(3.5), json!(1.4), json!(0.2)]);
    let reply = outputs(&server.send(&raw("iris", flower)));
    assert!(reply.iter().all(|output| output.bytes.is_some()));
    assert_eq!((&reply[0].shape, reply[0].elements()), (&json!([1]), vec![json!(0)]));
    // The free dimension takes what the body holds: three steps of eight pixels.
    let reply = outputs(&server.send(&raw("digits_rows", vec![0; 3 * 8 * 4])));
    assert_eq!(reply[1].shape, json!([1, 10]));
    let reply = outputs(&server.send(&raw("simple_identity", *b"all of it\0is one text")));
    assert_eq!((&reply[0].shape, reply[0].elements()), (&json!([1, 1]), vec![json!("all of it\0is one text")]));
}

#[test]
fn a_raw_request_that_cannot_be_read_says_why() {
    let models = Models::copies(&["simple", "iris", "simple_string", "digits_rows"]);
    let models = models.with_fixture("rankless").with_fixture("two_symbols").with_fixture("identity_bytes");
    let server = Plan::with(models).start();
    for (model, bytes, why) in [
        ("simple", vec![0; 128], "it has more than one input"),
        ("rankless", vec![0; 4], "the rank of its input is not known"),
        ("identity_bytes", b"x".to_vec(), "a BYTES input must have one element"),
        ("iris", vec![0; 15], "expected 16 bytes for FP32 [1, 4], got 15 bytes"),
        ("iris", vec![0; 17], "expected 16 bytes for FP32 [1, 4], got 17 bytes"),
        ("iris", vec![], "expected 16 bytes for FP32 [1, 4], got 0 bytes"),
        ("digits_rows", vec![0; 33], "got 33 bytes"),
        // Steps of no pixels would be an empty tensor, which engines are known to die of.
        ("digits_rows", vec![], "has no elements"),
    ] {
        let error = server.send(&raw(model, bytes)).expect(400).error();
        assert!(error.contains(why), "{model}: {error}");
    }
    assert_eq!(server.post(&path("iris"), &iris()).status, 200);
}

#[test]
fn a_raw_request_may_be_an_octet_stream() {
    let server = server(&["iris"]);
    let request = raw("iris", vec![0; 16]).header("Content-Type", "application/octet-stream");
    assert_eq!(outputs(&server.send(&request))[0].shape, json!([1]));
    // JSON without the header is JSON whatever it is called.
    let request = Request::post(path("iris")).header("Content-Type", "application/octet-stream");
    assert_eq!(server.send(&request.body(iris().to_string())).status, 200);
    assert_eq!(server.post(&path("iris"), &body(&[])).status, 400);
}
