//! One prediction's way in and out: the body in one of its forms to tensors, tensors to the reply.

use std::{sync::Arc, time::Duration};

use actix_web::web::Bytes;
use candor_domain::{Phase, Result, Version};
use candor_serving::{BatchNote, CacheNote, Codec, InferRequest, Ran, ReadyVersion};
use serde_json::value::RawValue;
use uuid::{NoContext, Timestamp, Uuid};

use super::{
    reply::{self, Reply},
    table::{Beside, ReadTable, read_table},
};
use crate::{limits::HttpLimits, wire::ReplyEncoding};

/// How a body writes its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// An object with `rows` or `columns`.
    Json,
    /// One row a line, each an object or a list.
    JsonLines,
    /// RFC 4180.
    Csv {
        /// Whether the first line holds names.
        header: bool,
    },
}

/// A reply's bytes and what its headers must say of them.
pub(crate) struct PredictReply {
    pub(crate) bytes: Vec<u8>,
    pub(crate) coding: Option<&'static str>,
    pub(crate) fallback_from: Option<Version>,
    pub(crate) batch: Option<BatchNote>,
    pub(crate) cache: Option<CacheNote>,
}

impl PredictReply {
    /// The same bytes in the coding that the caller reads, if they are worth it.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(crate) fn encoded(self, encoding: ReplyEncoding, limits: &HttpLimits) -> Result<Self> {
        let encoding = if self.bytes.len() >= limits.compress_bytes_min { encoding } else { ReplyEncoding::Identity };
        let (bytes, coding) = encoding.apply(self.bytes)?;
        Ok(Self { bytes, coding, ..self })
    }
}

/// One request's way in and out of the native API.
pub(crate) struct PredictCodec {
    body: Bytes,
    form: Form,
    encoding: ReplyEncoding,
    limits: Arc<HttpLimits>,
    id: Option<String>,
    rows: usize,
    filled: Vec<String>,
    filled_count: usize,
    /// Members that may stand beside the table, and those that did.
    more: &'static [&'static str],
    pub(crate) said: Vec<(&'static str, Box<RawValue>)>,
}

impl PredictCodec {
    /// A codec for a body in `form`.
    pub(crate) fn new(body: Bytes, form: Form, encoding: ReplyEncoding, limits: Arc<HttpLimits>) -> Self {
        let (id, filled, said) = (None, Vec::new(), Vec::new());
        Self { body, form, encoding, limits, id, rows: 0, filled, filled_count: 0, more: &[], said }
    }

    /// The same with members that may stand beside the table.
    pub(crate) fn with_more(self, more: &'static [&'static str]) -> Self {
        Self { more, ..self }
    }
}

impl Codec for PredictCodec {
    type Reply = PredictReply;

    fn body_bytes(&self) -> usize {
        self.body.len()
    }

    fn decode(&mut self, version: &ReadyVersion) -> Result<InferRequest> {
        let read =
            read_table(version, (&self.body, self.form), &self.limits, Beside { more: self.more, alone: false })?;
        let ReadTable { inputs, rows, head, filled, filled_count } = read;
        (self.id, self.rows, self.filled, self.filled_count) = (head.id, rows, filled, filled_count);
        self.said = head.more;
        let (timeout, priority) = (head.timeout_ms.map(Duration::from_millis), head.priority.unwrap_or(0));
        Ok(InferRequest { inputs, outputs: (0..version.signature.outputs.len()).collect(), timeout, priority })
    }

    fn encode(self, ran: Ran<'_>) -> Result<Self::Reply> {
        let millis = |phase: Phase| reply::millis(ran.nanos.get(phase as usize).copied().flatten().unwrap_or(0));
        let unix_ms = ran.clock.unix_ms();
        let nanos = u32::try_from(unix_ms % 1000 * 1_000_000).unwrap_or(0);
        let stamp = Timestamp::from_unix(NoContext, unix_ms / 1000, nanos);
        let bytes = reply::write(&Reply {
            id: self.id.as_deref(),
            prediction_id: Uuid::new_v7(stamp),
            version: ran.version,
            fallback_from: ran.fallback_from,
            outputs: &ran.outputs,
            rows: self.rows,
            filled: &self.filled,
            filled_count: self.filled_count,
            queue_ms: millis(Phase::Queue),
            decode_ms: millis(Phase::Decode),
            run_ms: millis(Phase::Run),
            laps: ran.laps,
        })?;
        let fallback_from = ran.fallback_from.cloned();
        let reply = PredictReply { bytes, coding: None, fallback_from, batch: ran.batch, cache: ran.cache };
        reply.encoded(self.encoding, &self.limits)
    }
}
