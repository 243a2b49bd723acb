//! Hands a verified copy to the system's loader, and never takes it back.
//!
//! All symbols are resolved at once, or the load fails cleanly; none is seen by other libraries; and nothing is ever
//! unloaded, because threads and thread-locals of a plugin may outlive any moment at which it seemed unused. After it
//! come the tables. It does not know why a library is trusted.
#![allow(unsafe_code, reason = "loading runs a library's constructors, and its symbol is believed to be a module")]

use std::path::Path;

use candor_plugin_abi as abi;
use libloading::os::unix::{self, RTLD_LOCAL, RTLD_NOW};

use crate::refusal::{Reason, Refusal, Verdict};

/// From glibc's and musl's `dlfcn.h`.
#[cfg(target_os = "linux")]
const RTLD_NODELETE: i32 = 0x1000;
#[cfg(not(target_os = "linux"))]
compile_error!("plugins are loaded on Linux only: the flags of other loaders have not been tried");

/// A module of a loaded library. It stays for as long as the process lives.
#[derive(Clone, Copy)]
pub struct Loaded(&'static abi::Module);

impl Loaded {
    /// The module's table; its size has not been checked against the file.
    pub fn module(self) -> &'static abi::Module {
        self.0
    }
}

/// Loads a library that has been verified: digest, place, versions and needs. Its constructors run here, and not
/// before.
///
/// # Errors
/// `Loader` with what the system's loader said.
pub fn load(path: &Path) -> Verdict<Loaded> {
    let refuse = |what: String| Refusal::new(Reason::Loader, what);
    // SAFETY: constructors run now. That is what the operator allowed by pinning this digest.
    let library = unsafe { unix::Library::open(Some(path), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) };
    let library = library.map_err(|error| {
        let said = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        refuse(format!("the system's loader refused the library: {said}"))
            .hint("everything that it uses must be in it, or in a library of the system")
    })?;
    // SAFETY: the symbol is an object with the head of a module: its bytes were read from this very file.
    let module = unsafe { library.get::<*const abi::Module>(abi::MODULE_SYMBOL.as_bytes()) };
    let module: *const abi::Module = match &module {
        Ok(symbol) => symbol.clone().as_raw_ptr().cast_const().cast(),
        Err(error) => return Err(refuse(format!("the loaded library has no module: {error}"))),
    };
    // Never closed, see above.
    let _ = library.into_raw();
    if module.is_null() || !module.is_aligned() {
        return Err(refuse("the loaded library's module lies nowhere".to_owned()));
    }
    // SAFETY: not null, aligned, static, and at least as large as its head said, which negotiation has checked.
    Ok(Loaded(unsafe { &*module }))
}
