//! The header, the Rust crate and the golden file say the same: every size, offset and number.
//!
//! The header is read as text, a C program is made that prints what a compiler thinks of it, and every compiler that
//! is here runs it. `cargo xtask header` writes the golden file from Rust; this holds it against C.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail loudly too"
)]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use candor_plugin_abi as abi;

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

fn header() -> String {
    fs::read_to_string(Path::new(FOLDER).join("include/candor_plugin.h")).unwrap()
}

fn golden_name() -> String {
    format!("layout-{}.{}.tsv", abi::ABI_MAJOR, abi::ABI_MINOR)
}

fn golden(name: &str) -> Vec<String> {
    let path = Path::new(FOLDER).join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}; run `cargo xtask header`"));
    text.lines().skip(1).map(str::to_owned).collect()
}

/// What Rust says, as rows of the golden file.
fn rust_rows() -> Vec<String> {
    let mut rows = Vec::new();
    for layout in abi::LAYOUTS {
        let kind = format!("{:?}", layout.frozen).to_lowercase();
        rows.push(format!("{}\t{kind}\t-\t0\t{}", layout.name, layout.size));
        for field in layout.fields {
            rows.push(format!("{}\t{kind}\t{}\t{}\t{}", layout.name, field.name, field.offset, field.size));
        }
    }
    rows.extend(abi::NUMBERS.iter().map(|(name, value)| format!("{name}\tnumber\t-\t{value}\t-")));
    rows
}

/// The header's text without comments, and the kind that the first comment of each struct tells.
struct Header {
    structs: Vec<(String, &'static str, Vec<String>)>,
    numbers: Vec<String>,
    strings: BTreeMap<String, String>,
}

fn without_comments(text: &str) -> String {
    let mut left = text;
    let mut out = String::new();
    while let Some((before, after)) = left.split_once("/*") {
        out.push_str(before);
        left = after.split_once("*/").expect("a comment that does not end").1;
    }
    out + left
}

fn field_name(declaration: &str) -> String {
    if let Some((_, after)) = declaration.split_once("(*") {
        return after.split_once(')').unwrap().0.trim().to_owned();
    }
    let word = |char: char| char.is_ascii_alphanumeric() || char == '_';
    declaration.rsplit(|char| !word(char)).find(|part| !part.is_empty()).unwrap().to_owned()
}

fn read_header(text: &str) -> Header {
    let mut structs = Vec::new();
    for part in text.split("typedef struct ").skip(1) {
        let Some((head, rest)) = part.split_once('{') else { continue };
        if head.contains(';') {
            continue;
        }
        let name = head.trim().to_owned();
        let kind =
            if rest.trim_start().starts_with("/* FROZEN") || head.contains("FROZEN") { "frozen" } else { "open" };
        if kind == "open" {
            let comment = rest.trim_start().starts_with("/* OPEN");
            assert!(comment, "{name} says neither FROZEN nor OPEN");
        }
        let body = rest.split_once(&format!("\n}} {name};")).expect("a struct ends with its name").0;
        let fields = without_comments(body);
        let fields = fields.split(';').map(str::trim).filter(|field| !field.is_empty()).map(field_name).collect();
        structs.push((name, kind, fields));
    }
    let (mut numbers, mut strings) = (Vec::new(), BTreeMap::new());
    for line in text.lines().filter_map(|line| line.strip_prefix("#define CANDOR_")) {
        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
        if let Some(string) = value.trim().strip_prefix('"') {
            strings.insert(name.to_owned(), string.split('"').next().unwrap().to_owned());
        } else if value.starts_with(|char: char| char.is_ascii_digit()) || value.starts_with("UINT64_C") {
            numbers.push(format!("CANDOR_{name}"));
        }
    }
    Header { structs, numbers, strings }
}

/// A C program that prints the header's rows.
fn program(header: &Header) -> String {
    let mut c = String::from("#include <stdio.h>\n#include \"candor_plugin.h\"\nint main(void) {\n");
    for (name, kind, fields) in &header.structs {
        writeln!(c, r#"  printf("{name}\t{kind}\t-\t0\t%zu\n", sizeof({name}));"#).unwrap();
        for field in fields {
            let (offset, size) = (format!("offsetof({name}, {field})"), format!("sizeof((({name} *)0)->{field})"));
            writeln!(c, r#"  printf("{name}\t{kind}\t{field}\t%zu\t%zu\n", {offset}, {size});"#).unwrap();
        }
    }
    for name in &header.numbers {
        writeln!(c, r#"  printf("{name}\tnumber\t-\t%llu\t-\n", (unsigned long long)({name}));"#).unwrap();
    }
    c + "  return 0;\n}\n"
}

/// The compilers that are here, each with how it is told the language.
fn compilers() -> Vec<(&'static str, &'static [&'static str])> {
    const C: &[&str] = &["-std=c11", "-x", "c"];
    const CPP: &[&str] = &["-std=c++17", "-x", "c++", "-Wno-invalid-offsetof"];
    let all = [("cc", C), ("gcc", C), ("clang", C), ("g++", CPP), ("clang++", CPP)];
    let here: Vec<_> = all
        .into_iter()
        .filter(|(name, _)| Command::new(name).arg("--version").output().is_ok_and(|out| out.status.success()))
        .collect();
    assert!(!here.is_empty(), "no C compiler is here: install gcc or clang");
    here
}

fn compile(compiler: (&str, &[&str]), folder: &Path, text: &str, include: &Path) -> Result<PathBuf, String> {
    let (source, out) = (folder.join("layout.c"), folder.join(format!("layout-{}", compiler.0)));
    fs::write(&source, text).unwrap();
    let mut command = Command::new(compiler.0);
    command.args(compiler.1).args(["-Wall", "-Wextra", "-pedantic", "-Werror", "-I"]).arg(include);
    let done = command.arg(&source).arg("-o").arg(&out).output().unwrap();
    if done.status.success() { Ok(out) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
}

#[test]
fn rust_says_what_the_golden_file_says() {
    assert_eq!(rust_rows(), golden(&golden_name()), "run `cargo xtask header` and look at what it changes");
}

#[test]
fn every_compiler_says_what_the_golden_file_says() {
    let (folder, header) = (tempfile::tempdir().unwrap(), read_header(&header()));
    let mut expected = golden(&golden_name());
    expected.sort();
    for compiler in compilers() {
        let built = compile(compiler, folder.path(), &program(&header), &Path::new(FOLDER).join("include"));
        let out = Command::new(built.unwrap_or_else(|error| panic!("{}: {error}", compiler.0))).output().unwrap();
        let mut rows: Vec<String> = String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect();
        rows.sort();
        let only =
            |a: &[String], b: &[String]| -> Vec<String> { a.iter().filter(|row| !b.contains(row)).cloned().collect() };
        assert_eq!(only(&rows, &expected), only(&expected, &rows), "{} sees another layout than Rust", compiler.0);
    }
}

#[test]
fn the_names_of_interfaces_are_the_same() {
    let strings = read_header(&header()).strings;
    let ours = [
        ("RUN_V1", abi::RUN_V1),
        ("FIT_V1", abi::FIT_V1),
        ("ROUTE_V1", abi::ROUTE_V1),
        ("STATE_V1", abi::STATE_V1),
        ("DESCRIBE_V1", abi::DESCRIBE_V1),
        ("HOST_PREDICT_V1", abi::HOST_PREDICT_V1),
    ];
    let mut expected: BTreeMap<String, String> =
        ours.into_iter().map(|(name, id)| (name.to_owned(), id.to_str().unwrap().to_owned())).collect();
    expected.insert("MODULE_SYMBOL".to_owned(), abi::MODULE_SYMBOL.to_owned());
    assert_eq!(strings, expected);
}

/// Two fields of one size in the wrong order pass every check of `sizeof`.
#[test]
fn two_swapped_fields_do_not_compile() {
    let folder = tempfile::tempdir().unwrap();
    let text = header();
    let (size, fns) = ("  uint64_t in_flight;\n", "  uint64_t p50_ns;\n");
    assert!(text.contains(&format!("{size}{fns}")));
    let swapped = text.replace(&format!("{size}{fns}"), &format!("{fns}{size}"));
    fs::write(folder.path().join("candor_plugin.h"), swapped).unwrap();
    for compiler in compilers() {
        let error = compile(
            compiler,
            folder.path(),
            "#include \"candor_plugin.h\"\nint main(void){return 0;}\n",
            folder.path(),
        );
        let error = error.expect_err(compiler.0);
        assert!(error.contains("in_flight"), "{}: {error}", compiler.0);
    }
}

/// A later minor may add at the end of open structs, and nothing else.
#[test]
fn what_older_goldens_say_still_holds() {
    let now = golden(&golden_name());
    let older: Vec<String> = fs::read_dir(FOLDER)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(&format!("layout-{}.", abi::ABI_MAJOR)) && name.ends_with(".tsv"))
        .collect();
    assert!(older.contains(&golden_name()));
    for name in older {
        let before = golden(&name);
        let broken = broken(&before, &now);
        assert_eq!(broken, [""; 0], "{name}: raise ABI_MINOR_OLDEST, remove the file and say so in CHANGELOG.md");
    }
}

/// Rows of an older file that do not hold any more.
fn broken<'a>(older: &'a [String], now: &[String]) -> Vec<&'a str> {
    let free = |row: &str| {
        let open_size = row.contains("\topen\t-\t");
        open_size || row.starts_with("CANDOR_ABI_MINOR\t") || row.starts_with("CANDOR_ABI_MINOR_OLDEST\t")
    };
    older.iter().map(String::as_str).filter(|row| !free(row) && !now.iter().any(|other| other == row)).collect()
}

#[test]
fn a_break_is_found_and_an_addition_is_not() {
    let older = ["x\topen\t-\t0\t8", "x\topen\ta\t0\t4", "x\topen\tb\t4\t4", "y\tfrozen\t-\t0\t4"].map(str::to_owned);
    let mut now = older.clone().to_vec();
    now[0] = "x\topen\t-\t0\t16".to_owned();
    now.push("x\topen\tc\t8\t8".to_owned());
    assert_eq!(broken(&older, &now), [""; 0]);
    now[1] = "x\topen\ta\t4\t4".to_owned();
    now[3] = "y\tfrozen\t-\t0\t8".to_owned();
    assert_eq!(broken(&older, &now), [older[1].as_str(), older[3].as_str()]);
}
