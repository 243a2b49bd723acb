//! What a test run says at its end: the table on the screen, and docs/TESTING-DEEP.md.
//!
//! After the steps. It knows results and times; it does not know what the steps do.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context as _, Result};

use super::steps::Step;
use crate::{house::House, run};

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    Failed,
    NotRun,
}

/// One line of the table.
#[derive(Debug)]
pub struct Row {
    pub step: &'static str,
    pub outcome: Outcome,
    pub took: Duration,
    pub note: String,
}

impl Row {
    /// A step that came after a failure.
    pub fn not_run(step: &'static str) -> Self {
        Self { step, outcome: Outcome::NotRun, took: Duration::ZERO, note: String::new() }
    }
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "FAILED",
            Self::NotRun => "not run",
        }
    }
}

/// The closing table.
pub fn table(rows: &[Row]) -> String {
    let lines = rows.iter().map(|row| {
        format!("  {:<10} {:<8} {:>8}  {}", row.step, row.outcome.word(), seconds(row.took), row.note)
            .trim_end()
            .to_owned()
    });
    let total: Duration = rows.iter().map(|row| row.took).sum();
    let last = format!("  {:<10} {:<8} {:>8}", "all", "", seconds(total));
    lines.chain([last]).collect::<Vec<_>>().join("\n")
}

/// The list of steps.
pub fn list(steps: &[Step]) -> String {
    let lines = steps.iter().map(|step| {
        let deep = if step.deep { "--deep" } else { "" };
        format!("  {:<10} {deep:<7} {}", step.name, step.what)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Writes the results of a deep run to docs/TESTING-DEEP.md.
pub fn write(house: &House, rows: &[Row]) -> Result<()> {
    let said = |program: &str, args: &[&str]| {
        let mut command = Command::new(program);
        command.args(args).current_dir(house.root());
        run::quiet(&mut command).map_or_else(|_| "unknown".to_owned(), |text| text.trim().into())
    };
    let facts = Facts {
        date: said("date", &["-u", "+%Y-%m-%d"]),
        commit: said("git", &["rev-parse", "--short", "HEAD"]),
        compiler: said("rustc", &["--version"]),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
    };
    let path = house.path("docs/TESTING-DEEP.md");
    fs::write(&path, page(&facts, rows)).with_context(|| format!("cannot write {}", path.display()))?;
    println!("  wrote docs/TESTING-DEEP.md");
    Ok(())
}

struct Facts {
    date: String,
    commit: String,
    compiler: String,
    cores: usize,
}

fn page(facts: &Facts, rows: &[Row]) -> String {
    let lines = rows
        .iter()
        .map(|row| format!("| {} | {} | {} | {} |\n", row.step, row.outcome.word(), seconds(row.took), row.note));
    format!(
        "# The last deep test run\n\nWritten by `cargo xtask test --deep` and committed by hand. \
         {date}, commit {commit}, {compiler}, {cores} cores.\n\n\
         | step | result | time | note |\n|---|---|---|---|\n{lines}",
        date = facts.date,
        commit = facts.commit,
        compiler = facts.compiler,
        cores = facts.cores,
        lines = lines.collect::<String>(),
    )
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        vec![
            Row { step: "fmt", outcome: Outcome::Passed, took: Duration::from_millis(1_250), note: "fine".to_owned() },
            Row::not_run("clippy"),
        ]
    }

    #[test]
    fn the_table_has_a_line_per_step_and_a_sum() {
        let table = table(&rows());
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].contains("passed") && lines[0].contains("1.2 s") && lines[0].contains("fine"));
        assert!(lines[1].contains("not run"));
        assert!(lines[2].contains("all"));
    }

    #[test]
    fn the_page_names_commit_and_machine() {
        let facts = Facts { date: "2026-01-02".into(), commit: "abc".into(), compiler: "rustc 1".into(), cores: 2 };
        let page = page(&facts, &rows());
        assert!(page.contains("commit abc, rustc 1, 2 cores"), "{page}");
        assert!(page.contains("| fmt | passed | 1.2 s | fine |"), "{page}");
    }
}
