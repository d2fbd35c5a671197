#![doc = include_str!("../README.md")]

mod clock;
mod fault;
mod latency;
#[cfg(feature = "s3-endpoint")]
pub mod s3_endpoint;

pub use clock::ManualClock;
pub use fault::{Fault, FaultStore, Faults, Lie, LyingStore};
pub use latency::{Latencies, Latency, LatencyStore};
