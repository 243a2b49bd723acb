//! The models and rows that peers.py made, and models as the host lends them: doubles in, doubles out, counted.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::{Context as _, Result};
use candor_domain::{
    Engine, ModelSource, Session,
    tensor::{Shape, Tensor, TensorData},
};
use candor_plugin_host::LentModel;
use serde::Deserialize;

/// Numbers that both sides work on.
#[derive(Deserialize)]
pub struct Data {
    /// Rows that stand for "absent".
    pub background: Vec<f64>,
    rows: Vec<f64>,
    weights: Vec<f64>,
    /// Numbers of a row.
    pub features: i64,
    models: Vec<String>,
    /// Of permutation SHAP.
    pub orders: i64,
}

impl Data {
    /// Reads what peers.py made.
    pub fn read(folder: &Path) -> Result<Self> {
        let text = fs::read_to_string(folder.join("data.json")).context("cannot read data.json")?;
        serde_json::from_str(&text).context("data.json is not as expected")
    }

    /// How many rows there are to explain.
    pub fn count(&self) -> usize {
        self.rows.len() / self.weights.len()
    }

    /// A row to explain.
    pub fn row(&self, at: usize) -> &[f64] {
        self.rows.chunks_exact(self.weights.len()).nth(at).unwrap_or_default()
    }
}

/// A model on one engine.
pub struct Model {
    /// The engine.
    pub title: &'static str,
    answers: Answers,
}

enum Answers {
    /// A logistic line: almost nothing, so that what is left is our own work.
    Line(Vec<f64>),
    /// The second output of a session: probabilities.
    Session(Box<dyn Session>),
}

/// Every model by its name, on every engine.
pub fn load(folder: &Path, data: &Data, engines: &[Box<dyn Engine>]) -> Result<Vec<(String, Vec<Model>)>> {
    let line = Model { title: "own code", answers: Answers::Line(data.weights.clone()) };
    let mut models = vec![("line".to_owned(), vec![line])];
    for name in &data.models {
        let bytes = fs::read(folder.join(format!("{name}.onnx"))).context("cannot read a model")?;
        let on = |(engine, title): (&dyn Engine, &'static str)| -> Result<Model> {
            let loaded = engine.load(ModelSource { bytes: &bytes, folder })?;
            Ok(Model { title, answers: Answers::Session(loaded.session) })
        };
        let own: Result<Vec<Model>> =
            engines.iter().map(AsRef::as_ref).zip(["native", "ONNX Runtime"]).map(on).collect();
        models.push((name.clone(), own?));
    }
    Ok(models)
}

impl Model {
    fn answer(&self, x: &Tensor) -> candor_domain::Result<Tensor> {
        let (TensorData::Fp64(cells), &[rows, features]) = (x.data(), x.shape().dims()) else {
            return Err(candor_domain::Error::invalid("no doubles"));
        };
        let shape = Shape::new(&[rows, 2])?;
        match &self.answers {
            Answers::Line(weights) => {
                let answer = |row: &[f64]| {
                    let sum: f64 = row.iter().zip(weights).map(|(one, weight)| one * weight).sum();
                    let chance = 1.0 / (1.0 + (-sum).exp());
                    [1.0 - chance, chance]
                };
                let answers = cells.chunks_exact(weights.len()).flat_map(answer).collect();
                Tensor::new(shape, TensorData::Fp64(answers))
            }
            Answers::Session(session) => {
                #[allow(clippy::cast_possible_truncation, reason = "the model takes floats")]
                let narrow: Vec<f32> = cells.iter().map(|&cell| cell as f32).collect();
                let x = Tensor::new(Shape::new(&[rows, features])?, TensorData::Fp32(narrow))?;
                let given = session.run(&[x], &[1], None)?;
                let Some(TensorData::Fp32(chances)) = given.first().map(Tensor::data) else {
                    return Err(candor_domain::Error::invalid("no floats"));
                };
                Tensor::new(shape, TensorData::Fp64(chances.iter().copied().map(f64::from).collect()))
            }
        }
    }
}

/// Nanoseconds of CPU that this thread has used; fine enough for one batch.
pub fn cpu_nanos() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// A model whose time and rows are counted.
pub struct Counted<'m> {
    model: &'m Model,
    nanos: AtomicU64,
    rows: AtomicU64,
}

impl<'m> Counted<'m> {
    /// Nothing counted yet.
    pub fn new(model: &'m Model) -> Self {
        Self { model, nanos: AtomicU64::new(0), rows: AtomicU64::new(0) }
    }

    /// Milliseconds and rows.
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub fn told(&self) -> (f64, u64) {
        (self.nanos.load(Ordering::Relaxed) as f64 / 1e6, self.rows.load(Ordering::Relaxed))
    }
}

impl LentModel for Counted<'_> {
    fn predict(&self, _model: &str, inputs: &[(String, Tensor)]) -> candor_domain::Result<Vec<(String, Tensor)>> {
        let Some((_, x)) = inputs.first() else { return Err(candor_domain::Error::invalid("no input")) };
        let start = cpu_nanos();
        let answer = self.model.answer(x)?;
        let nanos = cpu_nanos() - start;
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
        self.rows.fetch_add(x.shape().dims().first().map_or(0, |rows| rows.unsigned_abs()), Ordering::Relaxed);
        Ok(vec![("y".to_owned(), answer)])
    }
}
