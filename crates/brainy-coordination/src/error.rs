use brainy_core::{CodecError, ErrorKind, StoreId};
use brainy_storage::StoreError;

use crate::lock::Loss;
use crate::machine::MachineError;
use crate::token::OpId;

/// Why the log did not do what it was asked. Unless a variant says otherwise nothing was written and the handle can go on.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store refused or did not answer, in another way than the two below.
    #[error("{0}; nothing rests on it, and asking again is safe")]
    Store(#[source] StoreError),
    /// The store asks for patience. The request had no effect.
    #[error("{0}; it had no effect, and asking again is safe, later")]
    Throttled(#[source] StoreError),
    /// The caller's deadline passed before a request was sent, or before its reply came; what may have taken effect is an
    /// [unknown outcome](crate::Outcome::Unknown) instead.
    #[error("{0}; nothing rests on it, and asking again with more time is safe")]
    NoReply(#[source] StoreError),
    /// There is no brainy store here.
    #[error("there is no brainy store at {location}: `brainy.json` is not there")]
    NoStore {
        /// Where.
        location: String,
    },
    /// A store is there already.
    #[error("a brainy store is there already at {location}")]
    Exists {
        /// Where.
        location: String,
    },
    /// The store that is there differs from the one that was asked for.
    #[error("the store at {location} has {field} {found}, {wanted} was asked for")]
    Different {
        /// Where.
        location: String,
        /// Which field of `brainy.json`.
        field: &'static str,
        /// What it says.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// Options that cannot be.
    #[error("option {field}: {reason}")]
    Option {
        /// Which one.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Stored bytes are corrupt or of a newer build.
    #[error("{key}: {error}; nothing of it was applied, nor will anything behind it be")]
    Bytes {
        /// Which object.
        key: String,
        /// What is wrong with it.
        #[source]
        error: CodecError,
    },
    /// An object that must be there is gone.
    #[error("{key} is missing, though {reason}; nothing behind it is applied")]
    Missing {
        /// Which object.
        key: String,
        /// Why it must be there.
        reason: &'static str,
    },
    /// An object of another store lies in this one.
    #[error(
        "{key} belongs to store {found}, this is store {expected}: two stores were written under one prefix; nothing of it was applied"
    )]
    ForeignObject {
        /// Which object.
        key: String,
        /// The store it names.
        found: StoreId,
        /// This store.
        expected: StoreId,
    },
    /// A token of another store was shown. Nothing was asked of this one.
    #[error("the token is of store {found}, this is store {expected}")]
    ForeignToken {
        /// The store it names.
        found: StoreId,
        /// This store.
        expected: StoreId,
    },
    /// An operation of another store was asked for. Nothing was given up.
    #[error("operation {op} is of another store than {expected}: ask the one that it was submitted to")]
    ForeignOperation {
        /// The operation.
        op: OpId,
        /// This store.
        expected: StoreId,
    },
    /// The log is shorter than, or different from, what was seen before: the bucket was restored to an earlier state.
    #[error("the log went back: {reason}; nothing is acknowledged on top of it")]
    RolledBack {
        /// What shows it.
        reason: String,
    },
    /// The slots this handle would need next have been collected. It stands where it stood, and what it had in play is resolved by another handle.
    #[error("slots up to {boundary} have been collected and this handle stands at {position}: open it anew")]
    Truncated {
        /// The collection boundary.
        boundary: u64,
        /// Where the handle stands.
        position: u64,
    },
    /// The store's apply rules are newer than this build. The handle stands before that slot and goes no further; what is in the log stays there.
    #[error("from slot {seq} on the store's apply rules are version {rules}, this build knows {known}: upgrade this service")]
    Rules {
        /// The first slot under them.
        seq: u64,
        /// Their version.
        rules: u32,
        /// The newest version this build knows.
        known: u32,
    },
    /// What a slot's header states differs from what this replica computed: one of the two is wrong, and this replica stops answering.
    #[error(
        "at slot {seq} the {section} that the header states differ from this replica's: verify the store, then override the digest of that slot"
    )]
    Diverged {
        /// The slot.
        seq: u64,
        /// Which figures.
        section: &'static str,
    },
    /// The state machine cannot go on, for a local reason.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The deadline passed; what was asked for was a read or was not sent.
    #[error("the deadline passed while {doing}; nothing was sent that could take effect")]
    Deadline {
        /// What was being done.
        doing: &'static str,
    },
    /// Others were faster each time, and it was given up before its deadline. What was written is what the call may leave behind whenever it fails.
    #[error("{doing}: given up after several tries; asking again is safe")]
    Contended {
        /// What was being done, and what came between.
        doing: &'static str,
    },
    /// Too much is waiting in this handle.
    #[error("{waiting} transactions ({bytes} bytes) are waiting in this handle, which is its limit: this one was not taken")]
    Overloaded {
        /// How many.
        waiting: usize,
        /// How large.
        bytes: usize,
    },
    /// A transaction that cannot be sent.
    #[error("the transaction cannot be sent: {reason}")]
    Invalid {
        /// Why.
        reason: String,
    },
    /// The handle only reads.
    #[error("this handle is read-only: nothing was sent")]
    ReadOnly,
    /// The handle is closed.
    #[error("this handle is closed: {cause}")]
    Closed {
        /// Why.
        cause: String,
    },
    /// Somebody else holds the lease. Nothing is held here.
    #[error("lock {name} is held under token {token} ({note}); nothing is held here")]
    LeaseTaken {
        /// The lock.
        name: String,
        /// Its holder's token.
        token: u64,
        /// Its holder's note.
        note: String,
    },
    /// The lease is no longer held here: stop its work. Nothing was sent.
    #[error(
        "lock {name} is no longer held under token {token}: {loss}; nothing was sent, and what was sent before counts unless a later holder came first"
    )]
    LeaseLost {
        /// The lock.
        name: String,
        /// The token that was held.
        token: u64,
        /// Why.
        loss: Loss,
    },
    /// A later holder has claimed its token: what was written under this one has no effect.
    #[error("{op} was written under token {token} of lock {name}, a higher one has been claimed: it has no effect")]
    Fenced {
        /// The lock.
        name: String,
        /// The token that it was written under.
        token: u64,
        /// The transaction.
        op: OpId,
    },
    /// The lease object was there and is gone. Nobody takes it until an operator has made it anew.
    #[error("lease/{name} was there and is gone: make sure that no holder of it still works, then make it anew")]
    LeaseVanished {
        /// The lock.
        name: String,
    },
    /// Whether the lease was taken, or freed, is not known. It is not held here; others get it when its life ends at the latest.
    #[error("lock {name}, token {token}: {reason}; it is not held here, and free for others when its life ends at the latest")]
    LeaseUnknown {
        /// The lock.
        name: String,
        /// The token; 0 where none was tried.
        token: u64,
        /// What is not known.
        reason: String,
    },
    /// Somebody else holds a newer token of that name; nothing took effect.
    #[error("token {token} of {name:?} is superseded: somebody else works under a newer one")]
    Superseded {
        /// The lease.
        name: String,
        /// The token.
        token: u64,
    },
    /// The deadline passed while a step was on its way: it may have taken effect, or may still.
    #[error("the outcome of {op} is not known yet: ask what became of it, or do the whole again")]
    Undecided {
        /// The step.
        op: OpId,
    },
    /// The store does not keep a promise that collection rests on; nothing was removed.
    #[error("nothing can be collected at {location}: {reason}")]
    CannotCollect {
        /// Where.
        location: String,
        /// Which promise.
        reason: &'static str,
    },
    /// No state was published yet, so there is nothing to hold.
    #[error("no snapshot was published at {location} yet")]
    NoSnapshot {
        /// Where.
        location: String,
    },
    /// A pin or a tag is not there any more.
    #[error("{key} is gone: {reason}; what it held may be collected")]
    NotHeld {
        /// The pin or tag.
        key: String,
        /// How it went.
        reason: &'static str,
    },
    /// The file system tells nobody when something changes. The log is followed all the same, by looking now and then.
    #[error("{place} gives no file-system events ({reason}): changes of other processes are noticed by polling alone")]
    NoEvents {
        /// Which directory.
        place: String,
        /// Why.
        reason: String,
    },
    /// The operation lies so far back that nobody can tell any more: by more than twice the horizon, or its writer has committed since and the slots around it were collected.
    #[error("operation {op} lies too far back: its outcome is not held any more")]
    OutsideWindow {
        /// The operation.
        op: OpId,
    },
}

impl Error {
    /// What a caller should do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(error) | Self::Throttled(error) | Self::NoReply(error) => error.kind(),
            Self::NoStore { .. } | Self::OutsideWindow { .. } | Self::NoSnapshot { .. } | Self::NotHeld { .. } => ErrorKind::NotFound,
            Self::Exists { .. } | Self::Different { .. } | Self::LeaseTaken { .. } => ErrorKind::Conflict,
            Self::LeaseLost { .. } | Self::Fenced { .. } | Self::Superseded { .. } => ErrorKind::Fenced,
            Self::LeaseUnknown { .. } | Self::Undecided { .. } => ErrorKind::OutcomeUnknown,
            Self::Option { .. } | Self::Invalid { .. } | Self::ForeignToken { .. } | Self::ForeignOperation { .. } | Self::ReadOnly => {
                ErrorKind::Invalid
            }
            Self::Bytes { error, .. } => error.kind(),
            Self::Missing { .. } | Self::LeaseVanished { .. } | Self::ForeignObject { .. } | Self::Diverged { .. } => ErrorKind::Corrupt,
            Self::RolledBack { .. } => ErrorKind::RolledBack,
            Self::Rules { .. } | Self::CannotCollect { .. } => ErrorKind::Unsupported,
            Self::Machine(_) | Self::Deadline { .. } | Self::Contended { .. } | Self::Truncated { .. } | Self::NoEvents { .. } => {
                ErrorKind::Unavailable
            }
            Self::Overloaded { .. } => ErrorKind::Overloaded,
            Self::Closed { .. } => ErrorKind::Closed,
        }
    }

    /// Whether the caller's own deadline is all that went wrong.
    pub fn is_deadline(&self) -> bool {
        matches!(self, Self::Deadline { .. } | Self::NoReply(_))
    }

    pub(crate) fn bytes(key: impl std::fmt::Display, error: CodecError) -> Self {
        Self::Bytes { key: key.to_string(), error }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error.kind() {
            ErrorKind::Overloaded => Self::Throttled(error),
            _ if error.is_past_deadline() => Self::NoReply(error),
            _ => Self::Store(error),
        }
    }
}
