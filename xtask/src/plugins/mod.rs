//! Proofs of the plugin interface that need other compilers, other tools, or minutes: the steps `matrix`, `abidiff`,
//! `valgrind` and `reloads` of `cargo xtask test --deep`.
//!
//! | module | what it does |
//! |---|---|
//! | `debian` | programs and compilers that the machine lacks |
//! | `rows` | one plugin by many compilers |
//! | `page` | the table for people, docs/plugins/MATRIX.md |
//! | `abi` | whether a change of the header breaks what was built before |
//!
//! What is asked of a plugin stands in `server/plugin_host/tests/plugins`; nothing is judged here.

mod abi;
mod debian;
mod page;
mod rows;

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{house::House, run};
pub use abi::abidiff;
use rows::Row;

/// What stands over a column, and what the test is told: the host's age and the place.
const COLUMNS: [(&str, &str, &str); 4] = [
    ("oldest host, in process", "oldest", "in_process"),
    ("oldest host, isolated", "oldest", "process"),
    ("today's host, in process", "today", "in_process"),
    ("today's host, isolated", "today", "process"),
];

/// What came of a cell.
enum Cell {
    Ok,
    /// The compiler is not here.
    Absent,
    Failed(String),
}

/// Every compiler's plugin in every host; writes the page.
pub fn matrix(house: &House) -> Result<String> {
    let tests = test_program(house)?;
    let rows = rows::build(house);
    let (mut cells, mut failed) = (Vec::new(), Vec::new());
    for row in &rows {
        let mut line = Vec::new();
        for (column, age, place) in COLUMNS {
            let cell = match &row.built {
                Err(_) => Cell::Absent,
                Ok(folder) => cell(&tests, folder, age, place),
            };
            let shown = match (&cell, &row.built) {
                (Cell::Ok, _) => "ok".to_owned(),
                (Cell::Failed(why), _) => format!("FAILED: {why}"),
                (Cell::Absent, built) => format!("not run: {}", built.as_ref().err().map_or("", String::as_str)),
            };
            println!("  {} · {column}: {shown}", row.name);
            if let Cell::Failed(why) = &cell {
                failed.push(format!("{} · {column}: {why}", row.name));
            }
            line.push(cell);
        }
        cells.push(line);
    }
    page::write(house, &rows, &cells)?;
    if !failed.is_empty() {
        bail!("{}", failed.join("\n"));
    }
    let run = cells.iter().flatten().filter(|cell| matches!(cell, Cell::Ok)).count();
    let absent: Vec<String> =
        rows.iter().filter_map(|row| Some(format!("{}: {}", row.name, row.built.as_ref().err()?))).collect();
    let absent = if absent.is_empty() { String::new() } else { format!("; not run: {}", absent.join("; ")) };
    Ok(format!("{run} cells hold{absent}; docs/plugins/MATRIX.md"))
}

/// The program of the host's tests, built.
fn test_program(house: &House) -> Result<std::path::PathBuf> {
    let words = [
        "test",
        "-q",
        "--locked",
        "-p",
        "candor-plugin-host",
        "--test",
        "plugins",
        "--no-run",
        "--message-format=json",
    ];
    let said = run::quiet(&mut run::cargo(house, &words))?;
    let is_ours = |message: &serde_json::Value| message.pointer("/target/name").is_some_and(|name| name == "plugins");
    let messages = said.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let program = messages.filter(is_ours).find_map(|message| message.get("executable")?.as_str().map(Into::into));
    program.context("cargo did not say where the tests of candor-plugin-host are")
}

fn one_test(program: &Path, test: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["--ignored", "--exact", "--nocapture", "--test-threads=1", test]);
    command
}

fn cell(tests: &Path, folder: &Path, age: &str, place: &str) -> Cell {
    let mut command = one_test(tests, "matrix::a_cell");
    command.env("CANDOR_CELL_FOLDER", folder).env("CANDOR_CELL_HOST", age).env("CANDOR_CELL_PLACE", place);
    match run::quiet(&mut command) {
        Ok(said) if said.contains("1 passed") => Cell::Ok,
        Ok(said) => Cell::Failed(format!("no test was run: {}", said.trim())),
        Err(error) => Cell::Failed(format!("{error:#}")),
    }
}

fn built<'r>(rows: &'r [Row], begins: &str) -> Result<&'r Path> {
    let row = rows.iter().find(|row| row.name.starts_with(begins)).context("no such row")?;
    row.built.as_deref().map_err(|why| anyhow::anyhow!("{}: {why}", row.name))
}

/// A thousand libraries of one plugin in one process, in C and in Rust.
pub fn reloads(house: &House) -> Result<String> {
    let (tests, rows) = (test_program(house)?, rows::build(house));
    let mut notes = Vec::new();
    for begins in ["C, gcc", "Rust with the SDK"] {
        let mut command = one_test(&tests, "reloading::a_thousand_generations");
        let said = run::teed(command.env("CANDOR_RELOAD_FOLDER", built(&rows, begins)?))?;
        let line = said.lines().find(|line| line.contains("generations of")).context("no numbers were told")?;
        notes.push(format!("{begins}: {line}"));
    }
    Ok(notes.join("; "))
}

/// The host with plugins in C, C++ and Rust under valgrind; skipped, with the reason, where it cannot be had.
pub fn valgrind(house: &House) -> Result<String> {
    if let Some(why) = debian::program("valgrind", "valgrind") {
        return Ok(format!("skipped: {why}"));
    }
    let (tests, rows) = (test_program(house)?, rows::build(house));
    let mut notes = Vec::new();
    for begins in ["C, gcc -O2", "C++, g++", "Rust with the SDK"] {
        let inner = one_test(&tests, "matrix::a_cell");
        let mut command = Command::new("valgrind");
        command.args(["-q", "--error-exitcode=99", "--leak-check=full", "--show-leak-kinds=definite"]);
        command.args(["--errors-for-leak-kinds=definite", "--num-callers=30"]);
        command.arg(format!("--suppressions={}", house.path("sdk/contract/valgrind.supp").display()));
        command.arg(inner.get_program()).args(inner.get_args());
        command.env("CANDOR_CELL_FOLDER", built(&rows, begins)?);
        command.env("CANDOR_CELL_HOST", "today").env("CANDOR_CELL_PLACE", "in_process");
        let said = run::quiet(&mut command)?;
        if !said.contains("1 passed") {
            bail!("{begins}: no test was run: {}", said.trim());
        }
        notes.push(begins);
    }
    Ok(format!("no error and nothing lost: {}", notes.join(", ")))
}
