//! "Did you mean …?": the known name that a slip of the fingers was probably meant to be.

/// The closest of `known`, if one is close.
pub fn closest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const LIKENESS_MIN: f64 = 0.75;
    /// Comparing is quadratic, and `wrong` is whatever somebody sent.
    const COMPARED_BYTES_MAX: usize = 128;
    if wrong.len() > COMPARED_BYTES_MAX {
        return None;
    }
    /// At most a third of the characters may differ.
    const EDITS_LIKENESS_MIN: f64 = 0.66;
    known
        .filter(|name| strsim::normalized_damerau_levenshtein(wrong, name) >= EDITS_LIKENESS_MIN)
        .map(|name| (strsim::jaro_winkler(wrong, name), name))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let known = || ["sepal_length", "sepal_width", "petal_length"].into_iter();
        assert_eq!(closest("sepal_lenght", known()), Some("sepal_length"));
        assert_eq!(closest("petallength", known()), Some("petal_length"));
        assert_eq!(closest("x", known()), None);
        assert_eq!(closest("sepal_length;sepal_width", known()), None);
        assert_eq!(closest(&"sepal_length".repeat(100), known()), None);
    }
}
