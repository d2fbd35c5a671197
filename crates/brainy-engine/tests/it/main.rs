//! What the state machine guarantees, held against plain maps.

mod apply;
mod drive;
mod hostile;
mod oracle;
mod reads;
mod rules;
mod search;
mod snapshot;
