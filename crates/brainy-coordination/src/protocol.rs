//! Operations of the log itself.

use brainy_core::codec::{self, CodecError, FieldWriter, Fields};
use brainy_core::{ContentHash, StoreId, WriterId};

use crate::token::OpId;

/// Longest name of a lease, pin or tag.
pub const MAX_NAME_BYTES: usize = 64;
/// Most names that the locks of a store can ever have, fewer where its slots are small: each stands in every slot's header, with the highest token that was claimed under it, for as long
/// as the store lives. Where there are more things to lock than that, several of them share a lock: their names' hashes, say, are reduced to so many.
pub const MAX_LEASE_NAMES: usize = 1_024;
/// Longest note or reason in a protocol operation, in bytes.
pub const MAX_REASON_BYTES: usize = 1_024;

/// An operation that the log itself understands. It is carried and judged like any other.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolOperation {
    /// A lease's holder makes its token known; effective if it is above every earlier one of that name.
    LeaseClaim {
        /// The lease: `[a-z0-9_-]`, 1 to 64.
        name: String,
        /// Its fencing token.
        token: u64,
    },
    /// Gives a batch of another writer up: if it has not been decided, it never takes effect.
    Cancel {
        /// A transaction of the batch.
        op: OpId,
    },
    /// Leaves an intent out that nobody can decode; its number is consumed.
    Refuse {
        /// Its writer.
        writer: WriterId,
        /// Its number.
        wseq: u64,
        /// Why, for people.
        reason: String,
    },
    /// From the next slot on these apply rules hold.
    Upgrade {
        /// The version of the rules.
        rules: u32,
    },
    /// Resumes replicas that stopped at a header whose counters or digest differ from theirs.
    DigestOverride {
        /// The slot with that header.
        seq: u64,
        /// Why, for people.
        reason: String,
    },
    /// A manifest describes the state at `seq`.
    SnapshotPublished {
        /// The position of the state.
        seq: u64,
        /// Token of the lease it was made under.
        token: u64,
        /// Full name of the manifest.
        manifest: String,
    },
    /// A fork lives on a manifest of this store.
    Forked {
        /// The fork's store id.
        child: StoreId,
        /// Full name of the manifest.
        manifest: String,
    },
    /// The fork is gone.
    Unforked {
        /// The fork's store id.
        child: StoreId,
    },
}

/// Whether `name` may name a lease, a pin or a tag.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

const WHAT: &str = "protocol operation";
const KIND: u16 = 1;
const FIRST: u16 = 2;
const SECOND: u16 = 3;
const THIRD: u16 = 4;
const KNOWN: [u16; 4] = [KIND, FIRST, SECOND, THIRD];

impl ProtocolOperation {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut fields = FieldWriter::new();
        let kind = |kind: u16| codec::encode(&kind);
        match self {
            Self::LeaseClaim { name, token } => {
                fields.required(KIND, &kind(1)).required(FIRST, &codec::encode(name)).required(SECOND, &codec::encode(token))
            }
            Self::Cancel { op } => fields.required(KIND, &kind(2)).required(FIRST, &codec::encode(op)),
            Self::Refuse { writer, wseq, reason } => fields
                .required(KIND, &kind(3))
                .required(FIRST, writer.as_bytes())
                .required(SECOND, &codec::encode(wseq))
                .required(THIRD, &codec::encode(reason)),
            Self::Upgrade { rules } => fields.required(KIND, &kind(4)).required(FIRST, &codec::encode(rules)),
            Self::DigestOverride { seq, reason } => {
                fields.required(KIND, &kind(5)).required(FIRST, &codec::encode(seq)).required(SECOND, &codec::encode(reason))
            }
            Self::SnapshotPublished { seq, token, manifest } => fields
                .required(KIND, &kind(6))
                .required(FIRST, &codec::encode(seq))
                .required(SECOND, &codec::encode(token))
                .required(THIRD, &codec::encode(manifest)),
            Self::Forked { child, manifest } => {
                fields.required(KIND, &kind(7)).required(FIRST, child.as_bytes()).required(SECOND, &codec::encode(manifest))
            }
            Self::Unforked { child } => fields.required(KIND, &kind(8)).required(FIRST, child.as_bytes()),
        };
        fields.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let fields = Fields::parse(WHAT, &KNOWN, bytes)?;
        let text = |tag| {
            fields.value::<String>(tag).and_then(|text| {
                if text.len() > MAX_REASON_BYTES { Err(CodecError::corrupt(WHAT, "a text is too long")) } else { Ok(text) }
            })
        };
        Ok(match fields.value::<u16>(KIND)? {
            1 => {
                let name = text(FIRST)?;
                if !is_name(&name) {
                    return Err(CodecError::corrupt(WHAT, format!("{name:?} is no name of a lease")));
                }
                Self::LeaseClaim { name, token: fields.value(SECOND)? }
            }
            2 => Self::Cancel { op: fields.value(FIRST)? },
            3 => {
                Self::Refuse { writer: WriterId::from_bytes(identity(&fields, FIRST)?), wseq: fields.value(SECOND)?, reason: text(THIRD)? }
            }
            4 => Self::Upgrade { rules: fields.value(FIRST)? },
            5 => Self::DigestOverride { seq: fields.value(FIRST)?, reason: text(SECOND)? },
            6 => Self::SnapshotPublished { seq: fields.value(FIRST)?, token: fields.value(SECOND)?, manifest: text(THIRD)? },
            7 => Self::Forked { child: StoreId::from_bytes(identity(&fields, FIRST)?), manifest: text(SECOND)? },
            8 => Self::Unforked { child: StoreId::from_bytes(identity(&fields, FIRST)?) },
            other => return Err(CodecError::unsupported(WHAT, format!("kind {other} is not known"))),
        })
    }
}

/// The identity or hash stored raw in field `tag`.
pub(crate) fn identity<const N: usize>(fields: &Fields<'_>, tag: u16) -> Result<[u8; N], CodecError> {
    let bytes = fields.need(tag)?;
    bytes.try_into().map_err(|_| CodecError::corrupt("identity", format!("{} bytes, {N} are needed", bytes.len())))
}

/// The content hash stored raw in field `tag`.
pub(crate) fn hash(fields: &Fields<'_>, tag: u16) -> Result<ContentHash, CodecError> {
    identity(fields, tag).map(ContentHash::from_bytes)
}
