//! The library of `candor-plugin-image`, in one line. It knows nothing else.

candor_plugin_sdk::export!(candor_plugin_image::MODULE);
