#![doc = include_str!("../README.md")]

pub mod conditional;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod key;
#[cfg(unix)]
mod local;
mod memory;
mod metered;
mod probe;
mod race;
mod range;
mod store;

pub use conditional::{Created, Standing, Swapped, create, swap};
pub use error::{Operation, StoreError};
pub use key::{Key, KeyError, MAX_KEY_BYTES, MAX_SEGMENT_BYTES, Prefix};
#[cfg(unix)]
pub use local::{LocalOptions, LocalStore};
pub use memory::InMemoryStore;
pub use metered::{Count, DOLLARS_PER_MILLION_READS, DOLLARS_PER_MILLION_WRITES, Metered, Usage};
pub use probe::{MAX_PROBE_REQUESTS, ProbeError, ProbeReport, probe};
pub use store::{
    Answer, Capabilities, Entry, Get, GetOptions, Object, Outcome, Page, Precondition, Revision, Store, StoreResult, StoreTime,
};
