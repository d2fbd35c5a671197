//! What a store is asked, counted.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Capabilities, Get, GetOptions, Key, Outcome, Page, Precondition, Prefix, Store, StoreError, StoreResult};

/// Dollars for a million PUT or LIST requests: S3 Standard's list price in us-east-1, read in 2026.
pub const DOLLARS_PER_MILLION_WRITES: f64 = 5.0;
/// Dollars for a million GET requests: S3 Standard's list price in us-east-1, read in 2026. Deletions are free.
pub const DOLLARS_PER_MILLION_READS: f64 = 0.4;

/// Requests of one operation by how they ended, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Count {
    /// A get that found the object, a put that took effect, a listing, a deletion.
    pub done: u64,
    /// A get of what has not changed.
    pub not_modified: u64,
    /// A get that found nothing.
    pub absent: u64,
    /// A put whose condition did not hold.
    pub rejected: u64,
    /// A put whose reply was lost.
    pub unknown: u64,
    /// Anything that ended in an error.
    pub errors: u64,
    /// Bytes of bodies sent.
    pub bytes_up: u64,
    /// Bytes of bodies received; of a listing, the bytes of its keys.
    pub bytes_down: u64,
}

impl Count {
    /// All requests, however they ended.
    pub const fn requests(&self) -> u64 {
        self.done + self.not_modified + self.absent + self.rejected + self.unknown + self.errors
    }

    fn since(&self, earlier: &Self) -> Self {
        Self {
            done: self.done.saturating_sub(earlier.done),
            not_modified: self.not_modified.saturating_sub(earlier.not_modified),
            absent: self.absent.saturating_sub(earlier.absent),
            rejected: self.rejected.saturating_sub(earlier.rejected),
            unknown: self.unknown.saturating_sub(earlier.unknown),
            errors: self.errors.saturating_sub(earlier.errors),
            bytes_up: self.bytes_up.saturating_sub(earlier.bytes_up),
            bytes_down: self.bytes_down.saturating_sub(earlier.bytes_down),
        }
    }
}

/// What was asked of a store up to some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Reads.
    pub get: Count,
    /// Writes, conditional or not.
    pub put: Count,
    /// Listings.
    pub list: Count,
    /// Deletions; one of several objects is one request.
    pub delete: Count,
}

impl Usage {
    /// What was asked after `earlier`, a snapshot of the same counters.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            get: self.get.since(&earlier.get),
            put: self.put.since(&earlier.put),
            list: self.list.since(&earlier.list),
            delete: self.delete.since(&earlier.delete),
        }
    }

    /// All requests.
    pub const fn requests(&self) -> u64 {
        self.get.requests() + self.put.requests() + self.list.requests() + self.delete.requests()
    }

    /// What the requests cost in dollars at S3's list prices; storage and traffic are not in it.
    pub fn dollars(&self) -> f64 {
        let writes = (self.put.requests() + self.list.requests()) as f64;
        (writes * DOLLARS_PER_MILLION_WRITES + self.get.requests() as f64 * DOLLARS_PER_MILLION_READS) / 1e6
    }
}

/// A table of four lines under a heading, and the price.
impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<8}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>14}{:>14}",
            "", "requests", "done", "same", "absent", "rejected", "unknown", "errors", "bytes up", "bytes down"
        )?;
        for (name, count) in [("get", &self.get), ("put", &self.put), ("list", &self.list), ("delete", &self.delete)] {
            writeln!(
                f,
                "{:<8}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>14}{:>14}",
                name,
                count.requests(),
                count.done,
                count.not_modified,
                count.absent,
                count.rejected,
                count.unknown,
                count.errors,
                count.bytes_up,
                count.bytes_down
            )?;
        }
        write!(f, "${:.6} at S3's list prices", self.dollars())
    }
}

/// A store that counts what it is asked. Clones count together. A request whose future is dropped before its reply is counted as unknown if it was
/// a put, else as an error.
#[derive(Debug)]
pub struct Metered<S: ?Sized = dyn Store> {
    usage: Arc<Mutex<Usage>>,
    store: Arc<S>,
}

impl<S: ?Sized> Clone for Metered<S> {
    fn clone(&self) -> Self {
        Self { usage: Arc::clone(&self.usage), store: Arc::clone(&self.store) }
    }
}

impl<S: Store + ?Sized> Metered<S> {
    /// `store`, counted from zero.
    pub fn new(store: Arc<S>) -> Self {
        Self { usage: Arc::default(), store }
    }

    /// What was asked so far. Requests under way are counted when they end.
    pub fn snapshot(&self) -> Usage {
        *self.usage()
    }

    /// The store underneath.
    pub fn inner(&self) -> &Arc<S> {
        &self.store
    }

    fn usage(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, ended: fn(&mut Usage, Ended)) -> Request<'_> {
        Request { usage: &self.usage, ended, counted: false }
    }
}

/// How a request ended.
enum Ended {
    Done {
        up: usize,
        down: usize,
    },
    NotModified,
    Absent,
    Rejected {
        up: usize,
    },
    Unknown {
        up: usize,
    },
    Error {
        up: usize,
    },
    /// Its future was dropped.
    Dropped,
}

impl Count {
    fn add(&mut self, ended: Ended, dropped_is_unknown: bool) {
        let (counter, up, down) = match ended {
            Ended::Done { up, down } => (&mut self.done, up, down),
            Ended::NotModified => (&mut self.not_modified, 0, 0),
            Ended::Absent => (&mut self.absent, 0, 0),
            Ended::Rejected { up } => (&mut self.rejected, up, 0),
            Ended::Unknown { up } => (&mut self.unknown, up, 0),
            Ended::Error { up } => (&mut self.errors, up, 0),
            Ended::Dropped if dropped_is_unknown => (&mut self.unknown, 0, 0),
            Ended::Dropped => (&mut self.errors, 0, 0),
        };
        *counter += 1;
        self.bytes_up += up as u64;
        self.bytes_down += down as u64;
    }
}

struct Request<'a> {
    usage: &'a Mutex<Usage>,
    ended: fn(&mut Usage, Ended),
    counted: bool,
}

impl Request<'_> {
    fn end(mut self, ended: Ended) {
        self.count(ended);
    }

    fn count(&mut self, ended: Ended) {
        self.counted = true;
        (self.ended)(&mut self.usage.lock().unwrap_or_else(PoisonError::into_inner), ended);
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        if !self.counted {
            self.count(Ended::Dropped);
        }
    }
}

#[async_trait]
impl<S: Store + ?Sized> Store for Metered<S> {
    async fn get(&self, key: &Key, options: GetOptions) -> StoreResult<Get> {
        let request = self.begin(|usage, ended| usage.get.add(ended, false));
        let result = self.store.get(key, options).await;
        request.end(match &result {
            Ok(answer) => match &answer.value {
                Get::Found(object) => Ended::Done { up: 0, down: object.bytes.len() },
                Get::NotModified => Ended::NotModified,
                Get::Absent => Ended::Absent,
            },
            Err(_) => Ended::Error { up: 0 },
        });
        result
    }

    async fn put(&self, key: &Key, body: Bytes, precondition: Precondition) -> StoreResult<Outcome> {
        let request = self.begin(|usage, ended| usage.put.add(ended, true));
        let up = body.len();
        let result = self.store.put(key, body, precondition).await;
        request.end(match &result {
            Ok(answer) => match &answer.value {
                Outcome::Committed(_) => Ended::Done { up, down: 0 },
                Outcome::Rejected => Ended::Rejected { up },
                Outcome::Unknown(_) => Ended::Unknown { up },
            },
            Err(_) => Ended::Error { up },
        });
        result
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>, limit: NonZeroUsize) -> StoreResult<Page> {
        let request = self.begin(|usage, ended| usage.list.add(ended, false));
        let result = self.store.list(prefix, after, limit).await;
        request.end(match &result {
            Ok(answer) => Ended::Done { up: 0, down: answer.value.entries.iter().map(|entry| entry.key.as_str().len()).sum() },
            Err(_) => Ended::Error { up: 0 },
        });
        result
    }

    async fn delete(&self, key: &Key) -> StoreResult<()> {
        let request = self.begin(|usage, ended| usage.delete.add(ended, false));
        let result = self.store.delete(key).await;
        request.end(if result.is_ok() { Ended::Done { up: 0, down: 0 } } else { Ended::Error { up: 0 } });
        result
    }

    async fn delete_many(&self, keys: &[Key]) -> StoreResult<()> {
        let request = self.begin(|usage, ended| usage.delete.add(ended, false));
        let result = self.store.delete_many(keys).await;
        request.end(if result.is_ok() { Ended::Done { up: 0, down: 0 } } else { Ended::Error { up: 0 } });
        result
    }

    fn location(&self) -> String {
        self.store.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    async fn settle(&self, prefix: &Prefix) -> Result<(), StoreError> {
        self.store.settle(prefix).await
    }
}
