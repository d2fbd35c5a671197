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

    /// The value that [`Self::to_bytes`] made of it.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(lanes(&ContentHash::from_bytes(bytes)))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn element(number: u64) -> ContentHash {
        ContentHash::of(&number.to_le_bytes())
    }

    proptest! {
        #[test]
        fn only_the_set_counts_not_the_way_to_it(mut numbers in prop::collection::btree_set(any::<u64>(), 1..20), others in prop::collection::vec(any::<u64>(), 0..20)) {
            let mut forward = SetHash::EMPTY;
            numbers.iter().for_each(|number| forward.insert(&element(*number)));
            let mut around = SetHash::EMPTY;
            others.iter().for_each(|number| around.insert(&element(*number)));
            numbers.iter().rev().for_each(|number| around.insert(&element(*number)));
            prop_assert!(others.is_empty() || forward != around);
            others.iter().for_each(|number| around.remove(&element(*number)));
            prop_assert_eq!(forward, around);
            prop_assert_eq!(SetHash::from_bytes(forward.to_bytes()), forward);

            let first = numbers.pop_first().unwrap();
            around.remove(&element(first));
            prop_assert_ne!(forward, around);
        }
    }

    #[test]
    fn an_empty_set_and_a_known_one_have_their_values() {
        assert_eq!(SetHash::EMPTY.to_bytes(), [0; 32]);
        let mut one = SetHash::EMPTY;
        one.insert(&element(1));
        assert_eq!(one.to_bytes(), *element(1).as_bytes());
        assert_eq!(one.to_string(), element(1).to_string());
        assert!(one.to_string().starts_with(format!("{one:?}").trim_end_matches('…')));
        one.insert(&element(1));
        one.remove(&element(1));
        one.remove(&element(1));
        assert_eq!(one, SetHash::EMPTY);
    }
}
