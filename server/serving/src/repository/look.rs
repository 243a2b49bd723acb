//! What a folder looks like: one model, or a folder of models.
//!
//! `serve` wants the folder of models; people like to name the folder of the model. Both are folders of folders,
//! so only what lies in them tells.

use std::path::Path;

use candor_domain::{Error, Result, Version};

use super::{
    CONFIG_FILE, MANIFEST_FILE, MLMODEL_FILE,
    layout::{Kind, is_graph, list},
};

/// What lies in a folder, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Look {
    /// Folders that are called like a version and hold a graph.
    versions: usize,
    /// Folders that hold a graph and are called `v1`, `version_2` and the like.
    misnamed: usize,
    /// Other folders that hold what a model's folder holds.
    models: usize,
    /// Whether a graph or a file that describes a model lies in the folder itself.
    is_marked: bool,
    is_mlflow: bool,
}

impl Look {
    /// Looks at a folder and into the folders in it; opens no file.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn at(folder: &Path) -> Result<Self> {
        let mut look = Self::default();
        for (name, kind) in list(folder)? {
            match kind {
                Kind::File => {
                    look.is_mlflow |= name == MLMODEL_FILE;
                    look.is_marked |= is_graph(&name) || describes(&name);
                }
                // A folder that is called like a graph holds one and its weights.
                Kind::Folder if name.starts_with('.') || is_graph(&name) => {}
                Kind::Folder => look.count(&name, &folder.join(&name)),
                Kind::Link => {}
            }
        }
        Ok(look)
    }

    fn count(&mut self, name: &str, folder: &Path) {
        let Ok(entries) = list(folder) else { return };
        let any = |test: fn(&str, Kind) -> bool| entries.iter().any(|(name, kind)| test(name, *kind));
        let has_graph = any(|name, _| is_graph(name));
        let has_versions = any(|name, kind| kind == Kind::Folder && Version::parse(name).is_ok());
        if Version::parse(name).is_ok() {
            self.versions += usize::from(has_graph);
        } else if has_graph && is_like_a_version(name) {
            self.misnamed += 1;
        } else if has_graph || has_versions || any(|name, kind| kind == Kind::File && describes(name)) {
            self.models += 1;
        }
    }

    /// Whether it looks like one model and nothing else.
    #[must_use]
    pub fn is_one_model(self) -> bool {
        self.is_mlflow || (self.models == 0 && (self.is_marked || self.versions + self.misnamed > 0))
    }

    /// Whether it looks more like a folder of models than like a model, which may keep a copy of itself in a folder.
    #[must_use]
    pub fn is_of_models(self) -> bool {
        !self.is_mlflow && self.models > self.versions
    }
}

/// What to tell somebody who is about to serve `root`, if that looks like one model.
pub(super) fn advice(root: &Path) -> Option<Error> {
    Look::at(root).ok().filter(|look| look.is_one_model())?;
    let above = root.parent()?;
    Some(
        Error::invalid(format!("{} looks like one model, not like a folder of models", root.display()))
            .hint(format!("serve the folder above it: candor serve {}", above.display())),
    )
}

fn describes(name: &str) -> bool {
    [MANIFEST_FILE, CONFIG_FILE, MLMODEL_FILE].contains(&name)
}

/// `v1`, `V-2`, `version_1.4`: meant to be a version.
fn is_like_a_version(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let rest = ["version", "ver", "v"].iter().find_map(|word| lower.strip_prefix(word));
    let number = rest.unwrap_or(&lower).trim_start_matches(['-', '_', '.', ' ']).trim_start_matches('0');
    Version::parse(number).is_ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn look(files: &[&str]) -> Look {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        Look::at(folder.path()).unwrap()
    }

    #[test]
    fn one_model_is_told_from_a_folder_of_models() {
        for model in [
            &["1/model.onnx", "2/model.onnx"][..],
            &["model.onnx"],
            &["1/model.onnx", "model.toml"],
            &["model.toml"],
            &["config.pbtxt", "1/graph.onnx"],
            &["v1/model.onnx"],
            &["version_2/model.onnx", "1/model.onnx"],
            &["001/model.onnx"],
            &["MLmodel", "model.onnx", "metadata/MLmodel"],
            &["1/model.onnx", ".git/model.onnx", "notes/README.md"],
        ] {
            assert!(look(model).is_one_model(), "{model:?}");
            assert!(!look(model).is_of_models(), "{model:?}");
        }
        for models in [
            &["iris/1/model.onnx"][..],
            &["iris/model.onnx", "loose.onnx"],
            &["iris/1/model.onnx", "model.toml"],
            &["iris/model.toml"],
            &["v1/1/model.onnx"],
            &["vgg16/model.onnx"],
        ] {
            assert!(!look(models).is_one_model(), "{models:?}");
            assert!(look(models).is_of_models(), "{models:?}");
        }
        let with_a_copy = look(&["1/model.onnx", "backup/model.onnx"]);
        assert!(!with_a_copy.is_one_model() && !with_a_copy.is_of_models());
        assert!(!look(&["notes/README.md"]).is_one_model());
    }
}
