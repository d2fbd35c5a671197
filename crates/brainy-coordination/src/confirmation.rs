//! Whether a reply still tells "not yet" from "no longer" (DESIGN §4.6).

use brainy_storage::StoreTime;

use crate::descriptor::{Constants, Truncation};
use crate::mutants::broken;

/// How long an instance may trust what it reads at the tail before it must look at the collection boundary again.
///
/// INV-9: a 404, a create's success, a slot read or a helped acknowledgement counts only if its own reply's time is less than G/4 after the last
/// `ctl/head` read that showed boundary ≤ position. Times are the store's: a local clock stops while a machine is suspended. A 404 that counts extends
/// nothing: it would prove the boundary as well, but not that the own newest slot is still there (INV-10), and an idle handle would never look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "simulation", derive(Hash))]
pub struct Confirmation {
    truncation: Truncation,
    trusted_ms: u64,
    confirmed_at: Option<StoreTime>,
    /// The newest reply of those that nothing has vouched for yet.
    resting_on: Option<StoreTime>,
    /// One of those replies has no time.
    undated: bool,
}

impl Confirmation {
    /// Nothing is confirmed yet.
    pub const fn new(constants: &Constants) -> Self {
        Self { truncation: constants.truncation, trusted_ms: constants.grace_ms / 4, confirmed_at: None, resting_on: None, undated: false }
    }

    /// Notes that a slot was taken in on the strength of a reply with this time. Replies come in another order than the store gave them: what is answered in the end
    /// counts only if each of them does.
    pub fn rest_on(&mut self, reply: Option<StoreTime>) {
        if broken!(SlotConfirms) {
            self.confirm(reply);
        }
        self.note(reply);
    }

    fn note(&mut self, reply: Option<StoreTime>) {
        if broken!(TrustLastReply) {
            (self.resting_on, self.undated) = (None, false);
        }
        self.undated |= reply.is_none();
        self.resting_on = self.resting_on.max(reply);
    }

    /// Takes the last reply, with this time: a 404 (`absent`), a create's success or a slot. Whether it and all before it count as they are; else `ctl/head` has to be read after them.
    pub fn take(&mut self, reply: Option<StoreTime>, absent: bool) -> bool {
        self.note(reply);
        let counts = match (self.truncation, self.confirmed_at, self.resting_on) {
            _ if broken!(TrustNotFound) && absent => true,
            _ if broken!(SkipBoundary) && !absent => true,
            (Truncation::Tombstone, ..) => true,
            (Truncation::Delete, Some(confirmed), Some(newest)) if !self.undated => {
                newest.as_ms().saturating_sub(confirmed.as_ms()) < self.trusted_ms
            }
            (Truncation::Delete, ..) => false,
        };
        if counts {
            let by_absence = absent && broken!(ConfirmByAbsence);
            let by_slot = !absent && broken!(SlotConfirms);
            self.confirm(reply.filter(|_| by_absence || by_slot));
        }
        counts
    }

    /// A `ctl/head` read with this time showed boundary ≤ position, and the own newest slot, if there is one, was as it was: it vouches for everything that was
    /// read before.
    pub fn confirm(&mut self, reply: Option<StoreTime>) {
        // Front ends' clocks differ a little: confirmation never moves back.
        self.confirmed_at = self.confirmed_at.max(reply);
        (self.resting_on, self.undated) = (None, false);
    }

    /// The same with its times changed: a model keeps how old they are.
    #[cfg(feature = "simulation")]
    pub fn with_times(mut self, change: impl Fn(StoreTime) -> StoreTime) -> Self {
        self.confirmed_at = self.confirmed_at.map(&change);
        self.resting_on = self.resting_on.map(&change);
        self
    }
}

/// Whether a boundary that was read after everything beyond `trusted` shows that none of it was a ghost, and that a 404 told "not yet".
pub const fn vouches(boundary: u64, trusted: u64) -> bool {
    boundary <= trusted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Option<StoreTime> {
        Some(StoreTime::from_ms(ms))
    }

    fn takes(mut confirmation: Confirmation, reply: Option<StoreTime>, absent: bool) -> bool {
        confirmation.take(reply, absent)
    }

    #[test]
    fn inv_9_a_reply_counts_only_within_a_quarter_of_the_grace_after_a_confirmation() {
        let fresh = Confirmation::new(&Constants::new(Truncation::Delete));
        let quarter = Constants::GRACE_MS / 4;
        assert!(!takes(fresh, at(1_000), true), "INV-9: nothing was confirmed yet");
        let mut confirmed = fresh;
        confirmed.confirm(at(1_000));
        let counts = |reply| takes(confirmed, reply, false);
        assert!(counts(at(1_000 + quarter - 1)));
        assert!(!counts(at(1_000 + quarter)));
        assert!(!counts(None), "a reply without time proves nothing");
        confirmed.confirm(at(500));
        assert!(takes(confirmed, at(1_000 + quarter - 1), false), "confirmation never moves back");
    }

    #[test]
    fn inv_9_what_counts_confirms_nothing() {
        let quarter = Constants::GRACE_MS / 4;
        let mut confirmation = Confirmation::new(&Constants::new(Truncation::Delete));
        confirmation.confirm(at(1_000));
        assert!(confirmation.take(at(1_000 + quarter - 1), false) && confirmation.take(at(1_000 + quarter - 1), true));
        assert!(!takes(confirmation, at(1_000 + quarter), false), "INV-9");
        assert!(!takes(confirmation, at(1_000 + quarter), true), "INV-9: nor does a 404");
    }

    #[test]
    fn inv_9_an_answer_counts_only_if_every_reply_that_it_rests_on_does() {
        let quarter = Constants::GRACE_MS / 4;
        let mut confirmation = Confirmation::new(&Constants::new(Truncation::Delete));
        confirmation.confirm(at(1_000));
        confirmation.rest_on(at(1_000 + quarter));
        assert!(!confirmation.take(at(1_000), true), "INV-9: a slot that was read too late, beside a 404 that was read in time");
        confirmation.confirm(at(1_000 + quarter));
        assert!(confirmation.take(at(1_000 + quarter), true), "ctl/head vouched for it");
        confirmation.rest_on(None);
        assert!(!confirmation.take(at(1_000 + quarter), true), "INV-9: a slot without time");
    }

    #[test]
    fn a_store_that_only_overwrites_old_slots_needs_no_confirmation() {
        assert!(Confirmation::new(&Constants::new(Truncation::Tombstone)).take(None, true));
    }
}
