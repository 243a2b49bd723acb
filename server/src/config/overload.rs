//! `[overload]`: how versions' concurrency limits behave where a model does not say.

use std::{ops::RangeInclusive, time::Duration};

use candor_domain::ConcurrencySettings;
use candor_http_api::HttpLimits;
use candor_serving::OverloadDefaults;

use super::{
    grpc::GrpcSettings,
    settings::{GIB, Reader},
};

/// The memory of all bodies, in which each of the largest must find room.
pub(super) fn read_bodies(read: &mut Reader<'_>, http: &HttpLimits, grpc: &GrpcSettings) -> u64 {
    const KEY: &str = "limits.bodies_bytes_max";
    let bytes_max = read.whole(KEY, 1..=1024 * GIB);
    for (largest, bytes) in [
        ("limits.body_bytes_max", http.body_bytes_max),
        ("limits.decompressed_bytes_max", http.decompressed_bytes_max),
        ("grpc.message_bytes_max", grpc.limits.message_bytes_max),
    ] {
        if bytes as u64 > bytes_max {
            read.complain(KEY, format_args!("must not be less than {largest} ({bytes} bytes)"));
        }
    }
    bytes_max
}

pub(super) fn read_overload(read: &mut Reader<'_>) -> OverloadDefaults {
    let mut whole = |key: &str, range: RangeInclusive<u64>| u32::try_from(read.whole(key, range)).unwrap_or(u32::MAX);
    let floor = whole("overload.floor", ConcurrencySettings::FLOOR);
    let calls_min = whole("overload.calls_min", ConcurrencySettings::CALLS_MIN);
    let mut millis = |key: &str, range: RangeInclusive<u64>| Duration::from_millis(read.whole(key, range));
    let wait = millis("overload.wait_ms", ConcurrencySettings::WAIT_MS);
    let window = millis("overload.window_ms", ConcurrencySettings::WINDOW_MS);
    let smoothing = read.number("overload.smoothing", 0.0..=1.0);
    if !ConcurrencySettings::is_share(smoothing) {
        read.complain("overload.smoothing", "must be a share above 0, at most 1, such as 0.2");
    }
    let tolerance = read.number("overload.tolerance", ConcurrencySettings::TOLERANCE);
    let settings = ConcurrencySettings { floor, tolerance, wait, smoothing, window, calls_min };
    OverloadDefaults { enabled: read.boolean("overload.enabled"), settings }
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
        assert_eq!(read(&[]).unwrap().overload, OverloadDefaults::default());
    }

    #[test]
    fn what_is_out_of_range_is_told_by_key() {
        let settings = read(&["overload.tolerance=1", "overload.wait_ms=0", "overload.smoothing=1"]).unwrap();
        let overload = settings.overload.settings;
        assert_eq!((overload.tolerance, overload.wait, overload.smoothing), (1.0, Duration::ZERO, 1.0));
        for (wrong, words) in [
            ("overload.floor=0", "overload.floor = 0: must be a whole number from 1 to 1000000"),
            ("overload.tolerance=0.5", "overload.tolerance = 0.5: must be"),
            ("overload.smoothing=0", "overload.smoothing = 0.0: must be a share above 0, at most 1"),
            ("overload.window_ms=9", "overload.window_ms = 9: must be a whole number from 10 to 60000"),
        ] {
            let report = read(&[wrong]).unwrap_err();
            assert!(report.contains(words), "{report}\nlacks: {words}");
        }
    }

    #[test]
    fn one_body_must_fit_among_all_bodies() {
        assert_eq!(read(&[]).unwrap().bodies_bytes_max, 1 << 30);
        let report = read(&["limits.bodies_bytes_max=1 MiB"]).unwrap_err();
        for largest in ["limits.body_bytes_max", "limits.decompressed_bytes_max", "grpc.message_bytes_max"] {
            assert!(report.contains(&format!("must not be less than {largest}")), "{report}\nlacks: {largest}");
        }
    }
}
