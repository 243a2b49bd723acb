//! The closed loop over gRPC: so many connections, each with one call at a time, from one thread.
//!
//! Messages are made once and answers are not decoded, so that the client costs little; it still costs more than
//! `wrk`, so that calls per second say less of the server than its CPU does.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use bytes::{Buf as _, BufMut as _, Bytes};
use tokio::runtime::{Builder, Runtime};
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::{Channel, Endpoint},
};

use crate::{
    cases::{Case, Format},
    closed_loop::Outcome,
    stats::percentile,
    timer::Moment,
};

/// Longest wait for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Calls with one request for so many seconds. Any call that fails is an error.
pub fn run(addr: SocketAddr, case: &Case, connections: u32, span: Duration) -> Result<Outcome> {
    let message = Bytes::copy_from_slice(case.body(Format::Grpc));
    let path = case.path(Format::Grpc);
    driver()?.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..connections {
            clients.push(Caller::open(addr).await?);
        }
        let began = Moment::now();
        let calls = clients.into_iter().map(|mut client| {
            let (message, path) = (message.clone(), path.as_str());
            async move {
                let mut nanos = Vec::new();
                while began.elapsed() < span {
                    let sent = Moment::now();
                    client.call(path, message.clone()).await?;
                    nanos.push(u64::try_from(sent.elapsed().as_nanos())?);
                }
                anyhow::Ok(nanos)
            }
        });
        let nanos = futures_util::future::try_join_all(calls).await?.concat();
        outcome(nanos, began.elapsed()).with_context(|| format!("{} over gRPC at {addr}", case.name()))
    })
}

/// One call; the answer's message.
pub fn ask(addr: SocketAddr, case: &Case) -> Result<Vec<u8>> {
    driver()?.block_on(async {
        let mut client = Caller::open(addr).await?;
        let message = Bytes::copy_from_slice(case.body(Format::Grpc));
        Ok(client.call(&case.path(Format::Grpc), message).await?.to_vec())
    })
}

fn driver() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("no runtime for gRPC")
}

#[allow(clippy::cast_precision_loss, reason = "counts and nanoseconds of some seconds")]
fn outcome(mut nanos: Vec<u64>, took: Duration) -> Result<Outcome> {
    nanos.sort_unstable();
    let micros = |q| Some(percentile(&nanos, q)? as f64 / 1e3);
    let (p50_us, p99_us) = micros(0.50).zip(micros(0.99)).context("nothing was answered")?;
    let requests = nanos.len() as f64;
    Ok(Outcome { requests, per_second: requests / took.as_secs_f64(), p50_us, p99_us })
}

/// A connection of its own.
struct Caller(Grpc<Channel>);

impl Caller {
    async fn open(addr: SocketAddr) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{addr}"))?.connect_timeout(ANSWER_MAX).timeout(ANSWER_MAX);
        let channel = endpoint.connect().await.context("cannot connect")?;
        Ok(Self(Grpc::new(channel).max_decoding_message_size(usize::MAX)))
    }

    async fn call(&mut self, path: &str, message: Bytes) -> Result<Bytes> {
        self.0.ready().await.context("the connection is gone")?;
        let answer = self.0.unary(Request::new(message), path.parse()?, BytesCodec).await;
        answer.map(tonic::Response::into_inner).map_err(|status| anyhow!("{}: {}", status.code(), status.message()))
    }
}

/// Bytes as they are.
#[derive(Debug, Default)]
pub struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_and_none_is_an_error() {
        let got = outcome(vec![3_000_000, 1_000_000, 2_000_000], Duration::from_secs(2)).unwrap();
        assert_eq!(got, Outcome { requests: 3.0, per_second: 1.5, p50_us: 2000.0, p99_us: 3000.0 });
        assert!(outcome(Vec::new(), Duration::from_secs(2)).is_err());
    }
}
