//! Whether this host and a plugin understand each other: final, and explained with the numbers of both sides.
//!
//! By what was read from the file, before anything of it runs. It does not know files or loaders.

use candor_plugin_abi as abi;

use crate::{
    elf::{Head, Inspected},
    refusal::{Reason, Refusal, Verdict},
};

/// Libraries that every system has and that any plugin may need.
const LIBRARIES: [&str; 10] = [
    "libc.so.6",
    "libm.so.6",
    "libgcc_s.so.1",
    "libpthread.so.0",
    "libdl.so.2",
    "librt.so.1",
    "libstdc++.so.6",
    "libc.musl-x86_64.so.1",
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
];

/// Where a plugin is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// In a process of its own.
    #[default]
    Process,
    /// In the server's own process: full trust.
    #[serde(rename = "in_process")]
    Inproc,
}

impl Isolation {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Inproc => "in_process",
        }
    }
}

/// Whether the versions fit.
///
/// # Errors
/// `NotAPlugin` without the magic number, `Abi` with both sides' numbers.
pub fn versions(head: &Head) -> Verdict<()> {
    if head.magic != abi::MAGIC {
        return Err(Refusal::new(Reason::NotAPlugin, "the module has another magic number")
            .expected(format!("{:#x}", abi::MAGIC))
            .got(format!("{:#x}", head.magic)));
    }
    let both = |what: &str| {
        Refusal::new(Reason::Abi, what)
            .expected(format!(
                "ABI {}.{}, and what was built with {}.{} or later",
                abi::ABI_MAJOR,
                abi::ABI_MINOR,
                abi::ABI_MAJOR,
                abi::ABI_MINOR_OLDEST
            ))
            .got(format!(
                "built with {}.{}, needs {}.{} or later",
                head.abi_major, head.abi_built_minor, head.abi_major, head.abi_min_minor
            ))
    };
    if head.abi_major != abi::ABI_MAJOR {
        return Err(both("the plugin speaks another major version").hint("build it with this server's SDK"));
    }
    if head.abi_min_minor > abi::ABI_MINOR {
        return Err(both("the plugin needs a newer server").hint("update the server, or take an older plugin"));
    }
    if head.abi_built_minor < abi::ABI_MINOR_OLDEST {
        return Err(both("the plugin was built before a break").hint("build it with this server's SDK"));
    }
    if (head.struct_size as usize) < abi::Module::LAYOUT.size {
        return Err(Refusal::new(Reason::Abi, "the module's table is too small")
            .expected(format!("{} bytes or more", abi::Module::LAYOUT.size))
            .got(head.struct_size.to_string()));
    }
    Ok(())
}

/// Whether it may run where it is to run, and asks for nothing that no plugin gets. `libraries` are those that the
/// operator allows besides the system's.
///
/// # Errors
/// `NeedsIsolation` and `Hardening`.
pub fn place(inspected: &Inspected, isolation: Isolation, libraries: &[String]) -> Verdict<()> {
    let in_process = isolation == Isolation::Inproc;
    if in_process && inspected.head.flags & abi::MODULE_PANIC_ABORT != 0 {
        return Err(Refusal::new(Reason::NeedsIsolation, "a panic of the plugin would end the server")
            .hint("build it with panic = \"unwind\", or let it run in a process of its own"));
    }
    if in_process && inspected.head.flags & abi::MODULE_ISOLATED_ONLY != 0 {
        return Err(Refusal::new(Reason::NeedsIsolation, "the plugin says that it needs a process of its own")
            .hint("set isolation = \"process\""));
    }
    let hardening = |what: &str| Refusal::new(Reason::Hardening, what);
    if inspected.exec_stack {
        return Err(hardening("the library wants a stack that can be executed").hint("link with -z noexecstack"));
    }
    if inspected.text_relocations {
        return Err(hardening("the loader would have to write to the library's code").hint("compile with -fPIC"));
    }
    if inspected.search_paths {
        return Err(hardening("the library has search paths of its own (RPATH or RUNPATH)")
            .hint("link without -rpath: what it needs must be the system's, or pinned"));
    }
    let known = |name: &&String| LIBRARIES.contains(&name.as_str()) || libraries.contains(name);
    if let Some(unknown) = inspected.needed.iter().find(|name| !known(name)) {
        return Err(hardening("the library needs another one that nobody has verified")
            .got(format!("`{unknown}`"))
            .hint("link it statically, or name it in the pin's `libraries`"));
    }
    Ok(())
}
