//! Threads that step back behind others.
//!
//! Wiring hands this to those who load models and to those who run dear inferences. On Linux the nice value belongs to
//! each thread; a thread that another one makes begins with its maker's, and none may lower it again without
//! privileges. So this is for threads that make none which will serve.

use rustix::process::{getpriority_process, setpriority_process};

/// A tenth of the weight of a thread that does not step back, and still all of what is left over.
const LOADS: i32 = 10;
/// A third of that weight: a thread that has a moment's work goes first, and a server full of such threads leaves enough.
const RUNS: i32 = 5;

/// Lets other threads go before this one, which loads, from now on; to say it again changes nothing.
pub(crate) fn load_steps_back() {
    step_back(LOADS);
}

/// Lets threads that read and write go before this one, which runs inferences.
pub(crate) fn run_steps_back() {
    step_back(RUNS);
}

fn step_back(nice: i32) {
    // Without a process this is the calling thread on Linux, and the whole process elsewhere, which would help nobody.
    // Whoever started the server may have made it less urgent still.
    let lower = |now: i32| setpriority_process(None, nice.max(now));
    if cfg!(target_os = "linux")
        && let Err(error) = getpriority_process(None).and_then(lower)
    {
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
}
