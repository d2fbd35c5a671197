#![doc = include_str!("../README.md")]

mod client;
mod foreign;
mod note;
mod noted;
mod options;
#[cfg(feature = "simulation")]
pub mod simulation;
mod store;
mod transport;
mod verdict;

pub use object_store;

pub use options::{AccessKey, S3Options};
pub use store::S3Store;
