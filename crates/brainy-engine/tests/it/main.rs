//! What the state machine guarantees, held against plain maps.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking, as the test does")]

mod apply;
mod confirm;
mod drive;
mod hostile;
mod oracle;
mod reads;
mod rules;
mod search;
mod snapshot;
