use std::num::NonZeroUsize;
use std::sync::Arc;

use brainy_core::{Clock, Entropy, Moment};
use brainy_storage::{
    Created, Get, GetOptions, Key, Page, Prefix, Revision, Standing, Store, StoreError, StoreResult, Swapped, conditional,
};
use bytes::Bytes;

/// Where a log lives, and where its time and chance come from.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The objects.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance: identities, nonces, jitter.
    pub entropy: Arc<dyn Entropy>,
}

impl Environment {
    /// This store with the operating system's clock and generator.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, clock: Arc::new(brainy_core::SystemClock), entropy: Arc::new(brainy_core::OsEntropy) }
    }

    pub(crate) async fn read(&self, key: &Key, options: GetOptions, deadline: Moment) -> StoreResult<Get> {
        conditional::read(&*self.store, &*self.clock, &*self.entropy, key, options, deadline).await
    }

    pub(crate) async fn create(&self, key: &Key, body: Bytes, deadline: Moment) -> StoreResult<Created> {
        conditional::create(&*self.store, &*self.clock, &*self.entropy, key, body, deadline).await
    }

    pub(crate) async fn create_and_look<T>(
        &self,
        key: &Key,
        body: Bytes,
        deadline: Moment,
        look: impl Future<Output = T>,
    ) -> (StoreResult<Created>, Option<T>) {
        conditional::create_and_look(&*self.store, &*self.clock, &*self.entropy, key, body, deadline, look).await
    }

    /// Overwrites what is in revision `expected`; `standing` says what other bytes tell of these.
    pub(crate) async fn swap(
        &self,
        key: &Key,
        body: Bytes,
        expected: Revision,
        standing: &(dyn Fn(&[u8]) -> Standing + Send + Sync),
        deadline: Moment,
    ) -> Result<Swapped, StoreError> {
        Ok(conditional::swap(&*self.store, &*self.clock, &*self.entropy, key, body, expected, standing, deadline).await?.value)
    }

    pub(crate) async fn list(&self, prefix: &Prefix, after: Option<&Key>, limit: NonZeroUsize, deadline: Moment) -> StoreResult<Page> {
        conditional::list(&*self.store, &*self.clock, &*self.entropy, prefix, after, limit, deadline).await
    }

    pub(crate) async fn write(&self, key: &Key, body: Bytes, deadline: Moment) -> StoreResult<Revision> {
        conditional::write(&*self.store, &*self.clock, &*self.entropy, key, body, deadline).await
    }

    pub(crate) async fn delete(&self, keys: &[Key], deadline: Moment) -> StoreResult<()> {
        conditional::delete(&*self.store, &*self.clock, &*self.entropy, keys, deadline).await
    }
}
