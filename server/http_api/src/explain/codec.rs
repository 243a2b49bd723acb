//! A prediction that is to be explained: predicted as any other, and the version handed on with what went in and out.

use candor_domain::{Error, ErrorCode, Result};
use candor_insight::explanations::{Question, Rows};
use candor_serving::{Codec, InferRequest, Lease, Ran, ReadyVersion};

use super::ask::{self, Asked};
use crate::native::{PredictCodec, PredictReply};

/// The member of a body that says how to explain.
pub(crate) const MEMBER: &[&str] = &["explain"];

/// Predicts, and keeps what explains need.
pub(crate) struct ExplainedCodec {
    inner: PredictCodec,
    question: Question,
    asked: Asked,
    rows_max: usize,
    inputs: Vec<candor_domain::Tensor>,
}

/// A prediction with what is needed to explain it.
pub(crate) struct Predicted {
    pub(crate) reply: PredictReply,
    pub(crate) lease: Lease,
    pub(crate) question: Question,
    pub(crate) asked: Asked,
    pub(crate) rows: Rows,
}

impl ExplainedCodec {
    /// A codec around one that writes JSON as it is; `question` is what the query string asks.
    pub(crate) fn new(inner: PredictCodec, question: Question, rows_max: usize) -> Self {
        Self { inner: inner.with_more(MEMBER), question, asked: Asked::Query, rows_max, inputs: Vec::new() }
    }
}

impl Codec for ExplainedCodec {
    type Reply = Predicted;

    fn body_bytes(&self) -> usize {
        self.inner.body_bytes()
    }

    fn decode(&mut self, version: &ReadyVersion) -> Result<InferRequest> {
        let request = self.inner.decode(version)?;
        for (_, raw) in std::mem::take(&mut self.inner.said) {
            ask::of_object(&mut self.question, &raw)?;
            self.asked = Asked::Member;
        }
        let rows = request.inputs.first().and_then(|tensor| tensor.shape().dims().first()).copied().unwrap_or(1);
        if usize::try_from(rows).is_ok_and(|rows| rows > self.rows_max) {
            return Err(Error::new(ErrorCode::TooLarge, "the request has more rows than are explained at once")
                .at("/rows")
                .expected(format!("at most {} rows (explanations.rows_max)", self.rows_max))
                .got(format!("{rows} rows"))
                .hint("split the request, or predict without explanations"));
        }
        self.inputs = request.inputs.clone();
        Ok(request)
    }

    fn encode(self, ran: Ran<'_>) -> Result<Predicted> {
        let (lease, outputs) = (ran.version.another(), Some(ran.outputs.clone()));
        let reply = self.inner.encode(ran)?;
        Ok(Predicted {
            reply,
            lease,
            question: self.question,
            asked: self.asked,
            rows: Rows { outputs, ..Rows::new(self.inputs) },
        })
    }
}
