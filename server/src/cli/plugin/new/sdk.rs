//! The SDK's source, inside this program: its crates are not published, and a plugin must build wherever it was begun.
//!
//! The list is written by hand, and a test holds it and the folders together. It knows no template.

macro_rules! sources {
    ($($path:literal)*) => {
        &[$(($path, include_str!(concat!("../../../../../sdk/", $path)))),*]
    };
}

/// Files below `sdk/`, and what they hold.
pub(super) const SOURCES: &[(&str, &str)] = sources! {
    "abi/src/call.rs"
    "abi/src/interfaces.rs"
    "abi/src/layout.rs"
    "abi/src/lib.rs"
    "abi/src/numbers.rs"
    "abi/src/tables.rs"
    "abi/src/values.rs"
    "plugin/src/call.rs"
    "plugin/src/component.rs"
    "plugin/src/error.rs"
    "plugin/src/host.rs"
    "plugin/src/inputs.rs"
    "plugin/src/kinds/explain.rs"
    "plugin/src/kinds/maps.rs"
    "plugin/src/kinds/mod.rs"
    "plugin/src/lib.rs"
    "plugin/src/macros.rs"
    "plugin/src/panics.rs"
    "plugin/src/testing/mod.rs"
    "plugin/src/testing/table.rs"
    "plugin/src/testing/values.rs"
    "plugin/src/thunks.rs"
};

/// The header for plugins in C.
pub(super) const HEADER: &str = include_str!("../../../../../sdk/abi/include/candor_plugin.h");

/// The manifests of the two crates, which in the server's own workspace inherit from it.
pub(super) const MANIFESTS: [(&str, &str); 2] = [
    (
        "abi/Cargo.toml",
        concat!(
            "[package]\nname = \"candor-plugin-abi\"\nversion = \"",
            env!("CARGO_PKG_VERSION"),
            "\"\nedition = \"2024\"\nrust-version = \"1.85\"\nlicense = \"Apache-2.0\"\npublish = false\n"
        ),
    ),
    (
        "plugin/Cargo.toml",
        concat!(
            "[package]\nname = \"candor-plugin-sdk\"\nversion = \"",
            env!("CARGO_PKG_VERSION"),
            "\"\nedition = \"2024\"\nrust-version = \"1.85\"\nlicense = \"Apache-2.0\"\npublish = false\n\n[dependencies]\n",
            "candor-plugin-abi = { path = \"../abi\" }\n",
            "serde = { version = \"1\", features = [\"derive\"] }\nserde_json = \"1\"\n"
        ),
    ),
];

/// Where the SDK's own page of documentation begins, which is not there outside of the server's repository.
const OUR_PAGE: &str = "/// The examples of the page for authors are run.";

/// A source as it is outside of the server's repository.
pub(super) fn abroad(text: &str) -> &str {
    text.split(OUR_PAGE).next().unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    fn sources_below(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources_below(&path, root, found);
            } else {
                found.insert(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }

    #[test]
    fn every_source_of_the_sdk_is_inside() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk");
        let mut found = BTreeSet::new();
        for krate in ["abi/src", "plugin/src"] {
            sources_below(&root.join(krate), &root, &mut found);
        }
        let inside: BTreeSet<String> = SOURCES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(inside, found);
        assert!(SOURCES.iter().all(|(_, text)| !abroad(text).contains("docs/PLUGINS.md")));
    }
}
