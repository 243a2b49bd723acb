//! Explanations over a version and components of the test's own.
//!
//! | module | what it tries |
//! |---|---|
//! | `fake` | the version: a linear classifier of two classes; components that follow the contract, and some that do not |
//! | `asking` | questions and answers, and what is refused |
//! | `keeping` | what is kept: components, backgrounds, summaries |
//! | `waiting` | threads, queue, deadline, cancellation |
//! | `numbers` | tensors to numbers and back, players, targets |

mod asking;
mod fake;
mod keeping;
mod numbers;
mod waiting;
