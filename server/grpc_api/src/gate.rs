//! The root service: resolves who is calling, enforces what the method asks for, and hands the call on.
//!
//! It stands before every service and looks methods up in the one table, so that none can be reached around it;
//! what no line of the table names is refused to strangers too. It also keeps the caller's deadline (`grpc-timeout`):
//! when that is over, the work for the call is dropped, which cancels it down to the engine.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use candor_domain::{Access, Error, ErrorCode, Principal, Result, clock, names::quoted};
use candor_serving::{Bodies, Callers, Tally};
use http::{HeaderMap, Request, Response, header::AUTHORIZATION};
use pin_project_lite::pin_project;
use tokio::{sync::watch, time::Sleep};
use tonic::{
    Code, Status,
    body::Body,
    codegen::{BoxFuture, Service as TowerService},
    transport::server::TcpConnectInfo,
};

use crate::{
    GrpcLimits,
    body::{Arriving, ClosingBody, CountedBody, TimedBody},
    error::{place, status},
    idle::Idleness,
    methods::{self, Kind, Method, Service},
};

type Answering = BoxFuture<Response<Body>, Infallible>;
type Answerer = Arc<dyn Fn(Request<Body>) -> Answering + Send + Sync>;

/// Services, without their types.
#[derive(Clone, Default)]
pub(crate) struct Services {
    inference: Option<Answerer>,
    health: Option<Answerer>,
    reflection_v1: Option<Answerer>,
    reflection_v1alpha: Option<Answerer>,
}

impl Services {
    /// The same and one more.
    pub(crate) fn with<S>(mut self, service: Service, answerer: S) -> Self
    where
        S: TowerService<Request<Body>, Response = Response<Body>, Error = Infallible, Future = Answering>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        let answerer: Answerer = Arc::new(move |request| answerer.clone().call(request));
        *self.slot(service) = Some(answerer);
        self
    }

    fn slot(&mut self, service: Service) -> &mut Option<Answerer> {
        match service {
            Service::Inference => &mut self.inference,
            Service::Health => &mut self.health,
            Service::ReflectionV1 => &mut self.reflection_v1,
            Service::ReflectionV1Alpha => &mut self.reflection_v1alpha,
        }
    }
}

/// Who is calling, for methods that go on asking.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    pub(crate) address: Option<std::net::IpAddr>,
}

/// The gate; cloned for every connection.
#[derive(Clone)]
pub(crate) struct Gate {
    services: Services,
    callers: Arc<Callers>,
    limits: Arc<GrpcLimits>,
    bodies: Arc<Bodies>,
    answers: Arc<Tally>,
    cuts: Arc<Tally>,
    closing: watch::Receiver<bool>,
}

impl Gate {
    /// A gate before `services` that counts `answers` by code, and `cuts` of what is cut off.
    pub(crate) fn new(
        services: Services,
        callers: Arc<Callers>,
        limits: Arc<GrpcLimits>,
        bodies: Arc<Bodies>,
        answers: Arc<Tally>,
        cuts: Arc<Tally>,
        closing: watch::Receiver<bool>,
    ) -> Self {
        Self { services, callers, limits, bodies, answers, cuts, closing }
    }

    /// The method that is asked for, and who asks.
    fn admit(&self, request: &Request<Body>) -> Result<(&'static Method, Option<Caller>)> {
        let path = request.uri().path();
        let method = methods::at(path);
        let caller = match self.callers.anybody() {
            Some(_) => None,
            None => {
                // What is not there asks for what most methods ask for.
                let needed = method.map_or(Access::Infer, |method| method.access);
                let authorization = request.headers().get(AUTHORIZATION).map(|value| value.as_bytes());
                let peer = request.extensions().get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
                let address = peer.map(|peer| peer.ip());
                let principal = self.callers.admit(needed, authorization, address)?;
                Some(Caller { principal, address })
            }
        };
        let unknown = || Error::new(ErrorCode::Unsupported, "there is no such method").at(quoted(path));
        let method = method.ok_or_else(unknown)?;
        match method.kind {
            Kind::Unary | Kind::Streaming => Ok((method, caller)),
            Kind::Missing(why) => {
                Err(Error::new(ErrorCode::Unsupported, format!("this method is not there: {why}")).at(method.path))
            }
        }
    }

    fn answer(&mut self, mut request: Request<Body>) -> Result<Passage> {
        let (method, caller) = self.admit(&request)?;
        let off = || Error::new(ErrorCode::Unsupported, "this service is off (grpc.reflection)").at(method.path);
        let answerer = self.services.slot(method.service()).clone().ok_or_else(off)?;
        let time = deadline(request.headers())?;
        if let Some(caller) = caller {
            request.extensions_mut().insert(caller);
        }
        let arriving = Arriving::nothing(&self.bodies);
        request.extensions_mut().insert(arriving.clone());
        request = request.map(|body| Body::new(CountedBody::new(body, arriving)));
        request = request.map(|body| match (method.kind, method.service()) {
            (Kind::Unary, _) => Body::new(TimedBody::new(body, self.limits.message_read_max)),
            // Not of ours, and so unable to end by itself.
            (_, Service::ReflectionV1 | Service::ReflectionV1Alpha) => {
                let idleness = Idleness::new(self.limits.stream_idle_max, Arc::clone(&self.cuts));
                Body::new(ClosingBody::new(body, self.closing.clone(), idleness))
            }
            (_, Service::Inference | Service::Health) => body,
        });
        // A stream answers at once, and keeps its deadline itself.
        let time = time.filter(|_| method.kind == Kind::Unary);
        let timer = time.map(tokio::time::sleep);
        let bytes_max = self.limits.message_bytes_max;
        let (answering, answers) = (answerer(request), Arc::clone(&self.answers));
        Ok(Passage::Through { answering, timer, time: time.unwrap_or_default(), bytes_max, answers })
    }
}

/// How long the caller waits, if it says so.
///
/// # Errors
/// `InvalidInput` when what it says is no time.
pub(crate) fn deadline(headers: &HeaderMap) -> Result<Option<Duration>> {
    const HEADER: &str = "grpc-timeout";
    const DIGITS_MAX: usize = 8;
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let wrong = || {
        Error::invalid("not a time").at(HEADER).expected("up to eight digits and one of H M S m u n").got(quoted(text))
    };
    let (digits, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    if digits.is_empty() || digits.len() > DIGITS_MAX || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    match unit {
        "H" => Ok(Duration::from_secs(number * 3600)),
        "M" => Ok(Duration::from_secs(number * 60)),
        "S" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_millis(number)),
        "u" => Ok(Duration::from_micros(number)),
        "n" => Ok(Duration::from_nanos(number)),
        _ => Err(wrong()),
    }
    .map(Some)
}

/// What is said when the caller's time is over.
pub(crate) fn too_late(time: Duration) -> Status {
    let error = Error::new(ErrorCode::DeadlineExceeded, "the caller's deadline has passed");
    status(&error.expected(format!("an answer within {} (grpc-timeout)", clock::told(time))))
}

/// What is said of a message that is too large. Tonic has a code for it that clients do not expect, and cannot know
/// the name of the limit.
pub(crate) fn too_large(found: &Status, bytes_max: usize) -> Option<Status> {
    let unpacked = found.code() == Code::ResourceExhausted && found.message().starts_with("Error decompressing");
    (found.code() == Code::OutOfRange || unpacked).then(|| {
        let error = Error::new(ErrorCode::TooLarge, "the message is too large");
        status(&error.expected(format!("at most {bytes_max} bytes, also when unpacked (grpc.message_bytes_max)")))
    })
}

impl TowerService<Request<Body>> for Gate {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Passage;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Passage {
        self.answer(request).unwrap_or_else(|error| {
            let status = status(&error);
            self.answers.count(place(status.code()));
            Passage::Refused { status: Some(status) }
        })
    }
}

pin_project! {
    /// Either the method's own answer or a refusal.
    #[project = PassageProjection]
    pub(crate) enum Passage {
        // The method answers, unless the caller's time is over before.
        Through {
            answering: Answering,
            #[pin] timer: Option<Sleep>,
            time: Duration,
            bytes_max: usize,
            answers: Arc<Tally>,
        },
        // The gate answers.
        Refused { status: Option<Status> },
    }
}

impl Future for Passage {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            PassageProjection::Through { answering, timer, time, bytes_max, answers } => {
                if let Poll::Ready(answer) = answering.as_mut().poll(context) {
                    return Poll::Ready(answer.map(|answer| {
                        let found = answer.extensions().get::<Status>();
                        let better = found.and_then(|status| too_large(status, *bytes_max));
                        answers.count(place(better.as_ref().or(found).map_or(Code::Ok, Status::code)));
                        better.map_or(answer, Status::into_http)
                    }));
                }
                match timer.as_pin_mut().map(|timer| timer.poll(context)) {
                    Some(Poll::Ready(())) => {
                        answers.count(place(Code::DeadlineExceeded));
                        Poll::Ready(Ok(too_late(*time).into_http()))
                    }
                    Some(Poll::Pending) | None => Poll::Pending,
                }
            }
            PassageProjection::Refused { status } => match status.take() {
                Some(status) => Poll::Ready(Ok(status.into_http())),
                None => Poll::Pending,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use candor_serving::oip::TensorLimits;

    use super::*;

    /// Notes when a call was begun and when its work was dropped, and never answers.
    #[derive(Clone, Default)]
    struct Never(Arc<std::sync::Mutex<Vec<&'static str>>>);

    impl TowerService<Request<Body>> for Never {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = Answering;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<Body>) -> Answering {
            struct Work(Never);
            impl Drop for Work {
                fn drop(&mut self) {
                    self.0.0.lock().unwrap().push("dropped");
                }
            }
            self.0.lock().unwrap().push("begun");
            let work = Work(self.clone());
            Box::pin(async move {
                let _work = work;
                std::future::pending().await
            })
        }
    }

    #[test]
    fn the_gate_keeps_the_deadline_itself_and_drops_the_work() {
        let never = Never::default();
        let limits = GrpcLimits {
            message_bytes_max: 1024,
            message_read_max: Duration::from_secs(60),
            tensors: TensorLimits { elements_max: 1, rank_max: 1, tensors_max: 1, name_bytes_max: 1 },
            connections_max: 1,
            calls_per_connection_max: 1,
            stream_inflight_max: 1,
            stream_idle_max: Duration::from_secs(60),
            answer_read_max: Duration::from_secs(60),
            connection_idle_max: None,
            connection_age_max: None,
            connection_age_grace: Duration::from_secs(60),
            keep_alive: Duration::from_secs(60),
            keep_alive_wait: Duration::from_secs(60),
        };
        let answers = Arc::new(Tally::of(&crate::error::CODES));
        let services = Services::default().with(Service::Inference, never.clone());
        let callers = Arc::new(Callers::new(None, None));
        let (bodies, cuts) = (Arc::new(Bodies::new(1024)), Arc::new(Tally::of(&crate::CUTS)));
        let (limits, closing) = (Arc::new(limits), watch::channel(false).1);
        let mut gate = Gate::new(services, callers, limits, bodies, Arc::clone(&answers), cuts, closing);
        let request = Request::post("/inference.GRPCInferenceService/ModelInfer").header("grpc-timeout", "20m");
        let request = request.body(Body::empty()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answer = runtime.block_on(async { gate.call(request).await }).unwrap();
        let status = answer.extensions().get::<Status>().unwrap();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        assert!(status.message().contains("an answer within 20 ms (grpc-timeout)"), "{status}");
        let short = too_late(Duration::from_micros(1));
        assert!(short.message().contains("an answer within 1 µs (grpc-timeout)"), "{short}");
        drop(answer);
        assert_eq!(*never.0.lock().unwrap(), ["begun", "dropped"]);
        assert_eq!(answers.totals().filter(|(_, count)| *count > 0).collect::<Vec<_>>(), [("deadline_exceeded", 1)]);
    }

    #[test]
    fn deadlines_are_read_as_the_protocol_writes_them() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().unwrap());
            deadline(&headers)
        };
        for (text, time) in [
            ("2H", Duration::from_secs(7200)),
            ("3M", Duration::from_secs(180)),
            ("99999999S", Duration::from_secs(99_999_999)),
            ("250m", Duration::from_millis(250)),
            ("7u", Duration::from_micros(7)),
            ("0n", Duration::ZERO),
        ] {
            assert_eq!(read(text).unwrap(), Some(time), "{text}");
        }
        for bad in ["", "m", "1", "1s", "-1m", "+1m", "123456789m", "1 m", "1.5S"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(deadline(&HeaderMap::new()).unwrap(), None);
    }
}
