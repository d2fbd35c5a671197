#![doc = include_str!("../README.md")]

mod error;
mod options;
mod hit;
mod kernels;
mod distance;
mod near;
mod level;
mod points;
mod graph;
mod scratch;
mod walk;
mod index;
mod insert;
mod remove;
mod search;
mod check;

pub use distance::{Distance, check_vector};
pub use error::Error;
pub use hit::Hit;
pub use index::Index;
pub use options::{MAX_DIMENSION, Options};
pub use search::DEFAULT_EF_SEARCH;
