//! What the store holds, and what one request does to it.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::{Bound, Range};

use brainy_core::ContentHash;
use brainy_storage::{Entry, Key, Object, Page, Precondition, Prefix, Revision};
use bytes::Bytes;

/// What is asked of the store, whatever the protocol it is asked in.
#[derive(Clone, Debug)]
pub enum Request {
    /// Reads an object.
    Get {
        /// The object.
        key: Key,
        /// Only these bytes; as [`brainy_storage::GetOptions::range`].
        range: Option<Range<u64>>,
        /// Only if it is no longer in this revision.
        if_changed_from: Option<Revision>,
    },
    /// Writes an object whole.
    Put {
        /// The object.
        key: Key,
        /// Its bytes.
        body: Bytes,
        /// Under which condition.
        condition: Precondition,
    },
    /// Lists keys in ascending order.
    List {
        /// Below this.
        prefix: Prefix,
        /// Above this.
        after: Option<Key>,
        /// At most so many.
        limit: NonZeroUsize,
    },
    /// Deletes objects, one request.
    Delete {
        /// The objects.
        keys: Vec<Key>,
    },
}

impl Request {
    /// The key or prefix it is about; of several the first.
    pub fn subject(&self) -> &str {
        match self {
            Self::Get { key, .. } | Self::Put { key, .. } => key.as_str(),
            Self::List { prefix, .. } => prefix.as_str(),
            Self::Delete { keys } => keys.first().map_or("", Key::as_str),
        }
    }

    /// Its name in traces.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Get { .. } => "GET",
            Self::Put { .. } => "PUT",
            Self::List { .. } => "LIST",
            Self::Delete { .. } => "DELETE",
        }
    }

    /// Whether it may change the store.
    pub const fn writes(&self) -> bool {
        matches!(self, Self::Put { .. } | Self::Delete { .. })
    }
}

/// What a request that reached the store came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// 200: the object, or the range of it.
    Found(Object),
    /// 304.
    NotModified,
    /// 404: no such object, also under an If-Match.
    Absent,
    /// 416: the range begins at the object's end or beyond.
    OutOfRange,
    /// 200: written, in this revision.
    Written(Revision),
    /// 412: the condition did not hold.
    Refused,
    /// 200: part of a listing.
    Listed(Page),
    /// 204.
    Deleted,
}

/// A bucket's content at one moment; cheap to keep.
#[derive(Clone, Debug, Default)]
pub struct Contents(BTreeMap<Key, (Bytes, Revision)>);

impl Contents {
    /// The newest slot of the log in it; 0 if there is none.
    pub fn tail(&self) -> u64 {
        let slots = self.0.keys().filter_map(|key| key.as_str().strip_prefix("log/")?.parse().ok());
        slots.max().unwrap_or(0)
    }
}

/// The objects. An ETag is a hash of the bytes, as in S3: equal bytes have equal ETags, so an overwritten object may come back to an old one.
#[derive(Debug, Default)]
pub struct Bucket {
    contents: Contents,
}

impl Bucket {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Does what is asked, at once and whole.
    pub fn execute(&mut self, request: &Request) -> Response {
        match request {
            Request::Get { key, range, if_changed_from } => self.get(key, range.as_ref(), if_changed_from.as_ref()),
            Request::Put { key, body, condition } => self.put(key, body, condition),
            Request::List { prefix, after, limit } => Response::Listed(self.list(prefix, after.as_ref(), *limit)),
            Request::Delete { keys } => {
                for key in keys {
                    self.contents.0.remove(key);
                }
                Response::Deleted
            }
        }
    }

    fn get(&self, key: &Key, range: Option<&Range<u64>>, if_changed_from: Option<&Revision>) -> Response {
        let Some((bytes, revision)) = self.contents.0.get(key) else { return Response::Absent };
        if if_changed_from == Some(revision) {
            return Response::NotModified;
        }
        let size = bytes.len() as u64;
        let part = match range {
            None => bytes.clone(),
            Some(range) if range.start >= range.end || range.start >= size => return Response::OutOfRange,
            Some(range) => {
                let place = |at: u64| usize::try_from(at).expect("a place in a buffer");
                bytes.slice(place(range.start)..place(range.end.min(size)))
            }
        };
        Response::Found(Object { bytes: part, revision: revision.clone(), size })
    }

    fn put(&mut self, key: &Key, body: &Bytes, condition: &Precondition) -> Response {
        let present = self.contents.0.get(key);
        match condition {
            Precondition::None => {}
            Precondition::IfAbsent if present.is_none() => {}
            Precondition::IfMatch(expected) => match present {
                Some((_, revision)) if revision == expected => {}
                Some(_) => return Response::Refused,
                None => return Response::Absent,
            },
            Precondition::IfAbsent => return Response::Refused,
        }
        let revision = etag(body);
        self.contents.0.insert(key.clone(), (body.clone(), revision.clone()));
        Response::Written(revision)
    }

    fn list(&self, prefix: &Prefix, after: Option<&Key>, limit: NonZeroUsize) -> Page {
        let start = prefix.start();
        let from = match after {
            Some(after) if after.as_str() >= start.as_str() => Bound::Excluded(after.as_str()),
            _ => Bound::Included(start.as_str()),
        };
        let mut found = self.contents.0.range::<str, _>((from, Bound::Unbounded)).take_while(|(key, _)| key.as_str().starts_with(&start));
        let entries = found.by_ref().take(limit.get()).map(|(key, (bytes, _))| Entry { key: key.clone(), size: bytes.len() as u64 });
        let entries = entries.collect();
        Page { entries, more: found.next().is_some() }
    }

    /// The object's bytes, for who stands outside of the simulated world.
    pub fn peek(&self, key: &Key) -> Option<Bytes> {
        self.contents.0.get(key).map(|(bytes, _)| bytes.clone())
    }

    /// The keys, for who stands outside.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.contents.0.keys()
    }

    /// What is there now.
    pub fn snapshot(&self) -> Contents {
        self.contents.clone()
    }

    /// Puts the bucket back to what it was, as restoring a backup does.
    pub fn roll_back(&mut self, contents: &Contents) {
        self.contents = contents.clone();
    }
}

/// The ETag of an object with these bytes.
fn etag(body: &[u8]) -> Revision {
    let hash = ContentHash::of(body);
    let mut text = String::with_capacity(34);
    text.push('"');
    for byte in &hash.as_bytes()[..16] {
        text.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
        text.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
    }
    text.push('"');
    Revision::new(text)
}
