//! Objects as files in a directory that several processes use at once.

mod failure;
mod folder;
mod hashes;
mod network;
mod pool;
mod temporary;
mod walk;

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use brainy_core::ErrorKind;
use bytes::Bytes;

use self::failure::{kind, opening};
use self::folder::Folder;
use self::pool::{NoAnswer, Pool};
use crate::{Answer, Capabilities, Get, GetOptions, Key, Operation, Outcome, Page, Precondition, Prefix, Store, StoreError, StoreResult};

/// How a directory is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LocalOptions {
    /// Make the directory, and those above it, where it is missing. Without it a missing directory is an error of kind `NotFound`. Default: true.
    pub create: bool,
    /// Only read: nothing is made or changed in the directory, not even a lock file. Default: false.
    pub read_only: bool,
    /// Accept NFS, SMB, CIFS, AFS, 9P, Ceph, Coda, Lustre, GPFS, BeeGFS, VirtualBox folders and FUSE, which are refused else (on Linux, where they can be
    /// told). Only where all processes run on one machine, or the file system's locks, links and renames are known to bind all machines. Default: false.
    pub allow_network: bool,
    /// Threads for calls that block. More of them let more requests wait for the disk at once, at some 100 KB of memory each.
    /// Default: [`Self::THREADS`].
    pub threads: NonZeroUsize,
}

impl LocalOptions {
    /// Default of [`Self::threads`].
    pub const THREADS: NonZeroUsize = NonZeroUsize::new(4).expect("four is not zero");

    /// With [`Self::create`].
    #[must_use]
    pub const fn with_create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// With [`Self::read_only`].
    #[must_use]
    pub const fn with_read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// With [`Self::allow_network`].
    #[must_use]
    pub const fn with_allow_network(mut self, allow_network: bool) -> Self {
        self.allow_network = allow_network;
        self
    }

    /// With [`Self::threads`].
    #[must_use]
    pub const fn with_threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = threads;
        self
    }
}

impl Default for LocalOptions {
    fn default() -> Self {
        Self { create: true, read_only: false, allow_network: false, threads: Self::THREADS }
    }
}

/// A directory that several processes may use at once: each object is a file whose path is its key. Unix only.
///
/// - An object is created by a hard link from a synced temporary file, so of several creators exactly one wins.
/// - Compare-and-swap, overwriting and deleting happen under an exclusive lock on the file `+lock`, listing under a shared one; the system frees the
///   lock of a process that dies.
/// - Files are synced before they get their name, folders after, and only then is a write acknowledged. A crash at any point leaves the old or the new
///   object, whole; temporary files that it leaves in `+temporary` are removed when the directory is opened next.
/// - Revisions are the BLAKE3 hash of the content. There is no store time.
/// - Symbolic links below the root are not followed: a key whose path meets one is an error of kind `Unsupported`. Files whose names are no keys are ignored.
/// - Folders are never removed. A key that is the folder of another is refused with an error of kind `Invalid`.
///
/// Clones share the threads, which end with the last clone.
#[derive(Clone)]
pub struct LocalStore {
    inner: Arc<Inner>,
}

struct Inner {
    folder: Arc<Folder>,
    pool: Pool,
}

impl LocalStore {
    /// Opens the directory `path`; the calling thread waits for the disk.
    ///
    /// # Errors
    /// [`StoreError`] of operation `Open`: of kind `NotFound` (no such directory), `Invalid` (it is a file), `Unsupported` (a network file system,
    /// or no permission to write) or `Unavailable`. A directory that was made for it may stay behind, empty.
    pub fn open(path: impl AsRef<Path>, options: LocalOptions) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let folder = Arc::new(Folder::open(path, &options)?);
        let pool = Pool::start(options.threads).map_err(|error| opening(path, kind(&error), "starting a thread").with_source(error))?;
        Ok(Self { inner: Arc::new(Inner { folder, pool }) })
    }

    /// The directory, without symbolic links.
    pub fn root(&self) -> &Path {
        self.inner.folder.root()
    }

    async fn run<T: Send + 'static>(&self, call: impl FnOnce(&Folder) -> T + Send + 'static) -> Result<T, NoAnswer> {
        let folder = Arc::clone(&self.inner.folder);
        self.inner.pool.run(move || call(&folder)).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        operation: Operation,
        subject: &(dyn std::fmt::Display + Sync),
        call: impl FnOnce(&Folder) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(call).await.unwrap_or_else(|none| Err(no_answer(&none, operation, subject)))
    }
}

fn no_answer(none: &NoAnswer, operation: Operation, subject: &(dyn std::fmt::Display + Sync)) -> StoreError {
    match none {
        NoAnswer::Full => StoreError::new(ErrorKind::Overloaded, operation, subject, "too many requests wait for a thread"),
        NoAnswer::Lost => StoreError::new(ErrorKind::Unavailable, operation, subject, "the thread that served it gave no answer"),
    }
}

/// Shows the directory.
impl std::fmt::Debug for LocalStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LocalStore({})", self.location())
    }
}

#[async_trait]
impl Store for LocalStore {
    async fn get(&self, key: &Key, options: GetOptions) -> StoreResult<Get> {
        let asked = key.clone();
        let found = self.ask(Operation::Get, key, move |folder| folder.get(&asked, &options)).await?;
        Ok(Answer::new(found, None))
    }

    async fn put(&self, key: &Key, body: Bytes, precondition: Precondition) -> StoreResult<Outcome> {
        let asked = key.clone();
        let outcome = match self.run(move |folder| folder.put(&asked, &body, &precondition)).await {
            Ok(result) => result?,
            Err(none @ NoAnswer::Full) => return Err(no_answer(&none, Operation::Put, key)),
            Err(none @ NoAnswer::Lost) => Outcome::Unknown(no_answer(&none, Operation::Put, key)),
        };
        Ok(Answer::new(outcome, None))
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>, limit: NonZeroUsize) -> StoreResult<Page> {
        let (asked, after) = (prefix.clone(), after.cloned());
        let page = self.ask(Operation::List, prefix, move |folder| folder.list(&asked, after.as_ref(), limit)).await?;
        Ok(Answer::new(page, None))
    }

    async fn delete(&self, key: &Key) -> StoreResult<()> {
        let asked = key.clone();
        self.ask(Operation::Delete, key, move |folder| folder.delete(&[asked])).await?;
        Ok(Answer::new((), None))
    }

    async fn delete_many(&self, keys: &[Key]) -> StoreResult<()> {
        let Some(first) = keys.first() else { return Ok(Answer::new((), None)) };
        let asked = keys.to_vec();
        self.ask(Operation::Delete, first, move |folder| folder.delete(&asked)).await?;
        Ok(Answer::new((), None))
    }

    fn location(&self) -> String {
        format!("file://{}", self.root().display())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { has_time: false, linearizable_list: true, shared: true }
    }

    async fn settle(&self, prefix: &Prefix) -> Result<(), StoreError> {
        let asked = prefix.clone();
        self.ask(Operation::Get, prefix, move |folder| folder.settle(&asked)).await
    }
}

#[cfg(test)]
mod tests;
