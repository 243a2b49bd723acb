//! The fences of the house: which package may depend on which, and that every package is listed.
//!
//! Asks `cargo metadata` for the packages and their normal dependencies; tests may use what they
//! like. It does not know why a fence stands where it does: xtask/tidy.toml does.

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::{
    Finding,
    rules::{Fence, Rules},
    tree::Tree,
};
use crate::{house::House, run};

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: String,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    /// None for a normal one, else `dev` or `build`.
    kind: Option<String>,
    /// Where it stands, if it is one of ours.
    path: Option<String>,
}

/// Every rule of this module.
pub fn check(house: &House, tree: &Tree, rules: &Rules) -> Result<Vec<Finding>> {
    let mut command = run::cargo(house, &["metadata", "--format-version=1", "--no-deps"]);
    let text = run::quiet(&mut command)?;
    let metadata: Metadata = serde_json::from_str(&text).context("`cargo metadata` speaks another language")?;
    let mut findings = judge(&metadata, rules);
    findings.extend(members(tree, &metadata));
    Ok(findings)
}

fn judge(metadata: &Metadata, rules: &Rules) -> Vec<Finding> {
    let root = metadata.workspace_root.as_str();
    let mut findings = Vec::new();
    for package in &metadata.packages {
        let manifest = below(&package.manifest_path, root);
        let folder = manifest.strip_suffix("/Cargo.toml").unwrap_or(manifest);
        let Some(fence) = fence_at(&rules.fence, folder) else {
            findings.push(Finding::new(
                manifest,
                1,
                format!("{} stands behind no fence", package.name),
                "add a [[fence]] to xtask/tidy.toml",
            ));
            continue;
        };
        let normal = package.dependencies.iter().filter(|dependency| dependency.kind.is_none());
        for dependency in normal {
            let ours = dependency.path.as_deref().map(|path| below(path, root));
            if let Some(reason) = refusal(fence, &dependency.name, ours) {
                findings.push(Finding::new(
                    manifest,
                    1,
                    format!("{} depends on {}, {reason}", package.name, dependency.name),
                    format!("it is so because: {}", fence.why),
                ));
            }
        }
    }
    findings
}

fn below<'a>(path: &'a str, root: &str) -> &'a str {
    path.strip_prefix(root).unwrap_or(path).trim_start_matches('/')
}

/// The fence with the longest matching place.
fn fence_at<'a>(fences: &'a [Fence], folder: &str) -> Option<&'a Fence> {
    fences.iter().filter(|fence| covers(&fence.at, folder)).max_by_key(|fence| fence.at.len())
}

/// `a/b` is itself alone, `a/` is everything below, `*` is everything.
fn covers(place: &str, folder: &str) -> bool {
    place == "*" || place == folder || (place.ends_with('/') && folder.starts_with(place))
}

/// Why the fence does not let this dependency in.
fn refusal(fence: &Fence, name: &str, ours: Option<&str>) -> Option<&'static str> {
    let listed = |names: &[String]| {
        names.iter().any(|listed| match listed.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == listed,
        })
    };
    if let Some(folder) = ours {
        let allowed = fence.ours.iter().any(|place| covers(place, folder));
        return (!allowed).then_some("a room that it must not know");
    }
    if listed(&fence.never) {
        return Some("which its fence forbids");
    }
    let only = fence.only.as_ref()?;
    (!listed(only)).then_some("which is not in its fence's complete list")
}

/// Workspace members are listed by name, and every package is a member.
fn members(tree: &Tree, metadata: &Metadata) -> Vec<Finding> {
    let mut findings = Vec::new();
    let listed: Vec<String> = tree
        .get("Cargo.toml")
        .and_then(|file| toml::from_str::<toml::Table>(&file.text).ok())
        .and_then(|table| table.get("workspace")?.get("members")?.as_array().cloned())
        .unwrap_or_default()
        .iter()
        .filter_map(|member| member.as_str().map(str::to_owned))
        .collect();
    for member in listed.iter().filter(|member| member.contains('*')) {
        findings.push(Finding::new(
            "Cargo.toml",
            1,
            format!("workspace member `{member}` is a pattern"),
            "list members by name",
        ));
    }
    let known: Vec<&str> =
        metadata.packages.iter().map(|package| below(&package.manifest_path, &metadata.workspace_root)).collect();
    for manifest in tree.paths().filter(|path| path.ends_with("/Cargo.toml")) {
        if !known.contains(&manifest) {
            findings.push(Finding::new(
                manifest,
                1,
                "is no member of the workspace",
                "list its folder under workspace.members in Cargo.toml",
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{super::rules::for_tests, *};

    const FENCES: &str = "
        [[fence]]
        at = 'server/domain'
        ours = []
        only = ['serde']
        why = 'nouns'
        [[fence]]
        at = 'server/serving'
        ours = ['server/domain']
        never = ['actix-*', 'ort']
        why = 'answers'
        [[fence]]
        at = 'plugins/'
        ours = ['sdk/']
        why = 'the SDK'
        [[fence]]
        at = 'server'
        ours = ['*']
        why = 'wiring'
    ";

    fn metadata(folder: &str, dependencies: &str) -> Metadata {
        let package =
            format!(r#"{{"name":"x","manifest_path":"/r/{folder}/Cargo.toml","dependencies":[{dependencies}]}}"#);
        serde_json::from_str(&format!(r#"{{"workspace_root":"/r","packages":[{package}]}}"#)).unwrap()
    }

    fn said(folder: &str, dependencies: &str) -> Vec<String> {
        let found = judge(&metadata(folder, dependencies), &for_tests(FENCES));
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_the_fence_allows_is_silent() {
        assert_eq!(said("server/domain", r#"{"name":"serde"}"#), [""; 0]);
        let domain = r#"{"name":"candor-domain","path":"/r/server/domain"},{"name":"tokio"}"#;
        assert_eq!(said("server/serving", domain), [""; 0]);
        assert_eq!(said("server", domain), [""; 0]);
        let sdk = r#"{"name":"abi","path":"/r/sdk/abi"}"#;
        assert_eq!(said("plugins/drift/shim", sdk), [""; 0]);
    }

    #[test]
    fn tests_may_use_what_they_like() {
        let dev = r#"{"name":"actix-web","kind":"dev"}"#;
        assert_eq!(said("server/serving", dev), [""; 0]);
    }

    #[test]
    fn what_it_does_not_is_found() {
        assert_eq!(
            said("server/serving", r#"{"name":"actix-web"}"#),
            ["server/serving/Cargo.toml:1: x depends on actix-web, which its fence forbids; \
              it is so because: answers"]
        );
        assert!(said("server/domain", r#"{"name":"tokio"}"#)[0].contains("complete list"));
        let door = r#"{"name":"candor-http-api","path":"/r/server/http_api"}"#;
        assert!(said("server/serving", door)[0].contains("must not know"));
        assert!(said("plugins/drift", door)[0].contains("must not know"));
    }

    #[test]
    fn a_package_without_a_fence_is_found() {
        assert!(said("somewhere", "")[0].contains("stands behind no fence"));
    }

    #[test]
    fn members_are_names_and_complete() {
        let metadata = metadata("server/domain", "");
        let tree = |members: &str| {
            let root = format!("[workspace]\nmembers = [{members}]\n");
            Tree::of(&[("Cargo.toml", root.as_str()), ("server/domain/Cargo.toml", "")])
        };
        assert_eq!(members(&tree("'server/domain'"), &metadata), []);
        let found = members(&tree("'server/*'"), &metadata);
        assert!(found[0].to_string().contains("list members by name"));
        let lost = Tree::of(&[("sdk/lost/Cargo.toml", "")]);
        let found = members(&lost, &metadata);
        assert!(found[0].to_string().contains("no member"), "{found:?}");
    }
}
