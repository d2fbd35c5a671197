use brainy_coordination::{OpId, ParseError, Rejection, Withdrawal};
use brainy_core::{ErrorKind, FilterError, MetadataError, StoreId, TextError, VectorError, VersionError};
use brainy_engine::Reason;
use brainy_storage::{ProbeError, StoreError};

/// Why a call did not do what it was asked. [`kind`](Self::kind) says what to do about it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operation's precondition did not hold, or its place in the graph did not fit; the whole transaction changed nothing.
    #[error("{item}: {reason}; the transaction changed nothing")]
    Conflict {
        /// The transaction.
        op: OpId,
        /// Which of its operations, from 0.
        operation: u32,
        /// The item it is about.
        item: String,
        /// Why.
        reason: Reason,
    },
    /// The deadline passed while the transaction was on its way: it may have taken effect, or may still. [`resolve`](crate::Brainy::resolve) it.
    #[error("the outcome of {op} is not known yet: resolve it before any retry")]
    OutcomeUnknown {
        /// The transaction.
        op: OpId,
    },
    /// Nothing of the transaction took effect, nor ever will: send it anew.
    #[error("the transaction had no effect: {reason}")]
    Withdrawn {
        /// The transaction; none if it was never sent.
        op: Option<OpId>,
        /// Why.
        reason: &'static str,
    },
    /// It was written under a lease that somebody else holds by now; nothing took effect.
    #[error("the transaction {op} was written under a lease that has been taken over; it had no effect")]
    Fenced {
        /// The transaction.
        op: OpId,
    },
    /// The request itself is wrong; nothing was sent.
    #[error("{item}: {reason}")]
    Invalid {
        /// Which item, option or argument.
        item: String,
        /// What is wrong with it.
        reason: String,
    },
    /// `clear` was confirmed with another store's id; nothing was sent.
    #[error("clear was confirmed for store {given}, this is store {expected}")]
    NotConfirmed {
        /// What was given.
        given: StoreId,
        /// This store.
        expected: StoreId,
    },
    /// The store does not keep the promises that shared writing rests on.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The log or the store underneath.
    #[error(transparent)]
    Log(brainy_coordination::Error),
    /// The state machine.
    #[error(transparent)]
    Engine(#[from] brainy_engine::Error),
    /// This handle is closed, or a part of it failed.
    #[error("this handle is closed: {cause}")]
    Closed {
        /// Why.
        cause: String,
    },
}

impl Error {
    /// What a caller should do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Conflict { reason, .. } => reason.kind(),
            Self::OutcomeUnknown { .. } => ErrorKind::OutcomeUnknown,
            Self::Withdrawn { .. } => ErrorKind::Withdrawn,
            Self::Fenced { .. } => ErrorKind::Fenced,
            Self::Invalid { .. } | Self::NotConfirmed { .. } => ErrorKind::Invalid,
            Self::Probe(error) => error.kind(),
            Self::Log(error) => error.kind(),
            Self::Engine(error) => error.kind(),
            Self::Closed { .. } => ErrorKind::Closed,
        }
    }

    /// The transaction's name, if it was sent.
    pub fn op_id(&self) -> Option<OpId> {
        match self {
            Self::Conflict { op, .. } | Self::OutcomeUnknown { op } | Self::Fenced { op } => Some(*op),
            Self::Withdrawn { op, .. } => *op,
            Self::Invalid { .. } | Self::NotConfirmed { .. } | Self::Probe(_) | Self::Log(_) | Self::Engine(_) | Self::Closed { .. } => {
                None
            }
        }
    }

    pub(crate) fn invalid(item: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::Invalid { item: item.into(), reason: reason.to_string() }
    }

    /// The error of a transaction that has no effect. `item` names an operation's item.
    pub(crate) fn withdrawn(withdrawal: Withdrawal, item: impl Fn(u32) -> String) -> Self {
        let (op, reason) = match withdrawal {
            Withdrawal::Precondition { op, rejection } => match (Reason::from_code(rejection.code), rejection.code) {
                (Some(reason), _) => {
                    return Self::Conflict { op, operation: rejection.operation, item: item(rejection.operation), reason };
                }
                (None, Rejection::FENCED) => return Self::Fenced { op },
                (None, Rejection::CLAIM_STALE) => (Some(op), "a higher token of this lease was claimed before"),
                (None, Rejection::TOO_MANY_LEASES) => (Some(op), "the store has as many names of locks as it may"),
                (None, Rejection::MALFORMED) => (Some(op), "its bytes could not be read"),
                (None, _) => (Some(op), "it does not fit the state, by rules that this build does not know"),
            },
            Withdrawal::Ineffective { op } => (Some(op), "the log says that it changed nothing; why is no longer held"),
            Withdrawal::Cancelled { op } => (Some(op), "it was given up by somebody who asked what became of it"),
            Withdrawal::Refused { op } => (Some(op), "nobody could read it"),
            Withdrawal::Stale { op } => (Some(op), "the log went on too far before it arrived"),
            Withdrawal::Foreign { op } => (Some(op), "another process writes under the same identity (a copied machine?)"),
            _ => (None, "its deadline passed, or its caller went away, before it was sent"),
        };
        Self::Withdrawn { op, reason }
    }
}

impl From<brainy_coordination::Error> for Error {
    fn from(error: brainy_coordination::Error) -> Self {
        match error {
            brainy_coordination::Error::Closed { cause } => Self::Closed { cause },
            error => Self::Log(error),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Log(error.into())
    }
}

macro_rules! invalid_from {
    ($($error:ty => $item:literal),*) => {
        $(impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::invalid($item, error)
            }
        })*
    };
}

invalid_from!(TextError => "name", VectorError => "vector", MetadataError => "metadata", FilterError => "filter", ParseError => "text", VersionError => "version");

#[cfg(test)]
mod tests {
    use brainy_core::{ContentHash, WriterId};
    use brainy_storage::Operation;

    use super::*;

    #[test]
    fn what_became_of_a_transaction_has_its_own_error_and_says_that_nothing_took_effect() {
        let op = OpId { writer: WriterId::from_bytes([1; 16]), wseq: 1, index: 0, base: 0, hash: ContentHash::of(b"batch") };
        let rejected = |code| Withdrawal::Precondition { op, rejection: Rejection { operation: 0, code } };
        for (withdrawal, kind, text) in [
            (rejected(Rejection::FENCED), ErrorKind::Fenced, "a lease that has been taken over; it had no effect"),
            (rejected(Rejection::CLAIM_STALE), ErrorKind::Withdrawn, "had no effect: a higher token"),
            (rejected(Rejection::TOO_MANY_LEASES), ErrorKind::Withdrawn, "had no effect: the store has as many names"),
            (rejected(Rejection::MALFORMED), ErrorKind::Withdrawn, "had no effect: its bytes"),
            (rejected(Reason::AlreadyExists.code()), ErrorKind::Conflict, "; the transaction changed nothing"),
            (Withdrawal::Cancelled { op }, ErrorKind::Withdrawn, "had no effect: it was given up"),
            (Withdrawal::Refused { op }, ErrorKind::Withdrawn, "had no effect: nobody could read it"),
            (Withdrawal::Stale { op }, ErrorKind::Withdrawn, "had no effect: the log went on too far"),
            (Withdrawal::Foreign { op }, ErrorKind::Withdrawn, "had no effect: another process writes under the same identity"),
            (Withdrawal::NotSent, ErrorKind::Withdrawn, "had no effect: its deadline passed"),
        ] {
            let error = Error::withdrawn(withdrawal, |_| "noun a".into());
            assert_eq!(error.kind(), kind, "{withdrawal:?}: {error}");
            assert!(error.to_string().contains(text), "{withdrawal:?}: {error}");
            assert_eq!(error.op_id().is_some(), withdrawal != Withdrawal::NotSent, "{withdrawal:?}");
        }
        let unknown = Error::OutcomeUnknown { op };
        assert_eq!((unknown.kind(), unknown.op_id()), (ErrorKind::OutcomeUnknown, Some(op)));
        assert!(unknown.to_string().contains("resolve it before any retry"), "{unknown}");
    }

    #[test]
    fn throttling_deadlines_and_failures_of_the_store_are_told_apart() {
        let error = |kind| StoreError::new(kind, Operation::Get, "log/1", "why");
        for (given, expected) in [
            (error(ErrorKind::Overloaded), "Throttled"),
            (error(ErrorKind::Unavailable).past_deadline(), "NoReply"),
            (error(ErrorKind::Unavailable), "Store"),
        ] {
            let kind = given.kind();
            let Error::Log(told) = Error::from(given) else { panic!("it is of the log") };
            assert!(format!("{told:?}").starts_with(expected) && told.kind() == kind, "{told:?}");
        }
    }
}
