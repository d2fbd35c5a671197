//! Names of everything in a store: the only place that formats a key.

use brainy_core::{ContentHash, SequenceNumber, WriterId};
use brainy_storage::{Key, Prefix};

fn key(text: String) -> Key {
    Key::new(text).expect("every key made here has legal segments")
}

/// `brainy.json`: what makes a folder a store.
pub(crate) fn descriptor() -> Key {
    key("brainy.json".into())
}

/// `ctl/head`.
pub(crate) fn head() -> Key {
    key("ctl/head".into())
}

/// `log`, the folder of all slots.
pub(crate) fn log() -> Prefix {
    Prefix::new("log").expect("a legal segment")
}

/// `log/{seq:020}`.
pub(crate) fn slot(seq: SequenceNumber) -> Key {
    key(format!("log/{:020}", seq.get()))
}

/// The slot that `key` names; none for any other key.
pub(crate) fn slot_number(key: &Key) -> Option<SequenceNumber> {
    let digits = key.as_str().strip_prefix("log/")?;
    if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    SequenceNumber::new(digits.parse().ok()?)
}

/// `blob/{base:020}/{writer}/{wseq:020}/{hash}`.
pub(crate) fn blob(base: u64, writer: WriterId, wseq: u64, hash: ContentHash) -> Key {
    key(format!("blob/{base:020}/{writer}/{wseq:020}/{hash}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slot_keys_sort_as_their_numbers_and_read_back() {
        let numbers = [1, 9, 10, 99, 1 << 40, u64::MAX].map(|n| SequenceNumber::new(n).unwrap());
        let keys = numbers.map(slot);
        assert!(keys.is_sorted(), "{keys:?}");
        assert_eq!(keys.each_ref().map(slot_number), numbers.map(Some));
        for other in ["log/1", "log/00000000000000000000", "log/0000000000000000000a", "blob/00000000000000000001"] {
            assert_eq!(slot_number(&Key::new(other).unwrap()), None, "{other}");
        }
    }
}
