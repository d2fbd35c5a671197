//! What a transaction asks of the store.

mod encoding;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

pub use encoding::{decode_and_fingerprint, decode_operations, encode_operations};
use serde::{Deserialize, Serialize};

use crate::{ErrorKind, NounDraft, NounId, TypeName, VerbDraft, VerbId, Version};

/// Most operations in one transaction.
pub const MAX_OPERATIONS: usize = 100_000;
/// Most bytes of one encoded transaction.
pub const MAX_TRANSACTION_BYTES: usize = 16 << 20;
/// Most verbs that go with one detached noun.
pub const MAX_DETACHED_VERBS: usize = 100_000;

/// What must hold of an item before its transaction, else the whole transaction changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// No such item exists.
    Absent,
    /// The item exists, in whatever version.
    Exists,
    /// The item exists in exactly this version.
    Version(Version),
}

/// What becomes of the verbs that touch a deleted noun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Incident {
    /// The deletion is refused while there is one.
    #[default]
    Restrict,
    /// They are deleted with it, at most [`MAX_DETACHED_VERBS`].
    Detach,
}

/// What happens when an end of a new verb does not exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingEnds {
    /// The transaction changes nothing.
    #[default]
    Refuse,
    /// A noun of this type, without vector and metadata, is made in the same transaction.
    Create(TypeName),
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Operation {
    /// Writes a noun whole, in place of what was there.
    PutNoun {
        /// The noun.
        noun: NounDraft,
        /// What must hold before.
        precondition: Precondition,
    },
    /// Deletes a noun; without precondition an absent one is no fault.
    DeleteNoun {
        /// The noun.
        id: NounId,
        /// What becomes of its verbs.
        incident: Incident,
        /// What must hold before.
        precondition: Precondition,
    },
    /// Writes a verb whole, in place of what was there. Both ends must exist at this point of the transaction. Without precondition, given id and
    /// difference in content it changes nothing.
    PutVerb {
        /// The verb.
        verb: VerbDraft,
        /// What must hold before.
        precondition: Precondition,
        /// What happens when an end is missing.
        missing: MissingEnds,
    },
    /// Deletes a verb; without precondition an absent one is no fault.
    DeleteVerb {
        /// The verb.
        id: VerbId,
        /// What must hold before.
        precondition: Precondition,
    },
    /// Deletes every noun and verb. It must be the only operation of its transaction.
    Clear,
}

/// Why operations cannot be a transaction, whatever the store holds. Nothing was written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// The weight of a verb is NaN or infinite.
    #[error("the weight of verb {id} is {weight}, not a finite number")]
    Weight {
        /// The verb's effective id.
        id: VerbId,
        /// Its weight.
        weight: f64,
    },
    /// More than [`MAX_OPERATIONS`].
    #[error("a transaction of {given} operations: at most {MAX_OPERATIONS} are allowed")]
    Operations {
        /// How many were given.
        given: usize,
    },
    /// Over [`MAX_TRANSACTION_BYTES`].
    #[error("a transaction of {bytes} bytes: at most {MAX_TRANSACTION_BYTES} are allowed")]
    Bytes {
        /// Its encoded size.
        bytes: usize,
    },
    /// Two operations of one transaction write the same noun.
    #[error("noun {id} is written twice in one transaction")]
    NounTwice {
        /// The noun.
        id: NounId,
    },
    /// Two operations of one transaction write the same verb.
    #[error("verb {id} is written twice in one transaction")]
    VerbTwice {
        /// The verb's effective id.
        id: VerbId,
    },
    /// [`Operation::Clear`] beside other operations.
    #[error("a transaction that clears the store holds {others} other operations: it must hold none")]
    ClearNotAlone {
        /// How many others.
        others: usize,
    },
}

impl ChangeError {
    /// What a caller should do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Weight { .. }
            | Self::Operations { .. }
            | Self::Bytes { .. }
            | Self::NounTwice { .. }
            | Self::VerbTwice { .. }
            | Self::ClearNotAlone { .. } => ErrorKind::Invalid,
        }
    }
}

impl Operation {
    /// Whether it is sound by itself: what needs no store and is not already held by the types of its parts.
    ///
    /// # Errors
    /// [`ChangeError::Weight`].
    pub fn check(&self) -> Result<(), ChangeError> {
        match self {
            Self::PutVerb { verb, .. } if !verb.weight.is_finite() => {
                Err(ChangeError::Weight { id: verb.effective_id(), weight: verb.weight })
            }
            Self::PutNoun { .. } | Self::DeleteNoun { .. } | Self::PutVerb { .. } | Self::DeleteVerb { .. } | Self::Clear => Ok(()),
        }
    }

    /// Whether `operations` are sound together: each by itself, not too many, no id written twice, [`Operation::Clear`] alone. Encodes nothing, so
    /// [`MAX_TRANSACTION_BYTES`] is left to who does.
    ///
    /// # Errors
    /// [`ChangeError`], naming the item.
    pub fn check_all(operations: &[Self]) -> Result<(), ChangeError> {
        if operations.len() > MAX_OPERATIONS {
            return Err(ChangeError::Operations { given: operations.len() });
        }
        if operations.len() > 1 && operations.contains(&Self::Clear) {
            return Err(ChangeError::ClearNotAlone { others: operations.len() - 1 });
        }
        let (mut nouns, mut verbs) = (HashSet::new(), HashSet::new());
        for operation in operations {
            operation.check()?;
            match operation {
                Self::PutNoun { noun: NounDraft { id, .. }, .. } | Self::DeleteNoun { id, .. } => {
                    if !nouns.insert(id) {
                        return Err(ChangeError::NounTwice { id: id.clone() });
                    }
                }
                Self::PutVerb { verb, .. } => {
                    let id = verb.effective_id();
                    if !verbs.insert(id.clone()) {
                        return Err(ChangeError::VerbTwice { id });
                    }
                }
                Self::DeleteVerb { id, .. } => {
                    if !verbs.insert(id.clone()) {
                        return Err(ChangeError::VerbTwice { id: id.clone() });
                    }
                }
                Self::Clear => {}
            }
        }
        Ok(())
    }
}
