//! The committed lists: what passes may only become more, and nothing goes wrong without a reason.
//!
//! `operators/` and `zoo/` each hold `tests.txt`, every test and its operators; `<engine>.txt`, those that pass;
//! and one list of those that do not, with the reason. What was found is left in `target/found/`, where
//! `cargo xtask operators --record` takes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
};

use crate::outcome::{Finding, Outcome, Report};

/// A set of tests whose outcome is held against lists.
pub(crate) struct Set {
    folder: &'static str,
    /// How the list of what does not pass is called.
    other: &'static str,
    /// Whether a refusal must stand there too.
    refusals: bool,
}

/// `operators/`: an engine may refuse what it does not know.
pub(crate) const OPERATORS: Set = Set { folder: "operators", other: "wrong", refusals: false };

/// `zoo/`: what people export; a refusal is a gap.
pub(crate) const ZOO: Set = Set { folder: "zoo", other: "not", refusals: true };

impl Set {
    /// Holds an outcome against the lists of an engine, and leaves it where it can be recorded.
    pub(crate) fn hold(&self, engine: &str, report: Report) -> Result<Report, String> {
        self.leave(engine, &report).map_err(|error| format!("cannot write what was found: {error}"))?;
        let differences = Lists::read(self, engine)?.differences(&report);
        if differences.is_empty() {
            return Ok(report);
        }
        let more = "if what changed is wanted, `cargo xtask operators --record` writes the lists of what passes \
                    and of what is refused; what is wrong goes into its list by hand, with the reason";
        Err(format!("{engine}: {report}\n{}\n{more}", differences.join("\n")))
    }

    /// `target/found/<set>/<engine>.txt`.
    fn leave(&self, engine: &str, report: &Report) -> std::io::Result<()> {
        let test = std::env::current_exe()?;
        // target/debug/deps/<test>
        let target = test.ancestors().nth(3).unwrap_or(&test);
        let folder = target.join("found").join(self.folder);
        fs::create_dir_all(&folder)?;
        let line = |(name, found): (&String, &Finding)| {
            format!("{}\t{name}\t{}\n", found.outcome.word(), one_line(found.outcome.reason()))
        };
        fs::write(folder.join(format!("{engine}.txt")), report.findings.iter().map(line).collect::<String>())?;
        let known = report.findings.iter().map(|(name, found)| known(name, found) + "\n");
        fs::write(folder.join("tests.txt"), known.collect::<String>())
    }

    fn lines(&self, name: &str) -> Result<Vec<String>, String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(self.folder).join(name);
        let text = fs::read_to_string(path).map_err(|error| format!("{}/{name}: {error}", self.folder))?;
        Ok(text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect())
    }

    /// A list of names with reasons.
    pub(crate) fn reasons(&self, name: &str) -> Result<BTreeMap<String, String>, String> {
        let reason = |line: String| {
            let parts = line.split_once(": ").filter(|(_, reason)| !reason.trim().is_empty());
            parts.map(|(name, why)| (name.to_owned(), why.to_owned())).ok_or(format!("'{line}' gives no reason"))
        };
        self.lines(name)?.into_iter().map(reason).collect()
    }
}

struct Lists {
    tests: BTreeSet<String>,
    passed: BTreeSet<String>,
    /// With reasons.
    other: BTreeMap<String, String>,
    refusals: bool,
}

impl Lists {
    fn read(set: &Set, engine: &str) -> Result<Self, String> {
        Ok(Self {
            tests: set.lines("tests.txt")?.into_iter().collect(),
            passed: set.lines(&format!("{engine}.txt"))?.into_iter().collect(),
            other: set.reasons(&format!("{engine}_{}.txt", set.other))?,
            refusals: set.refusals,
        })
    }

    /// Whether an outcome must stand in the list of what does not pass.
    fn is_bad(&self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Failed(_) | Outcome::Wrong(_) => true,
            Outcome::Refused(_) => self.refusals,
            Outcome::Passed | Outcome::Inexpressible(_) => false,
        }
    }

    fn differences(&self, report: &Report) -> Vec<String> {
        let mut differences = Vec::new();
        for (name, found) in &report.findings {
            let (word, why) = (found.outcome.word(), found.outcome.reason());
            let is_bad = self.is_bad(&found.outcome);
            let what = match (self.passed.contains(name), found.outcome == Outcome::Passed) {
                (true, false) => format!("used to pass and is {word}: {why}"),
                (false, true) => "passes and is not listed".to_owned(),
                (true, true) | (false, false) if is_bad && !self.other.contains_key(name) => {
                    format!("is {word}: {why}")
                }
                (true, true) | (false, false) => continue,
            };
            differences.push(format!("  {name} {what}"));
        }
        let bad = |name: &str| report.findings.get(name).is_some_and(|found| self.is_bad(&found.outcome));
        for name in self.other.keys().filter(|name| !bad(name)) {
            differences.push(format!("  {name} is listed as not passing, and is not so"));
        }
        for name in self.passed.iter().filter(|name| !report.findings.contains_key(*name)) {
            differences.push(format!("  {name} is listed and is no test"));
        }
        if !report.findings.iter().map(|(name, found)| known(name, found)).eq(self.tests.iter().cloned()) {
            differences.push("  tests.txt is not the list of the tests that were found".to_owned());
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

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outcomes: &[(&str, Outcome)]) -> Report {
        let finding = |outcome: &Outcome| Finding { operators: vec!["Abs".to_owned()], outcome: outcome.clone() };
        Report { findings: outcomes.iter().map(|(name, outcome)| ((*name).to_owned(), finding(outcome))).collect() }
    }

    fn lists(tests: &[&str], passed: &[&str], other: &[&str]) -> Lists {
        Lists {
            tests: tests.iter().map(|name| format!("{name}\tAbs")).collect(),
            passed: passed.iter().map(|name| (*name).to_owned()).collect(),
            other: other.iter().map(|name| ((*name).to_owned(), "known".to_owned())).collect(),
            refusals: false,
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
            (lists(&names, &["a"], &["b", "c", "d"]), "b is listed as not passing, and is not so"),
            (lists(&names, &["a", "e"], &["c", "d"]), "e is listed and is no test"),
            (lists(&["a"], &["a"], &["c", "d"]), "tests.txt is not the list"),
        ] {
            let differences = lists.differences(&report);
            assert!(matches!(&*differences, [only] if only.contains(want)), "{want}: {differences:?}");
        }
    }

    #[test]
    fn of_what_people_export_a_refusal_needs_a_reason_too() {
        let report = report(&[("b", Outcome::Refused("why".to_owned()))]);
        let with = |other: &[&str]| Lists { refusals: true, ..lists(&["b"], &[], other) };
        assert!(with(&["b"]).differences(&report).is_empty());
        assert!(with(&[]).differences(&report)[0].contains("b is refused: why"));
    }
}
