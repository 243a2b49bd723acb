//! The sample models of the repository, whole and broken.

use std::{fs, path::PathBuf};

use proptest::prelude::*;

use super::build::read;
use crate::limits::Limits;

/// Every sample model's name and bytes.
pub(crate) fn samples() -> Vec<(String, Vec<u8>)> {
    let models = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let mut found = Vec::new();
    for model in fs::read_dir(models).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for version in fs::read_dir(&model).unwrap().map(|entry| entry.unwrap().path()) {
            if let Ok(bytes) = fs::read(version.join("model.onnx")) {
                found.push((model.file_name().unwrap().to_string_lossy().into_owned(), bytes));
            }
        }
    }
    found.sort();
    assert!(found.len() >= 8, "the sample models are in the tree");
    found
}

/// The golden pairs of a sample model's first version.
pub(crate) fn golden(model: &str) -> serde_json::Value {
    let models = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../models");
    serde_json::from_slice(&fs::read(models.join(model).join("1/golden.json")).unwrap()).unwrap()
}

#[test]
fn every_sample_model_is_read_well_within_the_limits() {
    for (name, bytes) in samples() {
        let model = read(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let order = model.graph.order().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(order, (0..model.graph.nodes.len()).collect::<Vec<_>>(), "{name} is sorted");
        assert!(!model.graph.inputs.is_empty() && !model.graph.outputs.is_empty(), "{name}");
        assert!(model.graph.nodes.iter().all(|node| node.opset.is_some()), "{name} imports what it uses");
        let Limits { memory_per_file_byte, .. } = Limits::default();
        assert!(model.census.memory_bytes < memory_per_file_byte * bytes.len() as u64 + (1 << 14), "{name}");
        for tensor in &model.graph.initializers {
            assert!(tensor.raw().is_some() || tensor.elements() > 0, "{name}: {}", tensor.name);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn broken_samples_give_a_model_or_a_typed_error(
        pick in any::<prop::sample::Index>(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        cuts in any::<bool>(),
    ) {
        let samples = samples();
        let mut bytes = pick.get(&samples).1.clone();
        for (at, byte) in &edits {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        if cuts {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(model) = read(&bytes) {
            let _ = model.graph.order();
        }
    }
}
