//! `[result_cache]`: how much memory kept answers may take, and which requests are looked up.

use candor_serving::ResultCacheSettings;

use super::settings::{GIB, Reader};

pub(super) fn read_result_cache(read: &mut Reader<'_>) -> ResultCacheSettings {
    ResultCacheSettings {
        bytes_max: read.whole("result_cache.bytes_max", 0..=1024 * GIB),
        request_bytes_max: read.size("result_cache.request_bytes_max", 0..=GIB),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Layers, Settings};
    use super::*;

    fn read(assignments: &[&str]) -> Result<ResultCacheSettings, String> {
        let mut layers = Layers::default();
        assignments.iter().for_each(|assignment| layers.add_assignment(assignment));
        Settings::read(&mut layers).map(|settings| settings.residency.results).map_err(|report| report.to_string())
    }

    #[test]
    fn the_defaults_of_the_file_are_those_of_the_code() {
        assert_eq!(read(&[]).unwrap(), ResultCacheSettings::default());
    }

    #[test]
    fn sizes_are_read_and_what_is_none_is_told_by_its_key() {
        let settings = read(&["result_cache.bytes_max=1 GiB", "result_cache.request_bytes_max=0"]).unwrap();
        assert_eq!(settings, ResultCacheSettings { bytes_max: GIB, request_bytes_max: 0 });
        let report = read(&["result_cache.bytes_max=much"]).unwrap_err();
        assert!(report.contains("result_cache.bytes_max"), "{report}");
    }
}
