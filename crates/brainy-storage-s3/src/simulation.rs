//! The same store over a transport and in a time of somebody else's making: for simulators, behind the feature `simulation`.

use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use brainy_storage::{Capabilities, Get, GetOptions, Key, Outcome, Page, Precondition, Prefix, Store, StoreError, StoreResult};
use bytes::Bytes;
use object_store::BackoffConfig;
use object_store::client::HttpClient;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::client::Clients;
use crate::{S3Options, S3Store};

/// How long bulk clients wait before they repeat a request. They draw it at random elsewhere; here it is always the same, so that runs can be repeated.
pub const REPETITION: Duration = Duration::from_millis(100);

/// A time that stands still until it is moved: what `object_store` sleeps by between repetitions. Clones are one time.
#[derive(Clone, Debug)]
pub struct VirtualTime(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    runtime: Runtime,
    now: Mutex<Duration>,
}

impl VirtualTime {
    /// Time 0, in a runtime of its own that has no thread, no I/O and only this time.
    ///
    /// # Errors
    /// The system gives no runtime.
    pub fn new() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
        Ok(Self(Arc::new(Inner { runtime, now: Mutex::default() })))
    }

    /// Moves to `now` and wakes whoever slept until then; never back.
    ///
    /// Not to be called while a future of a [`Simulated`] store is being polled.
    pub fn advance_to(&self, now: Duration) {
        let span = {
            let mut shown = self.0.now.lock().unwrap_or_else(PoisonError::into_inner);
            let span = now.saturating_sub(*shown);
            *shown = now.max(*shown);
            span
        };
        self.0.runtime.block_on(tokio::time::advance(span));
    }
}

/// An [`S3Store`] whose futures may be polled anywhere: each poll happens inside a [`VirtualTime`].
#[derive(Debug)]
pub struct Simulated {
    store: S3Store,
    time: VirtualTime,
}

impl Simulated {
    /// The store of `options` over transports that are asked for with the longest silence their client stands; no other client enforces it.
    ///
    /// All but TCP, TLS and the length of the pauses between repetitions is the production path: signing, repetition, parsing, notes and verdicts.
    ///
    /// # Errors
    /// As [`S3Options::validate`].
    pub fn new(options: S3Options, time: VirtualTime, transport: impl Fn(Duration) -> HttpClient) -> Result<Self, StoreError> {
        // From `init` to twice as much is drawn, and cut off at `max`.
        let backoff = BackoffConfig { init_backoff: REPETITION, max_backoff: REPETITION, base: 2.0 };
        let clients = Clients::over(&options, |silence| Ok(transport(silence)), backoff)?;
        Ok(Self { store: S3Store::with_clients(options, clients), time })
    }

    fn inside<F: Future>(&self, future: F) -> Inside<F> {
        Inside { future: Box::pin(future), handle: self.time.0.runtime.handle().clone() }
    }
}

/// A future each poll of which happens inside a runtime.
struct Inside<F> {
    future: Pin<Box<F>>,
    handle: Handle,
}

impl<F: Future> Future for Inside<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let handle = self.handle.clone();
        let _inside = handle.enter();
        self.future.as_mut().poll(context)
    }
}

#[async_trait]
impl Store for Simulated {
    async fn get(&self, key: &Key, options: GetOptions) -> StoreResult<Get> {
        self.inside(self.store.get(key, options)).await
    }

    async fn put(&self, key: &Key, body: Bytes, precondition: Precondition) -> StoreResult<Outcome> {
        self.inside(self.store.put(key, body, precondition)).await
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>, limit: NonZeroUsize) -> StoreResult<Page> {
        self.inside(self.store.list(prefix, after, limit)).await
    }

    async fn delete(&self, key: &Key) -> StoreResult<()> {
        self.inside(self.store.delete(key)).await
    }

    async fn delete_many(&self, keys: &[Key]) -> StoreResult<()> {
        self.inside(self.store.delete_many(keys)).await
    }

    fn location(&self) -> String {
        self.store.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }
}
