//! LIME for tables: a line fitted to the model around a row.
//!
//! Ribeiro, Singh and Guestrin, "Why Should I Trust You?", KDD 2016, with the defaults of the package `lime`. Before it
//! comes the background, whose statistics are perturbed; after it whoever writes an answer. It does not know the model.
//!
//! | module | what it does |
//! |---|---|
//! | [`normal`] | normal numbers between bounds |
//! | [`space`] | bins, values and spreads of the background |
//! | [`neighbours`] | rows drawn from them |
//! | [`fit`] | ridge regressions and which features take part |
//! | [`surrogate`] | weights by distance, and the line of a row |

pub mod fit;
pub mod neighbours;
pub mod normal;
pub mod space;
pub mod surrogate;

pub use fit::{Line, Selection};
pub use neighbours::{Neighbours, draw};
pub use space::{Column, Cut, Space};
pub use surrogate::{Local, Settings, View, explain};
