//! The ONNX files of the suite, by name, built into this crate so that a test runs wherever it is copied.
//!
//! `fixtures/make_fixtures.py` makes them; what they must give stands in `answers`.

macro_rules! fixtures {
    ($($name:literal),* $(,)?) => {
        /// Every file, by its name without `.onnx`.
        const ALL: &[(&str, &[u8])] = &[$(($name, include_bytes!(concat!("../fixtures/", $name, ".onnx")))),*];
    };
}

fixtures![
    "arithmetic",
    "classifier_leq",
    "classifier_lt",
    "classifier_words",
    "decode_words",
    "encode_words",
    "gather",
    "identity_bf16",
    "identity_bool",
    "identity_bytes",
    "identity_fp16",
    "identity_fp32",
    "identity_fp64",
    "identity_int16",
    "identity_int32",
    "identity_int64",
    "identity_int8",
    "identity_uint16",
    "identity_uint32",
    "identity_uint64",
    "identity_uint8",
    "linear",
    "long_loop",
    "rankless",
    "refused_complex64",
    "refused_dangling",
    "refused_datatype",
    "refused_float8",
    "refused_int4",
    "refused_operator",
    "refused_rank_9",
    "refused_sequence",
    "regressor_eq",
    "regressor_gt",
    "regressor_gte",
    "regressor_leq",
    "regressor_lt",
    "regressor_missing",
    "regressor_missing_lt",
    "regressor_neq",
    "reshape",
    "scalar",
    "three_outputs",
    "two_symbols",
    "unnamed_dims",
];

/// The bytes of a file.
pub(crate) fn fixture(name: &str) -> Result<&'static [u8], String> {
    let found = ALL.iter().find(|(known, _)| *known == name);
    found.map(|(_, bytes)| *bytes).ok_or_else(|| format!("there is no fixture '{name}'"))
}

#[cfg(test)]
mod tests {
    use super::ALL;
    use std::path::Path;

    #[test]
    fn every_file_that_the_script_made_is_listed_and_the_other_way_round() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
        let mut on_disk: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".onnx").map(str::to_owned))
            .collect();
        on_disk.sort();
        assert!(on_disk.iter().eq(ALL.iter().map(|(name, _)| name)), "{on_disk:?}");
    }
}
