//! Clients that speak gRPC: streams of inferences that are read to the end, and ones that are left.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use bytes::Bytes;
use futures_util::StreamExt as _;
use prost::Message;
use tokio::runtime::Builder;
use tonic::{Request, Streaming, client::Grpc, transport::Endpoint};

use super::{
    Scene,
    clients::{Client, Ending},
};
use crate::{
    cases::{Case, Format},
    grpc_loop::BytesCodec,
};

/// Messages of a stream.
pub const MESSAGES: usize = 20;

const PATH: &str = "/inference.GRPCInferenceService/ModelStreamInfer";

/// Longest time for a stream.
const STREAM_MAX: Duration = Duration::from_secs(20);

/// Sends so many requests to iris and reads as many answers.
pub fn whole(scene: &Scene, _: &mut Client) -> Result<Ending> {
    let answers = read(scene, &scene.iris, MESSAGES)?;
    ensure!(answers == MESSAGES, "{answers} answers to {MESSAGES} requests");
    Ok(Ending::Status(200))
}

/// Sends so many requests, reads a few answers, and is gone.
pub fn left(scene: &Scene, _: &mut Client) -> Result<Ending> {
    let answers = read(scene, &scene.breast_cancer, 3)?;
    ensure!(answers == 3, "{answers} answers of 3");
    Ok(Ending::Left)
}

/// Opens a stream on a connection of its own, and reads at most so many answers; each must hold tensors.
fn read(scene: &Scene, case: &Case, most: usize) -> Result<usize> {
    let message = Bytes::copy_from_slice(case.body(Format::Grpc));
    let driver = Builder::new_current_thread().enable_all().build().context("no runtime for gRPC")?;
    driver.block_on(async {
        let endpoint = Endpoint::from_shared(format!("http://{}", scene.grpc))?.timeout(STREAM_MAX);
        let mut client = Grpc::new(endpoint.connect().await.context("cannot connect")?);
        client.ready().await.context("the connection is gone")?;
        // The request's side stays open, as that of a client who may send more.
        let messages = futures_util::stream::iter(std::iter::repeat_n(message, MESSAGES));
        let messages = messages.chain(futures_util::stream::pending());
        let answers = client.streaming(Request::new(messages), PATH.parse()?, BytesCodec).await;
        let mut answers: Streaming<Bytes> = answers.map_err(|status| anyhow!("{status}"))?.into_inner();
        let mut count = 0;
        while count < most {
            let answer = tokio::time::timeout(STREAM_MAX, answers.message()).await.context("no answer came")?;
            let Some(answer) = answer.map_err(|status| anyhow!("{status}"))? else { break };
            let answer = StreamAnswer::decode(answer).context("no ModelStreamInferResponse")?;
            ensure!(answer.error_message.is_empty(), "an answer is an error: {}", answer.error_message);
            ensure!(!answer.infer_response.is_empty(), "an answer is empty");
            count += 1;
        }
        Ok(count)
    })
}

/// As much of it as has to be told apart.
#[derive(Message)]
struct StreamAnswer {
    #[prost(string, tag = "1")]
    error_message: String,
    #[prost(bytes = "vec", tag = "2")]
    infer_response: Vec<u8>,
}
