//! The library of `candor-example-center`, in one line. It knows nothing else.

candor_plugin_sdk::export!(candor_example_center::MODULE);
