//! The library of `candor-plugin-ensemble`, in one line. It knows nothing else.

candor_plugin_sdk::export!(candor_plugin_ensemble::MODULE);
