//! The command line: what it prints, its exit codes, where settings come from.

use std::fs;

use candor_tests::{
    Models,
    process::{self, Said},
};
use tempfile::TempDir;

use super::lifecycle::BINARY;

fn run(args: &[&str]) -> Said {
    process::run(BINARY, args, &[])
}

fn has_all(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in:\n{text}");
    }
}

#[test]
fn help_says_how_to_begin() {
    let said = run(&["--help"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    has_all(
        &said.out,
        &["Usage: candor", "serve", "config", "openapi", "Start here:", "candor serve  ", "candor config show"],
    );
    assert!(!said.out.contains("reference"), "what is for building the docs is hidden");
    let said = run(&["serve", "--help"]);
    assert_eq!(said.code, Some(0));
    for flag in candor::config::FLAGS {
        has_all(&said.out, &[flag.0]);
    }
    has_all(
        &said.out,
        &[
            "<model>/<version>/model.onnx",
            "docs/CONFIG.md",
            "SIGTERM",
            "[default: 127.0.0.1:8080]",
            "--set <KEY=VALUE>",
        ],
    );
    assert_eq!(run(&["--version"]).out, format!("candor {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_arguments_exit_with_2() {
    for (args, says) in [
        (&[][..], "Usage: candor"),
        (&["sreve"], "serve"),
        (&["serve", "--http-adr", "x"], "--http-addr"),
        (&["config"], "show"),
        (&["config", "check", "a", "b"], "unexpected argument 'b'"),
    ] {
        let said = run(args);
        assert_eq!(said.code, Some(2), "{args:?}");
        has_all(&said.err, &[says]);
    }
}

#[test]
fn flags_of_other_servers_are_answered_with_ours() {
    for (args, tip) in [
        (&["serve", "--port", "9000"][..], "tip: the address is --http-addr HOST:PORT\n"),
        (&["serve", "--host=0.0.0.0"], "tip: the address is --http-addr HOST:PORT\n"),
        (
            &["serve", "--model_base_path=/models"],
            "tip: the folder of models is an argument without a flag: candor serve DIR\n",
        ),
        (&["serve", "--http-adr", "x"], "tip: a similar argument exists: '--http-addr'"),
    ] {
        let said = run(args);
        assert_eq!(said.code, Some(2), "{args:?}");
        has_all(&said.err, &["error: unexpected argument", tip]);
    }
}

#[test]
fn all_problems_of_a_configuration_stand_in_one_report() {
    let said = run(&["config", "check"]);
    assert_eq!((said.code, said.out.as_str()), (Some(0), "the configuration is valid\n"));
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("candor.toml");
    fs::write(
        &file,
        "[http]\nworkres = 2\nworkers = -1\n[limits]\nbody_bytes_max = \"many\"\n[log]\nformat = \"xml\"\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let args = ["--config", file, "--http-addr", "nowhere", "--set", "limits.json_depth_mx=3", "--engine", "best"];
    for command in [&["config", "check"][..], &["config", "show"], &["serve"]] {
        let said = run(&[command, &args[..]].concat());
        assert_eq!(said.code, Some(2), "{command:?}");
        has_all(
            &said.err,
            &[
                "error: the configuration has 7 problems:",
                "http.workres: unknown key; did you mean `http.workers`?",
                "http.workers = -1: must be a whole number from 0 to 512 (default 0)",
                "limits.body_bytes_max = \"many\"",
                "\"64 MiB\"",
                "log.format = \"xml\": must be \"text\" or \"json\"",
                "--http-addr: http.addr = \"nowhere\": must be HOST:PORT",
                "--set: limits.json_depth_mx: unknown key; did you mean `limits.json_depth_max`?",
                "--engine: engine.choice = \"best\": must be \"auto\" or \"ort\" or \"native\" or \"tract\"",
                file,
            ],
        );
    }
}

#[test]
fn a_file_that_is_missing_or_wrong_is_named() {
    let said = run(&["config", "check", "--config", "/nowhere/candor.toml"]);
    assert_eq!(said.code, Some(2));
    has_all(&said.err, &["/nowhere/candor.toml: cannot be read"]);
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("candor.toml");
    fs::write(&file, "[http\n").unwrap();
    let said = run(&["config", "check", "--config", file.to_str().unwrap()]);
    assert_eq!(said.code, Some(2));
    has_all(&said.err, &["candor.toml", "line 1"]);
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("candor.toml");
    fs::write(&file, "[http]\nworkers = 3\nkeep_alive_s = 9\naddr = '127.0.0.1:1'\n").unwrap();
    let args = ["config", "show", "--http-addr", "127.0.0.1:3"];
    let env =
        [("CANDOR_CONFIG", file.to_str().unwrap()), ("CANDOR_HTTP_WORKERS", "4"), ("CANDOR_HTTP_ADDR", "127.0.0.1:2")];
    let said = process::run(BINARY, &args, &env);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let line = |key: &str| {
        said.out
            .lines()
            .find(|line| line.trim_start().starts_with(key))
            .unwrap_or_else(|| panic!("{key}: {}", said.out))
    };
    has_all(line("http.addr"), &["127.0.0.1:3", "--http-addr"]);
    has_all(line("http.workers"), &["4", "CANDOR_HTTP_WORKERS"]);
    has_all(line("http.keep_alive_s"), &["9", "candor.toml"]);
    has_all(line("limits.json_depth_max"), &["100", "default"]);
}

#[test]
fn a_variable_that_nobody_knows_is_a_warning() {
    let odd = [("CANDOR_HTTP_ADR", "x"), ("CANDOR_SERVICE_HOST", "10.0.0.1"), ("CANDOR_FOO", "1")];
    let said = process::run(BINARY, &["config", "check"], &odd);
    assert_eq!(said.code, Some(0));
    // What is not close to anything is answered with nothing.
    has_all(
        &said.err,
        &["CANDOR_FOO is no variable of Candor's\n", "CANDOR_SERVICE_HOST is no variable of Candor's\n"],
    );
    has_all(
        &said.err,
        &["warning: CANDOR_HTTP_ADR is no variable of Candor's; did you mean CANDOR_HTTP_ADDR?", "CANDOR_SERVICE_HOST"],
    );
}

#[test]
fn without_a_library_it_says_what_it_tried_and_how_to_get_one() {
    let models = Models::copies(&["iris"]);
    let (root, garbage) = (models.root().to_str().unwrap().to_owned(), models.path("libonnxruntime.so"));
    fs::write(&garbage, "no library").unwrap();
    for (library, why) in [("/nowhere/libonnxruntime.so", "No such file"), (garbage.to_str().unwrap(), ""), (&root, "")]
    {
        let said = run(&["serve", &root, "--http-addr", "127.0.0.1:0", "--engine", "ort", "--ort-library", library]);
        assert_eq!(said.code, Some(1), "{}", said.err);
        has_all(
            &said.err,
            &[
                "error: no usable ONNX Runtime library",
                "those that were tried:",
                library,
                why,
                "cargo xtask runtime",
                "--ort-library PATH",
            ],
        );
        assert!(!said.err.contains("panicked"), "{}", said.err);
    }
}

#[test]
fn what_keeps_it_from_serving_is_one_line_with_a_way_out() {
    let said = run(&["serve", "/nowhere/at/all", "--http-addr", "127.0.0.1:0"]);
    assert_eq!(said.code, Some(1));
    has_all(&said.err, &["error: cannot open the model repository /nowhere/at/all", "<model>/<version>/model.onnx"]);
    let said = run(&["serve", "--http-addr", "0.0.0.0:0"]);
    assert_eq!(said.code, Some(2));
    has_all(&said.err, &["http.addr", "listening beyond loopback needs auth.tokens_file, or --insecure"]);
    let said = run(&["serve", "--log-level", "info,=x"]);
    assert_eq!(said.code, Some(2));
    has_all(&said.err, &["log.level"]);
    let said = run(&["serve", "--tokens-file", "/nowhere/tokens.toml", "--http-addr", "127.0.0.1:0"]);
    assert_eq!(said.code, Some(1));
    has_all(&said.err, &["the tokens file /nowhere/tokens.toml cannot be read"]);
}

#[test]
fn documents_are_printed_as_they_are_served() {
    let said = run(&["openapi"]);
    assert_eq!((said.code, said.out), (Some(0), candor_http_api::openapi::document_json()));
    let config = run(&["reference", "config"]).out;
    let defaults: toml_keys::Keys = toml_keys::of(candor::config::DEFAULTS);
    assert!(defaults.len() > 30);
    for key in defaults {
        has_all(&config, &[&key, &candor::config::env_name(&key)]);
    }
    let metrics = run(&["reference", "metrics"]).out;
    for metric in candor_http_api::metrics::all() {
        has_all(&metrics, &[metric.name]);
    }
}

/// Keys of a TOML file whose tables are one level deep and whose values stand on one line.
mod toml_keys {
    pub type Keys = Vec<String>;

    pub fn of(text: &str) -> Keys {
        let mut table = String::new();
        let mut keys = Keys::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                name.clone_into(&mut table);
            } else if let Some((key, _)) = line.split_once(" = ") {
                keys.push(format!("{table}.{key}"));
            }
        }
        keys
    }
}
