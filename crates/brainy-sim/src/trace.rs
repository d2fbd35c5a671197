//! The hash of everything that happened: equal runs have equal traces.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a run did, as a hash of every event, and in words where somebody wants to read it.
#[derive(Debug, Default)]
pub struct Trace(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    hash: u64,
    events: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one event.
    pub fn event(&self, parts: &[u64]) {
        let mut inner = self.lock();
        inner.events += 1;
        for part in parts {
            inner.hash = (inner.hash.rotate_left(23) ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    /// Keeps words for people from now on.
    pub fn keep_words(&self) {
        self.lock().lines.get_or_insert_default();
    }

    /// Adds words for people, if they are kept. They are no part of the hash.
    pub fn note(&self, words: impl FnOnce() -> String) {
        let mut inner = self.lock();
        if let Some(lines) = &mut inner.lines {
            lines.push(words());
        }
    }

    /// The hash of all events so far.
    pub fn hash(&self) -> u64 {
        self.lock().hash
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.lock().events
    }

    /// Takes the words that were kept.
    pub fn take_words(&self) -> Vec<String> {
        self.lock().lines.as_mut().map(std::mem::take).unwrap_or_default()
    }
}

/// A short hash of `bytes` for traces (FNV-1a).
pub(crate) fn short_hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
