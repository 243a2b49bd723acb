//! Every kind of bad library is refused with a reason, and nothing of it has run: its constructor would have left a
//! file, and did when the library was good.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use candor_plugin_host::{AllowList, Isolation, Pin, PluginHost, Reason};

use super::support::{Bench, compile, library, pin, set_mode};

/// Loads the folder `odd` with its library allowed, and gives the reason against it.
#[track_caller]
fn refused(bench: &Bench, folder: &Path, reason: Reason, says: &str) {
    refused_by(bench, &bench.trusting(&[(folder, "odd")]), folder, reason, says);
}

#[track_caller]
fn refused_by(bench: &Bench, host: &PluginHost, folder: &Path, reason: Reason, says: &str) {
    let refusal = host.load(folder).err().expect("it was loaded");
    assert!(refusal.reason() == reason && refusal.to_string().contains(says), "{reason:?} {says:?}: {refusal}");
    for part in ["constructor", "init", "create"] {
        assert!(!bench.left(part), "its {part} ran, though it was refused: {refusal}");
    }
    assert!(host.list().is_empty() && refusal.error().place().is_some(), "{refusal}");
}

#[test]
fn a_good_one_is_loaded_and_leaves_its_marks() {
    let bench = Bench::new();
    let folder = bench.odd(&[]);
    let host = bench.trusting(&[(&folder, "odd")]);
    let verified = host.verify(&folder).unwrap();
    assert!(!bench.left("constructor"), "verifying ran it");
    assert_eq!(verified.sha256(), pin(&library(&folder, "odd"), "odd").sha256);
    let plugin = host.load(&folder).unwrap();
    assert!(bench.left("constructor") && bench.left("init") && !bench.left("create"));
    assert_eq!((plugin.name(), plugin.current().number, plugin.mapped()), ("odd", 1, 1));
    assert_eq!(host.load(&folder).err().unwrap().reason(), Reason::Manifest);
    assert_eq!(PluginHost::discover(bench.temp.path()).unwrap(), [folder]);
}

#[test]
fn what_is_no_library_for_this_machine() {
    type Change = fn(&mut Vec<u8>);
    let cases: [(&str, Change, Reason, &str); 9] = [
        ("empty", |bytes| bytes.clear(), Reason::NotALibrary, "an empty file"),
        ("text", |bytes| *bytes = b"#!/bin/sh\n".to_vec(), Reason::NotALibrary, "no ELF file"),
        ("truncated", |bytes| bytes.truncate(bytes.len() / 2), Reason::NotALibrary, "is broken"),
        ("cut in its header", |bytes| bytes.truncate(40), Reason::NotALibrary, "is broken"),
        ("another machine's", |bytes| bytes[18] = 0xf3, Reason::NotALibrary, "for machine 243"),
        ("32 bits wide", |bytes| bytes[4] = 1, Reason::NotALibrary, "another width"),
        ("of the other byte order", |bytes| bytes[5] = 2, Reason::NotALibrary, "another width or byte order"),
        ("a program", |bytes| bytes[16] = 2, Reason::NotALibrary, "no shared library"),
        ("with headers elsewhere", |bytes| bytes[39] = 0xff, Reason::NotALibrary, "is broken"),
    ];
    for (name, change, reason, says) in cases {
        let bench = Bench::new();
        let folder = bench.odd(&[]);
        let path = library(&folder, "odd");
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(&path, bytes).unwrap();
        println!("{name}");
        refused(&bench, &folder, reason, says);
    }
}

#[test]
fn what_is_a_library_and_no_plugin_or_another_versions() {
    let cases: [(&[&str], Reason, &str); 12] = [
        (&["-DSYMBOL=something_else"], Reason::NotAPlugin, "an exported object `candor_module_v1`"),
        (&["-DAS_FUNCTION", "-Wno-unused-const-variable"], Reason::NotAPlugin, "no object"),
        (&["-DMAGIC=42"], Reason::NotAPlugin, "got 0x2a"),
        (&["-DABI_MAJOR=2"], Reason::Abi, "got built with 2.1, needs 2.1 or later"),
        (&["-DMIN_MINOR=7", "-DBUILT_MINOR=7"], Reason::Abi, "the plugin needs a newer server"),
        (&["-DBUILT_MINOR=0", "-DMIN_MINOR=0"], Reason::Abi, "built before a break"),
        (&["-DSIZE=24"], Reason::Abi, "expected 56 bytes or more, got 24"),
        (&["-DFLAGS=CANDOR_MODULE_PANIC_ABORT"], Reason::NeedsIsolation, "would end the server"),
        (&["-DFLAGS=CANDOR_MODULE_ISOLATED_ONLY"], Reason::NeedsIsolation, "a process of its own"),
        (&["-Wl,-z,execstack"], Reason::Hardening, "a stack that can be executed"),
        (&["-Wl,-rpath,/tmp"], Reason::Hardening, "search paths of its own"),
        (&["-DUNDEFINED", "-Wl,-z,lazy"], Reason::Loader, "nobody_has_this"),
    ];
    for (flags, reason, says) in cases {
        let bench = Bench::new();
        let folder = bench.odd(flags);
        refused(&bench, &folder, reason, says);
    }
}

#[test]
fn an_ordinary_library_and_one_that_needs_an_unknown_one() {
    let bench = Bench::new();
    let folder = bench.odd(&[]);
    let other = bench.temp.path().join("other.c");
    let mark = format!(
        "#include <stdio.h>\n__attribute__((visibility(\"default\"))) int other(void) {{ return 1; }}\n\
         __attribute__((constructor)) static void mark(void) {{ FILE *f = fopen(\"{}.constructor\", \"w\"); if (f) fclose(f); }}\n",
        bench.mark().display()
    );
    fs::write(&other, mark).unwrap();
    compile(&other, &library(&folder, "odd"), &[]);
    refused(&bench, &folder, Reason::NotAPlugin, "the library is no plugin");

    let helper = bench.temp.path().join("libother.so");
    compile(&other, &helper, &[]);
    let search = format!("-L{}", bench.temp.path().display());
    let folder = bench.odd(&["-DNEEDS_OTHER", &search, "-lother"]);
    refused(&bench, &folder, Reason::Hardening, "got `libother.so`");
    // Named in the pin it is looked for, and the system's loader does not find it.
    let libraries = vec!["libother.so".to_owned()];
    let allow = vec![Pin { libraries, ..pin(&library(&folder, "odd"), "odd") }];
    refused_by(&bench, &bench.host(AllowList { dev: false, allow }), &folder, Reason::Loader, "libother.so");
}

#[test]
fn what_nobody_allowed_and_files_that_others_may_change() {
    let bench = Bench::new();
    let folder = bench.odd(&[]);
    let path = library(&folder, "odd");
    let none = bench.host(AllowList::default());
    refused_by(&bench, &none, &folder, Reason::NotAllowed, "nobody has allowed the plugin `odd`");
    let good = pin(&path, "odd");
    let with = |pin: Pin| bench.host(AllowList { dev: false, allow: vec![pin] });
    let wrong = with(Pin { sha256: "00".repeat(32), ..good.clone() });
    refused_by(&bench, &wrong, &folder, Reason::WrongDigest, "not the file that was pinned");
    let isolated = with(Pin { isolation: Isolation::Process, ..good.clone() });
    refused_by(&bench, &isolated, &folder, Reason::NeedsIsolation, "a process of its own");

    set_mode(&path, 0o775);
    refused_by(&bench, &with(good.clone()), &folder, Reason::Writable, "mode 775");
    set_mode(&path, 0o755);
    let elsewhere = bench.temp.path().join("elsewhere.so");
    fs::rename(&path, &elsewhere).unwrap();
    refused_by(&bench, &with(good.clone()), &folder, Reason::File, "cannot open the library");
    symlink(&elsewhere, &path).unwrap();
    refused_by(&bench, &with(good.clone()), &folder, Reason::File, "is a link");
    fs::remove_file(&path).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    refused_by(&bench, &with(good), &folder, Reason::File, "is no file");
}

#[test]
fn manifests_that_cannot_be() {
    let bench = Bench::new();
    let folder = bench.odd(&[]);
    let manifest = folder.join("plugin.toml");
    let good = fs::read_to_string(&manifest).unwrap();
    let cases = [("name = 'odd'", "name = 'even'", "another name"), ("kinds", "kind", "unknown field `kind`")];
    for (from, to, says) in cases {
        fs::write(&manifest, good.replace(from, to)).unwrap();
        refused(&bench, &folder, Reason::Manifest, says);
    }
    fs::remove_file(&manifest).unwrap();
    refused(&bench, &folder, Reason::Manifest, "cannot read it");
}

/// These are found out from the loaded tables: the constructor has run, `init` and `create` have not.
#[test]
fn manifests_and_tables_that_disagree() {
    let cases: [(&[&str], &str, &str); 4] = [
        (&["-DID=\"test.other\""], "0.1", "disagree on the components"),
        (&["-DCOMPONENT_SIZE=16"], "0.1", "its table is too small"),
        (&["-DID=NULL"], "0.1", "`id` is not there"),
        (&[], "0.9", "disagree on the interface"),
    ];
    for (flags, abi, says) in cases {
        let bench = Bench::new();
        let folder = bench.odd(flags);
        bench.manifest(&folder, abi);
        let host = bench.trusting(&[(&folder, "odd")]);
        let refusal = host.load(&folder).err().unwrap();
        assert!(refusal.reason() == Reason::Tables && refusal.to_string().contains(says), "{says}: {refusal}");
        assert!(!bench.left("init") && !bench.left("create"), "{refusal}");
    }
}

#[test]
fn init_and_create_that_fail() {
    let bench = Bench::new();
    let folder = bench.odd(&["-DINIT_STATUS=CANDOR_UNAVAILABLE"]);
    let refusal = bench.trusting(&[(&folder, "odd")]).load(&folder).err().unwrap();
    assert!(
        refusal.reason() == Reason::Failed && refusal.to_string().contains("`init` failed (unavailable)"),
        "{refusal}"
    );

    let bench = Bench::new();
    let folder = bench.odd(&["-DCREATE_FAILS"]);
    let plugin = bench.trusting(&[(&folder, "odd")]).load(&folder).unwrap();
    let refusal = plugin.open("test.odd", "{}").err().unwrap();
    assert!(refusal.reason() == Reason::Failed && refusal.to_string().contains("not today"), "{refusal}");
    let refusal = plugin.open("test.even", "{}").err().unwrap();
    assert!(refusal.to_string().contains("has no component `test.even`; expected test.odd"), "{refusal}");
}

/// Cut anywhere, changed anywhere in its headers: a reason or a good inspection, never a panic.
#[test]
fn no_bytes_end_the_inspector() {
    let bench = Bench::new();
    let bytes = fs::read(library(&bench.odd(&[]), "odd")).unwrap();
    for end in (0..bytes.len()).step_by(97) {
        let _ = candor_plugin_host::elf::inspect(&bytes[..end]);
    }
    let mut changed = bytes.clone();
    for at in 0..bytes.len().min(6000) {
        for value in [0, 0xff, bytes[at] ^ 0x80] {
            changed[at] = value;
            let _ = candor_plugin_host::elf::inspect(&changed);
        }
        changed[at] = bytes[at];
    }
    assert!(candor_plugin_host::elf::inspect(&changed).is_ok());
}
