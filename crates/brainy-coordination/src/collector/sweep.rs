//! Slots up to the collected boundary, and what batches left: intents and blobs.

use std::collections::BTreeMap;

use brainy_core::{ContentHash, SequenceNumber, WriterId};
use brainy_storage::{Entry, Get, GetOptions, Key, Prefix};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};

use crate::batch::Transaction;
use crate::collector::{Collector, MOST_GIVEN_UP, PAGE, Removed, Round};
use crate::descriptor::Truncation;
use crate::error::Error;
use crate::garbage::{self, BlobName};
use crate::helping::{IntentName, is_dead};
use crate::keys;
use crate::machine::StateMachine;
use crate::mutants::broken;
use crate::protocol::ProtocolOperation;
use crate::queue::Outcome;
use crate::slot;
use crate::state::LogState;
use crate::token::OpId;

/// Slots that are overwritten at once.
const PARALLEL_WRITES: usize = 32;
/// A collector that died may have left so many slots before the last one it overwrote.
const OVERWRITTEN_AT_ONCE: u64 = 1_000;

/// What is left of a batch, by its place in the store.
#[derive(Clone, Debug)]
enum Left {
    Intent(IntentName),
    Blob(BlobName),
}

impl Left {
    fn of(key: &Key) -> Option<Self> {
        keys::intent_name(key).map(Self::Intent).or_else(|| keys::blob_name(key).map(Self::Blob))
    }

    const fn batch(&self) -> &IntentName {
        match self {
            Self::Intent(name) => name,
            Self::Blob(blob) => &blob.batch,
        }
    }
}

/// What is to be done about it.
enum Fate {
    Garbage,
    /// Undecided: its writer may be dead.
    Undecided,
    Needed,
}

impl<M: StateMachine> Collector<M> {
    /// Removes intents and blobs that are garbage, and gives up batches whose writers have been silent.
    pub(super) async fn leftovers(&mut self, round: &mut Round) -> Result<(), Error> {
        let mut undecided = self.sweep(round, &keys::inbox()).await?;
        undecided.extend(self.sweep(round, &keys::blobs()).await?);
        let keys: Vec<Key> = undecided.iter().map(|(entry, _)| entry.key.clone()).collect();
        let silent = self.watch(&keys, "inbox/", "blob/");
        if !undecided.is_empty() {
            round.report.wait(self.options.silence);
        }
        undecided.retain(|(entry, _)| silent.contains(&entry.key));
        if self.options.dry_run {
            for (entry, left) in &undecided {
                count(round, left).add(entry);
            }
            return Ok(());
        }
        undecided.truncate(MOST_GIVEN_UP);
        self.give_up(round, &undecided).await?;
        let mut over = Vec::new();
        for (entry, left) in undecided {
            if matches!(self.fate(round, &left, None).await?, Fate::Garbage) {
                count(round, &left).add(&entry);
                over.push(entry.key);
            }
        }
        self.delete(round, over).await
    }

    /// Removes the garbage of one folder; returns what is undecided.
    async fn sweep(&mut self, round: &mut Round, folder: &Prefix) -> Result<Vec<(Entry, Left)>, Error> {
        let mut undecided = Vec::new();
        // A blob's slot may show by the next batch of its writer: the newest of each waits for it. Keys come by base, so by number too.
        let mut newest: BTreeMap<WriterId, (Entry, Left)> = BTreeMap::new();
        let mut after = None;
        loop {
            round.report.requests.list += 1;
            let page = self.log.environment().list(folder, after.as_ref(), PAGE, round.deadline).await?.value;
            let mut over = Vec::new();
            after = page.entries.last().map(|entry| entry.key.clone());
            for entry in page.entries {
                // What is no name of ours is not ours to remove.
                let Some(left) = Left::of(&entry.key) else { continue };
                let (writer, base, wseq) = (left.batch().writer, left.batch().base, left.batch().wseq);
                let Some((entry, left)) = newest.insert(writer, (entry, left)) else { continue };
                let successor = (left.batch().wseq < wseq).then_some(base);
                self.sort_out(round, entry, left, successor, &mut over, &mut undecided).await?;
            }
            if !page.more || after.is_none() {
                for (entry, left) in std::mem::take(&mut newest).into_values() {
                    self.sort_out(round, entry, left, None, &mut over, &mut undecided).await?;
                }
                self.remove(round, over).await?;
                return Ok(undecided);
            }
            self.remove(round, over).await?;
        }
    }

    async fn sort_out(
        &self,
        round: &mut Round,
        entry: Entry,
        left: Left,
        successor: Option<u64>,
        over: &mut Vec<Key>,
        undecided: &mut Vec<(Entry, Left)>,
    ) -> Result<(), Error> {
        match self.fate(round, &left, successor).await? {
            Fate::Garbage => {
                count(round, &left).add(&entry);
                over.push(entry.key);
            }
            Fate::Undecided => undecided.push((entry, left)),
            Fate::Needed => {}
        }
        Ok(())
    }

    async fn remove(&self, round: &mut Round, over: Vec<Key>) -> Result<(), Error> {
        if self.options.dry_run { Ok(()) } else { self.delete(round, over).await }
    }

    /// What is to be done about something that a batch left, at a position that is confirmed.
    async fn fate(&self, round: &Round, left: &Left, successor: Option<u64>) -> Result<Fate, Error> {
        let collected = round.collected;
        let judge = |state: &LogState| {
            let garbage = match left {
                Left::Intent(name) if broken!(InboxByNumberAlone) => state.writer(name.writer).is_some_and(|last| last.wseq >= name.wseq),
                Left::Intent(name) => is_dead(state, name),
                Left::Blob(blob) if broken!(BlobByNumberAlone) => {
                    state.writer(blob.batch.writer).is_some_and(|last| last.wseq >= blob.batch.wseq)
                }
                Left::Blob(blob) => garbage::is_blob_garbage(state, blob, collected, false, successor),
            };
            match garbage {
                true => Fate::Garbage,
                false if garbage::can_be_given_up(state, left.batch()) => Fate::Undecided,
                false => Fate::Needed,
            }
        };
        self.judge(judge).await
    }

    /// Asks the log to decide these numbers without their batches. A batch that is carried first is committed instead.
    async fn give_up(&self, round: &mut Round, silent: &[(Entry, Left)]) -> Result<(), Error> {
        let mut sent = Vec::new();
        let mut asked = std::collections::BTreeSet::new();
        for (entry, left) in silent {
            let batch = left.batch();
            if !asked.insert((batch.writer, batch.wseq)) {
                continue;
            }
            // The hash is for people: what a number decides does not depend on it, and only the batch itself could tell its own.
            let hash = ContentHash::of(entry.key.as_str().as_bytes());
            let op = OpId { writer: batch.writer, wseq: batch.wseq, index: 0, base: batch.base, hash };
            let cancel = Transaction::protocol(ProtocolOperation::Cancel { op });
            sent.push(self.log.submit(&cancel, round.deadline)?);
        }
        for pending in sent {
            if let Outcome::Committed(receipt) = pending.outcome().await? {
                round.report.given_up += u64::from(receipt.changed.unwrap_or(0) > 0);
            }
        }
        Ok(())
    }

    /// Removes the slots up to the collected boundary, oldest first.
    pub(super) async fn slots(&mut self, round: &mut Round) -> Result<(), Error> {
        let overwrite = self.log.descriptor().constants.truncation == Truncation::Tombstone;
        let marker = slot::tombstone(self.log.descriptor().store);
        let mut after = None;
        if overwrite {
            let from = self.first_slot_left(round).await?;
            after = SequenceNumber::new(from.saturating_sub(1)).map(keys::slot);
        }
        loop {
            round.report.requests.list += 1;
            let page = self.log.environment().list(&keys::log(), after.as_ref(), PAGE, round.deadline).await?.value;
            let more = page.more;
            after = page.entries.last().map(|entry| entry.key.clone());
            let mut beyond = false;
            let mut old = Vec::new();
            for entry in page.entries {
                let Some(seq) = keys::slot_number(&entry.key) else { continue };
                beyond = seq.get() > round.collected;
                if beyond {
                    break;
                }
                // A slot's header alone is larger.
                if !(overwrite && entry.size == marker.len() as u64) {
                    round.report.slots.add(&entry);
                    old.push(entry.key);
                }
            }
            if !self.options.dry_run {
                if overwrite {
                    self.overwrite(round, &marker, old).await?;
                } else {
                    self.delete(round, old).await?;
                }
            }
            if beyond || !more || after.is_none() {
                break;
            }
        }
        if !self.options.dry_run {
            self.overwritten = round.collected;
        }
        Ok(())
    }

    /// Slots are never free again, so no condition is needed: whoever wrote the marker last wrote the same.
    async fn overwrite(&self, round: &mut Round, marker: &Bytes, old: Vec<Key>) -> Result<(), Error> {
        round.report.requests.put += old.len() as u64;
        let (environment, deadline) = (self.log.environment(), round.deadline);
        futures_util::stream::iter(old)
            .map(|key| async move { environment.write(&key, marker.clone(), deadline).await })
            .buffered(PARALLEL_WRITES)
            .try_for_each(|_| std::future::ready(Ok(())))
            .await?;
        Ok(())
    }

    /// In a log whose slots are overwritten: a number before which all are. Found by halving, since they are overwritten in order.
    async fn first_slot_left(&self, round: &mut Round) -> Result<u64, Error> {
        let (mut low, mut high) = (self.overwritten.max(self.log.descriptor().first_seq - 1), round.collected);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            let Some(seq) = SequenceNumber::new(middle) else { break };
            round.report.requests.get += 1;
            let found = self.log.environment().read(&keys::slot(seq), GetOptions::whole(), round.deadline).await?.value;
            if matches!(&found, Get::Found(object) if slot::is_tombstone(&object.bytes)) { low = middle } else { high = middle - 1 }
        }
        Ok(low.saturating_sub(OVERWRITTEN_AT_ONCE).max(self.overwritten))
    }
}

const fn count<'a>(round: &'a mut Round, left: &Left) -> &'a mut Removed {
    match left {
        Left::Intent(_) => &mut round.report.intents,
        Left::Blob(_) => &mut round.report.blobs,
    }
}
