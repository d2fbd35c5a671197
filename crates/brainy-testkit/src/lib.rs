//! brainy-testkit

mod fault;
#[cfg(feature = "s3-endpoint")]
pub mod s3_endpoint;

pub use fault::{Fault, FaultStore, Faults, Lie, LyingStore};
