//! Whether a reply still tells "not yet" from "no longer" (DESIGN §4.6).

use brainy_storage::StoreTime;

use crate::descriptor::{Constants, Truncation};

/// How long an instance may trust what it reads at the tail before it must look at the collection boundary again.
///
/// INV-9: a 404, a create's success, a slot read or a helped acknowledgement counts only if its own reply's time is less than G/4 after the last
/// `ctl/head` read that showed boundary ≤ position. Times are the store's: a local clock stops while a machine is suspended. A 404 that counts extends
/// nothing: it would prove the boundary as well, but not that the own newest slot is still there (INV-10), and an idle handle would never look.
#[derive(Clone, Copy, Debug)]
pub struct Confirmation {
    truncation: Truncation,
    trusted_ms: u64,
    confirmed_at: Option<StoreTime>,
}

impl Confirmation {
    /// Nothing is confirmed yet.
    pub const fn new(constants: &Constants) -> Self {
        Self { truncation: constants.truncation, trusted_ms: constants.grace_ms / 4, confirmed_at: None }
    }

    /// Whether a reply with this time on it counts as it is; else `ctl/head` has to be read after it.
    pub fn counts(&self, reply: Option<StoreTime>) -> bool {
        match self.truncation {
            Truncation::Tombstone => true,
            Truncation::Delete => match (self.confirmed_at, reply) {
                (Some(confirmed), Some(reply)) => reply.as_ms().saturating_sub(confirmed.as_ms()) < self.trusted_ms,
                _ => false,
            },
        }
    }

    /// A `ctl/head` read with this time showed boundary ≤ position, and the own newest slot, if there is one, was as it was.
    pub fn confirm(&mut self, reply: Option<StoreTime>) {
        // Front ends' clocks differ a little: confirmation never moves back.
        self.confirmed_at = self.confirmed_at.max(reply);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Option<StoreTime> {
        Some(StoreTime::from_ms(ms))
    }

    #[test]
    fn inv_9_a_reply_counts_only_within_a_quarter_of_the_grace_after_a_confirmation() {
        let mut confirmation = Confirmation::new(&Constants::new(Truncation::Delete));
        let quarter = Constants::GRACE_MS / 4;
        assert!(!confirmation.counts(at(1_000)), "INV-9: nothing was confirmed yet");
        confirmation.confirm(at(1_000));
        assert!(confirmation.counts(at(1_000 + quarter - 1)));
        assert!(!confirmation.counts(at(1_000 + quarter)));
        assert!(!confirmation.counts(None), "a reply without time proves nothing");
        confirmation.confirm(at(500));
        assert!(confirmation.counts(at(1_000 + quarter - 1)), "confirmation never moves back");
    }

    #[test]
    fn a_store_that_only_overwrites_old_slots_needs_no_confirmation() {
        assert!(Confirmation::new(&Constants::new(Truncation::Tombstone)).counts(None));
    }
}
