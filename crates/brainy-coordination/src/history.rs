//! The log as it lies in the store, for tools: slots one by one, and the tail without the state.

use brainy_core::{ContentHash, ErrorKind, Moment, SequenceNumber, WriterId};
use brainy_storage::{Get, GetOptions};
use bytes::Bytes;

use crate::batch::{self, Batch, Contents, Fence, Transaction};
use crate::environment::Environment;
use crate::error::Error;
use crate::head;
use crate::keys;
use crate::protocol::ProtocolOperation;
use crate::slot::{self, Header};
use crate::token::OpId;

/// One slot as it was written.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SlotRecord {
    /// Its header.
    pub header: Header,
    /// BLAKE3 of the object.
    pub hash: ContentHash,
    /// Bytes of the object.
    pub bytes: u64,
    /// Its batches, in order of effect.
    pub batches: Vec<BatchRecord>,
}

/// One batch of a slot.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BatchRecord {
    /// Who wrote it.
    pub writer: WriterId,
    /// The writer's number.
    pub wseq: u64,
    /// The tail its writer had applied.
    pub base: u64,
    /// Its transactions; none where they lie in a blob that is gone.
    pub transactions: Vec<TransactionRecord>,
}

/// One transaction of a batch.
#[derive(Clone)]
#[non_exhaustive]
pub struct TransactionRecord {
    /// Its name.
    pub op: OpId,
    /// Its ordinal in the slot.
    pub ordinal: u32,
    /// Whether it took effect, where the slot's header says so.
    pub effective: Option<bool>,
    /// The state machine's bytes.
    pub payload: Option<Bytes>,
    /// The log's own operations.
    pub protocol: Vec<ProtocolOperation>,
    /// The lease that it was written under.
    pub fence: Option<Fence>,
}

/// Shows the payload's size only: what users write must not reach logs.
impl std::fmt::Debug for TransactionRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("TransactionRecord");
        shown.field("op", &self.op).field("ordinal", &self.ordinal).field("effective", &self.effective);
        shown.field("payload", &self.payload.as_ref().map(|payload| batch::SizeOf(payload.len())));
        shown.field("protocol", &self.protocol).field("fence", &self.fence).finish()
    }
}

/// The slot `seq`, with the transactions of all its batches; none if it is not there. Nothing is applied.
///
/// # Errors
/// [`Error::Truncated`], [`Error::Bytes`], [`Error::Store`].
pub async fn read_slot(environment: &Environment, seq: SequenceNumber, deadline: Moment) -> Result<Option<SlotRecord>, Error> {
    let key = keys::slot(seq);
    let Get::Found(object) = environment.read(&key, GetOptions::whole(), deadline).await?.value else { return Ok(None) };
    if slot::is_tombstone(&object.bytes) {
        return Err(Error::Truncated { boundary: seq.get(), position: seq.get() - 1 });
    }
    let slot = slot::decode(&object.bytes).map_err(|error| Error::bytes(&key, error))?;
    if slot.header.seq != seq {
        let reason = format!("its header says slot {}", slot.header.seq);
        return Err(Error::bytes(&key, brainy_core::CodecError::corrupt("slot", reason)));
    }
    let bits = slot.header.summary.as_ref().and_then(|summary| summary.bits_of(seq.get())).map(<[u8]>::to_vec);
    let mut ordinal = 0;
    let mut batches = Vec::with_capacity(slot.batches.len());
    for bytes in &slot.batches {
        let Ok(batch) = Batch::decode(bytes) else { continue };
        let list = match &batch.contents {
            Contents::Inline(list) => Some(list.clone()),
            Contents::Blob(reference) => {
                let key = keys::blob(batch.base, batch.writer, batch.wseq, reference.hash);
                match environment.read(&key, GetOptions::whole(), deadline).await?.value {
                    Get::Found(object) => {
                        let body = brainy_core::codec::open(brainy_core::codec::ObjectKind::Blob, "blob", &object.bytes)
                            .map_err(|error| Error::bytes(&key, error))?;
                        Some(object.bytes.slice_ref(body))
                    }
                    Get::Absent | Get::NotModified => None,
                }
            }
        };
        let decoded = list.and_then(|list| batch::decode_transactions(&list, batch.count).ok()).unwrap_or_default();
        let transactions = (0..)
            .zip(decoded)
            .map(|(index, transaction)| {
                let op = OpId { writer: batch.writer, wseq: batch.wseq, index, base: batch.base, hash: batch.hash };
                let at = u32::saturating_add(ordinal, index);
                let effective = bits.as_deref().and_then(|bits| slot::bit(bits, at as usize));
                let Transaction { payload, protocol, fence } = transaction.unwrap_or_default();
                TransactionRecord { op, ordinal: at, effective, payload, protocol, fence }
            })
            .collect();
        ordinal = u32::saturating_add(ordinal, batch.count);
        batches.push(BatchRecord { writer: batch.writer, wseq: batch.wseq, base: batch.base, transactions });
    }
    Ok(Some(SlotRecord { header: slot.header, hash: slot.hash, bytes: object.size, batches }))
}

/// The newest slot, found without a listing and without any state by galloping over the gap-free numbers from `from` on, or from the first that was not collected: at most
/// 2·log₂ n + 4 reads, n the number of slots beyond it (twice as many where slots were collected). None: the log ends before `from`. A hole in a damaged log is taken for its
/// end: opening a handle looks for one.
///
/// # Errors
/// [`Error::Truncated`]: slots were collected faster than they could be looked for; [`Error::Bytes`], [`Error::Missing`], [`Error::Store`].
pub async fn find_tail(environment: &Environment, from: SequenceNumber, deadline: Moment) -> Result<Option<SlotRecord>, Error> {
    let mut from = from;
    for _ in 0..MOST_GALLOPS {
        let found = gallop(environment, from, deadline).await?;
        // INV-9: what was there, and what was not, tells the tail only if the boundary, read afterwards, does not lie beyond it.
        let boundary = head::read_any_head(environment, deadline).await?.head.boundary;
        match found {
            Some(tail) if tail.get() > boundary => {
                // What is stated on the strength of a directory's newest entries must survive a power cut.
                environment.store.settle(&keys::log()).await?;
                return read_slot(environment, tail, deadline).await;
            }
            None if boundary < from.get() => return Ok(None),
            _ => from = SequenceNumber::new(boundary.saturating_add(1)).expect("one more than a number is not 0"),
        }
    }
    Err(Error::Truncated { boundary: from.get() - 1, position: from.get() - 1 })
}

/// So often at most slots are found collected while the tail is looked for.
const MOST_GALLOPS: usize = 8;

/// The last of the numbers from `first` on that are there without a gap.
async fn gallop(environment: &Environment, from: SequenceNumber, deadline: Moment) -> Result<Option<SequenceNumber>, Error> {
    let exists = async |number: u64| -> Result<bool, Error> {
        let Some(seq) = SequenceNumber::new(number) else { return Ok(false) };
        // One byte tells.
        match environment.read(&keys::slot(seq), GetOptions::range(0..1), deadline).await {
            Ok(found) => Ok(matches!(found.value, Get::Found(_))),
            // An object without a first byte is there, and corrupt: who reads it will say so.
            Err(error) if error.kind() == ErrorKind::Invalid => Ok(true),
            Err(error) => Err(error.into()),
        }
    };
    let first = from.get();
    if !exists(first).await? {
        return Ok(None);
    }
    let (mut low, mut step) = (first, 1_u64);
    while exists(low.saturating_add(step)).await? {
        low = low.saturating_add(step);
        step = step.saturating_mul(2);
    }
    let mut high = low.saturating_add(step);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if exists(middle).await? {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(SequenceNumber::new(low))
}
