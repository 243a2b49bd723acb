//! A version's graph against everything that its folder says of it.

use std::collections::BTreeMap;

use candor_domain::{Result, Signature};

use super::{FoundModel, FoundVersion, Manifest, Reshapes};

/// What the graph and the files beside it make together.
#[derive(Debug)]
pub struct Fitted {
    /// What callers see: the graph's signature, narrower where `config.pbtxt` says so.
    pub signature: Signature,
    /// `model.toml`, filled up from `config.pbtxt` and `MLmodel`.
    pub manifest: Manifest,
    /// What `MLmodel` says of the making.
    pub properties: BTreeMap<String, String>,
    /// Where callers see other shapes than the graph has.
    pub reshapes: Reshapes,
    /// How it lies on disk.
    pub origin: Origin,
}

/// How a version lies on disk, for those who describe it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The file of the graph, relative to the folder of the version.
    pub file: String,
    /// Files that hold the labels of outputs, by output.
    pub label_files: BTreeMap<String, String>,
    /// What the files of the model say but means nothing here.
    pub notes: Vec<String>,
}

impl FoundModel {
    /// Compares a graph with what the files of other servers say of its model; `model.toml`, filled up from them,
    /// is still to be compared.
    ///
    /// # Errors
    /// `InvalidModel` that names the file, the place in it, and what the graph says.
    pub fn fit(&self, version: &FoundVersion, graph: Signature) -> Result<Fitted> {
        let (mut signature, mut manifest) = (graph, self.manifest.clone());
        let mut origin = Origin {
            file: version.file.to_string_lossy().replace('\\', "/"),
            label_files: BTreeMap::new(),
            notes: self.notes.clone(),
        };
        let mut reshapes = Reshapes::default();
        if let Some(triton) = &self.triton {
            let (fitted, notes) = triton.fit(&mut signature, &mut manifest)?;
            reshapes = fitted;
            origin.notes.extend(notes);
            let files = triton.label_files().map(|(output, file)| (output.to_owned(), file.to_owned()));
            origin.label_files.extend(files);
        }
        let mut properties = BTreeMap::new();
        if let Some(mlflow) = &version.mlflow {
            origin.notes.extend(mlflow.fit(&signature, &mut manifest)?);
            properties.clone_from(&mlflow.properties);
        }
        Ok(Fitted { signature, manifest, properties, reshapes, origin })
    }
}
