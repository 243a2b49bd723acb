//! The committed lists: what passes may only become more, and nothing is wrong without a reason.
//!
//! `operators/tests.txt` names every test and its operators; `<engine>.txt` those that pass; and
//! `<engine>_wrong.txt` those where the engine loads a model and then fails or answers wrong, with the reason.
//! What was found is also left in `target/operators/found/`, where `cargo xtask operators --record` takes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use candor_domain::Engine;

use super::{Finding, Outcome, Report, data, run};

/// Runs all tests on an engine and holds the outcome against the committed lists.
///
/// # Errors
/// When the data are missing, or everything in which outcome and lists differ.
pub fn hold(engine: &Arc<dyn Engine>) -> Result<Report, String> {
    let folder = data::folder()?;
    let report = run(engine, &folder)?;
    let name = engine.info().name;
    leave(&folder.join("found"), name, &report).map_err(|error| format!("cannot write what was found: {error}"))?;
    let lists = Lists::read(name)?;
    let differences = lists.differences(&report);
    if differences.is_empty() {
        return Ok(report);
    }
    let more = "if what changed is wanted, `cargo xtask operators --record` writes the lists of what passes; \
                what is wrong goes into the list by hand, with its reason";
    Err(format!("{name}: {report}\n{}\n{more}", differences.join("\n")))
}

struct Lists {
    tests: BTreeSet<String>,
    passed: BTreeSet<String>,
    /// With reasons.
    wrong: BTreeMap<String, String>,
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("operators").join(name)
}

/// Lines of a list without its remarks.
fn lines(name: &str) -> Result<Vec<String>, String> {
    let text = fs::read_to_string(path(name)).map_err(|error| format!("operators/{name}: {error}"))?;
    Ok(text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect())
}

impl Lists {
    fn read(engine: &str) -> Result<Self, String> {
        let reason = |line: String| {
            let parts = line.split_once(": ").filter(|(_, reason)| !reason.trim().is_empty());
            parts.map(|(name, why)| (name.to_owned(), why.to_owned())).ok_or(format!("'{line}' gives no reason"))
        };
        Ok(Self {
            tests: lines("tests.txt")?.into_iter().collect(),
            passed: lines(&format!("{engine}.txt"))?.into_iter().collect(),
            wrong: lines(&format!("{engine}_wrong.txt"))?.into_iter().map(reason).collect::<Result<_, _>>()?,
        })
    }

    fn differences(&self, report: &Report) -> Vec<String> {
        let mut differences = Vec::new();
        for (name, found) in &report.findings {
            let (word, why) = (found.outcome.word(), found.outcome.reason());
            let is_bad = matches!(found.outcome, Outcome::Failed(_) | Outcome::Wrong(_));
            let what = match (self.passed.contains(name), found.outcome == Outcome::Passed) {
                (true, false) => format!("used to pass and is {word}: {why}"),
                (false, true) => "passes and is not listed".to_owned(),
                (true, true) | (false, false) if is_bad && !self.wrong.contains_key(name) => {
                    format!("is {word}: {why}")
                }
                (true, true) | (false, false) => continue,
            };
            differences.push(format!("  {name} {what}"));
        }
        let bad = |name: &str| {
            let outcome = report.findings.get(name).map(|found| &found.outcome);
            matches!(outcome, Some(Outcome::Failed(_) | Outcome::Wrong(_)))
        };
        for name in self.wrong.keys().filter(|name| !bad(name)) {
            differences.push(format!("  {name} is listed as wrong and is not"));
        }
        for name in self.passed.iter().filter(|name| !report.findings.contains_key(*name)) {
            differences.push(format!("  {name} is listed and is no test"));
        }
        if !report.findings.iter().map(|(name, found)| known(name, found)).eq(self.tests.iter().cloned()) {
            differences.push("  tests.txt is not the list of the tests in target/operators".to_owned());
        }
        differences
    }
}

/// The line of `tests.txt`: name, operators, and why Candor cannot express it.
fn known(name: &str, found: &Finding) -> String {
    let mut line = format!("{name}\t{}", found.operators.join(" "));
    if let Outcome::Inexpressible(why) = &found.outcome {
        let _ = write!(line, "\t{}", one_line(why));
    }
    line
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn leave(folder: &Path, engine: &str, report: &Report) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let line = |(name, found): (&String, &Finding)| {
        format!("{}\t{name}\t{}\n", found.outcome.word(), one_line(found.outcome.reason()))
    };
    fs::write(folder.join(format!("{engine}.txt")), report.findings.iter().map(line).collect::<String>())?;
    let known = report.findings.iter().map(|(name, found)| known(name, found) + "\n");
    fs::write(folder.join("tests.txt"), known.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outcomes: &[(&str, Outcome)]) -> Report {
        let finding = |outcome: &Outcome| Finding { operators: vec!["Abs".to_owned()], outcome: outcome.clone() };
        Report { findings: outcomes.iter().map(|(name, outcome)| ((*name).to_owned(), finding(outcome))).collect() }
    }

    fn lists(tests: &[&str], passed: &[&str], wrong: &[&str]) -> Lists {
        Lists {
            tests: tests.iter().map(|name| format!("{name}\tAbs")).collect(),
            passed: passed.iter().map(|name| (*name).to_owned()).collect(),
            wrong: wrong.iter().map(|name| ((*name).to_owned(), "known".to_owned())).collect(),
        }
    }

    #[test]
    fn what_passes_may_only_become_more_and_must_be_listed() {
        let why = || "why".to_owned();
        let outcomes = [
            ("a", Outcome::Passed),
            ("b", Outcome::Refused(why())),
            ("c", Outcome::Wrong(why())),
            ("d", Outcome::Failed(why())),
        ];
        let report = report(&outcomes);
        let names = ["a", "b", "c", "d"];
        assert!(lists(&names, &["a"], &["c", "d"]).differences(&report).is_empty());
        for (lists, want) in [
            (lists(&names, &[], &["c", "d"]), "a passes and is not listed"),
            (lists(&names, &["a", "b"], &["c", "d"]), "b used to pass and is refused: why"),
            (lists(&names, &["a"], &["d"]), "c is wrong: why"),
            (lists(&names, &["a"], &["c"]), "d is failed: why"),
            (lists(&names, &["a"], &["b", "c", "d"]), "b is listed as wrong and is not"),
            (lists(&names, &["a", "e"], &["c", "d"]), "e is listed and is no test"),
            (lists(&["a"], &["a"], &["c", "d"]), "tests.txt is not the list"),
        ] {
            let differences = lists.differences(&report);
            assert!(matches!(&*differences, [only] if only.contains(want)), "{want}: {differences:?}");
        }
    }
}
