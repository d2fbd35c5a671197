#![doc = include_str!("../README.md")]

mod bucket;
mod clock;
mod fast_store;
mod fault;
mod random;
mod scheduler;
mod trace;
mod wire;

pub use bucket::{Bucket, Contents, Request, Response};
pub use clock::ProcessClock;
pub use fast_store::FastStore;
pub use fault::{Fault, Faults, KeyKind, Matrix};
pub use random::Random;
pub use scheduler::{Actor, End, Life, ProcessId, Scheduler};
pub use trace::Trace;
pub use wire::{Delivered, Latencies, Reply, Sent, Wire};
