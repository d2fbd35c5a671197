//! One slot of the log: a header and the batches it commits.

use std::collections::BTreeMap;

use brainy_core::codec::{self, CodecError, FieldWriter, Fields, ObjectKind};
use brainy_core::{ContentHash, Epoch, SequenceNumber, SetHash, StoreId, WriterId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::protocol;

/// What a creator states about the state as of a slot; every replica compares it with its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatedSummary {
    /// The slot after which the figures hold: the header's own, or up to D before it where the creator is thin.
    pub as_of: u64,
    /// The machine's counters in its own encoding.
    pub counters: Vec<u8>,
    /// Order-free hash of the machine's state.
    pub machine: SetHash,
    /// Order-free hash of the log's bookkeeping.
    pub bookkeeping: SetHash,
    /// For every slot since the one stated before, in order: one bit a transaction, lowest bit first, 1 = effective; padded to a byte each.
    pub verdicts: Vec<Vec<u8>>,
}

impl StatedSummary {
    /// The verdict bits of slot `seq`, if they are stated here.
    pub(crate) fn bits_of(&self, seq: u64) -> Option<&[u8]> {
        let first = self.as_of.checked_add(1)?.checked_sub(self.verdicts.len() as u64)?;
        let at = usize::try_from(seq.checked_sub(first)?).ok()?;
        self.verdicts.get(at).map(Vec::as_slice)
    }
}

/// What stands before the batches of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// The slot's number.
    pub seq: SequenceNumber,
    /// BLAKE3 of the slot before (of `brainy.json` for the first).
    pub previous: ContentHash,
    /// The store it belongs to.
    pub store: StoreId,
    /// Which life of the log.
    pub epoch: Epoch,
    /// Who made the slot; it decides nothing.
    pub creator: WriterId,
    /// Up to which tail every intent then visible has been carried.
    pub scan_base: u64,
    /// The tail before the creator's own listing of intents, where that was cut short, so that `scan_base` lies before it.
    pub listed: Option<u64>,
    /// The apply rules of this slot.
    pub rules: u32,
    /// The creator's wall clock in ms, corrected by the store's time where there is one; for people, decides nothing.
    pub at_ms: u64,
    /// Highest token claimed by each lease before this slot.
    pub tokens: BTreeMap<String, u64>,
    /// Counters, digests and verdict bits; none where the creator is thin.
    pub summary: Option<StatedSummary>,
}

/// A slot, read.
#[derive(Clone)]
pub(crate) struct Slot {
    pub(crate) header: Header,
    /// Encoded batches, the creator's own first or last as it likes: the order here is the order of effect.
    pub(crate) batches: Vec<Bytes>,
    /// BLAKE3 of the whole object.
    pub(crate) hash: ContentHash,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Slot");
        shown.field("header", &self.header).field("batches", &self.batches.len()).field("hash", &self.hash).finish()
    }
}

const WHAT: &str = "slot";
const SEQ: u16 = 1;
const PREVIOUS: u16 = 2;
const STORE: u16 = 3;
const EPOCH: u16 = 4;
const CREATOR: u16 = 5;
const SCAN_BASE: u16 = 6;
const RULES: u16 = 7;
const AT: u16 = 8;
const TOKENS: u16 = 9;
const SUMMARY: u16 = 10;
const BATCHES: u16 = 11;
const LISTED: u16 = 12;
const KNOWN: [u16; 12] = [SEQ, PREVIOUS, STORE, EPOCH, CREATOR, SCAN_BASE, RULES, AT, TOKENS, SUMMARY, BATCHES, LISTED];

/// The object of a slot: envelope, header, batches.
pub(crate) fn encode(header: &Header, batches: &[Bytes]) -> Bytes {
    let mut fields = FieldWriter::new();
    fields
        .required(SEQ, &codec::encode(&header.seq.get()))
        .required(PREVIOUS, header.previous.as_bytes())
        .required(STORE, header.store.as_bytes())
        .required(EPOCH, &codec::encode(&header.epoch))
        .required(CREATOR, header.creator.as_bytes())
        .required(SCAN_BASE, &codec::encode(&header.scan_base))
        .required(RULES, &codec::encode(&header.rules))
        .optional(AT, &codec::encode(&header.at_ms));
    if !header.tokens.is_empty() {
        fields.optional(TOKENS, &codec::encode(&header.tokens));
    }
    if let Some(summary) = &header.summary {
        fields.optional(SUMMARY, &codec::encode(summary));
    }
    fields.required(BATCHES, &codec::encode_list(batches));
    if let Some(listed) = &header.listed {
        fields.optional(LISTED, &codec::encode(listed));
    }
    codec::seal(ObjectKind::Slot, &fields.finish()).into()
}

/// The slot in `object`.
pub(crate) fn decode(object: &Bytes) -> Result<Slot, CodecError> {
    let body = codec::open(ObjectKind::Slot, WHAT, object)?;
    let fields = Fields::parse(WHAT, &KNOWN, body)?;
    let seq: u64 = fields.value(SEQ)?;
    let header = Header {
        seq: SequenceNumber::new(seq).ok_or_else(|| CodecError::corrupt(WHAT, "number 0"))?,
        previous: protocol::hash(&fields, PREVIOUS)?,
        store: StoreId::from_bytes(protocol::identity(&fields, STORE)?),
        epoch: fields.value(EPOCH)?,
        creator: WriterId::from_bytes(protocol::identity(&fields, CREATOR)?),
        scan_base: fields.value(SCAN_BASE)?,
        listed: fields.optional_value(LISTED)?,
        rules: fields.value(RULES)?,
        at_ms: fields.optional_value(AT)?.unwrap_or(0),
        tokens: fields.optional_value(TOKENS)?.unwrap_or_default(),
        summary: fields.optional_value(SUMMARY)?,
    };
    let batches = codec::decode_list("batches of a slot", fields.need(BATCHES)?)?;
    let batches = batches.into_iter().map(|batch| object.slice_ref(batch)).collect();
    Ok(Slot { header, batches, hash: ContentHash::of(object) })
}

/// One bit a transaction, lowest first.
pub(crate) fn pack_bits(bits: &[bool]) -> Vec<u8> {
    bits.chunks(8).map(|chunk| chunk.iter().enumerate().fold(0, |byte, (at, bit)| byte | (u8::from(*bit) << at))).collect()
}

/// Bit `at` of a [`pack_bits`].
pub(crate) fn bit(packed: &[u8], at: usize) -> Option<bool> {
    packed.get(at / 8).map(|byte| byte >> (at % 8) & 1 == 1)
}

/// What a retired slot is overwritten with: small, and equal whoever writes it.
pub(crate) fn tombstone(store: StoreId) -> Bytes {
    codec::seal(ObjectKind::Tombstone, &FieldWriter::new().required(TOMBSTONE_STORE, store.as_bytes()).finish()).into()
}

/// The field of a tombstone.
const TOMBSTONE_STORE: u16 = 1;

/// Whether this is what a retired slot is overwritten with.
pub(crate) fn is_tombstone(object: &[u8]) -> bool {
    codec::peek_kind(object) == Some(ObjectKind::Tombstone as u8) && codec::open(ObjectKind::Tombstone, "tombstone", object).is_ok()
}
