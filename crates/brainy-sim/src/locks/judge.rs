//! What a run with a lock came to.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::accounts::Command;
use crate::checker::Violation;
use crate::reference::Reference;
use crate::witness::Witness;

use super::{Belief, Harm, Locks, NAME, REGISTER};

fn broken(text: String) -> Violation {
    Violation { property: "P7", text }
}

impl Locks {
    /// Every promise about the lock that the run broke.
    pub(crate) fn judge<M>(&self, reference: &Reference<M>, witness: &Witness) -> Vec<Violation> {
        let (beliefs, complaints) = {
            let told = self.told();
            (told.beliefs.clone(), told.complaints.clone())
        };
        let mut found: Vec<_> = complaints.into_iter().map(broken).collect();
        found.extend(self.overlaps(&beliefs));
        found.extend(claims(&beliefs, reference, witness));
        found.extend(updates(reference));
        found.extend(self.object(witness));
        found
    }

    /// No two believe at once.
    pub(super) fn overlaps(&self, beliefs: &[Belief]) -> Vec<Violation> {
        // Who had the lease when it was put back to an older state may meet somebody who finds that one free.
        let restored = self.told().harmed.filter(|_| matches!(self.harm, Some((Harm::Restore, _))));
        let misled = |belief: &Belief| restored.is_some_and(|at| belief.asked < at && at < belief.until);
        let mut beliefs: Vec<_> = beliefs.iter().filter(|belief| !belief.slept && !misled(belief)).collect();
        beliefs.sort_by_key(|belief| belief.from);
        let mut found = Vec::new();
        let mut longest: Option<&Belief> = None;
        for belief in beliefs {
            if let Some(other) = longest.filter(|other| other.until > belief.from) {
                found.push(broken(format!("two believe at once: {other} and {belief}")));
            }
            if longest.is_none_or(|other| other.until < belief.until) {
                longest = Some(belief);
            }
        }
        found
    }

    /// The object itself: never deleted, and made anew by the operator alone.
    fn object(&self, witness: &Witness) -> Vec<Violation> {
        let (harmed, remade) = {
            let told = self.told();
            (told.harmed.filter(|_| matches!(self.harm, Some((Harm::Vanish, _)))), told.remade)
        };
        let deleted = witness.leases_deleted.iter().map(|at| broken(format!("somebody deleted the lease at {at:?}")));
        let rightly = |made: &Duration| harmed.is_none_or(|harmed| *made <= harmed) || remade.is_some_and(|remade| *made >= remade);
        let made = witness.leases_made.iter().filter(|made| !rightly(made));
        let most = 1 + usize::from(harmed.is_some());
        let often = (witness.leases_made.len() > most).then(|| broken(format!("the lease was made {} times", witness.leases_made.len())));
        deleted
            .chain(made.map(|at| broken(format!("a lease that had vanished was made anew at {at:?}, by nobody who may"))))
            .chain(often)
            .collect()
    }
}

/// Each guard has a token of its own, and a claim of it was effective before it was given out.
fn claims<M>(beliefs: &[Belief], reference: &Reference<M>, witness: &Witness) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut tokens = BTreeMap::new();
    for belief in beliefs {
        if let Some(other) = tokens.insert(belief.token, belief) {
            found.push(broken(format!("two guards have one token: {other} and {belief}")));
        }
        let claimed = reference.claimed.iter().find(|claim| claim.name == NAME && claim.token == belief.token);
        let seen = claimed.and_then(|claim| witness.slots.get(&claim.slot)).map(|slot| slot.at);
        if seen.is_none_or(|seen| seen > belief.from) {
            found.push(broken(format!("a guard was given out before its claim was effective ({claimed:?}): {belief}")));
        }
    }
    found
}

/// The register is what the fenced log says, and each holder wrote what it had read, plus one: no update was lost.
fn updates<M>(reference: &Reference<M>) -> Vec<Violation> {
    let mut found = Vec::new();
    let (mut value, mut highest) = (0, 0);
    for write in reference.fenced.iter().filter(|write| write.effective) {
        let Some(command) = Command::decode(&write.payload).filter(|command| command.a == REGISTER) else { continue };
        if write.token < highest {
            found.push(broken(format!("slot {} holds an effect under token {}, after one under token {highest}", write.slot, write.token)));
        }
        if i64::from(command.b) != value {
            let (slot, token, read) = (write.slot, write.token, command.b);
            found.push(broken(format!(
                "slot {slot}: the holder of token {token} had read {read}, the register held {value}: an update is lost"
            )));
        }
        (value, highest) = (command.amount, highest.max(write.token));
    }
    found
}
