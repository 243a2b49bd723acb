//! docs/plugins/MATRIX.md: the table of compilers and hosts, as the last run found it.
//!
//! After `matrix`. It does not know how a cell is asked.

use std::{fmt::Write as _, fs, process::Command};

use anyhow::{Context as _, Result};

use super::{COLUMNS, Cell, rows::Row};
use crate::{house::House, run};

const PAGE: &str = "docs/plugins/MATRIX.md";
const HEAD: &str = "\
# Compilers and hosts

Written by `cargo xtask test --only matrix`. One plugin, `sdk/contract`, in C and C++ (`contract.c`), in Rust with the SDK
(`src/lib.rs`) and without it (`raw.rs`), built by each compiler and asked the same in every host: numbers of any shape,
none among them; strings; errors; a panic or an exception; a caller who leaves; four threads; what it tells of itself;
configurations that cannot be. What is asked stands in `server/plugin_host/tests/plugins/matrix.rs`.

*Oldest host*: each of the host's tables says that it ends behind what no plugin can do without, and what lies behind is
poison, so that a plugin which touches it ends. *Isolated*: in a process of its own, which has to live through all of it.

";

/// Writes the page.
pub(super) fn write(house: &House, rows: &[Row], cells: &[Vec<Cell>]) -> Result<()> {
    let mut page = String::from(HEAD);
    let heads: Vec<&str> = COLUMNS.iter().map(|(head, ..)| *head).collect();
    let _ = writeln!(page, "| plugin | {} |\n|---|{}", heads.join(" | "), "---|".repeat(heads.len()));
    let mut notes = Vec::new();
    for (row, cells) in rows.iter().zip(cells) {
        let shown = cells.iter().map(|cell| match cell {
            Cell::Ok => "ok",
            Cell::Absent => "not run",
            Cell::Failed(_) => "**failed**",
        });
        let _ = writeln!(page, "| {} | {} |", row.name, shown.collect::<Vec<_>>().join(" | "));
        if let Err(why) = &row.built {
            notes.push(format!("- {}: {}", row.name, why.lines().next().unwrap_or_default()));
        }
    }
    if !notes.is_empty() {
        let _ = writeln!(page, "\nNot run:\n\n{}", notes.join("\n"));
    }
    let host = run::quiet(Command::new("rustc").arg("--version")).unwrap_or_default();
    let _ = writeln!(page, "\nThe host was built by {}.", host.trim());
    let path = house.path(PAGE);
    fs::write(&path, page).with_context(|| format!("cannot write {PAGE}"))?;
    println!("  wrote {PAGE}");
    Ok(())
}
