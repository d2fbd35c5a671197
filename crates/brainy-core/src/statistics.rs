use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ServiceTag, TypeName};

/// Most distinct types of nouns, types of verbs, services of nouns and services of verbs, each, that a store may hold at once: the counts by each of them stand
/// in the header of every slot, which stays below 1 MiB even where every label is as long as it may be.
pub const MAX_LABELS: usize = 768;

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec;

    proptest! {
        #[test]
        fn statistics_survive_their_bytes(counts in any::<[u64; 4]>(), types in prop::collection::btree_map("\\PC{1,8}", any::<u64>(), 0..9)) {
            let by_type = types.iter().map(|(name, count)| (TypeName::new(name).unwrap(), *count)).collect();
            let by_service = types.iter().map(|(name, count)| (ServiceTag::new(name).unwrap(), !*count)).collect();
            let [nouns, verbs, deleted_nouns, metadata_bytes] = counts;
            let statistics =
                Statistics { nouns, verbs, deleted_nouns, metadata_bytes, nouns_by_type: by_type, verbs_by_service: by_service, ..Statistics::default() };
            let bytes = codec::encode(&statistics);
            prop_assert_eq!(codec::decode::<Statistics>("statistics", &bytes).unwrap(), statistics);
            prop_assert!(codec::decode::<Statistics>("statistics", &bytes[..bytes.len() - 1]).is_err());
        }
    }

    #[test]
    fn types_are_checked_again_when_read() {
        // Four counts, then a map of one type with an empty name.
        assert!(codec::decode::<Statistics>("statistics", &[0, 0, 0, 0, 1, 0, 7, 0, 0, 0, 0, 0, 0, 0]).is_err());
        assert!(codec::decode::<Statistics>("statistics", &[0, 0, 0, 0, 1, 1, b't', 7, 0, 0, 0, 0, 0, 0, 0]).is_ok());
    }
}
