//! The library of `candor-plugin-tokenizer`, in one line. It knows nothing else.

candor_plugin_sdk::export!(candor_plugin_tokenizer::MODULE);
