//! Believes a loaded module's tables as far as they can be checked: its head is the one that was inspected, its
//! components are whole, and they are what the manifest says.
//!
//! After the loader and before `init`. It does not call the plugin, but for `get_interface` on demand.
#![allow(unsafe_code, reason = "tables of a plugin are read through pointers")]

use std::{
    collections::BTreeSet,
    ffi::{CStr, c_char},
};

use candor_plugin_abi as abi;
use serde::{Deserialize, Serialize};

use crate::{
    elf::Head,
    manifest::Manifest,
    refusal::{Reason, Refusal, Verdict},
};

const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// What a component says of itself, copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentInfo {
    /// Its name.
    pub id: String,
    /// Its version.
    pub version: String,
    /// What it is.
    pub kinds: Vec<String>,
    /// The JSON Schema of its configuration.
    pub config_schema: String,
    /// Its claims, as the interface's flags.
    pub flags: u32,
}

/// A component that can be used.
#[derive(Clone)]
pub struct Component {
    /// What it says of itself.
    pub info: ComponentInfo,
    pub(crate) table: &'static abi::Component,
}

// SAFETY: a component's table is static, read-only data; its functions may be called from any thread.
unsafe impl Send for Component {}

/// A module whose tables have been checked.
#[derive(Clone)]
pub struct CheckedModule {
    /// Its components, in its order.
    pub components: Vec<Component>,
    /// What built it, as JSON.
    pub build_info: String,
    pub(crate) init: Option<unsafe extern "C-unwind" fn(*const abi::Host) -> i32>,
}

fn refuse(what: &str) -> Refusal {
    Refusal::new(Reason::Tables, what)
}

/// Static text that ends with NUL.
///
/// # Safety
/// `text` must be null, or such a text.
unsafe fn text(text: *const c_char, what: &str) -> Verdict<String> {
    if text.is_null() {
        return Err(refuse(&format!("{what} is not there")));
    }
    // SAFETY: the caller's.
    let text = unsafe { CStr::from_ptr(text) };
    if text.count_bytes() > TEXT_BYTES_MAX {
        return Err(refuse(&format!("{what} has more than {TEXT_BYTES_MAX} bytes")));
    }
    text.to_str().map(str::to_owned).map_err(|_| refuse(&format!("{what} is not UTF-8")))
}

/// The head of a module in memory.
pub fn head(module: &abi::Module) -> Head {
    Head {
        magic: module.magic,
        abi_major: module.abi_major,
        abi_min_minor: module.abi_min_minor,
        abi_built_minor: module.abi_built_minor,
        struct_size: module.struct_size,
        flags: module.flags,
    }
}

/// Checks a module. Its versions have been negotiated.
///
/// # Errors
/// `Tables` with what cannot be.
pub fn check(module: &'static abi::Module) -> Verdict<CheckedModule> {
    let count = module.n_components as usize;
    if count == 0 || count > 64 || module.components.is_null() {
        return Err(refuse("a module has 1 to 64 components").got(count.to_string()));
    }
    let mut components = Vec::with_capacity(count);
    for at in 0..count {
        // SAFETY: the interface says that there are so many pointers to static tables.
        let table = unsafe { module.components.add(at).read() };
        // SAFETY: as above; checked for null and size before anything else is read of it.
        let component = unsafe { self::component(table) };
        components.push(component.map_err(|refusal| refusal.or_at(format!("component {at}")))?);
    }
    let ids: BTreeSet<&str> = components.iter().map(|component| component.info.id.as_str()).collect();
    if ids.len() != components.len() {
        return Err(refuse("two components have one id"));
    }
    // SAFETY: the interface says that it is null or static text.
    let build_info = unsafe { text(module.build_info, "`build_info`") }.unwrap_or_default();
    Ok(CheckedModule { components, build_info, init: module.init })
}

/// # Safety
/// `table` must be null, or a component's static table of as many bytes as its `struct_size` says.
unsafe fn component(table: *const abi::Component) -> Verdict<Component> {
    if table.is_null() || !table.is_aligned() {
        return Err(refuse("its table lies nowhere"));
    }
    // SAFETY: every table begins with its size.
    let size = unsafe { (&raw const (*table).struct_size).read() } as usize;
    if size < abi::Component::LAYOUT.size {
        return Err(refuse("its table is too small")
            .expected(format!("{} bytes or more", abi::Component::LAYOUT.size))
            .got(size.to_string()));
    }
    // SAFETY: large enough, static, and never written.
    let table: &'static abi::Component = unsafe { &*table };
    // SAFETY: the interface says that its texts are static and end with NUL.
    let info = unsafe {
        let kinds = text(table.kinds, "`kinds`")?;
        ComponentInfo {
            id: text(table.id, "`id`")?,
            version: text(table.version, "`version`")?,
            kinds: kinds.split(',').map(|kind| kind.trim().to_owned()).collect(),
            config_schema: text(table.config_schema, "`config_schema`")?,
            flags: table.flags,
        }
    };
    if table.create.is_none() || table.destroy.is_none() || table.get_interface.is_none() {
        return Err(refuse("it lacks `create`, `destroy` or `get_interface`").at(&info.id));
    }
    Ok(Component { info, table })
}

/// Whether the module is what the manifest says.
///
/// # Errors
/// `Tables` with both sides.
pub fn agree(manifest: &Manifest, head: &Head, module: &CheckedModule) -> Verdict<()> {
    let built = format!("{}.{}", head.abi_major, head.abi_built_minor);
    if manifest.abi != built {
        return Err(refuse("manifest and library disagree on the interface").expected(&manifest.abi).got(built));
    }
    agree_on(manifest, module.components.iter().map(|one| &one.info))
}

/// As [`agree`], on the components alone. What a worker says of a library is held against the manifest too: its process
/// belongs to the plugin.
///
/// # Errors
/// `Tables`, with both sides.
pub fn agree_on<'a>(manifest: &Manifest, found: impl Iterator<Item = &'a ComponentInfo> + Clone) -> Verdict<()> {
    let declared: BTreeSet<(&str, Vec<&str>)> =
        manifest.component.iter().map(|one| (one.id.as_str(), sorted(&one.kinds))).collect();
    let other = found.clone().find(|one| one.version != manifest.version);
    let found: BTreeSet<(&str, Vec<&str>)> = found.map(|one| (one.id.as_str(), sorted(&one.kinds))).collect();
    if declared != found {
        return Err(refuse("manifest and library disagree on the components")
            .expected(format!("{declared:?}"))
            .got(format!("{found:?}")));
    }
    if let Some(other) = other {
        return Err(refuse("manifest and library disagree on the version")
            .at(&other.id)
            .expected(&manifest.version)
            .got(&other.version));
    }
    Ok(())
}

fn sorted(kinds: &[String]) -> Vec<&str> {
    let mut kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
    kinds.sort_unstable();
    kinds
}
