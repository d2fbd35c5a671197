//! Names of everything in a store: the only place that formats a key.

use brainy_core::{ContentHash, Nonce, SequenceNumber, WriterId};
use brainy_storage::{Key, Prefix};

use crate::garbage::{BlobName, ManifestName, SegmentName};
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

/// A folder of objects of one kind.
fn folder(name: &str) -> Prefix {
    Prefix::new(name).expect("a legal segment")
}

/// `blob`, the folder of all blobs.
pub(crate) fn blobs() -> Prefix {
    folder("blob")
}

/// The blob that `key` names; none for any other key.
pub(crate) fn blob_name(key: &Key) -> Option<BlobName> {
    let (batch, hash) = key.as_str().strip_prefix("blob/")?.rsplit_once('/')?;
    let batch = intent_name(&Key::new(format!("inbox/{batch}")).ok()?)?;
    let name = BlobName { batch, hash: ContentHash::from_hex(hash)? };
    (blob(batch.base, batch.writer, batch.wseq, name.hash) == *key).then_some(name)
}

/// `manifest`, the folder of all manifests.
pub(crate) fn manifests() -> Prefix {
    folder("manifest")
}

/// `manifest/{seq:020}-{token}-{hash}`.
pub(crate) fn manifest(name: &ManifestName) -> Key {
    key(format!("manifest/{:020}-{}-{}", name.seq, name.token, name.hash))
}

/// The manifest that `text` names; none for any other text.
pub(crate) fn manifest_name(text: &str) -> Option<ManifestName> {
    let mut parts = text.strip_prefix("manifest/")?.splitn(3, '-');
    let (seq, token, hash) = (parts.next()?, parts.next()?, parts.next()?);
    let name = ManifestName { seq: seq.parse().ok()?, token: token.parse().ok()?, hash: ContentHash::from_hex(hash)? };
    (manifest(&name).as_str() == text).then_some(name)
}

/// `segment`, the folder of all segments.
pub(crate) fn segments() -> Prefix {
    folder("segment")
}

/// `segment/{token}-{build}/{hash}`.
pub(crate) fn segment(name: &SegmentName) -> Key {
    key(format!("segment/{}-{}/{}", name.token, name.build, name.hash))
}

/// The segment that `text` names; none for any other text.
pub(crate) fn segment_name(text: &str) -> Option<SegmentName> {
    let (build, hash) = text.strip_prefix("segment/")?.split_once('/')?;
    let (token, build) = build.split_once('-')?;
    let name = SegmentName { token: token.parse().ok()?, build: Nonce::from_hex(build)?, hash: ContentHash::from_hex(hash)? };
    (segment(&name).as_str() == text).then_some(name)
}

/// `pin`, the folder of all pins.
pub(crate) fn pins() -> Prefix {
    folder("pin")
}

/// `pin/{reader}`. Each reader has a name of its own, which is never used again.
pub(crate) fn pin(reader: Nonce) -> Key {
    key(format!("pin/{reader}"))
}

/// `tag`, the folder of all tags.
pub(crate) fn tags() -> Prefix {
    folder("tag")
}

/// `tag/{name}`, of a name that [`is_name`](crate::protocol::is_name).
pub(crate) fn tag(name: &str) -> Key {
    key(format!("tag/{name}"))
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
    fn names_of_blobs_manifests_and_segments_read_back_and_no_other_text_is_taken_for_one() {
        let hash = ContentHash::of(b"object");
        let batch = IntentName { base: 7, writer: WriterId::from_bytes([0xa5; 16]), wseq: 3 };
        let key = blob(batch.base, batch.writer, batch.wseq, hash);
        assert_eq!(blob_name(&key), Some(BlobName { batch, hash }));
        for other in [key.as_str().replacen("blob", "inbox", 1), format!("{key}/1"), key.as_str().replacen("blob/0", "blob/", 1)] {
            assert_eq!(blob_name(&Key::new(&*other).unwrap()), None, "{other}");
        }
        let manifests = [(1, 9), (2, 1), (2, 10), (u64::MAX, 0)].map(|(seq, token)| ManifestName { seq, token, hash });
        for name in manifests {
            let text = manifest(&name).to_string();
            assert_eq!(manifest_name(&text), Some(name));
            for other in [
                text.replacen("manifest/0", "manifest/", 1),
                text.replace('-', "-0"),
                format!("{text}-"),
                text.replacen("manifest", "segment", 1),
            ] {
                assert!(manifest_name(&other).is_none() || other == text, "{other}");
            }
        }
        let name = SegmentName { token: 12, build: Nonce::from_bytes([3; 16]), hash };
        let text = segment(&name).to_string();
        assert_eq!(segment_name(&text), Some(name));
        assert_eq!([text.replacen("12", "012", 1), text.replace('/', "-"), format!("{text}/")].map(|text| segment_name(&text)), [None; 3]);
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
