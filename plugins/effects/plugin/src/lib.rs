//! The library of `candor-plugin-effects`, in one line. It knows nothing else.

candor_plugin_sdk::export!(candor_plugin_effects::MODULE);
