//! Links and paths named in Markdown: what they point at must exist.
//!
//! Looks at docs/**.md and the Markdown of the root. It checks the house's own files and headings; it
//! never asks the network, and does not know what a page says.

use super::{
    Finding,
    tree::{Text, Tree},
};

/// The folders of the house: a path in backticks that begins with one of them names a file of ours.
const FOLDERS: [&str; 12] =
    ["server", "sdk", "plugins", "models", "openapi", "tests", "benches", "docs", "deploy", "xtask", ".ci", ".cargo"];

/// Every rule of this module.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let pages = tree.ending(".md").filter(|file| file.path.starts_with("docs/") || !file.path.contains('/'));
    pages.flat_map(|page| page_findings(tree, page)).collect()
}

fn page_findings(tree: &Tree, page: &Text) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in without_blocks(&page.text).lines().enumerate() {
        for target in links(&without_spans(line)) {
            findings.extend(dead_link(tree, page, number + 1, target));
        }
        for span in spans(line) {
            let Some(path) = house_path(span) else {
                continue;
            };
            if !tree.has(path) {
                findings.push(Finding::new(
                    &page.path,
                    number + 1,
                    format!("names `{span}`, which does not exist"),
                    "correct the path, or the house",
                ));
            }
        }
    }
    findings
}

/// Markdown with its code, in blocks and in lines, made blank. Lines stay.
pub fn without_code(text: &str) -> String {
    let blocks = without_blocks(text);
    let lines: Vec<String> = blocks.lines().map(without_spans).collect();
    lines.join("\n")
}

/// The text with fenced code blocks made blank.
fn without_blocks(text: &str) -> String {
    let mut inside = false;
    let mut kept = String::with_capacity(text.len());
    for line in text.lines() {
        let is_fence = line.trim_start().starts_with("```");
        if !inside && !is_fence {
            kept.push_str(line);
        }
        kept.push('\n');
        inside ^= is_fence;
    }
    kept
}

/// The line without what stands between backticks.
fn without_spans(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join(" ")
}

/// What stands between backticks.
fn spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The targets of `[text](target)`.
fn links(line: &str) -> Vec<&str> {
    line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()).collect()
}

fn dead_link(tree: &Tree, page: &Text, line: usize, target: &str) -> Option<Finding> {
    if target.contains("://") || target.starts_with("mailto:") || target.starts_with('/') {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let place = if path.is_empty() { page.path.clone() } else { resolve(&page.path, path) };
    if !tree.has(&place) && !place.is_empty() {
        let what = format!("links to {target}, which does not exist");
        return Some(Finding::new(&page.path, line, what, "correct the link"));
    }
    let there = tree.get(&place).filter(|file| file.path.ends_with(".md"))?;
    if anchor.is_empty() || headings(&there.text).any(|heading| heading == anchor) {
        return None;
    }
    let what = format!("links to {target}, but {place} has no such heading");
    Some(Finding::new(&page.path, line, what, "correct the anchor"))
}

/// A link's target from the root, given the page that it stands on.
fn resolve(page: &str, link: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// The anchors of a page's headings, as code forges spell them.
fn headings(text: &str) -> impl Iterator<Item = String> {
    let blocks = without_blocks(text);
    let found: Vec<String> = blocks
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim().to_lowercase())
        .map(|title| {
            title
                .chars()
                .filter(|char| char.is_alphanumeric() || " -_".contains(*char))
                .map(|char| if char == ' ' { '-' } else { char })
                .collect()
        })
        .collect();
    found.into_iter()
}

/// The path of ours that a span names, if it names one: a folder of the house, then plain names.
fn house_path(span: &str) -> Option<&str> {
    let plain = |char: char| char.is_ascii_alphanumeric() || "._-/".contains(char);
    // `path:12` names a line.
    let path = match span.rsplit_once(':') {
        Some((path, line)) if line.chars().all(|char| char.is_ascii_digit()) => path,
        _ => span,
    };
    let (folder, below) = path.split_once('/')?;
    if !FOLDERS.contains(&folder) || below.is_empty() || !path.chars().all(plain) {
        return None;
    }
    Some(path.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(page: &str, text: &str) -> Vec<String> {
        let tree = Tree::of(&[
            (page, text),
            ("docs/B.md", "# The `big` Title: now\n```\n# no\n```\n"),
            ("server/domain/src/lib.rs", ""),
        ]);
        check(&tree).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn living_links_are_silent() {
        let text = "[b](B.md) [b](B.md#the-big-title-now) [up](../server/domain/) \
                    [web](https://a.b/c) [here](#me)\n# Me\n";
        assert_eq!(said("docs/A.md", text), [""; 0]);
        assert_eq!(said("README.md", "[b](docs/B.md) [l](./server)\n"), [""; 0]);
    }

    #[test]
    fn dead_links_and_anchors_are_found() {
        assert_eq!(
            said("docs/A.md", "\n[x](gone.md)\n"),
            ["docs/A.md:2: links to gone.md, which does not exist; correct the link"]
        );
        assert!(said("docs/A.md", "[x](B.md#no)\n")[0].contains("no such heading"));
    }

    #[test]
    fn named_paths_exist() {
        let good = "`server/domain/src/lib.rs`, `server/domain/src/lib.rs:12`, `server/domain/`\n";
        assert_eq!(said("docs/A.md", good), [""; 0]);
        let other = "`application/json` `/v2/models/x` `models/<name>/1` `server/*` `a/b.rs`\n";
        assert_eq!(said("docs/A.md", other), [""; 0]);
        assert_eq!(
            said("docs/A.md", "see `server/gone.rs`\n"),
            ["docs/A.md:1: names `server/gone.rs`, which does not exist; \
              correct the path, or the house"]
        );
    }

    #[test]
    fn code_blocks_and_other_folders_are_not_pages() {
        assert_eq!(said("docs/A.md", "```\n[x](gone.md) `server/gone`\n```\n"), [""; 0]);
        assert_eq!(said("models/A.md", "[x](gone.md)\n"), [""; 0]);
        assert_eq!(without_code("a `b` c\n```\nd\n```\ne"), "a   c\n\n\n\ne");
    }
}
