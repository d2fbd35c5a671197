//! Where one replica stands, and how it takes the next slot in.

use std::collections::VecDeque;

use brainy_core::{ContentHash, SequenceNumber, SetHash, Version, WriterId};
use brainy_storage::{Key, Revision};
use bytes::Bytes;

use crate::apply::{self, LoadedBatch, Staged};
use crate::confirmation::Confirmation;
use crate::decide::{Decided, Watch};
use crate::descriptor::{Constants, Descriptor, RULES};
use crate::error::Error;
use crate::helping::{CROWD_SLOTS, CROWD_STRANGERS, Plan, keeps_scan_rule};
use crate::keys;
use crate::machine::{Retired, StateMachine, Summary};
use crate::make::Known;
use crate::slot::{self, Header, Slot, StatedSummary};
use crate::state::LogState;
use crate::token::{OpId, Token};

/// So many hashes of past slots a handle remembers, to tell a token of a rolled-back future from a known one.
const REMEMBERED_SLOTS: usize = 1_024;

/// A slot that was applied, to look whether it is still there.
#[derive(Clone, Debug)]
pub(crate) struct Anchor {
    pub(crate) seq: u64,
    pub(crate) hash: ContentHash,
    pub(crate) revision: Revision,
}

/// A replica's position in the log, with the bookkeeping as of it.
#[derive(Debug)]
pub(crate) struct Tip {
    pub(crate) state: LogState,
    pub(crate) confirmation: Confirmation,
    /// Revision of the newest slot's object, to notice a bucket that went back.
    pub(crate) newest: Option<Revision>,
    /// The newest slot at the last confirmation.
    pub(crate) anchor: Option<Anchor>,
    /// A header that states other figures than this replica has.
    pub(crate) diverged: Option<(u64, &'static str)>,
    /// Up to which slot a confirmation vouches for what was read: later ones may be ghosts in a collected stretch.
    pub(crate) trusted: u64,
    /// Slots were read that a power cut might take back.
    pub(crate) unsettled: bool,
    /// The own batch in play, and how it was decided, noted in the very slot that decides it: the state may forget it later.
    watched: Option<Watch>,
    /// A panic left the machine between two slots.
    torn: bool,
    /// Hashes of the last slots, oldest first; the newest is that of `state.position`.
    hashes: VecDeque<ContentHash>,
    /// This replica's figures after the last slots, for headers that lag; oldest first.
    summaries: VecDeque<(u64, Summary, SetHash)>,
    summary_lag: usize,
    /// Who made each of the last slots, and how many strangers it carried.
    recent: VecDeque<(WriterId, u64)>,
    /// Bytes of the newest own slot beside its batches.
    pub(crate) header_bytes: u64,
    pub(crate) constants: Constants,
    /// Slots whose creator broke the scan rule.
    pub(crate) breaches: u64,
}

impl Tip {
    pub(crate) fn new(known: &Known) -> Self {
        let Descriptor { store, first_seq, constants, rules, .. } = &known.descriptor;
        let before_first = first_seq - 1;
        let state = LogState::new(*store, brainy_core::Epoch::FIRST, before_first, known.hash, *rules, constants);
        Self {
            state,
            confirmation: Confirmation::new(constants),
            newest: None,
            anchor: None,
            diverged: None,
            trusted: before_first,
            unsettled: false,
            watched: None,
            torn: false,
            hashes: VecDeque::from([known.hash]),
            summaries: VecDeque::new(),
            summary_lag: usize::try_from(constants.summary_lag_slots).unwrap_or(usize::MAX).min(REMEMBERED_SLOTS),
            recent: VecDeque::new(),
            header_bytes: 0,
            constants: *constants,
            breaches: 0,
        }
    }

    pub(crate) fn next(&self) -> SequenceNumber {
        SequenceNumber::new(self.state.position + 1).expect("one more than a number is not 0")
    }

    pub(crate) fn token(&self) -> Token {
        Token { store: self.state.store, epoch: self.state.epoch, seq: self.state.position, hash: self.state.slot_hash }
    }

    /// The position after slot `seq`, or the present one where its hash is no longer remembered.
    pub(crate) fn token_of(&self, seq: u64) -> Token {
        match self.hash_of(seq) {
            Some(hash) => Token { store: self.state.store, epoch: self.state.epoch, seq, hash },
            None => self.token(),
        }
    }

    /// Hash of slot `seq`, while it is remembered.
    pub(crate) fn hash_of(&self, seq: u64) -> Option<ContentHash> {
        let back = usize::try_from(self.state.position.checked_sub(seq)?).ok()?;
        self.hashes.get(self.hashes.len().checked_sub(back + 1)?).copied()
    }

    /// # Errors
    /// [`Error::Diverged`]: this replica stopped answering; [`Error::Closed`]: a panic interrupted its last slot.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.check_whole()?;
        match self.diverged {
            Some((seq, section)) => Err(Error::Diverged { seq, section }),
            None => Ok(()),
        }
    }

    fn check_whole(&self) -> Result<(), Error> {
        if self.torn { Err(Error::Closed { cause: format!("a panic interrupted slot {}", self.next()) }) } else { Ok(()) }
    }

    /// The newest slot, if its object is known.
    pub(crate) fn here(&self) -> Option<Anchor> {
        let revision = self.newest.clone()?;
        Some(Anchor { seq: self.state.position, hash: self.state.slot_hash, revision })
    }

    /// Whether an answer may rest on this position: confirmed, and not to be taken back by a power cut.
    pub(crate) fn is_firm(&self) -> bool {
        self.trusted == self.state.position && !self.unsettled
    }

    /// # Errors
    /// [`Error::Rules`]: the next slot's rules are not known to this build. It reads and writes nothing from there on. [`Error::Closed`]: a panic
    /// interrupted the last slot, so what the machine holds is not known.
    pub(crate) fn check_next(&self) -> Result<(), Error> {
        self.check_whole()?;
        if self.state.rules > RULES {
            return Err(Error::Rules { seq: self.next().get(), rules: self.state.rules, known: RULES });
        }
        Ok(())
    }

    /// Whether `slot` follows this position.
    ///
    /// # Errors
    /// [`Error::ForeignObject`], [`Error::RolledBack`], [`Error::Rules`].
    pub(crate) fn check_follows(&self, slot: &Slot) -> Result<(), Error> {
        let Header { seq, previous, store, epoch, .. } = &slot.header;
        let key = keys::slot(self.next());
        // INV-3: every object names its store; two stores under one prefix stop each other's users instead of mixing.
        if *store != self.state.store {
            return Err(Error::ForeignObject { key: key.to_string(), found: *store, expected: self.state.store });
        }
        if *seq != self.next() {
            let reason = format!("its header says slot {seq}");
            return Err(Error::bytes(key, brainy_core::CodecError::corrupt("slot", reason)));
        }
        // INV-2: the hash chain: a slot names the bytes of the one before it.
        if *previous != self.state.slot_hash || *epoch != self.state.epoch {
            let reason = format!("slot {seq} does not follow the slot {} that this handle applied", self.state.position);
            return Err(Error::RolledBack { reason });
        }
        self.check_next()
    }

    /// The header and object of the slot that `staged` is, by a creator that holds the whole state. One whose figures differ from those of a header
    /// before states none: its own may be the wrong ones.
    pub(crate) fn slot_of<V, C>(
        &mut self,
        staged: &Staged<V>,
        creator: WriterId,
        at_ms: u64,
        batches: &[LoadedBatch<C>],
        plan: &Plan,
    ) -> (Header, Bytes) {
        let seq = self.next();
        let mut verdicts: Vec<_> = self.state.unstated().iter().cloned().collect();
        verdicts.push(staged.bits.clone());
        let header = Header {
            seq,
            previous: self.state.slot_hash,
            store: self.state.store,
            epoch: self.state.epoch,
            creator,
            scan_base: plan.scan_base,
            listed: plan.listed,
            rules: self.state.rules,
            at_ms,
            tokens: apply::tokens(&self.state),
            summary: self.diverged.is_none().then(|| StatedSummary {
                as_of: seq.get(),
                counters: staged.summary.counters.clone(),
                machine: staged.summary.digest,
                bookkeeping: staged.bookkeeping,
                verdicts,
            }),
        };
        let batches: Vec<Bytes> = batches.iter().filter_map(LoadedBatch::bytes).cloned().collect();
        let object = slot::encode(&header, &batches);
        self.header_bytes = object.len() as u64 - batches.iter().map(|batch| batch.len() as u64).sum::<u64>();
        (header, object)
    }

    /// Whether others made some of the last slots.
    pub(crate) fn is_shared_with_others(&self, own: WriterId) -> bool {
        self.recent.iter().any(|(creator, _)| *creator != own)
    }

    /// Whether others carry strangers: then it is better to be carried than to race them.
    pub(crate) fn is_crowded_by_others(&self, own: WriterId) -> bool {
        let strangers: u64 = self.recent.iter().map(|(_, strangers)| strangers).sum();
        strangers >= CROWD_STRANGERS && self.recent.iter().any(|(creator, _)| *creator != own)
    }

    /// Takes the next slot in: its effects become the machine's and the bookkeeping's, its header is compared with them.
    pub(crate) fn install<M: StateMachine>(
        &mut self,
        machine: &M,
        staged: Staged<M::View>,
        header: &Header,
        hash: ContentHash,
        revision: Option<Revision>,
    ) -> Retired {
        let seq = header.seq.get();
        if !keeps_scan_rule(seq, header.scan_base, header.listed, self.constants.scan_slots) {
            // INV-20: its batches count all the same.
            self.breaches += 1;
            tracing::warn!(seq, scan_base = header.scan_base, creator = %header.creator, "a slot was created without a listing that was due");
        }
        self.recent.push_back((header.creator, staged.batches.saturating_sub(1)));
        if self.recent.len() > CROWD_SLOTS {
            self.recent.pop_front();
        }
        let version = Version { epoch: self.state.epoch, seq: header.seq, ordinal: u32::MAX };
        self.torn = true;
        let retired = machine.install(staged.view, version);
        self.summaries.push_back((seq, staged.summary, staged.bookkeeping));
        // One more than D: a header may state figures as of D slots before its own.
        if self.summaries.len() > self.summary_lag.saturating_add(1) {
            self.summaries.pop_front();
        }
        // INV-7: header fields never decide effects; a difference stops this replica's answers and names slot and section.
        let section = self.compare_header(header, &staged.bits);
        let stated = header.summary.as_ref().map(|stated| stated.as_of);
        self.state.install(staged.delta, hash, header.scan_base, staged.bits, stated);
        self.hashes.push_back(hash);
        if self.hashes.len() > REMEMBERED_SLOTS {
            self.hashes.pop_front();
        }
        self.newest = revision;
        if self.diverged.is_none() {
            self.diverged = section.map(|section| (seq, section));
        }
        if self.diverged.is_some_and(|(seq, _)| staged.overrides.contains(&seq)) {
            self.diverged = None;
        }
        if let Some(watched) = &mut self.watched {
            watched.note(&self.state);
        }
        self.torn = false;
        retired
    }

    /// Takes a whole state in, in place of the slots up to it.
    ///
    /// # Errors
    /// [`Error::Machine`], [`Error::Bytes`]: the machine does not take it, or came to another state than it should; in the latter case the handle ends.
    pub(crate) fn restore<M: StateMachine>(&mut self, machine: &M, loaded: LoadedState) -> Result<(), Error> {
        let LoadedState { state, snapshot, digest, key } = loaded;
        machine.restore(&snapshot)?;
        self.torn = true;
        let summary = machine.summary();
        // INV-30: the machine's digest is the published one.
        if summary.digest != digest {
            return Err(Error::bytes(key, brainy_core::CodecError::corrupt("snapshot", "the state in it has another digest")));
        }
        self.diverged = self.diverged.filter(|(seq, _)| *seq > state.position);
        (self.newest, self.anchor) = (None, None);
        let trusted = std::mem::replace(&mut self.trusted, state.position);
        self.unsettled = false;
        self.hashes = VecDeque::from([state.slot_hash]);
        self.summaries = VecDeque::from([(state.position, summary, state.digest())]);
        self.recent.clear();
        self.state = state;
        if let Some(watched) = &mut self.watched {
            watched.note_after_jump(&self.state, trusted);
        }
        self.torn = false;
        Ok(())
    }

    /// The section in which a header differs from this replica, which stands before its slot.
    fn compare_header(&self, header: &Header, bits: &[u8]) -> Option<&'static str> {
        if header.rules != self.state.rules {
            return Some("apply rules");
        }
        if header.tokens != *self.state.claims() {
            return Some("lease tokens");
        }
        header.summary.as_ref().and_then(|stated| self.compare(stated, bits))
    }

    /// The section in which a header differs from this replica. Figures older than this replica remembers are not judged.
    fn compare(&self, stated: &StatedSummary, bits: &[u8]) -> Option<&'static str> {
        if stated.as_of > self.next().get() {
            return Some("position of the figures");
        }
        let covered = usize::try_from(stated.as_of.checked_sub(self.state.stated())?).ok()?;
        let mine: Vec<&[u8]> = self.state.unstated().iter().map(Vec::as_slice).chain([bits]).take(covered).collect();
        if stated.verdicts.iter().map(Vec::as_slice).ne(mine) {
            return Some("verdicts");
        }
        let (_, summary, bookkeeping) = self.summaries.iter().find(|(seq, ..)| *seq == stated.as_of)?;
        if stated.counters != summary.counters {
            Some("counters")
        } else if stated.machine != summary.digest {
            Some("state digest")
        } else if stated.bookkeeping != *bookkeeping {
            Some("bookkeeping digest")
        } else {
            None
        }
    }

    /// The bookkeeping digest that this replica had after slot `seq`, while it is remembered.
    #[cfg(test)]
    pub(crate) fn summary_at(&self, seq: u64) -> Option<SetHash> {
        self.summaries.iter().find(|(known, ..)| *known == seq).map(|(.., bookkeeping)| *bookkeeping)
    }

    /// From here on, notes how the batch of `op` is decided.
    pub(crate) fn watch(&mut self, op: OpId) {
        self.watched = Some(Watch::new(&self.state, op));
    }

    /// How the watched batch was decided, if it was.
    pub(crate) fn decision(&self) -> Option<&Decided> {
        self.watched.as_ref().and_then(Watch::decided)
    }
}

/// A state as a manifest describes it, checked but for the machine's own part.
#[derive(Debug)]
pub(crate) struct LoadedState {
    pub(crate) state: LogState,
    /// The machine's part.
    pub(crate) snapshot: Bytes,
    /// What the machine must come to.
    pub(crate) digest: SetHash,
    /// Whence it came.
    pub(crate) key: Key,
}

/// A slot with everything that applying it needs.
#[derive(Debug)]
pub(crate) struct LoadedSlot<C> {
    pub(crate) slot: Slot,
    pub(crate) batches: Vec<LoadedBatch<C>>,
    pub(crate) revision: Revision,
}
