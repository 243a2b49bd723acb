//! The house's texts: every file that a rule may read, with its path from the root.
//!
//! Before every rule, so that rules are functions of texts and easy to test. It skips what is built
//! or fetched, and does not know what the rules look for.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// Folders of things that nobody writes by hand.
const SKIPPED: [&str; 5] = ["target", "node_modules", "__pycache__", "venv", ".git"];
const READ: [&str; 7] = ["rs", "md", "toml", "py", "sh", "yaml", "yml"];

/// One text.
#[derive(Debug)]
pub struct Text {
    /// From the root, with `/`.
    pub path: String,
    pub text: String,
}

/// All texts, and the paths of everything else.
#[derive(Debug, Default)]
pub struct Tree {
    files: Vec<Text>,
    paths: BTreeSet<String>,
}

impl Tree {
    /// Reads the house.
    pub fn read(root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        let mut left: Vec<PathBuf> = vec![root.to_path_buf()];
        while let Some(folder) = left.pop() {
            let entries = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
            for entry in entries {
                let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if SKIPPED.contains(&name.as_str()) {
                    continue;
                }
                let path = entry.path();
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    tree.paths.insert(relative(root, &path));
                    left.push(path);
                } else {
                    tree.add(root, &path)?;
                }
            }
        }
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(tree)
    }

    fn add(&mut self, root: &Path, path: &Path) -> Result<()> {
        let name = relative(root, path);
        self.paths.insert(name.clone());
        let extension = path.extension().map(|found| found.to_string_lossy());
        if extension.is_some_and(|found| READ.contains(&found.as_ref())) || name == ".ci/run" {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read {name} as text"))?;
            self.files.push(Text { path: name, text });
        }
        Ok(())
    }

    /// A tree for the tests of the rules.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            let mut folder = *path;
            while let Some((above, _)) = folder.rsplit_once('/') {
                tree.paths.insert(above.to_owned());
                folder = above;
            }
            tree.paths.insert((*path).to_owned());
            tree.files.push(Text { path: (*path).to_owned(), text: (*text).to_owned() });
        }
        tree
    }

    /// Every text, by path.
    pub fn files(&self) -> &[Text] {
        &self.files
    }

    /// Every text whose name ends so.
    pub fn ending(&self, end: &str) -> impl Iterator<Item = &Text> {
        self.files.iter().filter(move |file| file.path.ends_with(end))
    }

    /// The text of one file.
    pub fn get(&self, path: &str) -> Option<&Text> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Is there a file or folder of this name?
    pub fn has(&self, path: &str) -> bool {
        self.paths.contains(path)
    }

    /// Every file and folder.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(String::as_str)
    }
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_and_fetched_things_are_skipped() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["a/x.rs", "a/model.onnx", "target/y.rs", "a/node_modules/z.md"] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "text").unwrap();
        }
        let tree = Tree::read(folder.path()).unwrap();
        let read: Vec<&str> = tree.files().iter().map(|file| file.path.as_str()).collect();
        assert_eq!(read, ["a/x.rs"]);
        assert!(tree.has("a") && tree.has("a/model.onnx") && !tree.has("target/y.rs"));
    }

    #[test]
    fn a_test_tree_has_its_folders() {
        let tree = Tree::of(&[("a/b/c.rs", "")]);
        assert!(tree.has("a/b") && tree.has("a") && tree.get("a/b/c.rs").is_some());
        assert_eq!(tree.ending(".rs").count(), 1);
    }
}
