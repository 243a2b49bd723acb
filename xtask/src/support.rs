//! docs/ENGINE-SUPPORT.md: what each engine runs, from the committed lists of tests and of what passes.
//!
//! After `operators`, which writes the lists; part of `cargo xtask docs`. Reads no model and runs no engine.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
};

use anyhow::{Context as _, Result};

use crate::{
    house::House,
    operators::{ENGINES, LISTS, ZOO},
};

/// Where it is written.
pub const PAGE: &str = "docs/ENGINE-SUPPORT.md";

/// A set of tests and what each engine makes of it.
struct Tests {
    /// Name, operators, and whether Candor can express it.
    tests: Vec<Test>,
    engines: Vec<Engine>,
}

struct Test {
    name: String,
    operators: Vec<String>,
    expressible: bool,
}

struct Engine {
    name: &'static str,
    passed: BTreeSet<String>,
    /// What does not pass, with its reason.
    other: BTreeMap<String, String>,
    /// Models that are answered otherwise than ONNX Runtime does.
    differs: BTreeMap<String, String>,
}

/// The page.
pub fn page(house: &House) -> Result<String> {
    let (operators, zoo) = (Tests::read(house, LISTS, "wrong")?, Tests::read(house, ZOO, "not")?);
    let mut page = String::from(HEAD);
    totals(&mut page, &operators, &zoo);
    exports(&mut page, &zoo);
    by_operator(&mut page, &operators, &zoo);
    reasons(&mut page, &operators, &zoo);
    Ok(page)
}

const HEAD: &str = "\
# What each engine runs

Written by `cargo xtask docs` from the lists in `server/engine_conformance`, which every test run holds to: what passes may
only become more. *Operator tests* are those that the `onnx` package ships. *Exports* are the small models of `tests/zoo`;
they pass when the engine gives the answers of the library that trained them. An engine refuses a model, by the name of the
operator, rather than answer it wrong.
";

const LIBRARIES: [(&str, &str); 3] = [("sk_", "scikit-learn"), ("xgb_", "XGBoost"), ("lgb_", "LightGBM")];

impl Tests {
    fn read(house: &House, folder: &str, other: &str) -> Result<Self> {
        let read = |name: &str| fs::read_to_string(house.path(folder).join(name));
        let tests = read("tests.txt").with_context(|| format!("{folder}/tests.txt"))?;
        let mut engines = Vec::new();
        for name in ENGINES {
            let Ok(passed) = read(&format!("{name}.txt")) else { continue };
            engines.push(Engine {
                name,
                passed: passed.lines().map(str::to_owned).collect(),
                other: reasons_of(&read(&format!("{name}_{other}.txt")).unwrap_or_default()),
                differs: reasons_of(&read(&format!("{name}_differs.txt")).unwrap_or_default()),
            });
        }
        Ok(Self { tests: tests.lines().map(Test::of).collect(), engines })
    }

    /// Tests that Candor can express and that `wanted` picks.
    fn picked<'a>(&'a self, wanted: impl Fn(&Test) -> bool + 'a) -> impl Iterator<Item = &'a Test> {
        self.tests.iter().filter(move |test| test.expressible && wanted(test))
    }

    /// For each engine, how many of these it passes.
    fn counts(&self, of: &[&Test]) -> Vec<usize> {
        let count = |engine: &Engine| of.iter().filter(|test| engine.passed.contains(&test.name)).count();
        self.engines.iter().map(count).collect()
    }
}

impl Test {
    /// From a line of tests.txt: name, operators, and the reason if it cannot be expressed.
    fn of(line: &str) -> Self {
        let mut parts = line.split('\t');
        let name = parts.next().unwrap_or_default().to_owned();
        let operators = parts.next().unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        Self { name, operators, expressible: parts.next().is_none() }
    }
}

fn reasons_of(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(": ")).map(|(name, why)| (name.to_owned(), why.to_owned())).collect()
}

fn shown(engine: &str) -> &str {
    if engine == "ort" { "ONNX Runtime" } else { engine }
}

fn head(page: &mut String, columns: &[&str]) {
    let rule = "---:|".repeat(columns.len().saturating_sub(1));
    let _ = writeln!(page, "| {} |\n|---|{rule}", columns.join(" | "));
}

/// A count of `all`: nothing, everything or the number.
fn cell(count: usize, all: usize) -> String {
    match count {
        0 => "–".to_owned(),
        _ if count == all => "all".to_owned(),
        _ => count.to_string(),
    }
}

fn totals(page: &mut String, operators: &Tests, zoo: &Tests) {
    page.push_str("\n## All together\n\n");
    let all = operators.picked(|_| true).count();
    let exports = zoo.picked(|_| true).count();
    head(page, &["engine", "operator tests passed", "refused", "wrong or failed", "exports passed", "refused"]);
    for engine in &operators.engines {
        let (passed, wrong) = (engine.passed.len(), engine.other.len());
        let of_zoo = zoo.engines.iter().find(|other| other.name == engine.name).map_or(0, |other| other.passed.len());
        let _ = writeln!(
            page,
            "| {} | {passed} of {all} | {} | {wrong} | {of_zoo} of {exports} | {} |",
            shown(engine.name),
            all.saturating_sub(passed + wrong),
            exports.saturating_sub(of_zoo),
        );
    }
    let left_out = operators.tests.len() - all;
    let _ = writeln!(
        page,
        "\n{left_out} more operator tests are about sequences, optional values, or datatypes that the Open Inference \
         Protocol does not have."
    );
}

fn exports(page: &mut String, zoo: &Tests) {
    page.push_str("\n## Exports by library\n\n");
    let engines = zoo.engines.iter().map(|engine| shown(engine.name));
    head(page, &["library", "exports"].into_iter().chain(engines).collect::<Vec<_>>());
    for (prefix, library) in LIBRARIES {
        let of: Vec<&Test> = zoo.picked(|test| test.name.starts_with(prefix)).collect();
        let cells: Vec<String> = zoo.counts(&of).into_iter().map(|count| cell(count, of.len())).collect();
        let _ = writeln!(page, "| {library} | {} | {} |", of.len(), cells.join(" | "));
    }
}

fn by_operator(page: &mut String, operators: &Tests, zoo: &Tests) {
    page.push_str(
        "\n## By operator\n\nOf the operator tests those are counted whose model has this operator alone; of the exports, \
         all that use it.\n\n",
    );
    let names = |tests: &Tests| tests.engines.iter().map(|engine| shown(engine.name)).collect::<Vec<_>>();
    let columns = ["operator", "tests"].into_iter().chain(names(operators)).chain(["exports"]).chain(names(zoo));
    head(page, &columns.collect::<Vec<_>>());
    let mut all: BTreeSet<&str> = BTreeSet::new();
    for test in operators.picked(|test| test.operators.len() == 1).chain(zoo.picked(|_| true)) {
        all.extend(test.operators.iter().map(String::as_str));
    }
    for operator in all {
        let alone: Vec<&Test> = operators.picked(|test| test.operators == [operator]).collect();
        let using: Vec<&Test> = zoo.picked(|test| test.operators.iter().any(|used| used == operator)).collect();
        let cells = |tests: &Tests, of: &[&Test]| {
            let counts = tests.counts(of).into_iter().map(|count| cell(count, of.len()));
            let all = if of.is_empty() { "–".to_owned() } else { of.len().to_string() };
            [all].into_iter().chain(counts).collect::<Vec<_>>().join(" | ")
        };
        let _ = writeln!(page, "| {operator} | {} | {} |", cells(operators, &alone), cells(zoo, &using));
    }
}

fn reasons(page: &mut String, operators: &Tests, zoo: &Tests) {
    let wrong = operators.engines.iter().map(|engine| (engine.name, &engine.other));
    section(page, "Operator tests that are answered wrong, or not", wrong);
    let refused = zoo.engines.iter().map(|engine| (engine.name, &engine.other));
    section(page, "Exports that do not pass", refused);
    let differing = zoo.engines.iter().map(|engine| (engine.name, &engine.differs));
    section(page, "Exports that are answered otherwise than by ONNX Runtime", differing);
}

/// Reasons, with what shares one in one line.
fn section<'a>(page: &mut String, title: &str, engines: impl Iterator<Item = (&'a str, &'a BTreeMap<String, String>)>) {
    let mut text = String::new();
    for (engine, names) in engines {
        let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, reason) in names {
            let short = name.rsplit('/').next().unwrap_or(name);
            by_reason.entry(reason).or_default().push(short);
        }
        for (reason, names) in by_reason {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            let _ = writeln!(text, "- {}: {} ({reason})", shown(engine), names.join(", "));
        }
    }
    if !text.is_empty() {
        let _ = write!(page, "\n## {title}\n\n{text}");
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_page_counts_what_the_lists_say() {
        let folder = tempfile::tempdir().unwrap();
        let house = House::at(folder.path());
        let write = |list: &str, text: &str| {
            let path = folder.path().join(list);
            fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
            fs::write(path, text).unwrap();
        };
        write(&format!("{LISTS}/tests.txt"), "n/a\tAbs\nn/b\tAbs\nn/c\tAbs Neg\nn/d\tAbs\tno tensor\n");
        write(&format!("{LISTS}/ort.txt"), "n/a\nn/c\n");
        write(&format!("{LISTS}/ort_wrong.txt"), "# why\nn/b: rounds\n");
        write(&format!("{ZOO}/tests.txt"), "sk_x\tAbs Neg\n");
        write(&format!("{ZOO}/ort.txt"), "sk_x\n");
        let page = page(&house).unwrap();
        for line in [
            "| ONNX Runtime | 2 of 3 | 0 | 1 | 1 of 1 | 0 |",
            "| Abs | 2 | 1 | 1 | all |",
            "| Neg | – | – | 1 | all |",
            "| scikit-learn | 1 | all |",
            "- ONNX Runtime: `b` (rounds)",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
        assert!(!page.contains("native"), "{page}");
    }
}
