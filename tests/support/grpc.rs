//! A gRPC client of the server's own `.proto` files, for tests that wait for each answer; and calls whose path and
//! bytes are whatever a test wants.

use std::{net::SocketAddr, time::Duration};

use bytes::{Buf as _, BufMut as _, Bytes};
use tokio::runtime::{Builder, Runtime};
use tonic::{
    Request, Status, Streaming,
    client::Grpc as Client,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::{Channel, Endpoint},
};

use serde_json::{Value, json};

use crate::{
    infer::{from_bytes, to_bytes},
    patience::PATIENCE,
};

/// Messages and client, as tonic makes them.
#[allow(missing_docs, clippy::all, reason = "generated")]
pub mod proto {
    tonic::include_proto!("inference");
}

use proto::{
    InferTensorContents, ModelInferRequest, ModelInferResponse, ModelStreamInferResponse,
    grpc_inference_service_client::GrpcInferenceServiceClient,
    model_infer_request::{InferInputTensor, InferRequestedOutputTensor},
};

/// The generated client.
pub type InferenceClient = GrpcInferenceServiceClient<Channel>;

/// One connection and the runtime that drives it.
pub struct Grpc {
    runtime: Runtime,
    channel: Channel,
}

impl Grpc {
    /// Connects.
    ///
    /// # Panics
    /// When it cannot.
    #[must_use]
    pub fn open(addr: SocketAddr) -> Self {
        Self::try_open(addr).expect("cannot connect")
    }

    /// Connects, if it can.
    ///
    /// # Errors
    /// When it cannot.
    ///
    /// # Panics
    /// When the system gives no runtime.
    pub fn try_open(addr: SocketAddr) -> Result<Self, tonic::transport::Error> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let endpoint = Endpoint::from_shared(format!("http://{addr}")).unwrap().connect_timeout(PATIENCE);
        let channel = runtime.block_on(endpoint.connect())?;
        Ok(Self { runtime, channel })
    }

    /// Waits for a future, with an end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("no answer came") })
    }

    /// Begins something that goes on by itself.
    pub fn begin<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.runtime.spawn(future)
    }

    /// The generated client, for answers of any size.
    #[must_use]
    pub fn client(&self) -> InferenceClient {
        InferenceClient::new(self.channel.clone()).max_decoding_message_size(usize::MAX)
    }

    /// The connection, for other clients.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// One inference.
    ///
    /// # Errors
    /// The server's refusal.
    pub fn infer(&self, request: impl tonic::IntoRequest<ModelInferRequest>) -> Result<ModelInferResponse, Status> {
        self.wait(self.client().model_infer(request)).map(tonic::Response::into_inner)
    }

    /// A stream of inferences, all of them sent before an answer is read.
    ///
    /// # Errors
    /// The server's refusal, or what ended the stream.
    pub fn infer_all(&self, requests: Vec<ModelInferRequest>) -> Result<Vec<ModelStreamInferResponse>, Status> {
        self.wait(async {
            let mut answers =
                self.client().model_stream_infer(futures_util::stream::iter(requests)).await?.into_inner();
            let mut all = Vec::new();
            while let Some(answer) = answers.message().await? {
                all.push(answer);
            }
            Ok(all)
        })
    }

    /// Calls any path with any bytes; the first message of the answer.
    ///
    /// # Errors
    /// The server's refusal.
    ///
    /// # Panics
    /// When the path is none.
    pub fn call(&self, path: &str, request: Request<Bytes>) -> Result<Option<Bytes>, Status> {
        self.wait(async {
            let mut client = Client::new(self.channel.clone());
            client.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
            let path = path.parse().expect("a path");
            let answers = client.server_streaming(request, path, BytesCodec).await?;
            let mut answers: Streaming<Bytes> = answers.into_inner();
            answers.message().await
        })
    }
}

/// A request with the given access' token.
///
/// # Panics
/// When the token is no metadata.
pub fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

/// A request with a deadline.
pub fn within<T>(message: T, time: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(time);
    request
}

/// A request to `model` with `inputs`.
#[must_use]
pub fn request(model: &str, inputs: Vec<InferInputTensor>) -> ModelInferRequest {
    ModelInferRequest { model_name: model.to_owned(), inputs, ..ModelInferRequest::default() }
}

/// An input without elements.
#[must_use]
pub fn tensor(name: &str, datatype: &str, shape: &[i64]) -> InferInputTensor {
    InferInputTensor {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
        ..InferInputTensor::default()
    }
}

/// An input with typed elements.
#[must_use]
pub fn typed(name: &str, datatype: &str, shape: &[i64], contents: InferTensorContents) -> InferInputTensor {
    InferInputTensor { contents: Some(contents), ..tensor(name, datatype, shape) }
}

/// A tensor as the protocol writes it in JSON, flat, as an input with typed elements.
///
/// # Panics
/// When an element is not of the datatype.
#[must_use]
pub fn typed_of(value: &Value) -> InferInputTensor {
    let data = value["data"].as_array().unwrap().iter();
    let mut contents = InferTensorContents::default();
    let signed = |value: &Value| value.as_i64().unwrap();
    let datatype = value["datatype"].as_str().unwrap();
    #[allow(clippy::cast_possible_truncation, reason = "the text is that of a float32")]
    match datatype {
        "BOOL" => contents.bool_contents = data.map(|value| value.as_bool().unwrap()).collect(),
        "INT8" | "INT16" | "INT32" => contents.int_contents = data.map(|value| signed(value) as i32).collect(),
        "INT64" => contents.int64_contents = data.map(signed).collect(),
        "FP32" => contents.fp32_contents = data.map(|value| value.as_f64().unwrap() as f32).collect(),
        "FP64" => contents.fp64_contents = data.map(|value| value.as_f64().unwrap()).collect(),
        "BYTES" => contents.bytes_contents = data.map(|value| value.as_str().unwrap().into()).collect(),
        other => panic!("no contents for {other}"),
    }
    typed(value["name"].as_str().unwrap(), datatype, &dims(value), contents)
}

/// A tensor as the protocol writes it in JSON, flat, as an input and its raw contents.
///
/// # Panics
/// When an element is not of the datatype.
#[must_use]
pub fn raw_of(value: &Value) -> (InferInputTensor, Vec<u8>) {
    let datatype = value["datatype"].as_str().unwrap();
    let bytes = to_bytes(datatype, value["data"].as_array().unwrap());
    (tensor(value["name"].as_str().unwrap(), datatype, &dims(value)), bytes)
}

fn dims(value: &Value) -> Vec<i64> {
    value["shape"].as_array().unwrap().iter().map(|dim| dim.as_i64().unwrap()).collect()
}

/// The outputs of an answer, as the protocol writes them in JSON, flat.
///
/// # Panics
/// When raw and typed contents are mixed.
#[must_use]
pub fn outputs(answer: &ModelInferResponse) -> Vec<Value> {
    let raw = !answer.raw_output_contents.is_empty();
    let each = answer.outputs.iter().enumerate().map(|(at, output)| {
        let contents = output.contents.as_ref();
        assert_eq!(contents.is_none(), raw, "{}", output.name);
        let data: Vec<Value> = match contents {
            None => from_bytes(&output.datatype, &answer.raw_output_contents[at]),
            Some(contents) => elements(contents),
        };
        json!({"name": output.name, "datatype": output.datatype, "shape": output.shape, "data": data})
    });
    each.collect()
}

/// Whatever stands in typed contents.
fn elements(contents: &InferTensorContents) -> Vec<Value> {
    let text = |bytes: &Vec<u8>| json!(std::str::from_utf8(bytes).unwrap());
    let lists = [
        contents.bool_contents.iter().map(|value| json!(value)).collect::<Vec<_>>(),
        contents.int_contents.iter().map(|value| json!(value)).collect(),
        contents.int64_contents.iter().map(|value| json!(value)).collect(),
        contents.uint_contents.iter().map(|value| json!(value)).collect(),
        contents.uint64_contents.iter().map(|value| json!(value)).collect(),
        contents.fp32_contents.iter().map(|value| json!(value)).collect(),
        contents.fp64_contents.iter().map(|value| json!(value)).collect(),
        contents.bytes_contents.iter().map(text).collect(),
    ];
    lists.concat()
}

/// A request to `model` with the inputs of `values`, typed.
#[must_use]
pub fn typed_request(model: &str, values: &[Value]) -> ModelInferRequest {
    request(model, values.iter().map(typed_of).collect())
}

/// A request to `model` with the inputs of `values`, raw.
#[must_use]
pub fn raw_request(model: &str, values: &[Value]) -> ModelInferRequest {
    let (inputs, raw_input_contents) = values.iter().map(raw_of).unzip();
    ModelInferRequest { raw_input_contents, ..request(model, inputs) }
}

/// An output that is wanted.
#[must_use]
pub fn wanted(name: &str) -> InferRequestedOutputTensor {
    InferRequestedOutputTensor { name: name.to_owned(), ..InferRequestedOutputTensor::default() }
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
