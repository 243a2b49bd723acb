//! `[explanations]` and `[jobs]`: their threads and their limits.

use std::time::Duration;

use candor_control::jobs::JobSettings;
use candor_insight::explanations::ExplanationSettings;

use super::{
    settings::{GIB, Reader},
    threads::Threads,
};
use crate::priority;

pub(super) fn read_explanations(read: &mut Reader<'_>, threads: &Threads) -> ExplanationSettings {
    let asked = read.size("explanations.threads", 0..=1024);
    let steps_back = read.word("explanations.priority", &[("low", true), ("normal", false)]);
    ExplanationSettings {
        threads: if asked > 0 { asked } else { (threads.cores / 2).max(1) },
        // A thread that steps back makes the threads inside its runs wait for it.
        before_work: if steps_back && threads.intra_op == 1 { priority::load_steps_back } else { || () },
        queue_max: read.size("explanations.queue_max", 1..=1_000_000),
        time_max: Duration::from_millis(read.whole("explanations.time_ms_max", 1..=super::settings::DAY_MS)),
        rows_max: read.size("explanations.rows_max", 1..=1_000_000),
        job_rows_max: read.size("explanations.job_rows_max", 1..=100_000_000),
        features_max: read.size("explanations.features_max", 1..=10_000_000),
        budget_max: read.whole("explanations.budget_max", 1..=1_000_000_000),
        evaluations_max: read.whole("explanations.evaluations_max", 1..=1_000_000_000_000),
        answers_bytes_max: read.whole("explanations.answers_bytes_max", 1..=64 * GIB),
        batch_rows_max: read.size("explanations.batch_rows_max", 1..=1_000_000),
        background_rows_max: read.size("explanations.background_rows_max", 1..=1_000_000),
        background_bytes_max: read.whole("explanations.background_bytes_max", 1..=GIB),
        backgrounds_max: read.size("explanations.backgrounds_max", 0..=10_000),
        explainers_max: read.size("explanations.explainers_max", 1..=1_000_000),
    }
}

pub(super) fn read_jobs(read: &mut Reader<'_>, threads: &Threads) -> JobSettings {
    let steps_back = read.word("jobs.priority", &[("low", true), ("normal", false)]);
    JobSettings {
        threads: read.size("jobs.threads", 1..=1024),
        before_work: if steps_back && threads.intra_op == 1 { priority::load_steps_back } else { || () },
        queue_max: read.size("jobs.queue_max", 1..=1_000_000),
        kept_max: read.size("jobs.kept_max", 1..=1_000_000),
        kept: Duration::from_secs(read.whole("jobs.kept_s", 1..=super::settings::DAY_MS)),
        time_max: Duration::from_secs(read.whole("jobs.time_s_max", 1..=super::settings::DAY_MS)),
        result_bytes_max: read.size("jobs.result_bytes_max", 1..=GIB),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Layers, Settings};
    use super::*;

    fn read(assignments: &[&str]) -> Result<Settings, String> {
        let mut layers = Layers::default();
        assignments.iter().for_each(|assignment| layers.add_assignment(assignment));
        Settings::read(&mut layers).map_err(|report| report.to_string())
    }

    #[test]
    fn the_defaults_of_the_file_are_those_of_the_code() {
        let own = read(&["threads.cores=8"]).unwrap().explanations;
        assert_eq!(own.threads, 4);
        let code = ExplanationSettings { threads: own.threads, before_work: own.before_work, ..Default::default() };
        assert_eq!(format!("{own:?}"), format!("{code:?}"));
        let jobs = read(&[]).unwrap().jobs;
        let code = JobSettings { before_work: jobs.before_work, ..Default::default() };
        assert_eq!(format!("{jobs:?}"), format!("{code:?}"));
        assert_eq!(read(&["threads.cores=1"]).unwrap().explanations.threads, 1);
        assert_eq!(read(&["explanations.threads=3"]).unwrap().explanations.threads, 3);
    }

    #[test]
    fn what_is_out_of_range_is_told_by_key() {
        for (wrong, words) in [
            ("explanations.rows_max=0", "explanations.rows_max = 0: must be a whole number from 1"),
            ("explanations.priority=high", "explanations.priority = \"high\": must be \"low\" or \"normal\""),
        ] {
            let report = read(&[wrong]).unwrap_err();
            assert!(report.contains(words), "{report}\nlacks: {words}");
        }
    }
}
