//! The way of a plugin's author, from nothing to a served prediction: the commands of docs/PLUGINS.md, as they stand
//! there, in C and in Rust.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use candor_tests::{Request, process::Process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::lifecycle::BINARY;

const PAGE: &str = include_str!("../../docs/PLUGINS.md");

/// The commands of the page's first block.
fn commands() -> Vec<&'static str> {
    let block = PAGE.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    block.lines().filter(|line| !line.trim().is_empty()).collect()
}

/// Runs a line as a shell does, in this folder, with `candor` on the path.
fn shell(line: &str, folder: &Path) {
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-ec", line]).current_dir(folder).env("PATH", path).env("CARGO_NET_OFFLINE", "true");
    shell.env("CARGO_PROFILE_RELEASE_LTO", "off").env_remove("RUSTFLAGS").env_remove("CARGO_TARGET_DIR");
    let done = shell.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{line}\n{said}");
}

/// Walks the way; `change` makes another language's command of a command.
fn walk(change: impl Fn(&str) -> String) {
    let commands = commands();
    assert!(commands.len() < 10, "{commands:#?}");
    let root = TempDir::new().unwrap();
    symlink(BINARY, root.path().join("candor")).unwrap();
    let (serve, before) = (commands.iter().position(|line| line.starts_with("candor serve")).unwrap(), &commands);
    for line in &before[..serve] {
        shell(&change(line), root.path());
    }
    // The server of the page, but for its address.
    let pin = fs::read_to_string(root.path().join("pin.txt")).unwrap();
    let (folder, allow) =
        (format!("plugins.folder={}", root.path().join("plugins").display()), format!("plugins.allow=[{pin}]"));
    let expected = "candor serve models --set plugins.folder=plugins --set \"plugins.allow=[$(cat pin.txt)]\" &";
    assert_eq!(commands[serve], expected);
    let mut server = Process::serve(BINARY, &root.path().join("models"), &["--set", &folder, "--set", &allow]);
    let addr = server.ready();
    let curl = commands[serve + 1];
    let (url, body) = curl.trim_start_matches("curl -s http://127.0.0.1:8080").split_once(" -d ").unwrap();
    let body: Value = serde_json::from_str(body.trim_matches('\'')).unwrap();
    let reply = Request::post(url.trim()).json(&body).send(addr).expect(200).json();
    assert_eq!(reply["outputs"][0]["data"], json!([2.0, 5.0]), "{reply}");
}

#[test]
fn the_page_leads_to_a_served_prediction_in_c() {
    walk(str::to_owned);
}

#[test]
fn the_page_leads_to_a_served_prediction_in_rust() {
    walk(|line| line.replace("--lang c ", ""));
}
