//! A request's body that must arrive in its time, against callers who trickle; and one that ends when the door
//! closes or nothing comes, for streams that would keep it open.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use candor_domain::{Error, ErrorCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::{sync::watch, time::Sleep};
use tonic::{Status, body::Body};

use crate::{closing::closed, error::status, idle::Idleness};

/// A body and the time that is left for it.
pub(crate) struct TimedBody {
    body: Body,
    time: Duration,
    /// Made when the body first has to be waited for: most have come with their head.
    timer: Option<Pin<Box<Sleep>>>,
}

impl TimedBody {
    /// `body`, which has `time` to arrive from when it is first waited for.
    pub(crate) fn new(body: Body, time: Duration) -> Self {
        Self { body, time, timer: None }
    }
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame);
        }
        let time = self.time;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
        if timer.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        let error = Error::new(ErrorCode::BodyTimeout, "the message did not arrive in time")
            .expected(format!("the whole message within {} ms (limits.body_read_ms_max)", time.as_millis()));
        Poll::Ready(Some(Err(status(&error))))
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

/// A body that ends when the door closes, or when nothing comes for too long.
pub(crate) struct ClosingBody {
    body: Body,
    closed: Pin<Box<dyn Future<Output = ()> + Send>>,
    idleness: Idleness,
}

impl ClosingBody {
    /// `body`, until the door closes or it is idle.
    pub(crate) fn new(body: Body, closing: watch::Receiver<bool>, idleness: Idleness) -> Self {
        Self { body, closed: Box::pin(closed(closing)), idleness }
    }
}

impl HttpBody for ClosingBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.idleness.end();
            return Poll::Ready(frame);
        }
        if self.closed.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        self.idleness.poll(context).map(|status| Some(Err(status)))
    }
}
