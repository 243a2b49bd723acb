//! `candor plugin`: what is begun compiles and passes its own checks, in every kind and language; what is bad is found.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use candor_tests::process::{self, Said};
use serde_json::Value;
use tempfile::TempDir;

use super::lifecycle::BINARY;

fn run(args: &[&str]) -> Said {
    process::run(BINARY, args, &[])
}

fn json(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

fn path(folder: &Path) -> &str {
    folder.to_str().unwrap()
}

/// Begins a plugin in this folder, and gives the folder.
pub(super) fn begun(folder: &Path, kind: &str, language: &str) -> PathBuf {
    let said = run(&["plugin", "new", "--kind", kind, "--lang", language, path(folder)]);
    assert_eq!(said.code, Some(0), "{said:?}");
    folder.to_path_buf()
}

pub(super) fn make(folder: &Path, target: &Path) {
    let mut make = Command::new("make");
    make.arg("-C").arg(folder).arg(format!("TARGET={}", target.display())).env("CARGO_NET_OFFLINE", "true");
    make.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
    // The tests' own cargo must not leak into the plugin's.
    let made = make.env_remove("RUSTFLAGS").env_remove("CARGO_TARGET_DIR").output().expect("make");
    let said = format!("{}{}", String::from_utf8_lossy(&made.stdout), String::from_utf8_lossy(&made.stderr));
    assert!(made.status.success() && !said.contains("warning"), "{}: {said}", folder.display());
}

/// All checks of a folder by their id; none may fail or warn.
#[track_caller]
fn passes(folder: &Path) {
    let said = run(&["plugin", "check", path(folder), "--format", "json"]);
    let told = json(&said);
    let bad: Vec<&Value> = told["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["mark"] == "fail" || one["mark"] == "warn")
        .collect();
    assert!(bad.is_empty() && said.code == Some(0), "{}: {bad:#?}", folder.display());
    let ids: Vec<&str> = told["checks"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 30, "{ids:?}");
}

#[test]
fn what_is_begun_in_c_compiles_and_passes() {
    let root = TempDir::new().unwrap();
    for kind in ["predictor", "transform", "combiner", "router"] {
        let folder = begun(&root.path().join(format!("acme-{kind}")), kind, "c");
        make(&folder, root.path());
        passes(&folder);
    }
}

/// In one folder, so that cargo compiles the SDK once; quickly, because how fast the plugin is does not matter here.
#[test]
fn what_is_begun_in_rust_compiles_and_passes() {
    let (root, target) = (TempDir::new().unwrap(), Path::new(env!("CARGO_TARGET_TMPDIR")).join("begun"));
    let folder = root.path().join("acme-thing");
    for (number, kind) in
        ["predictor", "transform", "combiner", "explainer", "detector", "selector", "resampler", "trainer", "router"]
            .into_iter()
            .enumerate()
    {
        let place = if number == 0 { folder.clone() } else { root.path().join("next/acme-thing") };
        let begun = begun(&place, kind, "rust");
        if number > 0 {
            for file in ["src/lib.rs", "schema.json", "plugin.toml"] {
                fs::copy(begun.join(file), folder.join(file)).unwrap();
            }
            fs::remove_dir_all(&begun).unwrap();
        }
        make(&folder, &target);
        passes(&folder);
    }
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--quiet", "--offline", "--target-dir"]).arg(&target).env_remove("RUSTFLAGS");
    let tested = cargo.env_remove("CARGO_TARGET_DIR").current_dir(&folder).output().unwrap();
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stdout));
}

#[test]
fn what_cannot_be_begun_is_said() {
    let root = TempDir::new().unwrap();
    let there = begun(&root.path().join("acme-router"), "router", "c");
    for (args, says) in [
        (&["--kind", "router", path(&there)][..], "there is something already"),
        (&["--kind", "oracle", "x"], "invalid value 'oracle'"),
        (&["--kind", "trainer", "--lang", "c", "acme-x"], "in C there are: predictor, transform, combiner, router"),
        (&["--kind", "router", "Acme"], "cannot be a plugin's name"),
        (&["--kind", "router", ".."], "cannot be a plugin's name"),
    ] {
        let said = run(&[&["plugin", "new"], args].concat());
        assert!(said.code == Some(2) && said.err.contains(says), "{args:?}: {said:?}");
    }
}

/// A folder with `<name>_plugin.c`, compiled with these flags; its component is `test.<name>`.
pub(super) fn c_plugin(root: &Path, name: &str, kind: &str, flags: &[&str]) -> PathBuf {
    let folder = root.join(name);
    let library = folder.join(format!("linux-{}", std::env::consts::ARCH)).join(format!("lib{name}.so"));
    fs::create_dir_all(library.parent().unwrap()).unwrap();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut cc = Command::new("cc");
    cc.args(["-std=gnu11", "-O1", "-fPIC", "-fvisibility=hidden", "-shared", "-pthread", "-Wl,-z,noexecstack", "-I"]);
    cc.arg(here.join("../sdk/abi/include"))
        .arg("-o")
        .arg(&library)
        .arg(here.join(format!("integration/{name}_plugin.c")))
        .args(flags);
    let done = cc.output().expect("a C compiler");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    fs::set_permissions(&library, fs::Permissions::from_mode(0o755)).unwrap();
    let manifest = format!(
        "name = '{name}'\nversion = '0.1.0'\nabi = '0.1'\n[[component]]\nid = 'test.{name}'\nkinds = ['{kind}']\n"
    );
    fs::write(folder.join("plugin.toml"), manifest).unwrap();
    folder
}

/// A folder with `bad_plugin.c`, compiled with these flags.
pub(super) fn bad(root: &Path, flags: &[&str]) -> PathBuf {
    let kind = if flags.contains(&"-DKIND=\"transform\"") { "transform" } else { "predictor" };
    c_plugin(root, "bad", kind, flags)
}

/// Each check has something that it finds; without it, the same plugin passes.
#[test]
fn every_check_finds_what_it_is_for() {
    let root = TempDir::new().unwrap();
    passes(&bad(root.path(), &[]));
    for (flag, id, says) in [
        ("-DREADS_BEHIND", "inputs.guarded_end", "signal 11"),
        ("-DREADS_BEFORE", "inputs.guarded_start", "signal 11"),
        ("-DWRITES_INPUT", "inputs.guarded_end", "signal 11"),
        ("-DIGNORES_STEPS", "inputs.spread", "another answer"),
        ("-DWRITES_BEHIND", "inputs.rows", "beside an output"),
        ("-DWRITES_FAR_BEHIND", "inputs.rows", "signal 11"),
        ("-DDIVIDES_BY_ROWS", "inputs.empty", "signal 8"),
        ("-DREFUSES_NO_ROWS", "inputs.empty", "has none"),
        ("-DNEEDS_RANK", "inputs.scalar", "signal"),
        ("-DABORTS_AT_NAN", "inputs.not_numbers", "signal 6"),
        ("-DTRUSTS_TYPE", "inputs.wrong_type", ""),
        ("-DTRUSTS_NAME", "inputs.none", "signal 11"),
        ("-DLEAKS", "leaks.memory", "bytes each"),
        ("-DLEAVES_THREAD", "leaks.threads", "threads are left"),
        ("-DRACES", "claims.concurrent", "answered otherwise"),
        ("-DGUESSES", "claims.deterministic", "other outputs"),
        ("-DDIES_OF_CONFIG", "config.bad", "signal 6"),
        ("-DREADS_TAIL", "host.newer", "signal 11"),
        ("-DLOSES_ROWS", "contract", "rows came"),
        ("-DBAD_SCHEMA", "handshake.schema", "no JSON Schema"),
        ("-DBAD_EXAMPLE", "handshake.schema", "its own example"),
    ] {
        let folder = bad(root.path(), &[flag]);
        let said = run(&["plugin", "check", path(&folder), "--format", "json", "--only", id]);
        let told = json(&said);
        let found = &told["checks"][0];
        let may_warn = flag == "-DREFUSES_NO_ROWS" || id == "inputs.wrong_type";
        let is_bad = found["mark"] == "fail" || (may_warn && found["mark"] == "warn");
        assert!(found["id"] == id && is_bad, "{flag}: {told:#}");
        assert!(found["text"].as_str().unwrap().contains(says), "{flag}: {told:#}");
        assert_eq!(said.code, Some(i32::from(found["mark"] == "fail")), "{flag}");
    }
    for (flag, id) in [("-Wl,-z,execstack", "static.hardening"), ("-DSYMBOL=other", "static.module")] {
        let said = run(&["plugin", "check", path(&bad(root.path(), &[flag])), "--only", id, "--format", "json"]);
        assert_eq!((said.code, &json(&said)["checks"][0]["mark"]), (Some(1), &Value::from("fail")), "{flag}");
    }
    let said = run(&["plugin", "check", path(&bad(root.path(), &["-DEXPORTS"])), "--only", "static.exports"]);
    assert!(said.code == Some(0) && said.out.contains("-fvisibility=hidden"), "{said:?}");
    let said = run(&["plugin", "check", path(root.path())]);
    assert!(said.code == Some(1) && said.out.contains("plugin.toml: cannot read it"), "{said:?}");
    assert_eq!(run(&["plugin", "check", "/nowhere"]).code, Some(2));
    assert_eq!(run(&["plugin", "check", path(&bad(root.path(), &[])), "--only", "nonsense"]).code, Some(2));
}

#[test]
fn a_plugin_is_pinned_and_then_allowed() {
    let root = TempDir::new().unwrap();
    let folder = begun(&root.path().join("acme-transform"), "transform", "c");
    make(&folder, root.path());
    let said = run(&["plugin", "pin", path(&folder)]);
    assert!(said.code == Some(0) && said.out.starts_with("{ name = \"acme-transform\", sha256 = \""), "{said:?}");
    let listed = |more: &[&str]| json(&run(&[&["plugin", "list", path(root.path()), "--json"], more].concat()));
    let before = listed(&[]);
    assert_eq!(before["plugins"][0]["reason"]["code"], "not_allowed");
    let allow = format!("plugins.allow=[{}]", said.out.trim().trim_end_matches(','));
    let after = listed(&["--set", &allow]);
    assert_eq!(
        (&after["plugins"][0]["state"], &after["plugins"][0]["isolation"]),
        (&"allowed".into(), &"process".into())
    );
    let told = json(&run(&["plugin", "info", path(&folder), "--json"]));
    assert_eq!((&told["exports"], &told["components"][0]["id"]), (&1.into(), &"acme.transform".into()));
    let said = run(&["plugin", "info", "/nowhere"]);
    assert!(said.code == Some(2) && said.err.contains("there is no such folder"), "{said:?}");
}
