//! Creating a slot: what it carries, and what its reply means.

use std::sync::atomic::Ordering;

use brainy_core::codec::{self, ObjectKind};
use brainy_core::{ContentHash, Moment};
use brainy_storage::{Answer, Created, conditional};
use bytes::Bytes;

use crate::apply::{self, LoadedBatch, Staged};
use crate::batch::Contents;
use crate::committer::play::Play;
use crate::committer::{ATTEMPT, Committer};
use crate::decide::Decided;
use crate::error::Error;
use crate::helping::{self, Plan};
use crate::keys;
use crate::machine::{StateMachine, Verdict};
use crate::mutants::broken;
use crate::reader::Ahead;
use crate::slot::Header;
use crate::state::Decision;
use crate::tip::Tip;

/// Slots behind the one that was lost that are read beside it, at most: where more came within the time of a create, the log is read on anyway.
const MOST_LOOKED_AHEAD: usize = 4;
/// Kept free in a slot for the next header, beyond the size of the last one.
const HEADER_SLACK_BYTES: u64 = 16 << 10;

/// A slot that is ready to be sent.
struct Ready<V> {
    header: Header,
    object: Bytes,
    staged: Staged<V>,
    /// Strangers in it.
    carried: u64,
}

/// What became of the preparation of a slot.
enum Prepared<V> {
    Ready(Box<Ready<V>>),
    /// The log has decided the batch in play already.
    Decided(Decided),
    /// The inbox has to be listed before.
    ListingDue,
    /// There is nothing to put into it.
    Empty,
}

impl<M: StateMachine> Committer<'_, M> {
    /// Tries to create the next slot, with the batch in play and what it carries. Some: the log has decided the batch in play.
    pub(super) async fn create(&mut self, listing: bool) -> Result<Option<Decided>, Error> {
        let shared = self.shared;
        self.store_blob().await?;
        if listing {
            self.look_for_strangers().await?;
        }
        let mut ready = loop {
            if self.play.is_none() && shared.queue.has_waiting() {
                self.form().await?;
                self.store_blob().await?;
            }
            match self.prepare().await? {
                Prepared::Ready(ready) => break ready,
                Prepared::Decided(decided) => return Ok(Some(decided)),
                Prepared::ListingDue => self.list().await?,
                Prepared::Empty => return self.rest().await.map(|()| None),
            }
        };
        let k = shared.descriptor.constants.scan_slots;
        let position = ready.header.seq.get() - 1;
        if shared.options.helping
            && (ready.carried > 0 || helping::lists_ahead(position, ready.header.scan_base, self.lost_at, self.patience, k))
        {
            self.list_ahead();
        }
        let hash = ContentHash::of(&ready.object);
        let environment = &shared.reader.environment;
        let sent_at = environment.clock.now();
        let doubted = self.play.as_mut().map(|play| std::mem::replace(&mut play.in_doubt, true));
        let object = std::mem::take(&mut ready.object);
        // INV-1: a slot is created only if absent, so each number is decided once.
        let key = keys::slot(ready.header.seq);
        let deadline = sent_at.after(ATTEMPT);
        // Who loses wants to know how far the log has gone meanwhile.
        let after = ready.header.seq.successor().expect("the log is not that long");
        let depth = MOST_LOOKED_AHEAD.min(1 + self.flow.expected(self.pace.create()) as usize);
        let look = shared.reader.look_ahead(after, depth, deadline);
        let (created, looked) = self.beside(environment.create_and_look(&key, object, deadline, look)).await;
        if let (Some(play), Some(doubted), Err(_) | Ok(Answer { value: Created::Rejected(_), .. })) = (&mut self.play, doubted, &created) {
            // This copy is nowhere, nor will it be: an error says so, and a slot that somebody else holds stays theirs.
            play.in_doubt = doubted;
        }
        let created = created?;
        self.looked_at = environment.clock.now();
        self.pace.observe(self.looked_at.since(sent_at));
        shared.note_store_time(created.at);
        if let Some(forged) = self.forged(&created.value).await {
            return Ok(Some(forged));
        }
        // A copy that was sent before may be what took effect.
        let looked_at = (doubted != Some(true)).then_some(sent_at);
        self.take_reply(*ready, hash, created, looked_at, looked.unwrap_or_default()).await
    }

    /// Takes in what the reply to a create says.
    async fn take_reply(
        &mut self,
        ready: Ready<M::View>,
        hash: ContentHash,
        created: Answer<Created>,
        looked_at: Option<Moment>,
        ahead: Ahead,
    ) -> Result<Option<Decided>, Error> {
        let shared = self.shared;
        let Ready { header, staged, carried, .. } = ready;
        let mut tip = self.tip().await;
        let untouched = tip.next() == header.seq;
        let deadline = shared.reader.environment.clock.now().after(ATTEMPT);
        match created.value {
            Created::Committed(revision) if untouched => {
                shared.reader.settle(&mut tip).await?;
                if let Err(error) = shared.reader.confirm(&mut tip, created.at, false, deadline).await {
                    // Either nobody will ever read that slot, made in a collected stretch, or it was collected since. The state tells what became of the batch.
                    self.doubtful = true;
                    Box::pin(shared.reader.recover(&mut tip, error, deadline)).await?;
                    shared.publish(&tip);
                    return Ok(self.play.as_ref().and_then(|_| tip.decision().cloned()));
                }
                let _retired = tip.install(&*shared.reader.machine, staged, &header, hash, Some(revision));
                tip.trusted = tip.state.position;
                // INV-8: where it took effect was the tail.
                looked_at.into_iter().for_each(|sent| shared.note_look(sent));
                self.own_slots += 1;
                shared.figures.carried.fetch_add(carried, Ordering::Relaxed);
                if carried > 0 {
                    // The last winner continues: whoever it carried will leave the next batch soon.
                    self.sequencing = Some(shared.reader.environment.clock.now());
                }
            }
            Created::Committed(_) if tip.hash_of(header.seq.get()).is_some_and(|there| there != hash) => {
                let reason = format!("slot {} was created by this handle and holds something else now", header.seq);
                return Err(Error::RolledBack { reason });
            }
            Created::Committed(_) => {}
            Created::Rejected(winner) => {
                self.lost_at = Some(header.seq.get());
                // Somebody else continues.
                self.sequencing = None;
                if let Some(play) = &mut self.play {
                    play.tries = play.tries.saturating_add(1);
                }
                shared.figures.lost_races.fetch_add(1, Ordering::Relaxed);
                let winner = Answer::new(winner, created.at);
                if untouched && let Err(error) = Box::pin(shared.reader.take_winners(&mut tip, winner, ahead, deadline)).await {
                    Box::pin(shared.reader.recover(&mut tip, error, deadline)).await?;
                    shared.reader.catch_up(&mut tip, deadline).await?;
                }
            }
            Created::Unknown(error) => return Err(error.into()),
        }
        if !tip.is_firm() {
            shared.reader.settle(&mut tip).await?;
            if let Err(error) = shared.reader.confirm(&mut tip, created.at, false, deadline).await {
                Box::pin(shared.reader.recover(&mut tip, error, deadline)).await?;
                self.doubtful = true;
            }
        }
        shared.publish(&tip);
        if !self.overrides_digest() {
            tip.check()?;
        }
        Ok(self.play.as_ref().and_then(|_| tip.decision().cloned()))
    }

    /// The next slot as it would be now.
    async fn prepare(&mut self) -> Result<Prepared<M::View>, Error> {
        let shared = self.shared;
        let environment = &shared.reader.environment;
        let constants = &shared.descriptor.constants;
        let mut tip = self.tip().await;
        if self.doubtful || !tip.is_firm() || self.looks_first(&tip) {
            let now = environment.clock.now();
            let caught_up =
                shared.reader.catch_up_expecting(self.flow.likely_by(now, self.slots_of_others(&tip)), &mut tip, now.after(ATTEMPT)).await;
            shared.publish(&tip);
            caught_up?;
            self.doubtful = false;
            self.looked_at = environment.clock.now();
        }
        tip.check_next()?;
        if !self.overrides_digest() {
            // A replica that may be wrong neither creates slots nor tells outcomes.
            tip.check()?;
        }
        if let (Some(_), Some(decided)) = (&self.play, tip.decision()) {
            return Ok(Prepared::Decided(decided.clone()));
        }
        let own_bytes = self.play.as_ref().map_or(0, |play| play.batch.bytes.len() as u64 + 4);
        let mut room = constants.slot_bytes.saturating_sub(own_bytes + tip.header_bytes + HEADER_SLACK_BYTES);
        loop {
            let plan = if shared.options.helping {
                helping::plan(&tip.state, self.own(), self.held.as_ref(), room, constants.scan_slots)
            } else {
                Some(Plan { carried: Vec::new(), scan_base: tip.state.position, listed: None })
            };
            let Some(plan) = plan else { return Ok(Prepared::ListingDue) };
            let carried: Option<Vec<LoadedBatch<M::Command>>> = plan.carried.iter().map(|name| shared.inbox.batch(name)).collect();
            // INV-20: what the header vouches for is what the slot carries.
            let Some(carried) = carried else { return Ok(Prepared::ListingDue) };
            if carried.is_empty() && self.play.is_none() {
                return Ok(Prepared::Empty);
            }
            let at_ms = shared.corrected_wall_ms();
            let (carried, mut loaded) = (carried.len() as u64, carried);
            loaded.extend(self.play.as_ref().map(|play| play.loaded.clone()));
            let view = shared.reader.machine.fetch(&apply::commands(&loaded)).await?;
            let staged =
                apply::apply::<M>(&tip.state, view, tip.next(), at_ms, &loaded).map_err(|error| Error::bytes("own batch", error))?;
            let (header, object) = tip.slot_of(&staged, self.creator, at_ms, &loaded, &plan);
            if object.len() as u64 <= constants.slot_bytes {
                let ready = Ready { header, object, staged, carried };
                return Ok(Prepared::Ready(Box::new(ready)));
            }
            if carried == 0 {
                // A slot that a reader could not take would end the log for everybody.
                let reason = format!("its slot would have {} bytes, at most {} are allowed", object.len(), constants.slot_bytes);
                return Err(Error::Invalid { reason });
            }
            // Verdicts and labels of what it carries make the header larger: carry less.
            room = room.saturating_sub(object.len() as u64 - constants.slot_bytes + HEADER_SLACK_BYTES);
        }
    }

    /// Whether others were at work and may have gone on since this handle looked last: then a read, which is cheap, comes before a create, which would be refused.
    fn looks_first(&self, tip: &Tip) -> bool {
        let now = self.shared.reader.environment.clock.now();
        tip.is_shared_with_others(self.creator) && now.since(self.looked_at) > self.pace.poll()
    }

    fn overrides_digest(&self) -> bool {
        self.play.as_ref().is_some_and(|play| play.overrides_digest)
    }

    /// Has a listing at hand that shows somebody to carry, or a fresh one.
    async fn look_for_strangers(&mut self) -> Result<(), Error> {
        let was_listing = self.listing;
        if was_listing {
            self.list().await?;
        }
        if self.knows_strangers().await || was_listing && self.play.is_some() {
            return Ok(());
        }
        self.list().await
    }

    async fn knows_strangers(&mut self) -> bool {
        let tip = self.tip().await;
        let Some(held) = &self.held else { return false };
        let (own, slot) = (self.own(), tip.next().get());
        held.pending.iter().any(|one| !one.unreadable && Some(one.name.writer) != own && helping::is_pending(&tip.state, &one.name, slot))
    }

    /// Nothing was to be carried: waits a little, or leaves the sequencing to whoever comes next.
    async fn rest(&mut self) -> Result<(), Error> {
        let clock = &self.shared.reader.environment.clock;
        let Some(since) = self.sequencing else { return Ok(()) };
        if clock.now().since(since) > self.pace.hold() {
            self.sequencing = None;
            return Ok(());
        }
        let pause = self.pace.idle();
        self.held = None;
        let shared = self.shared;
        let work = async {
            let waiting = std::pin::pin!(shared.queue.ready());
            futures_util::future::select(waiting, clock.sleep(pause)).await;
        };
        self.beside(work).await;
        Ok(())
    }

    /// What a slot refers to is durable before the slot, or an intent, is sent.
    pub(super) async fn store_blob(&mut self) -> Result<(), Error> {
        let environment = &self.shared.reader.environment;
        let Some(Play { batch, blob: Some(body), .. }) = &self.play else { return Ok(()) };
        let Contents::Blob(reference) = &batch.contents else { return Ok(()) };
        if broken!(SlotWithoutBlob) {
            return Ok(());
        }
        let key = keys::blob(batch.base, batch.writer, batch.wseq, reference.hash);
        let object = Bytes::from(codec::seal(ObjectKind::Blob, body));
        let deadline = environment.clock.now().after(ATTEMPT * 6);
        // INV-5: what a slot refers to is durable before the slot is sent.
        self.beside(conditional::write(&*environment.store, &*environment.clock, &*environment.entropy, &key, object, deadline)).await?;
        if let Some(play) = &mut self.play {
            play.blob = None;
        }
        Ok(())
    }

    /// What a broken committer would make of a reply.
    async fn forged(&mut self, created: &Created) -> Option<Decided> {
        let play = self.play.as_ref()?;
        match created {
            Created::Rejected(_) if broken!(AcknowledgeOnConflict) => {
                let effective = vec![Verdict::Effective { changed: 1 }; play.batch.count as usize];
                let slot = self.tip().await.next().get();
                Some(Decided::Applied { slot, first_ordinal: 0, decision: Decision::Applied(effective) })
            }
            Created::Unknown(_) if broken!(RejectOnLostReply) => Some(Decided::Withdrawn(Decision::Cancelled)),
            Created::Unknown(_) if broken!(NewNumberAfterDoubt) => {
                let play = self.play.take()?;
                let (writer, next) = (play.batch.writer, play.batch.wseq + 1);
                self.play = Some(play.under(writer, next));
                None
            }
            _ => None,
        }
    }
}
