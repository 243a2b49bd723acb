//! Threads that step back behind others.
//!
//! Wiring hands this to those who load models. On Linux the nice value belongs to each thread; a thread that another
//! one makes begins with its maker's, and none may lower it again without privileges. So this is for threads that make
//! none which will serve.

use rustix::process::setpriority_process;

/// A tenth of the weight of a thread that does not step back, and still all of what is left over.
const NICE: i32 = 10;

/// Lets other threads go first from now on; to say it again changes nothing.
pub(crate) fn step_back() {
    // Without a process this is the calling thread on Linux, and the whole process elsewhere, which would help nobody.
    if cfg!(target_os = "linux")
        && let Err(error) = setpriority_process(None, NICE)
    {
        tracing::debug!("a load thread cannot step back: {error}");
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
            step_back();
            step_back();
            let own = getpriority_process(None).unwrap();
            // The trap: whatever this thread makes is as low.
            (own, std::thread::spawn(|| getpriority_process(None).unwrap()).join().unwrap())
        });
        assert_eq!(there.join().unwrap(), (NICE.max(here), NICE.max(here)));
        assert_eq!(getpriority_process(None).unwrap(), here);
    }
}
