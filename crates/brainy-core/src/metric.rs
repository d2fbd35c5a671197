use serde::{Deserialize, Serialize};

/// How far apart two vectors are. Smaller is nearer for every metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Metric {
    /// Squared Euclidean distance: `Σ (aᵢ − bᵢ)²`, from 0.
    L2,
    /// `1 − cos(a, b)`, from 0 (same direction) to 2. A zero vector has no direction and is refused.
    #[default]
    Cosine,
    /// `−Σ aᵢ·bᵢ`: the negated inner product, so that smaller is nearer; unbounded below.
    InnerProduct,
}

impl Metric {
    /// The name used in options, files and tables: `l2`, `cosine` or `inner_product`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::L2 => "l2",
            Self::Cosine => "cosine",
            Self::InnerProduct => "inner_product",
        }
    }

    /// The metric called `name`; none if there is no such metric.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "l2" => Some(Self::L2),
            "cosine" => Some(Self::Cosine),
            "inner_product" => Some(Self::InnerProduct),
            _ => None,
        }
    }
}

impl std::fmt::Display for Metric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_has_one_name_everywhere() {
        for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
            assert_eq!(Metric::from_name(metric.name()), Some(metric));
            assert_eq!(metric.to_string(), metric.name());
            assert_eq!(serde_json::to_value(metric).unwrap(), metric.name());
        }
        for other in ["", "L2", "dot", "cosine "] {
            assert_eq!(Metric::from_name(other), None, "{other:?}");
        }
    }
}
