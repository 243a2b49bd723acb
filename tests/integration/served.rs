//! Models with first-party plugins around them: texts, pictures and votes in, and what the same work in Python gives.
//!
//! The small ones are committed and made by `plugins/fixtures/make_fixtures.py`; those with real weights are made by
//! `plugins/fixtures/make_served.py`, below target/, by `cargo xtask test --deep`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use candor_tests::{
    Models, Plan, TestServer,
    infer::{in_frame, path, with_tensors},
    models,
};
use serde_json::{Value, json};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A server over the models of a folder, with the plugins that it has built in; and what Python gives.
fn serve(folder: &Path) -> (TestServer, Value) {
    let repository = Models::none();
    models::copy(folder, repository.root());
    let references = repository.path("references.json");
    let text = fs::read_to_string(&references).unwrap();
    fs::remove_file(references).unwrap();
    (Plan::with(repository).start(), serde_json::from_str(&text).unwrap())
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().map_or_else(|| vec![value.as_f64().unwrap()], |all| all.iter().flat_map(numbers).collect())
}

fn close(got: &Value, expected: &Value, tolerance: f64, what: &str) {
    let (got, expected) = (numbers(got), numbers(expected));
    assert_eq!(got.len(), expected.len(), "{what}");
    let apart = got.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(apart <= tolerance, "{what}: {apart:e} apart");
}

fn output<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let outputs = answer["outputs"].as_array().unwrap();
    &outputs.iter().find(|output| output["name"] == name).unwrap_or_else(|| panic!("no {name} in {answer}"))["data"]
}

/// Texts to embeddings, together and one by one.
fn texts(server: &TestServer, model: &str, reference: &Value) {
    let texts = reference["texts"].as_array().unwrap();
    let ask = |texts: &[Value]| {
        let input = json!({"name": "text", "datatype": "BYTES", "shape": [texts.len()], "data": texts});
        server.post(&path(model), &json!({"inputs": [input]})).expect(200).json()
    };
    close(output(&ask(texts), "embedding"), &reference["embedding"], 1e-4, model);
    for (text, embedding) in texts.iter().zip(reference["embedding"].as_array().unwrap()) {
        close(output(&ask(std::slice::from_ref(text)), "embedding"), embedding, 1e-4, &format!("{model}: {text}"));
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    let place = |byte: u8| {
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".iter().position(|&one| one == byte)
    };
    let mut bytes = Vec::new();
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = four.iter().fold(0_u32, |bits, &byte| (bits << 6) | u32::try_from(place(byte).unwrap()).unwrap());
        let bits = bits << (6 * (4 - four.len()));
        bytes.extend(&bits.to_be_bytes()[1..four.len()]);
    }
    bytes
}

/// Files of images to answers. Decoders of JPEG differ by some levels of 256, so that answers of JPEG may too.
fn pictures(server: &TestServer, model: &str, reference: &Value) {
    let name = reference["output"].as_str().unwrap();
    for (at, (file, answer)) in
        reference["files"].as_array().unwrap().iter().zip(reference["answers"].as_array().unwrap()).enumerate()
    {
        let file = from_base64(file.as_str().unwrap());
        let is_jpeg = file.starts_with(&[0xff, 0xd8]);
        let framed = in_frame(&file);
        let input = json!({"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": framed.len()}});
        let got = server.send(&with_tensors(&path(model), &json!({"inputs": [input]}), &[framed])).expect(200).json();
        let largest = numbers(answer).into_iter().map(f64::abs).fold(0.0, f64::max);
        let tolerance = if is_jpeg { 0.02 } else { 1e-4 } * largest;
        close(output(&got, name), answer, tolerance, &format!("{model}: file {at}"));
    }
    let broken = json!({"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": ["no image"]}]});
    let said = server.post(&path(model), &broken).expect(400).error();
    assert!(said.contains("row 0 of `image`: it is neither a JPEG nor a PNG file"), "{said}");
}

/// Rows to the label that three models elect.
fn votes(server: &TestServer, reference: &Value) {
    let rows = reference["rows"].as_array().unwrap();
    let input = json!({"name": "X", "datatype": "FP32", "shape": [rows.len(), 4], "data": rows});
    let answer = server.post(&path("vote"), &json!({"inputs": [input]})).expect(200).json();
    assert_eq!(output(&answer, "y"), &reference["labels"]);
    close(output(&answer, "probabilities"), &reference["probabilities"], 1e-5, "vote");
}

#[test]
fn texts_pictures_and_votes_are_answered_as_in_python() {
    let (server, references) = serve(&Path::new(ROOT).join("plugins/fixtures/served"));
    texts(&server, "words", &references["words"]);
    pictures(&server, "pixels", &references["pixels"]);
    votes(&server, &references["vote"]);
    server.stop_and_expect_clean();
}

#[test]
#[ignore = "its models are too large for the tree; `cargo xtask test --deep` makes them"]
fn a_sentence_encoder_and_a_classifier_of_images_answer_as_in_python() {
    let folder =
        std::env::var_os("CANDOR_SERVED").map_or_else(|| Path::new(ROOT).join("target/plugins/served"), PathBuf::from);
    let (server, references) = serve(&folder);
    texts(&server, "encoder", &references["encoder"]);
    pictures(&server, "pictures", &references["pictures"]);
    server.stop_and_expect_clean();
}
