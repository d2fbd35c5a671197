use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Mutex, PoisonError};

use crate::near::Near;

/// What one walk needs and the next one can use again.
#[derive(Default)]
pub(crate) struct Scratch {
    /// The number of the walk that last saw each node; so that a new walk starts without clearing.
    stamps: Vec<u32>,
    walk: u32,
    /// Seen and not yet expanded, nearest on top.
    pub(crate) candidates: BinaryHeap<Reverse<Near>>,
    /// The nearest found, farthest on top.
    pub(crate) found: BinaryHeap<Near>,
    /// The neighbours of the node at hand that were not seen before.
    pub(crate) fresh: Vec<u32>,
}

impl Scratch {
    /// Forgets the walk before; nodes up to `slots` may be seen.
    pub(crate) fn begin(&mut self, slots: usize) {
        self.candidates.clear();
        self.found.clear();
        if self.stamps.len() < slots {
            self.stamps.resize(slots, 0);
        }
        self.walk = match self.walk.checked_add(1) {
            Some(walk) => walk,
            None => {
                self.stamps.fill(0);
                1
            }
        };
    }

    /// Whether this walk sees the node for the first time.
    #[inline]
    pub(crate) fn see(&mut self, node: u32) -> bool {
        let stamp = &mut self.stamps[node as usize];
        let first = *stamp != self.walk;
        *stamp = self.walk;
        first
    }

    /// What was found, nearest first.
    pub(crate) fn take_found(&mut self) -> Vec<Near> {
        let mut found: Vec<Near> = self.found.drain().collect();
        found.sort_unstable();
        found
    }

    fn memory_bytes(&self) -> usize {
        (self.stamps.capacity() + self.fresh.capacity()) * size_of::<u32>()
            + (self.candidates.capacity() + self.found.capacity()) * size_of::<Near>()
    }
}

/// Scratches between walks: as many as there were walks at once, up to [`Self::KEPT`].
#[derive(Default)]
pub(crate) struct Pool(Mutex<Vec<Scratch>>);

impl Pool {
    /// How many idle ones are kept.
    const KEPT: usize = 64;

    /// Lends one to `walk`. If that panics, the scratch is gone with it and the pool is whole.
    pub(crate) fn with<T>(&self, walk: impl FnOnce(&mut Scratch) -> T) -> T {
        let mut scratch = self.idle().pop().unwrap_or_default();
        let result = walk(&mut scratch);
        let mut idle = self.idle();
        if idle.len() < Self::KEPT {
            idle.push(scratch);
        }
        result
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.idle().iter().map(Scratch::memory_bytes).sum()
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Scratch>> {
        // Nothing that can panic runs while the lock is held, so a poisoned list is a whole one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_walk_sees_the_stamps_of_another_even_when_the_counter_wraps() {
        let mut scratch = Scratch::default();
        for walk in [0, u32::MAX, 1, u32::MAX - 1, u32::MAX] {
            scratch.walk = walk;
            scratch.begin(3);
            assert!(scratch.see(2), "after walk {walk}");
            assert!(!scratch.see(2));
            assert!(scratch.see(0));
        }
    }
}
