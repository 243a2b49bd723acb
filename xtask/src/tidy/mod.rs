//! `cargo xtask tidy`: the house rules as code, run as a test.
//!
//! One module per kind of rule; each takes texts and gives findings, and prints nothing. [`tree`]
//! reads the house, [`rules`] reads xtask/tidy.toml. The rules do not know cargo, except for
//! [`fences`], which asks it for the packages.

mod conflicts;
mod fences;
mod functions;
mod lex;
mod links;
mod rules;
mod sizes;
mod tree;
mod words;

use std::fmt;

use anyhow::{Result, bail};

use crate::house::House;
use rules::Rules;
use tree::Tree;

/// A rule that does not hold, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    path: String,
    line: usize,
    what: String,
    fix: String,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into(), fix: fix.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.path, self.line, self.what, self.fix)
    }
}

/// Prints every finding; any finding is an error.
pub fn command(house: &House) -> Result<()> {
    let rules = Rules::read(&house.path("xtask/tidy.toml"))?;
    let tree = Tree::read(house.root())?;
    let mut findings = Vec::new();
    findings.extend(sizes::check(&tree, &rules));
    findings.extend(words::check(&tree, &rules));
    findings.extend(links::check(&tree));
    findings.extend(conflicts::check(&tree));
    findings.extend(fences::check(house, &tree, &rules)?);
    findings.sort();
    findings.dedup();
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        println!("  tidy: {} files, nothing to say", tree.files().len());
        return Ok(());
    }
    bail!("tidy: {} findings", findings.len())
}
