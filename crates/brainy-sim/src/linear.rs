//! A search for an order that explains what callers were told, without looking at the log: small histories only.
//!
//! The algorithm of Wing and Gong (Testing and verifying concurrent objects, 1993) with the memory of Lowe (Testing for linearizability, 2017): from each
//! set of operations done and state reached the search goes on once.

use std::collections::HashSet;
use std::time::Duration;

use brainy_coordination::{Outcome, Withdrawal};
use brainy_core::SetHash;

use crate::accounts::{Book, Command};
use crate::history::{Ending, Events};

/// Larger histories are not searched.
pub(crate) const MOST: usize = 64;
/// After so many steps the search gives up.
const MOST_STEPS: u64 = 2_000_000;

/// What a caller knows of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// It took effect.
    Effective,
    /// Its precondition did not hold.
    Refused,
    /// Either, or it was never done.
    Nothing,
    /// A look: this was the state.
    Saw(SetHash),
}

/// One operation of a history.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) asked: Duration,
    /// None: nobody was told, it may come at any time.
    pub(crate) answered: Option<Duration>,
    pub(crate) command: Option<Command>,
    pub(crate) known: Known,
}

/// What the callers of `events` were told, as steps; none if they are too many.
pub(crate) fn steps(events: &Events) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    for call in &events.calls {
        let (answered, known) = match &call.ending {
            Ending::Told(Outcome::Committed(_)) => (call.ended, Known::Effective),
            Ending::Told(Outcome::Rejected(Withdrawal::Precondition { .. })) => (call.ended, Known::Refused),
            Ending::Told(Outcome::Rejected(_)) | Ending::Refused(_) => continue,
            Ending::Told(Outcome::Unknown(_)) | Ending::Silence => (None, Known::Nothing),
        };
        steps.push(Step { asked: call.asked, answered, command: Command::decode(&call.payload), known });
    }
    for look in events.looks.iter().filter(|look| look.latest) {
        steps.push(Step { asked: look.asked, answered: Some(look.answered), command: None, known: Known::Saw(look.machine) });
    }
    (steps.len() <= MOST).then_some(steps)
}

/// Whether some order of `steps` that keeps real time explains them; none if the search became too long.
pub(crate) fn explains(steps: &[Step]) -> Option<bool> {
    assert!(steps.len() <= MOST, "one bit a step");
    let due: u64 = mask(steps, |step| step.known != Known::Nothing);
    let mut seen = HashSet::new();
    let mut open = vec![(0_u64, Book::default())];
    let mut taken = 0;
    while let Some((done, book)) = open.pop() {
        if done & due == due {
            return Some(true);
        }
        taken += 1;
        if taken > MOST_STEPS {
            return None;
        }
        // Whatever was answered before another began comes before it.
        let first_answer = steps.iter().enumerate().filter(|(at, _)| done >> at & 1 == 0).filter_map(|(_, step)| step.answered).min();
        for (at, step) in steps.iter().enumerate() {
            if done >> at & 1 == 1 || first_answer.is_some_and(|answer| answer < step.asked) {
                continue;
            }
            let mut next = book.clone();
            if !take(step, &mut next) {
                continue;
            }
            let state = (done | 1 << at, next.digest().to_bytes());
            if seen.insert(state) {
                open.push((done | 1 << at, next));
            }
        }
    }
    Some(false)
}

/// Whether `step` can be the next on `book`, which it changes.
fn take(step: &Step, book: &mut Book) -> bool {
    match (step.known, &step.command) {
        (Known::Saw(digest), _) => book.digest() == digest,
        (Known::Effective | Known::Nothing, Some(command)) => book.apply(command).is_some(),
        (Known::Refused, Some(command)) => book.clone().apply(command).is_none(),
        (_, None) => false,
    }
}

fn mask(steps: &[Step], which: impl Fn(&Step) -> bool) -> u64 {
    steps.iter().enumerate().filter(|(_, step)| which(step)).fold(0, |mask, (at, _)| mask | 1 << at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::Kind;

    fn count(asked: u64, answered: Option<u64>, known: Known) -> Step {
        let command = Command { unique: 0, kind: Kind::Count, a: 1, b: 0, amount: 0 };
        step(asked, answered, Some(command), known)
    }

    fn step(asked: u64, answered: Option<u64>, command: Option<Command>, known: Known) -> Step {
        Step { asked: Duration::from_secs(asked), answered: answered.map(Duration::from_secs), command, known }
    }

    fn saw(asked: u64, answered: u64, counts: u32) -> Step {
        let mut book = Book::default();
        for _ in 0..counts {
            assert!(book.apply(&Command { unique: 0, kind: Kind::Count, a: 1, b: 0, amount: 0 }).is_some());
        }
        step(asked, Some(answered), None, Known::Saw(book.digest()))
    }

    #[test]
    fn a_history_is_explained_exactly_where_an_order_in_real_time_exists() {
        use Known::{Effective, Nothing};
        for (steps, explained) in [
            (vec![count(0, Some(1), Effective), saw(2, 3, 1)], true),
            // A look that begins after the acknowledgement must show it.
            (vec![count(0, Some(1), Effective), saw(2, 3, 0)], false),
            // One that overlaps may or may not.
            (vec![count(0, Some(4), Effective), saw(2, 3, 0)], true),
            (vec![count(0, Some(4), Effective), saw(2, 3, 1)], true),
            // What nobody was told of may have happened, once.
            (vec![count(0, None, Nothing), saw(2, 3, 1), saw(4, 5, 1)], true),
            (vec![count(0, None, Nothing), saw(2, 3, 0), saw(4, 5, 1)], true),
            (vec![count(0, None, Nothing), saw(2, 3, 1), saw(4, 5, 0)], false),
            (vec![count(0, None, Nothing), saw(2, 3, 2)], false),
            (vec![count(0, Some(1), Effective), count(0, Some(1), Effective), saw(2, 3, 2)], true),
        ] {
            assert_eq!(explains(&steps), Some(explained), "{steps:?}");
        }
    }
}
