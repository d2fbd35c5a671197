#![doc = include_str!("../README.md")]

mod error;
mod key;
mod store;

pub use error::{Operation, StoreError};
pub use key::{Key, KeyError, MAX_KEY_BYTES, Prefix};
pub use store::{
    Answer, Capabilities, Entry, Get, GetOptions, Object, Outcome, Page, Precondition, Revision, Store, StoreResult, StoreTime,
};
