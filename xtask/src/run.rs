//! Child programs: run one and let its output through, or run one and keep its output.
//!
//! Used by every command. Says what it runs before it runs it; children get no standard input, so
//! none can stop and ask. It does not know what the programs are for.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader},
    process::{Command, Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use crate::house;

/// Cargo, to be run in the root of the house.
pub fn cargo(house: &house::House, args: &[&str]) -> Command {
    let mut command = Command::new(house::cargo());
    command.args(args).current_dir(house.root());
    command
}

/// Runs a program and lets its output through; an exit code other than 0 is an error.
pub fn visible(command: &mut Command) -> Result<()> {
    let said = shown(command);
    println!("  $ {said}");
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("cannot start `{said}`"))?;
    if !status.success() {
        bail!("`{said}` failed ({status})");
    }
    Ok(())
}

/// Runs a program, lets its output through, and gives back what it wrote to standard output.
pub fn teed(command: &mut Command) -> Result<String> {
    let said = shown(command);
    println!("  $ {said}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{said}`"))?;
    let mut kept = String::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.with_context(|| format!("`{said}` wrote no text"))?;
            println!("{line}");
            kept.push_str(&line);
            kept.push('\n');
        }
    }
    let status = child.wait().with_context(|| format!("cannot wait for `{said}`"))?;
    if !status.success() {
        bail!("`{said}` failed ({status})");
    }
    Ok(kept)
}

/// Runs a program quietly and gives back its standard output; the error holds what it said.
pub fn quiet(command: &mut Command) -> Result<String> {
    let said = shown(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{said}`"))?;
    if !output.status.success() {
        bail!("`{said}` failed ({}):\n{}", output.status, words_of(&output));
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{said}` wrote no UTF-8"))
}

/// Does this program stand in one of the folders of PATH?
pub fn is_installed(program: &str) -> bool {
    house::program_folders().iter().any(|folder| folder.join(program).is_file())
}

/// Are we allowed to install Debian packages?
pub fn is_root() -> bool {
    quiet(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

/// How long something took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    #[allow(clippy::disallowed_methods, reason = "xtask times child programs; nothing of the server's logic runs here")]
    let start = std::time::Instant::now();
    let result = work();
    (result, start.elapsed())
}

/// The last lines of what a failed program said, indented.
fn words_of(output: &Output) -> String {
    let text = [&output.stderr, &output.stdout]
        .into_iter()
        .map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned())
        .filter(|text| !text.is_empty())
        .collect::<Vec<_>>()
        .join("\n");
    let lines: Vec<&str> = text.lines().collect();
    let kept = lines.iter().skip(lines.len().saturating_sub(12));
    kept.map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// A command as one would type it.
fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    std::iter::once(name).chain(command.get_args()).map(quoted).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    if word.is_empty() || word.contains(' ') {
        return format!("'{word}'");
    }
    word.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_the_command_and_its_words() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo broken thing >&2; exit 3"]);
        let error = quiet(&mut command).unwrap_err().to_string();
        assert!(error.contains("sh -c 'echo broken thing >&2; exit 3'"), "{error}");
        assert!(error.contains("    broken thing"), "{error}");
    }

    #[test]
    fn output_comes_back() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two"]);
        assert_eq!(quiet(&mut command).unwrap(), "one\ntwo\n");
        assert_eq!(teed(&mut command).unwrap(), "one\ntwo\n");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = format!("{:#}", visible(&mut Command::new("no-such-program")).unwrap_err());
        assert!(error.contains("no-such-program"), "{error}");
        assert!(!is_installed("no-such-program"));
        assert!(is_installed("sh"));
    }
}
