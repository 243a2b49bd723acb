//! Insight judges: it says why a version answered as it did.
//!
//! Before it: a door with a version that it holds. After it: nothing but what it found out. It knows versions by a trait
//! of its own ([`explanations::Subject`]) and components by the domain's; no plugin, no engine, no wire format.
//!
//! | module | what it does |
//! |---|---|
//! | [`explanations`] | why a version answered: shares of features in an answer |

pub mod explanations;
