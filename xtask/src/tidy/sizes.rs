//! Rules about the shape of a source: its first line, its length, the length of its functions.
//!
//! After [`super::functions`]. It does not know what the lines say.

use std::collections::BTreeMap;

use super::{
    Finding, functions, lex,
    rules::{LongFile, LongFunction, Rules},
    tree::{Text, Tree},
};

/// The folders whose sources are ours.
const ROOMS: [&str; 6] = ["server/", "sdk/", "plugins/", "benches/", "tests/", "xtask/"];

/// Every rule of this module.
pub fn check(tree: &Tree, rules: &Rules) -> Vec<Finding> {
    let mut findings = Vec::new();
    let sources: Vec<&Text> =
        tree.ending(".rs").filter(|file| ROOMS.iter().any(|room| file.path.starts_with(room))).collect();
    for file in &sources {
        findings.extend(first_line(file));
        findings.extend(file_length(file, rules));
        findings.extend(function_lengths(file, rules));
    }
    findings.extend(dead_exceptions(&sources, rules));
    findings
}

fn first_line(file: &Text) -> Option<Finding> {
    let first = file.text.lines().next().unwrap_or_default();
    if first.starts_with("//! ") {
        return None;
    }
    Some(Finding::new(
        &file.path,
        1,
        "does not begin with `//!`",
        "say in a line what it does, what comes before and after, and what it does not know",
    ))
}

fn file_length(file: &Text, rules: &Rules) -> Option<Finding> {
    let lines = file.text.lines().count();
    let exception = rules.long_file.iter().find(|long| long.file == file.path);
    let limit = rules.limits.file_lines_max;
    judge(&format!("{lines} lines"), lines, limit, exception.map(|long| long.lines))
        .map(|(what, fix)| Finding::new(&file.path, lines.min(limit + 1), what, fix))
}

fn function_lengths(file: &Text, rules: &Rules) -> Vec<Finding> {
    let mut longest: BTreeMap<String, functions::Function> = BTreeMap::new();
    for function in functions::find(&lex::split(&file.text).code) {
        let known = longest.get(&function.name).map_or(0, |known| known.lines);
        if function.lines > known {
            longest.insert(function.name.clone(), function);
        }
    }
    let judged = longest.values().filter_map(|function| {
        let exception = exception_for(&rules.long_function, &file.path, &function.name);
        judge(
            &format!("fn {} has {} lines", function.name, function.lines),
            function.lines,
            rules.limits.function_lines_max,
            exception.map(|long| long.lines),
        )
        .map(|(what, fix)| Finding::new(&file.path, function.line, what, fix))
    });
    judged.collect()
}

fn exception_for<'a>(all: &'a [LongFunction], path: &str, name: &str) -> Option<&'a LongFunction> {
    all.iter().find(|long| long.file == path && long.name == name)
}

/// What is wrong with a size, given its limit and its exception, and how to mend it.
fn judge(what: &str, lines: usize, limit: usize, exception: Option<usize>) -> Option<(String, String)> {
    let (what, fix) = match exception {
        None if lines > limit => (format!("{what}, the limit is {limit}"), "split it by what it does".to_owned()),
        Some(allowed) if lines <= limit => (
            format!("{what}, within the limit of {limit}"),
            format!("remove its exception of {allowed} from xtask/tidy.toml"),
        ),
        Some(allowed) if lines > allowed => {
            (format!("{what}, its exception is {allowed}"), "exceptions may only shrink: split it".to_owned())
        }
        Some(allowed) if lines < allowed => (
            format!("{what}, less than its exception of {allowed}"),
            format!("lower the exception in xtask/tidy.toml to {lines}"),
        ),
        None | Some(_) => return None,
    };
    Some((what, fix))
}

/// Exceptions for things that are not there any more.
fn dead_exceptions(sources: &[&Text], rules: &Rules) -> Vec<Finding> {
    let source = |path: &str| sources.iter().find(|file| file.path == path);
    let files =
        rules.long_file.iter().filter(|LongFile { file, .. }| source(file).is_none()).map(|long| long.file.clone());
    let functions = rules
        .long_function
        .iter()
        .filter(|long| {
            !source(&long.file).is_some_and(|file| {
                functions::find(&lex::split(&file.text).code).iter().any(|function| function.name == long.name)
            })
        })
        .map(|long| format!("{} fn {}", long.file, long.name));
    files
        .chain(functions)
        .map(|gone| Finding::new("xtask/tidy.toml", 1, format!("the exception for {gone} names nothing"), "remove it"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{super::rules::for_tests, *};

    fn said(files: &[(&str, &str)], rules: &str) -> Vec<String> {
        let found = check(&Tree::of(files), &for_tests(rules));
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_good_file_is_silent() {
        let good = "//! A map.\nfn a() {\n\n}\n";
        assert_eq!(said(&[("server/a.rs", good), ("models/x.rs", "bad")], ""), [""; 0]);
    }

    #[test]
    fn the_first_line_is_a_map() {
        let found = said(&[("sdk/a.rs", "use std;\n"), ("sdk/b.rs", "")], "");
        assert!(found[0].starts_with("sdk/a.rs:1: does not begin"), "{found:?}");
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn long_files_are_found_unless_excepted() {
        let long = format!("//! Map.\n{}", "\n".repeat(11));
        let files = [("xtask/a.rs", long.as_str())];
        assert!(said(&files, "")[0].contains("12 lines, the limit is 10"));
        let except = |lines: usize| format!("[[long_file]]\nfile = 'xtask/a.rs'\nlines = {lines}\nwhy = 'x'\n");
        assert_eq!(said(&files, &except(12)), [""; 0]);
        assert!(said(&files, &except(13))[0].contains("lower the exception"));
        assert!(said(&files, &except(11))[0].contains("may only shrink"));
    }

    #[test]
    fn long_functions_are_found_unless_excepted() {
        let files = [("tests/a.rs", "//! Map.\nfn f() {\n\n\n\n}\n")];
        assert_eq!(said(&files, ""), ["tests/a.rs:2: fn f has 5 lines, the limit is 4; split it by what it does"]);
        let except = |name: &str, lines: usize| {
            format!(
                "[[long_function]]\nfile = 'tests/a.rs'\nname = '{name}'\nlines = {lines}\n\
                 why = 'x'\n"
            )
        };
        assert_eq!(said(&files, &except("f", 5)), [""; 0]);
        assert_eq!(said(&files, &except("g", 5)).len(), 2);
    }

    #[test]
    fn an_exception_that_is_not_needed_is_removed() {
        let files = [("tests/a.rs", "//! Map.\nfn f() {}\n")];
        let rules = "[[long_function]]\nfile = 'tests/a.rs'\nname = 'f'\nlines = 5\nwhy = 'x'\n";
        assert!(said(&files, rules)[0].contains("remove its exception"));
        let rules = "[[long_file]]\nfile = 'tests/gone.rs'\nlines = 5\nwhy = 'x'\n";
        assert!(said(&files, rules)[0].contains("names nothing"));
    }
}
