//! The library of `candor-plugin-sampled`, in one line. It knows nothing else.

candor_plugin_sdk::export!(candor_plugin_sampled::MODULE);
