//! A request's body that is counted as it comes, within the memory of all bodies, and must arrive in its time, against
//! callers who trickle; and one that ends when the door closes or nothing comes, for streams that would
//! keep it open.
//!
//! What has come of a message is counted here until the message is whole; from then on `service` counts it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use candor_domain::{Error, ErrorCode, Result};
use candor_serving::{Bodies, Held};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::{sync::watch, time::Sleep};
use tonic::{Status, body::Body};

use crate::{closing::closed, error::status, idle::Idleness};

/// What has come of a message that is not whole yet. Only the call whose message it is ever looks at it.
#[derive(Debug, Clone)]
pub(crate) struct Arriving(Arc<Mutex<Held<Arc<Bodies>>>>);

impl Arriving {
    /// Nothing has come.
    pub(crate) fn nothing(bodies: &Arc<Bodies>) -> Self {
        Self(Arc::new(Mutex::new(Held::nothing(Arc::clone(bodies)))))
    }

    fn grow(&self, more: usize) -> Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).grow(more)
    }

    /// A message is whole.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).shrink_to(0);
    }
}

/// A body that is counted as it comes.
pub(crate) struct CountedBody {
    body: Body,
    arriving: Arriving,
}

impl CountedBody {
    /// `body`, counted by `arriving`.
    pub(crate) fn new(body: Body, arriving: Arriving) -> Self {
        Self { body, arriving }
    }
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context).map(|frame| {
            let more = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
            match self.arriving.grow(more) {
                Ok(()) => frame,
                Err(error) => Some(Err(status(&error))),
            }
        })
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

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
