//! `cargo xtask`: everything a developer runs, on a laptop and in CI alike.
//!
//! Comes before the server: it needs cargo alone, and depends on no crate of ours, so it builds in
//! seconds and still runs when the server does not compile. It knows which programs to call and in
//! what order; it does not know what they do inside.
//!
//! | module | command |
//! |---|---|
//! | [`serve`] | `serve`: build, fetch ONNX Runtime, run |
//! | [`runtime`] | `runtime`: ONNX Runtime beside the binary, checked against `xtask/runtime.toml` |
//! | [`plugins`] | no command: what `test --deep` asks of the plugin interface with other compilers and tools |
//! | [`operators`] | `operators`: the operator tests of the ONNX project, and which engine passes which |
//! | [`mod@test`] | `test`: every check, in order, with a closing table |
//! | [`tidy`] | `tidy`: the house rules, as code |
//! | [`stale`], [`support`] | `openapi`, `docs`: files that the server itself writes; what each engine runs |
//! | [`stale`] | `header`: the layout of the plugin interface, in Rust, in C and in a golden file |
//! | [`mod@bench`] | `bench`: the benchmarks |
//! | [`house`], [`run`], [`tools`], [`venv`], [`wheel`], [`node`] | where things are; child programs; installed tools; Python; wheels; npm |
#![allow(clippy::print_stdout, reason = "a command-line tool: what it prints is what it is for")]

mod bench;
mod help;
mod house;
mod node;
mod operators;
mod plugins;
mod run;
mod runtime;
mod serve;
mod stale;
mod support;
mod test;
mod tidy;
mod tools;
mod venv;
mod wheel;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::house::House;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[String]) -> Result<()> {
    let Some((command, rest)) = args.split_first() else {
        println!("{}", help::OVERVIEW);
        return Ok(());
    };
    if command == "help" || is_help(command) {
        let topic = rest.first().map_or("", String::as_str);
        println!("{}", help::of(topic).unwrap_or(help::OVERVIEW));
        return Ok(());
    }
    let Some(text) = help::of(command) else {
        bail!("no command `{command}`\n\n{}", help::OVERVIEW);
    };
    if rest.first().is_some_and(|first| is_help(first)) {
        println!("{text}");
        return Ok(());
    }
    let house = House::find()?;
    match command.as_str() {
        "serve" => serve::serve(&house, rest),
        "runtime" => runtime::command(&house, rest),
        "operators" => operators::command(&house, rest),
        "test" => test::command(&house, rest),
        "tidy" => no_arguments(command, rest).and_then(|()| tidy::command(&house)),
        "openapi" => stale::openapi(&house, is_check(command, rest)?),
        "docs" => stale::docs(&house, is_check(command, rest)?),
        "header" => stale::header(&house, is_check(command, rest)?),
        "bench" => bench::bench(&house, rest),
        other => bail!("`{other}` has help but no code; main.rs must call it"),
    }
}

fn is_help(argument: &str) -> bool {
    argument == "--help" || argument == "-h"
}

/// `--check` or nothing.
fn is_check(command: &str, rest: &[String]) -> Result<bool> {
    match rest {
        [] => Ok(false),
        [only] if only == "--check" => Ok(true),
        _ => bail!("`{command}` takes --check or nothing; see `cargo xtask {command} --help`"),
    }
}

fn no_arguments(command: &str, rest: &[String]) -> Result<()> {
    if rest.is_empty() {
        return Ok(());
    }
    bail!("`{command}` takes no arguments; see `cargo xtask {command} --help`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn every_command_has_help_and_code() {
        for command in help::COMMANDS {
            assert!(help::of(command).is_some(), "{command}");
            dispatch(&args(&[command, "--help"])).unwrap();
            assert!(help::OVERVIEW.contains(command), "{command}");
        }
    }

    #[test]
    fn an_unknown_command_is_refused_with_the_list() {
        let error = dispatch(&args(&["tset"])).unwrap_err().to_string();
        assert!(error.contains("no command `tset`") && error.contains("runtime"), "{error}");
    }

    #[test]
    fn check_is_the_only_flag_of_stale_commands() {
        assert!(!is_check("docs", &[]).unwrap());
        assert!(is_check("docs", &args(&["--check"])).unwrap());
        is_check("docs", &args(&["--chekc"])).unwrap_err();
        no_arguments("tidy", &args(&["x"])).unwrap_err();
    }
}
