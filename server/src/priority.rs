//! Who goes first where there are fewer processors than threads with something to do.
//!
//! Wiring hands this to those who read and write, to those who run dear inferences and to those who load models. On Linux
//! the nice value belongs to each thread and says how large its share is; how long its turns are says whether a thread
//! that wakes up may interrupt it: one with shorter turns does so at once, another one waits up to some milliseconds for
//! the end of the turn. A thread that another one makes begins with its maker's values, and none may lower its nice value
//! again without privileges. So stepping back is for threads that make none which will serve.

use std::sync::OnceLock;

use rustix::{
    process::{getpriority_process, setpriority_process},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

/// A tenth of the weight of a thread that does not step back, and still all of what is left over.
const LOADS: i32 = 10;
/// A third of that weight: a thread that has a moment's work goes first, and a server full of such threads leaves enough.
const RUNS: i32 = 5;
/// A third of that again, for runs of models that are hardly ever idle, beside others that are.
const CEASELESS: i32 = 10;

/// The shortest turns that there are, for threads that have a moment's work; in nanoseconds.
const MOMENT: u64 = 100_000;
/// As long as is usual.
const USUAL: u64 = 0;

/// Whether a thread can step back by itself here.
pub(crate) const STEPS: bool = cfg!(target_os = "linux");

/// Lets this thread, which reads and writes, interrupt those that load or run dear inferences.
pub(crate) fn serve() {
    // Not less urgent than it is.
    step_back(i32::MIN, MOMENT);
}

/// Lets other threads go before this one, which loads, from now on; to say it again changes nothing.
pub(crate) fn load_steps_back() {
    step_back(LOADS, USUAL);
}

/// Keeps this thread, which loads while others answer, off one processor, if there are more. Those who answer are often
/// woken there, and who has to wait for nobody is quicker than who interrupts somebody. To say it again changes nothing.
pub(crate) fn load_leaves_a_core() {
    // Of those that the process had when this was first asked.
    static LEFT: OnceLock<Option<usize>> = OnceLock::new();
    if !STEPS {
        return;
    }
    let Ok(mut own) = sched_getaffinity(None) else { return };
    let lowest = |own: &CpuSet| (0..CpuSet::MAX_CPU).find(|cpu| own.is_set(*cpu));
    if let Some(left) = *LEFT.get_or_init(|| lowest(&own))
        && own.is_set(left)
        && own.count() > 1
    {
        own.unset(left);
        if let Err(error) = sched_setaffinity(None, &own) {
            tracing::debug!("a thread that loads cannot leave a processor to others: {error}");
        }
    }
}

/// Lets threads that read and write go before this one, which runs inferences.
pub(crate) fn run_steps_back() {
    step_back(RUNS, USUAL);
}

/// Lets those threads go before this one, which runs what models without a pause ask for.
pub(crate) fn ceaseless_run_steps_back() {
    step_back(CEASELESS, USUAL);
}

/// Gives this thread at least that nice value, and turns of so many nanoseconds.
fn step_back(nice: i32, turn: u64) {
    // Without a process this is the calling thread on Linux, and the whole process elsewhere, which would help nobody.
    if !STEPS {
        return;
    }
    let given = getpriority_process(None).and_then(|now| {
        // Whoever started the server may have made it less urgent still.
        let nice = nice.max(now);
        let turns = candor_engine_ort::take_turns(nice, turn);
        turns.or_else(|error| {
            tracing::debug!("a thread keeps its turns as they are: {error}");
            setpriority_process(None, nice)
        })
    });
    if let Err(error) = given {
        tracing::debug!(nice, "a thread cannot step back: {error}");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

    #[test]
    fn only_the_thread_itself_and_those_it_makes_step_back() {
        let here = getpriority_process(None).unwrap();
        let there = std::thread::spawn(|| {
            load_steps_back();
            load_steps_back();
            let own = getpriority_process(None).unwrap();
            // The trap: whatever this thread makes is as low.
            (own, std::thread::spawn(|| getpriority_process(None).unwrap()).join().unwrap())
        });
        assert_eq!(there.join().unwrap(), (LOADS.max(here), LOADS.max(here)));
        assert_eq!(getpriority_process(None).unwrap(), here);
        let run = std::thread::spawn(|| {
            run_steps_back();
            getpriority_process(None).unwrap()
        });
        assert_eq!(run.join().unwrap(), RUNS.max(here));
    }

    #[test]
    fn who_serves_is_no_less_urgent_and_may_step_back_later() {
        let here = getpriority_process(None).unwrap();
        let there = std::thread::spawn(|| {
            serve();
            let serving = getpriority_process(None).unwrap();
            ceaseless_run_steps_back();
            (serving, getpriority_process(None).unwrap())
        });
        assert_eq!(there.join().unwrap(), (here, CEASELESS.max(here)));
    }

    #[test]
    fn a_thread_that_loads_keeps_off_one_processor_and_others_do_not() {
        let here = sched_getaffinity(None).unwrap().count();
        let there = std::thread::spawn(|| {
            load_leaves_a_core();
            load_leaves_a_core();
            sched_getaffinity(None).unwrap().count()
        });
        assert_eq!(there.join().unwrap(), (here - 1).max(1));
        assert_eq!(sched_getaffinity(None).unwrap().count(), here);
    }
}
