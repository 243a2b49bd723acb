//! The macros: a module's table, its export, a version and a schema as text that ends with NUL.
//!
//! They only put together what `thunks` builds.

/// Defines `pub static MODULE`: what an algorithm's crate offers. Kinds and types, separated by commas.
///
/// ```ignore
/// module!(predictor Scale, transform Center);
/// ```
#[macro_export]
macro_rules! module {
    ($($kind:ident $component:ty),+ $(,)?) => {
        /// What this crate offers to a host.
        pub static MODULE: $crate::abi::Module = {
            static COMPONENTS: &[&$crate::abi::Component] =
                &[$(&const { $crate::raw::component::<$crate::raw::maps::$kind<$component>>() }),+];
            $crate::raw::module(COMPONENTS)
        };
    };
}

/// Exports a module from a shim crate (`crate-type = ["cdylib"]`), with a panic hook that writes to the host's log.
///
/// ```ignore
/// candor_plugin_sdk::export!(algorithm::MODULE);
/// ```
#[macro_export]
macro_rules! export {
    ($module:path) => {
        /// What the host looks for.
        #[allow(non_upper_case_globals, reason = "the interface's name for it")]
        #[unsafe(no_mangle)]
        pub static candor_module_v1: $crate::abi::Module =
            $crate::abi::Module { init: Some($crate::raw::init_with_hook), ..$module };
    };
}

/// The version of the crate that is being compiled.
#[macro_export]
macro_rules! version {
    () => {
        $crate::c_text!(::core::env!("CARGO_PKG_VERSION"))
    };
}

/// A JSON Schema from a file beside the source.
///
/// ```ignore
/// const CONFIG_SCHEMA: &CStr = schema!("../schema.json");
/// ```
#[macro_export]
macro_rules! schema {
    ($file:literal) => {
        $crate::c_text!(::core::include_str!($file))
    };
}

/// A text known at compile time, with NUL at its end.
#[doc(hidden)]
#[macro_export]
macro_rules! c_text {
    ($text:expr) => {
        const {
            match ::core::ffi::CStr::from_bytes_with_nul(::core::concat!($text, "\0").as_bytes()) {
                Ok(text) => text,
                Err(_) => ::core::panic!("the text has a NUL in it"),
            }
        }
    };
}
