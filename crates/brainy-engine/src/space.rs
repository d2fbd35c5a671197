use brainy_core::{Metric, Vector, VectorError};

use crate::Reason;

/// What vectors a store keeps; fixed when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Space {
    /// Components of every noun's vector.
    pub dimension: usize,
    /// How far apart two vectors are, nouns' and verbs'.
    pub metric: Metric,
    /// Components of every verb's vector; none if verbs have no vectors.
    pub verb_dimension: Option<usize>,
}

impl Space {
    /// Vectors of nouns only.
    pub const fn new(dimension: usize, metric: Metric) -> Self {
        Self { dimension, metric, verb_dimension: None }
    }

    /// With vectors of verbs too, or without.
    #[must_use]
    pub const fn with_verb_dimension(mut self, dimension: Option<usize>) -> Self {
        self.verb_dimension = dimension;
        self
    }

    pub(crate) fn check_noun(self, vector: Option<&Vector>) -> Result<(), Reason> {
        vector.map_or(Ok(()), |vector| check(vector, self.dimension, self.metric))
    }

    pub(crate) fn check_verb(self, vector: Option<&Vector>) -> Result<(), Reason> {
        match (vector, self.verb_dimension) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(Reason::VectorNotKept),
            (Some(vector), Some(dimension)) => check(vector, dimension, self.metric),
        }
    }
}

fn check(vector: &Vector, dimension: usize, metric: Metric) -> Result<(), Reason> {
    vector.check(dimension, metric).map_err(|error| match error {
        VectorError::Zero => Reason::VectorZero,
        // A `Vector` holds finite numbers only: what is left is its length.
        _ => Reason::VectorDimension,
    })
}
