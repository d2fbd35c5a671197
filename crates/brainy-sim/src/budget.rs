//! What a process may ask of the store for its work (P11), in runs in which anything may go wrong.
//!
//! What one request costs without a fault is held to the number by `frugal` (`scenario.rs`). Here the budget is a line: so many requests for each slot, each call
//! and each second, and some more for each fault that the process met, since it asks again then. It is what keeps a loop from asking for ever.

use std::time::Duration;

use crate::bucket::Request;
use crate::fault::KeyKind;

/// Requests of a handle's beginning, and of some new ones.
const BEGINNING: u64 = 30;
/// Requests that one fault may cost: the request again, and looks at what became of it.
const PER_FAULT: u64 = 4;
/// Reads of one slot: to apply it, for its next slot's sake, to confirm it, and again by the next life of a process.
const READS_PER_SLOT: u64 = 6;
/// Requests of any kind: those for a slot, and those of collectors, readers and lock holders, who work by the clock.
const PER_SLOT: u64 = 10;
const PER_SECOND: u64 = 60;
/// Pages listed before one slot, where K is 1 and the inbox is crowded.
const LISTINGS_PER_SLOT: u64 = 2;

/// Requests of one process, in all its lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) requests: u64,
    /// Creates of slots.
    pub(crate) slots: u64,
    /// Reads of slots.
    pub(crate) reads: u64,
    /// Intents left.
    pub(crate) intents: u64,
    /// Listings of the inbox, by page.
    pub(crate) listings: u64,
    /// Faults that they met.
    pub(crate) faults: u64,
}

impl Asked {
    pub(crate) fn count(&mut self, key: KeyKind, request: &Request) {
        self.requests += 1;
        match (key, request) {
            (KeyKind::Log, Request::Put { .. }) => self.slots += 1,
            (KeyKind::Log, Request::Get { .. }) => self.reads += 1,
            (KeyKind::Inbox, Request::Put { .. }) => self.intents += 1,
            (KeyKind::Inbox, Request::List { .. }) => self.listings += 1,
            _ => {}
        }
    }

    /// What went beyond the budget of a process that lived for `lived` beside a log that became `slots` long, and made so many `calls`; none: nothing.
    pub(crate) fn beyond(&self, slots: u64, calls: u64, lived: Duration) -> Option<String> {
        let more = BEGINNING + PER_FAULT * self.faults;
        let lines = [
            ("creates of slots", self.slots, slots),
            ("reads of slots", self.reads, READS_PER_SLOT * slots + 2 * lived.as_secs()),
            ("intents", self.intents, calls),
            ("listings of the inbox", self.listings, LISTINGS_PER_SLOT * slots),
            ("requests of any kind", self.requests, PER_SLOT * slots + PER_SECOND * lived.as_secs() + 4 * calls),
        ];
        let over: Vec<_> = lines
            .into_iter()
            .filter(|(_, asked, line)| *asked > line + more)
            .map(|(what, asked, line)| format!("{asked} {what}, {line} and {more} fit"))
            .collect();
        (!over.is_empty()).then(|| format!("{} (slots {slots}, calls {calls}, faults {})", over.join("; "), self.faults))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_the_budget_is_one() {
        let fits = Asked { requests: 1_710, slots: 130, reads: 650, intents: 50, listings: 230, faults: 0 };
        let lived = Duration::from_secs(10);
        assert_eq!(fits.beyond(100, 20, lived), None);
        for over in [
            Asked { slots: 131, ..fits },
            Asked { reads: 651, ..fits },
            Asked { intents: 51, ..fits },
            Asked { listings: 231, ..fits },
            Asked { requests: 1_711, ..fits },
        ] {
            assert!(over.beyond(100, 20, lived).is_some(), "{over:?}");
            assert_eq!(Asked { faults: 1, ..over }.beyond(100, 20, lived), None, "a fault excuses {over:?}");
        }
    }
}
