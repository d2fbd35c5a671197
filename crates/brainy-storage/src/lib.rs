#![doc = include_str!("../README.md")]

pub mod conditional;
mod error;
mod key;
#[cfg(unix)]
mod local;
mod memory;
mod range;
mod store;

pub use conditional::{Created, Standing, Swapped, create, swap};
pub use error::{Operation, StoreError};
pub use key::{Key, KeyError, MAX_KEY_BYTES, MAX_SEGMENT_BYTES, Prefix};
#[cfg(unix)]
pub use local::{LocalOptions, LocalStore};
pub use memory::InMemoryStore;
pub use store::{
    Answer, Capabilities, Entry, Get, GetOptions, Object, Outcome, Page, Precondition, Revision, Store, StoreResult, StoreTime,
};
