//! temp

pub mod matrix;
pub mod refusal;
pub mod trees;
