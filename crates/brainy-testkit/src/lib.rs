//! brainy-testkit

mod fault;

pub use fault::{Fault, FaultStore, Faults, Lie, LyingStore};
