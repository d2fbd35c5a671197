//! One holder's turn, as its guard, its keeper and whoever waits for its end share it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use brainy_core::clock::before;
use brainy_core::{Clock, Moment};

use crate::lease::decide::Belief;

/// Why a guard holds its lease no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// No renewal was confirmed in time: the process stood still, or the store did not answer.
    Lapsed,
    /// Another state is there: somebody else took the lease over, or wrote what this build cannot read.
    Taken,
    /// The lease object is gone, though nobody here ever deletes one.
    Vanished,
    /// Its guard was released or dropped.
    Released,
    /// Whoever was to renew it ended: the [`Spawn`](crate::Spawn) that it was given dropped its task.
    Unattended,
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Lapsed => "no renewal was confirmed in time",
            Self::Taken => "somebody else has it",
            Self::Vanished => "the lease object is gone",
            Self::Released => "it was released",
            Self::Unattended => "nobody renews it any more",
        })
    }
}

#[derive(Debug)]
pub(super) struct Tenure {
    clock: Arc<dyn Clock>,
    pub(super) name: String,
    pub(super) token: u64,
    pub(super) ttl: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    belief: Belief,
    loss: Option<Loss>,
    /// Its guard wants the lease freed by then.
    asked: Option<Moment>,
    /// Those who wait for a change: the keeper, and one for each future of its loss.
    wakers: Vec<Waker>,
}

impl Tenure {
    /// Of somebody whose request was sent at `sent`, and committed.
    pub(super) fn begun(clock: Arc<dyn Clock>, name: String, token: u64, ttl: Duration, sent: Moment) -> Self {
        let state = State { belief: Belief::begun(sent, ttl), loss: None, asked: None, wakers: Vec::new() };
        Self { clock, name, token, ttl, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes it; wakes whoever waits, once it is free again.
    fn change<T>(&self, change: impl FnOnce(&mut State, Moment) -> T) -> T {
        let now = self.clock.now();
        let (told, wakers) = {
            let mut state = self.lock();
            let told = change(&mut state, now);
            (told, std::mem::take(&mut state.wakers))
        };
        wakers.into_iter().for_each(Waker::wake);
        told
    }

    /// Why it is over, if so.
    pub(super) fn loss(&self) -> Option<Loss> {
        let now = self.clock.now();
        let mut state = self.lock();
        if state.loss.is_none() && !state.belief.holds(now) {
            state.end(Loss::Lapsed);
        }
        state.loss
    }

    pub(super) fn belief(&self) -> Belief {
        self.lock().belief
    }

    /// A renewal that was sent at `sent` is confirmed. False: too late.
    pub(super) fn confirmed(&self, sent: Moment) -> bool {
        self.change(|state, now| {
            let extended = state.loss.is_none() && state.belief.confirmed(sent, self.ttl, now);
            if !extended {
                state.end(Loss::Lapsed);
            }
            extended
        })
    }

    /// A renewal that was sent at `sent` ended without an answer.
    pub(super) fn unconfirmed(&self, sent: Moment) {
        self.change(|state, _| state.belief.unconfirmed(sent, self.ttl));
    }

    /// It is over; the first cause is the one that is told.
    pub(super) fn end(&self, loss: Loss) {
        self.change(|state, _| state.end(loss));
    }

    /// Its guard wants the lease freed by `deadline`.
    pub(super) fn ask(&self, deadline: Moment) {
        self.change(|state, _| state.asked = state.asked.max(Some(deadline)));
    }

    pub(super) fn asked(&self) -> Option<Moment> {
        self.lock().asked
    }

    /// `future`'s output, or none as soon as the lease is to be freed.
    pub(super) async fn unless_asked<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let asked = std::future::poll_fn(|context| self.wait(context.waker(), |state| state.asked.is_some()));
        match futures_util::future::select(std::pin::pin!(future), std::pin::pin!(asked)).await {
            futures_util::future::Either::Left((told, _)) => Some(told),
            futures_util::future::Either::Right(_) => None,
        }
    }

    fn wait(&self, waker: &Waker, until: impl Fn(&State) -> bool) -> Poll<()> {
        let mut state = self.lock();
        if until(&state) {
            return Poll::Ready(());
        }
        if !state.wakers.iter().any(|known| known.will_wake(waker)) {
            state.wakers.push(waker.clone());
        }
        Poll::Pending
    }

    /// Until it is over.
    pub(super) async fn lost(&self) -> Loss {
        loop {
            if let Some(loss) = self.loss() {
                return loss;
            }
            // A renewal moves the end on: then it is looked at again.
            let until = self.belief().until().unwrap_or_default();
            let ended = std::future::poll_fn(|context| self.wait(context.waker(), |state| state.loss.is_some()));
            before(&*self.clock, until, ended).await;
        }
    }
}

impl State {
    fn end(&mut self, loss: Loss) {
        self.belief.end();
        self.loss.get_or_insert(loss);
    }
}
