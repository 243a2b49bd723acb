//! One inference, or a stream of them.

use std::{
    future::{pending, ready},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use candor_domain::{Error, ErrorCode, Result};
use candor_serving::Call;
use futures_util::{Stream, StreamExt as _, stream};
use tonic::{Request, Status, Streaming};

use super::Inference;
use crate::{
    body::Arriving,
    closing::closed,
    error::status,
    gate::{Caller, deadline, too_large, too_late},
    idle::{self, Idleness, Working},
    proto::{InferParameter, ModelInferResponse, ModelStreamInferResponse, infer_parameter::ParameterChoice},
    wire::{InferCodec, InferMessage},
};

/// The answers of a stream, in the order of its requests.
pub(crate) type Answers = Pin<Box<dyn Stream<Item = Result<ModelStreamInferResponse, Status>> + Send>>;

impl Inference {
    /// Answers one request.
    pub(super) async fn infer(&self, message: InferMessage) -> Result<ModelInferResponse> {
        let codec = InferCodec::new(message.clone(), Arc::clone(&self.0.limits));
        let target = message.target()?;
        self.0.pipeline.infer(Call { model: target.model, version: target.version }, codec).await
    }

    /// Answers requests as they come, a bounded number of them at the same time. It ends with the requests, at the
    /// caller's deadline, when nothing comes for too long, or when the door closes; then those that are under way are answered first.
    pub(super) fn infer_stream(&self, request: Request<Streaming<InferMessage>>) -> Result<Answers> {
        let (metadata, extensions, messages) = request.into_parts();
        let time = deadline(&metadata.into_headers())?;
        let caller = extensions.get::<Caller>().cloned();
        let arriving = extensions.get::<Arriving>().cloned();
        let (service, closing) = (self.clone(), self.0.closing.clone());
        let bytes_max = self.0.limits.message_bytes_max;
        let working = Working::default();
        let at_work = working.clone();
        let answers = messages
            .take_until(closed(closing.clone()))
            .map(move |message| {
                let (service, caller, work) = (service.clone(), caller.clone(), at_work.begin());
                // What has come of the next one is less than a frame.
                arriving.as_ref().inspect(|arriving| arriving.clear());
                let message = message.map(|message| (service.counted(message.clone()), message));
                async move {
                    let _work = work;
                    match message {
                        Ok((counted, named)) => Ok(service.answer_in_stream(counted, &named, caller.as_ref()).await),
                        Err(found) => Err(too_large(&found, bytes_max).unwrap_or(found)),
                    }
                }
            })
            .buffered(self.0.limits.stream_inflight_max);
        let idleness = Idleness::new(self.0.limits.stream_idle_max, Arc::clone(&self.0.cuts));
        let answers = idle::Answers::new(answers, working, idleness)
            .chain(stream::once(async move { Err(stopping()) }).filter(move |_| ready(*closing.borrow())));
        Ok(until(answers, time).boxed())
    }

    /// Answers one request of a stream; what is wrong with it does not end the stream.
    async fn answer_in_stream(
        &self,
        message: Result<InferMessage>,
        named: &InferMessage,
        caller: Option<&Caller>,
    ) -> ModelStreamInferResponse {
        // The call itself has paid for its opening, and each request pays for itself.
        let paid = caller.map_or(Ok(()), |caller| self.0.callers.spend(&caller.principal, caller.address));
        let answer = match paid.and(message) {
            Ok(message) => self.infer(message).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(mut answer) => {
                // There is one answer for each request, so each is the last one.
                let last = InferParameter { parameter_choice: Some(ParameterChoice::BoolParam(true)) };
                answer.parameters.insert("triton_final_response".to_owned(), last);
                ModelStreamInferResponse { error_message: String::new(), infer_response: Some(answer) }
            }
            Err(error) => {
                // So that the caller knows which request it was.
                let target = named.target().unwrap_or_default();
                let infer_response = ModelInferResponse {
                    model_name: target.model.to_owned(),
                    model_version: target.version.unwrap_or_default().to_owned(),
                    id: target.id.to_owned(),
                    ..ModelInferResponse::default()
                };
                let error_message = status(&error).message().to_owned();
                ModelStreamInferResponse { error_message, infer_response: Some(infer_response) }
            }
        }
    }
}

fn stopping() -> Status {
    status(&Error::new(ErrorCode::NotReady, "the server is stopping").retry_after_s(1))
}

/// The answers until the caller's time is over.
fn until<T: Send + 'static>(
    answers: impl Stream<Item = Result<T, Status>> + Send + 'static,
    time: Option<Duration>,
) -> impl Stream<Item = Result<T, Status>> + Send {
    let late = stream::once(async move {
        match time {
            Some(time) => {
                tokio::time::sleep(time).await;
                Some(Err(too_late(time)))
            }
            None => pending().await,
        }
    });
    // Nothing stands for the end of the answers: the timer must not keep the stream open.
    let answers = answers.map(Some).chain(stream::once(ready(None)));
    stream::select(answers.boxed(), late.boxed()).take_while(|answer| ready(answer.is_some())).filter_map(ready)
}
