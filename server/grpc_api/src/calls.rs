//! The calls of one connection, and the time in which their answers must be read.
//!
//! Before it: whoever drives a connection, who begins a call here for each request. After it: the HTTP/2 library, which
//! asks an [`Answer`] for the next piece as soon as the client has room for it. A client that makes no room is not
//! heard of; so whoever drives the connection looks again and again, and what has waited too long is let go: the
//! answer, and the work that would go on for it. Knows neither methods nor messages.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use candor_domain::{Error, ErrorCode};
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame};
use tonic::{Status, body::Body};

use crate::error::status;

/// Looks at an answer after which it is let go; they come that often in the time that a client has.
pub(crate) const LOOKS: u32 = 4;
/// Most of an answer that the HTTP/2 library is given at once: what it has, nobody can take back.
const PIECE_BYTES_MAX: usize = 64 << 10;

/// The calls of one connection that are not over.
#[derive(Default)]
pub(crate) struct Calls {
    open: Mutex<HashMap<u64, Arc<Mutex<Held>>>>,
    begun: AtomicU64,
}

/// What a call holds.
#[derive(Default)]
struct Held {
    /// What is still to be asked; `None` before there is an answer and after its end.
    body: Option<Body>,
    /// What the body has given and nobody has fetched.
    rest: Bytes,
    /// Whether the client has to fetch something, and not the server to make something.
    waits_for_client: bool,
    /// Looks since it was last fetched from.
    looks: u32,
    /// What it is ended with.
    given_up: Option<Status>,
}

impl Calls {
    fn open(&self) -> MutexGuard<'_, HashMap<u64, Arc<Mutex<Held>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call begins.
    pub(crate) fn begin(self: &Arc<Self>) -> Call {
        let (id, held) = (self.begun.fetch_add(1, Relaxed), Arc::<Mutex<Held>>::default());
        self.open().insert(id, Arc::clone(&held));
        Call { calls: Arc::clone(self), id, held }
    }

    /// Whether no call is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.open().is_empty()
    }

    /// Calls that ever were.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Relaxed)
    }

    /// Looks at every answer, and lets go of those that were not read in `read_max`; says how many those are.
    pub(crate) fn look(&self, read_max: Duration) -> usize {
        let calls: Vec<_> = self.open().values().map(Arc::clone).collect();
        let late = calls.iter().filter_map(|call| {
            // Whoever holds it is at it.
            let mut held = call.try_lock().ok()?;
            held.looks += u32::from(held.waits_for_client);
            (held.looks > LOOKS).then(|| {
                held.waits_for_client = false;
                held.looks = 0;
                held.given_up = Some(unread(read_max));
                (held.body.take(), std::mem::take(&mut held.rest))
            })
        });
        // Dropped only now: with an answer goes the work for it.
        late.collect::<Vec<_>>().len()
    }
}

fn unread(read_max: Duration) -> Status {
    let error = Error::new(ErrorCode::DeadlineExceeded, "the answer was not read in time");
    let millis = read_max.as_millis();
    status(&error.expected(format!("room for the next piece within {millis} ms (grpc.answer_read_ms_max)")))
}

/// A call from its first byte to the end of its answer.
pub(crate) struct Call {
    calls: Arc<Calls>,
    id: u64,
    held: Arc<Mutex<Held>>,
}

impl Call {
    /// It is answered with this.
    pub(crate) fn answer(self, body: Body) -> Answer {
        {
            let mut held = self.held();
            held.body = Some(body);
            held.waits_for_client = true;
        }
        Answer(self)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.calls.open().remove(&self.id);
    }
}

/// The body of an answer, which is looked at.
pub(crate) struct Answer(Call);

impl Held {
    fn next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(status) = self.given_up.take() {
            let mut trailers = HeaderMap::new();
            return Poll::Ready(status.add_header(&mut trailers).is_ok().then(|| Ok(Frame::trailers(trailers))));
        }
        if self.rest.is_empty() {
            let Some(body) = &mut self.body else { return Poll::Ready(None) };
            let Poll::Ready(frame) = Pin::new(body).poll_frame(context) else { return Poll::Pending };
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.rest = data,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    self.body = None;
                    return Poll::Ready(None);
                }
            }
        }
        let piece = self.rest.split_to(self.rest.len().min(PIECE_BYTES_MAX));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut held = self.0.held();
        let next = held.next(context);
        held.looks = 0;
        held.waits_for_client = matches!(next, Poll::Ready(Some(_)));
        next
    }

    fn is_end_stream(&self) -> bool {
        let held = self.0.held();
        held.given_up.is_none() && held.rest.is_empty() && held.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, task::Waker};

    use tonic::Code;

    use super::*;

    const READ_MAX: Duration = Duration::from_secs(1);

    /// Gives pieces, then waits for ever; tells when it is dropped.
    struct Pieces(VecDeque<Bytes>, Arc<AtomicU64>);

    impl HttpBody for Pieces {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            self.0.pop_front().map_or(Poll::Pending, |piece| Poll::Ready(Some(Ok(Frame::data(piece)))))
        }
    }

    impl Drop for Pieces {
        fn drop(&mut self) {
            self.1.fetch_add(1, Relaxed);
        }
    }

    fn answer(calls: &Arc<Calls>, sizes: &[usize]) -> (Answer, Arc<AtomicU64>) {
        let dropped = Arc::<AtomicU64>::default();
        let pieces = sizes.iter().map(|size| Bytes::from(vec![0; *size])).collect();
        (calls.begin().answer(Body::new(Pieces(pieces, Arc::clone(&dropped)))), dropped)
    }

    fn poll(answer: &mut Answer) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(answer).poll_frame(&mut Context::from_waker(Waker::noop()))
    }

    fn looks(calls: &Calls, number: u32) -> usize {
        (0..number).map(|_| calls.look(READ_MAX)).sum()
    }

    fn length(answer: &mut Answer) -> usize {
        let Poll::Ready(Some(Ok(frame))) = poll(answer) else { panic!("no frame") };
        frame.into_data().unwrap().len()
    }

    #[test]
    fn what_is_not_read_is_let_go_with_the_work_for_it_and_the_client_is_told() {
        let calls = Arc::<Calls>::default();
        // One was never asked for anything, the other gave a piece that nobody came back after.
        let (mut never, never_dropped) = answer(&calls, &[1]);
        let (mut once, once_dropped) = answer(&calls, &[PIECE_BYTES_MAX + 1]);
        assert_eq!(length(&mut once), PIECE_BYTES_MAX);
        assert_eq!(looks(&calls, LOOKS), 0);
        assert_eq!(looks(&calls, 1), 2);
        assert_eq!((never_dropped.load(Relaxed), once_dropped.load(Relaxed)), (1, 1));
        assert_eq!(looks(&calls, 10), 0, "what is let go is let go once");
        for answer in [&mut never, &mut once] {
            assert!(!answer.is_end_stream());
            let Poll::Ready(Some(Ok(frame))) = poll(answer) else { panic!("no end") };
            let status = Status::from_header_map(&frame.into_trailers().unwrap()).unwrap();
            assert_eq!(status.code(), Code::DeadlineExceeded);
            assert!(status.message().contains("1000 ms (grpc.answer_read_ms_max)"), "{status}");
            assert!(matches!(poll(answer), Poll::Ready(None)) && answer.is_end_stream());
        }
    }

    #[test]
    fn who_reads_slowly_and_who_waits_for_the_server_is_not_cut_off() {
        let calls = Arc::<Calls>::default();
        let (mut slow, dropped) = answer(&calls, &[3 * PIECE_BYTES_MAX, 5]);
        for size in [PIECE_BYTES_MAX, PIECE_BYTES_MAX, PIECE_BYTES_MAX, 5] {
            assert_eq!(looks(&calls, LOOKS), 0);
            assert_eq!(length(&mut slow), size);
        }
        // Nothing more is there: now the server is what is waited for.
        assert!(poll(&mut slow).is_pending());
        assert_eq!(looks(&calls, 100), 0);
        assert_eq!(dropped.load(Relaxed), 0);
    }

    #[test]
    fn a_call_is_under_way_until_its_answer_is_gone() {
        let calls = Arc::<Calls>::default();
        assert!(calls.is_empty());
        let call = calls.begin();
        // Nothing is to be fetched before there is an answer.
        assert!(!calls.is_empty() && looks(&calls, 100) == 0);
        let answered = call.answer(Body::empty());
        assert!(!calls.is_empty());
        drop(answered);
        assert!(calls.is_empty() && calls.begun() == 1);
        drop(calls.begin());
        assert!(calls.is_empty() && calls.begun() == 2);
    }
}
