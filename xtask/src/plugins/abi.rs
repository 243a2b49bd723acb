//! Whether the header breaks what was built with an earlier one: abidiff on what a compiler makes of it.
//!
//! A second opinion beside the golden layouts: it reads debug information, and knows types where a layout knows bytes. It
//! is tried on changes whose judgement is known before it is believed. It does not know plugins.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

use super::debian;
use crate::{house::House, run};

/// What the interface's compiled form was, as abidw writes it.
const GOLDEN: &str = "sdk/abi/abi-0.1.xml";
const SOURCE: &str = "sdk/abi/every_table.c";
const HEADER: &str = "sdk/abi/include/candor_plugin.h";

/// What abidiff says of a change that breaks. Whatever else it says is growth at an end.
const BREAKS: [&str; 5] =
    ["offset changed", "data member deletion", "type name changed", "was removed", "Removed variable"];

/// A change of the header, and whether it breaks.
const TRIALS: [(&str, &str, &str, bool); 3] = [
    (
        "two fields of one size change places",
        "  const int64_t *shape;\n  const int64_t *strides; /* in elements; never NULL if ndim > 0 */\n",
        "  const int64_t *strides;\n  const int64_t *shape;\n",
        true,
    ),
    ("a field goes", "  uint64_t deadline_ns;", "  uint64_t deadline_ns_gone[0];", true),
    (
        "a function comes at the end",
        "const void *bytes, size_t len);\n} candor_call_fns;",
        "const void *bytes, size_t len);\n  candor_status (*later)(candor_call *call);\n} candor_call_fns;",
        false,
    ),
];

/// Compares the header with what it was, after its judgement has been tried.
pub fn abidiff(house: &House) -> Result<String> {
    if let Some(why) = debian::program("abidiff", "abigail-tools").or_else(|| debian::program("gcc", "gcc")) {
        return Ok(format!("skipped: {why}"));
    }
    let header = fs::read_to_string(house.path(HEADER)).context(HEADER)?;
    let work = house.target("plugins/abidiff");
    fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
    let now = compiled(house, &work, "now", &header)?;
    let golden = house.path(GOLDEN);
    if !golden.is_file() {
        let mut abidw = Command::new("abidw");
        abidw.args(["--no-corpus-path", "--no-show-locs", "--no-comp-dir-path"]).arg(&now);
        fs::write(&golden, run::quiet(abidw.current_dir(house.root()))?).context(GOLDEN)?;
        bail!("{GOLDEN} was not there and has been written; look at it and commit it");
    }
    let bare = without_assertions(&header);
    for (what, from, to, breaks) in TRIALS {
        ensure!(bare.contains(from), "the trial `{what}` finds nothing to change in the header");
        let changed = compiled(house, &work, "trial", &bare.replacen(from, to, 1))?;
        let said = compared(house, &now, &changed)?;
        ensure!(!said.is_empty(), "abidiff sees nothing where {what}");
        ensure!(broken(&said).is_some() == breaks, "abidiff misjudges that {what}:\n{said}");
    }
    let said = compared(house, &golden, &now)?;
    match broken(&said) {
        Some(line) => bail!("the header breaks what was built with it before: {line}\n{said}"),
        None if said.is_empty() => Ok(format!("the same as {GOLDEN}; {} trials judged rightly", TRIALS.len())),
        None => Ok(format!("only additions to {GOLDEN}; {} trials judged rightly", TRIALS.len())),
    }
}

/// Sizes and offsets are what the trials change.
fn without_assertions(header: &str) -> String {
    let kept = header.lines().filter(|line| !line.starts_with("CANDOR_SIZE(") && !line.starts_with("CANDOR_AT("));
    kept.collect::<Vec<_>>().join("\n") + "\n"
}

fn compiled(house: &House, work: &Path, name: &str, header: &str) -> Result<PathBuf> {
    let include = work.join(name);
    fs::create_dir_all(&include).with_context(|| format!("cannot make {}", include.display()))?;
    fs::write(include.join("candor_plugin.h"), header).context("candor_plugin.h")?;
    let library = work.join(format!("{name}.so"));
    let mut gcc = Command::new("gcc");
    gcc.args(["-std=gnu11", "-g", "-O0", "-fPIC", "-shared", "-I"]).arg(&include).arg("-o").arg(&library).arg(SOURCE);
    run::quiet(gcc.current_dir(house.root()))?;
    Ok(library)
}

/// What abidiff says; nothing if there is no difference.
fn compared(house: &House, from: &Path, to: &Path) -> Result<String> {
    let mut abidiff = Command::new("abidiff");
    let output = abidiff.arg(from).arg(to).current_dir(house.root()).output().context("abidiff")?;
    // Bits of the exit status: an error of its own, a wrong use; differences are neither.
    ensure!(
        output.status.code().is_some_and(|code| code & 3 == 0),
        "abidiff failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn broken(said: &str) -> Option<&str> {
    said.lines().find(|line| BREAKS.iter().any(|word| line.contains(word))).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::{broken, without_assertions};

    #[test]
    fn growth_is_no_break() {
        assert!(broken("1 data member insertion:\n  'f* later', at offset 384 (in bits)").is_none());
        assert_eq!(
            broken("x\n  'shape' offset changed from 192 to 256"),
            Some("'shape' offset changed from 192 to 256")
        );
        assert_eq!(without_assertions("CANDOR_AT(a, b, 0);\nint x;\n"), "int x;\n");
    }
}
