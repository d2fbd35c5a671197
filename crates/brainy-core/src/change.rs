//! What a transaction asks of the store.

use serde::{Deserialize, Serialize};

use crate::{NounDraft, NounId, TypeName, VerbDraft, VerbId, Version};

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
