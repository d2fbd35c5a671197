//! What the benches write.

use brainy_core::{Metadata, NounDraft, NounId, Operation, Precondition, TypeName, Vector, encode_operations};
use serde_json::json;

/// A noun with a vector and the metadata of a package: what an import writes.
///
/// # Panics
/// The row is empty or not finite.
pub fn noun(id: &str, row: &[f32]) -> NounDraft {
    let metadata = json!({"section": "utils", "priority": "optional", "installed_size_kib": 4_242, "essential": false});
    small_noun(id)
        .with_vector(Vector::new(row).expect("the rows are finite"))
        .with_metadata(Metadata::from_value(&metadata).expect("a small object"))
}

/// A noun of an id and a type.
///
/// # Panics
/// The id is none.
pub fn small_noun(id: &str) -> NounDraft {
    NounDraft::new(NounId::new(id).expect("the benches' ids are valid"), TypeName::new("package").expect("a valid type"))
}

/// Writes a noun, whatever was there.
pub fn put(noun: NounDraft) -> Operation {
    Operation::PutNoun { noun, precondition: Precondition::None }
}

/// One transaction that writes a noun for each row, with ids from `first` on.
pub fn payload(first: usize, rows: &[Vec<f32>]) -> Vec<u8> {
    let operations: Vec<_> = rows.iter().enumerate().map(|(at, row)| put(noun(&format!("noun-{}", first + at), row))).collect();
    encode_operations(&operations)
}

/// Bytes of the metadata of a [`measured_noun`].
pub const METADATA_BYTES: usize = 200;

/// A noun with a vector and [`METADATA_BYTES`] of metadata: what the throughput goals are stated for.
///
/// # Panics
/// The row is empty or not finite.
pub fn measured_noun(id: &str, row: &[f32]) -> NounDraft {
    let metadata = |text: &str| Metadata::from_value(&json!({ "text": text })).expect("a small object");
    // Its length takes as many bytes whether the text has 100 characters or a few more.
    let rest = METADATA_BYTES - metadata(&"x".repeat(100)).as_bytes().len();
    let metadata = metadata(&"x".repeat(100 + rest));
    small_noun(id).with_vector(Vector::new(row).expect("the rows are finite")).with_metadata(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measured_noun_has_as_much_metadata_as_is_said() {
        assert_eq!(measured_noun("noun-1", &[1.0]).metadata.as_bytes().len(), METADATA_BYTES);
    }
}
