//! Model repositories: the sample models, copies of some of them, fixtures of the engines' own suite; and
//! the golden pairs that come with the samples.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tempfile::TempDir;

/// Names of the sample models.
pub const SAMPLES: [&str; 8] =
    ["breast_cancer", "diabetes", "digits", "digits_rows", "iris", "simple", "simple_identity", "simple_string"];

/// The folder of the sample models.
#[must_use]
pub fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models")
}

/// The bytes of a sample's file.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn sample(model: &str, version: &str) -> Vec<u8> {
    fs::read(samples().join(model).join(version).join("model.onnx")).unwrap()
}

/// The bytes of one of the small ONNX files that engines are tested with.
///
/// # Panics
/// When there is none of this name.
#[must_use]
pub fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/engine_conformance/fixtures");
    fs::read(folder.join(format!("{name}.onnx"))).unwrap_or_else(|error| panic!("fixture {name}: {error}"))
}

/// A model repository in a folder of its own, removed with it.
#[derive(Debug)]
pub struct Models(TempDir);

impl Models {
    /// One without models.
    ///
    /// # Panics
    /// When no folder can be made.
    #[must_use]
    pub fn none() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// One with copies of sample models.
    #[must_use]
    pub fn copies(names: &[&str]) -> Self {
        names.iter().fold(Self::none(), |models, name| models.with_copy(name))
    }

    /// Adds the copy of a sample model.
    #[must_use]
    pub fn with_copy(self, name: &str) -> Self {
        copy(&samples().join(name), &self.path(name));
        self
    }

    /// Adds a fixture as version 1 of a model of the same name.
    #[must_use]
    pub fn with_fixture(self, name: &str) -> Self {
        self.write(&format!("{name}/1/model.onnx"), fixture(name));
        self
    }

    /// Adds any file.
    #[must_use]
    pub fn with_file(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.write(path, bytes);
        self
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.0.path()
    }

    /// The path of something in it.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    /// Writes a file, making its folders. It is renamed into place, so that nobody reads half of it.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let draft = path.with_extension("draft");
        fs::write(&draft, bytes).unwrap();
        fs::rename(&draft, &path).unwrap();
    }

    /// Removes a file or folder.
    ///
    /// # Panics
    /// When it is not there.
    pub fn remove(&self, path: &str) {
        let path = self.path(path);
        if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.unwrap();
    }
}

/// Copies a folder and what is in it.
///
/// # Panics
/// When it cannot.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &target);
        } else {
            fs::copy(&source, &target).unwrap();
        }
    }
}

/// One golden pair of a sample model.
#[derive(Debug)]
pub struct Golden {
    /// The model.
    pub model: String,
    /// The version.
    pub version: String,
    /// The name of the case.
    pub case: String,
    /// Inputs as the protocol writes them, flat.
    pub inputs: Vec<Value>,
    /// Outputs as the protocol writes them, flat.
    pub outputs: Vec<Value>,
}

/// All golden pairs of all versions of the sample models.
///
/// # Panics
/// When a version has none.
#[must_use]
pub fn golden_pairs() -> Vec<Golden> {
    let mut pairs = Vec::new();
    for model in SAMPLES {
        for version in ["1", "2"] {
            let folder = samples().join(model).join(version);
            if !folder.exists() {
                continue;
            }
            let text = fs::read_to_string(folder.join("golden.json")).unwrap();
            let file: Value = serde_json::from_str(&text).unwrap();
            pairs.extend(file["cases"].as_array().unwrap().iter().map(|case| Golden {
                model: model.to_owned(),
                version: version.to_owned(),
                case: format!("{model}/{version} {}", case["name"].as_str().unwrap()),
                inputs: case["inputs"].as_array().unwrap().clone(),
                outputs: case["outputs"].as_array().unwrap().clone(),
            }));
        }
    }
    pairs
}
