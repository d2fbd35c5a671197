use serde::{Deserialize, Serialize};

use crate::ContentHash;

/// An order-free hash of a set: adding and removing elements in any order gives the same value.
///
/// The sum of the elements' BLAKE3 hashes, read as four little-endian 64-bit lanes, each modulo 2⁶⁴. It shows accidental difference;
/// it is no proof against somebody who can choose elements.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SetHash([u64; 4]);

impl SetHash {
    /// The hash of the empty set.
    pub const EMPTY: Self = Self([0; 4]);

    /// Takes `element` in.
    pub fn insert(&mut self, element: &ContentHash) {
        for (lane, word) in self.0.iter_mut().zip(lanes(element)) {
            *lane = lane.wrapping_add(word);
        }
    }

    /// Takes `element` out; it must have been taken in before.
    pub fn remove(&mut self, element: &ContentHash) {
        for (lane, word) in self.0.iter_mut().zip(lanes(element)) {
            *lane = lane.wrapping_sub(word);
        }
    }

    /// The value as bytes, lane after lane, little-endian.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (chunk, lane) in bytes.chunks_exact_mut(8).zip(self.0) {
            chunk.copy_from_slice(&lane.to_le_bytes());
        }
        bytes
    }
}

fn lanes(element: &ContentHash) -> [u64; 4] {
    let mut lanes = [0; 4];
    for (lane, chunk) in lanes.iter_mut().zip(element.as_bytes().chunks_exact(8)) {
        *lane = u64::from_le_bytes(chunk.try_into().expect("chunks of eight bytes"));
    }
    lanes
}

impl std::fmt::Display for SetHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        ContentHash::from_bytes(self.to_bytes()).fmt(f)
    }
}

impl std::fmt::Debug for SetHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}…", self.0[0].swap_bytes())
    }
}
