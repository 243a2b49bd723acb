//! Explanations at the door: serving holds the version, insight explains on it, and here the two meet.
//!
//! | module | what it does |
//! |---|---|
//! | `subject` | a version that is held, as insight sees it |
//! | `ask` | what is asked, beside the rows |
//! | `codec` | a prediction that is to be explained |
//! | `what_if` | counterfactuals |
//! | `anchors` | rules that hold an answer |
//! | `compare` | two versions on the same rows |
//! | `global` | what a model does over many rows: a job |
//! | `pictures` | all of it for the eye: SVG and HTML |
//! | `write` | what is answered |
//! | `schema` | the documented shapes of what is asked |

pub(crate) mod anchors;
mod ask;
mod codec;
mod compare;
mod global;
pub(crate) mod pictures;
mod schema;
mod subject;
pub(crate) mod what_if;
mod write;

pub use anchors::{AnchorsBody, AnchorsQuestionBody};
pub(crate) use ask::{Asked, MEMBERS, Own, of_body, of_query, placed};
pub(crate) use codec::{ExplainedCodec, Predicted};
pub(crate) use compare::{COMPARE, compare, versions};
pub use compare::{CompareBody, ComparisonBody};
pub use global::GlobalBody;
pub(crate) use global::{GLOBAL, GLOBAL_KIND, GlobalJob, Parts};
pub use schema::ExplainBody;
pub(crate) use schema::{PictureParameters, PredictParameters, ResultParameters};
pub(crate) use subject::Held;
pub use what_if::{CounterfactualsBody, WhatIfBody};
pub(crate) use write::Beside;
pub use write::ExplanationBody;
