//! Cases about files that an engine must refuse, with a reason and without a panic, and about where the
//! external data of a file may lie: in its own folder, reached without a link.

use std::{fs, path::Path};

use candor_domain::{Engine, ErrorCode, ModelSource, Shape, Tensor, TensorData};

use super::Case;
use crate::{
    external::{self, Place},
    fixtures::fixture,
};

pub(super) const CASES: [Case; 12] = [
    Case { name: "garbage_is_refused", run: garbage },
    Case { name: "a_file_cut_anywhere_does_no_harm", run: truncated },
    Case { name: "a_sequence_output_is_refused", run: |engine| refuses(engine, "refused_sequence", "y") },
    Case { name: "rank_9_is_refused", run: |engine| refuses(engine, "refused_rank_9", "x") },
    Case { name: "complex_numbers_are_refused", run: |engine| refuses(engine, "refused_complex64", "") },
    Case { name: "float8_is_refused", run: |engine| refuses(engine, "refused_float8", "x") },
    Case { name: "int4_is_refused", run: |engine| refuses(engine, "refused_int4", "") },
    Case {
        name: "an_unknown_operator_is_refused",
        run: |engine| refuses(engine, "refused_operator", "NoSuchOperator"),
    },
    Case { name: "a_graph_with_a_hole_is_refused", run: |engine| refuses(engine, "refused_dangling", "nowhere") },
    Case { name: "external_data_in_the_folder_work", run: external_inside },
    Case { name: "external_data_elsewhere_are_refused", run: external_outside },
    Case { name: "external_data_in_memory_are_refused", run: external_memory },
];

/// The reason for which `bytes` are refused: no engine could serve them.
fn refusal(engine: &dyn Engine, bytes: &[u8], folder: &Path) -> Result<String, String> {
    refusal_as(&[ErrorCode::InvalidModel], engine, bytes, folder)
}

fn refusal_as(codes: &[ErrorCode], engine: &dyn Engine, bytes: &[u8], folder: &Path) -> Result<String, String> {
    match engine.load(ModelSource { bytes, folder }) {
        Err(error) if !codes.contains(&error.code()) => {
            Err(format!("wanted one of {codes:?}, got {:?}: {error}", error.code()))
        }
        Err(error) if error.what().is_empty() => Err("refused without a reason".to_owned()),
        Err(error) => Ok(error.to_string()),
        Ok(_) => Err("it was loaded".to_owned()),
    }
}

/// Refuses a file that is right, or nearly: `Unsupported` says that another engine may take it.
fn refuses(engine: &dyn Engine, name: &str, reason_names: &str) -> Result<(), String> {
    let codes = [ErrorCode::InvalidModel, ErrorCode::Unsupported];
    let reason = refusal_as(&codes, engine, fixture(name)?, Path::new("."))?;
    if reason.contains(reason_names) { Ok(()) } else { Err(format!("'{reason_names}' is not named in: {reason}")) }
}

fn garbage(engine: &dyn Engine) -> Result<(), String> {
    let text = b"<!DOCTYPE html><title>404 Not Found</title>".as_slice();
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n";
    let all_bytes: Vec<u8> = (0..=255).collect();
    for bytes in [&[0][..], b"\n", text, pointer, &all_bytes, &[0xFF; 4096], &[0; 4096], b"PK\x03\x04"] {
        refusal(engine, bytes, Path::new("."))
            .map_err(|why| format!("{:?}: {why}", String::from_utf8_lossy(bytes.get(..20).unwrap_or(bytes))))?;
    }
    Ok(())
}

fn truncated(engine: &dyn Engine) -> Result<(), String> {
    let whole = fixture("linear")?;
    for end in 1..whole.len() {
        let part = whole.get(..end).unwrap_or_default();
        // A cut between two fields behind the graph leaves a file that is whole in itself.
        match engine.load(ModelSource { bytes: part, folder: Path::new(".") }) {
            Ok(_) if end * 10 > whole.len() * 8 => {}
            Ok(_) => return Err(format!("{end} of {} bytes were loaded", whole.len())),
            Err(error) if error.code() == ErrorCode::InvalidModel => {}
            Err(error) => return Err(format!("cut after {end}: wanted InvalidModel, got {:?}: {error}", error.code())),
        }
    }
    Ok(())
}

const WEIGHTS: [f32; 4] = [1.0, 2.0, 3.0, 4.0];

/// A folder `model/` with weights, weights beside it and in a folder below it, and links to them.
fn scene() -> Result<tempfile::TempDir, String> {
    let build = || -> std::io::Result<tempfile::TempDir> {
        let base = tempfile::tempdir()?;
        let folder = base.path().join("model");
        fs::create_dir_all(folder.join("sub"))?;
        let weights: Vec<u8> = WEIGHTS.iter().flat_map(|weight| weight.to_le_bytes()).collect();
        for path in ["outside.bin", "model/inside.bin", "model/sub/inside.bin"] {
            fs::write(base.path().join(path), &weights)?;
        }
        #[cfg(unix)]
        for (target, link) in [("../outside.bin", "out"), ("inside.bin", "in"), ("..", "up"), ("sub", "down")] {
            std::os::unix::fs::symlink(target, folder.join(link))?;
        }
        Ok(base)
    };
    build().map_err(|error| format!("the scene could not be set: {error}"))
}

fn external_inside(engine: &dyn Engine) -> Result<(), String> {
    let base = scene()?;
    let folder = base.path().join("model");
    for location in ["inside.bin", "sub/inside.bin", "./inside.bin"] {
        let bytes = external::model(Place::Initializer, location, 0);
        let loaded = engine.load(ModelSource { bytes: &bytes, folder: &folder });
        let loaded = loaded.map_err(|error| format!("{location} was refused: {error}"))?;
        let shape = Shape::new(&[4]).map_err(|error| error.to_string())?;
        let zeros = Tensor::new(shape, TensorData::Fp32(vec![0.0; 4])).map_err(|error| error.to_string())?;
        let got = loaded.session.run(&[zeros], &[0], None).map_err(|error| error.to_string())?;
        if got.first().map(Tensor::data) != Some(&TensorData::Fp32(WEIGHTS.to_vec())) {
            return Err(format!("{location}: weights {got:?}"));
        }
    }
    Ok(())
}

fn external_outside(engine: &dyn Engine) -> Result<(), String> {
    let base = scene()?;
    let folder = base.path().join("model");
    let absolute = [base.path().join("outside.bin"), folder.join("inside.bin")].map(|path| path.display().to_string());
    let mut locations = vec!["../outside.bin", "sub/../../outside.bin", "missing.bin", "", ".", "sub"];
    locations.extend(absolute.iter().map(String::as_str));
    if cfg!(unix) {
        locations.extend(["out", "in", "up/outside.bin", "down/inside.bin", "/dev/zero"]);
    }
    for place in Place::ALL {
        for location in &locations {
            let bytes = external::model(place, location, 0);
            refusal(engine, &bytes, &folder).map_err(|why| format!("{location:?} in {place:?}: {why}"))?;
        }
    }
    Ok(())
}

/// A location by which ONNX Runtime marks tensors that it holds itself: in a file, it would read any
/// address of the server's memory.
fn external_memory(engine: &dyn Engine) -> Result<(), String> {
    let base = scene()?;
    let secret = Box::new([7.0_f32; 4]);
    let address = std::ptr::from_ref(&*secret).addr() as u64;
    for place in Place::ALL {
        let bytes = external::model(place, "*/_ORT_MEM_ADDR_/*", address);
        refusal(engine, &bytes, &base.path().join("model")).map_err(|why| format!("in {place:?}: {why}"))?;
    }
    Ok(())
}
