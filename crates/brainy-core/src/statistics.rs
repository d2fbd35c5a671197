use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ServiceTag, TypeName};

/// Exact counts of a store's state: part of the replicated state, so equal on every instance at the same sequence number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Statistics {
    /// Nouns that exist.
    pub nouns: u64,
    /// Verbs that exist.
    pub verbs: u64,
    /// Nouns that exist and have a vector.
    pub noun_vectors: u64,
    /// Verbs that exist and have a vector.
    pub verb_vectors: u64,
    /// Existing nouns by type; types without one are left out.
    pub nouns_by_type: BTreeMap<TypeName, u64>,
    /// Existing verbs by type; types without one are left out.
    pub verbs_by_type: BTreeMap<TypeName, u64>,
    /// Existing nouns by the service that last wrote them; nouns without a tag are left out.
    pub nouns_by_service: BTreeMap<ServiceTag, u64>,
    /// Existing verbs by the service that last wrote them; verbs without a tag are left out.
    pub verbs_by_service: BTreeMap<ServiceTag, u64>,
    /// Nouns deleted since the store was made.
    pub deleted_nouns: u64,
    /// Verbs deleted since the store was made.
    pub deleted_verbs: u64,
    /// Bytes of the vectors of existing nouns and verbs, four a component.
    pub vector_bytes: u64,
    /// Bytes of the canonical metadata of existing nouns and verbs.
    pub metadata_bytes: u64,
}
