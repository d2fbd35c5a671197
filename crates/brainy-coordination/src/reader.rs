//! Reading the log: one slot, all slots up to the tail, and whether the tail is the tail.

mod jump;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::sync::Arc;

use brainy_core::clock::before;
use brainy_core::codec::{self, CodecError, ObjectKind};
use brainy_core::{ContentHash, Moment, SequenceNumber};
use brainy_storage::{Answer, Get, GetOptions, Object, StoreTime};
use bytes::Bytes;
use futures_util::StreamExt;

use crate::apply::{self, LoadedBatch, Orders};
use crate::batch::{Batch, Contents};
use crate::beside::{Beside, beside};
use crate::confirmation::vouches;
use crate::decoding;
use crate::environment::Environment;
use crate::error::Error;
use crate::head::{self, SeenHead};
use crate::keys;
use crate::machine::StateMachine;
use crate::mutants::broken;
use crate::slot;
use crate::spawn::Spawn;
use crate::tip::{Anchor, LoadedSlot, Tip};

/// Slots asked for at once while catching up: one, or one more than are likely to be there, then as many as were there each time, up to so many. Then the rest
/// is listed, and as many are read at once.
const PARALLEL_READS: usize = 16;
/// So many slots at once are worth a task that decodes them beside.
const MANY: usize = 2;
/// Blobs of a slot that are read ahead, in bytes: at most sixteen slots at once.
const MOST_AHEAD_BYTES: u64 = 8 << 20;
/// Slots taken from one listing.
const LISTED_SLOTS: NonZeroUsize = NonZeroUsize::new(1_000).expect("not 0");
/// So often at most a reader finds, while it catches up, that the slots it wants next were collected.
const MOST_JUMPS: usize = 8;
/// A reader that is at least so many slots behind a published state loads that instead of them.
pub(crate) const FAR_BEHIND: u64 = 1_000;

/// What [`Reader::look_ahead`] found.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    found: Vec<Answer<Object>>,
    /// The time on the reply that the slot behind them is not there; none: it was not asked for, or the store did not say.
    tail: Option<Option<StoreTime>>,
}

/// Reads slots into one replica.
#[derive(Debug)]
pub(crate) struct Reader<M> {
    pub(crate) environment: Environment,
    pub(crate) machine: Arc<M>,
    /// Where many slots are decoded; none: where they are applied.
    pub(crate) decoder: Option<Arc<dyn Spawn>>,
}

impl<M> Clone for Reader<M> {
    fn clone(&self) -> Self {
        Self { environment: self.environment.clone(), machine: Arc::clone(&self.machine), decoder: self.decoder.clone() }
    }
}

impl<M: StateMachine> Reader<M> {
    /// Applies every slot there is; returns how many. Afterwards the tip is the tail of the log at a moment after the call, confirmed.
    ///
    /// # Errors
    /// [`Error`]: the tip stands at the last slot that could be applied.
    pub(crate) async fn catch_up(&self, tip: &mut Tip, deadline: Moment) -> Result<u64, Error> {
        self.catch_up_expecting(0, tip, deadline).await
    }

    /// As [`Self::catch_up`]; `next`: the next slot, if it was read already.
    ///
    /// # Errors
    /// As [`Self::catch_up`].
    pub(crate) async fn catch_up_from(&self, next: Option<Answer<Get>>, tip: &mut Tip, deadline: Moment) -> Result<(), Error> {
        let Some(next) = next else { return self.catch_up(tip, deadline).await.map(drop) };
        let taken = match self.take_read(tip, next, deadline).await {
            Ok(None) => return self.catch_up(tip, deadline).await.map(drop),
            Ok(Some(at)) => self.confirm_tail(tip, at, deadline).await,
            Err(error) => Err(error),
        };
        match taken {
            Ok(()) => Ok(()),
            Err(error) => {
                Box::pin(self.recover(tip, error, deadline)).await?;
                self.catch_up(tip, deadline).await.map(drop)
            }
        }
    }

    /// The slot of this number, as it is.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Throttled`], [`Error::NoReply`].
    pub(crate) async fn read_slot(&self, seq: SequenceNumber, deadline: Moment) -> Result<Answer<Get>, Error> {
        Ok(self.environment.read(&keys::slot(seq), GetOptions::whole(), deadline).await?)
    }

    /// As [`Self::catch_up`], where so many slots are likely to be there: they are asked for at once.
    ///
    /// # Errors
    /// As [`Self::catch_up`].
    pub(crate) async fn catch_up_expecting(&self, likely: usize, tip: &mut Tip, deadline: Moment) -> Result<u64, Error> {
        let before = tip.state.position;
        let mut jumps = 0;
        loop {
            match self.take_slots(if jumps == 0 { likely } else { 0 }, tip, deadline).await {
                Ok(()) => return Ok(tip.state.position.saturating_sub(before)),
                Err(error) if jumps == MOST_JUMPS => return Err(error),
                // Rare, and large.
                Err(error) => Box::pin(self.recover(tip, error, deadline)).await?,
            }
            jumps += 1;
        }
    }

    /// Applies every slot there is from the present position on.
    async fn take_slots(&self, likely: usize, tip: &mut Tip, deadline: Moment) -> Result<(), Error> {
        // A read of what is not there costs less than a listing, so the distance to the tail is found by doubling steps.
        let (mut asked, mut step) = (0, (likely + 1).min(PARALLEL_READS));
        let mut task = None;
        let at = loop {
            // Only where there were slots: a writer on a busy log expects some before each of its own.
            if step >= MANY && asked > 0 && task.is_none() {
                task = self.decoder.as_deref().map(|spawn| Beside::start(spawn, Arc::clone(&self.environment.clock), deadline));
            }
            if asked > 2 * PARALLEL_READS {
                (asked, step) = (0, 1);
                Box::pin(self.catch_up_by_list(tip, task.as_ref(), deadline)).await?;
            }
            tip.check_next()?;
            if let Some(at) = self.read_some(tip, step, task.as_ref().filter(|_| step >= MANY), deadline).await? {
                break at;
            }
            asked += step;
            step = asked.min(PARALLEL_READS);
        };
        self.confirm_tail(tip, at, deadline).await
    }

    /// Makes sure that the slot behind this position, which was not there at that time, is the end of the log.
    async fn confirm_tail(&self, tip: &mut Tip, at: Option<StoreTime>, deadline: Moment) -> Result<(), Error> {
        self.settle(tip).await?;
        self.confirm(tip, at, true, deadline).await
    }

    /// Applies the next slot, as it was read; some, with the time on the reply, if it was not there.
    async fn take_read(&self, tip: &mut Tip, read: Answer<Get>, deadline: Moment) -> Result<Option<Option<StoreTime>>, Error> {
        tip.check_next()?;
        match read.value {
            Get::Found(object) => {
                let loaded = self.load(tip.next(), object, Some(tip), None, deadline).await?;
                self.advance(tip, loaded, None, deadline).await?;
                tip.confirmation.rest_on(read.at);
                Ok(None)
            }
            Get::Absent | Get::NotModified => Ok(Some(read.at)),
        }
    }

    /// Reads the next `count` slots at once and applies those that are there; some, with the time on the reply, once one was not.
    async fn read_some(
        &self,
        tip: &mut Tip,
        count: usize,
        task: Option<&Beside>,
        deadline: Moment,
    ) -> Result<Option<Option<StoreTime>>, Error> {
        let first = tip.next().get();
        let numbers = (first..first.saturating_add(count as u64)).map_while(SequenceNumber::new);
        let mut answers = futures_util::stream::iter(numbers)
            .map(|seq| async move {
                let Answer { value, at } = self.read_slot(seq, deadline).await?;
                let ahead = match (value, task) {
                    (Get::Found(object), Some(_)) => Ok(Box::pin(self.load(seq, object, None, task, deadline)).await?),
                    (value, _) => Err(value),
                };
                Ok::<_, Error>((ahead, at))
            })
            .buffered(count);
        while let Some(answer) = answers.next().await {
            // Before what cannot be read: it may be of rules that this build does not know.
            tip.check_next()?;
            let (ahead, at) = answer?;
            match ahead {
                Ok(loaded) => {
                    self.advance(tip, loaded, task, deadline).await?;
                    // The slots of one round are read side by side: one may have been read long after the 404 behind it.
                    tip.confirmation.rest_on(at);
                }
                Err(read) => {
                    let absent = self.take_read(tip, Answer::new(read, at), deadline).await?;
                    if absent.is_some() {
                        return Ok(absent);
                    }
                }
            }
        }
        Ok(None)
    }

    /// The slots from `first` on, up to the first one that was not read, at most `count`. Nothing is applied.
    pub(crate) async fn look_ahead(&self, first: SequenceNumber, count: usize, deadline: Moment) -> Ahead {
        let numbers = (first.get()..first.get().saturating_add(count as u64)).map_while(SequenceNumber::new);
        let mut answers = futures_util::stream::iter(numbers)
            .map(|seq| async move { self.environment.read(&keys::slot(seq), GetOptions::whole(), deadline).await })
            .buffered(count);
        let mut ahead = Ahead::default();
        while let Some(Ok(Answer { value, at })) = answers.next().await {
            match value {
                Get::Found(object) => ahead.found.push(Answer::new(object, at)),
                Get::Absent | Get::NotModified => {
                    ahead.tail = Some(at);
                    break;
                }
            }
        }
        ahead
    }

    /// Takes in the next slot and those behind it that were read too, and whatever there is behind where that is not known to be nothing.
    pub(crate) async fn take_winners(&self, tip: &mut Tip, winner: Answer<Object>, ahead: Ahead, deadline: Moment) -> Result<(), Error> {
        let gone_on = !ahead.found.is_empty();
        for read in std::iter::once(winner).chain(ahead.found) {
            tip.check_next()?;
            let loaded = self.load(tip.next(), read.value, Some(tip), None, deadline).await?;
            self.advance(tip, loaded, None, deadline).await?;
            tip.confirmation.rest_on(read.at);
        }
        match ahead.tail {
            // INV-9: what was read behind the winner is vouched for by a reply of its own.
            Some(at) if gone_on => {
                self.settle(tip).await?;
                self.confirm(tip, at, true, deadline).await
            }
            None if gone_on => self.catch_up(tip, deadline).await.map(drop),
            _ => Ok(()),
        }
    }

    /// A directory's newest entries may not survive a power cut yet: nothing may be answered on their strength before they do.
    pub(crate) async fn settle(&self, tip: &mut Tip) -> Result<(), Error> {
        if tip.unsettled {
            self.environment.store.settle(&keys::log()).await?;
            tip.unsettled = false;
        }
        Ok(())
    }

    async fn catch_up_by_list(&self, tip: &mut Tip, task: Option<&Beside>, deadline: Moment) -> Result<(), Error> {
        let seen = head::read_head(&self.environment, tip.state.store, deadline).await?;
        if seen.head.manifest.is_some_and(|manifest| manifest.seq >= tip.state.position.saturating_add(FAR_BEHIND)) {
            Box::pin(self.jump(tip, seen, deadline)).await?;
        }
        loop {
            let after = SequenceNumber::new(tip.state.position).map(keys::slot);
            let page = self.environment.list(&keys::log(), after.as_ref(), LISTED_SLOTS, deadline).await?.value;
            // A listing may lag: only the gap-free run from here on is taken, the rest is found by number.
            let wanted = (tip.next().get()..).zip(page.entries.iter().map(|entry| keys::slot_number(&entry.key)));
            let run: Vec<_> = wanted.map_while(|(next, found)| found.filter(|found| found.get() == next)).collect();
            let complete = run.len() == page.entries.len();
            let mut loaded = futures_util::stream::iter(run)
                .map(|seq| async move {
                    let answer = self.environment.read(&keys::slot(seq), GetOptions::whole(), deadline).await?;
                    match answer.value {
                        Get::Found(object) => self.load(seq, object, None, task, deadline).await.map(|loaded| Some((loaded, answer.at))),
                        Get::Absent | Get::NotModified => Ok(None),
                    }
                })
                .buffered(PARALLEL_READS);
            let mut any = false;
            while let Some(next) = loaded.next().await {
                tip.check_next()?;
                let Some((next, at)) = next? else { return Ok(()) };
                self.advance(tip, next, task, deadline).await?;
                tip.confirmation.rest_on(at);
                any = true;
            }
            if !(page.more && complete && any) {
                return Ok(());
            }
        }
    }

    /// The slot in `object` with the transactions of every batch that may apply at `tip` (where no tip is given: of every batch whose transactions can be read). `task`: one
    /// that does the work.
    pub(crate) async fn load(
        &self,
        seq: SequenceNumber,
        object: Object,
        tip: Option<&Tip>,
        task: Option<&Beside>,
        deadline: Moment,
    ) -> Result<LoadedSlot<M::Command>, Error> {
        let key = keys::slot(seq);
        if slot::is_tombstone(&object.bytes) {
            return Err(Error::Truncated { boundary: seq.get(), position: seq.get() - 1 });
        }
        let bytes = object.bytes;
        let slot = beside(task, move || decoding::slot(&bytes)).await.map_err(|error| Error::bytes(&key, error))?;
        let mut room = MOST_AHEAD_BYTES;
        let mut batches = Vec::with_capacity(slot.batches.len());
        for bytes in &slot.batches {
            let bytes = bytes.clone();
            batches.push(match beside(task, move || decoding::batch(&bytes)).await {
                Err(error @ CodecError::Unsupported { .. }) => return Err(Error::bytes(&key, error)),
                Err(_) => LoadedBatch::Undecodable,
                Ok(batch) => {
                    let orders = match tip {
                        Some(tip) if apply::may_apply(&tip.state, &batch, seq.get()) => self.orders(&batch, task, deadline).await?,
                        Some(_) => None,
                        // Whether it matters shows once the slots before are applied: then it is read, if it was not.
                        None => self.orders_ahead(&batch, &mut room, task, deadline).await,
                    };
                    LoadedBatch::Known { batch, orders: orders.map(Arc::new) }
                }
            });
        }
        Ok(LoadedSlot { slot, batches, revision: object.revision })
    }

    /// A batch's transactions; none if its blob is gone.
    pub(crate) async fn orders(&self, batch: &Batch, task: Option<&Beside>, deadline: Moment) -> Result<Option<Orders<M::Command>>, Error> {
        let count = batch.count;
        match &batch.contents {
            Contents::Inline(list) => {
                let list = list.clone();
                Ok(Some(beside(task, move || decoding::orders::<M>(&list, count)).await))
            }
            Contents::Blob(reference) => {
                let key = keys::blob(batch.base, batch.writer, batch.wseq, reference.hash);
                let Get::Found(object) = self.environment.read(&key, GetOptions::whole(), deadline).await?.value else { return Ok(None) };
                let opened = open_blob::<M>(object.bytes, reference.hash, count, task).await;
                opened.map(Some).map_err(|error| Error::bytes(&key, error))
            }
        }
    }

    /// A batch's transactions before it is known whether it may apply; none if that would take more than a read of at most `room` bytes, which it uses up.
    async fn orders_ahead(&self, batch: &Batch, room: &mut u64, task: Option<&Beside>, deadline: Moment) -> Option<Orders<M::Command>> {
        let Contents::Blob(reference) = &batch.contents else { return self.orders(batch, task, deadline).await.ok()? };
        *room = room.checked_sub(reference.bytes)?;
        let key = keys::blob(batch.base, batch.writer, batch.wseq, reference.hash);
        // It may never matter: no second try.
        let Environment { store, clock, .. } = &self.environment;
        let read = before(&**clock, deadline, store.get(&key, GetOptions::whole())).await?.ok()?;
        let Get::Found(object) = read.value else { return None };
        open_blob::<M>(object.bytes, reference.hash, batch.count, task).await.ok()
    }

    /// Applies a loaded slot that must be the next one.
    pub(crate) async fn advance(
        &self,
        tip: &mut Tip,
        mut loaded: LoadedSlot<M::Command>,
        task: Option<&Beside>,
        deadline: Moment,
    ) -> Result<(), Error> {
        tip.check_follows(&loaded.slot)?;
        let seq = loaded.slot.header.seq;
        for loaded in &mut loaded.batches {
            if let LoadedBatch::Known { batch, orders } = loaded
                && orders.is_none()
                && apply::may_apply(&tip.state, batch, seq.get())
            {
                *orders = self.orders(batch, None, deadline).await?.map(Arc::new);
                if let (None, Contents::Blob(reference)) = (&orders, &batch.contents) {
                    let key = keys::blob(batch.base, batch.writer, batch.wseq, reference.hash).to_string();
                    return Err(Error::Missing { key, reason: "a batch that has to be applied names it" });
                }
            }
        }
        let view = self.machine.fetch(&apply::commands(&loaded.batches)).await?;
        let staged = apply::apply::<M>(&tip.state, view, seq, loaded.slot.header.at_ms, &loaded.batches)
            .map_err(|error| Error::bytes(keys::slot(seq), error))?;
        tip.unsettled = true;
        let retired = tip.install(&*self.machine, staged, &loaded.slot.header, loaded.slot.hash, Some(loaded.revision));
        if let Some(task) = task {
            // What that task allocated is best freed there.
            task.drop((retired, loaded.batches));
        }
        Ok(())
    }

    /// Makes sure that what was just read or created at the tail is not a ghost in a collected stretch of the log, nor behind a hole that a bucket's going
    /// back tore. `not_found`: the reply was a 404.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::RolledBack`]: the handle cannot go on from here.
    pub(crate) async fn confirm(&self, tip: &mut Tip, reply: Option<StoreTime>, not_found: bool, deadline: Moment) -> Result<(), Error> {
        let position = tip.state.position;
        // INV-10: a 404 moves no confirmation on, else whoever looks often would never look at its own slots.
        if tip.confirmation.take(reply, not_found) {
            tip.trusted = position;
            if tip.anchor.is_none() {
                tip.anchor = tip.here();
            }
            return Ok(());
        }
        self.look(tip, deadline).await
    }

    /// Applies every slot there is and looks at the boundary and at the own slots, however lately that was done.
    ///
    /// # Errors
    /// As [`Self::confirm`].
    pub(crate) async fn look_whole(&self, tip: &mut Tip, deadline: Moment) -> Result<(), Error> {
        for jumps in 0.. {
            self.catch_up(tip, deadline).await?;
            match self.look(tip, deadline).await {
                Ok(()) => break,
                Err(error) if jumps == MOST_JUMPS => return Err(error),
                Err(error) => Box::pin(self.recover(tip, error, deadline)).await?,
            }
        }
        Ok(())
    }

    /// The look at `ctl/head` and at the own slots that confirms whatever was read before.
    async fn look(&self, tip: &mut Tip, deadline: Moment) -> Result<(), Error> {
        let position = tip.state.position;
        let mut seen = head::read_head(&self.environment, tip.state.store, deadline).await?;
        loop {
            let SeenHead { head, at, .. } = seen;
            // INV-9: boundary ≤ the position before anything unconfirmed was read, shown after the reply, proves that the reply told "not yet", and that no
            // slot read since is a ghost.
            if !vouches(head.boundary, tip.trusted) {
                return Err(Error::Truncated { boundary: head.boundary, position: tip.trusted });
            }
            if head.epoch != tip.state.epoch {
                let reason = format!("ctl/head is in epoch {}, this handle in {}", head.epoch, tip.state.epoch);
                return Err(Error::RolledBack { reason });
            }
            match self.check_still_there(tip, head.boundary, deadline).await {
                Ok(()) => {
                    tip.confirmation.confirm(at);
                    tip.trusted = position;
                    tip.anchor = tip.here();
                    return Ok(());
                }
                // Whoever stood still between two requests may find that slots went which nobody needs any more.
                Err(error @ Error::RolledBack { .. }) => {
                    seen = head::read_head(&self.environment, tip.state.store, deadline).await?;
                    if seen.head.boundary <= head.boundary {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the log goes on behind a hole at the tail, as it does where only part of a bucket was restored: one listing, when a handle is opened.
    ///
    /// # Errors
    /// [`Error::RolledBack`]: a slot is missing between those that are there.
    pub(crate) async fn check_gap(&self, tip: &mut Tip, deadline: Moment) -> Result<(), Error> {
        let next = tip.next();
        let behind = self.environment.list(&keys::log(), Some(&keys::slot(next)), NonZeroUsize::MIN, deadline).await?.value;
        let Some(behind) = behind.entries.first() else { return Ok(()) };
        // Slots are created in order: whoever made that one came after `next` was there.
        self.catch_up(tip, deadline).await?;
        if tip.next() == next {
            return Err(Error::RolledBack { reason: format!("slot {next} is missing, though {} is there", behind.key) });
        }
        Ok(())
    }

    /// INV-10: each confirmation looks whether the own newest slot and the one of the confirmation before are still there as they were, and whether none is
    /// missing between them, so that a bucket that went back is noticed. The newest alone does not tell: whoever has not noticed yet makes its next slot
    /// behind the hole, and finds it there.
    async fn check_still_there(&self, tip: &Tip, boundary: u64, deadline: Moment) -> Result<(), Error> {
        let Some(here) = tip.here().filter(|here| here.seq > boundary) else { return Ok(()) };
        self.check_slot(&here, deadline).await?;
        let Some(before) = tip.anchor.as_ref().filter(|before| before.seq < here.seq && !broken!(CheckNewestAlone)) else { return Ok(()) };
        if before.seq > boundary {
            self.check_slot(before, deadline).await?;
        }
        if !self.environment.store.capabilities().linearizable_list {
            return Ok(());
        }
        let mut last = before.seq.max(boundary);
        while last < here.seq {
            let after = SequenceNumber::new(last).map(keys::slot);
            let page = self.environment.list(&keys::log(), after.as_ref(), LISTED_SLOTS, deadline).await?.value;
            let numbers = page.entries.iter().map(|entry| keys::slot_number(&entry.key).map_or(0, SequenceNumber::get));
            // Each page brings the walk forward or ends it.
            let found = numbers.zip(last + 1..).take_while(|(found, wanted)| found == wanted).count() as u64;
            last += found;
            if found == 0 || (last < here.seq && found < page.entries.len() as u64) {
                return Err(Error::RolledBack { reason: format!("slot {}, which this handle applied, is gone", last + 1) });
            }
        }
        Ok(())
    }

    async fn check_slot(&self, slot: &Anchor, deadline: Moment) -> Result<(), Error> {
        let Some(seq) = SequenceNumber::new(slot.seq) else { return Ok(()) };
        let options = GetOptions::if_changed_from(slot.revision.clone());
        let found = self.environment.read(&keys::slot(seq), options, deadline).await?.value;
        let reason = match found {
            Get::NotModified => return Ok(()),
            Get::Found(object) if ContentHash::of(&object.bytes) == slot.hash => return Ok(()),
            Get::Found(_) => format!("slot {seq} is no longer the one this handle applied"),
            Get::Absent => format!("slot {seq}, which this handle applied, is gone"),
        };
        Err(Error::RolledBack { reason })
    }
}

/// The transactions in the object of a blob that must have this hash.
async fn open_blob<M: StateMachine>(
    bytes: Bytes,
    hash: ContentHash,
    count: u32,
    task: Option<&Beside>,
) -> Result<Orders<M::Command>, CodecError> {
    let open = move || {
        let body = codec::open(ObjectKind::Blob, "blob", &bytes)?;
        if ContentHash::of(body) != hash {
            return Err(CodecError::corrupt("blob", "its content is not what the batch names"));
        }
        Ok(decoding::orders::<M>(&bytes.slice_ref(body), count))
    };
    beside(task, open).await
}
