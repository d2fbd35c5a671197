//! `ctl/head`: the collection boundary and what else moves. It changes by compare-and-swap only.

use brainy_core::codec::{self, CodecError, FieldWriter, Fields, ObjectKind};
use brainy_core::{Entropy, Epoch, StoreId};
use bytes::Bytes;

use crate::cas::Marks;
use crate::protocol;

const WHAT: &str = "ctl/head";
const STORE: u16 = 1;
const EPOCH: u16 = 2;
const BOUNDARY: u16 = 3;
const MANIFEST: u16 = 4;
const TAIL_HINT: u16 = 5;
const NONCE: u16 = 6;
const BEFORE: u16 = 7;
const KNOWN: [u16; 7] = [STORE, EPOCH, BOUNDARY, MANIFEST, TAIL_HINT, NONCE, BEFORE];

/// The body of `ctl/head`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) store: StoreId,
    pub(crate) epoch: Epoch,
    /// Slots up to here may have been collected; 0 at first.
    pub(crate) boundary: u64,
    /// Name of the newest effective manifest.
    pub(crate) manifest: Option<String>,
    /// A tail somebody saw; only a hint.
    pub(crate) tail_hint: u64,
    pub(crate) marks: Marks,
    unknown: Vec<(u16, Vec<u8>)>,
}

impl Head {
    pub(crate) fn new(store: StoreId, entropy: &dyn Entropy) -> Self {
        Self { store, epoch: Epoch::FIRST, boundary: 0, manifest: None, tail_hint: 0, marks: Marks::first(entropy), unknown: Vec::new() }
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut fields = FieldWriter::new();
        fields
            .required(STORE, self.store.as_bytes())
            .required(EPOCH, &codec::encode(&self.epoch))
            .required(BOUNDARY, &codec::encode(&self.boundary));
        if let Some(manifest) = &self.manifest {
            fields.required(MANIFEST, &codec::encode(manifest));
        }
        fields.optional(TAIL_HINT, &codec::encode(&self.tail_hint));
        self.marks.write(&mut fields, NONCE, BEFORE);
        fields.kept(&self.unknown);
        codec::seal(ObjectKind::Head, &fields.finish()).into()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let fields = Fields::parse(WHAT, &KNOWN, codec::open(ObjectKind::Head, WHAT, bytes)?)?;
        Ok(Self {
            store: StoreId::from_bytes(protocol::identity(&fields, STORE)?),
            epoch: fields.value(EPOCH)?,
            boundary: fields.value(BOUNDARY)?,
            manifest: fields.optional_value(MANIFEST)?,
            tail_hint: fields.optional_value(TAIL_HINT)?.unwrap_or(0),
            marks: Marks::read(WHAT, &fields, NONCE, BEFORE)?,
            unknown: fields.unknown(&KNOWN),
        })
    }
}
