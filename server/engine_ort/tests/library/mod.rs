//! The library that the tests of this folder use: the one that `cargo xtask` names, or one above the test.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use candor_engine_ort::OrtEngine;

/// The configured library, or the folder of one beside or above this test.
pub fn library() -> (Option<PathBuf>, Vec<PathBuf>) {
    #[allow(clippy::disallowed_methods, reason = "a test that is handed the library by cargo xtask")]
    if let Some(path) = env::var_os("CANDOR_ORT_LIBRARY") {
        return (Some(path.into()), Vec::new());
    }
    let holds_library = |folder: &Path| {
        let names = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.file_name());
        names.into_iter().any(|name| name.to_string_lossy().starts_with("libonnxruntime.so"))
    };
    let test = env::current_exe().unwrap();
    let folder = test.ancestors().skip(1).find(|folder| holds_library(folder));
    let folder =
        folder.unwrap_or_else(|| panic!("no libonnxruntime.so* above this test: get it with `cargo xtask runtime`"));
    (None, vec![folder.to_path_buf()])
}

/// The engine with that library, one thread for a run.
pub fn engine() -> OrtEngine {
    let (configured, folders) = library();
    OrtEngine::try_new(configured.as_deref(), &folders, 1)
        .unwrap_or_else(|error| panic!("{error}\nget the library with `cargo xtask runtime`"))
}
