//! The contract with storage.

use std::num::NonZeroUsize;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Key, Prefix, StoreError};

/// The store's own clock on one of its replies: milliseconds since 1970 (S3's `Date` has whole seconds).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreTime(u64);

impl StoreTime {
    /// So many milliseconds since 1970.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since 1970.
    pub const fn as_ms(self) -> u64 {
        self.0
    }
}

/// What one state of an object is called by its store: an ETag, a hash or a version. Opaque; it is only ever echoed. Equal content may
/// have equal revisions, at different times too.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Revision(std::sync::Arc<str>);

impl Revision {
    /// The revision that the store calls `text`.
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(std::sync::Arc::from(text.as_ref()))
    }

    /// The store's own text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A reply: what it says, and the store's time on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// What the reply says.
    pub value: T,
    /// The store's own time on the reply, where it has one.
    pub at: Option<StoreTime>,
}

impl<T> Answer<T> {
    /// A reply with the store's time on it.
    pub const fn new(value: T, at: Option<StoreTime>) -> Self {
        Self { value, at }
    }

    /// The same reply, saying something else.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Answer<U> {
        Answer { value: f(self.value), at: self.at }
    }
}

/// What every operation of a store returns.
pub type StoreResult<T> = Result<Answer<T>, StoreError>;

/// How an object is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GetOptions {
    /// Only these bytes; a range that ends beyond the object is cut. An empty range, or one that begins at the object's end or beyond, is an error of
    /// kind `Invalid`.
    pub range: Option<Range<u64>>,
    /// Only if the object is no longer in this revision.
    pub if_changed_from: Option<Revision>,
}

impl GetOptions {
    /// The whole object.
    pub const fn whole() -> Self {
        Self { range: None, if_changed_from: None }
    }

    /// Only these bytes.
    pub const fn range(range: Range<u64>) -> Self {
        Self { range: Some(range), if_changed_from: None }
    }

    /// The whole object, only if it is no longer in `revision`.
    pub const fn if_changed_from(revision: Revision) -> Self {
        Self { range: None, if_changed_from: Some(revision) }
    }
}

/// An object's bytes, or the range of them that was asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct Object {
    /// The bytes.
    pub bytes: Bytes,
    /// The revision they are of.
    pub revision: Revision,
    /// Size of the whole object in bytes.
    pub size: u64,
}

/// Shows sizes only: contents must not reach logs.
impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Object({} of {} bytes, {:?})", self.bytes.len(), self.size, self.revision)
    }
}

/// What a read found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Get {
    /// The object.
    Found(Object),
    /// It is still in the revision that was named; no body was sent.
    NotModified,
    /// There is no such object at this moment.
    Absent,
}

/// Under which condition an object is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Always: for names that only their writer uses.
    None,
    /// Only if no such object exists.
    IfAbsent,
    /// Only if it exists in this revision.
    IfMatch(Revision),
}

/// How a write ended.
#[derive(Clone, Debug)]
pub enum Outcome<T = Revision> {
    /// It took effect.
    Committed(T),
    /// The condition did not hold; nothing was written, nor will it be.
    Rejected,
    /// It may have taken effect, or may still: the reply was lost. [`create`](crate::create) and [`swap`](crate::swap) find out.
    Unknown(StoreError),
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The object.
    pub key: Key,
    /// Its size in bytes.
    pub size: u64,
}

/// Part of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Objects in ascending order of their keys' bytes.
    pub entries: Vec<Entry>,
    /// Whether there may be more after the last.
    pub more: bool,
}

/// What a store can do beyond the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Replies carry the store's time.
    pub has_time: bool,
    /// A listing shows every write and delete that ended before it began.
    pub linearizable_list: bool,
    /// Other processes can open the same objects.
    pub shared: bool,
}

impl Capabilities {
    /// None of them.
    pub const fn none() -> Self {
        Self { has_time: false, linearizable_list: false, shared: false }
    }
}

/// Objects under keys, with conditional writes. What brainy asks of a bucket, a directory or memory.
///
/// Implementations promise: a `Get` sees every write that ended before it began; of several conditional writes racing for one object exactly one
/// is committed per state; an object is seen whole or not at all; a write that ended is durable. `conformance` (feature `conformance`)
/// checks what can be checked from outside, `probe` refuses a store that ignores conditions.
///
/// Futures may be dropped at any point; a dropped write may still take effect.
#[async_trait]
pub trait Store: std::fmt::Debug + Send + Sync + 'static {
    /// Reads an object.
    ///
    /// # Errors
    /// [`StoreError`]; an absent object is [`Get::Absent`], not an error.
    async fn get(&self, key: &Key, options: GetOptions) -> StoreResult<Get>;

    /// Writes `body` whole, under a condition. A conditional write is sent once, never repeated by the store's client on its own.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written, nor will be. Doubt is not an error but [`Outcome::Unknown`].
    async fn put(&self, key: &Key, body: Bytes, precondition: Precondition) -> StoreResult<Outcome>;

    /// Up to `limit` objects below `prefix` whose keys come after `after`, in ascending order of bytes.
    ///
    /// # Errors
    /// [`StoreError`]; an empty listing is not an error.
    async fn list(&self, prefix: &Prefix, after: Option<&Key>, limit: NonZeroUsize) -> StoreResult<Page>;

    /// Deletes an object; an absent one is no fault.
    ///
    /// # Errors
    /// [`StoreError`]; the object may or may not be gone.
    async fn delete(&self, key: &Key) -> StoreResult<()>;

    /// Deletes several objects; absent ones are no fault.
    ///
    /// # Errors
    /// [`StoreError`]; any of them may or may not be gone.
    async fn delete_many(&self, keys: &[Key]) -> StoreResult<()> {
        let mut at = None;
        for key in keys {
            at = self.delete(key).await?.at;
        }
        Ok(Answer::new((), at))
    }

    /// Where the store is, for people: a URL without credentials.
    fn location(&self) -> String;

    /// What it can do beyond the contract.
    fn capabilities(&self) -> Capabilities;

    /// Makes sure that what was just read from `prefix` survives a power cut, before an acknowledgement rests on it. A bucket has nothing to do;
    /// a directory syncs the folder.
    ///
    /// # Errors
    /// [`StoreError`]: what was read may be taken back by a power cut.
    async fn settle(&self, prefix: &Prefix) -> Result<(), StoreError> {
        let _ = prefix;
        Ok(())
    }
}
