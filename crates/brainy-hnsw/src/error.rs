use brainy_core::ErrorKind;

/// Why the index refused something. Whatever the variant, the index is as it was before the call.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A vector or query has another number of components than the index.
    #[error("the vector has {got} components, the index holds vectors of {expected}")]
    Dimension {
        /// The index's dimension.
        expected: usize,
        /// The number of components given.
        got: usize,
    },
    /// A component is NaN or infinite, so the vector has no distances.
    #[error("component {component} of the vector is {value}, not a finite number")]
    NotFinite {
        /// Position of the first such component, from 0.
        component: usize,
        /// What stands there.
        value: f32,
    },
    /// All components are zero, so the vector has no direction, which cosine distance compares.
    #[error("all {dimension} components of the vector are zero: it has no direction, so no cosine distance")]
    ZeroVector {
        /// The number of components given.
        dimension: usize,
    },
    /// An option lies outside its range.
    #[error("option `{field}` is {value}, it must lie in {least}..={most}")]
    Option {
        /// The option's name.
        field: &'static str,
        /// The value given.
        value: usize,
        /// The least allowed value.
        least: usize,
        /// The greatest allowed value.
        most: usize,
    },
    /// The index holds as many distinct vectors as its node numbers can name.
    #[error("the index is full: it holds {vectors} distinct vectors")]
    Full {
        /// How many it holds.
        vectors: usize,
    },
}

impl Error {
    /// What the caller should do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Dimension { .. } | Self::NotFinite { .. } | Self::ZeroVector { .. } | Self::Option { .. } => ErrorKind::Invalid,
            Self::Full { .. } => ErrorKind::Unsupported,
        }
    }
}
