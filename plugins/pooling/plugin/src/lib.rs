//! The library of `candor-plugin-pooling`, in one line. It knows nothing else.

candor_plugin_sdk::export!(candor_plugin_pooling::MODULE);
