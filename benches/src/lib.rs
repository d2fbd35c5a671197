#![doc = include_str!("../README.md")]

mod contention;
mod items;
mod random;
mod recall;
mod share;
mod spread;
mod tally;
mod vectors;

pub use contention::{Contest, Contested, Protocol, contest};
pub use items::{METADATA_BYTES, measured_noun, noun, payload, put, small_noun};
pub use random::Random;
pub use recall::{DISTINCT_TOLERANCE, recall};
pub use share::{COUNTER, RAISE_EVERY, Share, counter, work};
pub use spread::{Spread, percentile};
pub use tally::{Counted, Tally};
pub use vectors::{DIMENSION, Vectors};
