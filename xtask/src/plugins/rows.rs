//! The rows of the matrix: one plugin, each time by another compiler, in a folder as it would be shipped.
//!
//! Before `matrix`, which asks every host. A compiler that is not here, and cannot be had, is a row that says why. It does
//! not know hosts.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::debian;
use crate::{house::House, run, venv};

/// What makes a C or C++ compiler build the plugin as its Makefile would.
const C_FLAGS: [&str; 10] = [
    "-D_GNU_SOURCE",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-fPIC",
    "-fvisibility=hidden",
    "-shared",
    "-Wl,-z,defs",
    "-Wl,-z,now",
    "-Wl,-z,noexecstack",
];
/// The compiler of Zig, which is one for C too, from PyPI.
const ZIG: &str = "sdk/contract/zig.txt";
/// The oldest compiler that the SDK promises to build with.
const SDK_RUSTC: [u32; 2] = [1, 85];

/// One row: the plugin, built; or why it is not.
pub struct Row {
    /// Language and compiler, with its version.
    pub name: String,
    /// The plugin's folder.
    pub built: Result<PathBuf, String>,
}

/// All rows, built.
pub fn build(house: &House) -> Vec<Row> {
    let plugin = Plugin { house };
    let mut rows = vec![
        plugin.c("gcc", "gcc -O2", "gcc", "gcc", &["-std=c11", "-O2"]),
        plugin.c("gcc-odd", "gcc -O0, short enums", "gcc", "gcc", &["-std=c11", "-O0", "-fshort-enums"]),
        plugin.c("clang", "clang -O3", "clang", "clang", &["-std=c11", "-O3"]),
        plugin.zig(),
        plugin.c("g++", "g++ -O2", "g++", "g++", &["-x", "c++", "-std=c++17", "-O2"]),
        plugin.c("clang++", "clang++ -O2", "clang++", "clang", &["-x", "c++", "-std=c++17", "-O2"]),
    ];
    rows.push(plugin.rust_now());
    match debian::oldest_rustc(house, &SDK_RUSTC) {
        Ok(rustc) => rows.push(plugin.rust_sdk(&rustc)),
        Err(error) => rows.push(absent("Rust with the SDK, an older one from Debian", &error)),
    }
    match debian::oldest_rustc(house, &[1]) {
        Ok(rustc) => rows.push(plugin.rust_raw(&rustc)),
        Err(error) => rows.push(absent("Rust without the SDK, an older one from Debian", &error)),
    }
    rows
}

fn absent(name: &str, error: &anyhow::Error) -> Row {
    Row { name: name.to_owned(), built: Err(debian::first_line(error)) }
}

/// The first version number that a compiler says of itself.
fn version_of(command: &mut Command) -> Result<String> {
    let said = run::quiet(command)?;
    let is_version = |word: &&str| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit());
    let line = said.lines().next().unwrap_or_default();
    line.split([' ', '(', ')']).rfind(is_version).map(str::to_owned).context("it does not tell its version")
}

/// The plugin's sources.
struct Plugin<'a> {
    house: &'a House,
}

impl Plugin<'_> {
    /// A folder for a row, with its manifest; and where the library belongs.
    fn folder(&self, row: &str) -> Result<(PathBuf, PathBuf)> {
        let folder = self.house.target("plugins/matrix").join(row).join("contract");
        let library = folder.join(format!("linux-{}", std::env::consts::ARCH)).join("libcontract.so");
        if let Some(parent) = library.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        fs::copy(self.house.path("sdk/contract/plugin.toml"), folder.join("plugin.toml")).context("plugin.toml")?;
        Ok((folder, library))
    }

    /// By a compiler of C or C++ that is installed, or by apt.
    fn c(&self, row: &str, how: &str, program: &str, package: &str, flags: &[&str]) -> Row {
        let language = if flags.contains(&"c++") { "C++" } else { "C" };
        if let Some(why) = debian::program(program, package) {
            return Row { name: format!("{language}, {how}"), built: Err(why) };
        }
        self.compiled(row, &format!("{language}, {how}"), &mut Command::new(program), flags)
    }

    fn compiled(&self, row: &str, name: &str, compiler: &mut Command, flags: &[&str]) -> Row {
        let words: Vec<_> = compiler.get_args().map(ToOwned::to_owned).collect();
        let version = version_of(Command::new(compiler.get_program()).args(&words).arg("--version"));
        let name = version.map_or_else(|_| name.to_owned(), |version| format!("{name} ({version})"));
        let built = self.folder(row).and_then(|(folder, library)| {
            compiler.args(flags).args(C_FLAGS).arg("-I").arg(self.house.path("sdk/abi/include"));
            compiler.arg("-o").arg(&library).arg(self.house.path("sdk/contract/contract.c"));
            run::quiet(compiler)?;
            Ok(folder)
        });
        Row { name, built: built.map_err(|error| format!("{error:#}")) }
    }

    fn zig(&self) -> Row {
        match venv::ensure(self.house, "plugins/zig", ZIG) {
            Err(error) => absent("C, zig cc", &error),
            Ok(python) => {
                let mut compiler = Command::new(python);
                compiler.args(["-m", "ziglang", "cc"]);
                self.compiled("zig", "C, zig cc", &mut compiler, &["-std=c11", "-O2"])
            }
        }
    }

    fn cargo(&self, target: &Path) -> Command {
        let words = ["build", "-q", "--release", "--locked", "-p", "candor-plugin-contract", "--target-dir"];
        let mut cargo = run::cargo(self.house, &words);
        cargo.arg(target);
        cargo
    }

    fn taken(&self, row: &str, target: &Path) -> Result<PathBuf> {
        let (folder, library) = self.folder(row)?;
        let built = target.join("release/libcontract.so");
        fs::copy(&built, library).with_context(|| format!("no {}", built.display()))?;
        Ok(folder)
    }

    fn rust_now(&self) -> Row {
        let target = self.house.target("plugins/rust-now");
        let version = version_of(Command::new("rustc").arg("--version")).unwrap_or_default();
        let built = run::quiet(&mut self.cargo(&target)).and_then(|_| self.taken("rust-now", &target));
        Row { name: format!("Rust with the SDK ({version})"), built: built.map_err(|error| format!("{error:#}")) }
    }

    /// With our cargo, which only calls the compiler.
    fn rust_sdk(&self, rustc: &debian::Rustc) -> Row {
        let target = self.house.target("plugins").join(format!("rust-{}", rustc.version));
        let mut cargo = self.cargo(&target);
        cargo.env("RUSTC", rustc.program()).env("LD_LIBRARY_PATH", rustc.libraries());
        let built = run::quiet(&mut cargo).and_then(|_| self.taken("rust-sdk", &target));
        let name = format!("Rust with the SDK (Debian's {})", rustc.version);
        Row { name, built: built.map_err(|error| format!("{error:#}")) }
    }

    fn rust_raw(&self, rustc: &debian::Rustc) -> Row {
        let built = self.folder("rust-raw").and_then(|(folder, library)| {
            let mut command = rustc.command();
            command.args(["--edition", "2021", "-O", "-C", "strip=symbols", "--crate-type", "cdylib", "-o"]);
            run::quiet(command.arg(&library).arg(self.house.path("sdk/contract/raw.rs")))?;
            Ok(folder)
        });
        let name = format!("Rust without the SDK (Debian's {})", rustc.version);
        Row { name, built: built.map_err(|error| format!("{error:#}")) }
    }
}
