//! What an observer of a lease may do, and what its holder may believe: pure, with the moments of one clock as arguments.
//!
//! No moment of one machine is ever compared with another's. A holder counts from before it sent the request that the store committed; an observer counts
//! from after it received the reply that showed the state. The commit lies between the two, so with clocks whose *rates* are right within ρ the holder has
//! stopped believing before anybody may take over. Machines that are suspended break this, as they break every clock: nothing rests on it but who does the
//! work. What makes work sound is the fencing token, which the log orders.

#[cfg(test)]
mod tests;

use std::time::Duration;

use brainy_core::{Moment, Nonce};
use brainy_storage::Revision;

use crate::mutants::broken;

/// ρ, as a divisor: clocks may go too fast or too slow by one part in so many.
pub const DRIFT_DIVISOR: u32 = 100;

fn drift(ttl: Duration) -> Duration {
    Duration::from_nanos(u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX).div_ceil(u64::from(DRIFT_DIVISOR)))
}

/// How long a holder believes, from before the request was sent that the store committed: ttl · (1 − ρ).
pub fn believed_for(ttl: Duration) -> Duration {
    ttl.saturating_sub(drift(ttl))
}

/// How long an observer must have seen the same state, from after the reply that showed it first: ttl · (1 + ρ).
pub fn watched_for(ttl: Duration) -> Duration {
    if broken!(TakeOverTooEarly) { ttl / 2 } else { ttl.saturating_add(drift(ttl)) }
}

/// After how long a holder renews.
pub fn renewed_after(ttl: Duration) -> Duration {
    ttl / 3
}

/// The token of whoever takes the lease next; none where numbers are used up.
///
/// INV-21: above the lease's own and above every claim in the log. The object alone does not do: it may be a restored or a re-made one, and a token that the
/// log has seen would fence nobody and do nothing.
pub fn next_token(lease: u64, claimed: u64) -> Option<u64> {
    let highest = if broken!(TokenFromLeaseAlone) { lease } else { lease.max(claimed) };
    highest.checked_add(1)
}

/// One state of a lease as an observer tells it from every other, and since when it has seen that one.
///
/// Both parts: stores whose revisions are hashes give equal ones to equal bytes, and the nonce makes no two states equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sight {
    pub revision: Revision,
    pub nonce: Nonce,
    /// When the reply that showed it first had been received.
    pub since: Moment,
}

impl Sight {
    /// What is remembered after a reply, received by `now`, showed this state.
    pub fn after(before: Option<&Self>, revision: &Revision, nonce: Nonce, now: Moment) -> Self {
        let since = before.filter(|sight| sight.revision == *revision && sight.nonce == nonce).map_or(now, |sight| sight.since);
        Self { revision: revision.clone(), nonce, since }
    }
}

/// What an observer knows of the lease that it has just read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seen {
    pub token: u64,
    /// False: it was released.
    pub held: bool,
    /// The holder's, from the body.
    pub ttl: Duration,
    /// Since when exactly this state was seen, on the observer's own clock.
    pub since: Moment,
    /// The turn is one of the observer's own that it does not believe in any more: nobody else does either.
    pub forsaken: bool,
}

/// What an observer may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Turn {
    /// Make the lease, under this token: nobody ever had it.
    Create { token: u64 },
    /// Overwrite the state that was seen, under this token.
    Take { token: u64 },
    /// Nothing; it may be taken over at `until`, if this state is still there then.
    Wait { until: Moment },
    /// Nothing: the lease was there and is gone. Whoever deleted it may have left a holder who still believes; a human decides.
    Vanished,
    /// Nothing: no token is left above the one that is there.
    Exhausted,
}

/// What whoever wants the lease may do, having read it (`None`: it is not there). `claimed`: the highest token of that name that was claimed in the log, applied
/// *before* an absent lease was read (a claim that came later would make a lease look vanished that was just made). `known`: this observer has seen the
/// lease before.
pub fn turn(seen: Option<Seen>, claimed: u64, known: bool, now: Moment) -> Turn {
    let Some(seen) = seen else {
        // INV-22: a lease that was there is never silently made again.
        return match next_token(0, claimed) {
            Some(token) if broken!(RemakeVanished) || (claimed == 0 && !known) => Turn::Create { token },
            _ => Turn::Vanished,
        };
    };
    let until = seen.since.after(watched_for(seen.ttl));
    if seen.held && !seen.forsaken && now < until {
        return Turn::Wait { until };
    }
    next_token(seen.token, claimed).map_or(Turn::Exhausted, |token| Turn::Take { token })
}

/// What a holder believes of itself. Once it ends it never begins again: the next turn has another token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Belief {
    until: Option<Moment>,
}

impl Belief {
    /// That of somebody whose request to take the lease was sent at `sent`, and committed.
    pub fn begun(sent: Moment, ttl: Duration) -> Self {
        Self { until: Some(sent.after(believed_for(ttl))) }
    }

    /// The store committed a renewal that was sent at `sent`; that is known at `now`. False: too late, it had ended before.
    pub fn confirmed(&mut self, sent: Moment, ttl: Duration, now: Moment) -> bool {
        let Some(until) = self.until.filter(|until| now < *until) else {
            self.until = None;
            return false;
        };
        self.until = Some(until.max(sent.after(believed_for(ttl))));
        true
    }

    /// A renewal that was sent at `sent` ended without an answer.
    ///
    /// INV-23: it extends nothing. It may not have happened.
    pub fn unconfirmed(&mut self, sent: Moment, ttl: Duration) {
        if broken!(ExtendUnconfirmed) {
            self.until = self.until.max(Some(sent.after(believed_for(ttl))));
        }
    }

    /// The holder gives it up, or learned that it lost it. INV-23: before a release is sent, not when its reply comes.
    pub fn end(&mut self) {
        self.until = None;
    }

    /// Whether the holder believes at `now`.
    pub fn holds(&self, now: Moment) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// When it ends, if nothing is confirmed until then; none if it has ended.
    pub fn until(&self) -> Option<Moment> {
        self.until
    }
}

/// What its keeper does next for a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Nothing before this moment, unless it is asked to end.
    Sleep { until: Moment },
    /// Read the lease: whether the last request happened is not known.
    Look,
    /// Send a renewal.
    Renew,
    /// The turn is over: free the lease for others, as far as that is still ours to do, and stop.
    Free,
}

/// What the keeper of a turn does at `now`: `next`, when it wants to renew; `firm`, it knows the revision to overwrite.
pub fn step(belief: &Belief, next: Moment, firm: bool, now: Moment) -> Step {
    match belief.until() {
        Some(until) if now < until => match (now < next, firm) {
            (true, _) => Step::Sleep { until: next.min(until) },
            (false, true) => Step::Renew,
            (false, false) => Step::Look,
        },
        _ => Step::Free,
    }
}
