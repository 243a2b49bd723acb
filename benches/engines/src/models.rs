//! The models and rows that `make_models.py` made.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use candor_domain::{Shape, Tensor, TensorData};
use serde::Deserialize;

/// One model.
pub struct Model {
    /// What it is.
    pub title: String,
    /// How many trees and nodes it has, in words.
    pub size: String,
    /// The file.
    pub bytes: Vec<u8>,
    features: usize,
    rows: Vec<f32>,
}

#[derive(Deserialize)]
struct Listed {
    title: String,
    file: String,
    features: usize,
    trees: usize,
    nodes: usize,
}

/// Every model whose title contains `only`.
pub fn read(folder: &Path, only: &str) -> Result<Vec<Model>> {
    let list = folder.join("models.json");
    let text = fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let listed: Vec<Listed> = serde_json::from_str(&text).context("models.json is not as expected")?;
    let model = |listed: Listed| {
        let rows = fs::read(folder.join(format!("{}.rows", listed.file))).context("cannot read rows")?;
        let (numbers, rest) = rows.as_chunks();
        let rows: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        ensure!(rest.is_empty() && rows.len() >= listed.features, "{} has no whole rows", listed.title);
        let size = format!("{} nodes", listed.nodes);
        Ok(Model {
            size: if listed.trees > 0 { size } else { "–".to_owned() },
            bytes: fs::read(folder.join(format!("{}.onnx", listed.file))).context("cannot read a model")?,
            title: listed.title,
            features: listed.features,
            rows,
        })
    };
    listed.into_iter().filter(|listed| listed.title.contains(only)).map(model).collect()
}

impl Model {
    /// Batches of this many rows: different ones, because a row that comes again and again is predicted.
    pub fn batches(&self, rows: usize) -> Result<Vec<Tensor>> {
        let shape = Shape::new(&[i64::try_from(rows)?, i64::try_from(self.features)?])?;
        let whole = self.rows.chunks_exact(rows * self.features);
        let batches = whole.map(|batch| Ok(Tensor::new(shape, TensorData::Fp32(batch.to_vec()))?));
        batches.collect()
    }
}
