//! The units of the log: a transaction is one caller's, a batch is what one instance commits at once.

use brainy_core::codec::{self, CodecError, FieldWriter, Fields, ObjectKind};
use brainy_core::{ContentHash, StoreId, WriterId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::helping::IntentName;
use crate::protocol::{self, ProtocolOperation, is_name};

/// Most transactions in one batch.
pub const MAX_BATCH_TRANSACTIONS: usize = 4_096;

/// One caller's operations: atomic, with a verdict of their own.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transaction {
    /// What the state machine is to do, in its own bytes.
    pub payload: Option<Bytes>,
    /// What the log itself is to do, before the payload.
    pub protocol: Vec<ProtocolOperation>,
    /// The lease under which this is written: without effect once a higher token of that name has been claimed.
    pub fence: Option<Fence>,
}

/// Shows the payload's size only: what users write must not reach logs.
impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Transaction");
        shown.field("payload", &self.payload.as_ref().map(|payload| SizeOf(payload.len())));
        shown.field("protocol", &self.protocol).field("fence", &self.fence).finish()
    }
}

/// Stands for bytes in debug output.
pub(crate) struct SizeOf(pub(crate) usize);

impl std::fmt::Debug for SizeOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0)
    }
}

/// A lease's name and the token a record is written under.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// The lease.
    pub name: String,
    /// Its fencing token.
    pub token: u64,
}

const TRANSACTION: &str = "transaction";
const PAYLOAD: u16 = 1;
const PROTOCOL: u16 = 2;
const FENCE: u16 = 3;

impl Transaction {
    /// A transaction of the state machine.
    pub fn payload(bytes: impl Into<Bytes>) -> Self {
        Self { payload: Some(bytes.into()), ..Self::default() }
    }

    /// A transaction of the log.
    pub fn protocol(operation: ProtocolOperation) -> Self {
        Self { protocol: vec![operation], ..Self::default() }
    }

    /// Written under this lease.
    #[must_use]
    pub fn with_fence(mut self, fence: Fence) -> Self {
        self.fence = Some(fence);
        self
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut fields = FieldWriter::new();
        if let Some(payload) = &self.payload {
            fields.required(PAYLOAD, payload);
        }
        if !self.protocol.is_empty() {
            let operations: Vec<_> = self.protocol.iter().map(ProtocolOperation::encode).collect();
            fields.required(PROTOCOL, &codec::encode_list(&operations));
        }
        if let Some(fence) = &self.fence {
            fields.required(FENCE, &codec::encode(fence));
        }
        fields.finish()
    }

    pub(crate) fn decode(bytes: &Bytes) -> Result<Self, CodecError> {
        let fields = Fields::parse(TRANSACTION, &[PAYLOAD, PROTOCOL, FENCE], bytes)?;
        let protocol = match fields.get(PROTOCOL) {
            Some(list) => codec::decode_list(TRANSACTION, list)?.into_iter().map(ProtocolOperation::decode).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        let fence: Option<Fence> = fields.optional_value(FENCE)?;
        if let Some(fence) = fence.as_ref().filter(|fence| !is_name(&fence.name)) {
            return Err(CodecError::corrupt(TRANSACTION, format!("{:?} is no name of a lease", fence.name)));
        }
        Ok(Self { payload: fields.get(PAYLOAD).map(|payload| bytes.slice_ref(payload)), protocol, fence })
    }
}

/// Where a batch's transactions lie.
#[derive(Clone, PartialEq, Eq)]
pub enum Contents {
    /// In the batch itself: an encoded list of transactions.
    Inline(Bytes),
    /// In a blob named after this hash of its body.
    Blob(BlobReference),
}

impl std::fmt::Debug for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inline(list) => f.debug_tuple("Inline").field(&SizeOf(list.len())).finish(),
            Self::Blob(reference) => f.debug_tuple("Blob").field(reference).finish(),
        }
    }
}

/// A blob that holds a batch's transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobReference {
    /// BLAKE3 of the blob's body (the encoded list of transactions).
    pub hash: ContentHash,
    /// Bytes of that body.
    pub bytes: u64,
}

/// What one instance commits at once. (writer, wseq) binds to one byte string for ever.
#[derive(Clone, PartialEq, Eq)]
pub struct Batch {
    pub store: StoreId,
    pub writer: WriterId,
    pub wseq: u64,
    /// The tail the writer had applied when it formed the bytes.
    pub base: u64,
    /// How many transactions: they count in a slot whether or not the batch applies.
    pub count: u32,
    pub contents: Contents,
    /// BLAKE3 of the encoded batch.
    pub hash: ContentHash,
    /// The encoded batch.
    pub bytes: Bytes,
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Batch");
        shown.field("writer", &self.writer).field("wseq", &self.wseq).field("base", &self.base).field("count", &self.count);
        shown.field("contents", &self.contents).field("hash", &self.hash).finish_non_exhaustive()
    }
}

const BATCH: &str = "batch";
const STORE: u16 = 1;
const WRITER: u16 = 2;
const WSEQ: u16 = 3;
const BASE: u16 = 4;
const COUNT: u16 = 5;
const INLINE: u16 = 6;
const BLOB: u16 = 7;

impl Batch {
    pub fn new(store: StoreId, writer: WriterId, wseq: u64, base: u64, count: u32, contents: Contents) -> Self {
        let mut fields = FieldWriter::new();
        fields
            .required(STORE, store.as_bytes())
            .required(WRITER, writer.as_bytes())
            .required(WSEQ, &codec::encode(&wseq))
            .required(BASE, &codec::encode(&base))
            .required(COUNT, &codec::encode(&count));
        match &contents {
            Contents::Inline(list) => fields.required(INLINE, list),
            Contents::Blob(reference) => fields.required(BLOB, &codec::encode(reference)),
        };
        let bytes = Bytes::from(fields.finish());
        Self { store, writer, wseq, base, count, contents, hash: ContentHash::of(&bytes), bytes }
    }

    /// What the key of its intent says.
    pub const fn name(&self) -> IntentName {
        IntentName { base: self.base, writer: self.writer, wseq: self.wseq }
    }

    pub fn decode(bytes: &Bytes) -> Result<Self, CodecError> {
        let fields = Fields::parse(BATCH, &[STORE, WRITER, WSEQ, BASE, COUNT, INLINE, BLOB], bytes)?;
        let contents = match (fields.get(INLINE), fields.get(BLOB)) {
            (Some(list), None) => Contents::Inline(bytes.slice_ref(list)),
            (None, Some(_)) => Contents::Blob(fields.value(BLOB)?),
            _ => return Err(CodecError::corrupt(BATCH, "neither or both of inline transactions and a blob")),
        };
        let count: u32 = fields.value(COUNT)?;
        if count as usize > MAX_BATCH_TRANSACTIONS {
            return Err(CodecError::corrupt(BATCH, format!("{count} transactions, at most {MAX_BATCH_TRANSACTIONS} are allowed")));
        }
        Ok(Self {
            store: StoreId::from_bytes(protocol::identity(&fields, STORE)?),
            writer: WriterId::from_bytes(protocol::identity(&fields, WRITER)?),
            wseq: fields.value(WSEQ)?,
            base: fields.value(BASE)?,
            count,
            contents,
            hash: ContentHash::of(bytes),
            bytes: bytes.clone(),
        })
    }
}

/// The object of a batch's intent: an envelope around its bytes.
pub fn seal_intent(batch: &Batch) -> Bytes {
    codec::seal(ObjectKind::Intent, &batch.bytes).into()
}

/// The batch in the object of an intent.
pub fn open_intent(object: &Bytes) -> Result<Batch, CodecError> {
    let body = codec::open(ObjectKind::Intent, "intent", object)?;
    Batch::decode(&object.slice_ref(body))
}

/// The transactions of an encoded list that must hold `count` of them. One that cannot be decoded stands as `Err`: it is rejected alone.
///
/// # Errors
/// [`CodecError`]: the list itself is broken.
pub fn decode_transactions(list: &Bytes, count: u32) -> Result<Vec<Result<Transaction, CodecError>>, CodecError> {
    let items = codec::decode_list("transactions of a batch", list)?;
    if items.len() != count as usize {
        return Err(CodecError::corrupt("transactions of a batch", format!("{} where the batch says {count}", items.len())));
    }
    Ok(items.into_iter().map(|item| Transaction::decode(&list.slice_ref(item))).collect())
}
