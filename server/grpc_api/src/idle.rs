//! Streams on which nothing happens: one whose client sends nothing, and for which nothing is worked on, ends.
//!
//! Before it: the answers of an inference stream, or the body of a stream that is not of ours. Watching health is no
//! such stream, since nothing is to be sent there; the age of its connection bounds it.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use candor_domain::{Error, ErrorCode};
use candor_serving::Tally;
use futures_util::Stream;
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tonic::Status;

use crate::{driver::cut, error::status};

/// Time that passes while nothing happens.
pub(crate) struct Idleness {
    max: Duration,
    /// Made when there first is nothing to do.
    timer: Option<Pin<Box<Sleep>>>,
    cuts: Arc<Tally>,
}

impl Idleness {
    /// None so far; `max` is too much.
    pub(crate) fn new(max: Duration, cuts: Arc<Tally>) -> Self {
        Self { max, timer: None, cuts }
    }

    /// Something has happened, or is being done.
    pub(crate) fn end(&mut self) {
        self.timer = None;
    }

    /// Nothing happens: ready when that has been so for too long.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        let max = self.max;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(max)));
        timer.as_mut().poll(context).map(|()| {
            self.timer = None;
            self.cuts.count(cut::STREAM_IDLE);
            let error = Error::new(ErrorCode::BodyTimeout, "nothing came over the stream for too long");
            status(&error.expected(format!("a message within {} ms (grpc.stream_idle_ms_max)", max.as_millis())))
        })
    }
}

/// Requests of a stream that are being worked on.
#[derive(Clone, Default)]
pub(crate) struct Working(Arc<AtomicUsize>);

impl Working {
    /// One more, until what is given back is dropped.
    pub(crate) fn begin(&self) -> impl Drop + Send + use<> {
        struct Work(Working);
        impl Drop for Work {
            fn drop(&mut self) {
                self.0.0.fetch_sub(1, Relaxed);
            }
        }
        self.0.fetch_add(1, Relaxed);
        Work(self.clone())
    }
}

pin_project! {
    /// Answers that end when nothing has happened for too long.
    pub(crate) struct Answers<S> {
        #[pin]
        answers: S,
        working: Working,
        // `None` when it is over.
        idleness: Option<Idleness>,
    }
}

impl<S> Answers<S> {
    /// `answers`, as long as something happens; `working` says what is worked on for them.
    pub(crate) fn new(answers: S, working: Working, idleness: Idleness) -> Self {
        Self { answers, working, idleness: Some(idleness) }
    }
}

impl<T, S: Stream<Item = Result<T, Status>>> Stream for Answers<S> {
    type Item = Result<T, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        let Some(idleness) = this.idleness else { return Poll::Ready(None) };
        if let Poll::Ready(answer) = this.answers.poll_next(context) {
            idleness.end();
            return Poll::Ready(answer);
        }
        if this.working.0.load(Relaxed) > 0 {
            idleness.end();
            return Poll::Pending;
        }
        idleness.poll(context).map(|status| {
            *this.idleness = None;
            Some(Err(status))
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use tokio::{
        sync::mpsc,
        time::{Instant, sleep},
    };
    use tonic::Code;

    use super::*;
    use crate::CUTS;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_idle_when_nothing_comes_and_nothing_is_worked_on() {
        let (send, receive) = mpsc::channel::<Result<u32, Status>>(1);
        let answers =
            futures_util::stream::unfold(receive, |mut receive| async { Some((receive.recv().await?, receive)) });
        let (working, cuts) = (Working::default(), Arc::new(Tally::of(&CUTS)));
        let mut answers =
            pin_boxed(Answers::new(answers, working.clone(), Idleness::new(10 * SECOND, Arc::clone(&cuts))));
        let began = Instant::now();
        let feeding = async {
            // Never too long apart.
            for number in 0..3 {
                sleep(9 * SECOND).await;
                send.send(Ok(number)).await.unwrap();
            }
            // A request that takes long is no idleness.
            let work = working.begin();
            sleep(60 * SECOND).await;
            drop(work);
            send.send(Ok(3)).await.unwrap();
        };
        let reading = async {
            for number in 0..4 {
                assert_eq!(answers.next().await.unwrap().unwrap(), number);
            }
            let answered = began.elapsed();
            let status = answers.next().await.unwrap().unwrap_err();
            (answered, began.elapsed(), status)
        };
        let ((), (answered, ended, status)) = tokio::join!(feeding, reading);
        assert_eq!((answered.as_secs(), ended.as_secs()), (87, 97));
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert!(status.message().contains("10000 ms (grpc.stream_idle_ms_max)"), "{status}");
        assert!(answers.next().await.is_none());
        assert_eq!(cuts.totals().find(|(word, _)| *word == "stream_idle"), Some(("stream_idle", 1)));
    }

    fn pin_boxed<S>(stream: S) -> Pin<Box<S>> {
        Box::pin(stream)
    }
}
