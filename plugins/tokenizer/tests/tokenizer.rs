//! Token ids as Hugging Face `tokenizers` gives them, by fixtures that `plugins/fixtures` makes; and what is refused.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail loudly too"
)]

use candor_plugin_sdk::{
    Port, Status,
    testing::{Answer, Harness, Input},
};
use candor_plugin_tokenizer::MODULE;
use serde_json::{Value, json};

const WORDPIECE: &str = include_str!("fixtures/wordpiece.json");
const NAMES: [&str; 3] = ["input_ids", "attention_mask", "token_type_ids"];

fn tokenizer(name: &str) -> Value {
    let text = match name {
        "wordpiece" => WORDPIECE,
        "bpe" => include_str!("fixtures/bpe.json"),
        "unigram" => include_str!("fixtures/unigram.json"),
        other => panic!("there is no tokenizer {other}"),
    };
    serde_json::from_str(text).unwrap()
}

fn open(name: &str, config: &Value) -> Harness {
    let mut config = config.clone();
    config["tokenizer"] = tokenizer(name);
    Harness::new(&MODULE, "candor.tokenizer", &config.to_string()).unwrap()
}

fn refused(name: &str, config: &Value) -> String {
    let mut config = config.clone();
    config["tokenizer"] = tokenizer(name);
    let error = Harness::new(&MODULE, "candor.tokenizer", &config.to_string()).err().unwrap();
    assert_eq!(error.status(), Status::Invalid);
    error.message().to_owned()
}

fn texts(name: &str, texts: &[&str]) -> Input {
    Input::strings(name, &[i64::try_from(texts.len()).unwrap()], texts)
}

fn fixtures() -> Value {
    serde_json::from_str(include_str!("fixtures/texts.json")).unwrap()
}

fn strings(of: &Value) -> Vec<&str> {
    of.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

fn rows(answer: &Answer, name: &str) -> Vec<Vec<i64>> {
    let shape = &answer.output(name).shape;
    let length = usize::try_from(shape[1]).unwrap();
    answer.values::<i64>(name).chunks(length.max(1)).map(<[i64]>::to_vec).collect()
}

fn expected(case: &Value, name: &str) -> Vec<Vec<i64>> {
    serde_json::from_value(case[name].clone()).unwrap()
}

#[test]
fn ids_are_those_of_the_library() {
    let fixtures = fixtures();
    let all = strings(&fixtures["texts"]);
    let mut compared = 0;
    for (name, cases) in fixtures["cases"].as_object().unwrap() {
        for case in cases.as_array().unwrap() {
            let tokenize = open(name, &case["config"]);
            let mut inputs = vec![texts("text", &all)];
            if !case["pairs"].is_null() {
                inputs.push(texts("other", &strings(&case["pairs"])));
            }
            let answer = tokenize.run(&inputs).unwrap();
            for output in NAMES {
                assert_eq!(rows(&answer, output), expected(case, output), "{name}, {}: {output}", case["name"]);
            }
            compared += all.len();
        }
    }
    assert_eq!(compared, 11 * 12);
}

/// What a row becomes does not depend on the others, but for its padding.
#[test]
fn rows_are_the_same_alone_and_together() {
    let fixtures = fixtures();
    for name in ["wordpiece", "bpe", "unigram"] {
        let tokenize = open(name, &json!({"max_length": 40, "padding": "longest"}));
        let all = strings(&fixtures["texts"]);
        let together = tokenize.run(&[texts("text", &all)]).unwrap();
        let (ids, mask) = (rows(&together, "input_ids"), rows(&together, "attention_mask"));
        for (row, text) in all.iter().enumerate() {
            let alone = tokenize.run(&[texts("text", &[text])]).unwrap();
            let kept: Vec<i64> =
                ids[row].iter().zip(&mask[row]).filter(|(_, mask)| **mask == 1).map(|(id, _)| *id).collect();
            assert_eq!(alone.values::<i64>("input_ids"), kept, "{name}: {text:?}");
        }
    }
}

#[test]
fn empty_requests_single_columns_and_chosen_outputs() {
    let config = json!({"max_length": 8, "padding": "max_length", "outputs": ["input_ids"], "datatype": "INT32"});
    let tokenize = open("wordpiece", &config);
    let answer = tokenize.run(&[texts("text", &[])]).unwrap();
    assert_eq!(answer.output("input_ids").shape, [0, 8]);
    assert_eq!(answer.outputs.len(), 1);
    let answer = tokenize.run(&[Input::strings("text", &[2, 1], &["a cat", ""])]).unwrap();
    assert_eq!(answer.output("input_ids").shape, [2, 8]);
    assert_eq!(answer.values::<i32>("input_ids")[8..], [2, 3, 0, 0, 0, 0, 0, 0]);

    let longest = open("bpe", &json!({"add_special_tokens": false}));
    assert_eq!(longest.run(&[texts("text", &["", ""])]).unwrap().output("input_ids").shape, [2, 0]);
    assert_eq!(longest.run(&[texts("text", &[])]).unwrap().output("input_ids").shape, [0, 0]);
}

#[test]
fn it_tells_its_inputs_and_outputs() {
    let told = open("wordpiece", &json!({"pair": "other", "outputs": ["input_ids"]})).describe().unwrap();
    assert_eq!(told.inputs, [Port::new("text", "BYTES", &[-1]), Port::new("other", "BYTES", &[-1])]);
    assert_eq!(told.outputs, [Port::new("input_ids", "INT64", &[-1, 48])]);
    let told = open("bpe", &json!({"datatype": "INT32"})).describe().unwrap();
    assert_eq!(told.outputs, NAMES.map(|name| Port::new(name, "INT32", &[-1, -1])));
}

#[test]
fn texts_that_are_too_long_are_refused_where_nothing_is_to_be_cut() {
    let tokenize = open("wordpiece", &json!({"max_length": 6, "truncation": "none", "padding": "longest"}));
    assert!(tokenize.run(&[texts("text", &["a", "a a a a"])]).is_ok());
    let error = tokenize.run(&[texts("text", &["a", "a a a a a"])]).err().unwrap();
    assert_eq!(error.message(), "row 1 has 7 tokens; at most 6 fit, and none are cut off");

    let tokenize = open("wordpiece", &json!({"text_bytes_max": 10}));
    assert!(tokenize.run(&[texts("text", &["0123456789"])]).is_ok());
    let error = tokenize.run(&[texts("text", &["", "0123456789a"])]).err().unwrap();
    assert_eq!(error.message(), "row 1 of `text` has 11 bytes; at most 10 are read (text_bytes_max)");

    let only = open("wordpiece", &json!({"max_length": 8, "truncation": "only_second", "pair": "other"}));
    let error = only.run(&[texts("text", &["a a a a a a a a a"]), texts("other", &["b"])]).err().unwrap();
    assert!(error.status() == Status::Invalid && error.message().starts_with("row 0: Truncation error"), "{error}");
}

#[test]
fn inputs_that_are_no_texts_are_refused() {
    let tokenize = open("wordpiece", &json!({"pair": "other"}));
    let run = |inputs: &[Input]| tokenize.run(inputs).err().unwrap().message().to_owned();
    assert_eq!(run(&[texts("texts", &["a"])]), "there is no input `text`; there is texts");
    assert_eq!(run(&[texts("text", &["a"]), texts("other", &["b", "c"])]), "`text` has 1 texts and `other` has 2");
    let wide = Input::strings("text", &[1, 2], &["a", "b"]);
    assert_eq!(run(&[wide]), "`text` has the shape [1, 2], expected one text for each row");
    assert_eq!(run(&[Input::new("text", &[1], &[1_i64])]), "input `text`: its elements are int64, expected strings");
}

#[test]
fn configurations_that_cannot_be_are_refused() {
    for (name, config, says) in [
        ("wordpiece", json!({"max_length": 2}), "`max_length` is 2, and the special tokens alone are 2"),
        ("wordpiece", json!({"max_length": 3, "pair": "other"}), "the special tokens alone are 3"),
        ("wordpiece", json!({"max_length": 2_000_000}), "at most 1048576 are possible"),
        ("wordpiece", json!({"pad_to_multiple_of": 1_000_000}), "at most 65536 are possible"),
        ("wordpiece", json!({"pad_token": "[NONE]"}), "the tokenizer has no token \"[NONE]\""),
        ("wordpiece", json!({"truncation": "only_second"}), "there is no `pair`"),
        ("bpe", json!({"padding": "max_length"}), "nor the tokenizer says how long"),
        ("bpe", json!({"truncation": "only_first"}), "`truncation` needs `max_length`"),
        ("bpe", json!({"lenght": 3}), "unknown field `lenght`"),
    ] {
        let message = refused(name, &config);
        assert!(message.contains(says), "{config}: {message}");
    }
    let broken = Harness::new(&MODULE, "candor.tokenizer", r#"{"tokenizer": {"version": "1.0"}}"#).err().unwrap();
    assert!(broken.message().starts_with("`tokenizer`: "), "{broken}");
    // A file is the host's to read; this one does not.
    let named = Harness::new(&MODULE, "candor.tokenizer", r#"{"tokenizer": {"file": "t.json"}}"#).err().unwrap();
    assert!(
        named.status() == Status::Unsupported && named.message().contains("put what \"t.json\" has in it"),
        "{named}"
    );
}

/// A tokenizer's file is an author's, but its numbers are not believed.
#[test]
fn numbers_of_a_tokenizer_that_cannot_be_are_refused() {
    let mut huge = tokenizer("wordpiece");
    huge["truncation"]["max_length"] = json!(u64::MAX);
    let open = |tokenizer: &Value, rest: Value| {
        let mut config = rest;
        config["tokenizer"] = tokenizer.clone();
        Harness::new(&MODULE, "candor.tokenizer", &config.to_string()).map(|_| ()).map_err(|error| error.to_string())
    };
    assert!(open(&huge, json!({})).unwrap_err().contains("at most 1048576"));
    let mut huge = tokenizer("wordpiece");
    huge["padding"]["strategy"]["Fixed"] = json!(u64::MAX);
    assert!(open(&huge, json!({})).unwrap_err().contains("the tokenizer's padding is 18446744073709551615"));
    let mut large = tokenizer("wordpiece");
    large["model"]["vocab"]["large"] = json!(3_000_000_000_u32);
    assert!(open(&large, json!({})).is_ok());
    assert!(open(&large, json!({"datatype": "INT32"})).unwrap_err().contains("the id 3000000000, which is no INT32"));
    // Without a token to fill rows with, one has to be named.
    let mut bare = tokenizer("bpe");
    bare["model"]["vocab"].as_object_mut().unwrap().remove("<pad>");
    bare["added_tokens"].as_array_mut().unwrap().retain(|token| token["content"] != "<pad>");
    assert!(open(&bare, json!({})).unwrap_err().contains("name one of its tokens in `pad_token`"));
    assert!(open(&bare, json!({"pad_token": "</s>"})).is_ok());
}
