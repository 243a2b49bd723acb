//! `candor plugin new`: a folder that compiles and passes `check` as it is, with everything that it needs.
//!
//! Templates and the SDK are inside this program; nothing is fetched. It does not build anything.
//!
//! | module | what it has |
//! |---|---|
//! | `sdk` | the SDK's source |
//! | `templates/` | one text for each kind and language |

mod sdk;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use candor_plugin_host::manifest::{KINDS, is_name};
use clap::{Args, ValueEnum, builder::PossibleValuesParser};

use crate::cli::{
    problem::{Done, Failure, Problem},
    screen::{self, BOLD, styled},
};

pub(super) const EXAMPLES: &str = "Examples:
  candor plugin new --kind transform acme-scale           in Rust
  candor plugin new --kind router --lang c acme-canary    in C

Kinds:
  predictor   any named inputs to named outputs, such as an engine
  transform   values to values, before or after an engine
  combiner    answers of several models to one
  explainer   how much each feature weighed; calls the model
  detector    fitted on reference rows; how far is a window from them
  selector    fitted on rows; keeps columns
  resampler   rows and labels to rows and labels
  trainer     fitted on rows; gives a model.onnx
  router      who answers a request

In C there are predictor, transform, combiner and router. Then: make, candor plugin check FOLDER.
The last part of PATH is the plugin's name. Nothing is fetched: the SDK is copied into the folder.";

#[derive(Args)]
pub(in crate::cli) struct NewArgs {
    /// What it is to be.
    #[arg(long, value_parser = PossibleValuesParser::new(KINDS), hide_possible_values = true)]
    kind: String,
    /// Its language.
    #[arg(long, value_enum, default_value_t)]
    lang: Language,
    /// Folder to make, named as the plugin [default: my-<kind>].
    path: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Language {
    /// Rust.
    #[default]
    Rust,
    /// C.
    C,
}

macro_rules! templates {
    ($folder:literal $ending:literal: $($kind:literal)*) => {
        &[$(($kind, include_str!(concat!("templates/", $folder, "/", $kind, $ending)))),*]
    };
}

/// One source for each kind.
const RUST: &[(&str, &str)] = templates! { "rust" ".rs.in":
    "predictor" "transform" "combiner" "explainer" "detector" "selector" "resampler" "trainer" "router"
};
const C: &[(&str, &str)] = templates! { "c" ".c.in": "predictor" "transform" "combiner" "router" };

/// The configuration of each kind in Rust: its property, whether it must be there, its schema, an example.
const CONFIGURATIONS: [(&str, &str, bool, &str, &str); 9] = [
    ("predictor", "factor", true, r#"{ "type": "number" }"#, "2"),
    ("transform", "factor", true, r#"{ "type": "number" }"#, "2"),
    (
        "combiner",
        "weights",
        false,
        r#"{ "type": "array", "items": { "type": "number", "exclusiveMinimum": 0 } }"#,
        "[1, 1]",
    ),
    ("explainer", "absent", false, r#"{ "type": "number" }"#, "0"),
    ("detector", "limit", true, r#"{ "type": "number", "exclusiveMinimum": 0 }"#, "5"),
    ("selector", "limit", true, r#"{ "type": "number", "minimum": 0 }"#, "0"),
    ("resampler", "times", true, r#"{ "type": "integer", "minimum": 1, "maximum": 1000 }"#, "10"),
    ("trainer", "rows_min", true, r#"{ "type": "integer", "minimum": 1, "maximum": 1000000000 }"#, "2"),
    ("router", "salt", false, r#"{ "type": "integer", "minimum": 0, "maximum": 4294967295 }"#, "7"),
];

/// What is put into templates.
struct Words {
    name: String,
    kind: String,
}

impl Words {
    fn fill(&self, template: &str) -> String {
        let pairs = [
            ("name", self.name.clone()),
            ("crate", self.name.replace('-', "_")),
            ("id", id(&self.name)),
            ("type", type_name(&self.name)),
            ("kind", self.kind.clone()),
            ("abi", candor_plugin_host::abi_version()),
        ];
        pairs.iter().fold(template.to_owned(), |text, (key, value)| text.replace(&format!("{{{{{key}}}}}"), value))
    }

    fn schema(&self) -> String {
        let found = CONFIGURATIONS.iter().find(|(kind, ..)| *kind == self.kind);
        let Some((_, property, required, schema, example)) = found else { return "{}\n".to_owned() };
        let required = if *required { format!("\"{property}\"") } else { String::new() };
        include_str!("templates/schema.json.in")
            .replace("{{required}}", &required)
            .replace("{{property}}", &format!("\"{property}\": {schema}"))
            .replace("{{example}}", &format!("{{ \"{property}\": {example} }}"))
    }
}

/// `acme-scale` is `acme.scale`, `scale` is `my.scale`.
fn id(name: &str) -> String {
    name.split_once('-').map_or_else(|| format!("my.{name}"), |(vendor, thing)| format!("{vendor}.{thing}"))
}

/// `acme-scale` is `AcmeScale`.
fn type_name(name: &str) -> String {
    let part = |part: &str| {
        let mut chars = part.chars();
        chars.next().map(|first| first.to_ascii_uppercase().to_string() + chars.as_str()).unwrap_or_default()
    };
    name.split(['-', '_']).map(part).collect()
}

pub(super) fn run(args: &NewArgs) -> Done {
    let path = args.path.clone().unwrap_or_else(|| format!("my-{}", args.kind).into());
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    // The name becomes that of a crate, a type and a library.
    let of_crate = name.chars().all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || "-_".contains(char));
    if !is_name(&name, "-_") || !of_crate || name.ends_with(['-', '_']) {
        let problem = Problem::new(format!("{name:?} cannot be a plugin's name")).at(path.display().to_string());
        return Err(Failure::misused(problem.help("small letters, digits, `-` and `_`, such as acme-scale")));
    }
    if fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_some()) || path.is_file() {
        let problem = Problem::new("there is something already").at(path.display().to_string());
        return Err(Failure::misused(problem.help("name a folder that is not there, or empty")));
    }
    let words = Words { name, kind: args.kind.clone() };
    for (file, text) in files(&words, args.lang)? {
        write(&path.join(file), &text)?;
    }
    screen::print(&next(&path, args.lang));
    Ok(ExitCode::SUCCESS)
}

/// All files of the folder.
fn files(words: &Words, language: Language) -> Result<Vec<(String, String)>, Failure> {
    let (sources, languages) = match language {
        Language::Rust => (RUST, "Rust"),
        Language::C => (C, "C"),
    };
    let Some((_, source)) = sources.iter().find(|(kind, _)| *kind == words.kind) else {
        let there: Vec<&str> = sources.iter().map(|(kind, _)| *kind).collect();
        let problem = Problem::new(format!("there is no {} to begin with in {languages}", words.kind));
        return Err(Failure::misused(problem.help(format!("in {languages} there are: {}", there.join(", ")))));
    };
    let mut files = vec![
        ("plugin.toml".to_owned(), words.fill(include_str!("templates/plugin.toml.in"))),
        (".gitignore".to_owned(), include_str!("templates/gitignore.in").to_owned()),
        (".github/workflows/ci.yml".to_owned(), include_str!("templates/ci.yml.in").to_owned()),
    ];
    let mut add = |file: &str, text: String| files.push((file.to_owned(), text));
    match language {
        Language::Rust => {
            add("src/lib.rs", words.fill(source));
            add("schema.json", words.schema());
            add("Cargo.toml", words.fill(include_str!("templates/rust/Cargo.toml.in")));
            add("plugin/Cargo.toml", words.fill(include_str!("templates/rust/shim.Cargo.toml.in")));
            let shim =
                "//! The library of `{{name}}`, in one line.\n\ncandor_plugin_sdk::export!({{crate}}::MODULE);\n";
            add("plugin/src/lib.rs", words.fill(shim));
            add("Makefile", words.fill(include_str!("templates/rust/Makefile.in")));
            add("README.md", words.fill(include_str!("templates/rust/README.md.in")));
            for (file, text) in sdk::SOURCES.iter().chain(&sdk::MANIFESTS) {
                add(&format!("sdk/{file}"), sdk::abroad(text).to_owned());
            }
        }
        Language::C => {
            add(&words.fill("{{crate}}.c"), words.fill(source));
            add("include/candor_plugin.h", sdk::HEADER.to_owned());
            add("Makefile", words.fill(include_str!("templates/c/Makefile.in")));
            add("README.md", words.fill(include_str!("templates/c/README.md.in")));
        }
    }
    Ok(files)
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(path, text));
    written.map_err(|error| Problem::new("cannot write a file").at(path.display().to_string()).cause(error).into())
}

fn next(path: &Path, language: Language) -> String {
    let shown = path.display();
    let tests = match language {
        Language::Rust => format!("  cargo test --manifest-path {shown}/Cargo.toml\n"),
        Language::C => String::new(),
    };
    format!(
        "{}\n{tests}  make -C {shown}\n  candor plugin check {shown}\n  candor plugin pin {shown}\n",
        styled(BOLD, format!("{shown} is there. Next:"))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_ids_and_types() {
        assert_eq!((id("acme-scale-up"), id("scale")), ("acme.scale-up".to_owned(), "my.scale".to_owned()));
        assert_eq!(type_name("acme-scale_up2"), "AcmeScaleUp2");
    }

    #[test]
    fn every_kind_has_a_beginning_and_nothing_is_left_to_fill_in() {
        for kind in KINDS {
            let words = Words { name: "acme-thing".to_owned(), kind: kind.to_owned() };
            let c = C.iter().any(|(has, _)| *has == kind);
            for language in [Language::Rust, Language::C].into_iter().filter(|one| *one == Language::Rust || c) {
                for (file, text) in files(&words, language).unwrap() {
                    assert!(file.starts_with("sdk/") || !text.contains("{{"), "{kind}: {file}");
                }
            }
            let schema: serde_json::Value = serde_json::from_str(&words.schema()).unwrap();
            assert!(schema["examples"][0].is_object(), "{kind}");
            assert_eq!(files(&words, Language::C).is_err(), !c);
        }
    }
}
