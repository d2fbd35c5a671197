//! `ctl/head`: the collection boundary and what else moves. It changes by compare-and-swap only.

use brainy_core::codec::{self, CodecError, FieldWriter, Fields, ObjectKind};
use brainy_core::{Entropy, Epoch, Moment, StoreId};
use brainy_storage::{Get, GetOptions, Revision, StoreTime};
use bytes::Bytes;

use crate::cas::{Marks, standing};
use crate::environment::Environment;
use crate::error::Error;
use crate::garbage::{Bounds, ManifestName, next_bounds};
use crate::keys;
use crate::protocol;

/// So many times at most the head is written by one caller before others who write it too are left alone.
const MOST_SWAPS: usize = 64;

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
    pub(crate) manifest: Option<ManifestName>,
    /// A tail somebody saw; only a hint.
    pub(crate) tail_hint: u64,
    pub(crate) marks: Marks,
    unknown: Vec<(u16, Vec<u8>)>,
}

impl Head {
    pub(crate) fn new(store: StoreId, entropy: &dyn Entropy) -> Self {
        Self { store, epoch: Epoch::FIRST, boundary: 0, manifest: None, tail_hint: 0, marks: Marks::first(entropy), unknown: Vec::new() }
    }

    /// What of it only grows.
    pub(crate) const fn bounds(&self) -> Bounds {
        Bounds { boundary: self.boundary, manifest: self.manifest }
    }

    /// The body that follows it.
    fn next(&self, bounds: Bounds, tail: u64, entropy: &dyn Entropy) -> Self {
        let Bounds { boundary, manifest } = bounds;
        Self { boundary, manifest, tail_hint: self.tail_hint.max(tail), marks: self.marks.next(entropy), ..self.clone() }
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut fields = FieldWriter::new();
        fields
            .required(STORE, self.store.as_bytes())
            .required(EPOCH, &codec::encode(&self.epoch))
            .required(BOUNDARY, &codec::encode(&self.boundary));
        if let Some(manifest) = &self.manifest {
            fields.required(MANIFEST, &codec::encode(keys::manifest(manifest).as_str()));
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
            manifest: fields.optional_value::<String>(MANIFEST)?.map(|text| manifest_called(&text)).transpose()?,
            tail_hint: fields.optional_value(TAIL_HINT)?.unwrap_or(0),
            marks: Marks::read(WHAT, &fields, NONCE, BEFORE)?,
            unknown: fields.unknown(&KNOWN),
        })
    }
}

fn manifest_called(text: &str) -> Result<ManifestName, CodecError> {
    keys::manifest_name(text).ok_or_else(|| CodecError::corrupt(WHAT, "it names no manifest"))
}

/// A head as it was read.
#[derive(Clone, Debug)]
pub(crate) struct SeenHead {
    pub(crate) head: Head,
    /// The store's time on the reply.
    pub(crate) at: Option<StoreTime>,
    revision: Revision,
}

/// `ctl/head` of whatever store this is, for who does not know the store's identity.
pub(crate) async fn read_any_head(environment: &Environment, deadline: Moment) -> Result<SeenHead, Error> {
    let answer = environment.read(&keys::head(), GetOptions::whole(), deadline).await?;
    // It was there when the store was made: one that is gone stops its users, it is never re-made.
    let Get::Found(object) = answer.value else {
        return Err(Error::Missing { key: keys::head().to_string(), reason: "every store is made with it" });
    };
    let head = Head::decode(&object.bytes).map_err(|error| Error::bytes(keys::head(), error))?;
    Ok(SeenHead { head, at: answer.at, revision: object.revision })
}

/// `ctl/head` of this store.
pub(crate) async fn read_head(environment: &Environment, store: StoreId, deadline: Moment) -> Result<SeenHead, Error> {
    let seen = read_any_head(environment, deadline).await?;
    if seen.head.store != store {
        return Err(Error::ForeignObject { key: keys::head().to_string(), found: seen.head.store, expected: store });
    }
    Ok(seen)
}

/// Raises what `ctl/head` says to `wanted`, and reads it back: from then on everybody who reads it finds that much at least. `tail`: a position somebody saw. Returns the head and how
/// often it was written.
///
/// # Errors
/// [`Error`]: it may have been raised, or may still be; asking again is safe.
pub(crate) async fn raise(
    environment: &Environment,
    store: StoreId,
    wanted: Bounds,
    tail: u64,
    deadline: Moment,
) -> Result<(SeenHead, u64), Error> {
    for written in 0..MOST_SWAPS as u64 {
        let seen = read_head(environment, store, deadline).await?;
        // INV-25: whatever anybody wrote meanwhile, nothing goes back.
        let next = next_bounds(seen.head.bounds(), wanted);
        if next == seen.head.bounds() {
            return Ok((seen, written));
        }
        let body = seen.head.next(next, tail, &*environment.entropy);
        let standing = standing(|bytes| Head::decode(bytes).ok().map(|head| head.marks), body.marks.nonce);
        // However it ends, the next read tells what there is to do.
        drop(environment.swap(&keys::head(), body.encode(), seen.revision, &standing, deadline).await?);
    }
    Err(Error::Contended { doing: "raising ctl/head, which others write at the same time" })
}
