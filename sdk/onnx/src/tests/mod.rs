//! Tests of the reader: graphs made by hand, hostile bytes, and the sample models.

mod build;
mod external;
mod hostile;
mod samples;
mod view;
