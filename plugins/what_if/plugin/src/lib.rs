//! The library of `candor-plugin-what-if`, in one line. It knows nothing else.

candor_plugin_sdk::export!(candor_plugin_what_if::MODULE);
