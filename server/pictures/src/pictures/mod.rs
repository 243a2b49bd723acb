//! The pictures: each a function from values and a [`Style`](crate::Style) to a whole SVG.
//!
//! Every picture names itself for who does not see it (`role="img"`, `<title>`, `<desc>`). They do not know each other.

mod waterfall;

pub use waterfall::waterfall;
