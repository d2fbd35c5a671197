//! Names of everything in a store: the only place that formats a key.

use brainy_core::{ContentHash, SequenceNumber, WriterId};
use brainy_storage::{Key, Prefix};

use crate::helping::IntentName;

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

/// `lease/{name}`, for a name that [`is_name`](crate::protocol::is_name) allows.
pub(crate) fn lease(name: &str) -> Key {
    key(format!("lease/{name}"))
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

/// `inbox`, the folder of all intents.
pub(crate) fn inbox() -> Prefix {
    Prefix::new("inbox").expect("a legal segment")
}

/// `inbox/{base:020}/{writer}/{wseq:020}`.
pub(crate) fn intent(name: &IntentName) -> Key {
    key(format!("inbox/{:020}/{}/{:020}", name.base, name.writer, name.wseq))
}

/// The intent that `key` names; none for any other key.
pub(crate) fn intent_name(key: &Key) -> Option<IntentName> {
    let mut parts = key.as_str().strip_prefix("inbox/")?.split('/');
    let (base, writer, wseq) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let name = IntentName { base: base.parse().ok()?, writer: WriterId::from_hex(writer)?, wseq: wseq.parse().ok()? };
    // Only the one text that names it: no second key of one intent.
    (intent(&name) == *key).then_some(name)
}

/// `blob/{base:020}/{writer}/{wseq:020}/{hash}`.
pub(crate) fn blob(base: u64, writer: WriterId, wseq: u64, hash: ContentHash) -> Key {
    key(format!("blob/{base:020}/{writer}/{wseq:020}/{hash}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intent_keys_sort_by_base_writer_and_number_and_read_back() {
        let name = |base, writer, wseq| IntentName { base, writer: WriterId::from_bytes([writer; 16]), wseq };
        let names = [name(0, 0xff, 9), name(2, 0x0a, 10), name(2, 0xa0, 1), name(2, 0xa0, 2), name(10, 0, 1)];
        assert!(names.is_sorted());
        let keys = names.map(|name| intent(&name));
        assert!(keys.is_sorted(), "{keys:?}");
        assert_eq!(keys.each_ref().map(intent_name), names.map(Some));
        let legal = keys[0].as_str();
        for other in [format!("{legal}/1"), legal.replacen("inbox/0", "inbox/", 1), legal.replace("inbox", "blob")] {
            assert_eq!(intent_name(&Key::new(&*other).unwrap()), None, "{other}");
        }
    }

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
