//! A store over somebody else's `ObjectStore`.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use brainy_core::ErrorKind;
use brainy_storage::{
    Answer, Entry, Get, GetOptions, Key, Object, Operation, Outcome, Page, Precondition, Prefix, Revision, StoreError, StoreResult,
};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{Error, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion};

use crate::store::path;

/// Stands between ETag and version in a revision, where a store has both; no ETag holds it.
const SEPARATOR: char = '\n';

/// Somebody's store, and where we are in it.
pub(crate) struct Foreign {
    store: Arc<dyn ObjectStore>,
    prefix: String,
}

/// Shows where it is; a stranger's own `Debug` may show anything.
impl std::fmt::Debug for Foreign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Foreign({})", self.location())
    }
}

impl Foreign {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, prefix: &str) -> Result<Self, StoreError> {
        match Path::parse(prefix) {
            Ok(path) if path.as_ref() == prefix => Ok(Self { store, prefix: prefix.to_owned() }),
            _ => Err(StoreError::new(
                ErrorKind::Invalid,
                Operation::Open,
                "an ObjectStore",
                "prefix: it is no path without slashes at its ends",
            )),
        }
    }

    pub(crate) fn location(&self) -> String {
        format!("object-store://{}", self.prefix)
    }

    fn path(&self, key: &Key) -> Path {
        path(&self.prefix, key.as_str())
    }

    pub(crate) async fn get(&self, key: &Key, options: GetOptions) -> StoreResult<Get> {
        if let Some(range) = options.range.as_ref().filter(|range| range.start >= range.end) {
            let reason = format!("bytes {}..{} are none", range.start, range.end);
            return Err(StoreError::new(ErrorKind::Invalid, Operation::Get, key, reason));
        }
        let path = self.path(key);
        let get = object_store::GetOptions {
            range: options.range.clone().map(GetRange::Bounded),
            if_none_match: options.if_changed_from.as_ref().map(|revision| condition(revision).0.unwrap_or_default()),
            ..object_store::GetOptions::default()
        };
        let found = async {
            let found = self.store.get_opts(&path, get).await?;
            let (size, revision) = (found.meta.size, revision(found.meta.e_tag.as_deref(), found.meta.version.as_deref()));
            Ok((found.bytes().await?, size, revision))
        };
        let value = match found.await {
            Ok((bytes, size, Some(revision))) => Get::Found(Object { bytes, revision, size }),
            Ok((_, _, None)) => {
                return Err(StoreError::new(ErrorKind::Unsupported, Operation::Get, key, "the store gives objects no ETag"));
            }
            Err(Error::NotFound { .. }) => Get::Absent,
            Err(Error::NotModified { .. }) => Get::NotModified,
            Err(error) => {
                if let Some(range) = &options.range
                    && let Ok(meta) = self.store.head(&path).await
                    && meta.size <= range.start
                {
                    let reason = format!("bytes {}..{} of an object of {} bytes are none", range.start, range.end, meta.size);
                    return Err(StoreError::new(ErrorKind::Invalid, Operation::Get, key, reason));
                }
                return Err(failure(Operation::Get, key, &error));
            }
        };
        Ok(Answer::new(value, None))
    }

    pub(crate) async fn put(&self, key: &Key, body: Bytes, precondition: Precondition) -> StoreResult<Outcome> {
        let mode = match &precondition {
            Precondition::None => PutMode::Overwrite,
            Precondition::IfAbsent => PutMode::Create,
            Precondition::IfMatch(revision) => {
                let (e_tag, version) = condition(revision);
                PutMode::Update(UpdateVersion { e_tag, version })
            }
        };
        let path = self.path(key);
        let options = PutOptions { mode, ..PutOptions::default() };
        let error = match self.store.put_opts(&path, PutPayload::from_bytes(body.clone()), options).await {
            Ok(result) => {
                let unnamed =
                    || Outcome::Unknown(StoreError::new(ErrorKind::Unsupported, Operation::Put, key, "the store gives objects no ETag"));
                let outcome = revision(result.e_tag.as_deref(), result.version.as_deref()).map_or_else(unnamed, Outcome::Committed);
                return Ok(Answer::new(outcome, None));
            }
            Err(error) => error,
        };
        let failure = failure(Operation::Put, key, &error);
        let outcome = match (&precondition, &error) {
            // `object_store` calls a 409 "already exists" although nothing may: only what is there makes it a refusal.
            (Precondition::IfAbsent, Error::AlreadyExists { .. } | Error::Precondition { .. }) => match self.store.head(&path).await {
                Ok(_) => Outcome::Rejected,
                Err(_) => Outcome::Unknown(failure),
            },
            // A client that repeats requests loses to itself: a refusal where our own bytes lie is none.
            (Precondition::IfMatch(_), Error::Precondition { .. }) => match self.bytes(&path).await {
                Ok(bytes) if bytes != body => Outcome::Rejected,
                Err(Error::NotFound { .. }) => Outcome::Rejected,
                Ok(_) | Err(_) => Outcome::Unknown(failure),
            },
            (Precondition::IfMatch(_), Error::NotFound { .. }) => Outcome::Rejected,
            (_, Error::NotSupported { .. } | Error::NotImplemented { .. } | Error::InvalidPath { .. })
            | (_, Error::PermissionDenied { .. } | Error::Unauthenticated { .. } | Error::NotFound { .. }) => return Err(failure),
            _ => Outcome::Unknown(failure),
        };
        Ok(Answer::new(outcome, None))
    }

    async fn bytes(&self, path: &Path) -> Result<Bytes, Error> {
        self.store.get(path).await?.bytes().await
    }

    pub(crate) async fn list(&self, prefix: &Prefix, after: Option<&Key>, limit: NonZeroUsize) -> StoreResult<Page> {
        let root = if self.prefix.is_empty() { 0 } else { self.prefix.len() + 1 };
        let folder = match (self.prefix.as_str(), prefix.as_str()) {
            ("", "") => None,
            ("", below) => Some(path("", below)),
            (below, "") => Some(path("", below)),
            (root, below) => Some(path(root, below)),
        };
        let mut listing = match after {
            Some(after) => self.store.list_with_offset(folder.as_ref(), &self.path(after)),
            None => self.store.list(folder.as_ref()),
        };
        // The smallest ones, and one more that tells whether there are more.
        let mut smallest = BTreeMap::new();
        while let Some(meta) = listing.next().await {
            let meta = meta.map_err(|error| failure(Operation::List, prefix, &error))?;
            let Some(Ok(key)) = meta.location.as_ref().get(root..).map(Key::new) else { continue };
            if after.is_none_or(|after| *after < key) {
                smallest.insert(key, meta.size);
                if smallest.len() > limit.get() + 1 {
                    smallest.pop_last();
                }
            }
        }
        let more = smallest.len() > limit.get();
        let entries = smallest.into_iter().take(limit.get()).map(|(key, size)| Entry { key, size }).collect();
        Ok(Answer::new(Page { entries, more }, None))
    }

    pub(crate) async fn delete(&self, key: &Key) -> StoreResult<()> {
        match self.store.delete(&self.path(key)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(Answer::new((), None)),
            Err(error) => Err(failure(Operation::Delete, key, &error)),
        }
    }

    pub(crate) async fn delete_many(&self, keys: &[Key]) -> StoreResult<()> {
        let paths: Vec<_> = keys.iter().map(|key| Ok(self.path(key))).collect();
        let mut deleting = self.store.delete_stream(stream::iter(paths).boxed());
        loop {
            match deleting.try_next().await {
                Ok(Some(_)) | Err(Error::NotFound { .. }) => {}
                Ok(None) => return Ok(Answer::new((), None)),
                Err(error) => return Err(failure(Operation::Delete, format!("{} keys", keys.len()), &error)),
            }
        }
    }
}

fn revision(etag: Option<&str>, version: Option<&str>) -> Option<Revision> {
    let etag = etag?;
    Some(match version {
        Some(version) => Revision::new(format!("{etag}{SEPARATOR}{version}")),
        None => Revision::new(etag),
    })
}

fn condition(revision: &Revision) -> (Option<String>, Option<String>) {
    match revision.as_str().split_once(SEPARATOR) {
        Some((etag, version)) => (Some(etag.to_owned()), Some(version.to_owned())),
        None => (Some(revision.as_str().to_owned()), None),
    }
}

/// The stranger's error by its kind alone: its text may hold a signed URL or a body.
fn failure(operation: Operation, subject: impl std::fmt::Display, error: &Error) -> StoreError {
    let (kind, reason) = match error {
        Error::NotFound { .. } => (ErrorKind::NotFound, "the store or bucket does not exist"),
        Error::InvalidPath { .. } => (ErrorKind::Invalid, "the store does not take such a path"),
        Error::NotSupported { .. } | Error::NotImplemented { .. } => (ErrorKind::Unsupported, "the store does not do that"),
        Error::PermissionDenied { .. } => (ErrorKind::Unavailable, "not permitted"),
        Error::Unauthenticated { .. } => (ErrorKind::Invalid, "the store knows nobody by these credentials"),
        Error::AlreadyExists { .. } => (ErrorKind::Unavailable, "refused as existing, which does not tell whose it is"),
        Error::Precondition { .. } => (ErrorKind::Conflict, "a condition did not hold"),
        _ => (ErrorKind::Unavailable, "the store failed; its own message is not repeated, since it may hold a secret"),
    };
    StoreError::new(kind, operation, subject, reason)
}
