//! What services tell their parent and the parent tells them: one JSON text a line, over pipes. What a service says of its writes is the journal: every
//! attempt before it is sent, its name before its outcome is waited for, and its outcome.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::change::{Change, Mark};
use crate::replay::Position;

/// Part of the work, done by all services at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// Writing packages.
    Import,
    /// Writing relations.
    Relate,
    /// Changing and deleting the same few packages.
    Change,
}

impl Stage {
    /// All, in order.
    pub(crate) const ALL: [Self; 3] = [Self::Import, Self::Relate, Self::Change];
}

/// What an attempt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Task {
    /// The work of the stage.
    Stage,
    /// Making the counter.
    MakeCounter,
    /// Raising the counter.
    Raise,
}

/// Requests and bytes of a handle, and what its commits met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spent {
    /// Requests.
    pub requests: u64,
    /// Those that read.
    pub reads: u64,
    /// Those that asked for the next slot and learned that there is none yet: how often it was up to date.
    pub looks: u64,
    /// Bytes sent.
    pub up: u64,
    /// Bytes received.
    pub down: u64,
    /// Slots that somebody else created first.
    pub lost_races: u64,
    /// Searches that were answered, and found right, while others wrote.
    pub searches: u64,
}

impl Spent {
    /// Both together.
    #[must_use]
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            reads: self.reads + other.reads,
            looks: self.looks + other.looks,
            up: self.up + other.up,
            down: self.down + other.down,
            lost_races: self.lost_races + other.lost_races,
            searches: self.searches + other.searches,
        }
    }
}

/// How the store looks to one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct View {
    /// The position that it is of.
    pub token: String,
    /// Items.
    pub nouns: u64,
    /// Items that are packages.
    pub packages: u64,
    /// Relations.
    pub verbs: u64,
    /// Digest of everything.
    pub digest: String,
    /// Share of the true nearest found by search, all queries together.
    pub recall: f64,
    /// How many queries.
    pub queries: usize,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// It took effect there and changed so many items, if that is still known.
    Committed(Position, Option<u32>),
    /// It had and will have no effect, since this change did not fit, for this reason.
    Conflict(usize, String),
    /// It had and will have no effect, whatever the state.
    Withdrawn(String),
}

/// What a service says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Line {
    /// It is open and has resolved what it was asked to.
    Ready,
    /// It is about to send this.
    Attempt {
        /// The attempt.
        attempt: u64,
        /// In which part of the work.
        stage: Stage,
        /// What for.
        task: Task,
        /// What it writes.
        changes: Vec<Change>,
    },
    /// The attempt has this name; its outcome is about to be waited for.
    Sent {
        /// The attempt.
        attempt: u64,
        /// Its `OpId`.
        op: String,
    },
    /// The attempt has ended.
    Ended {
        /// The attempt.
        attempt: u64,
        /// How.
        outcome: Outcome,
    },
    /// Nobody could say in time how the attempt ended: it is about to be resolved.
    Unknown {
        /// The attempt.
        attempt: u64,
    },
    /// What was not known, or was in flight when the life before ended, has been found out.
    Resolved {
        /// The attempt.
        attempt: u64,
        /// How it ended.
        outcome: Outcome,
    },
    /// What it has spent so far in this life.
    Spent(Spent),
    /// Its part of the stage is done.
    Finished(Stage),
    /// How the store looks to it.
    View(View),
    /// It cannot go on.
    Failed(String),
}

/// What the parent says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Order {
    /// First of all: find out how these attempts of the life before ended, and say `Ready`.
    Begin {
        /// Attempts and their names.
        resolve: Vec<(u64, String)>,
    },
    /// Do a part of the work.
    Stage {
        /// Which.
        stage: Stage,
        /// How often the life before raised the counter in it.
        raised: usize,
        /// How many changes of the stage the life before made.
        done: usize,
    },
    /// Read the store at this position and say how it looks.
    View {
        /// The position.
        token: String,
    },
    /// Close and end.
    Close,
}

/// One attempt as far as the parent was told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attempt {
    /// In which life of its service, from 0.
    pub life: usize,
    /// In which part of the work.
    pub stage: Stage,
    /// What for.
    pub task: Task,
    /// What it writes.
    pub changes: Vec<Change>,
    /// Its name, once it was told.
    pub op: Option<String>,
    /// How it ended, once that was told.
    pub outcome: Option<Outcome>,
    /// Whether the outcome had to be found out.
    pub resolved: bool,
}

impl Attempt {
    /// Whether it is known to have taken effect.
    pub(crate) fn is_committed(&self) -> bool {
        matches!(self.outcome, Some(Outcome::Committed(..)))
    }

    /// Whether it is known to have failed since the store was not as it expected.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self.outcome, Some(Outcome::Conflict(..)))
    }

    /// Whether its name was told and its outcome was not.
    pub(crate) fn in_flight(&self) -> bool {
        self.op.is_some() && self.outcome.is_none()
    }
}

/// All attempts of all services.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Journal {
    /// By who made them.
    pub attempts: BTreeMap<Mark, Attempt>,
}

impl Journal {
    /// Notes what a service said. An error is something that a service may never say: an outcome of nothing, a second one.
    pub(crate) fn note(&mut self, service: usize, life: usize, line: &Line) -> Result<(), String> {
        let mark = |attempt: u64| Mark { service, attempt };
        let known = |attempts: &mut BTreeMap<Mark, Attempt>, attempt: u64, change: &mut dyn FnMut(&mut Attempt) -> bool| {
            let sound = attempts.get_mut(&mark(attempt)).is_some_and(change);
            if sound { Ok(()) } else { Err(format!("service {service} says out of turn: {line:?}")) }
        };
        match line {
            Line::Attempt { attempt, stage, task, changes } => {
                let noted =
                    Attempt { life, stage: *stage, task: *task, changes: changes.clone(), op: None, outcome: None, resolved: false };
                match self.attempts.insert(mark(*attempt), noted) {
                    None => Ok(()),
                    Some(_) => Err(format!("service {service} made its attempt {attempt} twice")),
                }
            }
            Line::Sent { attempt, op } => known(&mut self.attempts, *attempt, &mut |noted| noted.op.replace(op.clone()).is_none()),
            Line::Ended { attempt, outcome } => {
                // Only what was never sent may end without a name.
                let named = matches!(outcome, Outcome::Withdrawn(_));
                known(&mut self.attempts, *attempt, &mut |noted| {
                    (named || noted.op.is_some()) && noted.outcome.replace(outcome.clone()).is_none()
                })
            }
            Line::Resolved { attempt, outcome } => known(&mut self.attempts, *attempt, &mut |noted| {
                noted.resolved = true;
                noted.op.is_some() && noted.outcome.replace(outcome.clone()).is_none()
            }),
            Line::Ready | Line::Unknown { .. } | Line::Spent(_) | Line::Finished(_) | Line::View(_) | Line::Failed(_) => Ok(()),
        }
    }

    /// The attempts of one service, in order.
    pub(crate) fn of(&self, service: usize) -> impl Iterator<Item = (&Mark, &Attempt)> {
        self.attempts.range(Mark { service, attempt: 0 }..=Mark { service, attempt: u64::MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::When;

    fn attempt(attempt: u64) -> Line {
        let changes = vec![Change::Counter { count: 1, when: When::Version(3, 1) }];
        Line::Attempt { attempt, stage: Stage::Change, task: Task::Raise, changes }
    }

    #[test]
    fn lines_survive_the_pipe() {
        let op = || "a.1.0.0.b".to_owned();
        let outcome = || Outcome::Committed((4, 1), Some(2));
        for line in [
            attempt(7),
            Line::Sent { attempt: 7, op: op() },
            Line::Ended { attempt: 7, outcome: outcome() },
            Line::Resolved { attempt: 7, outcome: Outcome::Conflict(1, "OtherVersion".into()) },
            Line::Failed("a\nb".into()),
        ] {
            let text = serde_json::to_string(&line).unwrap();
            assert!(!text.contains('\n'));
            assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line);
        }
        let order = Order::Begin { resolve: vec![(7, op())] };
        assert_eq!(serde_json::from_str::<Order>(&serde_json::to_string(&order).unwrap()).unwrap(), order);
    }

    #[test]
    fn what_was_sent_and_not_answered_is_in_flight() {
        let mut journal = Journal::default();
        let op = "x".to_owned();
        journal.note(2, 0, &attempt(0)).unwrap();
        let mark = Mark { service: 2, attempt: 0 };
        assert!(!journal.attempts[&mark].in_flight());
        journal.note(2, 0, &Line::Sent { attempt: 0, op }).unwrap();
        assert!(journal.attempts[&mark].in_flight());
        let outcome = Outcome::Committed((1, 0), Some(1));
        journal.note(2, 1, &Line::Resolved { attempt: 0, outcome: outcome.clone() }).unwrap();
        let noted = &journal.attempts[&mark];
        assert!(!noted.in_flight() && noted.resolved && noted.is_committed());
        assert_eq!((journal.of(2).count(), journal.of(1).count()), (1, 0));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let mut journal = Journal::default();
        let ended = |attempt| Line::Ended { attempt, outcome: Outcome::Conflict(0, "OtherVersion".into()) };
        let sent = Line::Sent { attempt: 0, op: "x".into() };
        journal.note(0, 0, &ended(0)).unwrap_err();
        journal.note(0, 0, &sent).unwrap_err();
        journal.note(0, 0, &attempt(0)).unwrap();
        journal.note(0, 0, &attempt(0)).unwrap_err();
        let mut journal = Journal::default();
        journal.note(0, 0, &attempt(0)).unwrap();
        journal.note(0, 0, &ended(0)).unwrap_err();
        journal.note(0, 0, &sent).unwrap();
        journal.note(0, 0, &sent).unwrap_err();
        journal.note(0, 0, &ended(0)).unwrap();
        journal.note(0, 0, &ended(0)).unwrap_err();
    }
}
