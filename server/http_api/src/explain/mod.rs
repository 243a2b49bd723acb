//! Explanations at the door: serving holds the version, insight explains on it, and here the two meet.
//!
//! | module | what it does |
//! |---|---|
//! | `subject` | a version that is held, as insight sees it |
//! | `ask` | what is asked, beside the rows |
//! | `codec` | a prediction that is to be explained |
//! | `write` | what is answered |
//! | `schema` | the documented shapes of what is asked |

mod ask;
mod codec;
mod schema;
mod subject;
mod write;

pub(crate) use ask::{MEMBERS, of_body, of_query, placed};
pub(crate) use codec::{ExplainedCodec, Predicted};
pub use schema::ExplainBody;
pub(crate) use schema::PredictParameters;
pub(crate) use subject::Held;
pub(crate) use write::Beside;
pub use write::ExplanationBody;
