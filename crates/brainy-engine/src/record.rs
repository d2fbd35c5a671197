//! An item together with its share of the digest.

use std::sync::Arc;

use brainy_core::{ContentHash, Noun, Vector, Verb, VerbDraft, Version};

/// An item of the state, and the element of the digest's set that stands for it.
#[derive(Debug)]
pub(crate) struct Record<T> {
    pub(crate) item: T,
    pub(crate) element: ContentHash,
}

/// What nouns and verbs have in common.
pub(crate) trait Item {
    fn vector(&self) -> Option<&Vector>;
    fn version(&self) -> Version;
    fn id(&self) -> &str;
}

impl Item for Noun {
    fn vector(&self) -> Option<&Vector> {
        self.vector.as_ref()
    }

    fn version(&self) -> Version {
        self.version
    }

    fn id(&self) -> &str {
        self.id.as_str()
    }
}

impl Item for Verb {
    fn vector(&self) -> Option<&Vector> {
        self.vector.as_ref()
    }

    fn version(&self) -> Version {
        self.version
    }

    fn id(&self) -> &str {
        self.id.as_str()
    }
}

impl Record<Noun> {
    /// `fingerprint`: of the content bytes.
    pub(crate) fn noun(item: Noun, fingerprint: u128) -> Arc<Self> {
        let element = element(NOUN, item.version, [item.created_ms, item.updated_ms], fingerprint);
        Arc::new(Self { item, element })
    }
}

impl Record<Verb> {
    /// `fingerprint`: of the content bytes.
    pub(crate) fn verb(item: Verb, fingerprint: u128) -> Arc<Self> {
        let element = element(VERB, item.version, [item.created_ms, item.updated_ms], fingerprint);
        Arc::new(Self { item, element })
    }

    /// Whether `draft` would leave everything but version and times as it is.
    pub(crate) fn has_content_of(&self, draft: &VerbDraft) -> bool {
        self.item.content_bytes() == draft.content_bytes()
    }
}

const NOUN: u8 = 1;
const VERB: u8 = 2;

/// Everything replicas must agree on goes in: id and content, and also the times, which they read from the log. 57 bytes, one block of BLAKE3.
fn element(what: u8, version: Version, times_ms: [u64; 2], fingerprint: u128) -> ContentHash {
    let Version { epoch, seq, ordinal } = version;
    let mut bytes = [0; 57];
    bytes[0] = what;
    let numbers = [epoch.get().into(), seq.get(), ordinal.into(), times_ms[0], times_ms[1]];
    for (place, number) in bytes[1..41].chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    bytes[41..].copy_from_slice(&fingerprint.to_le_bytes());
    ContentHash::of(&bytes)
}

#[cfg(test)]
mod tests {
    use brainy_core::{Epoch, NounDraft, NounId, SequenceNumber, TypeName, codec};

    use super::*;

    #[test]
    fn the_element_of_an_item_is_what_the_format_says() {
        let draft = NounDraft::new(NounId::new("a").unwrap(), TypeName::new("t").unwrap());
        let version = Version { epoch: Epoch::new(1), seq: SequenceNumber::new(2).unwrap(), ordinal: 3 };
        let record = Record::noun(Noun::from_draft(&draft, version, 4, 5), codec::fingerprint(&draft.content_bytes()));
        let mut bytes = vec![1];
        [1_u64, 2, 3, 4, 5].iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        bytes.extend(codec::fingerprint(&draft.content_bytes()).to_le_bytes());
        assert_eq!(record.element, ContentHash::of(&bytes));
        assert_eq!(record.element.to_string(), "4fc1713a97ddf1a9e59b9e52637040a73b2934e8f828400d9d90e52954138904");
    }
}
