//! The model, as an explainer calls it: numbers in, the explained numbers out.
//!
//! Rows of the matrix become the version's tensors, run on this thread in batches of a bounded size, and the outputs that
//! are explained come back in the wanted space. Every row is counted; a request may not have more of them than it may.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use candor_domain::{Error, ErrorCode, Models, Result, Shape, Tensor, TensorData};

use super::{
    Subject, Turn, cost,
    layout::{Layout, Words, numbers},
    subject::RowsAtOnce,
    target::Target,
};

/// A version that is lent to an explainer.
pub(crate) struct Lent<'a> {
    pub(crate) subject: &'a dyn Subject,
    pub(crate) layout: &'a Layout,
    pub(crate) words: &'a Words,
    pub(crate) target: &'a Target,
    pub(crate) turn: &'a Turn<'a>,
    pub(crate) batch_rows_max: usize,
    pub(crate) evaluations_max: u64,
    pub(crate) answers_bytes_max: u64,
    pub(crate) evaluations: AtomicU64,
    /// The first error of the model, which loses its place and more on its way through a plugin.
    pub(crate) said: Mutex<Option<Error>>,
}

impl Lent<'_> {
    /// The explained numbers of rows: rows × outputs.
    pub(crate) fn predict(&self, data: &[f64]) -> Result<Vec<f64>> {
        let columns = self.layout.columns.max(1);
        let rows = (data.len() / columns) as u64;
        let before = self.evaluations.fetch_add(rows, Relaxed);
        let evaluations = before.saturating_add(rows);
        if evaluations > self.evaluations_max {
            let error = Error::new(ErrorCode::TooLarge, "the explanation needs too many evaluations of the model");
            let error = error.at(cost::EVALUATIONS_MAX).expected(format!("at most {}", self.evaluations_max));
            return Err(error.hint(cost::HINT));
        }
        // Whoever hosts the explainer keeps each answer until the explanation is over.
        if cost::answers(evaluations, self.target.elements.len() as u64) > self.answers_bytes_max {
            let error = Error::new(ErrorCode::TooLarge, "the explanation needs too many answers of the model");
            let error = error.at(cost::ANSWERS_BYTES_MAX).expected(format!("at most {} bytes", self.answers_bytes_max));
            return Err(error.hint(cost::HINT));
        }
        let chunk = self.chunk();
        let mut answers = Vec::with_capacity(rows as usize * self.target.elements.len());
        for part in data.chunks(chunk.saturating_mul(columns)) {
            self.turn.check()?;
            let own = part.len() / columns;
            let padded = if let RowsAtOnce::Exactly(rows) = self.subject.about().rows_at_once { rows } else { own };
            let inputs = self.layout.decode(part, padded, self.words)?;
            let outputs = self.subject.run(inputs, &[self.target.output], self.turn)?;
            let tensor = outputs
                .first()
                .ok_or_else(|| Error::new(ErrorCode::EngineFailed, "the model gave no answer to who explains it"))?;
            answers.extend(self.target.read(tensor, own)?);
        }
        Ok(answers)
    }

    fn chunk(&self) -> usize {
        match self.subject.about().rows_at_once {
            RowsAtOnce::Any(Some(max)) => max.min(self.batch_rows_max).max(1),
            RowsAtOnce::Any(None) => self.batch_rows_max.max(1),
            RowsAtOnce::Exactly(rows) => rows.max(1),
            RowsAtOnce::None => 1,
        }
    }
}

impl Models for Lent<'_> {
    fn call(&self, model: &str, inputs: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>> {
        self.answer(model, inputs).inspect_err(|error| {
            self.said.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
        })
    }
}

impl Lent<'_> {
    fn answer(&self, model: &str, inputs: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>> {
        if !model.is_empty() {
            let what = "an explainer may call no model but the one that it explains";
            return Err(Error::new(ErrorCode::NotFound, what));
        }
        let [(_, x)] = inputs else {
            return Err(Error::invalid("the model that is explained takes one tensor").expected("x: rows × features"));
        };
        if x.datatype() == candor_domain::Datatype::Bytes || !x.data().len().is_multiple_of(self.layout.columns.max(1))
        {
            let error = Error::invalid("these are no rows of numbers such as the model takes");
            let error = error.expected(format!("[rows, {}]", self.layout.columns));
            return Err(error.got(format!("{} {}", x.datatype(), x.shape())));
        }
        let rows = x.data().len() / self.layout.columns.max(1);
        let answers = if let TensorData::Fp64(data) = x.data() {
            self.predict(data)?
        } else {
            self.predict(&numbers(x.data(), &mut Words::default()))?
        };
        let dims = [rows, self.target.elements.len()].map(|size| i64::try_from(size).unwrap_or(i64::MAX));
        Ok(vec![("y".to_owned(), Tensor::new(Shape::new(&dims)?, TensorData::Fp64(answers))?)])
    }
}
