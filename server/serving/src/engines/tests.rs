//! Who takes a file, over null engines of several names.

use std::path::Path;

use candor_engine_conformance::NullEngine;

use super::*;

const MODEL: &str = "[[inputs]]\nname = \"x\"\ndatatype = \"FP32\"\ndims = [1]\n\
                     [[outputs]]\nname = \"y\"\ndatatype = \"FP32\"\ndims = [1]\n";

fn null(name: &'static str) -> Arc<dyn Engine> {
    Arc::new(NullEngine::new().named(name, "1"))
}

fn all() -> Engines {
    Engines::one(null("ort")).with(null("native")).with(null("tract"))
}

fn load(engines: &Engines, head: &str, choice: EngineChoice) -> Result<Chosen> {
    let text = format!("key = \"k\"\n{head}\n{MODEL}");
    engines.load(ModelSource { bytes: text.as_bytes(), folder: Path::new(".") }, choice)
}

fn chosen(engines: &Engines, head: &str, choice: EngineChoice) -> (&'static str, String) {
    let chosen = load(engines, head, choice).unwrap_or_else(|error| panic!("{error}"));
    (chosen.engine.name, joined(&chosen.passed_over))
}

fn refusal(engines: &Engines, head: &str, choice: EngineChoice) -> String {
    let error = load(engines, head, choice).err().expect("an engine took it");
    assert_eq!(error.code(), ErrorCode::InvalidModel);
    error.to_string()
}

#[test]
fn the_first_that_takes_a_file_runs_it_and_those_before_it_say_why_not() {
    use EngineChoice::Auto;
    assert_eq!(chosen(&all(), "", Auto), ("ort", String::new()));
    let one = "not_for = [\"ort\"]";
    assert_eq!(chosen(&all(), one, Auto), ("native", "ort: 'k' is not for this engine".to_owned()));
    let two = "not_for = [\"ort\", \"native\"]";
    let why = "ort: 'k' is not for this engine; native: 'k' is not for this engine";
    assert_eq!(chosen(&all(), two, Auto), ("tract", why.to_owned()));
    let none = "not_for = [\"ort\", \"native\", \"tract\"]";
    let why = format!("no engine takes the file: {why}; tract: 'k' is not for this engine");
    assert_eq!(refusal(&all(), none, Auto), why);
}

#[test]
fn a_word_narrows_the_roster() {
    for (choice, first) in [
        (EngineChoice::Ort, "ort"),
        (EngineChoice::Native, "native"),
        (EngineChoice::Tract, "native"),
        (EngineChoice::Auto, "ort"),
    ] {
        assert_eq!(chosen(&all(), "", choice), (first, String::new()));
    }
    let (name, _) = chosen(&all(), "not_for = [\"native\"]", EngineChoice::Tract);
    assert_eq!(name, "tract");
    // The only one that was asked speaks for itself.
    let error = refusal(&all(), "not_for = [\"native\"]", EngineChoice::Native);
    assert_eq!(error, "'k' is not for this engine");
    let error = refusal(&Engines::one(null("native")), "", EngineChoice::Ort);
    assert_eq!(error, "no engine is left for it: engine = \"ort\"; expected one of those that this server has: native");
}

#[test]
fn a_file_that_is_wrong_ends_the_search_and_a_panic_does_not() {
    let wrong = refusal(&all(), "not_for = [\"ort\"]\nfail_load = \"broken\"", EngineChoice::Auto);
    assert_eq!(wrong, "broken (not run by ort)");
    let panics = refusal(&all(), "panic_load = true", EngineChoice::Auto);
    assert_eq!(
        panics,
        "no engine takes the file: ort: the engine panicked; native: the engine panicked; tract: the engine panicked"
    );
}

#[test]
fn what_is_not_there_is_told_and_how_to_get_it() {
    let missing = || Error::new(ErrorCode::Unsupported, "no library").hint("\nget one").expected("much that was tried");
    let engines = Engines::default().without("ort", missing()).with(null("native"));
    assert_eq!(chosen(&engines, "", EngineChoice::Auto), ("native", "ort: no library".to_owned()));
    assert_eq!(chosen(&engines, "", EngineChoice::Native), ("native", String::new()));
    let error = refusal(&engines, "not_for = [\"native\"]", EngineChoice::Auto);
    assert_eq!(error, "no engine takes the file: ort: no library; native: 'k' is not for this engine; get one");
    let error = refusal(&engines, "", EngineChoice::Ort);
    assert_eq!(error, "no engine takes the file: ort: no library; get one");
    assert_eq!(engines.absent().map(|absent| absent.name).collect::<Vec<_>>(), ["ort"]);
}

#[test]
fn every_word_is_read_as_it_is_written() {
    for (word, choice) in EngineChoice::WORDS {
        assert_eq!(choice.word(), word);
        let manifest = crate::Manifest::parse(&format!("engine = \"{word}\"")).unwrap();
        assert_eq!(manifest.engine, choice);
    }
    let error = crate::Manifest::parse("engine = \"onnx\"").unwrap_err().to_string();
    assert!(error.contains("onnx") && error.contains("tract"), "{error}");
}
