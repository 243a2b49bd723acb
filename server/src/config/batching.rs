//! `[batching]`: how requests of one version are put together where a model does not say, and how those of several
//! versions share the threads.

use std::{ops::RangeInclusive, time::Duration};

use candor_serving::{BatchingSettings, Delay, SchedulerSettings};

use super::settings::Reader;

/// What stands in `batching.max_queue_delay_us` where the server decides.
const ADAPTIVE: &str = "adaptive";
/// What `execution.bulkhead_ms` and `execution.priority_step_ms` may be.
const MILLIS: RangeInclusive<u64> = 0..=3_600_000;

pub(super) fn read_batching(read: &mut Reader<'_>) -> BatchingSettings {
    let levels = read.whole("batching.priority_levels", BatchingSettings::LEVELS);
    let level_default = read.whole("batching.default_priority_level", BatchingSettings::LEVELS);
    if level_default > levels {
        read.complain("batching.default_priority_level", "must not be more than batching.priority_levels");
    }
    let target = read.whole("batching.latency_target_ms", BatchingSettings::TARGET_MS);
    BatchingSettings {
        enabled: read.boolean("batching.enabled"),
        rows_max: read.whole("batching.max_batch_rows", BatchingSettings::ROWS_MAX),
        delay: read_delay(read, "batching.max_queue_delay_us"),
        target: Some(Duration::from_millis(target)).filter(|target| !target.is_zero()),
        levels,
        level_default,
        queue_max: read.size("limits.queue_per_model_max", BatchingSettings::QUEUE_MAX),
    }
}

fn read_delay(read: &mut Reader<'_>, key: &str) -> Delay {
    let range = BatchingSettings::DELAY_US;
    let value = read.value(key);
    if value.as_str() == Some(ADAPTIVE) {
        return Delay::Adaptive;
    }
    // A flag or a variable brings it as a text, because the default is one.
    let whole = value.as_integer().or_else(|| value.as_str()?.trim().parse().ok());
    let micros = whole.and_then(|whole| u64::try_from(whole).ok()).filter(|micros| range.contains(micros));
    let micros = micros.unwrap_or_else(|| {
        let range = format_args!("{} to {}", range.start(), range.end()).to_string();
        read.complain(key, format_args!("must be \"{ADAPTIVE}\" or a whole number from {range}"));
        0
    });
    Delay::Fixed(Duration::from_micros(micros))
}

pub(super) fn read_scheduling(read: &mut Reader<'_>, threads: usize) -> SchedulerSettings {
    SchedulerSettings {
        threads,
        before_work: || (),
        // Only threads that step back can stand at the back.
        back_threads: 0,
        before_back_work: || (),
        queue_max: read.size("limits.inference_queue_max", 1..=1_000_000),
        awake: Duration::from_millis(read.whole("execution.bulkhead_ms", MILLIS)),
        level_step: Duration::from_millis(read.whole("execution.priority_step_ms", MILLIS)),
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
        let settings = read(&[]).unwrap();
        assert_eq!(settings.batching, BatchingSettings::default());
        let SchedulerSettings { queue_max, awake, level_step, .. } = SchedulerSettings::default();
        let own = settings.scheduling;
        assert_eq!((own.queue_max, own.awake, own.level_step), (queue_max, awake, level_step));
    }

    #[test]
    fn a_delay_is_a_number_or_the_servers_own() {
        let delay = |text: &str| read(&[&format!("batching.max_queue_delay_us={text}")]).map(|all| all.batching.delay);
        assert_eq!(delay("adaptive").unwrap(), Delay::Adaptive);
        assert_eq!(delay("0").unwrap(), Delay::Fixed(Duration::ZERO));
        assert_eq!(delay("5000").unwrap(), Delay::Fixed(Duration::from_millis(5)));
        for wrong in ["-1", "10000001", "soon"] {
            let report = delay(wrong).unwrap_err();
            assert!(report.contains("must be \"adaptive\" or a whole number from 0 to 10000000"), "{report}");
        }
    }

    #[test]
    fn the_default_level_is_one_of_the_levels() {
        let report = read(&["batching.priority_levels=3"]).unwrap_err();
        assert!(report.contains("batching.default_priority_level"), "{report}");
        let both = ["batching.priority_levels=3", "batching.default_priority_level=2", "batching.latency_target_ms=40"];
        let settings = read(&both).unwrap().batching;
        assert_eq!((settings.levels, settings.level_default), (3, 2));
        assert_eq!(settings.target, Some(Duration::from_millis(40)));
    }
}
