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
