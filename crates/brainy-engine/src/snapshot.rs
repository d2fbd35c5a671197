//! The whole state as bytes: equal states, equal bytes.
//!
//! A head of tagged fields behind its 32-bit length, then the nouns and then the verbs, each behind its 32-bit length, in the order of their ids. So a
//! snapshot of any size is written and read without a length that could overflow.

use brainy_core::codec::{self, FieldWriter, Fields};
use brainy_core::{Metadata, Noun, NounDraft, NounId, ServiceTag, SetHash, Statistics, TypeName, Vector, Verb, VerbDraft, VerbId, Version};
use serde::{Deserialize, Serialize};

use crate::contents::{Contents, DeadKeys};
use crate::record::Record;
use crate::{Error, Space, counters};

const DIMENSION: u16 = 1;
const METRIC: u16 = 2;
const VERB_DIMENSION: u16 = 3;
const POSITION: u16 = 4;
const STATISTICS: u16 = 5;
const DIGEST: u16 = 6;
const KNOWN: [u16; 6] = [DIMENSION, METRIC, VERB_DIMENSION, POSITION, STATISTICS, DIGEST];

const WHAT: &str = "snapshot";

/// What nouns and verbs have alike, but for the vector and the metadata, which follow as they are.
#[derive(Serialize, Deserialize)]
struct Common<Id> {
    id: Id,
    kind: TypeName,
    service: Option<ServiceTag>,
    version: Version,
    created_ms: u64,
    updated_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct Edge {
    source: NounId,
    target: NounId,
    weight_bits: u64,
}

pub(crate) fn write(space: Space, contents: &Contents) -> Vec<u8> {
    let mut head = FieldWriter::new();
    head.required(DIMENSION, &codec::encode(&(space.dimension as u64)))
        .required(METRIC, space.metric.name().as_bytes())
        .required(VERB_DIMENSION, &codec::encode(&space.verb_dimension.map(|dimension| dimension as u64)))
        .required(POSITION, &codec::encode(&contents.position))
        .required(STATISTICS, &counters::encode_counters(&contents.statistics))
        .required(DIGEST, &contents.digest.to_bytes());
    let mut bytes = Vec::new();
    push(&mut bytes, &head.finish());
    for (_, held) in contents.nouns.iter() {
        push(&mut bytes, &noun_bytes(&held.record.item));
    }
    for (_, held) in contents.verbs.iter() {
        push(&mut bytes, &verb_bytes(&held.record.item));
    }
    bytes
}

/// The state in `bytes`. `contents`: that before it, whose vector keys must not return; none of its items stays.
pub(crate) fn read(space: Space, mut contents: Contents, mut bytes: &[u8]) -> Result<Contents, Error> {
    let bytes = &mut bytes;
    let head = Fields::parse(WHAT, &KNOWN, take(bytes)?).map_err(wrong)?;
    let found = (
        head.value::<u64>(DIMENSION).map_err(wrong)?,
        head.need(METRIC).map_err(wrong)?,
        head.value::<Option<u64>>(VERB_DIMENSION).map_err(wrong)?,
    );
    let wanted = (space.dimension as u64, space.metric.name().as_bytes(), space.verb_dimension.map(|dimension| dimension as u64));
    if found != wanted {
        return Err(wrong("it is of a store with another dimension or metric"));
    }
    let statistics: Statistics = head.value(STATISTICS).map_err(wrong)?;
    let mut recounted = Statistics::default();
    recounted.deleted_nouns = statistics.deleted_nouns;
    recounted.deleted_verbs = statistics.deleted_verbs;
    let mut digest = SetHash::EMPTY;
    let mut dead = DeadKeys::default();
    contents.clear();
    for _ in 0..statistics.nouns {
        let noun = read_noun(take(bytes)?)?;
        let fingerprint = codec::fingerprint(&noun.content_bytes());
        let record = Record::noun(noun, fingerprint);
        space.check_noun(record.item.vector.as_ref()).map_err(wrong)?;
        counters::add_noun(&mut recounted, &record.item);
        digest.insert(&record.element);
        contents.set_noun(record.item.id.clone(), Some(record), &mut dead);
    }
    for _ in 0..statistics.verbs {
        let verb = read_verb(take(bytes)?)?;
        let fingerprint = codec::fingerprint(&verb.content_bytes());
        let record = Record::verb(verb, fingerprint);
        space.check_verb(record.item.vector.as_ref()).map_err(wrong)?;
        if contents.nouns.get(&record.item.source).is_none() || contents.nouns.get(&record.item.target).is_none() {
            return Err(wrong(format!("verb {} has an end that does not exist", record.item.id)));
        }
        counters::add_verb(&mut recounted, &record.item);
        digest.insert(&record.element);
        contents.set_verb(record.item.id.clone(), Some(record), &mut dead);
    }
    if !bytes.is_empty() {
        return Err(wrong(format!("{} bytes too many", bytes.len())));
    }
    // An id that came twice would be counted twice.
    if recounted != statistics || contents.nouns.len() as u64 != statistics.nouns || contents.verbs.len() as u64 != statistics.verbs {
        return Err(wrong("its statistics are not those of its items"));
    }
    if digest.to_bytes() != head.need(DIGEST).map_err(wrong)? {
        return Err(wrong("its digest is not that of its items"));
    }
    contents.position = head.value(POSITION).map_err(wrong)?;
    contents.statistics = statistics;
    contents.digest = digest;
    Ok(contents)
}

fn noun_bytes(noun: &Noun) -> Vec<u8> {
    let Noun { id, kind, vector, metadata, service, version, created_ms, updated_ms, .. } = noun;
    let common =
        Common { id, kind: kind.clone(), service: service.clone(), version: *version, created_ms: *created_ms, updated_ms: *updated_ms };
    item_bytes(&codec::encode(&common), vector.as_ref(), metadata, None)
}

fn verb_bytes(verb: &Verb) -> Vec<u8> {
    let Verb { id, source, kind, target, vector, weight, metadata, service, version, created_ms, updated_ms, .. } = verb;
    let common =
        Common { id, kind: kind.clone(), service: service.clone(), version: *version, created_ms: *created_ms, updated_ms: *updated_ms };
    let edge = Edge { source: source.clone(), target: target.clone(), weight_bits: weight.to_bits() };
    item_bytes(&codec::encode(&common), vector.as_ref(), metadata, Some(codec::encode(&edge)))
}

fn item_bytes(common: &[u8], vector: Option<&Vector>, metadata: &Metadata, edge: Option<Vec<u8>>) -> Vec<u8> {
    let vector = vector.map(Vector::to_bytes).unwrap_or_default();
    let mut parts = vec![common, &vector, metadata.as_bytes()];
    parts.extend(edge.as_deref());
    codec::encode_list(&parts)
}

fn read_noun(bytes: &[u8]) -> Result<Noun, Error> {
    let [common, vector, metadata] = codec::decode_list(WHAT, bytes).map_err(wrong)?[..] else {
        return Err(wrong("a noun has other than three parts"));
    };
    let common: Common<NounId> = codec::decode(WHAT, common).map_err(wrong)?;
    let mut draft = NounDraft::new(common.id, common.kind).with_metadata(Metadata::from_bytes(metadata).map_err(wrong)?);
    draft.vector = read_vector(vector)?;
    draft.service = common.service;
    Ok(Noun::from_draft(&draft, common.version, common.created_ms, common.updated_ms))
}

fn read_verb(bytes: &[u8]) -> Result<Verb, Error> {
    let [common, vector, metadata, edge] = codec::decode_list(WHAT, bytes).map_err(wrong)?[..] else {
        return Err(wrong("a verb has other than four parts"));
    };
    let common: Common<VerbId> = codec::decode(WHAT, common).map_err(wrong)?;
    let edge: Edge = codec::decode(WHAT, edge).map_err(wrong)?;
    if !f64::from_bits(edge.weight_bits).is_finite() {
        return Err(wrong("the weight of a verb is not a finite number"));
    }
    let mut draft = VerbDraft::new(edge.source, common.kind, edge.target)
        .with_id(common.id)
        .with_weight(f64::from_bits(edge.weight_bits))
        .with_metadata(Metadata::from_bytes(metadata).map_err(wrong)?);
    draft.vector = read_vector(vector)?;
    draft.service = common.service;
    Ok(Verb::from_draft(&draft, common.version, common.created_ms, common.updated_ms))
}

/// No vector has no components, so none is written as nothing.
fn read_vector(bytes: &[u8]) -> Result<Option<Vector>, Error> {
    if bytes.is_empty() { Ok(None) } else { Ok(Some(Vector::from_bytes(bytes).map_err(wrong)?)) }
}

fn push(bytes: &mut Vec<u8>, part: &[u8]) {
    let length = u32::try_from(part.len()).expect("one item is within its limits, far below 4 GiB");
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(part);
}

fn take<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], Error> {
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(|| wrong("it is cut off"))?;
    let (part, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(|| wrong("it is cut off"))?;
    *bytes = rest;
    Ok(part)
}

fn wrong(reason: impl std::fmt::Display) -> Error {
    Error::Snapshot { reason: reason.to_string() }
}
