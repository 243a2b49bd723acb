//! Explanations over a version and components of the test's own.
