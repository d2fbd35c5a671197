//! An item together with its share of the digest.

use std::sync::Arc;

use brainy_core::{ContentHash, Noun, Vector, Verb, VerbDraft, Version, codec};

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
    pub(crate) fn noun(item: Noun) -> Arc<Self> {
        let element = element(b"noun", item.version, item.created_ms, item.updated_ms, &item.content_bytes());
        Arc::new(Self { item, element })
    }
}

impl Record<Verb> {
    pub(crate) fn verb(item: Verb) -> Arc<Self> {
        let element = element(b"verb", item.version, item.created_ms, item.updated_ms, &item.content_bytes());
        Arc::new(Self { item, element })
    }

    /// Whether `draft` would leave everything but version and times as it is.
    pub(crate) fn has_content_of(&self, draft: &VerbDraft) -> bool {
        self.item.content_bytes() == draft.content_bytes()
    }
}

/// Everything replicas must agree on goes in: id and content, and also the times, which they read from the log.
fn element(what: &[u8], version: Version, created_ms: u64, updated_ms: u64, content: &[u8]) -> ContentHash {
    ContentHash::of_parts(&[what, &codec::encode(&(version, created_ms, updated_ms)), content])
}
