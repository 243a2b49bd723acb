//! What is measured: one piece of our work beside one of the reference's. It does not know the algorithms.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::reference::Reference;

/// What reference.py says of the models that it made.
#[derive(Debug, Clone, Deserialize)]
pub struct Models {
    /// Features of a row.
    pub features: usize,
    /// Rows of a background.
    pub background: usize,
    /// Mean leaves of a tree, by model.
    pub leaves: std::collections::BTreeMap<String, f64>,
    /// Versions, by name.
    pub versions: std::collections::BTreeMap<String, String>,
}

/// What every case needs.
pub struct Stage<'a> {
    /// Where models and rows are.
    pub folder: &'a Path,
    /// What there is.
    pub models: Models,
    /// Rows that the models were trained on.
    pub train: Vec<f64>,
    /// Other rows: those that are asked about, and at the end the background.
    pub rows: Vec<f64>,
}

/// Our work on the rows from a number on; what it comes to for each.
pub type Work = Box<dyn Fn(usize) -> Result<Vec<f64>>>;

/// One row of the table.
pub struct Case {
    /// The method, in words.
    pub method: &'static str,
    /// The name of the reference's work.
    pub work: &'static str,
    /// The model.
    pub model: String,
    /// Rows of a call.
    pub rows: usize,
    /// Milliseconds that were spent before, once for a background.
    pub prepare_ms: f64,
    /// How far answers may differ, as a share of the largest value.
    pub tolerance: f64,
    /// Ours.
    pub ours: Work,
}

impl<'a> Stage<'a> {
    /// Makes models and reads rows.
    pub fn set(folder: &'a Path, reference: &mut Reference) -> Result<Self> {
        println!("training the models: a minute");
        let models = reference.ask(&serde_json::json!({"work": "models"}))?;
        let (train, rows) = (numbers(&folder.join("train.f32"))?, numbers(&folder.join("rows.f32"))?);
        Ok(Self { folder, models, train, rows })
    }

    /// How many rows may be asked about.
    pub fn count(&self) -> usize {
        self.rows.len() / self.models.features.max(1)
    }
}

fn numbers(path: &Path) -> Result<Vec<f64>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(bytes.as_chunks::<4>().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect())
}
