//! Exact statistics, kept by taking items in and out.

use std::collections::BTreeMap;

use brainy_core::{CodecError, Metadata, Noun, ServiceTag, Statistics, TypeName, Vector, Verb, codec};

/// The statistics in the counters of a slot header or a [`Summary`](brainy_coordination::Summary): what a cold reader learns without the state.
///
/// # Errors
/// [`CodecError::Corrupt`]: not bytes that this machine writes.
pub fn decode_counters(bytes: &[u8]) -> Result<Statistics, CodecError> {
    codec::decode("counters", bytes)
}

pub(crate) fn encode_counters(statistics: &Statistics) -> Vec<u8> {
    codec::encode(statistics)
}

pub(crate) fn add_noun(statistics: &mut Statistics, noun: &Noun) {
    statistics.nouns += 1;
    statistics.noun_vectors += u64::from(noun.vector.is_some());
    add(&mut statistics.nouns_by_type, Some(&noun.kind));
    add(&mut statistics.nouns_by_service, noun.service.as_ref());
    add_bytes(statistics, noun.vector.as_ref(), &noun.metadata);
}

pub(crate) fn take_noun(statistics: &mut Statistics, noun: &Noun) {
    statistics.nouns -= 1;
    statistics.noun_vectors -= u64::from(noun.vector.is_some());
    take(&mut statistics.nouns_by_type, Some(&noun.kind));
    take(&mut statistics.nouns_by_service, noun.service.as_ref());
    take_bytes(statistics, noun.vector.as_ref(), &noun.metadata);
}

pub(crate) fn add_verb(statistics: &mut Statistics, verb: &Verb) {
    statistics.verbs += 1;
    statistics.verb_vectors += u64::from(verb.vector.is_some());
    add(&mut statistics.verbs_by_type, Some(&verb.kind));
    add(&mut statistics.verbs_by_service, verb.service.as_ref());
    add_bytes(statistics, verb.vector.as_ref(), &verb.metadata);
}

pub(crate) fn take_verb(statistics: &mut Statistics, verb: &Verb) {
    statistics.verbs -= 1;
    statistics.verb_vectors -= u64::from(verb.vector.is_some());
    take(&mut statistics.verbs_by_type, Some(&verb.kind));
    take(&mut statistics.verbs_by_service, verb.service.as_ref());
    take_bytes(statistics, verb.vector.as_ref(), &verb.metadata);
}

/// Raises `deleted` by an item that is gone. It never wraps, since a restored count is whatever a snapshot says.
pub(crate) fn count_deletion(deleted: &mut u64, gone: bool) {
    *deleted = deleted.saturating_add(u64::from(gone));
}

/// Nothing exists any more, everything that did was deleted; how many items that were.
pub(crate) fn clear(statistics: &mut Statistics) -> u64 {
    let mut cleared = Statistics::default();
    cleared.deleted_nouns = statistics.deleted_nouns.saturating_add(statistics.nouns);
    cleared.deleted_verbs = statistics.deleted_verbs.saturating_add(statistics.verbs);
    let items = statistics.nouns + statistics.verbs;
    *statistics = cleared;
    items
}

trait Label: Ord + Clone {}
impl Label for TypeName {}
impl Label for ServiceTag {}

fn add<L: Label>(counts: &mut BTreeMap<L, u64>, label: Option<&L>) {
    let Some(label) = label else { return };
    match counts.get_mut(label) {
        Some(count) => *count += 1,
        None => {
            counts.insert(label.clone(), 1);
        }
    }
}

fn take<L: Label>(counts: &mut BTreeMap<L, u64>, label: Option<&L>) {
    let Some(label) = label else { return };
    let count = counts.get_mut(label).expect("what is taken out was counted when it came in");
    *count -= 1;
    if *count == 0 {
        counts.remove(label);
    }
}

fn bytes_of(vector: Option<&Vector>) -> u64 {
    vector.map_or(0, |vector| 4 * vector.dimension() as u64)
}

fn add_bytes(statistics: &mut Statistics, vector: Option<&Vector>, metadata: &Metadata) {
    statistics.vector_bytes += bytes_of(vector);
    statistics.metadata_bytes += metadata.as_bytes().len() as u64;
}

fn take_bytes(statistics: &mut Statistics, vector: Option<&Vector>, metadata: &Metadata) {
    statistics.vector_bytes -= bytes_of(vector);
    statistics.metadata_bytes -= metadata.as_bytes().len() as u64;
}
