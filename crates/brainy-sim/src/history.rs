//! What the callers of a run asked and were told, and when.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use brainy_coordination::{OpId, Outcome, Token};
use brainy_core::{ErrorKind, SetHash};

use crate::scheduler::ProcessId;

/// How a call ended, as its caller knows it.
#[derive(Clone, Debug)]
pub enum Ending {
    /// Nobody was told: the caller dropped it or died.
    Silence,
    /// The log's own answer.
    Told(Outcome),
    /// An error: it was never sent.
    Refused(String),
}

/// One transaction from its caller's side.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its number among all of the run.
    pub unique: u64,
    /// Who called.
    pub process: ProcessId,
    /// When.
    pub asked: Duration,
    /// The command.
    pub payload: Vec<u8>,
    /// Its name, if the caller learned it.
    pub op: Option<OpId>,
    /// When the caller knew.
    pub ended: Option<Duration>,
    /// What the caller knew.
    pub ending: Ending,
}

/// What somebody was told who asked what became of an operation.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Who asked.
    pub process: ProcessId,
    /// The operation.
    pub op: OpId,
    /// When it was answered.
    pub at: Duration,
    /// The answer.
    pub outcome: Outcome,
}

/// One linearizable look at the state.
#[derive(Clone, Debug)]
pub struct Look {
    /// Who looked.
    pub process: ProcessId,
    /// When it was asked for.
    pub asked: Duration,
    /// When it was answered.
    pub answered: Duration,
    /// Whether everything committed before `asked` must be in it.
    pub latest: bool,
    /// The position of the answer.
    pub token: Token,
    /// Digest of the machine's state.
    pub machine: SetHash,
    /// Digest of the log's bookkeeping.
    pub bookkeeping: SetHash,
}

/// An error that a handle gave.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Whose.
    pub process: ProcessId,
    /// When.
    pub at: Duration,
    /// What kind.
    pub kind: ErrorKind,
    /// In words.
    pub text: String,
}

/// Everything callers saw of a run. Clones are one history.
#[derive(Clone, Debug, Default)]
pub struct History(Arc<Mutex<Events>>);

/// The events of a [`History`].
#[derive(Clone, Debug, Default)]
pub struct Events {
    /// Transactions, in the order in which they were asked for.
    pub calls: Vec<Call>,
    /// Answers to `resolve`.
    pub resolved: Vec<Resolved>,
    /// Looks at the state.
    pub looks: Vec<Look>,
    /// Errors.
    pub failures: Vec<Failure>,
    /// What a workload itself found wrong.
    pub complaints: Vec<String>,
    /// Promises that a workload itself saw broken.
    pub broken: Vec<(&'static str, String)>,
}

impl History {
    /// The events, to be read or added to.
    ///
    /// Never across an await.
    pub fn events(&self) -> MutexGuard<'_, Events> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a call as it begins; returns its number.
    pub fn call(&self, process: ProcessId, asked: Duration) -> u64 {
        let mut events = self.events();
        let unique = events.calls.len() as u64;
        events.calls.push(Call { unique, process, asked, payload: Vec::new(), op: None, ended: None, ending: Ending::Silence });
        unique
    }

    /// Notes what call `unique` asks for, before it is sent.
    pub fn asks(&self, unique: u64, payload: &[u8]) {
        self.events().calls[usize::try_from(unique).expect("a number of this history")].payload = payload.to_vec();
    }

    /// Notes how call `unique` ended.
    pub fn end(&self, unique: u64, at: Duration, ending: Ending) {
        let mut events = self.events();
        let call = &mut events.calls[usize::try_from(unique).expect("a number of this history")];
        if let Ending::Told(outcome) = &ending {
            call.op = call.op.or(op_of(outcome));
        }
        (call.ended, call.ending) = (Some(at), ending);
    }

    /// Notes the name of call `unique`.
    pub fn named(&self, unique: u64, op: OpId) {
        self.events().calls[usize::try_from(unique).expect("a number of this history")].op = Some(op);
    }
}

/// The operation that an outcome is about.
pub(crate) fn op_of(outcome: &Outcome) -> Option<OpId> {
    use brainy_coordination::Withdrawal;
    match outcome {
        Outcome::Committed(receipt) => Some(receipt.op),
        Outcome::Unknown(op) => Some(*op),
        Outcome::Rejected(withdrawal) => match withdrawal {
            Withdrawal::Precondition { op, .. }
            | Withdrawal::Ineffective { op }
            | Withdrawal::Cancelled { op }
            | Withdrawal::Refused { op }
            | Withdrawal::Stale { op }
            | Withdrawal::Foreign { op } => Some(*op),
            _ => None,
        },
    }
}
