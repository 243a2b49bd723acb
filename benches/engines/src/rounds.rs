//! The order of measuring: rounds over all cells, so that noise hits all alike, and within a cell the engines one
//! right after the other, in turn.

use std::{cell::Cell as Counter, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use candor_domain::{Engine, ErrorCode, LoadedModel, ModelSource, Tensor, TensorData};
use candor_measure::{stats::figure, usage};

use crate::models::Model;

/// Rows of a call.
const BATCHES: [usize; 3] = [1, 32, 256];

/// One model, one size of batch.
pub struct Cell {
    /// What the model is.
    pub title: String,
    /// How large it is.
    pub size: String,
    /// Rows of a call.
    pub rows: usize,
    /// CPU microseconds of a call, by engine and round; none for one that refuses the model.
    pub cpu_us: Vec<Option<Vec<f64>>>,
}

/// One round of one cell: what a call costs on each engine.
fn measure_cell(
    sessions: &[Option<LoadedModel>],
    batches: &[Tensor],
    span: Duration,
    turn: usize,
) -> Result<Vec<Option<f64>>> {
    let mut costs = vec![None; sessions.len()];
    for at in (0..sessions.len()).map(|step| (step + turn) % sessions.len()) {
        let (Some(Some(loaded)), Some(slot)) = (sessions.get(at), costs.get_mut(at)) else { continue };
        let wanted: Vec<usize> = (0..loaded.signature.outputs.len()).collect();
        let next = Counter::new(0);
        let cost = usage::measure(span, || {
            let batch = batches.get(next.replace(next.get() + 1) % batches.len());
            std::hint::black_box(loaded.session.run(
                batch.map(std::slice::from_ref).unwrap_or_default(),
                &wanted,
                None,
            )?);
            Ok(())
        })?;
        *slot = Some(cost.cpu_us);
    }
    Ok(costs)
}

/// Compares answers, then measures every model and batch, round by round.
pub fn measure(engines: &[Box<dyn Engine>], models: &[Model], repeats: u32, span: Duration) -> Result<Vec<Cell>> {
    let mut cells = Vec::new();
    let mut work = Vec::new();
    for model in models {
        let sessions = load(engines, model)?;
        agree(&sessions, model)?;
        for rows in BATCHES {
            let (title, size) = (model.title.clone(), model.size.clone());
            let cpu_us = sessions.iter().map(|session| session.as_ref().map(|_| Vec::new())).collect();
            cells.push(Cell { title, size, rows, cpu_us });
        }
        work.push((model, sessions));
    }
    for round in 0..usize::try_from(repeats)? {
        println!("round {} of {repeats}", round + 1);
        let pairs = work.iter().flat_map(|(model, sessions)| BATCHES.map(|rows| (model, sessions, rows)));
        for (cell, (model, sessions, rows)) in cells.iter_mut().zip(pairs) {
            let costs = measure_cell(sessions, &model.batches(rows)?, span, round)?;
            let said: Vec<String> = costs.iter().map(|cost| cost.map_or("–".to_owned(), figure)).collect();
            println!("  {:<42} × {rows:<4} {} µs", model.title, said.join("  "));
            for (series, cost) in cell.cpu_us.iter_mut().zip(costs) {
                if let (Some(series), Some(cost)) = (series, cost) {
                    series.push(cost);
                }
            }
        }
    }
    Ok(cells)
}

/// Sessions; none where an engine refuses the model.
fn load(engines: &[Box<dyn Engine>], model: &Model) -> Result<Vec<Option<LoadedModel>>> {
    let source = ModelSource { bytes: &model.bytes, folder: Path::new(".") };
    let load = |engine: &dyn Engine| match engine.load(source) {
        Ok(loaded) => Ok(Some(loaded)),
        Err(error) if error.code() == ErrorCode::Unsupported => {
            println!("  {}: {error}", model.title);
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| model.title.clone()),
    };
    engines.iter().map(|engine| load(&**engine)).collect()
}

/// What is measured must be the same work: answers to all rows agree.
fn agree(sessions: &[Option<LoadedModel>], model: &Model) -> Result<()> {
    for batch in model.batches(256)? {
        let mut answers = Vec::new();
        for loaded in sessions.iter().flatten() {
            let wanted: Vec<usize> = (0..loaded.signature.outputs.len()).collect();
            answers.push(loaded.session.run(std::slice::from_ref(&batch), &wanted, None)?);
        }
        if let Some((first, others)) = answers.split_first() {
            for other in others {
                let same = first.iter().zip(other).all(|(one, other)| is_near(one, other));
                ensure!(same, "{}: the engines do not agree", model.title);
            }
        }
    }
    Ok(())
}

fn is_near(one: &Tensor, other: &Tensor) -> bool {
    if let (TensorData::Fp32(one), TensorData::Fp32(other)) = (one.data(), other.data()) {
        return one.iter().zip(other).all(|(one, other)| (one - other).abs() <= 1e-4 * one.abs().max(1.0));
    }
    one == other
}
