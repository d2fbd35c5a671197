//! Publishing the state as a snapshot: segment, manifest, a record in the log, `ctl/head`. A crash at any point leaves garbage, never damage.

use brainy_core::{Moment, Nonce};
use brainy_storage::Created;

use crate::apply::COMPACTOR;
use crate::batch::{Fence, Transaction};
use crate::error::Error;
use crate::garbage::{Bounds, ManifestName, SegmentName};
use crate::head;
use crate::keys;
use crate::log::ChangeLog;
use crate::machine::StateMachine;
use crate::manifest::{self, Manifest};
use crate::protocol::ProtocolOperation;
use crate::queue::{Outcome, Withdrawal};
use crate::segment;

/// So often at most a claim of a token is repeated with a higher one, because somebody else claimed at the same time.
const MOST_CLAIMS: usize = 16;

/// A state that was published: whoever opens the store from now on begins there, and reads only the slots behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// Its manifest.
    pub manifest: ManifestName,
    /// Bytes that were written.
    pub bytes: u64,
}

impl<M: StateMachine> ChangeLog<M> {
    /// Publishes the state of the log's present tail as a snapshot, under a fresh token of the lease `compactor`: an earlier builder that is still at it is
    /// fenced. Somebody must drive [`run`](Self::run). Four writes: two batches, a segment, a manifest and `ctl/head`; the state is held in memory twice meanwhile.
    ///
    /// The log is as long as before. Only a [`Collector`](crate::Collector) that was asked to truncate makes it shorter.
    ///
    /// # Errors
    /// [`Error::Superseded`]: somebody else began to publish or to collect meanwhile, nothing took effect; [`Error::Undecided`]: it may be published, or may still be;
    /// else what was written is garbage that a collector finds, or, where only `ctl/head` could not be raised any more, a state that is published and that the next collector names there.
    /// Publishing again is safe in every case.
    pub async fn publish_snapshot(&self, deadline: Moment) -> Result<Published, Error> {
        let token = self.claim_compactor(deadline).await?;
        self.publish_under(token, deadline).await
    }

    /// Claims a token of the lease `compactor` above every earlier one; it is effective when this returns.
    pub(crate) async fn claim_compactor(&self, deadline: Moment) -> Result<u64, Error> {
        for _ in 0..MOST_CLAIMS {
            self.refresh(deadline).await?;
            let highest = self.shared().lock_tip(deadline).await?.state.claim(COMPACTOR);
            let token = highest.checked_add(1).ok_or(Error::Superseded { name: COMPACTOR.into(), token: highest })?;
            let claim = Transaction::protocol(ProtocolOperation::LeaseClaim { name: COMPACTOR.into(), token });
            match self.submit(&claim, deadline)?.outcome().await? {
                Outcome::Committed(_) => return Ok(token),
                Outcome::Rejected(Withdrawal::NotSent) => return Err(Error::Deadline { doing: "claiming the token of the compactor" }),
                // Somebody claimed it first, or the batch went stale: with a fresh look again.
                Outcome::Rejected(_) => {}
                Outcome::Unknown(op) => return Err(Error::Undecided { op }),
            }
        }
        Err(Error::Contended { doing: "claiming the token of the compactor, which others claim at the same time" })
    }

    async fn publish_under(&self, token: u64, deadline: Moment) -> Result<Published, Error> {
        let environment = self.environment();
        let (built, segment, object) = self.build(token, deadline).await?;
        let bytes = object.len() as u64;
        environment.write(&keys::segment(&segment), object, deadline).await?;
        let (name, object) = built.encode();
        let bytes = bytes + object.len() as u64;
        // INV-5: what a record refers to is durable before the record is sent.
        if let Created::Unknown(error) = environment.create(&keys::manifest(&name), object, deadline).await?.value {
            return Err(error.into());
        }
        let publication = ProtocolOperation::SnapshotPublished { seq: name.seq, token, manifest: keys::manifest(&name).to_string() };
        let publication = Transaction::protocol(publication).with_fence(Fence { name: COMPACTOR.into(), token });
        self.record(&publication, token, deadline).await?;
        // The head names only what the log was read to have published.
        let tail = self.position().seq;
        let wanted = Bounds { boundary: 0, manifest: Some(name) };
        head::raise(environment, self.descriptor().store, wanted, tail, deadline).await?;
        Ok(Published { manifest: name, bytes })
    }

    /// Has the record of a manifest take effect.
    async fn record(&self, publication: &Transaction, token: u64, deadline: Moment) -> Result<(), Error> {
        for _ in 0..MOST_CLAIMS {
            match self.submit(publication, deadline)?.outcome().await? {
                Outcome::Committed(_) => return Ok(()),
                // Fenced, or a newer state is published already: by whoever holds the newer token.
                Outcome::Rejected(Withdrawal::Precondition { .. }) => break,
                Outcome::Rejected(Withdrawal::NotSent) => return Err(Error::Deadline { doing: "publishing a snapshot" }),
                // Its batch went stale or was given up: the record itself is as good as before.
                Outcome::Rejected(_) => {}
                Outcome::Unknown(op) => return Err(Error::Undecided { op }),
            }
        }
        Err(Error::Superseded { name: COMPACTOR.into(), token })
    }

    /// The state at the tail as a segment, and the manifest that describes it.
    async fn build(&self, token: u64, deadline: Moment) -> Result<(Manifest, SegmentName, bytes::Bytes), Error> {
        let shared = self.shared();
        let mut tip = shared.lock_tip(deadline).await?;
        if !tip.is_firm() {
            let caught_up = shared.reader.catch_up(&mut tip, deadline).await;
            shared.publish(&tip);
            caught_up?;
        }
        // A replica that may be wrong publishes nothing.
        tip.check()?;
        let (machine, digest) = (shared.reader.machine.snapshot(), shared.reader.machine.summary().digest);
        let (hash, object) = segment::write_state(&tip.state, &machine);
        let segment = SegmentName { token, build: Nonce::random(&*self.environment().entropy), hash };
        let manifest = Manifest {
            store: tip.state.store,
            epoch: tip.state.epoch,
            seq: tip.state.position,
            token,
            slot_hash: tip.state.slot_hash,
            machine: digest,
            bookkeeping: tip.state.digest(),
            keep: vec![keys::segment(&segment).to_string()],
            payload: manifest::whole_state_in(&segment),
        };
        Ok((manifest, segment, object))
    }

    /// Brings the handle to the tail and makes sure that the log is still the one it knows.
    pub(crate) async fn look_whole(&self, deadline: Moment) -> Result<(), Error> {
        let shared = self.shared();
        let mut tip = shared.lock_tip(deadline).await?;
        let looked = shared.reader.look_whole(&mut tip, deadline).await;
        shared.publish(&tip);
        looked?;
        // What a replica that may be wrong remembers is worth nothing.
        tip.check()
    }

    /// Lets `ctl/head` name the newest manifest that the log has published, where its publisher died before it did; returns the head.
    pub(crate) async fn name_published(&self, deadline: Moment) -> Result<Option<ManifestName>, Error> {
        let tip = self.shared().lock_tip(deadline).await?;
        tip.check()?;
        Ok(tip.state.published().and_then(|publication| {
            let name = keys::manifest_name(&publication.manifest)?;
            // What a stranger's record calls a manifest may be none.
            (name.seq == publication.seq && name.token == publication.token).then_some(name)
        }))
    }
}
