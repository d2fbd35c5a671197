use std::sync::Arc;

use crate::{ErrorKind, Metric};

/// Most components a vector may have.
pub const MAX_DIMENSION: usize = 65_536;

/// Why numbers are not a vector of a store. Nothing was written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VectorError {
    /// No components, or more than [`MAX_DIMENSION`].
    #[error("a vector of {given} components: 1 to {MAX_DIMENSION} are allowed")]
    Size {
        /// How many were given.
        given: usize,
    },
    /// Another length than the store's.
    #[error("a vector of {given} components in a store of dimension {expected}")]
    Dimension {
        /// How many were given.
        given: usize,
        /// The store's dimension.
        expected: usize,
    },
    /// A component is NaN or infinite.
    #[error("component {at} of the vector is {value}, not a finite number")]
    NotFinite {
        /// Which component, from 0.
        at: usize,
        /// Its value.
        value: f32,
    },
    /// All components are zero under cosine distance: no direction.
    #[error("a zero vector has no direction, so it has no cosine distance")]
    Zero,
}

impl VectorError {
    /// What a caller should do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Size { .. } | Self::Dimension { .. } | Self::NotFinite { .. } | Self::Zero => ErrorKind::Invalid,
        }
    }
}

/// A vector: 1 to [`MAX_DIMENSION`] finite `f32` components. Cheap to clone.
#[derive(Clone, PartialEq)]
pub struct Vector(Arc<[f32]>);

impl Vector {
    /// These components.
    ///
    /// # Errors
    /// [`VectorError::Size`], [`VectorError::NotFinite`].
    pub fn new(components: impl Into<Arc<[f32]>>) -> Result<Self, VectorError> {
        let components = components.into();
        if components.is_empty() || components.len() > MAX_DIMENSION {
            return Err(VectorError::Size { given: components.len() });
        }
        // Without a way out of the loop, it runs on whole registers.
        if !components.iter().fold(true, |finite, value| finite & value.is_finite())
            && let Some((at, &value)) = components.iter().enumerate().find(|(_, value)| !value.is_finite())
        {
            return Err(VectorError::NotFinite { at, value });
        }
        Ok(Self(components))
    }

    /// Whether it may live in a store of this dimension and metric.
    ///
    /// # Errors
    /// [`VectorError::Dimension`], [`VectorError::Zero`].
    pub fn check(&self, dimension: usize, metric: Metric) -> Result<(), VectorError> {
        if self.0.len() != dimension {
            return Err(VectorError::Dimension { given: self.0.len(), expected: dimension });
        }
        if metric == Metric::Cosine && self.0.iter().all(|&value| value == 0.0) {
            return Err(VectorError::Zero);
        }
        Ok(())
    }

    /// The components.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// How many components.
    pub fn dimension(&self) -> usize {
        self.0.len()
    }

    /// The components as stored: little-endian `f32`, one after the other.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; 4 * self.0.len()];
        self.write_to(&mut bytes);
        bytes
    }

    /// Writes [`to_bytes`](Self::to_bytes) into `bytes`, which has that length.
    pub(crate) fn write_to(&self, bytes: &mut [u8]) {
        for (place, value) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(&*self.0) {
            *place = value.to_le_bytes();
        }
    }

    /// The vector stored in `bytes`.
    ///
    /// # Errors
    /// As [`Vector::new`]; bytes beyond a multiple of four make [`VectorError::Size`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, VectorError> {
        let (values, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() || values.len() > MAX_DIMENSION {
            return Err(VectorError::Size { given: bytes.len() / 4 });
        }
        Self::new(values.iter().map(|value| f32::from_le_bytes(*value)).collect::<Arc<[f32]>>())
    }
}

impl std::fmt::Debug for Vector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vector({} × f32)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_vector_survives_its_bytes_bit_for_bit(bits in prop::collection::vec(any::<u32>(), 0..40)) {
            let values: Vec<f32> = bits.iter().map(|bits| f32::from_bits(*bits)).collect();
            let bytes: Vec<u8> = bits.iter().flat_map(|bits| bits.to_le_bytes()).collect();
            let sound = !values.is_empty() && values.iter().all(|value| value.is_finite());
            prop_assert_eq!(Vector::new(values).is_ok(), sound);
            match Vector::from_bytes(&bytes) {
                Ok(vector) => prop_assert_eq!(vector.to_bytes(), bytes),
                Err(_) => prop_assert!(!sound),
            }
        }
    }

    #[test]
    fn what_is_not_a_vector_is_refused_with_the_component() {
        assert_eq!(Vector::new([]), Err(VectorError::Size { given: 0 }));
        assert_eq!(Vector::new(vec![1.0; MAX_DIMENSION + 1]), Err(VectorError::Size { given: MAX_DIMENSION + 1 }));
        assert_eq!(Vector::new(vec![1.0; MAX_DIMENSION]).unwrap().dimension(), MAX_DIMENSION);
        assert_eq!(Vector::new([1.0, f32::INFINITY]), Err(VectorError::NotFinite { at: 1, value: f32::INFINITY }));
        assert!(matches!(Vector::new([f32::NAN]), Err(VectorError::NotFinite { at: 0, .. })));
        assert_eq!(Vector::from_bytes(&[0; 5]), Err(VectorError::Size { given: 1 }));
        assert_eq!(Vector::from_bytes(&vec![0; 4 * MAX_DIMENSION + 4]), Err(VectorError::Size { given: MAX_DIMENSION + 1 }));
    }

    #[test]
    fn a_store_takes_its_own_dimension_and_under_cosine_no_zero() {
        let zero = Vector::new([0.0, -0.0]).unwrap();
        assert_eq!(zero.check(2, Metric::Cosine), Err(VectorError::Zero));
        zero.check(2, Metric::L2).unwrap();
        let error = zero.check(3, Metric::InnerProduct).unwrap_err();
        assert_eq!(error, VectorError::Dimension { given: 2, expected: 3 });
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}
