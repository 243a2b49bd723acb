//! Builds plugins into folders of their own, and hosts them.
//!
//! It knows where the header and the examples lie; it does not know what a test wants to see.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
};

use candor_domain::tensor::{Shape, Tensor, TensorData};
use candor_plugin_host::{
    AllowList, HostSettings, Isolation, LogLevel, MetricKind, Pin, PluginHost, Services, file::sha256,
};
use tempfile::TempDir;

pub const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// What plugins said.
#[derive(Default)]
pub struct Heard {
    pub lines: Mutex<Vec<(LogLevel, String)>>,
}

pub struct Ears(pub Arc<Heard>);

impl Services for Ears {
    fn log(&self, level: LogLevel, message: &str) {
        self.0.lines.lock().unwrap().push((level, message.to_owned()));
    }
    fn metric(&self, _kind: MetricKind, _name: &str, _value: f64, _labels_json: &str) {}
    fn now_ns(&self) -> u64 {
        1
    }
    fn of(&self, _plugin: &str) -> Box<dyn Services> {
        Box::new(Self(Arc::clone(&self.0)))
    }
}

/// A folder with a plugin, and one for the host's copies.
pub struct Bench {
    pub temp: TempDir,
    pub heard: Arc<Heard>,
}

/// Where the library of a plugin's folder lies.
pub fn library(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("linux-{}", std::env::consts::ARCH)).join(format!("lib{name}.so"))
}

pub fn compile(source: &Path, out: &Path, flags: &[&str]) {
    fs::create_dir_all(out.parent().unwrap()).unwrap();
    let include = Path::new(ROOT).join("sdk/abi/include");
    let mut command = Command::new("cc");
    command.args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-fvisibility=hidden", "-shared", "-I"]);
    let done = command.arg(include).args(["-Wno-unused-function", "-o"]).arg(out).arg(source).args(flags);
    let done = done.output().expect("a C compiler");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    set_mode(out, 0o755);
}

pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

impl Bench {
    pub fn new() -> Self {
        Self { temp: tempfile::tempdir().unwrap(), heard: Arc::default() }
    }

    pub fn mark(&self) -> PathBuf {
        self.temp.path().join("mark")
    }

    /// Whether the plugin left a mark of this name.
    pub fn left(&self, name: &str) -> bool {
        self.temp.path().join(format!("mark.{name}")).exists()
    }

    /// A folder with `odd.c`, compiled with these flags. Whatever of it runs leaves a mark.
    pub fn odd(&self, flags: &[&str]) -> PathBuf {
        let folder = self.temp.path().join("odd");
        let mark = format!("-DMARK=\"{}\"", self.mark().display());
        let mut all = vec![mark.as_str()];
        all.extend(flags);
        compile(&Path::new(ROOT).join("server/plugin_host/tests/plugins/odd.c"), &library(&folder, "odd"), &all);
        self.manifest(&folder, "0.1");
        folder
    }

    pub fn manifest(&self, folder: &Path, abi: &str) {
        let text = format!(
            "name = 'odd'\nversion = '0.1.0'\nabi = '{abi}'\n[[component]]\nid = 'test.odd'\nkinds = ['predictor']\n"
        );
        fs::write(folder.join("plugin.toml"), text).unwrap();
    }

    pub fn host(&self, allow: AllowList) -> PluginHost {
        let settings = HostSettings { allow, store: self.temp.path().join("store"), generations_max: 3 };
        PluginHost::new(settings, Box::new(Ears(Arc::clone(&self.heard))))
    }

    /// A host as its author has it at home: whatever is built anew is allowed, in this process.
    pub fn at_home(&self, name: &str) -> PluginHost {
        let allow = vec![Pin { isolation: Isolation::Inproc, ..Pin::of(name, "") }];
        self.host(AllowList { dev: true, allow })
    }

    /// A host that allows the libraries of these folders, in this process.
    pub fn trusting(&self, folders: &[(&Path, &str)]) -> PluginHost {
        let allow = folders.iter().map(|(folder, name)| pin(&library(folder, name), name)).collect();
        self.host(AllowList { dev: false, allow })
    }
}

pub fn pin(library: &Path, name: &str) -> Pin {
    Pin { isolation: Isolation::Inproc, ..Pin::of(name, &sha256(&fs::read(library).unwrap_or_default())) }
}

pub fn floats(shape: &[i64], data: &[f32]) -> Tensor {
    Tensor::new(Shape::new(shape).unwrap(), TensorData::Fp32(data.to_vec())).unwrap()
}

/// Libraries of packages of this workspace, built by cargo: where they lie.
pub fn cargo_built_all(packages: &[&str]) -> PathBuf {
    // The folder that these tests were built into: most of what the plugins need is there.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--target-dir"]).arg(target);
    for package in packages {
        cargo.args(["-p", package]);
    }
    let done = cargo.env_remove("RUSTFLAGS").current_dir(ROOT).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    target.join("debug")
}

/// The library of a package of this workspace, built by cargo.
pub fn cargo_built(package: &str, name: &str) -> PathBuf {
    cargo_built_all(&[package]).join(format!("lib{name}.so"))
}

/// A library where a plugin's folder has it, as it would be shipped.
pub fn ship(built: &Path, folder: &Path, name: &str) {
    let to = library(folder, name);
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(built, &to).unwrap_or_else(|error| panic!("{}: {error}", built.display()));
    set_mode(&to, 0o755);
}

/// The example in Rust, built by cargo into a folder as it would be shipped.
pub fn rust_example(bench: &Bench) -> PathBuf {
    let (folder, name) = (bench.temp.path().join("center"), "candor_example_center_plugin");
    ship(&cargo_built("candor-example-center-plugin", name), &folder, name);
    fs::copy(Path::new(ROOT).join("plugins/examples/center/plugin.toml"), folder.join("plugin.toml")).unwrap();
    folder
}

/// A plugin in C, built by its own Makefile from a copy of its folder below `plugins/`.
pub fn made(bench: &Bench, from: &str) -> PathBuf {
    let from = Path::new(ROOT).join("plugins").join(from);
    let name = from.file_name().unwrap().to_str().unwrap();
    let folder = bench.temp.path().join(name);
    fs::create_dir_all(&folder).unwrap();
    for entry in fs::read_dir(&from).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        fs::copy(&entry, folder.join(entry.file_name().unwrap())).unwrap();
    }
    let include = fs::canonicalize(Path::new(ROOT).join("sdk/abi/include")).unwrap();
    let done =
        Command::new("make").arg("-C").arg(&folder).arg(format!("INCLUDE={}", include.display())).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(done.stderr.is_empty(), "it compiles with a warning: {}", String::from_utf8_lossy(&done.stderr));
    set_mode(&library(&folder, name), 0o755);
    folder
}

/// The example in C.
pub fn c_example(bench: &Bench) -> PathBuf {
    made(bench, "examples/c_scale")
}

/// The library that panics, which cargo has built beside these tests.
pub fn panicking(bench: &Bench) -> PathBuf {
    let folder = bench.temp.path().join("panicking");
    let built = Path::new(env!("CARGO_BIN_EXE_plugin-worker-under-test")).with_file_name("examples/libpanicking.so");
    ship(&built, &folder, "panicking");
    let version = env!("CARGO_PKG_VERSION");
    let text = format!(
        "name = 'panicking'\nversion = '{version}'\nabi = '0.1'\n[[component]]\nid = 'test.panicking'\nkinds = ['predictor']\n"
    );
    fs::write(folder.join("plugin.toml"), text).unwrap();
    folder
}
