//! `candor doctor`: what it looks at, and that its exit code is what `serve` would come to.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{PermissionsExt as _, symlink},
};

use candor_tests::{
    Models,
    models::{sample, samples},
    process::{self, Said},
    server::{library, tokens_file},
};
use serde_json::Value;
use tempfile::TempDir;

use super::lifecycle::BINARY;

/// With a free port and a limit of connections that every machine can keep.
fn run(args: &[&str]) -> Said {
    let library = library();
    let steady = [
        "--ort-library",
        library.to_str().unwrap(),
        "--set",
        "http.connections_max=10",
        "--set",
        "health.addr=127.0.0.1:0",
    ];
    process::run(BINARY, &[&["doctor"], args, &steady].concat(), &[])
}

/// Checks whose words are facts of the machine.
const OF_THE_MACHINE: [&str; 7] = ["engine", "cpu", "threads", "memory", "open files", "disk", "clock"];

/// What was said, with the machine's own facts left out.
fn steady(said: &Said, folder: &str) -> String {
    assert_eq!(said.err, "");
    let full = fs::canonicalize(folder).unwrap();
    let text = said.out.replace(full.to_str().unwrap(), "<folder>").replace(folder, "<folder>");
    let (mut steady, mut inside) = (String::new(), false);
    for line in text.lines() {
        let name = line.get(line.chars().next().map_or(0, char::len_utf8)..).unwrap_or_default().trim_start();
        let of_machine = OF_THE_MACHINE.iter().find(|word| name.starts_with(**word) && line.starts_with('✓'));
        if let Some(word) = of_machine {
            inside = true;
            let line = format!("✓ {word:<12} <of this machine>\n");
            // How many engines there are is a matter of the build.
            if !steady.ends_with(&line) {
                steady.push_str(&line);
            }
        } else if !(inside && line.starts_with("  ")) {
            inside = false;
            steady.push_str(line);
            steady.push('\n');
        }
    }
    steady
}

#[test]
fn a_healthy_setup_would_start() {
    let folder = TempDir::new().unwrap();
    let tokens = folder.path().join("tokens.toml");
    fs::write(&tokens, tokens_file()).unwrap();
    fs::set_permissions(&tokens, fs::Permissions::from_mode(0o600)).unwrap();
    copy_samples(&folder);
    let (models, data) = (folder.path().join("models"), folder.path().join("data"));
    let said = run(&[
        models.to_str().unwrap(),
        "--http-addr=127.0.0.1:0",
        "--grpc-addr=off",
        "--tokens-file",
        tokens.to_str().unwrap(),
        "--data",
        data.to_str().unwrap(),
    ]);
    assert_eq!(said.code, Some(0), "{}", said.out);
    insta::assert_snapshot!("doctor_healthy", steady(&said, folder.path().to_str().unwrap()));
    assert!(!data.exists(), "it makes nothing");
}

fn copy_samples(folder: &TempDir) {
    candor_tests::models::copy(&samples(), &folder.path().join("models"));
}

#[test]
fn everything_that_would_go_wrong_is_told_with_a_way_out() {
    let models = Models::none()
        .with_file("good/1/model.onnx", sample("iris", "1"))
        .with_file("misspelt/1/model.onnx", sample("iris", "1"))
        .with_file("misspelt/model.toml", "titel = \"x\"\n")
        .with_file("notes/README.md", "x")
        .with_file("tokens.toml", tokens_file());
    let tokens = models.path("tokens.toml");
    fs::set_permissions(&tokens, fs::Permissions::from_mode(0o666)).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let root = models.root().to_str().unwrap();
    let tokens = tokens.to_str().unwrap();
    let mut said = run(&[root, "--http-addr", &addr, "--grpc-addr", &addr, "--tokens-file", tokens]);
    assert_eq!(said.code, Some(1), "{}", said.out);
    said.out = said.out.replace(&addr, "<address>");
    insta::assert_snapshot!("doctor_ill", steady(&said, root));
}

#[test]
fn a_configuration_with_problems_is_reported_and_the_machine_still_looked_at() {
    let folder = TempDir::new().unwrap();
    let said = run(&["--http-addr", "0.0.0.0:0", "--set", "log.format=xml"]);
    assert_eq!(said.code, Some(1), "{}", said.out);
    insta::assert_snapshot!("doctor_configuration", steady(&said, folder.path().to_str().unwrap()));
}

#[test]
fn what_keeps_serve_from_starting_is_what_doctor_fails_on() {
    let models = Models::copies(&["iris"]).with_file("bad.toml", "[[token]]\nname = 3\n");
    let root = models.root().to_str().unwrap();
    let (bad, file) = (models.path("bad.toml"), models.path("iris/model.toml"));
    let (bad, file) = (bad.to_str().unwrap(), file.to_str().unwrap());
    for (check, args) in [
        ("models", &["/nowhere/at/all"][..]),
        ("models", &[file]),
        ("engine", &[root, "--engine", "ort", "--ort-library", "/nowhere/libonnxruntime.so"]),
        ("tokens", &[root, "--tokens-file", "/nowhere/tokens.toml"]),
        ("tokens", &[root, "--tokens-file", bad]),
        ("data", &[root, "--data", file]),
    ] {
        let free = ["--http-addr", "127.0.0.1:0"];
        let library = library();
        let env = [("CANDOR_ENGINE_ORT_LIBRARY", library.to_str().unwrap())];
        let doctor = process::run(BINARY, &[&["doctor", "--json"], args, &free].concat(), &env);
        let serve = process::run(BINARY, &[&["serve"], args, &free].concat(), &env);
        assert_eq!((doctor.code, serve.code), (Some(1), Some(1)), "{args:?}: {}{}", doctor.out, serve.err);
        let report: Value = serde_json::from_str(&doctor.out).unwrap();
        assert_eq!(report["would_start"], false);
        let failed = report["checks"].as_array().unwrap().iter().filter(|found| found["mark"] == "fail");
        assert_eq!(failed.map(|found| found["check"].as_str().unwrap()).collect::<Vec<_>>(), [check], "{args:?}");
    }
}

#[test]
fn looking_changes_nothing_in_a_data_folder_and_never_goes_through_a_link() {
    let folder = TempDir::new().unwrap();
    let (data, target) = (folder.path().join("data"), folder.path().join("target"));
    fs::create_dir(&data).unwrap();
    fs::write(data.join("serving.json"), "{}").unwrap();
    fs::write(data.join("lock"), "precious").unwrap();
    let look = || {
        let models = samples();
        let args = [models.to_str().unwrap(), "--http-addr=127.0.0.1:0", "--data", data.to_str().unwrap()];
        run(&args)
    };
    let said = look();
    assert_eq!(said.code, Some(0), "{}", said.out);
    assert_eq!(fs::read_to_string(data.join("lock")).unwrap(), "precious");
    assert_eq!(fs::read_to_string(data.join("serving.json")).unwrap(), "{}");

    fs::rename(data.join("lock"), &target).unwrap();
    symlink(&target, data.join("lock")).unwrap();
    assert_eq!(look().code, Some(1));
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
}

/// Nothing of a plugin runs, and none keeps the server from starting: what would be refused is told, with a way out.
#[test]
fn plugins_are_looked_at_and_none_is_run() {
    let folder = TempDir::new().unwrap();
    copy_samples(&folder);
    let plugins = folder.path().join("plugins");
    let library = plugins.join("acme").join(format!("linux-{}", std::env::consts::ARCH)).join("libacme.so");
    fs::create_dir_all(library.parent().unwrap()).unwrap();
    fs::write(&library, "no library").unwrap();
    fs::set_permissions(&library, fs::Permissions::from_mode(0o755)).unwrap();
    let manifest = "name = 'acme'\nversion = '1.0.0'\nabi = '0.1'\n[[component]]\nid = 'acme.x'\nkinds = ['router']\n";
    fs::write(plugins.join("acme/plugin.toml"), manifest).unwrap();
    let named = format!("plugins.folder={}", plugins.display());
    let look = |more: &[&str]| {
        let said = run(&[&[folder.path().to_str().unwrap(), "--set", &named, "--json"], more].concat());
        assert_eq!(said.code, Some(0), "{said:?}");
        let told: Value = serde_json::from_str(&said.out).unwrap();
        let plugins = told["checks"].as_array().unwrap().iter().filter(|one| one["check"] == "plugin");
        plugins.map(ToString::to_string).collect::<Vec<_>>()
    };
    let told = look(&[]);
    assert!(told.len() == 1 && told[0].contains("acme: ") && told[0].contains("candor plugin pin"), "{told:?}");
    let allow = format!("plugins.allow=[{{ name = \"other\", sha256 = \"{}\" }}]", "0".repeat(64));
    let told = look(&["--set", &allow]);
    assert!(told.iter().any(|one| one.contains("names 'other', which is not in")), "{told:?}");
    let told = look(&["--set", "plugins.dev=true"]);
    assert!(told.iter().any(|one| one.contains("nobody has pinned")), "{told:?}");
    assert!(told.iter().any(|one| one.contains("acme: ") && !one.contains("plugin pin")), "{told:?}");
    fs::remove_dir_all(&plugins).unwrap();
    let told = look(&[]);
    assert!(told.len() == 1 && told[0].contains("plugins.folder"), "{told:?}");
}
