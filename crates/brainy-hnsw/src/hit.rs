use std::cmp::Ordering;

/// One answer of a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// The caller's key of the vector.
    pub key: u64,
    /// Its distance from the query, as the index's metric defines it; `+∞` where the true value exceeds an `f32`.
    pub distance: f32,
}

impl Hit {
    /// The order of results: nearest first, equal distances by key.
    pub fn by_rank(&self, other: &Self) -> Ordering {
        self.distance.total_cmp(&other.distance).then(self.key.cmp(&other.key))
    }
}
