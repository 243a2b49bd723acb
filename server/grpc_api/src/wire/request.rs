//! An infer request: whose model, and then, with the version at hand, inputs and requested outputs.
//!
//! Shapes and datatypes are compared with the signature after this; here they only have to be well formed and
//! within limits.

use std::sync::Arc;

use bytes::Bytes;
use candor_domain::{Error, Result, Signature, Tensor};
use candor_serving::{
    Codec, InferRequest, Ran, ReadyVersion,
    oip::{Inputs, bytes::read_tensor, inputs},
};

use super::{contents, fields::Fields, params::Params, reply};
use crate::{limits::GrpcLimits, proto::ModelInferResponse};

/// A `ModelInferRequest`, as its bytes.
#[derive(Debug, Clone)]
pub struct InferMessage(pub(crate) Bytes);

/// Field numbers of `ModelInferRequest`.
mod message {
    pub(super) const MODEL_NAME: u32 = 1;
    pub(super) const MODEL_VERSION: u32 = 2;
    pub(super) const ID: u32 = 3;
    pub(super) const PARAMETERS: u32 = 4;
    pub(super) const INPUTS: u32 = 5;
    pub(super) const OUTPUTS: u32 = 6;
    pub(super) const RAW_INPUT_CONTENTS: u32 = 7;
}

/// Field numbers of `InferInputTensor`; of `InferRequestedOutputTensor` NAME, and parameters at 2.
mod tensor {
    pub(super) const NAME: u32 = 1;
    pub(super) const DATATYPE: u32 = 2;
    pub(super) const SHAPE: u32 = 3;
    pub(super) const PARAMETERS: u32 = 4;
    pub(super) const OUTPUT_PARAMETERS: u32 = 2;
}

/// Whom a request is for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    pub(crate) model: &'a str,
    pub(crate) version: Option<&'a str>,
    pub(crate) id: &'a str,
}

impl InferMessage {
    /// Whom it is for.
    pub(crate) fn target(&self) -> Result<Target<'_>> {
        let mut target = Target::default();
        for field in Fields::of(&self.0) {
            match field? {
                (message::MODEL_NAME, value) => target.model = value.text()?,
                (message::MODEL_VERSION, value) => target.version = Some(value.text()?).filter(|text| !text.is_empty()),
                (message::ID, value) => target.id = value.text()?,
                _ => {}
            }
        }
        Ok(target)
    }
}

/// One request's way in and out.
pub struct InferCodec {
    message: InferMessage,
    limits: Arc<GrpcLimits>,
    id: String,
    raw: bool,
    wishes: Vec<Wish>,
}

/// An output that is wanted, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    pub(super) output: usize,
    pub(super) classes: Option<u64>,
}

impl InferCodec {
    /// A codec for one message.
    #[must_use]
    pub fn new(message: InferMessage, limits: Arc<GrpcLimits>) -> Self {
        Self { message, limits, id: String::new(), raw: false, wishes: Vec::new() }
    }
}

impl Codec for InferCodec {
    type Reply = ModelInferResponse;

    fn body_bytes(&self) -> usize {
        self.message.0.len()
    }

    fn decode(&mut self, version: &ReadyVersion) -> Result<InferRequest> {
        let signature = &version.signature;
        let parts = Parts::of(&self.message.0, &self.limits)?;
        parts.id.clone_into(&mut self.id);
        self.raw = !parts.raw.is_empty();
        self.wishes = parts.wishes(signature, &self.limits)?;
        Ok(InferRequest {
            inputs: parts.tensors(signature, &self.limits)?,
            outputs: self.wishes.iter().map(|wish| wish.output).collect(),
            timeout: parts.params.timeout,
            priority: parts.params.priority,
        })
    }

    fn encode(self, ran: Ran<'_>) -> Result<ModelInferResponse> {
        reply::write(ran, self.id, &self.wishes, self.raw)
    }
}

/// A message taken apart as far as its own fields go.
#[derive(Default)]
struct Parts<'a> {
    id: &'a str,
    params: Params,
    inputs: Vec<&'a [u8]>,
    outputs: Vec<&'a [u8]>,
    raw: Vec<&'a [u8]>,
}

impl<'a> Parts<'a> {
    fn of(message: &'a [u8], limits: &GrpcLimits) -> Result<Self> {
        let limits = &limits.tensors;
        let mut parts = Self::default();
        let push = |list: &mut Vec<&'a [u8]>, part, at: &str| {
            limits.check_count(list.len()).map_err(|error| error.at(at))?;
            list.push(part);
            Ok(())
        };
        for field in Fields::of(message) {
            match field? {
                (message::ID, value) => parts.id = value.text()?,
                (message::PARAMETERS, value) => parts.params.read(value.bytes()?, limits)?,
                (message::INPUTS, value) => push(&mut parts.inputs, value.bytes()?, "inputs")?,
                (message::OUTPUTS, value) => push(&mut parts.outputs, value.bytes()?, "outputs")?,
                (message::RAW_INPUT_CONTENTS, value) => push(&mut parts.raw, value.bytes()?, "raw_input_contents")?,
                _ => {}
            }
        }
        limits.check_name(parts.id).map_err(|error| error.at("id"))?;
        Ok(parts)
    }

    /// The inputs, in signature order.
    fn tensors(&self, signature: &Signature, limits: &GrpcLimits) -> Result<Vec<Tensor>> {
        let mut placed = Inputs::of(signature);
        let mut seen = Vec::with_capacity(self.inputs.len());
        for (position, input) in self.inputs.iter().enumerate() {
            let place = Place { signature, position };
            let elements = match (self.raw.get(position), self.raw.is_empty()) {
                (Some(raw), _) => Elements::Raw(raw),
                (None, true) => Elements::Typed,
                (None, false) => Elements::Nowhere,
            };
            let (index, tensor) = match place.read(input, elements, limits)? {
                (index, Some(tensor)) => (index, tensor),
                (_, None) => return Err(self.uneven()),
            };
            if seen.contains(&index) {
                return Err(place.error(Some(index), "name", Error::invalid("this input stands there twice")));
            }
            seen.push(index);
            placed.put(index, tensor);
        }
        if self.raw.len() > self.inputs.len() {
            return Err(self.uneven());
        }
        placed.all().map_err(|error| error.at("inputs"))
    }

    fn uneven(&self) -> Error {
        Error::invalid("there must be raw contents for every input, or for none")
            .at("raw_input_contents")
            .expected(self.inputs.len().to_string())
            .got(self.raw.len().to_string())
    }

    /// The outputs that are wanted; all when none is named.
    fn wishes(&self, signature: &Signature, limits: &GrpcLimits) -> Result<Vec<Wish>> {
        if self.outputs.is_empty() {
            return Ok((0..signature.outputs.len()).map(|output| Wish { output, classes: None }).collect());
        }
        let mut wishes: Vec<Wish> = Vec::with_capacity(self.outputs.len());
        for (position, output) in self.outputs.iter().enumerate() {
            let at = |error: Error| error.at(format!("outputs[{position}]"));
            let (mut name, mut params) = ("", Params::default());
            for field in Fields::of(output) {
                match field? {
                    (tensor::NAME, value) => name = value.text()?,
                    (tensor::OUTPUT_PARAMETERS, value) => params.read(value.bytes()?, &limits.tensors).map_err(at)?,
                    _ => {}
                }
            }
            limits.tensors.check_name(name).map_err(at)?;
            let output = inputs::output_index(signature, name).map_err(at)?;
            if wishes.iter().any(|known| known.output == output) {
                return Err(at(Error::invalid(format!("output '{name}' stands there twice"))));
            }
            wishes.push(Wish { output, classes: params.classes });
        }
        Ok(wishes)
    }
}

/// Where an input's elements are.
#[derive(Clone, Copy)]
enum Elements<'a> {
    /// In its contents.
    Typed,
    /// Among the raw contents.
    Raw(&'a [u8]),
    /// There are raw contents, and none for it.
    Nowhere,
}

/// Where an input stands, for messages.
struct Place<'a> {
    signature: &'a Signature,
    position: usize,
}

impl Place<'_> {
    fn error(&self, index: Option<usize>, field: &str, error: Error) -> Error {
        let known = index.and_then(|index| self.signature.inputs.get(index));
        let name = known.map(|spec| format!("input '{}' at ", spec.name)).unwrap_or_default();
        let dot = if field.is_empty() { "" } else { "." };
        error.at(format!("{name}inputs[{}]{dot}{field}", self.position))
    }

    /// Reads one input, if its elements are somewhere, and where in the signature it belongs.
    fn read(&self, input: &[u8], elements: Elements<'_>, limits: &GrpcLimits) -> Result<(usize, Option<Tensor>)> {
        const DIMS_KEPT: usize = 64;
        let (mut name, mut datatype, mut dims) = ("", "", Vec::new());
        let mut params = Params::default();
        for field in Fields::of(input) {
            match field? {
                (tensor::NAME, value) => name = value.text()?,
                (tensor::DATATYPE, value) => datatype = value.text()?,
                (tensor::SHAPE, value) => value.each_varint(|dim| {
                    // A few too many are kept, so that the message can say how many there are.
                    if dims.len() <= DIMS_KEPT {
                        dims.push(dim.cast_signed());
                    }
                    Ok(())
                })?,
                (tensor::PARAMETERS, value) => {
                    params.read(value.bytes()?, &limits.tensors).map_err(|error| self.error(None, "", error))?;
                }
                _ => {}
            }
        }
        limits.tensors.check_name(name).map_err(|error| self.error(None, "name", error))?;
        let index = inputs::input_index(self.signature, name).map_err(|error| self.error(None, "name", error))?;
        let at = |field: &str, error: Error| self.error(Some(index), field, error);
        let datatype = inputs::datatype(datatype).map_err(|error| at("datatype", error))?;
        let shape = limits.tensors.shape(&dims).map_err(|error| at("shape", error))?;
        let tensor = match elements {
            Elements::Nowhere => return Ok((index, None)),
            Elements::Typed => contents::read(datatype, shape, input).map_err(|error| at("contents", error))?,
            Elements::Raw(_) if contents::are_in(input)? => {
                let error = Error::invalid("the input has contents, and the request has raw contents");
                return Err(at("contents", error.hint("send all inputs in one of the two forms")));
            }
            Elements::Raw(raw) => {
                let at = |error: Error| error.at(format!("input '{name}' at raw_input_contents[{}]", self.position));
                read_tensor(datatype, shape, raw).map_err(at)?
            }
        };
        Ok((index, Some(tensor)))
    }
}
