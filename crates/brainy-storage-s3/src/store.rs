//! The store.

use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;
use brainy_core::ErrorKind;
use brainy_storage::{
    Answer, Capabilities, Entry, Get, GetOptions, Key, Object, Operation, Outcome, Page, Precondition, Prefix, Revision, Store, StoreError,
    StoreResult,
};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::StatusCode;
use object_store::aws::AmazonS3;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path;
use object_store::{GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion};

use crate::S3Options;
use crate::client::Clients;
use crate::foreign::Foreign;
use crate::note::{Note, Seen};
use crate::verdict;

/// Most keys in one listing reply or one bulk delete, a limit of S3.
const PAGE: usize = 1000;
/// Most replies without a single key of ours that one listing reads past.
const EMPTY_PAGES: usize = 1000;

/// A [`Store`] in a bucket.
///
/// Opening makes no request. Requests need a tokio runtime with time and I/O enabled around them: whoever polls the store's futures must be inside one.
#[derive(Debug)]
pub struct S3Store(Backend);

#[derive(Debug)]
enum Backend {
    Own(Box<Bucket>),
    Foreign(Foreign),
}

impl S3Store {
    /// A store with these options.
    ///
    /// # Errors
    /// As [`S3Options::validate`]; kind `Unavailable` if the endpoint is `https` and the system's root certificates cannot be read.
    pub fn open(options: S3Options) -> Result<Self, StoreError> {
        let clients = Clients::new(&options)?;
        Ok(Self::with_clients(options, clients))
    }

    pub(crate) fn with_clients(options: S3Options, clients: Clients) -> Self {
        Self(Backend::Own(Box::new(Bucket { options, clients })))
    }

    /// The store that [`S3Options::from_url`] and the process's `AWS_*` variables describe.
    ///
    /// # Errors
    /// As [`S3Options::from_url`], [`S3Options::with_environment`] and [`S3Store::open`].
    pub fn open_url(url: &str) -> Result<Self, StoreError> {
        Self::open(S3Options::from_url(url)?.with_environment()?)
    }

    /// A store over somebody else's `ObjectStore`, below `prefix` (without slashes at its ends; empty for all of it).
    ///
    /// **Its client must not repeat requests on its own** (`RetryConfig { max_retries: 0, .. }`): a repeated conditional write can lose to itself, and
    /// of that nothing is told here. The replies have no store time; a refusal is read back before it is believed, which costs a request; listings
    /// read everything after their start, since not every `ObjectStore` lists in order.
    ///
    /// # Errors
    /// Kind `Invalid`: `prefix` is no path.
    pub fn from_object_store(store: Arc<dyn ObjectStore>, prefix: &str) -> Result<Self, StoreError> {
        Foreign::new(store, prefix).map(|foreign| Self(Backend::Foreign(foreign)))
    }
}

#[async_trait]
impl Store for S3Store {
    async fn get(&self, key: &Key, options: GetOptions) -> StoreResult<Get> {
        match &self.0 {
            Backend::Own(bucket) => {
                needs_runtime(Operation::Get, key)?;
                bucket.get(key, options).await
            }
            Backend::Foreign(foreign) => foreign.get(key, options).await,
        }
    }

    async fn put(&self, key: &Key, body: Bytes, precondition: Precondition) -> StoreResult<Outcome> {
        match &self.0 {
            Backend::Own(bucket) => {
                needs_runtime(Operation::Put, key)?;
                bucket.put(key, body, precondition).await
            }
            Backend::Foreign(foreign) => foreign.put(key, body, precondition).await,
        }
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>, limit: NonZeroUsize) -> StoreResult<Page> {
        match &self.0 {
            Backend::Own(bucket) => {
                needs_runtime(Operation::List, prefix)?;
                bucket.list(prefix, after, limit).await
            }
            Backend::Foreign(foreign) => foreign.list(prefix, after, limit).await,
        }
    }

    async fn delete(&self, key: &Key) -> StoreResult<()> {
        match &self.0 {
            Backend::Own(bucket) => {
                needs_runtime(Operation::Delete, key)?;
                bucket.delete(key).await
            }
            Backend::Foreign(foreign) => foreign.delete(key).await,
        }
    }

    async fn delete_many(&self, keys: &[Key]) -> StoreResult<()> {
        match &self.0 {
            Backend::Own(bucket) => {
                needs_runtime(Operation::Delete, &bucket.options.location())?;
                bucket.delete_many(keys).await
            }
            Backend::Foreign(foreign) => foreign.delete_many(keys).await,
        }
    }

    fn location(&self) -> String {
        match &self.0 {
            Backend::Own(bucket) => bucket.options.location(),
            Backend::Foreign(foreign) => foreign.location(),
        }
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::none();
        capabilities.shared = true;
        let own = matches!(self.0, Backend::Own(_));
        capabilities.has_time = own;
        // S3 has listed consistently since December 2020; of a stranger's store nothing is known.
        capabilities.linearizable_list = own;
        capabilities
    }
}

/// Connections are driven by tokio: outside of it nothing can be sent.
fn needs_runtime(operation: Operation, subject: &dyn std::fmt::Display) -> Result<(), StoreError> {
    match tokio::runtime::Handle::try_current() {
        Ok(_) => Ok(()),
        Err(_) => Err(StoreError::new(ErrorKind::Invalid, operation, subject, "it was asked outside a tokio runtime; nothing was sent")),
    }
}

/// A bucket through clients of our own.
struct Bucket {
    options: S3Options,
    clients: Clients,
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.options.fmt(f)
    }
}

impl Bucket {
    fn path(&self, key: &Key) -> Path {
        path(&self.options.prefix, key.as_str())
    }

    fn error(&self, operation: Operation, subject: impl std::fmt::Display, seen: &Seen) -> StoreError {
        verdict::of(operation, subject, &self.options.bucket, seen)
    }

    async fn get(&self, key: &Key, options: GetOptions) -> StoreResult<Get> {
        if let Some(range) = options.range.as_ref().filter(|range| range.start >= range.end) {
            let reason = format!("bytes {}..{} are none", range.start, range.end);
            return Err(StoreError::new(ErrorKind::Invalid, Operation::Get, key, reason));
        }
        let client: &AmazonS3 = if options.range.is_some() { &self.clients.bulk } else { &self.clients.coordination };
        let get = object_store::GetOptions {
            range: options.range.map(GetRange::Bounded),
            if_none_match: options.if_changed_from.map(|revision| revision.as_str().to_owned()),
            ..object_store::GetOptions::default()
        };
        let path = self.path(key);
        let (result, seen) = Note::during(async {
            let found = client.get_opts(&path, get).await?;
            let (size, etag) = (found.meta.size, found.meta.e_tag.clone());
            let expected = found.range.end - found.range.start;
            Ok::<_, object_store::Error>((found.bytes().await?, expected, size, etag))
        })
        .await;
        let value = match (result, seen.status()) {
            (Ok((bytes, expected, size, Some(etag))), _) if bytes.len() as u64 == expected => {
                Get::Found(Object { bytes, revision: Revision::new(etag), size })
            }
            (Ok((_, _, _, None)), _) => {
                let error = StoreError::new(ErrorKind::Unsupported, Operation::Get, key, "the server gives objects no ETag");
                return Err(error.at(seen.at));
            }
            (_, Some(StatusCode::NOT_MODIFIED)) => Get::NotModified,
            (_, Some(StatusCode::NOT_FOUND)) if seen.code() != Some("NoSuchBucket") => Get::Absent,
            _ => return Err(self.error(Operation::Get, key, &seen)),
        };
        Ok(Answer::new(value, seen.at))
    }

    async fn put(&self, key: &Key, body: Bytes, precondition: Precondition) -> StoreResult<Outcome> {
        let (client, mode) = match &precondition {
            Precondition::None => (&self.clients.bulk, PutMode::Overwrite),
            Precondition::IfAbsent => (&self.clients.coordination, PutMode::Create),
            Precondition::IfMatch(revision) => {
                let etag = revision.as_str();
                let etag = if self.options.unquoted_etags { etag.trim_matches('"') } else { etag };
                (&self.clients.coordination, PutMode::Update(UpdateVersion { e_tag: Some(etag.to_owned()), version: None }))
            }
        };
        let path = self.path(key);
        let options = PutOptions { mode, ..PutOptions::default() };
        let (result, seen) = Note::during(client.put_opts(&path, PutPayload::from_bytes(body), options)).await;
        if let Ok(object_store::PutResult { e_tag: Some(etag), .. }) = result {
            return Ok(Answer::new(Outcome::Committed(Revision::new(etag)), seen.at));
        }
        let outcome = verdict::of_put(key.as_str(), &self.options.bucket, &precondition, &seen)?;
        Ok(Answer::new(outcome, seen.at))
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>, limit: NonZeroUsize) -> StoreResult<Page> {
        let folder = folder(&self.options.prefix, prefix);
        let root = if self.options.prefix.is_empty() { 0 } else { self.options.prefix.len() + 1 };
        let mut page = Page::default();
        let mut offset = after.map(|after| self.path(after).as_ref().to_owned());
        let mut token = None;
        // Each reply brings the listing forward or is one of the few empty ones.
        for _ in 0..limit.get().div_ceil(PAGE) + EMPTY_PAGES {
            let wanted = (limit.get() - page.entries.len()).min(PAGE);
            let options = PaginatedListOptions {
                offset: offset.clone(),
                max_keys: Some(wanted),
                page_token: token.take(),
                ..PaginatedListOptions::default()
            };
            let (result, seen) = Note::during(self.clients.coordination.list_paginated(Some(&folder), options)).await;
            let Ok(reply) = result else { return Err(self.error(Operation::List, prefix, &seen)) };
            // MinIO sometimes calls a full page the last one although more follows, so a full page never counts as the last.
            let more = reply.page_token.is_some() || reply.result.objects.len() >= wanted;
            match reply.result.objects.last() {
                Some(last) => offset = Some(last.location.as_ref().to_owned()),
                None => token = reply.page_token,
            }
            for meta in reply.result.objects {
                // What is no key of ours was put there by strangers.
                let Some(Ok(key)) = meta.location.as_ref().get(root..).map(Key::new) else { continue };
                if page.entries.last().map(|entry| &entry.key).or(after).is_some_and(|before| *before >= key) {
                    let reason = "the server does not list keys in ascending order after the one that was named";
                    return Err(StoreError::new(ErrorKind::Unsupported, Operation::List, prefix, reason).at(seen.at));
                }
                page.entries.push(Entry { key, size: meta.size });
            }
            page.more = more || page.entries.len() > limit.get();
            page.entries.truncate(limit.get());
            if !more || page.entries.len() == limit.get() {
                return Ok(Answer::new(page, seen.at));
            }
        }
        Err(StoreError::new(ErrorKind::Unavailable, Operation::List, prefix, "the listing does not end"))
    }

    async fn delete(&self, key: &Key) -> StoreResult<()> {
        let path = self.path(key);
        let (result, seen) = Note::during(self.clients.coordination.delete(&path)).await;
        let absent = seen.status() == Some(StatusCode::NOT_FOUND) && seen.code() != Some("NoSuchBucket");
        if result.is_err() && !absent {
            return Err(self.error(Operation::Delete, key, &seen));
        }
        Ok(Answer::new((), seen.at))
    }

    async fn delete_many(&self, keys: &[Key]) -> StoreResult<()> {
        let mut at = None;
        for keys in keys.chunks(PAGE) {
            let paths: Vec<_> = keys.iter().map(|key| Ok(self.path(key))).collect();
            let deleting = self.clients.bulk.delete_stream(stream::iter(paths).boxed()).try_for_each(|_| std::future::ready(Ok(())));
            let (result, seen) = Note::during(deleting).await;
            if result.is_err() {
                let subject = format!("{} keys from {} on", keys.len(), keys[0]);
                if seen.status().is_some_and(|status| status.is_success()) {
                    let reason = "the server refused some of them";
                    return Err(StoreError::new(ErrorKind::Unavailable, Operation::Delete, subject, reason).at(seen.at));
                }
                return Err(self.error(Operation::Delete, subject, &seen));
            }
            at = seen.at;
        }
        Ok(Answer::new((), at))
    }
}

/// Where `name` lies below the folder `root`.
pub(crate) fn path(root: &str, name: &str) -> Path {
    let whole = if root.is_empty() { name.to_owned() } else { format!("{root}/{name}") };
    Path::parse(whole).expect("both parts were checked, and a key's alphabet needs no escapes")
}

/// What the keys below `prefix` begin with: empty or with a slash at its end.
fn folder(root: &str, prefix: &Prefix) -> String {
    [root, prefix.as_str()].iter().filter(|part| !part.is_empty()).map(|part| format!("{part}/")).collect()
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::AccessKey;

    #[test]
    fn a_call_outside_a_runtime_is_an_error_and_no_panic() {
        let options = S3Options::new("bucket").with_access_key(AccessKey::new("id", "secret"));
        let store = S3Store::open(options).unwrap();
        let key = Key::new("log/1").unwrap();
        let mut get = store.get(&key, GetOptions::whole());
        let Poll::Ready(Err(error)) = get.as_mut().poll(&mut Context::from_waker(Waker::noop())) else { panic!("it waits") };
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains("runtime"), "{error}");
    }
}
