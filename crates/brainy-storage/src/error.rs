use std::sync::Arc;

use brainy_core::ErrorKind;

use crate::StoreTime;

/// Which operation of a store failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Operation {
    /// Reading an object, whole or in part.
    Get,
    /// Writing an object.
    Put,
    /// Listing keys.
    List,
    /// Deleting objects.
    Delete,
    /// Opening the store itself.
    Open,
}

impl Operation {
    /// Its name in messages and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Put => "put",
            Self::List => "list",
            Self::Delete => "delete",
            Self::Open => "open",
        }
    }
}

/// Why a store did not do what it was asked. For a put it means that nothing was written: a put that may have been written is [`Outcome::Unknown`](crate::Outcome).
///
/// It carries no credential, signed URL or object content.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{} of {subject} failed: {reason}", operation.name())]
pub struct StoreError {
    /// What was asked.
    pub operation: Operation,
    /// The key, prefix or store it was asked of.
    pub subject: String,
    /// What went wrong, for people.
    pub reason: String,
    kind: ErrorKind,
    past_deadline: bool,
    at: Option<StoreTime>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl StoreError {
    /// An error of this kind: `Overloaded` where the store asks for patience, `Unavailable` where it does not answer as it should. `reason` must hold no secret.
    pub fn new(kind: ErrorKind, operation: Operation, subject: impl std::fmt::Display, reason: impl Into<String>) -> Self {
        Self { operation, subject: subject.to_string(), reason: reason.into(), kind, past_deadline: false, at: None, source: None }
    }

    /// With the store's time of the refusing reply.
    #[must_use]
    pub fn at(mut self, at: Option<StoreTime>) -> Self {
        self.at = at;
        self
    }

    /// Because its caller's deadline passed, before it was sent or before there was a reply.
    #[must_use]
    pub fn past_deadline(mut self) -> Self {
        self.past_deadline = true;
        self
    }

    /// With the error underneath, which must hold no secret either.
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// What a caller should do.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether its caller's deadline is all that went wrong: the store may be well.
    pub fn is_past_deadline(&self) -> bool {
        self.past_deadline
    }

    /// The store's own time on its reply, where it has one.
    pub fn store_time(&self) -> Option<StoreTime> {
        self.at
    }
}
