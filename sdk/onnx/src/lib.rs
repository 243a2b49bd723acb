//! The ONNX reader of the house: bounded reading, a view of the graph, and nothing of the server.
//!
//! [`Model::read`] first walks the bytes and counts ([`Limits`]), then decodes, then checks what readers
//! rely on; whatever the file says, memory stays a small multiple of its size and nothing panics. Engines,
//! `candor model scan` and plugins use it. It does not run models.
//!
//! | module | what it does |
//! |---|---|
//! | `survey` | the first pass: counts and bounds, before anything is allocated |
//! | `read`, `model`, `graph`, `order` | from messages to a model whose names are found in constant time |
//! | `tensor`, `types` | typed views of weights; types and shapes |
//! | [`extract`] | tree ensembles, linear models and SVMs as flat arrays |
//! | `external`, `digest` | weights in other files: only within the model's folder; sha256 over all that is used |
//! | [`scan`] | what a file could do to the machine that loads it |
//! | `walk` | over everything, at any depth |

mod digest;
mod error;
mod external;
pub mod extract;
mod graph;
mod limits;
mod model;
mod order;
mod proto;
mod read;
pub mod scan;
mod survey;
mod tensor;
#[cfg(test)]
mod tests;
mod types;
mod walk;

pub use digest::ContentDigest;
pub use error::{Error, ErrorKind, Result, quoted};
pub use external::{External, Folder, SafePath};
pub use graph::{Attribute, Graph, Node, Origin};
pub use limits::{Census, Limits};
pub use model::{Function, Model, Opsets};
/// The bytes of files and strings: cheap slices of one allocation.
pub use prost::bytes::Bytes;
pub use tensor::{Element, SparseTensor, Tensor, Typed};
pub use types::{DataType, Dim, ValueInfo, ValueType};
