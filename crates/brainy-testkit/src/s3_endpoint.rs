//! An S3 endpoint in this process, on a real socket: exact semantics, in memory, with faults on demand.
//!
//! It checks signatures (SigV4), answers conditional requests as S3 documents them, and its ETags are the MD5 of the content, so writing A, B, A gives
//! the first ETag back. It agrees with our own reading of S3 by construction, so it is no independent evidence.

mod content;
mod fault;
mod serve;

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

pub use content::Mode;
pub use fault::{FaultRule, HttpFault};
use serve::Shared;

/// The access key that the endpoint accepts.
pub const ACCESS_KEY: &str = "brainytest";
/// The secret that goes with [`ACCESS_KEY`].
pub const SECRET_KEY: &str = "brainytest-secret";

/// One request as the endpoint saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `PUT` …
    pub method: String,
    /// Path with the bucket: `/bucket/key`.
    pub path: String,
    /// What follows the question mark; empty without one.
    pub query: String,
    /// Status that was sent; none if the connection was cut instead.
    pub status: Option<u16>,
}

/// A running endpoint with a thread of its own; dropping it stops it and forgets its objects.
#[derive(Debug)]
pub struct S3Endpoint {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl S3Endpoint {
    /// Starts one on a free port of 127.0.0.1, without buckets.
    pub fn start(mode: Mode) -> Self {
        Self::start_on(0, mode).expect("127.0.0.1 has a free port")
    }

    /// Starts one on this port of 127.0.0.1; 0 takes a free one.
    ///
    /// # Errors
    /// The port is taken.
    pub fn start_on(port: u16, mode: Mode) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        // Its own, on its own thread, so that a test with any runtime, or none, can start it.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let shared = Arc::new(Shared::new(mode));
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("s3-endpoint".to_owned()).spawn(move || {
            runtime.block_on(serve::run(listener, serving, stopped));
        })?;
        Ok(Self { address, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes an empty bucket, as CreateBucket does; an existing one stays as it is.
    pub fn make_bucket(&self, name: &str) {
        self.shared.content.make_bucket(name);
    }

    /// The bytes stored under `bucket` and `key`, past all faults.
    pub fn object(&self, bucket: &str, key: &str) -> Option<bytes::Bytes> {
        self.shared.content.object(bucket, key)
    }

    /// Keys of a bucket in ascending order, past all faults.
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        self.shared.content.keys(bucket)
    }

    /// Lets requests fail that match `rule`, in the order in which rules were added; each request meets at most one.
    pub fn add_fault(&self, rule: FaultRule) {
        self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner).push(rule);
    }

    /// Forgets all rules.
    pub fn clear_faults(&self) {
        self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Says `date` in the `Date` header of every reply instead of the time; none goes back to the time.
    pub fn set_date(&self, date: Option<&str>) {
        *self.shared.date.lock().unwrap_or_else(PoisonError::into_inner) = date.map(str::to_owned);
    }

    /// What has been requested so far, refused and failed requests included, oldest first.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes what has been requested so far and forgets it.
    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until the endpoint ends, which it does only by being dropped or by a panic of its thread.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Drop for S3Endpoint {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

type Locked<T> = Mutex<T>;

#[cfg(test)]
mod tests;
