//! `manifest/{seq:020}-{token}-{hash}`: which segments make up the state at `seq`, and what that state must come to.

use brainy_core::codec::{self, CodecError, FieldWriter, Fields, ObjectKind};
use brainy_core::{ContentHash, Epoch, SetHash, StoreId};
use bytes::Bytes;

use crate::garbage::{ManifestName, SegmentName};
use crate::keys;
use crate::protocol;

/// Most objects that one manifest keeps.
pub(crate) const MOST_KEPT: usize = 65_536;

const WHAT: &str = "manifest";
const STORE: u16 = 1;
const EPOCH: u16 = 2;
const SEQ: u16 = 3;
const TOKEN: u16 = 4;
const SLOT_HASH: u16 = 5;
const MACHINE: u16 = 6;
const BOOKKEEPING: u16 = 7;
const KEEP: u16 = 8;
const PAYLOAD: u16 = 9;
const KNOWN: [u16; 9] = [STORE, EPOCH, SEQ, TOKEN, SLOT_HASH, MACHINE, BOOKKEEPING, KEEP, PAYLOAD];

/// What a manifest says. It is written once, under a name that holds its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) store: StoreId,
    pub(crate) epoch: Epoch,
    /// The position of the state.
    pub(crate) seq: u64,
    /// The `compactor` token of its builder.
    pub(crate) token: u64,
    /// Hash of slot `seq`, which the next slot names: without it the chain could not be checked past a snapshot.
    pub(crate) slot_hash: ContentHash,
    /// Digest of the machine's state.
    pub(crate) machine: SetHash,
    /// Digest of the log's bookkeeping.
    pub(crate) bookkeeping: SetHash,
    /// Keys of what the state consists of. The collector knows nothing else about them.
    pub(crate) keep: Vec<String>,
    /// What it means, to whoever made it.
    pub(crate) payload: Bytes,
}

impl Manifest {
    /// Its name and its object.
    pub(crate) fn encode(&self) -> (ManifestName, Bytes) {
        let mut fields = FieldWriter::new();
        fields
            .required(STORE, self.store.as_bytes())
            .required(EPOCH, &codec::encode(&self.epoch))
            .required(SEQ, &codec::encode(&self.seq))
            .required(TOKEN, &codec::encode(&self.token))
            .required(SLOT_HASH, self.slot_hash.as_bytes())
            .required(MACHINE, &self.machine.to_bytes())
            .required(BOOKKEEPING, &self.bookkeeping.to_bytes())
            .required(KEEP, &codec::encode_list(&self.keep))
            .required(PAYLOAD, &self.payload);
        let object = Bytes::from(codec::seal(ObjectKind::Manifest, &fields.finish()));
        (ManifestName { seq: self.seq, token: self.token, hash: ContentHash::of(&object) }, object)
    }

    /// The manifest called `name`, of `store`, in `object`.
    ///
    /// # Errors
    /// [`CodecError`]: not what its name says, or of a newer build.
    pub(crate) fn decode(name: &ManifestName, store: StoreId, object: &Bytes) -> Result<Self, CodecError> {
        let corrupt = |reason: &str| Err(CodecError::corrupt(WHAT, reason));
        // INV-30: what is loaded is what was published, byte for byte.
        if ContentHash::of(object) != name.hash {
            return corrupt("its content is not what its name says");
        }
        let fields = Fields::parse(WHAT, &KNOWN, codec::open(ObjectKind::Manifest, WHAT, object)?)?;
        let keep = codec::decode_list("what a manifest keeps", fields.need(KEEP)?)?;
        if keep.len() > MOST_KEPT {
            return corrupt("it keeps too many objects");
        }
        let keep: Result<Vec<String>, CodecError> = keep
            .into_iter()
            .map(|key| String::from_utf8(key.to_vec()).map_err(|_| CodecError::corrupt(WHAT, "it keeps what is no key")))
            .collect();
        let manifest = Self {
            store: StoreId::from_bytes(protocol::identity(&fields, STORE)?),
            epoch: fields.value(EPOCH)?,
            seq: fields.value(SEQ)?,
            token: fields.value(TOKEN)?,
            slot_hash: protocol::hash(&fields, SLOT_HASH)?,
            machine: SetHash::from_bytes(protocol::identity(&fields, MACHINE)?),
            bookkeeping: SetHash::from_bytes(protocol::identity(&fields, BOOKKEEPING)?),
            keep: keep?,
            payload: object.slice_ref(fields.need(PAYLOAD)?),
        };
        if (manifest.store, manifest.seq, manifest.token) != (store, name.seq, name.token) {
            return corrupt("it is of another store, position or token than its name says");
        }
        Ok(manifest)
    }
}

const SEGMENT: u16 = 1;

/// The payload of a manifest whose state is one segment.
pub(crate) fn whole_state_in(segment: &SegmentName) -> Bytes {
    FieldWriter::new().required(SEGMENT, keys::segment(segment).as_str().as_bytes()).finish().into()
}

/// The one segment that a payload names.
///
/// # Errors
/// [`CodecError`]: another kind of payload, or none.
pub(crate) fn whole_state_of(payload: &[u8]) -> Result<SegmentName, CodecError> {
    let fields = Fields::parse("payload of a manifest", &[SEGMENT], payload)?;
    let name = std::str::from_utf8(fields.need(SEGMENT)?).ok().and_then(keys::segment_name);
    name.ok_or_else(|| CodecError::corrupt("payload of a manifest", "it names no segment"))
}
