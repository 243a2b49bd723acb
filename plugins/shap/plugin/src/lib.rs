//! The library of `candor-plugin-shap`, in one line. It knows nothing else.

candor_plugin_sdk::export!(candor_plugin_shap::MODULE);
