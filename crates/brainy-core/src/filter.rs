//! Filters over metadata.

use serde_json::Value;

/// Why JSON is not a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct FilterError {
    /// Where in the JSON.
    pub path: String,
    /// What is wrong.
    pub reason: String,
}

/// A predicate over an item's metadata.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Filter {
    /// Always true.
    All,
}

impl Filter {
    /// The filter written as MongoDB-like JSON.
    ///
    /// # Errors
    /// [`FilterError`], naming the place.
    pub fn from_json(_json: &Value) -> Result<Self, FilterError> {
        Ok(Self::All)
    }

    /// Whether `metadata` (a JSON object) passes.
    pub fn matches(&self, _metadata: &Value) -> bool {
        true
    }
}
