//! `[breaker]`: how versions' circuit breakers behave where a model does not say.

use std::{ops::RangeInclusive, time::Duration};

use candor_domain::BreakerSettings;
use candor_serving::BreakerDefaults;

use super::settings::Reader;

pub(super) fn read_breaker(read: &mut Reader<'_>) -> BreakerDefaults {
    let mut millis = |key: &str, range: RangeInclusive<u64>| Duration::from_millis(read.whole(key, range));
    let window = millis("breaker.window_ms", BreakerSettings::WINDOW_MS);
    let slow = millis("breaker.slow_run_ms", 0..=*BreakerSettings::OPEN_MS.end());
    let open = millis("breaker.open_ms", BreakerSettings::OPEN_MS);
    let open_max = millis("breaker.open_ms_max", BreakerSettings::OPEN_MS);
    if open_max < open {
        read.complain("breaker.open_ms_max", "must not be less than breaker.open_ms");
    }
    let settings = BreakerSettings {
        window,
        calls_min: u32::try_from(read.whole("breaker.calls_min", BreakerSettings::CALLS_MIN)).unwrap_or(u32::MAX),
        failure_rate: read_rate(read, "breaker.failure_rate"),
        slow: Some(slow).filter(|slow| !slow.is_zero()),
        slow_rate: read_rate(read, "breaker.slow_rate"),
        open,
        open_max,
        trials: u16::try_from(read.whole("breaker.trials", BreakerSettings::TRIALS)).unwrap_or(u16::MAX),
    };
    BreakerDefaults { enabled: read.boolean("breaker.enabled"), settings }
}

#[allow(clippy::cast_precision_loss, reason = "only 1 is in range")]
fn read_rate(read: &mut Reader<'_>, key: &str) -> f64 {
    let value = read.value(key);
    let rate = value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
    rate.filter(|rate| BreakerSettings::is_rate(*rate)).unwrap_or_else(|| {
        read.complain(key, "must be a share above 0, at most 1, such as 0.5");
        1.0
    })
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
        assert_eq!(read(&[]).unwrap().breaker, BreakerDefaults::default());
    }

    #[test]
    fn rates_are_shares_and_open_times_in_order() {
        let settings = read(&["breaker.failure_rate=0.25", "breaker.slow_rate=1", "breaker.slow_run_ms=30"]).unwrap();
        let breaker = settings.breaker.settings;
        assert_eq!(
            (breaker.failure_rate, breaker.slow_rate, breaker.slow),
            (0.25, 1.0, Some(Duration::from_millis(30)))
        );
        for (wrong, words) in [
            ("breaker.failure_rate=0", "breaker.failure_rate = 0.0: must be a share above 0, at most 1"),
            ("breaker.slow_rate=1.5", "breaker.slow_rate = 1.5: must be a share"),
            ("breaker.slow_rate=half", "breaker.slow_rate = \"half\": must be a share"),
            (
                "breaker.open_ms_max=10",
                "breaker.open_ms_max = 10: must not be less than breaker.open_ms (default 60000)",
            ),
            ("breaker.trials=0", "breaker.trials = 0: must be a whole number from 1 to 1023"),
        ] {
            let report = read(&[wrong]).unwrap_err();
            assert!(report.contains(words), "{report}\nlacks: {words}");
        }
    }

    #[test]
    fn faults_are_ordered_on_loopback_or_with_a_token() {
        assert!(read(&["faults.enabled=true"]).unwrap().faults_enabled);
        let beyond = ["faults.enabled=true", "http.addr=0.0.0.0:0", "auth.insecure=true"];
        let report = read(&beyond).unwrap_err();
        assert!(report.contains("faults.enabled = true: beyond loopback needs auth.tokens_file"), "{report}");
        assert!(read(&[beyond[0], beyond[1], "auth.tokens_file=tokens.toml"]).is_ok());
    }
}
