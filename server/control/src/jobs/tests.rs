//! Jobs by a clock that moves by hand. Threads are real; what they wait for is told by channels, never by time.

use std::sync::{
    Arc,
    mpsc::{Receiver, Sender, channel},
};
use std::time::Duration;

use candor_domain::{
    Access, Error, ErrorCode, Job, JobOrder, JobResult, JobState, JobStep, Jobs, ManualClock, Principal, Result,
};

use super::{JobSettings, MemoryJobs};

type Body = Box<dyn FnOnce(&dyn JobStep) -> Result<JobResult> + Send>;

struct Work(Body);

impl Job for Work {
    fn run(self: Box<Self>, step: &dyn JobStep) -> Result<JobResult> {
        (self.0)(step)
    }
}

fn order() -> JobOrder {
    JobOrder { kind: "test", about: "iris/1".into(), actor: Principal::anonymous(Access::Operate) }
}

fn result(text: &str) -> Result<JobResult> {
    Ok(JobResult { media_type: "text/plain", bytes: text.as_bytes().to_vec() })
}

struct Scene {
    jobs: MemoryJobs,
    clock: Arc<ManualClock>,
}

impl Scene {
    fn new(settings: JobSettings) -> Self {
        let clock = Arc::new(ManualClock::default());
        clock.advance(Duration::from_secs(1_700_000_000));
        let jobs = MemoryJobs::start(settings, Arc::clone(&clock) as _).unwrap();
        Self { jobs, clock }
    }

    fn submit(&self, body: impl FnOnce(&dyn JobStep) -> Result<JobResult> + Send + 'static) -> Result<String> {
        self.jobs.submit(order(), Box::new(Work(Box::new(body)))).map(|view| view.id)
    }

    /// A job that says when it begins, and ends when it is told to.
    fn held(&self) -> (String, Receiver<()>, Sender<()>) {
        let (began, has_begun) = channel();
        let (go_on, may_go_on) = channel::<()>();
        let id = self.submit(move |step| {
            began.send(()).unwrap();
            step.progress(0.5, "half of it");
            let _ = may_go_on.recv();
            if step.cancel().is_cancelled() { Err(Error::new(ErrorCode::Cancelled, "stopped")) } else { result("done") }
        });
        (id.unwrap(), has_begun, go_on)
    }

    /// Waits until a job is over: there is no event to wait for, so it looks again and again.
    fn until_over(&self, id: &str) -> JobState {
        loop {
            let state = self.jobs.get(id).unwrap().state;
            if state.is_over() {
                return state;
            }
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_job_waits_works_tells_and_is_kept_for_its_time() {
    let scene = Scene::new(JobSettings { kept: Duration::from_secs(60), ..JobSettings::default() });
    let (first, has_begun, go_on) = scene.held();
    has_begun.recv().unwrap();
    let second = scene.submit(|_| result("second")).unwrap();
    assert_eq!(scene.jobs.get(&second).unwrap().state, JobState::Queued);
    let view = loop {
        let view = scene.jobs.get(&first).unwrap();
        if view.progress > 0.0 {
            break view;
        }
    };
    assert_eq!((view.state, view.progress, view.message.as_str()), (JobState::Running, 0.5, "half of it"));
    assert!(scene.jobs.result(&first).unwrap().is_none());
    go_on.send(()).unwrap();
    assert_eq!(scene.until_over(&first), JobState::Succeeded);
    assert_eq!(scene.until_over(&second), JobState::Succeeded);
    assert_eq!(scene.jobs.result(&second).unwrap().unwrap().bytes, b"second");
    let ids: Vec<String> = scene.jobs.list().into_iter().map(|view| view.id).collect();
    assert_eq!(ids, [first.clone(), second]);
    let view = scene.jobs.get(&first).unwrap();
    assert_eq!(view.progress, 1.0);
    assert_eq!(view.expires_unix_ms, Some(view.ended_unix_ms.unwrap() + 60_000));
    scene.clock.advance(Duration::from_millis(59_999));
    assert!(scene.jobs.get(&first).is_some());
    scene.clock.advance(Duration::from_millis(1));
    assert!(scene.jobs.get(&first).is_none());
    assert_eq!(scene.jobs.totals().ended, [2, 0, 0]);
}

#[test]
fn what_waits_is_cancelled_at_once_and_what_works_when_it_hears_of_it() {
    let scene = Scene::new(JobSettings::default());
    let (first, has_begun, go_on) = scene.held();
    has_begun.recv().unwrap();
    let second = scene.submit(|_| panic!("never begun")).unwrap();
    assert_eq!(scene.jobs.cancel(&second).unwrap().state, JobState::Cancelled);
    let stopping = scene.jobs.cancel(&first).unwrap();
    assert_eq!((stopping.state, stopping.is_stopping), (JobState::Running, true));
    go_on.send(()).unwrap();
    assert_eq!(scene.until_over(&first), JobState::Cancelled);
    assert_eq!(scene.jobs.result(&first).unwrap_err().code(), ErrorCode::Cancelled);
    // A job that is over is forgotten.
    assert_eq!(scene.jobs.cancel(&first).unwrap().state, JobState::Cancelled);
    assert!(scene.jobs.get(&first).is_none() && scene.jobs.cancel(&first).is_none());
    assert_eq!(scene.jobs.totals().ended, [0, 0, 2]);
}

#[test]
fn a_full_queue_refuses_and_only_the_last_results_are_kept() {
    let scene = Scene::new(JobSettings { queue_max: 1, kept_max: 2, ..JobSettings::default() });
    let (first, has_begun, go_on) = scene.held();
    has_begun.recv().unwrap();
    let second = scene.submit(|_| result("2")).unwrap();
    let refusal = scene.submit(|_| result("3")).unwrap_err();
    assert_eq!((refusal.code(), refusal.word()), (ErrorCode::Overloaded, "queue_full"));
    assert!(refusal.retry_after().is_some());
    go_on.send(()).unwrap();
    scene.until_over(&second);
    scene.clock.advance(Duration::from_millis(5));
    let third = scene.submit(|_| result("3")).unwrap();
    while scene.jobs.get(&third).is_some_and(|view| !view.state.is_over()) {}
    assert!(scene.jobs.get(&first).is_none());
    assert_eq!(scene.jobs.list().len(), 2);
    assert_eq!(scene.jobs.totals().refused, 1);
}

#[test]
fn failures_panics_and_results_that_are_too_large_are_told_and_end_no_thread() {
    let scene = Scene::new(JobSettings { result_bytes_max: 3, ..JobSettings::default() });
    let failed = scene.submit(|_| Err(Error::invalid("no").at("/rows"))).unwrap();
    let panicked = scene.submit(|_| panic!("on purpose")).unwrap();
    let large = scene.submit(|_| result("four")).unwrap();
    for (id, code) in
        [(&failed, ErrorCode::InvalidInput), (&panicked, ErrorCode::Internal), (&large, ErrorCode::TooLarge)]
    {
        assert_eq!(scene.until_over(id), JobState::Failed);
        assert_eq!(scene.jobs.result(id).unwrap_err().code(), code);
        assert_eq!(scene.jobs.get(id).unwrap().error.unwrap().code(), code);
    }
    assert_eq!(scene.until_over(&scene.submit(|_| result("ok")).unwrap()), JobState::Succeeded);
}

#[test]
fn a_server_that_stops_takes_no_job_and_stops_those_that_there_are() {
    let scene = Scene::new(JobSettings::default());
    let (first, has_begun, go_on) = scene.held();
    has_begun.recv().unwrap();
    let second = scene.submit(|_| result("2")).unwrap();
    scene.jobs.close();
    assert_eq!(scene.submit(|_| result("3")).unwrap_err().code(), ErrorCode::NotReady);
    go_on.send(()).unwrap();
    assert_eq!(scene.until_over(&first), JobState::Cancelled);
    // What waited is forgotten at once: nobody will ask any more.
    assert!(scene.jobs.get(&second).is_none());
}

#[test]
fn a_job_knows_when_it_is_too_late() {
    let scene = Scene::new(JobSettings { time_max: Duration::from_secs(5), ..JobSettings::default() });
    let id = scene.submit(|step| result(&step.deadline().0.to_string())).unwrap();
    scene.until_over(&id);
    let deadline = 1_700_000_005_u64 * 1_000_000_000;
    assert_eq!(scene.jobs.result(&id).unwrap().unwrap().bytes, deadline.to_string().as_bytes());
}
