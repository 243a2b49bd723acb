//! The native API on the wire: rows of named features in, labels, probabilities and values out.
//!
//! Cells go straight from the body into typed buffers, and predictions straight into one buffer. What a
//! feature is and what an output means, serving knows; here is only how they are written.
//!
//! | module | what it does |
//! |---|---|
//! | `negotiate` | which version of the API the caller wants |
//! | `predict` | one prediction: body to tensors, tensors to reply |
//! | `table` | a table in any of its forms to tensors |
//! | `body`, `head`, `cells` | a JSON body of rows or columns; what stands beside them; one value |
//! | `lines`, `csv` | bodies of CSV and JSON Lines; the records of CSV |
//! | `reply` | predictions by row |
//! | `paging` | which page of a list |
//! | `plugins`, `jobs`, `backgrounds` | each as it is shown |
//! | `catalog` | what models, versions, features and outputs are |
//! | `batching` | how requests of a version are put together |
//! | `breaker`, `faults` | breakers as they are shown; faults as they are ordered |
//! | `parts` | what a version is made of |
//! | `check` | what a second engine says to a version |
//! | `typed` | the API document of one model |
//! | `schema` | the documented shapes of predict bodies |

mod backgrounds;
mod batching;
mod body;
mod breaker;
mod catalog;
mod cells;
mod check;
mod csv;
mod faults;
mod head;
mod jobs;
mod lines;
mod negotiate;
mod paging;
mod parts;
mod plugins;
mod predict;
mod reply;
mod schema;
mod table;
mod typed;

pub use backgrounds::{BackgroundBody, BackgroundList};
pub use batching::BatchingBody;
pub(crate) use body::{ColumnsSeed, Layout, Reading, RowSeed, RowsSeed, locate};
pub use breaker::BreakerBody;
pub use catalog::{Described, ModelDescription};
pub(crate) use catalog::{Listing, ModelList, ModelSummary, VersionList, VersionSummary, summaries};
pub(crate) use cells::ValueSeed;
pub(crate) use faults::{FaultList, FaultOrders, FaultState, read as read_faults};
pub(crate) use head::{Head, shown};
pub(crate) use jobs::JobListing;
pub use jobs::{JobBody, JobList};
pub(crate) use lines::{Lines, first_line, read_csv, read_json_lines};
pub(crate) use negotiate::{HTML, MEDIA_TYPE, SVG, View, accepted, accepted_view};
pub(crate) use paging::Page;
pub use parts::OriginBody;
pub(crate) use plugins::{PluginBody, PluginList, PluginListing};
pub(crate) use predict::{Form, PredictCodec, PredictReply};
pub(crate) use reply::write_predictions;
pub(crate) use schema::EngineBody;
pub use schema::{PredictBody, PredictReplyBody};
pub(crate) use table::{Beside, ReadTable, read_table};
pub(crate) use typed::document;

#[cfg(test)]
mod tests;
