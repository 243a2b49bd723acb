//! Tests of the reader: graphs made by hand, hostile bytes, and the sample models.

mod build;
mod corpus;
mod digest;
mod external;
mod extract;
mod extract_svm;
mod hostile;
mod samples;
mod view;
mod ways;
