//! `cargo xtask operators`: the operator tests of the ONNX project below target/, and the lists of what passes.
//!
//! Before the tests that run them on each engine. Takes the data out of the pinned wheel
//! (`server/engine_conformance/operators/source.toml`), and with `--record` writes the lists from what those
//! tests found. It does not know what stands in a model.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Read as _,
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::{
    house::House,
    run, runtime, stale,
    wheel::{self, Wheel},
};

/// Where the pin and the lists are.
pub const LISTS: &str = "server/engine_conformance/operators";

/// Where those of the exports in tests/zoo are.
pub const ZOO: &str = "server/engine_conformance/zoo";

/// A refusal begins with what is refused; advice comes later.
const REASON_CHARS_MAX: usize = 160;

/// Every engine that goes through the tests, once its folder holds `tests/operators.rs`.
pub const ENGINES: [&str; 3] = ["ort", "native", "tract"];

/// Written last: without it the folder is not whole.
const STAMP: &str = "complete.txt";

/// The data of one test are some kilobytes; a file that says otherwise is not one.
const FILE_BYTES_MAX: u64 = 64 << 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    package: String,
    version: String,
    python: String,
    platform: String,
    inside: String,
    kinds: Vec<String>,
    sha256: String,
}

/// The command: `operators [--record]`.
pub fn command(house: &House, args: &[String]) -> Result<()> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => ensure(house).map(|()| println!("  {} is whole", house.shown(&house.target("operators")))),
        ["--record"] => record(house),
        _ => bail!("`operators` takes --record or nothing"),
    }
}

/// The data in target/operators; fetched when they are not there.
pub fn ensure(house: &House) -> Result<()> {
    let pin = house.path(LISTS).join("source.toml");
    let text = fs::read_to_string(&pin).with_context(|| format!("cannot read {}", pin.display()))?;
    let source: Source = toml::from_str(&text).with_context(|| format!("{} is not as expected", pin.display()))?;
    let folder = house.target("operators");
    let stamp = format!("{} {}\n", source.package, source.version);
    if fs::read_to_string(folder.join(STAMP)).is_ok_and(|found| found == stamp) {
        return Ok(());
    }
    println!("  fetching the operator tests: pip, {}", stamp.trim());
    wheel::empty_folder(&folder)?;
    let Source { package, version, python, platform, .. } = &source;
    let file = Wheel { package, version, python, platform }.download(&folder)?;
    let sum = wheel::sha256(&file)?;
    if sum != source.sha256 {
        bail!("{} has sha256 {sum}, which {LISTS}/source.toml does not say", house.shown(&file));
    }
    unpack(&file, &source, &folder)?;
    fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    fs::write(folder.join(STAMP), stamp).context("cannot write the stamp")
}

/// Takes the chosen kinds of tests out of the wheel.
fn unpack(wheel: &Path, source: &Source, folder: &Path) -> Result<()> {
    let file = File::open(wheel).with_context(|| format!("cannot open {}", wheel.display()))?;
    let mut archive = zip::ZipArchive::new(file).context("the wheel is not a zip file")?;
    for at in 0..archive.len() {
        let entry = archive.by_index(at).context("the wheel is broken")?;
        // Only plain names below the wheel's own folder, so that nothing lands elsewhere.
        let Some(inside) = entry.enclosed_name() else { continue };
        let Ok(below) = inside.strip_prefix(&source.inside) else { continue };
        if !entry.is_file() || !source.kinds.iter().any(|kind| below.starts_with(kind)) {
            continue;
        }
        let to = folder.join(below);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        let mut bytes = Vec::new();
        entry.take(FILE_BYTES_MAX).read_to_end(&mut bytes).context("the wheel is broken")?;
        fs::write(&to, bytes).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(())
}

/// A set of tests and its lists.
struct Set {
    /// The tests of an engine that go through it: `tests/<test>.rs`.
    test: &'static str,
    lists: &'static str,
    /// How the list of what does not pass is called.
    other: &'static str,
    /// Whether refusals stand there too.
    refusals: bool,
}

const SETS: [Set; 2] = [
    Set { test: "operators", lists: LISTS, other: "wrong", refusals: false },
    Set { test: "zoo", lists: ZOO, other: "not", refusals: true },
];

/// Runs the tests of every engine and writes the lists of what passes.
fn record(house: &House) -> Result<()> {
    ensure(house)?;
    runtime::ensure(house, "debug")?;
    for set in &SETS {
        for engine in ENGINES {
            if house.path(&format!("server/engine_{engine}/tests/{}.rs", set.test)).is_file() {
                record_one(house, set, engine)?;
            }
        }
    }
    stale::support(house, false)
}

fn record_one(house: &House, set: &Set, engine: &str) -> Result<()> {
    let left = house.target("found").join(set.test);
    let found = left.join(format!("{engine}.txt"));
    fs::remove_file(&found).ok();
    let package = format!("candor-engine-{engine}");
    let words = ["test", "--locked", "-q", "-p", &package, "--test", set.test];
    let tested = run::quiet(&mut run::cargo(house, &words));
    let text = match fs::read_to_string(&found) {
        Ok(text) => text,
        Err(_) => return tested.map(drop).context("the test left nothing to record"),
    };
    set.write(house, engine, &text)?;
    let tests = fs::read_to_string(left.join("tests.txt")).context("no list of tests")?;
    fs::write(house.path(set.lists).join("tests.txt"), tests).context("cannot write tests.txt")
}

impl Set {
    /// The lists of an engine; says what changed, and what goes wrong and stands in no list.
    fn write(&self, house: &House, engine: &str, found: &str) -> Result<()> {
        let folder = house.path(self.lists);
        let path = folder.join(format!("{engine}.txt"));
        let old = fs::read_to_string(&path).unwrap_or_default();
        let (old, passed) = (old.lines().collect(), passed(found));
        let (more, fewer) = (passed.difference(&old).count(), old.difference(&passed).collect::<Vec<_>>());
        println!("  {}, {engine}: {} pass, {more} more than listed", self.test, passed.len());
        if !fewer.is_empty() {
            bail!("{engine} passed these and does not any more; nothing is written: {fewer:?}");
        }
        let text: String = passed.iter().map(|name| format!("{name}\n")).collect();
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        let other = folder.join(format!("{engine}_{}.txt", self.other));
        let old = fs::read_to_string(&other).unwrap_or_default();
        let text = if self.refusals { refused(&old, found) } else { old };
        fs::write(&other, text).with_context(|| format!("cannot write {}", other.display()))
    }
}

/// The list of what does not pass: refusals in the engine's words, and what else is there with its reason.
fn refused(old: &str, found: &str) -> String {
    let mut text: String = old.lines().filter(|line| line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    for line in found.lines() {
        let mut parts = line.splitn(3, '\t');
        let (Some(word), Some(name), Some(why)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let known = old.lines().find(|line| line.split_once(": ").is_some_and(|(known, _)| known == name));
        match (word, known) {
            ("passed" | "inexpressible", _) => {}
            ("refused", _) => text += &format!("{name}: {}\n", why.chars().take(REASON_CHARS_MAX).collect::<String>()),
            (_, Some(line)) => text += &format!("{line}\n"),
            (_, None) => println!("  {name} is {word} and stands in no list: {why}"),
        }
    }
    text
}

/// Names from what a test found: lines of outcome, name and reason.
fn passed(found: &str) -> BTreeSet<&str> {
    found.lines().filter_map(|line| line.strip_prefix("passed\t")?.split('\t').next()).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn only_the_chosen_kinds_come_out_of_the_wheel() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.whl");
        let mut writer = zip::ZipWriter::new(File::create(&file).unwrap());
        for name in ["a/data/node/test_x/model.onnx", "a/data/real/data.json", "a/code.py", "../a/data/node/evil"] {
            writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(name.as_bytes()).unwrap();
        }
        writer.finish().unwrap();
        let text = fs::read_to_string(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../",
            "server/engine_conformance/operators/source.toml"
        ));
        let mut source: Source = toml::from_str(&text.unwrap()).unwrap();
        assert_eq!(source.sha256.len(), 64);
        source.inside = "a/data".to_owned();
        let to = folder.path().join("to");
        unpack(&file, &source, &to).unwrap();
        assert!(to.join("node/test_x/model.onnx").is_file());
        assert!(!to.join("real").exists() && !to.join("node/evil").exists());
    }

    #[test]
    fn a_list_only_grows() {
        let folder = tempfile::tempdir().unwrap();
        let house = House::at(folder.path());
        let set = Set { test: "x", lists: "lists", other: "not", refusals: true };
        fs::create_dir_all(house.path("lists")).unwrap();
        fs::write(house.path("lists/x_not.txt"), "# a remark\nd: known\nb: was refused\n").unwrap();
        let read = |name: &str| fs::read_to_string(house.path("lists").join(name)).unwrap();
        set.write(&house, "x", "passed\tb\t\nrefused\ta\twhy\npassed\tc\t\nwrong\td\t1\nwrong\te\t2\n").unwrap();
        assert_eq!((read("x.txt"), read("x_not.txt")), ("b\nc\n".into(), "# a remark\na: why\nd: known\n".into()));
        let error = set.write(&house, "x", "passed\tc\t\n").unwrap_err().to_string();
        assert!(error.contains("\"b\""), "{error}");
        assert_eq!(read("x.txt"), "b\nc\n");
    }
}
