use brainy_core::Metric;

use crate::Error;
use crate::kernels::{self, Kernels};

/// Checks that `vector` can be stored in, or asked of, an index of this dimension and metric.
///
/// # Errors
/// [`Error::Dimension`], [`Error::NotFinite`] with the first such component, or, under [`Metric::Cosine`], [`Error::ZeroVector`].
pub fn check_vector(vector: &[f32], dimension: usize, metric: Metric) -> Result<(), Error> {
    if vector.len() != dimension {
        return Err(Error::Dimension { expected: dimension, got: vector.len() });
    }
    if let Some(component) = vector.iter().position(|x| !x.is_finite()) {
        return Err(Error::NotFinite { component, value: vector[component] });
    }
    if metric == Metric::Cosine && vector.iter().all(|x| *x == 0.0) {
        return Err(Error::ZeroVector { dimension });
    }
    Ok(())
}

/// How a metric is computed from two prepared rows.
#[derive(Clone, Copy)]
enum Form {
    SquaredL2,
    /// For rows of unit length `1 − cos(a, b) = ‖a − b‖² / 2`: unlike `1 − a·b` it is exactly 0 for equal rows, never below,
    /// and keeps the order of very near ones.
    HalfSquaredL2,
    NegatedDot,
}

/// Distances under one metric, by the fastest loop this processor has.
///
/// [`Index`](crate::Index) computes its distances with one of these over [prepared](Self::prepare) rows, so that
/// [`between`](Self::between) gives, for the same pair on the same machine, the very same value as a search. Processors with other
/// instructions add in another order and differ in the last bits.
#[derive(Clone, Copy)]
pub struct Distance {
    metric: Metric,
    form: Form,
    kernels: Kernels,
}

impl Distance {
    /// Distances under `metric`.
    pub fn new(metric: Metric) -> Self {
        let form = match metric {
            Metric::L2 => Form::SquaredL2,
            Metric::Cosine => Form::HalfSquaredL2,
            Metric::InnerProduct => Form::NegatedDot,
            other => unreachable!("metric {other} is newer than this build of brainy-hnsw"),
        };
        Self { metric, form, kernels: kernels::fastest() }
    }

    /// The metric given.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// The instructions in use: `avx512`, `avx2` or `scalar`.
    pub fn instructions(&self) -> &'static str {
        self.kernels.name
    }

    /// `vector` as [`between`](Self::between) wants it: scaled to unit length under [`Metric::Cosine`], else unchanged.
    ///
    /// `vector` has passed [`check_vector`]. The length is computed in `f64`, so neither huge nor tiny components overflow.
    /// Preparing a row that was prepared before may change its last bits: prepare once.
    pub fn prepare(&self, vector: &[f32]) -> Vec<f32> {
        if self.metric != Metric::Cosine {
            return vector.to_vec();
        }
        let length = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
        if length == 0.0 {
            return vector.to_vec();
        }
        vector.iter().map(|x| (f64::from(*x) / length) as f32).collect()
    }

    /// The distance between two prepared rows; symmetric, never NaN.
    ///
    /// A value beyond an `f32` is `+∞` or `−∞`; an inner product whose partial sums overflow both ways counts as farthest, `+∞`.
    ///
    /// # Panics
    /// If the rows differ in length.
    #[inline]
    pub fn between(&self, a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len(), "two rows of one index have one length");
        match self.form {
            Form::SquaredL2 => (self.kernels.squared_l2)(a, b),
            Form::HalfSquaredL2 => 0.5 * (self.kernels.squared_l2)(a, b),
            Form::NegatedDot => {
                let dot = (self.kernels.dot)(a, b);
                // Subtracting, not negating, makes a product of −0 and +0 the same distance.
                if dot.is_nan() { f32::INFINITY } else { 0.0 - dot }
            }
        }
    }
}

impl std::fmt::Debug for Distance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Distance").field("metric", &self.metric).field("instructions", &self.kernels.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distance(metric: Metric, a: &[f32], b: &[f32]) -> f32 {
        let distance = Distance::new(metric);
        distance.between(&distance.prepare(a), &distance.prepare(b))
    }

    #[test]
    fn each_metric_gives_its_defined_value() {
        let (a, b) = ([3.0, 4.0, 0.0], [0.0, 4.0, 3.0]);
        assert_eq!(distance(Metric::L2, &a, &b), 18.0);
        assert_eq!(distance(Metric::InnerProduct, &a, &b), -16.0);
        assert!((distance(Metric::Cosine, &a, &b) - (1.0 - 16.0 / 25.0)).abs() < 1e-6);
        assert!((distance(Metric::Cosine, &a, &[-6.0, -8.0, 0.0]) - 2.0).abs() < 1e-6);
    }

    #[test]
    fn equal_directions_are_at_distance_zero_at_any_scale() {
        let a: Vec<f32> = (1..=384).map(|i| (i as f32).sin()).collect();
        let b: Vec<f32> = a.iter().map(|x| x * 4.0).collect();
        let c: Vec<f32> = a.iter().map(|x| x * 3e38).collect();
        assert_eq!(distance(Metric::Cosine, &a, &b), 0.0);
        assert!(distance(Metric::Cosine, &a, &c) < 1e-12);
    }

    #[test]
    fn overflow_is_infinite_and_never_nan() {
        let (a, b) = ([3e38, -3e38], [-3e38, -3e38]);
        assert_eq!(distance(Metric::L2, &a, &b), f32::INFINITY);
        assert_eq!(distance(Metric::InnerProduct, &a, &b), f32::INFINITY);
        assert_eq!(distance(Metric::InnerProduct, &a, &a), f32::NEG_INFINITY);
        assert_eq!(distance(Metric::Cosine, &a, &a), 0.0);
    }

    #[test]
    fn a_zero_product_has_one_sign() {
        assert_eq!(distance(Metric::InnerProduct, &[0.0, 1.0], &[1.0, 0.0]).to_bits(), 0);
        assert_eq!(distance(Metric::InnerProduct, &[-0.0, 1.0], &[1.0, -0.0]).to_bits(), 0);
    }
}
