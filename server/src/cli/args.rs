//! Arguments that several subcommands share, and the configuration that they make.

use std::{ffi::OsString, path::PathBuf};

use clap::{
    Args, ColorChoice,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::problem::{self, Failure, MISUSED, Problem};
use crate::config::{Layers, Settings};

/// Variables that are ours and no keys of the configuration.
const OTHER_VARIABLES: [&str; 2] = ["CANDOR_CONFIG", TOKEN_VARIABLE];

/// Holds the token that a client sends.
pub(super) const TOKEN_VARIABLE: &str = "CANDOR_TOKEN";

/// Everything that `serve` takes.
#[derive(Args)]
pub(super) struct ConfigArgs {
    /// Folder of models [default: models].
    models_dir: Option<String>,
    /// Address to listen on [default: 127.0.0.1:8080]; port 0 takes a free one.
    #[arg(long, value_name = "HOST:PORT")]
    http_addr: Option<String>,
    /// Address for gRPC, or "off" [default: 127.0.0.1:8001].
    #[arg(long, value_name = "HOST:PORT")]
    grpc_addr: Option<String>,
    /// Address of the health listener, or "off" [default: 127.0.0.1:8082].
    #[arg(long, value_name = "HOST:PORT")]
    health_addr: Option<String>,
    /// Folder for what the server writes: a lock, serving.json with its address, engines.json.
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// File of tokens and what they may do; without one everybody may do everything.
    #[arg(long, value_name = "FILE")]
    tokens_file: Option<String>,
    /// Listen beyond loopback without tokens.
    #[arg(long)]
    insecure: bool,
    /// Let faults be ordered through the API: delays, errors, panics.
    #[arg(long)]
    enable_faults: bool,
    /// Seconds between two looks at the folder for changes; 0 means never [default: 0].
    #[arg(long, value_name = "SECONDS")]
    poll_s: Option<String>,
    /// What is loaded at the start: all, none or lazy [default: all].
    #[arg(long)]
    load_at_start: Option<String>,
    /// error, warn, info, debug, or per crate [default: info].
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    #[command(flatten)]
    common: CommonArgs,
}

/// What every subcommand takes that looks at models itself.
#[derive(Args)]
pub(super) struct CommonArgs {
    /// Engines that may run models: auto, ort, native or tract [default: auto].
    #[arg(long)]
    engine: Option<String>,
    /// ONNX Runtime library, 1.24 or newer [default: beside the binary, ../lib, the system's folders].
    #[arg(long, value_name = "PATH")]
    ort_library: Option<String>,
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE", env = "CANDOR_CONFIG")]
    config: Option<PathBuf>,
    /// Set any key of the configuration; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    assignments: Vec<String>,
}

impl ConfigArgs {
    pub(super) fn layers(&self) -> Layers {
        let said = |is_said: bool| is_said.then(|| "true".to_owned());
        let (insecure, enable_faults) = (said(self.insecure), said(self.enable_faults));
        self.common.layers_with(&[
            ("[MODELS_DIR]", &self.models_dir),
            ("--http-addr", &self.http_addr),
            ("--grpc-addr", &self.grpc_addr),
            ("--health-addr", &self.health_addr),
            ("--data", &self.data),
            ("--tokens-file", &self.tokens_file),
            ("--poll-s", &self.poll_s),
            ("--load-at-start", &self.load_at_start),
            ("--log-level", &self.log_level),
            ("--insecure", &insecure),
            ("--enable-faults", &enable_faults),
        ])
    }
}

impl CommonArgs {
    /// The same as words of a command line, for a process that is to see what this one sees.
    pub(super) fn words(&self) -> Vec<OsString> {
        let named = [("--engine", &self.engine), ("--ort-library", &self.ort_library)];
        let named = named.into_iter().filter_map(|(flag, value)| Some([flag.into(), value.as_ref()?.into()]));
        let config = self.config.iter().map(|file| ["--config".into(), file.into()]);
        let assignments = self.assignments.iter().map(|assignment| ["--set".into(), assignment.into()]);
        named.chain(config).chain(assignments).flatten().collect()
    }

    fn layers_with(&self, flags: &[(&str, &Option<String>)]) -> Layers {
        let mut layers = Layers::default();
        if let Some(file) = &self.config {
            layers.add_file(file);
        }
        #[allow(clippy::disallowed_methods, reason = "the configuration is where the environment is read")]
        let variables = std::env::vars();
        layers.add_environment(variables.filter(|(name, _)| !OTHER_VARIABLES.contains(&name.as_str())));
        for (flag, value) in flags.iter().chain(&[("--engine", &self.engine), ("--ort-library", &self.ort_library)]) {
            if let Some(value) = value {
                layers.add_flag(flag, value);
            }
        }
        for assignment in &self.assignments {
            layers.add_assignment(assignment);
        }
        layers
    }

    /// The settings, over the models of `folder` if it is given.
    pub(super) fn settings(&self, folder: Option<&String>) -> Result<Settings, Failure> {
        settings(self.layers_with(&[("[MODELS_DIR]", &folder.cloned())]))
    }
}

/// Checks everything; prints what is worth a warning.
pub(super) fn settings(mut layers: Layers) -> Result<Settings, Failure> {
    for warning in &layers.warnings {
        problem::warn(warning);
    }
    Settings::read(&mut layers).map_err(|report| Failure::misused(Problem::new(report.to_string())))
}

/// Flags that other servers have, and what is said here instead.
const ELSEWHERE: [(&[&str], &str); 3] = [
    (
        &["--port", "--http-port", "--http_port", "--host", "--bind", "--listen", "--address", "-p"],
        "the address is --http-addr HOST:PORT",
    ),
    (
        &["--model-base-path", "--model_base_path", "--model-repository", "--model-store", "--models", "--model-dir"],
        "the folder of models is an argument without a flag: candor serve DIR",
    ),
    (&["--rest_api_port", "--rest-api-port"], "the address is --http-addr HOST:PORT; docs/COMING-FROM.md has the rest"),
];

/// Adds what somebody who knows another server is looking for.
pub(super) fn with_tip(mut error: clap::Error) -> clap::Error {
    let wrong = match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(ContextValue::String(wrong))) => wrong.clone(),
        _ => return error,
    };
    let wrong = wrong.split('=').next().unwrap_or_default();
    if let Some((_, tip)) = ELSEWHERE.iter().find(|(flags, _)| flags.contains(&wrong)) {
        error.remove(ContextKind::SuggestedArg);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![(*tip).into()]));
    }
    error
}

/// Where a running server is, and who asks.
#[derive(Args, Default)]
pub(super) struct TokenArgs {
    /// File that holds the token to send; without one, the variable CANDOR_TOKEN.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl TokenArgs {
    pub(super) fn token(&self) -> Result<Option<String>, Failure> {
        let Some(file) = &self.token_file else {
            #[allow(clippy::disallowed_methods, reason = "a secret: an argument would show it to every process")]
            let token = std::env::var_os(TOKEN_VARIABLE).unwrap_or_default();
            let token = token.to_string_lossy();
            let token = Some(token.trim()).filter(|token| !token.is_empty());
            return token.map(|token| checked(token, TOKEN_VARIABLE)).transpose();
        };
        let shown = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(|error| {
            Failure::misused(Problem::new(format!("cannot read the token file {shown}")).cause(error))
        })?;
        checked(text.trim(), &shown).map(Some)
    }
}

/// The token, if a header can carry it. What is wrong with it is said without showing it.
fn checked(token: &str, place: &str) -> Result<String, Failure> {
    let help = "a file or variable holds one token and nothing else";
    let what = if token.is_empty() {
        "there is no token"
    } else if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        "the token has a character that no token has: a space, a line's end inside, or one that is not ASCII"
    } else {
        return Ok(token.to_owned());
    };
    Err(Failure::misused(Problem::new(what).at(place).help(help)))
}

/// When output is coloured.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Looks for `--color` before the arguments are read, because help and errors about arguments have colours too.
    pub(super) fn of_arguments(arguments: impl Iterator<Item = String>) -> Self {
        let mut color = Self::Auto;
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            let value = match argument.split_once('=') {
                Some(("--color", value)) => value.to_owned(),
                _ if argument == "--color" => arguments.peek().cloned().unwrap_or_default(),
                _ if argument == "--" => break,
                _ => continue,
            };
            // A word that is no colour choice is refused where the arguments are read.
            color = <Self as clap::ValueEnum>::from_str(&value, false).unwrap_or(color);
        }
        color
    }

    /// For the argument reader; sets it for everything else too.
    pub(super) fn apply(self) -> ColorChoice {
        let (ours, theirs) = match self {
            Self::Auto => (anstream::ColorChoice::Auto, ColorChoice::Auto),
            Self::Always => (anstream::ColorChoice::Always, ColorChoice::Always),
            Self::Never => (anstream::ColorChoice::Never, ColorChoice::Never),
        };
        ours.write_global();
        theirs
    }
}

const _: () = assert!(MISUSED == 2, "clap ends with 2 for wrong arguments");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_choice_of_colour_counts_and_a_wrong_one_changes_nothing() {
        let of = |words: &str| Color::of_arguments(words.split_whitespace().map(str::to_owned));
        assert_eq!(of("serve"), Color::Auto);
        assert_eq!(of("--color=never serve --color always"), Color::Always);
        assert_eq!(of("--color=never serve --color=pink"), Color::Never);
        assert_eq!(of("infer -- --color=never"), Color::Auto);
        assert_eq!(of("serve --color"), Color::Auto);
    }
}
