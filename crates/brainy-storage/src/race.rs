//! Several writers at once on one object, and what their answers together prove.

use brainy_core::clock::before;
use brainy_core::{Clock, ErrorKind, Moment};
use bytes::Bytes;
use futures_util::future::join_all;

use crate::{Key, Object, Operation, Outcome, Precondition, Revision, Store, StoreError};

/// One writer's answer.
#[derive(Debug)]
pub(crate) enum Answered {
    Committed(Revision),
    Rejected,
    /// It may have taken effect.
    Unknown(StoreError),
    /// Nothing was written.
    Failed(StoreError),
}

/// What all answers and the object found afterwards say.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Exactly one writer won, and what it wrote is there.
    Exact,
    /// The store does not keep the contract: how.
    Broken(String),
    /// Too many replies were lost to tell.
    Undecided(StoreError),
}

/// Sends each body at the same time, all under one condition; writer `i` uses store `i` modulo their number.
pub(crate) async fn race(
    stores: &[&dyn Store],
    clock: &dyn Clock,
    deadline: Moment,
    key: &Key,
    bodies: &[Bytes],
    condition: &Precondition,
) -> Vec<Answered> {
    join_all(bodies.iter().zip(stores.iter().cycle()).map(|(body, store)| async move {
        match before(clock, deadline, store.put(key, body.clone(), condition.clone())).await {
            Some(Ok(answer)) => match answer.value {
                Outcome::Committed(revision) => Answered::Committed(revision),
                Outcome::Rejected => Answered::Rejected,
                Outcome::Unknown(error) => Answered::Unknown(error),
            },
            Some(Err(error)) => Answered::Failed(error),
            None => Answered::Unknown(StoreError::new(ErrorKind::Unavailable, Operation::Put, key, "no reply before the deadline")),
        }
    }))
    .await
}

/// What the answers to `bodies` prove, given what lies under the key after all of them. `what` names the writes, as in "racing creates".
pub(crate) fn judge(what: &str, key: &Key, answers: Vec<Answered>, bodies: &[Bytes], found: Option<&Object>) -> Verdict {
    let total = bodies.len();
    let winner = found.and_then(|found| bodies.iter().position(|body| *body == found.bytes));
    let accepted = answers.iter().filter(|answer| matches!(answer, Answered::Committed(_))).count();
    if accepted > 1 {
        return Verdict::Broken(format!("{accepted} of {total} {what} were accepted"));
    }
    if let Some((at, revision)) = answers.iter().enumerate().find_map(|(at, answer)| match answer {
        Answered::Committed(revision) => Some((at, revision)),
        _ => None,
    }) {
        return match (winner, found) {
            (Some(winner), Some(found)) if winner == at && found.revision == *revision => Verdict::Exact,
            (Some(winner), Some(_)) if winner == at => {
                Verdict::Broken(format!("the reply to one of {total} {what} named another revision than a read"))
            }
            _ => Verdict::Broken(format!("one of {total} {what} was accepted, but what it wrote is not there")),
        };
    }
    if let Some(winner) = winner {
        return match answers.into_iter().nth(winner) {
            Some(Answered::Rejected | Answered::Failed(_)) => {
                let reason = format!(
                    "one of {total} {what} was refused and took effect all the same: something repeats requests, or the store errs"
                );
                Verdict::Undecided(StoreError::new(ErrorKind::Unavailable, Operation::Put, key, reason))
            }
            _ => Verdict::Exact,
        };
    }
    match answers.into_iter().find_map(|answer| match answer {
        Answered::Unknown(error) | Answered::Failed(error) => Some(error),
        _ => None,
    }) {
        Some(error) => Verdict::Undecided(error),
        None => Verdict::Broken(format!("none of {total} {what} was accepted")),
    }
}
