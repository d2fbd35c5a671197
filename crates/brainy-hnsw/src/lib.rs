#![doc = include_str!("../README.md")]

mod check;
mod distance;
mod error;
mod graph;
mod hit;
mod index;
mod insert;
mod kernels;
mod level;
mod near;
mod options;
mod points;
mod remove;
mod scratch;
mod search;
mod walk;

pub use distance::{Distance, check_vector};
pub use error::Error;
pub use hit::Hit;
pub use index::Index;
pub use options::{MAX_DIMENSION, Options};
pub use search::DEFAULT_EF_SEARCH;
