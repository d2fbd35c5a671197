//! What whoever took a lease holds.

use std::sync::Arc;

use brainy_core::clock::before;
use brainy_core::{Moment, StoreId};
use futures_channel::oneshot;

use crate::batch::Fence;
use crate::environment::Environment;
use crate::error::Error;
use crate::mutants::broken;

use super::tenure::{Loss, Tenure};

/// A lease that is held, renewed in the background until the guard is released, dropped or lost.
///
/// It decides who does the work, never whether the work is sound: a process may stand still between asking [`is_held`](Self::is_held) and acting. Whatever is written
/// under it carries its [`token`](Self::token) ([`fence`](Self::fence) for transactions of the log), and whatever receives it refuses a token below the highest it has seen.
///
/// Dropping it stops believing at once and frees the lease in the background; others wait for its life to end if that fails.
#[derive(Debug)]
#[must_use = "dropped, it frees the lease"]
pub struct Guard {
    environment: Environment,
    store: StoreId,
    tenure: Arc<Tenure>,
    freed: Option<oneshot::Receiver<Result<(), Error>>>,
}

impl Guard {
    pub(super) fn new(environment: Environment, store: StoreId, tenure: Arc<Tenure>, freed: oneshot::Receiver<Result<(), Error>>) -> Self {
        Self { environment, store, tenure, freed: Some(freed) }
    }

    /// The store on whose log its token was claimed.
    pub const fn store(&self) -> StoreId {
        self.store
    }

    /// The lock's name.
    pub fn name(&self) -> &str {
        &self.tenure.name
    }

    /// The fencing token: larger than every earlier holder's, and claimed in the log.
    pub fn token(&self) -> u64 {
        self.tenure.token
    }

    /// For transactions of the log that the lock lives on: without effect once a later holder has claimed its token.
    pub fn fence(&self) -> Fence {
        Fence { name: self.tenure.name.clone(), token: self.tenure.token }
    }

    /// Whether the lease is still believed to be held. Once false it stays so.
    pub fn is_held(&self) -> bool {
        self.tenure.loss().is_none()
    }

    /// # Errors
    /// [`Error::LeaseLost`]: it is no longer held, and why. Stop its work.
    pub fn check(&self) -> Result<(), Error> {
        self.tenure.loss().map_or(Ok(()), |loss| Err(Error::LeaseLost { name: self.name().to_owned(), token: self.token(), loss }))
    }

    /// Ends when the lease is no longer held, and says why. The future does not borrow the guard: give it to whatever watches the work.
    pub fn lost(&self) -> impl Future<Output = Loss> + Send + 'static {
        let tenure = Arc::clone(&self.tenure);
        async move { tenure.lost().await }
    }

    /// Frees the lease for others and waits until the store has confirmed it. One that was lost before is left to whoever has it.
    ///
    /// # Errors
    /// [`Error::LeaseUnknown`]: whether it is free is not known by `deadline`; [`Error::Store`]: it is not. Others get it when its life ends at the latest; the guard
    /// holds nothing any more, however this ends.
    pub async fn release(mut self, deadline: Moment) -> Result<(), Error> {
        // INV-23: it stops believing before the release is sent.
        if !broken!(BelieveUntilReleased) {
            self.tenure.end(Loss::Released);
        }
        self.tenure.ask(deadline);
        let unknown =
            |reason: &str| Error::LeaseUnknown { name: self.tenure.name.clone(), token: self.tenure.token, reason: reason.into() };
        let Some(freed) = self.freed.take() else { return Err(unknown("it was released before")) };
        match before(&*self.environment.clock, deadline, freed).await {
            Some(Ok(freed)) => freed,
            Some(Err(_)) => Err(unknown("nobody renews it any more")),
            None => Err(unknown("its release was not confirmed in time")),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let deadline = self.environment.clock.now().after(self.tenure.ttl);
        self.tenure.end(Loss::Released);
        self.tenure.ask(deadline);
    }
}
