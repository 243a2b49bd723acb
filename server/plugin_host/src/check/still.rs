//! What a plugin's file says of itself: nothing of it runs.
//!
//! The first checks, and the ones that a server makes at every load.

use std::path::Path;

use super::{Finding, Mark};
use crate::{
    elf::{self, Inspected},
    file,
    manifest::Manifest,
    negotiate::{self, Isolation},
};

/// Looks at a folder. The manifest, if it can be read, and what was found.
#[must_use]
pub fn look(folder: &Path) -> (Option<Manifest>, Vec<Finding>) {
    let manifest = match Manifest::read(folder) {
        Ok(manifest) => manifest,
        Err(refusal) => return (None, vec![Finding::new("static.manifest", Mark::Fail, refusal.error().to_string())]),
    };
    let said = format!("{} {}, ABI {}", manifest.name, manifest.version, manifest.abi);
    let mut found = vec![Finding::new("static.manifest", Mark::Ok, said)];
    let path = manifest.library(folder);
    let library = match file::read(&path, true) {
        Ok(library) => library,
        Err(refusal) => {
            found.push(Finding::new("static.file", Mark::Fail, refusal.error().to_string()));
            return (Some(manifest), found);
        }
    };
    found.push(match file::read(&path, false) {
        Ok(_) => {
            Finding::new("static.file", Mark::Ok, format!("{} bytes, sha256 {}", library.bytes.len(), library.sha256))
        }
        Err(refusal) => Finding::new("static.file", Mark::Warn, refusal.error().to_string()),
    });
    match elf::inspect(&library.bytes) {
        Err(refusal) => found.push(Finding::new("static.module", Mark::Fail, refusal.error().to_string())),
        Ok(inspected) => {
            found.extend(of_module(&inspected));
            found.extend(of_library(&inspected));
        }
    }
    (Some(manifest), found)
}

fn of_module(inspected: &Inspected) -> Vec<Finding> {
    let head = &inspected.head;
    let built = format!(
        "built with ABI {}.{}, needs {}.{}",
        head.abi_major, head.abi_built_minor, head.abi_major, head.abi_min_minor
    );
    let of = |id: &str, verdict: crate::refusal::Verdict<()>, well: String, bad: Mark| match verdict {
        Ok(()) => Finding::new(id, Mark::Ok, well),
        Err(refusal) => Finding::new(id, bad, refusal.error().to_string()),
    };
    vec![
        of("static.module", negotiate::versions(head), built, Mark::Fail),
        of(
            "static.hardening",
            negotiate::place(inspected, Isolation::Process, &[]),
            "no executable stack, no relocations in code, no search paths, the system's libraries only".to_owned(),
            Mark::Fail,
        ),
        of(
            "static.in_process",
            negotiate::place(inspected, Isolation::Inproc, &[]),
            "may run in the server's own process, where it can do all that the server can".to_owned(),
            Mark::Warn,
        ),
    ]
}

fn of_library(inspected: &Inspected) -> Vec<Finding> {
    let Inspected { exports, glibc, needed, static_tls, .. } = inspected;
    let exports = match exports {
        1 => Finding::new("static.exports", Mark::Ok, "nothing but its module can be seen by others"),
        many => Finding::new(
            "static.exports",
            Mark::Warn,
            format!(
                "{many} symbols can be seen by others, and may take the place of theirs; compile with -fvisibility=hidden"
            ),
        ),
    };
    let tls = if *static_tls {
        let text = "it takes from the little static space for thread-locals; some loads later there is none left. A global allocator in the plugin is the usual cause";
        Finding::new("static.tls", Mark::Warn, text)
    } else {
        Finding::new("static.tls", Mark::Ok, "no static thread-locals")
    };
    let needs = if needed.is_empty() { "nothing".to_owned() } else { needed.join(", ") };
    let glibc = if glibc.is_empty() { "any C library".to_owned() } else { format!("glibc {glibc} or newer") };
    vec![exports, tls, Finding::new("static.needs", Mark::Ok, format!("{needs}; {glibc}"))]
}
