//! A store whose requests take the time that those of a bucket take.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use brainy_core::{Clock, Entropy, SeededEntropy};
use brainy_storage::{Capabilities, Get, GetOptions, Key, Outcome, Page, Precondition, Prefix, Store, StoreError, StoreResult};
use bytes::Bytes;

/// Median and 99th percentile of a log-normal distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// Half of the requests are faster.
    pub median: Duration,
    /// One in a hundred is slower.
    pub p99: Duration,
}

/// The 99th percentile of the standard normal distribution.
const NORMAL_P99: f64 = 2.326_347_874;

impl Latency {
    /// These milliseconds.
    pub const fn from_ms(median: u64, p99: u64) -> Self {
        Self { median: Duration::from_millis(median), p99: Duration::from_millis(p99) }
    }

    fn draw(&self, entropy: &dyn Entropy) -> Duration {
        // Box and Muller: two uniform fractions make one normal deviate.
        let radius = (-2.0 * (1.0 - entropy.fraction()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * entropy.fraction()).cos();
        let sigma = (self.p99.as_secs_f64() / self.median.as_secs_f64()).ln() / NORMAL_P99;
        self.median.mul_f64((sigma * normal).exp())
    }
}

/// How long each kind of request takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latencies {
    /// Writes and deletions.
    pub put: Latency,
    /// Reads.
    pub get: Latency,
    /// Listings.
    pub list: Latency,
}

impl Latencies {
    /// Like S3 Standard's, by published measurements: medians and 99th percentiles of 60 and 200 ms a write, 25 and 80 a read, 40 and 120 a listing.
    pub const S3: Self = Self { put: Latency::from_ms(60, 200), get: Latency::from_ms(25, 80), list: Latency::from_ms(40, 120) };
}

/// A store whose requests take random times: the effect comes after half of it, the reply at its end. Each kind of request draws from its own stream, so that two
/// runs with one seed differ only by what is asked.
pub struct LatencyStore {
    inner: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    latencies: Latencies,
    puts: SeededEntropy,
    gets: SeededEntropy,
    lists: SeededEntropy,
}

impl LatencyStore {
    /// `inner`, with latencies drawn from `seed`.
    pub fn new(inner: Arc<dyn Store>, clock: Arc<dyn Clock>, seed: u64, latencies: Latencies) -> Self {
        let stream = |kind: u64| SeededEntropy::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(kind));
        Self { inner, clock, latencies, puts: stream(1), gets: stream(2), lists: stream(3) }
    }

    async fn around<T>(&self, took: Duration, request: impl Future<Output = T>) -> T {
        self.clock.sleep(took / 2).await;
        let answer = request.await;
        self.clock.sleep(took - took / 2).await;
        answer
    }
}

/// Shows the store underneath.
impl std::fmt::Debug for LatencyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LatencyStore({:?})", self.inner)
    }
}

#[async_trait]
impl Store for LatencyStore {
    async fn get(&self, key: &Key, options: GetOptions) -> StoreResult<Get> {
        self.around(self.latencies.get.draw(&self.gets), self.inner.get(key, options)).await
    }

    async fn put(&self, key: &Key, body: Bytes, precondition: Precondition) -> StoreResult<Outcome> {
        self.around(self.latencies.put.draw(&self.puts), self.inner.put(key, body, precondition)).await
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>, limit: NonZeroUsize) -> StoreResult<Page> {
        self.around(self.latencies.list.draw(&self.lists), self.inner.list(prefix, after, limit)).await
    }

    async fn delete(&self, key: &Key) -> StoreResult<()> {
        self.around(self.latencies.put.draw(&self.puts), self.inner.delete(key)).await
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn settle(&self, prefix: &Prefix) -> Result<(), StoreError> {
        self.inner.settle(prefix).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_requests_are_faster_than_the_median_and_one_in_a_hundred_slower_than_the_percentile() {
        let entropy = SeededEntropy::new(7);
        let mut drawn: Vec<_> = (0..20_000).map(|_| Latencies::S3.put.draw(&entropy)).collect();
        drawn.sort();
        let near = |at: usize, ms: f64| (drawn[at].as_secs_f64() * 1e3 / ms - 1.0).abs() < 0.08;
        assert!(near(10_000, 60.0) && near(19_800, 200.0), "{:?} {:?}", drawn[10_000], drawn[19_800]);
    }
}
