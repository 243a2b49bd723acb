//! One budget of threads: the cores that there are, split between HTTP, gRPC, the session pool, loads, and the
//! threads inside a run. Each share can be set by itself; whatever is not set follows from the cores and the others.
//!
//! Before it: the keys of `[threads]` and of the rooms that the threads belong to. After it: wiring, which starts
//! them, and whoever tells people of them. It knows nothing of what the threads do.
//!
//! What is bound to a processor is the pool with the threads inside its runs, and it fits the cores. Workers share
//! the cores with it on purpose: a request is on a worker or on the pool and never on both, so a worker whose
//! requests go to the pool only waits, and one whose requests stay has the pool idle. The doors share them with
//! each other for the same reason. Loads are few and step back.

use std::fmt::Write as _;

use super::{Layers, settings::Reader};

/// How many threads each part has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Threads {
    /// Cores that the server counts on.
    pub cores: usize,
    /// Whether somebody has said how many.
    pub cores_are_chosen: bool,
    /// Threads that read and write HTTP.
    pub http: usize,
    /// Threads that read and write gRPC.
    pub grpc: usize,
    /// Threads of the session pool.
    pub pool: usize,
    /// Threads that load models.
    pub load: usize,
    /// Threads inside one run.
    pub intra_op: usize,
    /// Whether loads leave the processors to those who answer.
    pub load_steps_back: bool,
    /// Whether dear inferences leave the processors to those who read and write.
    pub pool_steps_back: bool,
}

/// What somebody has asked for; 0 where nobody has.
#[derive(Debug, Clone, Copy, Default)]
struct Asked {
    http: usize,
    grpc: usize,
    pool: usize,
    load: usize,
    intra_op: usize,
    load_low: bool,
    pool_low: bool,
}

/// How threads can be made to step back.
const PRIORITIES: [(&str, bool); 2] = [("low", true), ("normal", false)];

/// Most workers that the HTTP server can have.
const WORKERS_MAX: u64 = 512;
/// One load thread for so many cores.
const CORES_PER_LOAD: usize = 4;
/// Loads beyond so many at the same time wait for the disk rather than for a processor.
const LOADS_MAX: usize = 8;

impl Threads {
    /// Reads what was asked for and splits the rest.
    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        let cores = read.size("threads.cores", 0..=4096);
        let asked = Asked {
            http: read.size("http.workers", 0..=WORKERS_MAX),
            grpc: read.size("grpc.threads", 0..=1024),
            pool: read.size("execution.threads", 0..=1024),
            load: read.size("repository.load_threads", 0..=256),
            intra_op: read.size("engine.intra_op_threads", 1..=256),
            load_low: read.word("repository.load_priority", &PRIORITIES),
            pool_low: read.word("execution.priority", &PRIORITIES),
        };
        // Counts what the processor affinity and the quota of the control group leave.
        let found = || std::thread::available_parallelism().map_or(1, usize::from);
        Self { cores_are_chosen: cores > 0, ..Self::split(if cores > 0 { cores } else { found() }, asked) }
    }

    /// The budget that these values come to; what is wrong with them is told elsewhere.
    pub(super) fn of(layers: &Layers) -> Self {
        Self::read(&mut Reader(&mut layers.clone()))
    }

    fn split(cores: usize, asked: Asked) -> Self {
        let or = |asked: usize, split: usize| if asked > 0 { asked } else { split.max(1) };
        let intra_op = asked.intra_op.max(1);
        let workers = cores.min(usize::try_from(WORKERS_MAX).unwrap_or(cores));
        Self {
            cores,
            cores_are_chosen: false,
            http: or(asked.http, workers),
            grpc: or(asked.grpc, cores),
            pool: or(asked.pool, cores / intra_op),
            load: or(asked.load, (cores / CORES_PER_LOAD).min(LOADS_MAX)),
            intra_op,
            // Threads inside a run are made by the thread that loads, are as low as it is, and cannot rise again.
            load_steps_back: asked.load_low && intra_op == 1,
            // A run would wait for the lowest of its threads.
            pool_steps_back: asked.pool_low && intra_op == 1,
        }
    }

    /// Threads that run inferences.
    #[must_use]
    pub fn inference(&self) -> usize {
        self.http + self.grpc + self.pool
    }

    /// Each key whose value follows from the budget, with what it comes to and why.
    #[must_use]
    pub fn shares(&self) -> [(&'static str, usize, String); 5] {
        let pool = match self.intra_op {
            1 => "one per core".to_owned(),
            inside => format!("one per {inside} cores, because each run has {inside} threads"),
        };
        let by = if self.cores_are_chosen { "threads.cores" } else { "affinity and control group" };
        [
            ("threads.cores", self.cores, format!("what {by} give")),
            ("http.workers", self.http, "one per core; they wait while the pool runs".to_owned()),
            ("grpc.threads", self.grpc, "one per core; they wait while the pool runs".to_owned()),
            ("execution.threads", self.pool, pool),
            (
                "repository.load_threads",
                self.load,
                format!("one per {CORES_PER_LOAD} cores, at least 1 and at most {LOADS_MAX}"),
            ),
        ]
    }

    /// The budget in one line.
    #[must_use]
    pub fn line(&self, has_grpc: bool) -> String {
        let Self { cores, http, pool, load, .. } = self;
        let plural = if *cores == 1 { "core" } else { "cores" };
        let by = if self.cores_are_chosen { " (threads.cores)" } else { "" };
        let mut text = format!("{cores} {plural}{by}: {http} HTTP, ");
        if has_grpc {
            let _ = write!(text, "{} gRPC, ", self.grpc);
        }
        let _ = write!(text, "{pool} pool");
        if self.intra_op > 1 {
            let _ = write!(text, " × {} in a run", self.intra_op);
        }
        let low = if self.load_steps_back { " of low priority" } else { "" };
        let _ = write!(text, ", {load} load{low}");
        text
    }

    /// Why the processors are promised more than once to work that never waits; `None` when they are not.
    #[must_use]
    pub fn oversubscribed(&self) -> Option<String> {
        let busy = self.pool * self.intra_op;
        (busy > self.cores).then(|| {
            let Self { pool, intra_op, cores, .. } = self;
            format!("{pool} pool threads × {intra_op} in a run are {busy} for {cores} cores: they wait for each other")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Settings, show};

    fn split(cores: usize, asked: Asked) -> [usize; 5] {
        let Threads { http, grpc, pool, load, intra_op, .. } = Threads::split(cores, asked);
        [http, grpc, pool, load, intra_op]
    }

    #[test]
    fn what_nobody_sets_follows_from_the_cores() {
        for (cores, shares) in [
            (1, [1, 1, 1, 1, 1]),
            (2, [2, 2, 2, 1, 1]),
            (4, [4, 4, 4, 1, 1]),
            (8, [8, 8, 8, 2, 1]),
            (64, [64, 64, 64, 8, 1]),
            (1000, [512, 1000, 1000, 8, 1]),
        ] {
            assert_eq!(split(cores, Asked::default()), shares, "{cores} cores");
        }
    }

    #[test]
    fn work_that_never_waits_fits_the_cores_however_many_threads_a_run_has() {
        for cores in [1, 2, 4, 8, 64] {
            for intra_op in [1, 2, 3, 4, 8] {
                let threads = Threads::split(cores, Asked { intra_op, ..Asked::default() });
                let fits = intra_op <= cores;
                assert_eq!(threads.oversubscribed().is_none(), fits, "{cores} cores, {intra_op} inside: {threads:?}");
                assert!(threads.pool >= 1 && (!fits || threads.pool * intra_op > cores / 2), "{threads:?}");
            }
        }
    }

    #[test]
    fn each_share_can_be_set_and_moves_no_other() {
        let asked = Asked { http: 3, grpc: 5, pool: 7, load: 9, intra_op: 1, load_low: true, pool_low: true };
        assert_eq!(split(4, asked), [3, 5, 7, 9, 1]);
        assert_eq!(split(8, Asked { http: 1, ..Asked::default() }), [1, 8, 8, 2, 1]);
        assert_eq!(split(8, Asked { intra_op: 4, ..Asked::default() }), [8, 8, 2, 2, 4]);
        assert!(Threads::split(2, Asked { pool: 3, ..Asked::default() }).oversubscribed().is_some());
    }

    #[test]
    fn loads_and_dear_runs_step_back_unless_threads_inside_a_run_would_be_slowed_down() {
        let back = |asked: Asked| {
            let threads = Threads::split(4, asked);
            (threads.load_steps_back, threads.pool_steps_back)
        };
        let low = Asked { load_low: true, pool_low: true, ..Asked::default() };
        assert_eq!(back(low), (true, true));
        assert_eq!(back(Asked { pool_low: false, ..low }), (true, false));
        assert_eq!(back(Asked { load_low: false, ..low }), (false, true));
        assert_eq!(back(Asked { intra_op: 2, ..low }), (false, false));
    }

    fn read(assignments: &[&str]) -> (Threads, String) {
        let mut layers = Layers::default();
        assignments.iter().for_each(|assignment| layers.add_assignment(assignment));
        let shown = show(&layers);
        (Settings::read(&mut layers).unwrap().threads, shown)
    }

    #[test]
    fn what_it_comes_to_is_told_with_the_reason() {
        let (threads, shown) = read(&["threads.cores=8", "engine.intra_op_threads=2", "http.workers=3"]);
        assert_eq!(threads.line(true), "8 cores (threads.cores): 3 HTTP, 8 gRPC, 4 pool × 2 in a run, 2 load");
        for (key, words) in [
            ("execution.threads", "comes to 4: one per 2 cores, because each run has 2 threads"),
            ("repository.load_threads", "comes to 2: one per 4 cores, at least 1 and at most 8"),
            ("grpc.threads", "comes to 8: one per core"),
        ] {
            let line = shown.lines().find(|line| line.starts_with(key)).unwrap();
            assert!(line.contains(words), "{line}");
        }
        let set = shown.lines().find(|line| line.starts_with("http.workers")).unwrap();
        assert!(!set.contains("comes to"), "{set}");
        let (found, shown) = read(&[]);
        assert_eq!(found.cores, std::thread::available_parallelism().unwrap().get());
        assert!(found.load_steps_back && found.pool_steps_back && !found.cores_are_chosen);
        assert!(shown.contains(&format!("comes to {}: what affinity and control group give", found.cores)), "{shown}");
    }
}
