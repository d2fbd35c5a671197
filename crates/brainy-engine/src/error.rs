use brainy_core::{ErrorKind, VectorError};

/// Why the engine refused something. Its state is as it was.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An option lies outside its range.
    #[error("option `{field}`: {reason}")]
    Option {
        /// The option's name.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The vector of a query cannot be compared with those of the store. Nothing was searched.
    #[error("the query cannot be searched for: {0}")]
    Query(#[from] VectorError),
    /// A search in an engine that was opened without a vector index.
    #[error("this instance keeps no vector index: open it in a mode that searches")]
    NoVectorIndex,
    /// A search among verbs in a store that keeps no vectors of verbs.
    #[error("this store keeps no vectors of verbs")]
    NoVerbVectors,
    /// Bytes that are no snapshot of a store like this one.
    #[error("the snapshot is corrupt: {reason}")]
    Snapshot {
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// What a caller should do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Option { .. } | Self::Query(_) => ErrorKind::Invalid,
            Self::NoVectorIndex | Self::NoVerbVectors => ErrorKind::Unsupported,
            Self::Snapshot { .. } => ErrorKind::Corrupt,
        }
    }
}
