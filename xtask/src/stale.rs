//! `cargo xtask openapi`, `cargo xtask docs` and `cargo xtask header`: committed files that the server itself writes,
//! or that follow from lists or from a crate.
//!
//! Runs the server's own subcommands and writes, or compares, what they print. It does not know what
//! stands in the files.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};

use crate::{house::House, run, support};

/// A committed file and the words after `candor` that print it.
struct Written {
    file: &'static str,
    words: &'static [&'static str],
    command: &'static str,
}

const OPENAPI: [Written; 2] = [
    Written { file: "openapi/openapi.json", words: &["openapi"], command: "cargo xtask openapi" },
    Written {
        file: "openapi/openapi-3.0.json",
        words: &["openapi", "--version", "3.0"],
        command: "cargo xtask openapi",
    },
];

const DOCS: [Written; 2] = [
    Written { file: "docs/CONFIG.md", words: &["reference", "config"], command: "cargo xtask docs" },
    Written { file: "docs/METRICS.md", words: &["reference", "metrics"], command: "cargo xtask docs" },
];

/// Writes or checks the OpenAPI document.
pub fn openapi(house: &House, check: bool) -> Result<()> {
    all(house, &OPENAPI, check)
}

/// Writes or checks the reference pages, and the page of what each engine runs.
pub fn docs(house: &House, check: bool) -> Result<()> {
    support(house, check)?;
    all(house, &DOCS, check)
}

/// Writes or checks the golden layout of the plugin interface, and holds the C header against it.
pub fn header(house: &House, check: bool) -> Result<()> {
    let words = ["run", "-q", "--locked", "-p", "candor-plugin-abi", "--example", "layout"];
    let fresh = ended(&run::quiet(&mut run::cargo(house, &words))?);
    let number = |name: &str| {
        let row = fresh.lines().find(|line| line.starts_with(&format!("{name}\t")));
        row.and_then(|row| row.split('\t').nth(3)).with_context(|| format!("the layout has no {name}"))
    };
    let file = format!("sdk/abi/layout-{}.{}.tsv", number("CANDOR_ABI_MAJOR")?, number("CANDOR_ABI_MINOR")?);
    if let Some(what) = one(house, &file, &fresh, check)? {
        bail!("{what}\nrun `cargo xtask header`, look at what it changes, and commit it");
    }
    run::visible(&mut run::cargo(house, &["test", "-q", "--locked", "-p", "candor-plugin-abi", "--test", "header"]))
}

/// Writes or checks the page of what each engine runs.
pub fn support(house: &House, check: bool) -> Result<()> {
    let fresh = ended(&support::page(house)?);
    match one(house, support::PAGE, &fresh, check)? {
        Some(what) => bail!("{what}\nrun `cargo xtask docs` and commit what it writes"),
        None => Ok(()),
    }
}

fn all(house: &House, files: &[Written], check: bool) -> Result<()> {
    let mut stale = Vec::new();
    for written in files {
        // No page depends on tract, which takes minutes to build.
        let mut command = run::cargo(house, &["run", "-q", "-p", "candor", "--no-default-features", "--"]);
        let text = run::quiet(command.args(written.words))?;
        let fresh = ended(&text);
        stale.extend(one(house, written.file, &fresh, check)?);
    }
    if stale.is_empty() {
        return Ok(());
    }
    let command = files.first().map_or("", |written| written.command);
    bail!("{}\nrun `{command}` and commit what it writes", stale.join("\n"));
}

/// Writes a file, or says how it is stale.
fn one(house: &House, file: &str, fresh: &str, check: bool) -> Result<Option<String>> {
    let path = house.path(file);
    let difference = difference(&path, fresh);
    if check {
        return Ok(difference.map(|what| format!("{file}{what}")));
    }
    if difference.is_some() {
        write(&path, fresh)?;
        println!("  wrote {file}");
    } else {
        println!("  {file} is up to date");
    }
    Ok(None)
}

/// Exactly one line end at the end, whoever printed it.
fn ended(text: &str) -> String {
    format!("{}\n", text.trim_end())
}

/// Where the file and the fresh text part, as words that follow the file's name.
fn difference(path: &Path, fresh: &str) -> Option<String> {
    let Ok(committed) = fs::read_to_string(path) else {
        return Some(" is not there".to_owned());
    };
    if committed == fresh {
        return None;
    }
    let same = committed.lines().zip(fresh.lines()).take_while(|(old, new)| old == new).count();
    let line = |text: &str| text.lines().nth(same).unwrap_or("(end of file)").to_owned();
    Some(format!(":{}: is stale\n    committed: {}\n    server:    {}", same + 1, line(&committed), line(fresh)))
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_no_difference() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/file.md");
        write(&path, "one\ntwo\n").unwrap();
        assert_eq!(difference(&path, "one\ntwo\n"), None);
    }

    #[test]
    fn the_first_differing_line_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.md");
        assert_eq!(difference(&path, ""), Some(" is not there".to_owned()));
        write(&path, "one\ntwo\n").unwrap();
        let said = difference(&path, "one\nthree\n").unwrap();
        assert!(said.starts_with(":2: is stale") && said.contains("server:    three"), "{said}");
        let shorter = difference(&path, "one\n").unwrap();
        assert!(shorter.contains("(end of file)"), "{shorter}");
    }

    #[test]
    fn a_text_ends_with_one_line_end() {
        assert_eq!(ended("{}"), "{}\n");
        assert_eq!(ended("a\n\n"), "a\n");
    }
}
