//! Weights in other files: what is read, and what is refused.

use std::{fs, path::Path};

use prost::Message as _;

use super::build::{external, graph, model, node, read, refusal};
use crate::external::{Folder, SafePath};

/// Reads initializer `w` with these entries, of two floats, from the folder.
fn load(folder: &Path, entries: &[(&str, &str)]) -> Result<Vec<f32>, String> {
    let mut proto = graph(vec![node("Add", &["x", "w"], &["y"])]);
    proto.initializer = vec![external("w", &[2], entries)];
    let model = read(&model(proto).encode_to_vec()).map_err(|error| error.to_string())?;
    let tensor = model.graph.initializer("w").unwrap();
    let resolved = tensor.resolve(&Folder::new(folder)).map_err(|error| error.to_string())?;
    Ok(resolved.values::<f32>().unwrap().into_owned())
}

fn folder() -> tempfile::TempDir {
    let base = tempfile::tempdir().unwrap();
    fs::create_dir_all(base.path().join("model/sub")).unwrap();
    let floats: Vec<u8> = [1.0_f32, 2.0, 3.0].iter().flat_map(|float| float.to_le_bytes()).collect();
    for file in ["outside.bin", "model/w.bin", "model/sub/w.bin"] {
        fs::write(base.path().join(file), &floats).unwrap();
    }
    base
}

#[test]
fn a_range_of_a_file_in_the_folder_is_read() {
    let base = folder();
    let model = base.path().join("model");
    for location in ["w.bin", "sub/w.bin", "./w.bin", "sub//w.bin"] {
        assert_eq!(load(&model, &[("location", location)]), Ok(vec![1.0, 2.0]), "{location}");
    }
    let entries = [("location", "w.bin"), ("offset", "4"), ("length", "8"), ("checksum", "-"), ("other", "-")];
    assert_eq!(load(&model, &entries), Ok(vec![2.0, 3.0]));
}

#[test]
fn what_leaves_the_folder_or_is_no_plain_file_is_refused() {
    let base = folder();
    let model = base.path().join("model");
    let absolute = model.join("w.bin").display().to_string();
    for (location, why) in [
        ("../outside.bin", "outside"),
        ("sub/../w.bin", "outside"),
        (&*absolute, "outside"),
        ("..\\outside.bin", "outside"),
        ("C:w.bin", "outside"),
        ("missing.bin", "cannot be found"),
        ("*/_ORT_MEM_ADDR_/*", "cannot be found"),
        ("w.bin/x", "cannot be found"),
        ("w\0.bin", "no file can have"),
        ("sub", "are not a file"),
        (".", "are not a file"),
        ("", "have no location"),
    ] {
        let error = load(&model, &[("location", location)]).unwrap_err();
        assert!(error.contains(why), "{location}: {error}");
    }
}

#[cfg(unix)]
#[test]
fn links_are_not_followed_wherever_they_lead() {
    let base = folder();
    let model = base.path().join("model");
    for (target, link) in [("w.bin", "in"), ("../outside.bin", "out"), (".", "here"), ("nowhere", "broken")] {
        std::os::unix::fs::symlink(target, model.join(link)).unwrap();
    }
    for location in ["in", "out", "here/w.bin", "broken", "./in"] {
        let error = load(&model, &[("location", location)]).unwrap_err();
        assert!(error.contains("reached through a link"), "{location}: {error}");
    }
}

#[test]
fn ranges_are_the_tensors_size_and_within_the_file() {
    let base = folder();
    let model = base.path().join("model");
    let refused = |entries: &[(&str, &str)]| load(&model, &[&[("location", "w.bin")], entries].concat()).unwrap_err();
    assert!(
        refused(&[("offset", "8")])
            .contains("end beyond the file at tensor \"w\": expected within 12 bytes, got 8 bytes from 8 on")
    );
    assert!(refused(&[("offset", "18446744073709551615")]).contains("end beyond the file"));
    assert!(refused(&[("length", "12")]).contains("not as long as the tensor"));
    assert!(refused(&[("length", "4")]).contains("expected 8 bytes, got 4 bytes"));
    assert!(refused(&[("offset", "-4")]).contains("a range that is no number"));
    assert!(refused(&[("location", "sub/w.bin")]).contains("name their location twice"));
}

#[test]
fn a_tensor_that_says_two_things_about_its_place_is_refused() {
    let mut proto = graph(vec![node("Add", &["x", "w"], &["y"])]);
    let mut tensor = external("w", &[1], &[("location", "w.bin")]);
    tensor.float_data = vec![1.0];
    proto.initializer = vec![tensor.clone()];
    assert!(refusal(&model(proto.clone())).contains("in more than one place"));
    tensor.data_location = None;
    proto.initializer = vec![tensor];
    assert!(refusal(&model(proto)).contains("names external data, and says that it has none"));
}

#[test]
fn a_safe_path_is_names_and_nothing_else() {
    assert_eq!(SafePath::parse("a//./b").unwrap().as_str(), "a/b");
    for raw in ["", ".", "/", "/a", "..", "a/..", "a/../b", "a\\b", "c:\\a", "a\0"] {
        assert!(SafePath::parse(raw).is_err(), "{raw:?}");
    }
}
