//! How a handle on a log behaves.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::spawn::Spawn;
use crate::wake::WakeSource;

/// How a handle behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LogOptions {
    /// Only reads: submits and gives up nothing.
    pub read_only: bool,
    /// Most transactions waiting to be sent. More means more memory and longer waits in a burst, fewer means `Overloaded` sooner. Default: [`Self::QUEUE_TRANSACTIONS`].
    pub queue_transactions: usize,
    /// Most bytes of them. Default: [`Self::QUEUE_BYTES`].
    pub queue_bytes: usize,
    /// Shortest pause between two looks at the tail while following; shorter notices changes sooner, each look costs one request. Default: [`Self::POLL_SHORTEST`].
    pub poll_shortest: Duration,
    /// Longest pause, reached after some time without changes: a change is seen within it and the time of a look, whatever wake-ups are lost. Longer costs fewer
    /// requests; wake-ups that find nothing add a twelfth at most. Default: [`Self::POLL_LONGEST`].
    pub poll_longest: Duration,
    /// What says "look now" between two looks; without it, time alone decides.
    pub(crate) wake: Option<Arc<dyn WakeSource>>,
    /// Where many slots are decoded; without it, where they are applied.
    pub(crate) decoder: Option<Arc<dyn Spawn>>,
    /// Whether contending writers help each other; without it, each races for slots alone.
    pub(crate) helping: bool,
}

impl LogOptions {
    /// Default of [`Self::queue_transactions`].
    pub const QUEUE_TRANSACTIONS: usize = 16_384;
    /// Default of [`Self::queue_bytes`].
    pub const QUEUE_BYTES: usize = 128 << 20;
    /// Default of [`Self::poll_shortest`].
    pub const POLL_SHORTEST: Duration = Duration::from_millis(50);
    /// Default of [`Self::poll_longest`]: idle, a month of looks costs $0.21 at S3's list price.
    pub const POLL_LONGEST: Duration = Duration::from_secs(5);

    /// Only reads.
    #[must_use]
    pub const fn with_read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// With this bound on waiting transactions.
    #[must_use]
    pub const fn with_queue(mut self, transactions: usize, bytes: usize) -> Self {
        self.queue_transactions = transactions;
        self.queue_bytes = bytes;
        self
    }

    /// With these pauses while following.
    #[must_use]
    pub const fn with_poll(mut self, shortest: Duration, longest: Duration) -> Self {
        self.poll_shortest = shortest;
        self.poll_longest = longest;
        self
    }

    /// With a place where a handle that catches up with many slots decodes them while it applies those before: one task for each such catching up. On another core
    /// that is almost twice as fast, so it should be a thread. A task that is dropped instead of run costs nothing but that; one that is kept and not run
    /// keeps its handle waiting until its deadline.
    #[must_use]
    pub fn with_decoder(mut self, decoder: Arc<dyn Spawn>) -> Self {
        self.decoder = Some(decoder);
        self
    }

    /// With hints when to look while following; the source is also told what this handle has applied.
    #[must_use]
    pub fn with_wake_source(mut self, wake: Arc<dyn WakeSource>) -> Self {
        self.wake = Some(wake);
        self
    }

    /// With or without helping: for measuring what it is worth.
    #[cfg(feature = "simulation")]
    #[doc(hidden)]
    #[must_use]
    pub const fn with_helping(mut self, helping: bool) -> Self {
        self.helping = helping;
        self
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        let wrong = |field, reason: &str| Err(Error::Option { field, reason: reason.into() });
        if self.queue_transactions == 0 {
            return wrong("queue_transactions", "it must be at least 1");
        }
        if self.poll_shortest.is_zero() || self.poll_shortest > self.poll_longest {
            return wrong("poll_shortest", "it must be above 0 and at most poll_longest");
        }
        Ok(())
    }
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            read_only: false,
            queue_transactions: Self::QUEUE_TRANSACTIONS,
            queue_bytes: Self::QUEUE_BYTES,
            poll_shortest: Self::POLL_SHORTEST,
            poll_longest: Self::POLL_LONGEST,
            wake: None,
            decoder: None,
            helping: true,
        }
    }
}
