//! The engine alone: sessions in this process, run on the same tensors that the servers get.
//!
//! What these cost is what nobody can save; everything else is divided by it or subtracted from it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use candor_domain::{Engine as _, ModelSource, Session, Signature, Tensor};
use candor_engine_ort::OrtEngine;

use crate::{
    cases::Case,
    usage::{Cost, measure},
};

/// ONNX Runtime, as the server uses it: one thread per run.
pub struct Engine(OrtEngine);

/// A loaded model and the input of one case.
pub struct Loaded {
    session: Box<dyn Session>,
    /// What it takes and gives.
    pub signature: Signature,
    inputs: Vec<Tensor>,
    wanted: Vec<usize>,
}

impl Engine {
    /// Loads the library that lies beside the servers.
    pub fn start(folder: PathBuf) -> Result<Self> {
        Ok(Self(OrtEngine::try_new(None, &[folder], 1)?))
    }

    /// Name and version, for the record.
    pub fn describe(&self) -> String {
        let info = self.0.info();
        format!("{} {}", info.backend, info.version)
    }

    /// Loads the model of `case`.
    pub fn load(&self, case: &Case) -> Result<Loaded> {
        let path = case.folder.join("model.onnx");
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let loaded = self.0.load(ModelSource { bytes: &bytes, folder: Path::new(&case.folder) })?;
        let wanted = (0..loaded.signature.outputs.len()).collect();
        let inputs = case.inputs.clone();
        Ok(Loaded { session: loaded.session, signature: loaded.signature, inputs, wanted })
    }
}

impl Loaded {
    /// All outputs.
    pub fn outputs(&self) -> Result<Vec<Tensor>> {
        Ok(self.session.run(&self.inputs, &self.wanted, None)?)
    }

    /// What a run costs.
    pub fn measure(&self, span: Duration) -> Result<Cost> {
        measure(span, || {
            std::hint::black_box(self.outputs()?);
            Ok(())
        })
    }
}
