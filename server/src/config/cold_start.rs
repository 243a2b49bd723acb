//! `[cold_start]`: what is kept so that models that were loaded before are loaded quickly.

use std::{path::PathBuf, time::Duration};

use super::settings::{DAY_MS, GIB, Reader};

/// What is kept of loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColdStart {
    /// Whether copies of model files are kept, where there is a folder for them.
    pub copies: bool,
    /// The folder, where one is named.
    pub folder: Option<PathBuf>,
    /// What all copies may take on the disk.
    pub copies_bytes_max: u64,
    /// From this size of a file on there is a copy of it.
    pub model_bytes_min: u64,
    /// From this size of a file on a session has a twin; never, if absent.
    pub twin_bytes_min: Option<u64>,
    /// How long golden pairs may take that have all passed before.
    pub golden: Duration,
}

pub(super) fn read_cold_start(read: &mut Reader<'_>) -> ColdStart {
    let mut bytes = |key: &str| read.whole(key, 0..=1024 * GIB);
    let copies_bytes_max = bytes("cold_start.copies_bytes_max");
    let model_bytes_min = bytes("cold_start.model_bytes_min");
    let twin_bytes_min = Some(bytes("cold_start.twin_bytes_min")).filter(|bytes| *bytes > 0);
    ColdStart {
        copies: read.boolean("cold_start.copies"),
        folder: Some(read.text("cold_start.dir")).filter(|text| !text.is_empty()).map(PathBuf::from),
        copies_bytes_max,
        model_bytes_min,
        twin_bytes_min,
        golden: Duration::from_millis(read.whole("cold_start.golden_ms", 0..=DAY_MS)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Layers, Settings};
    use super::*;

    fn read(assignments: &[&str]) -> Result<ColdStart, String> {
        let mut layers = Layers::default();
        assignments.iter().for_each(|assignment| layers.add_assignment(assignment));
        Settings::read(&mut layers).map(|settings| settings.residency.cold_start).map_err(|report| report.to_string())
    }

    #[test]
    fn sizes_are_read_and_nothing_means_never() {
        let settings = read(&[]).unwrap();
        assert!(settings.copies && settings.folder.is_none());
        let settings = read(&[
            "cold_start.copies=false",
            "cold_start.dir=/x",
            "cold_start.copies_bytes_max=3 GiB",
            "cold_start.model_bytes_min=0",
            "cold_start.twin_bytes_min=0",
            "cold_start.golden_ms=7",
        ]);
        let expected = ColdStart {
            copies: false,
            folder: Some("/x".into()),
            copies_bytes_max: 3 << 30,
            model_bytes_min: 0,
            twin_bytes_min: None,
            golden: Duration::from_millis(7),
        };
        assert_eq!(settings.unwrap(), expected);
        assert!(read(&["cold_start.copies_bytes_max=much"]).unwrap_err().contains("cold_start.copies_bytes_max"));
    }
}
