//! Messages to bytes and back, bounded: what a message takes in memory is bounded before it is taken apart.
//!
//! A message of many empty parts takes a hundred times its size once it is taken apart, so no message is taken
//! apart that may be large: infer requests are kept as bytes and read by [`crate::wire`], all others must be small.

use std::marker::PhantomData;

use bytes::{Buf as _, Bytes};
use candor_domain::{Error, ErrorCode};
use prost::Message;
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use crate::{error::status, wire::InferMessage};

/// Largest message that asks for anything but an inference.
const CONTROL_BYTES_MAX: usize = 1 << 20;

/// A message that comes in.
pub trait Incoming: Sized + Send + 'static {
    /// Makes it of its bytes.
    ///
    /// # Errors
    /// What is wrong with them.
    fn of(bytes: Bytes) -> Result<Self, Status>;
}

impl Incoming for InferMessage {
    fn of(bytes: Bytes) -> Result<Self, Status> {
        Ok(Self(bytes))
    }
}

impl<M: Message + Default + 'static> Incoming for M {
    fn of(bytes: Bytes) -> Result<Self, Status> {
        if bytes.len() > CONTROL_BYTES_MAX {
            let error = Error::new(ErrorCode::TooLarge, "the message is too large for what it asks for");
            let error = error.expected(format!("at most {CONTROL_BYTES_MAX} bytes")).got(bytes.len().to_string());
            return Err(status(&error));
        }
        let broken = |error| status(&Error::invalid(format!("the message cannot be read: {error}")));
        M::decode(bytes).map_err(broken)
    }
}

/// The codec of every method of ours.
pub struct BoundedCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for BoundedCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T: Message + 'static, U: Incoming> Codec for BoundedCodec<T, U> {
    type Encode = T;
    type Decode = U;
    type Encoder = Out<T>;
    type Decoder = In<U>;

    fn encoder(&mut self) -> Out<T> {
        Out(PhantomData)
    }

    fn decoder(&mut self) -> In<U> {
        In(PhantomData)
    }
}

/// Writes messages.
pub struct Out<T>(PhantomData<T>);

impl<T: Message + 'static> Encoder for Out<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(item.encoded_len());
        item.encode(buffer).map_err(|error| Status::internal(format!("cannot write the answer: {error}")))
    }
}

/// Reads messages.
pub struct In<U>(PhantomData<U>);

impl<U: Incoming> Decoder for In<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // Without a copy: the buffer gives its part away.
        U::of(buffer.copy_to_bytes(buffer.remaining())).map(Some)
    }
}
