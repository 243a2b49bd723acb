//! Control acts: it does what was ordered, when it is time.
//!
//! Before it: doors that hand in work. After it: whoever asks what came of it. It knows time as a value, and nothing of
//! models, doors or what a piece of work is about.
//!
//! | module | what it does |
//! |---|---|
//! | [`jobs`] | work that takes longer than a request waits, in memory |

pub mod jobs;
