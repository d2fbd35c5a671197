//! Snapshots, named points in time, and removing what nobody needs.

use std::sync::Arc;

use brainy_coordination::{CollectOptions, CollectReport, Published, Tag};
use brainy_engine::Engine;
use tokio::sync::Mutex;

use crate::error::Error;
use crate::handle::Brainy;

impl Brainy {
    /// Publishes the present state as a snapshot: from then on whoever opens the store loads it, and reads only the slots behind it. Slots and older snapshots stay
    /// until somebody [collects](Self::collector). The whole state is held in memory twice meanwhile.
    ///
    /// # Errors
    /// Kind `Fenced`: somebody else began to publish or to collect meanwhile, nothing took effect; `OutcomeUnknown`: it may be published, or may still be. Publishing again is
    /// safe in every case.
    pub async fn publish_snapshot(&self) -> Result<Published, Error> {
        let (log, deadline) = (self.log().clone(), self.deadline());
        self.run(async move { Ok(log.publish_snapshot(deadline).await?) }).await
    }

    /// Names the newest snapshot `name` (`[a-z0-9_-]{1,64}`), so that it is kept until the tag is moved or [removed](Self::untag). A tag of that name is moved.
    ///
    /// # Errors
    /// Kind `NotFound`: no snapshot was published yet; `Invalid`: the name. Tagging again is safe.
    pub async fn tag(&self, name: &str, note: &str) -> Result<Tag, Error> {
        let (log, deadline, name, note) = (self.log().clone(), self.deadline(), name.to_owned(), note.to_owned());
        self.run(async move { Ok(log.tag(&name, &note, deadline).await?) }).await
    }

    /// Removes a tag; what it named may be collected. One that is not there is no fault.
    ///
    /// # Errors
    /// Kind `Invalid`: the name. Asking again is safe.
    pub async fn untag(&self, name: &str) -> Result<(), Error> {
        let (log, deadline, name) = (self.log().clone(), self.deadline(), name.to_owned());
        self.run(async move { Ok(log.untag(&name, deadline).await?) }).await
    }

    /// The tags, in the order of their names.
    ///
    /// # Errors
    /// As any read of the store.
    pub async fn tags(&self) -> Result<Vec<Tag>, Error> {
        let (log, deadline) = (self.log().clone(), self.deadline());
        self.run(async move { Ok(log.tags(deadline).await?) }).await
    }

    /// Somebody who removes what nobody needs: what failed commits and dead processes left and, if [asked to](CollectOptions::truncate), slots before the newest snapshot and older
    /// snapshots that nobody holds. Any number of processes may do it at once.
    ///
    /// # Errors
    /// Kind `Unsupported`: the store does not keep a promise that collection rests on; `Invalid`: the handle only reads, and this is no dry run.
    pub fn collector(&self, options: CollectOptions) -> Result<Collector, Error> {
        let inner = brainy_coordination::Collector::new(self.log(), options).map_err(Error::from)?;
        Ok(Collector { handle: self.clone(), inner: Arc::new(Mutex::new(inner)) })
    }
}

/// Removes garbage round by round, and remembers between two rounds what it waits for.
#[derive(Debug)]
pub struct Collector {
    handle: Brainy,
    inner: Arc<Mutex<brainy_coordination::Collector<Engine>>>,
}

impl Collector {
    /// Removes what can be removed now; [`CollectReport::next`] says when a further round could do more.
    ///
    /// # Errors
    /// As any write. What was removed until then was garbage; another round goes on.
    pub async fn round(&mut self) -> Result<CollectReport, Error> {
        let (inner, deadline) = (Arc::clone(&self.inner), self.handle.deadline());
        self.handle.run(async move { Ok(inner.lock().await.round(deadline).await?) }).await
    }
}
