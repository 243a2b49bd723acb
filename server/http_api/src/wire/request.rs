//! An infer request: head, inputs, requested outputs; JSON alone, JSON with bytes behind it, or raw.
//!
//! The pipeline calls [`InferCodec`] with the leased version, whose signature says which names and types
//! there are. Shapes and datatypes are compared with the signature after this; here it only has to be well
//! formed and within limits.

use std::{borrow::Cow, sync::Arc, time::Duration};

use actix_web::web::Bytes;
use candor_domain::{Error, Result, Signature, Tensor, names::quoted};
use candor_serving::{
    Codec, InferRequest, Ran, ReadyVersion,
    oip::{Inputs, bytes, classification},
};
use serde::de::DeserializeSeed as _;

use super::{
    Trouble,
    head::{Few, Head, HeadSeed},
    input::{Input, Payload},
    quick::Cursor,
    raw,
    reply::{self, ReplyBody, ReplyEncoding, ReplyOutput},
};
use crate::limits::HttpLimits;

/// One request's way in and out of the Open Inference Protocol.
pub struct InferCodec {
    body: Bytes,
    form: Form,
    encoding: ReplyEncoding,
    limits: Arc<HttpLimits>,
    id: Option<String>,
    wishes: Few<Wish>,
}

/// What the body consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// JSON in so many first bytes, tensors in the rest.
    Json(usize),
    /// The bytes of one tensor.
    Raw,
}

/// An output that is wanted, and how.
#[derive(Debug, Clone, Copy)]
struct Wish {
    output: usize,
    as_bytes: bool,
    classes: Option<u64>,
}

impl InferCodec {
    /// A codec for a body whose JSON part has the length that the header says, or all of it.
    ///
    /// # Errors
    /// `InvalidInput` when the header is not a length within the body.
    pub fn new(
        body: Bytes,
        header_length: Option<&str>,
        encoding: ReplyEncoding,
        limits: Arc<HttpLimits>,
    ) -> Result<Self> {
        let form = match header_length {
            None => Form::Json(body.len()),
            Some(text) => match whole_number(text.trim()) {
                Some(0) => Form::Raw,
                Some(length) if length <= body.len() => Form::Json(length),
                Some(_) | None => {
                    return Err(Error::invalid("this is not the length of the JSON part of the body")
                        .at("header Inference-Header-Content-Length")
                        .expected(format!("a number from 0 to {}, the length of the body", body.len()))
                        .got(quoted(text)));
                }
            },
        };
        Ok(Self { body, form, encoding, limits, id: None, wishes: Few::new() })
    }
}

impl Codec for InferCodec {
    type Reply = ReplyBody;

    fn body_bytes(&self) -> usize {
        self.body.len()
    }

    fn decode(&mut self, version: &ReadyVersion) -> Result<InferRequest> {
        let signature = &version.signature;
        let all_outputs = |as_bytes| move |output| Wish { output, as_bytes, classes: None };
        let Form::Json(length) = self.form else {
            self.wishes = (0..signature.outputs.len()).map(all_outputs(true)).collect();
            let inputs = vec![raw::read_raw(signature, &self.body)?];
            return Ok(InferRequest { inputs, outputs: self.wished_outputs(), timeout: None, priority: 0 });
        };
        let (json, tensors) = self.body.split_at_checked(length).unwrap_or((&self.body, &[]));
        let head = match self.read_quickly(signature, json) {
            Some(head) => head,
            None => self.read_and_explain(signature, json)?,
        };
        let as_bytes = head.params.binary_data_output.unwrap_or(false);
        self.wishes = match head.outputs {
            None => (0..signature.outputs.len()).map(all_outputs(as_bytes)).collect(),
            Some(outputs) => outputs
                .into_iter()
                .map(|(output, params)| Wish {
                    output,
                    as_bytes: params.binary_data.unwrap_or(as_bytes),
                    classes: params.classification.filter(|&classes| classes > 0),
                })
                .collect(),
        };
        self.id = head.id;
        let inputs = place_inputs(signature, head.inputs, tensors)?;
        let timeout = head.params.timeout_micros.filter(|&micros| micros > 0).map(Duration::from_micros);
        let priority = head.params.priority.unwrap_or(0);
        Ok(InferRequest { inputs, outputs: self.wished_outputs(), timeout, priority })
    }

    fn encode(self, ran: Ran<'_>) -> Result<ReplyBody> {
        let Ran { version, fallback_from, batch, cache, outputs, .. } = ran;
        let specs = &version.signature.outputs;
        let batched = version.signature.is_batched();
        let replies = self.wishes.iter().zip(&outputs).filter_map(|(wish, tensor)| {
            let name = &*specs.get(wish.output)?.name;
            let tensor = match wish.classes {
                None => Ok(Cow::Borrowed(tensor)),
                Some(count) => {
                    let ranked = classification::top(tensor, count, version.manifest.labels(name), batched);
                    ranked.map(Cow::Owned).map_err(|error| error.at(format!("output '{name}'")))
                }
            };
            Some(tensor.map(|tensor| ReplyOutput { name, tensor, as_bytes: wish.as_bytes }))
        });
        let replies = replies.collect::<Result<Few<_>>>()?;
        let (id, compress_min) = (self.id.as_deref(), self.limits.compress_bytes_min);
        let reply = reply::write_reply(version, id, &replies, self.encoding, compress_min)?;
        Ok(ReplyBody { fallback_from: fallback_from.cloned(), batch, cache, ..reply })
    }
}

impl InferCodec {
    /// Reads what is as it should be.
    pub(super) fn read_quickly(&self, signature: &Signature, json: &[u8]) -> Option<Head> {
        let (trouble, cursor) = (Trouble::default(), Cursor::new(json));
        let (limits, body_bytes) = (&*self.limits, json.len());
        cursor.read(HeadSeed { signature, limits, trouble: &trouble, body_bytes, cursor: Some(&cursor) }).ok()
    }

    /// Reads whatever comes, and says what is wrong with it.
    pub(super) fn read_and_explain(&self, signature: &Signature, json: &[u8]) -> Result<Head> {
        let trouble = Trouble::default();
        let mut parser = serde_json::Deserializer::from_slice(json);
        let (limits, body_bytes) = (&*self.limits, json.len());
        let seed = HeadSeed { signature, limits, trouble: &trouble, body_bytes, cursor: None };
        let head = seed.deserialize(&mut parser).and_then(|head| parser.end().map(|()| head));
        head.map_err(|error| trouble.explain(&error, json))
    }

    fn wished_outputs(&self) -> Vec<usize> {
        self.wishes.iter().map(|wish| wish.output).collect()
    }
}

/// Digits and nothing else, as lengths are written in headers; Rust's own reading would take a sign.
fn whole_number(text: &str) -> Option<usize> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Puts inputs in signature order and reads those that stand behind the JSON.
fn place_inputs(signature: &Signature, inputs: Few<Input>, mut behind: &[u8]) -> Result<Vec<Tensor>> {
    let all_bytes = behind.len();
    let mut placed = Inputs::of(signature);
    for (position, input) in inputs.into_iter().enumerate() {
        let tensor = match input.payload {
            Payload::Here(tensor) => tensor,
            Payload::Behind { datatype, shape, bytes: wanted } => {
                let cut = usize::try_from(wanted).ok().and_then(|wanted| behind.split_at_checked(wanted));
                let Some((own, rest)) = cut else {
                    return Err(Error::invalid("the body ends before this tensor does")
                        .at(format!("/inputs/{position}/parameters/binary_data_size"))
                        .expected(format!("at most the {} bytes that are left", behind.len()))
                        .got(wanted.to_string())
                        .hint("is the header Inference-Header-Content-Length right?"));
                };
                behind = rest;
                bytes::read_tensor(datatype, shape, own).map_err(|error| error.at(format!("/inputs/{position}")))?
            }
        };
        placed.put(input.index, tensor);
    }
    if !behind.is_empty() {
        return Err(Error::invalid("there are bytes behind the last tensor")
            .expected(format!("{} bytes behind the JSON", all_bytes - behind.len()))
            .got(format!("{all_bytes} bytes"))
            .hint("give each binary input its parameters.binary_data_size"));
    }
    placed.all().map_err(|error| error.at("/inputs"))
}
