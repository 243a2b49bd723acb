//! The content digest changes with every byte that is used, and with no other.

use std::{fs, path::Path};

use prost::Message as _;

use super::build::{external, graph, model, node, read};
use crate::{digest::ContentDigest, error::ErrorKind, external::Folder, limits::Limits};

fn file(entries: &[&[(&str, &str)]]) -> Vec<u8> {
    let mut proto = graph(vec![node("Relu", &["x"], &["y"])]);
    let tensor = |(at, entries): (usize, &&[(&str, &str)])| external(&format!("w{at}"), &[2], entries);
    proto.initializer = entries.iter().enumerate().map(tensor).collect();
    model(proto).encode_to_vec()
}

fn digest(file: &[u8], folder: &Path, limits: &Limits) -> crate::Result<ContentDigest> {
    ContentDigest::of(file, &read(file).unwrap(), &Folder::new(folder), limits)
}

#[test]
fn exchanged_weights_change_the_digest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.bin");
    let limits = Limits::default();
    let model = file(&[&[("location", "w.bin"), ("offset", "4")], &[("location", "./w.bin"), ("offset", "8")]]);
    let of = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        digest(&model, folder.path(), &limits).unwrap()
    };
    let first = of(&[1; 20]);
    assert_eq!(first.external.values().collect::<Vec<_>>(), [&12], "overlapping ranges count once");
    assert_ne!(first.file, first.content);
    let mut other = [1; 20];
    other[15] = 2;
    assert_ne!(of(&other).content, first.content);
    assert_eq!(of(&other).file, first.file);
    other = [1; 20];
    other[19] = 2;
    assert_eq!(of(&other), first, "a byte that is not used");
    let moved = file(&[&[("location", "w.bin"), ("offset", "8")]]);
    assert_ne!(digest(&moved, folder.path(), &limits).unwrap().content, first.content);
}

#[test]
fn a_model_in_one_file_has_the_digest_of_that_file() {
    let model = file(&[]);
    let digest = digest(&model, Path::new("."), &Limits::default()).unwrap();
    assert_eq!(digest.file, digest.content);
    assert!(digest.external.is_empty());
}

#[test]
fn too_much_too_short_and_outside_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("w.bin"), [0; 12]).unwrap();
    let limits = Limits { external_bytes: 7, ..Limits::default() };
    let kind = |location: &str, offset: &str, limits: &Limits| {
        let model = file(&[&[("location", location), ("offset", offset)]]);
        digest(&model, folder.path(), limits).unwrap_err().kind()
    };
    assert_eq!(kind("w.bin", "0", &limits), ErrorKind::Limit);
    for (location, offset) in [("w.bin", "5"), ("w.bin", "18446744073709551610"), ("../w.bin", "0"), ("v.bin", "0")] {
        assert_eq!(kind(location, offset, &Limits::default()), ErrorKind::External, "{location} {offset}");
    }
}
