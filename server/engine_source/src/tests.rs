//! The fixtures of the conformance suite, in the words of the server.

use std::path::Path;

use candor_domain::{Details, Dim, ErrorCode, ModelSource};

use super::*;

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../engine_conformance/fixtures/", $name, ".onnx")).as_slice()
    };
}

fn read(bytes: &[u8]) -> Result<Scanned> {
    scanned(ModelSource { bytes, folder: Path::new(".") })
}

#[test]
fn a_file_that_holds_no_model_is_refused_with_what_was_expected_and_a_hint() {
    let error = read(b"version https://git-lfs.github.com/spec/v1\n").unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidModel);
    assert!(error.to_string().ends_with("pointers to files elsewhere are not models"), "{error}");
}

#[test]
fn a_fault_keeps_its_place_expectation_and_finding() {
    let fault = candor_onnx::Error::new(ErrorKind::Invalid, "what").at("node 3").expected("one").got("two");
    let error = told(&fault);
    let parts = Details { what: "what", at: Some("node 3"), expected: Some("one"), got: Some("two"), hint: None };
    assert_eq!((error.details(), error.code()), (parts, ErrorCode::InvalidModel));
    assert!(read(fixture!("refused_dangling")).unwrap_err().to_string().contains("nowhere"));
}

#[test]
fn cost_and_signature_are_those_of_the_graph() {
    let scanned = read(fixture!("long_loop")).unwrap();
    assert!(scanned.cost_depends_on_values);
    let scanned = read(fixture!("two_symbols")).unwrap();
    assert!(!scanned.cost_depends_on_values);
    let found = signature(&scanned.model.graph).unwrap();
    let named = |name: &str| Dim::Any(Some(name.into()));
    let both = Some(vec![named("rows"), named("width")]);
    let of = |name: &str, dims| TensorSpec { name: name.into(), datatype: Datatype::Fp32, dims };
    assert_eq!(found.inputs, [of("x", both.clone()), of("y", both.clone())]);
    assert_eq!(found.outputs, [of("sum", both), of("most", Some(vec![named("rows")]))]);
    let rankless = read(fixture!("rankless")).unwrap();
    assert_eq!(signature(&rankless.model.graph).unwrap().inputs, [of("x", None)]);
}

#[test]
fn what_no_request_can_carry_is_refused_by_name() {
    use ErrorCode::{InvalidModel, Unsupported};
    for (bytes, code, named) in [
        (fixture!("refused_sequence"), Unsupported, "output 'y' is a sequence"),
        (fixture!("refused_rank_9"), InvalidModel, "input 'x' has 9 dimensions; expected at most 8"),
        (fixture!("refused_complex64"), InvalidModel, "complex64"),
        (fixture!("refused_float8"), InvalidModel, "float8e4m3fn"),
    ] {
        let error = read(bytes).and_then(|scanned| signature(&scanned.model.graph)).unwrap_err();
        assert_eq!(error.code(), code);
        assert!(error.to_string().contains(named), "{error}");
    }
}

#[test]
fn every_datatype_of_the_protocol_is_that_of_one_element_type() {
    let mut found: Vec<_> = DataType::ALL.into_iter().filter_map(datatype).map(Datatype::name).collect();
    let mut all: Vec<_> = Datatype::ALL.into_iter().map(Datatype::name).collect();
    found.sort_unstable();
    all.sort_unstable();
    assert_eq!(found, all);
}

#[test]
fn properties_are_read_and_those_that_are_empty_left_out() {
    let mut model = read(fixture!("linear")).unwrap().model;
    model.producer_name = "skl2onnx".to_owned();
    model.metadata.insert("owner".to_owned(), "us".to_owned());
    model.metadata.insert("note".to_owned(), String::new());
    let found = properties(&model);
    assert_eq!(found.get("producer").map(String::as_str), Some("skl2onnx"));
    assert_eq!(found.get("owner").map(String::as_str), Some("us"));
    assert_eq!(found.get("graph"), Some(&model.graph.name));
    assert!(!found.contains_key("note") && !found.contains_key("domain"));
    model.metadata.insert("graph".to_owned(), "mine".to_owned());
    assert_eq!(properties(&model).get("graph").map(String::as_str), Some("mine"));
}
