//! What renews a lease for as long as its guard lives, and frees it afterwards. It alone writes the object meanwhile.

use std::sync::Arc;

use brainy_core::{Moment, Nonce};
use brainy_storage::{Get, GetOptions, Key, Revision, Swapped};
use futures_channel::oneshot;

use crate::cas;
use crate::environment::Environment;
use crate::error::Error;
use crate::lease::Lease;
use crate::lease::decide::{Step, renewed_after, step};
use crate::mutants::broken;

use super::tenure::{Loss, Tenure};

/// After a store that refused to answer, a keeper asks again after this part of the lease's life.
const PAUSE_DIVISOR: u32 = 12;

#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) environment: Environment,
    pub(super) tenure: Arc<Tenure>,
    pub(super) key: Key,
    /// The newest own state that is known to be, or to have been, there.
    pub(super) lease: Lease,
    /// The nonces of the bodies that this keeper sent and that may be there, or come there still. A copy of this machine has the same holder and token, and nonces of its own.
    pub(super) sent: Vec<Nonce>,
    /// Its revision, unless the last request left it in doubt.
    pub(super) revision: Option<Revision>,
    /// How freeing it ended, for the guard.
    pub(super) freed: Option<oneshot::Sender<Result<(), Error>>>,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.tenure.end(Loss::Unattended);
    }
}

impl Keeper {
    /// Renews from now on; the turn was taken by a request sent at `sent`.
    pub(super) async fn keep(mut self, sent: Moment) {
        let (tenure, clock) = (Arc::clone(&self.tenure), Arc::clone(&self.environment.clock));
        let mut next = sent.after(renewed_after(tenure.ttl));
        loop {
            if let Some(deadline) = tenure.asked() {
                return self.finish(deadline).await;
            }
            match step(&tenure.belief(), next, self.revision.is_some(), clock.now()) {
                Step::Sleep { until } => {
                    tenure.unless_asked(clock.sleep_until(until)).await;
                }
                Step::Renew => next = self.renew().await,
                Step::Look => next = self.look().await,
                Step::Free => {
                    tenure.end(Loss::Lapsed);
                    // Others need not wait for what this process missed. Whoever took over meanwhile is left alone.
                    return match tenure.loss() {
                        Some(Loss::Taken | Loss::Vanished) => self.answer(Ok(())),
                        _ => self.finish(clock.now().after(tenure.ttl)).await,
                    };
                }
            }
        }
    }

    /// No request outlives the next renewal's time: a client that waits longer than a lease lives would lose it by waiting.
    fn patience(&self, now: Moment) -> Moment {
        let next = now.after(renewed_after(self.tenure.ttl));
        self.tenure.belief().until().map_or(next, |until| next.min(until))
    }

    /// Sends one renewal; when the next is due.
    async fn renew(&mut self) -> Moment {
        let (tenure, clock) = (Arc::clone(&self.tenure), Arc::clone(&self.environment.clock));
        let Some(expected) = self.revision.take() else { return clock.now() };
        let body = self.lease.renewed(&*self.environment.entropy);
        self.sent.push(body.marks.nonce);
        let sent = clock.now();
        let deadline = self.patience(sent);
        let swapped = tenure.unless_asked(self.environment.swap(&self.key, body.encode(), expected, &standing(&body), deadline)).await;
        match swapped {
            Some(Ok(Swapped::Committed(revision))) => {
                // What was sent before it can land no more.
                self.sent = vec![body.marks.nonce];
                self.lease = body;
                self.revision = Some(revision);
                tenure.confirmed(sent);
                return sent.after(renewed_after(tenure.ttl));
            }
            Some(Ok(Swapped::Superseded)) => tenure.end(Loss::Taken),
            // An earlier renewal of ours may have landed late, or this one may still: what is there tells whose it is.
            Some(Ok(Swapped::Rejected)) | None => tenure.unconfirmed(sent),
            // A store that does not answer is not asked without a pause.
            Some(Ok(Swapped::Unknown(_)) | Err(_)) => {
                tenure.unconfirmed(sent);
                return clock.now().after(tenure.ttl / PAUSE_DIVISOR);
            }
        }
        clock.now()
    }

    /// Finds out whether the lease is still ours; when to renew.
    async fn look(&mut self) -> Moment {
        let (tenure, clock) = (Arc::clone(&self.tenure), Arc::clone(&self.environment.clock));
        let deadline = self.patience(clock.now());
        match tenure.unless_asked(self.read(deadline)).await {
            Some(Ok(Found::Ours(lease, revision))) => (self.lease, self.revision) = (lease, Some(revision)),
            Some(Ok(Found::Foreign)) => tenure.end(Loss::Taken),
            Some(Ok(Found::Absent)) => tenure.end(Loss::Vanished),
            Some(Err(_)) => return clock.now().after(tenure.ttl / PAUSE_DIVISOR),
            None => {}
        }
        clock.now()
    }

    async fn read(&self, deadline: Moment) -> Result<Found, Error> {
        match self.environment.read(&self.key, GetOptions::whole(), deadline).await?.value {
            Get::Found(object) => match Lease::decode(&object.bytes) {
                Ok(lease) if lease.is_term_of(self.lease.holder, self.lease.token) && self.sent.contains(&lease.marks.nonce) => {
                    Ok(Found::Ours(lease, object.revision))
                }
                _ => Ok(Found::Foreign),
            },
            Get::Absent | Get::NotModified => Ok(Found::Absent),
        }
    }

    async fn finish(mut self, deadline: Moment) {
        let freed = self.free(deadline).await;
        self.tenure.end(Loss::Released);
        self.answer(freed);
    }

    fn answer(&mut self, freed: Result<(), Error>) {
        if let Some(guard) = self.freed.take() {
            // The guard may have been dropped: then nobody asks.
            guard.send(freed).ok();
        }
    }

    /// Frees the lease, if it is still ours: it is overwritten, never deleted, so that its token and its marks go on.
    async fn free(&mut self, deadline: Moment) -> Result<(), Error> {
        let clock = Arc::clone(&self.environment.clock);
        if broken!(DeleteOnRelease) {
            self.environment.store.delete(&self.key).await?;
            return Ok(());
        }
        loop {
            let expected = match self.revision.take() {
                Some(revision) => revision,
                None => match self.read(deadline).await? {
                    Found::Ours(lease, revision) => {
                        self.lease = lease;
                        revision
                    }
                    Found::Foreign | Found::Absent => return Ok(()),
                },
            };
            let body = self.lease.released(&*self.environment.entropy);
            match self.environment.swap(&self.key, body.encode(), expected, &standing(&body), deadline).await? {
                Swapped::Committed(_) | Swapped::Superseded => return Ok(()),
                Swapped::Rejected => {}
                Swapped::Unknown(error) => {
                    let next = clock.now().after(self.tenure.ttl / PAUSE_DIVISOR);
                    if next >= deadline {
                        let (name, token) = (self.tenure.name.clone(), self.tenure.token);
                        return Err(Error::LeaseUnknown { name, token, reason: format!("its release was not confirmed: {error}") });
                    }
                    clock.sleep_until(next).await;
                }
            }
        }
    }
}

enum Found {
    Ours(Lease, Revision),
    Foreign,
    Absent,
}

/// For a swap of `body`: what the bytes that are there say about it.
pub(super) fn standing(body: &Lease) -> impl Fn(&[u8]) -> brainy_storage::Standing + Send + Sync + 'static {
    cas::standing(|bytes: &[u8]| Lease::decode(bytes).ok().map(|lease| lease.marks), body.marks.nonce)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use brainy_core::{Clock, HolderId, SeededEntropy, StoreId};
    use brainy_storage::{InMemoryStore, Outcome, Precondition, Store};
    use brainy_testkit::ManualClock;
    use futures_util::future::join3;

    use super::*;
    use crate::lease::Term;

    const TTL: Duration = Duration::from_secs(9);

    /// A machine is copied while it holds a lease: both copies go on renewing it, under one token. One of them notices within a life, and the other keeps it.
    #[test]
    fn of_two_copies_of_a_holder_one_stops() {
        let (clock, store) = (ManualClock::new(), Arc::new(InMemoryStore::new()));
        let key = Key::new("lease/job").unwrap();
        let environment = |seed| Environment {
            store: Arc::<InMemoryStore>::clone(&store) as Arc<dyn Store>,
            clock: Arc::new(clock.clone()),
            entropy: Arc::new(SeededEntropy::new(seed)),
        };
        let (holder, token) = (HolderId::from_bytes([1; 16]), 7);
        let term = Term { store: StoreId::from_bytes([2; 16]), holder, token, ttl: TTL, note: String::new(), since_ms: 0 };
        let lease = Lease::first(term, &SeededEntropy::new(1));
        let sent = clock.now();
        let put = clock.run(store.put(&key, lease.encode(), Precondition::IfAbsent)).unwrap().value;
        let Outcome::Committed(revision) = put else { panic!("it was free") };
        let copy = |seed| {
            let environment = environment(seed);
            let tenure = Arc::new(Tenure::begun(Arc::clone(&environment.clock), "job".into(), token, TTL, sent));
            let keeper = Keeper {
                environment,
                tenure: Arc::clone(&tenure),
                key: key.clone(),
                sent: vec![lease.marks.nonce],
                lease: lease.clone(),
                revision: Some(revision.clone()),
                freed: None,
            };
            (tenure, keeper)
        };
        let ((one, first), (other, second)) = (copy(2), copy(3));
        clock.run(async {
            let watched = async {
                clock.sleep(TTL).await;
                let lost = [one.loss(), other.loss()];
                assert_eq!(lost.iter().filter(|loss| **loss == Some(Loss::Taken)).count(), 1, "{lost:?}");
                clock.sleep(3 * TTL).await;
                assert_eq!([one.loss(), other.loss()], lost, "the other one keeps it");
                // Freed, so that both keepers come to their end.
                one.ask(clock.now().after(TTL));
                other.ask(clock.now().after(TTL));
            };
            join3(first.keep(sent), second.keep(sent), watched).await;
        });
    }
}
