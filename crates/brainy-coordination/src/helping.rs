//! Who carries whose batches: pure decisions about the inbox (DESIGN §4.3).
//!
//! A writer that keeps losing leaves its batch in the inbox as an *intent*; whoever creates a slot carries the intents it knows of. That somebody looks is a duty of
//! the log: a slot may only be created if a listing of the inbox, the creator's own or one that an earlier slot vouches for, began less than K slots before it.

#[cfg(test)]
mod tests;

use brainy_core::WriterId;

use crate::mutants::broken;
use crate::state::LogState;

/// What an intent's key says. Ordered as the keys are: oldest base first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntentName {
    /// The tail that its writer had applied when it formed the batch.
    pub base: u64,
    /// Its writer.
    pub writer: WriterId,
    /// Its writer's number.
    pub wseq: u64,
}

/// An intent as a listing showed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub name: IntentName,
    /// Bytes it takes in a slot.
    pub bytes: u64,
    /// Nobody can read it: it is left out, and refused by an operation in the creator's next batch.
    pub unreadable: bool,
}

/// What a listing of the inbox showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// The tail that the creator had applied before the listing began.
    pub tail: u64,
    /// Intents that were pending then, in the order of their keys.
    pub pending: Vec<Listed>,
    /// Where the listing was given up, pending or not; none: it was read to its end.
    pub cut_at: Option<IntentName>,
}

/// A listing of the inbox under way: what is pending, in the order of the keys, until a slot is full of it or the listing ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Listing {
    /// The tail that the creator had applied before it began.
    pub tail: u64,
    /// What was pending so far; its own apart.
    pub names: Vec<IntentName>,
    /// Where it was given up.
    pub cut_at: Option<IntentName>,
    bytes: u64,
    limit: u64,
}

impl Listing {
    /// One that is given up at the first pending intent beyond `limit` bytes.
    pub const fn begin(tail: u64, limit: u64) -> Self {
        Self { tail, names: Vec::new(), cut_at: None, bytes: 0, limit }
    }

    /// Takes the next key, of an object of `size` bytes, by somebody who stands at `state` and whose intents of identity `own` need no listing. Whether it is pending.
    pub fn take(&mut self, state: &LogState, name: IntentName, size: u64, own: Option<WriterId>) -> bool {
        if !is_pending(state, &name, state.position + 1) {
            if broken!(CountDeadKeys) {
                self.bytes += size;
            }
            return false;
        }
        if self.bytes >= self.limit {
            self.cut_at = Some(name);
        } else if Some(name.writer) != own {
            self.bytes += size;
            self.names.push(name);
        }
        true
    }
}

/// What the next slot is to carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Strangers' intents, in this order.
    pub carried: Vec<IntentName>,
    /// Up to which tail every intent that was visible then has been carried: by this slot or one before.
    pub scan_base: u64,
    /// The tail before the creator's own listing, where that was cut short, so that `scan_base` lies before it.
    pub listed: Option<u64>,
}

/// Whether a batch with this name may still take effect as slot `slot`: the one place that decides which copies of a batch count.
///
/// Its number is its writer's next, its base lies less than H slots back, and not before the writer's newest decided number.
pub fn stands_next(last: Option<(u64, u64)>, name: &IntentName, slot: u64, horizon: u64) -> bool {
    let (wseq, decided) = last.unwrap_or((0, 0));
    let fresh = name.base < slot && (slot - name.base <= horizon || broken!(ApplyStale));
    // INV-4: a number counts once, in turn.
    let in_turn = wseq.checked_add(1) == Some(name.wseq) && decided <= name.base;
    fresh && (in_turn || broken!(ApplyOutOfTurn))
}

/// Whether an intent waits for a slot: whoever creates slot `slot` on top of `state` carries it.
pub fn is_pending(state: &LogState, name: &IntentName, slot: u64) -> bool {
    stands_next(last_of(state, name.writer), name, slot, state.horizon())
}

/// Whether an intent can never take effect after `state`, which must be confirmed: anybody may delete it.
pub fn is_dead(state: &LogState, name: &IntentName) -> bool {
    let stale = (state.position + 1).saturating_sub(name.base) > state.horizon();
    (stale && !broken!(KeepStaleKeys)) || last_of(state, name.writer).is_some_and(|(wseq, slot)| name.wseq <= wseq || slot > name.base)
}

/// A writer's newest decided number, and the slot that decided it.
pub fn last_of(state: &LogState, writer: WriterId) -> Option<(u64, u64)> {
    state.writer(writer).map(|record| (record.wseq, record.slot))
}

/// What the slot after `state` carries, created by `own` with `room` bytes for strangers; none: it may not be created before the inbox is listed anew.
///
/// INV-20: a slot s is created only on a listing that began at a tail t with s − 1 − t < K: the creator's own, if the slot carries what it showed, in order, until
/// it is full or the listing ended, or one that a slot before vouches for. Intents are carried oldest base first and none is skipped, so that
/// an intent visible at tail N is committed by slot N + K + ⌈(W − 1) / C⌉ for W writers with a batch in play and room for C.
pub fn plan(state: &LogState, own: Option<WriterId>, scan: Option<&Scan>, room: u64, k: u64) -> Option<Plan> {
    let position = state.position;
    let young = |tail: u64| position.saturating_sub(tail) < if broken!(ListForEverySlot) { 1 } else { k };
    let inherits = young(state.scan_base);
    let Some(scan) = scan else {
        let plan = Plan { carried: Vec::new(), scan_base: state.scan_base, listed: None };
        return (inherits || broken!(DropScan)).then_some(plan);
    };
    let slot = position + 1;
    let pending = scan.pending.iter().filter(|listed| Some(listed.name.writer) != own && is_pending(state, &listed.name, slot));
    let (unreadable, mut readable): (Vec<&Listed>, Vec<&Listed>) = pending.partition(|listed| listed.unreadable);
    if broken!(NewestFirst) {
        readable.reverse();
    }
    if broken!(WriterOrder) {
        readable.sort_by_key(|listed| listed.name.writer);
    }
    let mut left = room;
    let fits = readable.iter().take_while(|listed| {
        let fits = listed.bytes <= left && !broken!(CarryNobody);
        left = left.saturating_sub(listed.bytes);
        fits
    });
    let carried: Vec<_> = fits.map(|listed| listed.name).collect();
    let full = readable.get(carried.len()).map(|listed| listed.name);
    // A listing that was given up, all of whose intents were carried, says nothing about those behind it.
    let discharges = young(scan.tail) && (full.is_some() || scan.cut_at.is_none());
    let refused = unreadable.first().map(|listed| listed.name).filter(|_| !broken!(LeaveOutUnreadable));
    let left_out = [full, scan.cut_at, refused].into_iter().flatten().min().filter(|_| !broken!(InheritCutListing));
    // What was left out was visible at its base at the earliest, so every older one was carried.
    let vouched = left_out.map_or(scan.tail, |left| left.base.min(scan.tail));
    let scan_base = state.scan_base.max(vouched);
    let listed = (discharges && scan.tail > scan_base).then_some(scan.tail);
    (inherits || discharges).then_some(Plan { carried, scan_base, listed })
}

/// Whether slot `seq` keeps INV-20, by what its header states. A breach is reported; it changes no effect.
pub fn keeps_scan_rule(seq: u64, scan_base: u64, listed: Option<u64>, k: u64) -> bool {
    let newest = scan_base.max(listed.unwrap_or(0)).min(seq - 1);
    seq - 1 - newest < k
}

/// How often a writer that loses tries by itself before it asks to be carried.
pub const DIRECT_TRIES: u32 = 6;
/// The log is crowded where its last [`CROWD_SLOTS`] slots carried so many strangers' batches: then a batch is left to be carried at once.
pub const CROWD_STRANGERS: u64 = 3;
/// See [`CROWD_STRANGERS`].
pub const CROWD_SLOTS: usize = 4;

/// Where a committer stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stance {
    /// It has a batch that is not decided.
    pub batch: bool,
    /// That batch lies in the inbox.
    pub posted: bool,
    /// How often it tried to commit that batch itself.
    pub tries: u32,
    /// Others' slots carry strangers.
    pub crowded: bool,
    /// It carried somebody in the newest slot and looks for more.
    pub sequencing: bool,
    /// No slot has come for so long that whoever was to make one may be gone.
    pub quiet: bool,
    /// So many slots have come without the batch that nobody may have seen it: a store may lose what it acknowledged.
    pub overdue: bool,
}

/// What a committer does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Create the next slot; `listing`: with what a fresh listing of the inbox shows.
    Create {
        /// Whether to list first even if it is not due.
        listing: bool,
    },
    /// Leave the batch in the inbox.
    Post,
    /// Look whether somebody carried it.
    Watch,
    /// Nothing is to be done.
    Rest,
}

/// What to do next: a policy for speed alone, any step is safe at any time.
pub fn next_step(stance: Stance) -> Step {
    match stance {
        Stance { sequencing: true, .. } => Step::Create { listing: true },
        Stance { posted: true, quiet, overdue, .. } if quiet || overdue => Step::Create { listing: true },
        Stance { batch: false, .. } => Step::Rest,
        Stance { posted: true, .. } => Step::Watch,
        Stance { crowded: true, .. } => Step::Post,
        Stance { tries, .. } if tries > DIRECT_TRIES => Step::Post,
        _ => Step::Create { listing: false },
    }
}

/// Whether to list the inbox beside a create, so that the next one need not wait for it: some of the allowance is left, and whoever lost a race lately will
/// soon be in need of it. `patience` in 0..1 spreads writers who would all list at once, where one of them is enough.
pub fn lists_ahead(position: u64, scan_base: u64, lost_at: Option<u64>, patience: f64, k: u64) -> bool {
    let left = k.saturating_sub(position - scan_base.min(position));
    let early = (patience * (k / 2) as f64) as u64;
    left <= (k / 2).saturating_sub(early).max(1) && lost_at.is_some_and(|lost| position.saturating_sub(lost) <= 2 * k)
}
