//! What the crate promises from outside, one binary.

mod conditional;
mod conformance;
mod metered;
mod model;
mod probe;
#[cfg(unix)]
mod processes;
mod secrets;
mod support;
