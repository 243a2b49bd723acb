//! `cargo xtask test`: every check in order, each with a headline and its time, and a closing table.
//!
//! [`steps`] is the list and what each step runs; [`report`] is the table. This module reads the
//! arguments, goes through the list and stops at the first failure. It does not know what a step does.

mod report;
mod steps;

use anyhow::{Result, bail};

use crate::{house::House, run};
use report::{Outcome, Row};
use steps::{Options, STEPS, Step};

/// What the arguments ask for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    deep: bool,
    list: bool,
    only: Vec<String>,
    options: Options,
}

/// The command.
pub fn command(house: &House, args: &[String]) -> Result<()> {
    let asked = Asked::read(args)?;
    if asked.list {
        println!("{}", report::list(&STEPS));
        return Ok(());
    }
    let chosen: Vec<&Step> = STEPS.iter().filter(|step| asked.wants(step)).collect();
    let (rows, failure) = go(house, &chosen, &asked.options);
    println!("\n{}", report::table(&rows));
    if asked.deep && asked.only.is_empty() {
        report::write(house, &rows)?;
    }
    match failure {
        None => Ok(()),
        Some((step, error)) => {
            bail!("step `{step}` failed: {error:#}\nto run it alone: cargo xtask test --only {step}")
        }
    }
}

/// Runs the steps until one fails.
fn go(house: &House, chosen: &[&Step], options: &Options) -> (Vec<Row>, Option<(&'static str, anyhow::Error)>) {
    let mut rows = Vec::new();
    let mut failure = None;
    for step in chosen {
        if failure.is_some() {
            rows.push(Row::not_run(step.name));
            continue;
        }
        println!("\n== {}: {}", step.name, step.what);
        let (result, took) = run::timed(|| step.run.go(house, options));
        let (outcome, note) = match result {
            Ok(note) => (Outcome::Passed, note),
            Err(error) => {
                failure = Some((step.name, error));
                (Outcome::Failed, String::new())
            }
        };
        rows.push(Row { step: step.name, outcome, took, note });
    }
    (rows, failure)
}

impl Asked {
    fn read(args: &[String]) -> Result<Self> {
        let mut asked = Self::default();
        let mut words = args.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--deep" => asked.deep = true,
                "--list" => asked.list = true,
                "--only" => {
                    let Some(names) = words.next() else {
                        bail!("--only needs the names of steps; see `cargo xtask test --list`");
                    };
                    asked.only.extend(names.split(',').map(str::to_owned));
                }
                "--minutes" => {
                    let Some(minutes) = words.next().filter(|word| word.parse::<f64>().is_ok()) else {
                        bail!("--minutes needs a number: how long the steps `soak` and `hot` take");
                    };
                    asked.options.soak_minutes = minutes.clone();
                }
                other => bail!("`test` does not know `{other}`; see `cargo xtask test --help`"),
            }
        }
        for name in &asked.only {
            if !STEPS.iter().any(|step| step.name == name) {
                let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
                bail!("no step `{name}`; the steps are {}", names.join(", "));
            }
        }
        Ok(asked)
    }

    fn wants(&self, step: &Step) -> bool {
        if self.only.is_empty() {
            return self.deep || !step.deep;
        }
        self.only.iter().any(|name| name == step.name)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn asked(words: &[&str]) -> Result<Asked> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Asked::read(&words)
    }

    fn chosen(words: &[&str]) -> Vec<&'static str> {
        let asked = asked(words).unwrap();
        let wanted = STEPS.iter().filter(|step| asked.wants(step));
        wanted.map(|step| step.name).collect()
    }

    #[test]
    fn deep_adds_steps_and_only_picks_them() {
        let usual = chosen(&[]);
        assert_eq!(usual, ["fmt", "clippy", "doc", "nextest", "doctest", "tidy", "stale", "clients"]);
        assert!(chosen(&["--deep"]).len() > usual.len());
        assert_eq!(chosen(&["--only", "tidy,fmt"]), ["fmt", "tidy"]);
        assert_eq!(chosen(&["--only", "deny"]), ["deny"]);
    }

    #[test]
    fn wrong_words_are_refused_with_the_right_ones() {
        let error = asked(&["--only", "fmmt"]).unwrap_err().to_string();
        assert!(error.contains("fmt, clippy"), "{error}");
        asked(&["--only"]).unwrap_err();
        asked(&["--deeep"]).unwrap_err();
        asked(&["--minutes", "few"]).unwrap_err();
        assert_eq!(asked(&["--only", "soak", "--minutes", "2"]).unwrap().options.soak_minutes, "2");
        assert_eq!(asked(&["--only", "soak"]).unwrap().options.soak_minutes, "10");
    }

    #[test]
    fn the_first_failure_stops_the_rest() {
        let step = |name, run| Step { name, what: "", deep: false, run: steps::Run::Fixed(run) };
        let good = step("good", |_| Ok("fine".to_owned()));
        let bad = step("bad", |_| bail!("broken"));
        let house = House::at(Path::new("/none"));
        let (rows, failure) = go(&house, &[&good, &bad, &good], &Options::default());
        assert_eq!(failure.unwrap().0, "bad");
        let outcomes: Vec<Outcome> = rows.iter().map(|row| row.outcome).collect();
        assert_eq!(outcomes, [Outcome::Passed, Outcome::Failed, Outcome::NotRun]);
    }
}
