use brainy_coordination::Rejection;
use brainy_core::ErrorKind;

/// Why an operation could not be done, so that its whole transaction changed nothing. The numbers are stored in the log and never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u16)]
pub enum Reason {
    /// The item exists, the precondition wants it absent.
    AlreadyExists = 1,
    /// The item does not exist, the precondition wants it to, in some or in a certain version.
    DoesNotExist = 2,
    /// The item exists in another version than the precondition names.
    OtherVersion = 3,
    /// The verb's source does not exist at this point of the transaction.
    SourceMissing = 4,
    /// The verb's target does not exist at this point of the transaction.
    TargetMissing = 5,
    /// Verbs touch the noun that was to be deleted under [`Incident::Restrict`](brainy_core::Incident::Restrict).
    HasVerbs = 6,
    /// More than [`MAX_DETACHED_VERBS`](brainy_core::MAX_DETACHED_VERBS) verbs would go with the noun.
    TooManyVerbs = 7,
    /// An earlier operation of the same transaction writes or deletes the same item, be it as a missing end or as a verb of a detached noun.
    WrittenTwice = 8,
    /// The vector has another dimension than the store keeps.
    VectorDimension = 9,
    /// All components of the vector are zero, and the store's metric is cosine.
    VectorZero = 10,
    /// A verb with a vector, in a store that keeps no vectors of verbs.
    VectorNotKept = 11,
    /// `Clear` is not the only operation of its transaction.
    ClearNotAlone = 12,
    /// The operation asks for something the rules in force do not know.
    NotKnown = 13,
    /// The item has a type or a service that no other has, and the store holds [`MAX_LABELS`](brainy_core::MAX_LABELS) of them already.
    TooManyLabels = 14,
}

impl Reason {
    /// Every reason, in the order of the codes.
    pub const ALL: [Self; 14] = [
        Self::AlreadyExists,
        Self::DoesNotExist,
        Self::OtherVersion,
        Self::SourceMissing,
        Self::TargetMissing,
        Self::HasVerbs,
        Self::TooManyVerbs,
        Self::WrittenTwice,
        Self::VectorDimension,
        Self::VectorZero,
        Self::VectorNotKept,
        Self::ClearNotAlone,
        Self::NotKnown,
        Self::TooManyLabels,
    ];

    /// The code that a [`Rejection`] carries.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// The reason behind `code`; none if it belongs to the log or to a newer build.
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// What a caller should do: a transaction built on another state is [`ErrorKind::Conflict`], one that could never have worked [`ErrorKind::Invalid`].
    pub fn kind(self) -> ErrorKind {
        match self {
            Self::AlreadyExists | Self::DoesNotExist | Self::OtherVersion | Self::HasVerbs => ErrorKind::Conflict,
            Self::SourceMissing | Self::TargetMissing => ErrorKind::NotFound,
            Self::NotKnown => ErrorKind::Unsupported,
            Self::TooManyVerbs
            | Self::TooManyLabels
            | Self::WrittenTwice
            | Self::VectorDimension
            | Self::VectorZero
            | Self::VectorNotKept
            | Self::ClearNotAlone => ErrorKind::Invalid,
        }
    }

    /// The rejection of operation number `operation`, from 0.
    pub(crate) fn at(self, operation: usize) -> Rejection {
        Rejection { operation: u32::try_from(operation).unwrap_or(u32::MAX), code: self.code() }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::AlreadyExists => "the item exists already",
            Self::DoesNotExist => "the item does not exist",
            Self::OtherVersion => "the item exists in another version",
            Self::SourceMissing => "the verb's source does not exist",
            Self::TargetMissing => "the verb's target does not exist",
            Self::HasVerbs => "verbs touch the noun, and they were not to be deleted with it",
            Self::TooManyVerbs => "too many verbs touch the noun to delete them with it",
            Self::WrittenTwice => "the transaction writes this item twice",
            Self::VectorDimension => "the vector has another dimension than the store",
            Self::VectorZero => "a zero vector has no direction, so it has no cosine distance",
            Self::VectorNotKept => "the store keeps no vectors of verbs",
            Self::ClearNotAlone => "clear must be the only operation of its transaction",
            Self::TooManyLabels => "the store holds as many distinct types or services as it may, and this item would bring one more",
            Self::NotKnown => "the operation asks for something this version of the rules does not know",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_stable_and_lead_back_to_their_reason() {
        for (at, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(reason.code()), at + 1);
            assert_eq!(Reason::from_code(reason.code()), Some(reason));
            assert!(reason.code() < Rejection::FIRST_LOG_CODE);
        }
        assert_eq!(Reason::from_code(0), None);
        assert_eq!(Reason::from_code(Rejection::MALFORMED), None);
    }
}
