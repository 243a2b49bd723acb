//! The steps of `cargo xtask test`, in their order, and what each runs.
//!
//! Before [`super`], which goes through the list. Cheap steps first, so that a slip is found early.
//! It knows which program to call; it does not know what the program looks for.

use std::{fs, process::Command};

use anyhow::{Context as _, Result};

use crate::{bench, house::House, node, operators, plugins, run, runtime, stale, tidy, tools, venv};

/// What the arguments say of single steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How long `soak` strains the server, and `hot` with each policy.
    pub soak_minutes: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { soak_minutes: "10".to_owned() }
    }
}

/// One check. `run` gives a note for the closing table.
pub struct Step {
    pub name: &'static str,
    pub what: &'static str,
    pub deep: bool,
    pub run: Run,
}

/// What a step runs.
#[derive(Clone, Copy)]
pub enum Run {
    /// The same each time.
    Fixed(fn(&House) -> Result<String>),
    /// What the arguments say.
    With(fn(&House, &Options) -> Result<String>),
}

impl Run {
    /// Runs it.
    pub fn go(self, house: &House, options: &Options) -> Result<String> {
        match self {
            Self::Fixed(run) => run(house),
            Self::With(run) => run(house, options),
        }
    }
}

const fn usual(name: &'static str, what: &'static str, run: fn(&House) -> Result<String>) -> Step {
    Step { name, what, deep: false, run: Run::Fixed(run) }
}

const fn deep(name: &'static str, what: &'static str, run: fn(&House) -> Result<String>) -> Step {
    Step { name, what, deep: true, run: Run::Fixed(run) }
}

/// All of them.
pub static STEPS: [Step; 22] = [
    usual("fmt", "every source is formatted", fmt),
    usual("clippy", "no lint speaks", clippy),
    usual("doc", "the documentation builds without a warning", doc),
    usual("nextest", "unit and integration tests", nextest),
    usual("doctest", "the examples in the documentation run", doctest),
    usual("tidy", "the house rules hold", tidy_step),
    usual("stale", "files that the server writes are up to date", stale_step),
    deep("models", "the sample models rebuild to the same answers", models),
    deep("zoo", "the exports of classical models rebuild to the same answers", zoo),
    deep("fixtures", "what the plugins are compared with rebuilds to the same files", fixtures),
    deep("served", "a sentence encoder and a classifier of images with plugins around them, as in Python", served),
    deep("matrix", "one plugin by many compilers, in hosts of two ages, in process and isolated", plugins::matrix),
    deep("abidiff", "the header breaks nothing that was built with an earlier one", plugins::abidiff),
    deep("valgrind", "the host with plugins in C, C++ and Rust under valgrind", plugins::valgrind),
    deep("reloads", "a thousand libraries of one plugin in one process", plugins::reloads),
    usual(
        "clients",
        "other people's clients, generated ones, schemathesis and a browser against a real server",
        clients,
    ),
    deep("deny", "licences, bans and sources of dependencies", deny),
    deep("coverage", "how much of the code the tests run", coverage),
    deep("memory", "a thousand loads, runs and unloads leave no memory behind", memory),
    deep("bench", "the benchmarks", bench_step),
    Step {
        name: "soak",
        what: "minutes of strain: churn of models, clients that leave, slow ones, floods",
        deep: true,
        run: Run::With(soak),
    },
    Step {
        name: "hot",
        what: "2000 models with room for 50, minutes long with each policy",
        deep: true,
        run: Run::With(hot),
    },
];

fn fmt(house: &House) -> Result<String> {
    passed(&mut run::cargo(house, &["fmt", "--all", "--check"]))
}

fn clippy(house: &House) -> Result<String> {
    let mut command = run::cargo(house, &["clippy", "--workspace", "--all-targets", "--locked"]);
    passed(command.args(["--", "-D", "warnings"]))
}

fn doc(house: &House) -> Result<String> {
    let mut command = run::cargo(house, &["doc", "--workspace", "--no-deps", "--locked"]);
    passed(command.env("RUSTDOCFLAGS", "-D warnings"))
}

fn nextest(house: &House) -> Result<String> {
    runtime::ensure(house, "debug")?;
    operators::ensure(house)?;
    let words = ["nextest", "run", "--workspace", "--locked", "--no-fail-fast"];
    let mut command = match tools::ensure(house, &tools::NEXTEST) {
        Ok(program) => tools::command(house, &program, &words),
        Err(error) => {
            println!("  {error:#}\n  running the same tests with `cargo test`");
            let words = ["test", "--workspace", "--locked", "--lib", "--bins", "--tests"];
            run::cargo(house, &words)
        }
    };
    passed(&mut command)
}

fn doctest(house: &House) -> Result<String> {
    passed(&mut run::cargo(house, &["test", "--workspace", "--doc", "--locked"]))
}

fn tidy_step(house: &House) -> Result<String> {
    tidy::command(house).map(|()| String::new())
}

fn stale_step(house: &House) -> Result<String> {
    stale::openapi(house, true)?;
    stale::header(house, true)?;
    stale::docs(house, true).map(|()| String::new())
}

fn models(house: &House) -> Result<String> {
    let python = venv::ensure(house, "models/venv", "models/requirements.txt")?;
    let mut command = Command::new(python);
    command.args(["models/make_models.py", "--check", "models"]).current_dir(house.root());
    passed(&mut command)
}

fn zoo(house: &House) -> Result<String> {
    let python = venv::ensure(house, "zoo/venv", venv::ZOO)?;
    let mut command = Command::new(python);
    command.args(["tests/zoo/make_zoo.py", "--check"]).env("PYTHONDONTWRITEBYTECODE", "1").current_dir(house.root());
    passed(&mut command)
}

fn fixtures(house: &House) -> Result<String> {
    let python = venv::ensure(house, "plugins/venv", venv::PLUGINS)?;
    let mut command = Command::new(python);
    command.args(["plugins/fixtures/make_fixtures.py", "--check"]);
    passed(command.env("PYTHONDONTWRITEBYTECODE", "1").current_dir(house.root()))
}

fn served(house: &House) -> Result<String> {
    runtime::ensure(house, "debug")?;
    let folder = house.target("plugins/served");
    let wheel = bench::weights(house, &folder)?;
    let python = venv::ensure(house, "plugins/venv", venv::PLUGINS)?;
    let mut command = Command::new(python);
    command.arg(house.path("plugins/fixtures/make_served.py")).arg(&wheel).arg(&folder);
    run::visible(command.env("PYTHONDONTWRITEBYTECODE", "1"))?;
    fs::remove_file(&wheel).with_context(|| format!("cannot remove {}", wheel.display()))?;
    let words = ["test", "--locked", "-p", "candor-tests", "--test", "integration", "--", "--ignored", "served::"];
    passed(run::cargo(house, &words).env("CANDOR_SERVED", folder))
}

fn clients(house: &House) -> Result<String> {
    runtime::ensure(house, "debug")?;
    run::visible(&mut run::cargo(house, &["build", "--locked", "-p", "candor", "--no-default-features"]))?;
    run::visible(&mut run::cargo(house, &["build", "--locked", "-p", "candor-pictures", "--example", "gallery"]))?;
    node::ensure(house, "clients/node", "tests/clients/ts")?;
    let python = venv::ensure(house, "clients/venv", "tests/clients/requirements.txt")?;
    let mut command = Command::new(python);
    command
        .args(["-m", "pytest", "tests/clients"])
        .env("CANDOR_BINARY", house.target("debug/candor"))
        .env("CANDOR_CLIENTS", house.target("clients"))
        .env("CANDOR_GALLERY", house.target("debug/examples/gallery"))
        .env("CANDOR_MODELS", house.path("models"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(house.root());
    let said = run::teed(&mut command)?;
    Ok(said.lines().last().unwrap_or_default().trim_matches(['=', ' ']).to_owned())
}

fn deny(house: &House) -> Result<String> {
    let program = tools::ensure(house, &tools::DENY)?;
    let words = ["check", "licenses", "bans", "sources"];
    passed(&mut tools::command(house, &program, &words))
}

fn coverage(house: &House) -> Result<String> {
    // A folder of its own: its flags would rebuild everything, twice.
    let folder = house.target("coverage");
    runtime::ensure_in(house, &folder.join("debug"))?;
    operators::ensure(house)?;
    let program = tools::ensure(house, &tools::TARPAULIN)?;
    let words = ["tarpaulin", "--engine", "ptrace", "--workspace", "--locked"];
    let mut command = tools::command(house, &program, &words);
    command.args(["--skip-clean", "--out", "stdout", "--target-dir"]).arg(folder);
    let said = run::teed(&mut command)?;
    let line = said.lines().rev().find(|line| line.contains("% coverage"));
    line.map(|line| line.trim().to_owned()).context("tarpaulin did not say how much is covered")
}

fn memory(house: &House) -> Result<String> {
    runtime::ensure(house, "debug")?;
    let words =
        ["test", "-p", "candor-tests", "--test", "integration", "--locked", "memory::", "--", "--test-threads=1"];
    let mut command = run::cargo(house, &words);
    run::visible(command.env("CANDOR_TEST_CYCLES", "1000")).map(|()| "1000 cycles of each kind".to_owned())
}

fn bench_step(house: &House) -> Result<String> {
    bench::bench(house, &[]).map(|()| "numbers in benches/RESULTS.md".to_owned())
}

fn soak(house: &House, options: &Options) -> Result<String> {
    let minutes = options.soak_minutes.as_str();
    bench::bench(house, &["soak", "--minutes", minutes].map(str::to_owned))?;
    Ok(format!("{minutes} minutes; it held"))
}

fn hot(house: &House, options: &Options) -> Result<String> {
    let minutes = options.soak_minutes.as_str();
    bench::bench(house, &["hot", "--minutes", minutes].map(str::to_owned))?;
    Ok(format!("{minutes} minutes with each policy; the budget held and no request failed"))
}

/// Runs a command that has nothing to note.
fn passed(command: &mut Command) -> Result<String> {
    run::visible(command).map(|()| String::new())
}

#[cfg(test)]
mod tests {
    use super::STEPS;

    #[test]
    fn names_are_short_and_different() {
        for (at, step) in STEPS.iter().enumerate() {
            assert!(step.name.len() <= 10 && !step.what.is_empty(), "{}", step.name);
            assert!(STEPS.iter().skip(at + 1).all(|other| other.name != step.name));
        }
    }
}
