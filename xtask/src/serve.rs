//! `cargo xtask serve`: the shortest way from a clone to a running server.
//!
//! After [`crate::runtime`]; becomes `candor serve` at the end. It does not know the server's flags.

use std::{os::unix::process::CommandExt as _, process::Command};

use anyhow::{Context as _, Result};

use crate::{house::House, run, runtime};

/// Fetches the runtime, builds the server in release and becomes it.
pub fn serve(house: &House, args: &[String]) -> Result<()> {
    runtime::ensure(house, "release")?;
    run::visible(&mut run::cargo(house, &["build", "--release", "-p", "candor"]))?;
    let args = with_folder(args);
    println!("  $ candor serve {}", args.join(" "));
    let error = Command::new(house.target("release/candor")).arg("serve").args(args).current_dir(house.root()).exec();
    Err(error).context("cannot start target/release/candor")
}

/// Puts `models` first, unless the first word is a folder and not a flag.
fn with_folder(args: &[String]) -> Vec<String> {
    let has_folder = args.first().is_some_and(|first| !first.starts_with('-'));
    let default = (!has_folder).then(|| "models".to_owned());
    // `--` is for those who are used to it.
    let rest = args.iter().filter(|word| *word != "--").cloned();
    default.into_iter().chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::with_folder;

    fn with(words: &[&str]) -> Vec<String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        with_folder(&words)
    }

    #[test]
    fn models_is_the_default_folder() {
        assert_eq!(with(&[]), ["models"]);
        assert_eq!(with(&["--http-addr", "127.0.0.1:0"]), ["models", "--http-addr", "127.0.0.1:0"]);
        assert_eq!(with(&["--", "--help"]), ["models", "--help"]);
    }

    #[test]
    fn a_folder_of_ones_own_comes_first() {
        assert_eq!(with(&["mine", "--data", "x"]), ["mine", "--data", "x"]);
    }
}
