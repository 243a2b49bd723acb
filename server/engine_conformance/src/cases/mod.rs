//! The list of cases, and how an engine goes through it.
//!
//! An engine that cannot do a case names it with a reason; a name that is no case is an error, so that a
//! list of excuses cannot outlive what it excuses.
//!
//! | module | what its cases are about |
//! |---|---|
//! | `running` | threads, cancellation, errors of a graph that runs |
//! | `refusing` | files that an engine must refuse, and where external data may lie |

mod refusing;
mod running;

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use candor_domain::Engine;

use crate::answers;

/// One thing that every engine must do.
#[derive(Clone, Copy)]
pub struct Case {
    /// What it is about, unique.
    pub name: &'static str,
    /// Says what is wrong, if anything is.
    pub run: fn(&dyn Engine) -> Result<(), String>,
}

/// What became of the cases.
#[derive(Debug, Default)]
pub struct Report {
    /// Cases that hold.
    pub passed: Vec<&'static str>,
    /// Cases that were not run, and why.
    pub skipped: Vec<(&'static str, String)>,
    /// Cases that do not hold, and how.
    pub failed: Vec<(&'static str, String)>,
}

impl Report {
    /// Whether no case failed.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.failed.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = (self.passed.len(), self.skipped.len(), self.failed.len());
        writeln!(f, "{} passed, {} skipped, {} failed", counts.0, counts.1, counts.2)?;
        for (name, reason) in &self.skipped {
            writeln!(f, "  skipped {name}: {reason}")?;
        }
        for (name, why) in &self.failed {
            writeln!(f, "  FAILED {name}: {why}")?;
        }
        Ok(())
    }
}

/// Cases that compare a fixture with `answers.json` have the fixture's name.
macro_rules! answered {
    ($($name:literal),* $(,)?) => {
        [$(Case { name: $name, run: |engine| answers::check(engine, $name) }),*]
    };
}

/// Every case.
#[must_use]
pub fn cases() -> Vec<Case> {
    let answered = answered![
        "identity_bool",
        "identity_uint8",
        "identity_uint16",
        "identity_uint32",
        "identity_uint64",
        "identity_int8",
        "identity_int16",
        "identity_int32",
        "identity_int64",
        "identity_fp16",
        "identity_bf16",
        "identity_fp32",
        "identity_fp64",
        "identity_bytes",
        "scalar",
        "rankless",
        "linear",
        "two_symbols",
        "unnamed_dims",
        "arithmetic",
        "three_outputs",
        "regressor_leq",
        "regressor_lt",
        "regressor_gte",
        "regressor_gt",
        "regressor_eq",
        "regressor_neq",
        "regressor_missing",
        "regressor_missing_lt",
        "classifier_leq",
        "classifier_lt",
        "classifier_words",
        "encode_words",
        "decode_words",
        "long_loop",
        "reshape",
        "gather",
    ];
    answered.into_iter().chain(running::CASES).chain(refusing::CASES).collect()
}

/// Takes `engine` through all cases but those in `skip`, each of which has its reason.
///
/// # Errors
/// When `skip` names something that is no case, or names a case twice.
pub fn run(engine: &dyn Engine, skip: &[(&str, &str)]) -> Result<Report, String> {
    run_cases(&cases(), engine, skip)
}

fn run_cases(cases: &[Case], engine: &dyn Engine, skip: &[(&str, &str)]) -> Result<Report, String> {
    for (index, (name, _)) in skip.iter().enumerate() {
        if !cases.iter().any(|case| case.name == *name) {
            return Err(format!("the skip '{name}' names no case"));
        }
        if skip.iter().take(index).any(|(earlier, _)| earlier == name) {
            return Err(format!("'{name}' is skipped twice"));
        }
    }
    let mut report = Report::default();
    for case in cases {
        if let Some((_, reason)) = skip.iter().find(|(name, _)| *name == case.name) {
            report.skipped.push((case.name, (*reason).to_owned()));
            continue;
        }
        match catch_unwind(AssertUnwindSafe(|| (case.run)(engine))) {
            Ok(Ok(())) => report.passed.push(case.name),
            Ok(Err(why)) => report.failed.push((case.name, why)),
            Err(_) => report.failed.push((case.name, "it panicked".to_owned())),
        }
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NullEngine;

    const SAMPLE: [Case; 3] = [
        Case { name: "good", run: |_| Ok(()) },
        Case { name: "bad", run: |_| Err("wrong".to_owned()) },
        Case { name: "loud", run: |_| panic!("on purpose") },
    ];

    #[test]
    fn a_report_says_what_passed_failed_panicked_and_was_skipped() {
        let report = run_cases(&SAMPLE, &NullEngine::new(), &[]).unwrap();
        assert!(!report.is_clean());
        assert_eq!(report.passed, ["good"]);
        assert_eq!(report.failed, [("bad", "wrong".to_owned()), ("loud", "it panicked".to_owned())]);
        let excuses = [("bad", "cannot"), ("loud", "must not")];
        let report = run_cases(&SAMPLE, &NullEngine::new(), &excuses).unwrap();
        assert!(report.is_clean());
        assert_eq!(
            report.to_string(),
            "1 passed, 2 skipped, 0 failed\n  skipped bad: cannot\n  skipped loud: must not\n"
        );
    }

    #[test]
    fn a_skip_that_names_no_case_or_one_twice_is_an_error() {
        let unknown = run_cases(&SAMPLE, &NullEngine::new(), &[("god", "typo")]).unwrap_err();
        assert_eq!(unknown, "the skip 'god' names no case");
        assert!(run_cases(&SAMPLE, &NullEngine::new(), &[("bad", "a"), ("bad", "b")]).is_err());
    }

    #[test]
    fn names_are_unique_and_an_engine_that_refuses_everything_fails() {
        let mut names: Vec<_> = cases().iter().map(|case| case.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        let report = run(&NullEngine::new(), &[]).unwrap();
        assert!(report.failed.len() > report.passed.len(), "{report}");
    }
}
