//! What `--help` teaches, command by command; colours; completions.

use candor_tests::process::{self, Said};

use super::lifecycle::BINARY;

fn run(args: &[&str]) -> Said {
    // As wide on every machine.
    process::run(BINARY, args, &[("COLUMNS", "100")])
}

const COMMANDS: [&str; 26] = [
    "",
    "serve",
    "model",
    "model list",
    "model show",
    "model check",
    "model scan",
    "infer",
    "explain",
    "probe",
    "bench",
    "bench cache",
    "bench cold",
    "plugin",
    "plugin new",
    "plugin check",
    "plugin pin",
    "plugin bench",
    "plugin list",
    "plugin info",
    "doctor",
    "config",
    "config show",
    "config check",
    "openapi",
    "completions",
];

#[test]
fn every_command_teaches_itself() {
    for command in COMMANDS {
        let mut words: Vec<&str> = command.split_whitespace().collect();
        words.push("--help");
        let said = run(&words);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{command}");
        let name = if command.is_empty() { "candor".to_owned() } else { command.replace(' ', "_") };
        insta::assert_snapshot!(format!("help_{name}"), said.out);
    }
}

#[test]
fn wrong_words_are_answered_with_the_right_ones() {
    let said = run(&["model", "chek", "x"]);
    assert_eq!(said.code, Some(2));
    insta::assert_snapshot!("wrong_word", said.err);
    let said = run(&["doctor", "--color", "pink"]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("[possible values: auto, always, never]"), "{}", said.err);
}

#[test]
fn colour_is_for_terminals_and_for_those_who_ask() {
    let colours = |args: &[&str], env: &[(&str, &str)]| {
        let said = process::run(BINARY, args, env);
        (said.out + &said.err).contains('\u{1b}')
    };
    for args in [&["--help"][..], &["model", "list", "/nowhere"], &["serve", "--no-such-flag"]] {
        let with = |more: &[&'static str]| [args, more].concat();
        assert!(!colours(args, &[]), "{args:?} goes to a pipe");
        assert!(!colours(&with(&["--color=never"]), &[]), "{args:?}");
        assert!(colours(&with(&["--color=always"]), &[]), "{args:?}");
        assert!(colours(&with(&["--color", "always"]), &[("NO_COLOR", "1")]), "{args:?}: the flag wins");
    }
    // What a terminal would have been given, were it not for NO_COLOR.
    assert!(colours(&["--help"], &[("CLICOLOR_FORCE", "1")]));
    assert!(!colours(&["--help"], &[("NO_COLOR", "1")]));
}

#[test]
fn every_shell_gets_its_completions() {
    for (shell, words) in [
        ("bash", "complete -F _candor"),
        ("zsh", "#compdef candor"),
        ("fish", "complete -c candor"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion:arg-completer[candor]"),
    ] {
        let said = run(&["completions", shell]);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{shell}");
        for word in [words, "doctor", "token-file"] {
            assert!(said.out.contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(run(&["completions", "tcsh"]).code, Some(2));
}
