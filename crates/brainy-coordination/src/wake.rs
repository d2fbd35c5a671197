//! Hints that it may be time to look at the tail of a log.

#[cfg(feature = "file-events")]
mod files;
mod in_process;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

#[cfg(feature = "file-events")]
pub use files::FileWake;
pub use in_process::InProcessWake;

/// Says "look now" to whoever follows a log, and nothing else: never what is there, nor that anything is.
///
/// INV-31: what a source loses, doubles, delays, reorders or invents changes how soon a change is seen, never what is seen. Without any hint it is seen
/// within the longest pause between two looks; how many looks hints can cost is bounded too ([`LogOptions::poll_longest`](crate::LogOptions)).
///
/// Give one to a handle by [`LogOptions::with_wake_source`](crate::LogOptions::with_wake_source); whoever drives
/// [`ChangeLog::follow`](crate::ChangeLog::follow) asks it. A [`Bell`] that some thread rings is all that most sources need.
pub trait WakeSource: std::fmt::Debug + Send + Sync + 'static {
    /// Ready once something may have been committed since it was ready last; it takes the hint. Else the waker is called when it is worth asking again.
    ///
    /// It is asked by one task at a time, which may stop asking at any point and come back later. It must not block.
    fn poll_wake(&self, context: &mut Context<'_>) -> Poll<()>;

    /// The handle has applied the log up to slot `seq`, by a commit of its own or by a look: sources that reach other handles may tell them. It may be called
    /// from any thread and must neither block nor call the handle.
    fn moved(&self, seq: u64) {
        let _ = seq;
    }
}

/// A hint that stays until it is taken: rung by anybody, any number of times, heard once.
#[derive(Debug, Default)]
pub struct Bell {
    rung: AtomicBool,
    waker: AtomicWaker,
}

impl Bell {
    /// One that was not rung.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says "look now".
    pub fn ring(&self) {
        self.rung.store(true, Ordering::Release);
        self.waker.wake();
    }
}

impl WakeSource for Bell {
    fn poll_wake(&self, context: &mut Context<'_>) -> Poll<()> {
        // Registered first: who rings between the two lines is heard by one of them.
        self.waker.register(context.waker());
        if self.rung.swap(false, Ordering::AcqRel) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Several sources as one.
#[derive(Clone, Debug, Default)]
pub struct AnyWake {
    sources: Vec<Arc<dyn WakeSource>>,
}

impl AnyWake {
    /// Ready as soon as one of `sources` is.
    pub fn new(sources: Vec<Arc<dyn WakeSource>>) -> Self {
        Self { sources }
    }
}

impl WakeSource for AnyWake {
    fn poll_wake(&self, context: &mut Context<'_>) -> Poll<()> {
        // All are asked: one look answers the hints of all of them, and each must know whom to wake.
        let ready = self.sources.iter().fold(false, |ready, source| source.poll_wake(context).is_ready() | ready);
        if ready { Poll::Ready(()) } else { Poll::Pending }
    }

    fn moved(&self, seq: u64) {
        self.sources.iter().for_each(|source| source.moved(seq));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::task::noop_waker;

    use super::*;

    #[test]
    fn a_bell_is_heard_once_however_often_it_was_rung_and_all_bells_by_one_look() {
        let bells: Vec<Arc<Bell>> = (0..3).map(|_| Arc::default()).collect();
        let any = AnyWake::new(bells.iter().map(|bell| Arc::clone(bell) as Arc<dyn WakeSource>).collect());
        let waker = noop_waker();
        let mut context = Context::from_waker(&waker);
        assert!(any.poll_wake(&mut context).is_pending());
        for _ in 0..5 {
            bells[0].ring();
            bells[2].ring();
        }
        assert!(any.poll_wake(&mut context).is_ready());
        assert!(any.poll_wake(&mut context).is_pending(), "one look answered all of them");
    }
}
