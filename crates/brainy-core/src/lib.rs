#![doc = include_str!("../README.md")]

mod error;
mod metric;

pub use error::ErrorKind;
pub use metric::Metric;
