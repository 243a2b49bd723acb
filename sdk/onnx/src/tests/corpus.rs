//! The corpus of hostile files: each gives the finding that it was made for, at a bounded cost.

use std::{fs, path::PathBuf};

use proptest::prelude::*;
use serde_json::Value;

use super::samples::samples;
use crate::{
    external::Folder,
    limits::Limits,
    scan::{Scan, Severity},
};

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// The folder that `make_corpus.py` describes.
fn scene() -> tempfile::TempDir {
    let base = tempfile::tempdir().unwrap();
    let folder = base.path().join("model");
    fs::create_dir_all(folder.join("sub")).unwrap();
    for file in ["outside.bin", "model/w.bin", "model/sub/w.bin"] {
        fs::write(base.path().join(file), [0; 16]).unwrap();
    }
    fs::hard_link(folder.join("w.bin"), folder.join("hard.bin")).unwrap();
    #[cfg(unix)]
    for (target, link) in [("sub/w.bin", "in.bin"), ("../outside.bin", "out.bin"), ("sub", "down")] {
        std::os::unix::fs::symlink(target, folder.join(link)).unwrap();
    }
    base
}

fn scan(file: &[u8], base: &tempfile::TempDir) -> Scan {
    Scan::of(file, &Folder::new(base.path().join("model")), &Limits::default())
}

#[test]
fn every_hostile_file_gives_the_finding_that_it_was_made_for() {
    let base = scene();
    let expected: Vec<Value> = serde_json::from_slice(&fs::read(corpus().join("expected.json")).unwrap()).unwrap();
    assert!(expected.len() >= 40);
    for case in &expected {
        let name = case["file"].as_str().unwrap();
        let bytes = fs::read(corpus().join(name)).unwrap();
        let scan = scan(&bytes, &base);
        let shown: Vec<String> = scan.findings.iter().map(ToString::to_string).collect();
        let Some(severity) = case["severity"].as_str() else {
            assert!(scan.findings.iter().all(|finding| finding.severity == Severity::Note), "{name}: {shown:?}");
            continue;
        };
        let gravest = scan.findings.first().unwrap_or_else(|| panic!("{name}: nothing was found"));
        assert_eq!(gravest.severity.word(), severity, "{name}: {shown:?}");
        let (topic, says) = (case["topic"].as_str().unwrap(), case["says"].as_str().unwrap());
        let is_found = scan.findings.iter().any(|finding| {
            finding.severity == gravest.severity
                && finding.topic.word() == topic
                && finding.problem.to_string().contains(says)
        });
        assert!(is_found, "{name}: wanted ({topic}) {says}: {shown:?}");
        assert_eq!(scan.refusal().is_some(), severity == "refuse", "{name}");
    }
    let files = fs::read_dir(corpus())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "onnx"));
    assert_eq!(files.count(), expected.len(), "each file of the corpus is expected");
}

#[test]
fn no_file_of_the_corpus_costs_more_than_its_size_allows() {
    let (base, limits) = (scene(), Limits::default());
    for path in fs::read_dir(corpus()).unwrap().map(|entry| entry.unwrap().path()) {
        let bytes = fs::read(&path).unwrap();
        let scan = scan(&bytes, &base);
        let allowed = limits.memory_bytes.max(limits.memory_per_file_byte * bytes.len() as u64);
        assert!(scan.census.memory_bytes <= allowed, "{}", path.display());
        assert!(scan.census.messages <= bytes.len() as u64, "{}: each message has at least a byte", path.display());
        assert!(scan.findings.len() <= 100, "{}", path.display());
    }
}

#[test]
fn the_sample_models_have_nothing_to_refuse_or_to_warn_of() {
    let base = scene();
    for (name, bytes) in samples() {
        let scan = scan(&bytes, &base);
        assert!(scan.findings.iter().all(|finding| finding.severity == Severity::Note), "{name}: {:?}", scan.findings);
        assert!(!scan.cost_depends_on_values, "{name}");
    }
}

#[test]
fn work_that_depends_on_values_is_told_from_work_that_does_not() {
    let base = scene();
    let depends = |file: &str| scan(&fs::read(corpus().join(file)).unwrap(), &base).cost_depends_on_values;
    assert!(depends("loop_by_values.onnx") && depends("loop_long.onnx"));
    assert!(!depends("constant_of_shape_small.onnx") && !depends("good.onnx"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn broken_files_are_scanned_without_a_panic(
        pick in any::<prop::sample::Index>(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        splice in any::<Option<(prop::sample::Index, prop::sample::Index, prop::sample::Index)>>(),
    ) {
        let mut files: Vec<Vec<u8>> = samples().into_iter().map(|(_, bytes)| bytes).collect();
        let hostile = fs::read_dir(corpus()).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
        files.extend(hostile.filter(|bytes| !bytes.is_empty() && bytes.len() < 10_000));
        let mut bytes = pick.get(&files).clone();
        for (at, byte) in &edits {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        if let Some((from, length, to)) = splice {
            let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
            let part = bytes[from..(from + length.index(64)).min(bytes.len())].to_vec();
            bytes.splice(to..to, part);
        }
        let base = tempfile::tempdir().unwrap();
        let scan = Scan::of(&bytes, &Folder::new(base.path()), &Limits::default());
        prop_assert!(scan.model.is_some() || scan.refusal().is_some());
        let trees = scan.model.iter().flat_map(|model| &model.graph.nodes);
        for node in trees {
            let _ = crate::extract::TreeEnsemble::of(node, None);
            let _ = crate::extract::Linear::of(node, None);
        }
    }
}
