//! The panic hook of a plugin's own standard library: a line in the host's log instead of standard error.
//!
//! A library brings its own standard library, so the host's hook never hears of its panics. Installed by `export!`
//! only: a module that is compiled into another program must leave that program's hook alone.

use std::{panic, sync::Once};

use candor_plugin_abi as abi;

use crate::{Level, host, thunks};

/// `init` of a library: installs the hook.
///
/// # Safety
/// `host` must be a host's table.
pub unsafe extern "C-unwind" fn init_with_hook(host: *const abi::Host) -> i32 {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        panic::set_hook(Box::new(|info| {
            let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
            let payload = info.payload();
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let message = payload.downcast_ref::<&str>().copied().or(text).unwrap_or("no message");
            host::log(Level::Error, &format!("panic at {place}: {message}"));
        }));
    });
    // SAFETY: the caller's.
    unsafe { thunks::init(host) }
}
