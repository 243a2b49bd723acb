//! Reports: a page of HTML about one decision, and one about a model, for the people that they concern.
//!
//! | module | what is there |
//! |---|---|
//! | [`data`] | what a report is made of |
//! | `decision` | what the model said, why, what would have changed it, how sure, how to contest it, from what |
//! | `model` | what matters, how each feature moves the model, what it says when one is set, from what |
//! | `page` | the page itself |
//!
//! A page is whole: no script, no font and no address from elsewhere; it prints, follows the reader's light or dark, and
//! has a table for each picture. It does not know who asks.

pub mod data;

mod decision;
mod model;
mod page;
mod shared;

pub use decision::decision_report;
pub use model::model_report;
pub use page::POLICY;
