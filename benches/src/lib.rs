#![doc = include_str!("../README.md")]

mod items;
mod random;
mod recall;
mod share;
mod spread;
mod vectors;

pub use items::{noun, payload, put, small_noun};
pub use random::Random;
pub use recall::{DISTINCT_TOLERANCE, recall};
pub use share::{COUNTER, RAISE_EVERY, Share, counter, work};
pub use spread::{Spread, percentile};
pub use vectors::{DIMENSION, Vectors};
