//! How values become bytes: the envelope of every stored object, tagged fields, and the one place that knows bincode.
//!
//! The bytes are drawn in `docs/format.md`.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// First bytes of every stored object.
pub const MAGIC: [u8; 4] = *b"BRNY";
/// Version of the envelope and of the bodies behind it.
pub const FORMAT: u16 = 1;
/// Length of the envelope in bytes: a multiple of 8, so that raw arrays behind it stay aligned.
pub const ENVELOPE_BYTES: usize = 24;
/// Largest value [`decode`] reads, in bytes: more than any slot, batch or blob may hold.
pub const DECODE_LIMIT: usize = 64 << 20;
/// The bit of a tag that says: who does not know this field must not go on.
pub const REQUIRED: u16 = 0x8000;

/// Codec id of bodies made of tagged fields with bincode values; another codec gets another id.
const CODEC_FIELDS: u8 = 1;

/// What an object is, so that one kind is never read as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum ObjectKind {
    /// One slot of the change log.
    Slot = 1,
    /// A batch that asks to be carried.
    Intent = 2,
    /// Payloads too large for a slot.
    Blob = 3,
    /// An immutable piece of the index.
    Segment = 4,
    /// Which segments make up a state.
    Manifest = 5,
    /// The collection boundary and the newest manifest.
    Head = 6,
    /// A lease.
    Lease = 7,
    /// A long reader's hold.
    Pin = 8,
    /// A named point in time.
    Tag = 9,
    /// A fork's hold on its parent.
    Fork = 10,
    /// What a retired slot is overwritten with.
    Tombstone = 11,
    /// A test object of the store's probe.
    Probe = 12,
}

/// Why bytes cannot be read. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The bytes are not what was written.
    #[error("{what} is corrupt: {reason}")]
    Corrupt {
        /// What was being read.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The bytes are whole, but made by a newer or foreign build.
    #[error("{what} is not supported by this build: {reason}")]
    Unsupported {
        /// What was being read.
        what: &'static str,
        /// What is not known.
        reason: String,
    },
}

impl CodecError {
    /// [`CodecError::Corrupt`].
    pub fn corrupt(what: &'static str, reason: impl Into<String>) -> Self {
        Self::Corrupt { what, reason: reason.into() }
    }

    /// [`CodecError::Unsupported`].
    pub fn unsupported(what: &'static str, reason: impl Into<String>) -> Self {
        Self::Unsupported { what, reason: reason.into() }
    }

    /// What a caller should do.
    pub fn kind(&self) -> crate::ErrorKind {
        match self {
            Self::Corrupt { .. } => crate::ErrorKind::Corrupt,
            Self::Unsupported { .. } => crate::ErrorKind::Unsupported,
        }
    }
}

/// `body` behind an envelope: magic, format, codec, kind, length, CRC32C over the envelope before it and the body.
pub fn seal(kind: ObjectKind, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ENVELOPE_BYTES + body.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.push(CODEC_FIELDS);
    bytes.push(kind as u8);
    bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&bytes), body);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(body);
    bytes
}

/// The kind byte of a sealed object, unchecked otherwise; none if it is no object of ours.
pub fn peek_kind(bytes: &[u8]) -> Option<u8> {
    (bytes.len() >= ENVELOPE_BYTES && bytes[..4] == MAGIC).then(|| bytes[7])
}

/// The body of the sealed object `bytes`, which must be of `kind`. `what` names it in errors.
///
/// # Errors
/// [`CodecError::Corrupt`]: truncated, foreign, of another kind or with a wrong checksum; [`CodecError::Unsupported`]: of a format or codec this build does not know.
pub fn open<'a>(kind: ObjectKind, what: &'static str, bytes: &'a [u8]) -> Result<&'a [u8], CodecError> {
    let corrupt = |reason: String| Err(CodecError::corrupt(what, reason));
    if bytes.len() < ENVELOPE_BYTES {
        return corrupt(format!("{} bytes, the envelope alone has {ENVELOPE_BYTES}", bytes.len()));
    }
    let (envelope, body) = bytes.split_at(ENVELOPE_BYTES);
    if envelope[..4] != MAGIC {
        return corrupt("it does not begin with BRNY".into());
    }
    let format = u16::from_le_bytes([envelope[4], envelope[5]]);
    if format != FORMAT {
        return Err(CodecError::unsupported(what, format!("format {format}, this build knows {FORMAT}")));
    }
    let length = u64::from_le_bytes(envelope[8..16].try_into().expect("eight bytes"));
    if length != body.len() as u64 {
        return corrupt(format!("{} bytes of body, the envelope says {length}", body.len()));
    }
    let stated = u32::from_le_bytes(envelope[16..20].try_into().expect("four bytes"));
    let found = crc32c::crc32c_append(crc32c::crc32c(&envelope[..16]), body);
    if stated != found {
        return corrupt(format!("checksum {found:08x}, the envelope says {stated:08x}"));
    }
    if envelope[20..] != [0; 4] {
        return corrupt("reserved bytes of the envelope are not zero".into());
    }
    if envelope[6] != CODEC_FIELDS {
        return Err(CodecError::unsupported(what, format!("codec {}, this build knows {CODEC_FIELDS}", envelope[6])));
    }
    if envelope[7] != kind as u8 {
        return corrupt(format!("an object of kind {}, not of kind {} ({kind:?})", envelope[7], kind as u8));
    }
    Ok(body)
}

/// CRC32C (Castagnoli) of `bytes`.
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// XXH3 of `bytes` with 128 bits: shows accidental difference, and nothing against somebody who chooses the bytes. Some twenty times as fast as BLAKE3 on the
/// content of one item.
pub fn fingerprint(bytes: &[u8]) -> u128 {
    twox_hash::XxHash3_128::oneshot(bytes)
}

/// `value` as bytes: little-endian, variable-length integers, fields in the order of their declaration.
///
/// # Panics
/// The value has no such form (a map without a known length, a type that is only ever deserialised): a mistake in this workspace's types.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, bincode::config::standard()).expect("the types of this workspace have a bincode form")
}

/// The value that [`encode`] made of it; every byte must belong to it. `what` names it in errors.
///
/// A value may need up to sixteen bytes of memory for each byte of input, within [`DECODE_LIMIT`] in all; lengths that claim more are refused
/// before memory is reserved for them.
///
/// # Errors
/// [`CodecError::Corrupt`].
pub fn decode<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, CodecError> {
    // bincode counts the memory that lengths and numbers claim, and takes its limit as a constant only: so the limit grows in steps, each of at
    // least sixteen times the input, since no number is larger than sixteen bytes and each takes at least one.
    match bytes.len() {
        0..=0x100 => decode_within::<T, 0x1000>(what, bytes),
        0x101..=0x1000 => decode_within::<T, 0x1_0000>(what, bytes),
        0x1001..=0x1_0000 => decode_within::<T, 0x10_0000>(what, bytes),
        0x1_0001..=0x10_0000 => decode_within::<T, 0x100_0000>(what, bytes),
        _ => decode_within::<T, DECODE_LIMIT>(what, bytes),
    }
}

fn decode_within<T: DeserializeOwned, const LIMIT: usize>(what: &'static str, bytes: &[u8]) -> Result<T, CodecError> {
    let (value, used) = bincode::serde::decode_from_slice(bytes, bincode::config::standard().with_limit::<LIMIT>())
        .map_err(|error| CodecError::corrupt(what, error.to_string()))?;
    if used != bytes.len() {
        return Err(CodecError::corrupt(what, format!("{} bytes too many", bytes.len() - used)));
    }
    Ok(value)
}

/// Writes a body of tagged fields, in strictly ascending order of their tag numbers.
#[derive(Debug, Default)]
pub struct FieldWriter {
    bytes: Vec<u8>,
    last: Option<u16>,
    kept: Vec<(u16, Vec<u8>)>,
}

impl FieldWriter {
    /// An empty body.
    pub fn new() -> Self {
        Self::default()
    }

    /// A field that every reader must know.
    pub fn required(&mut self, tag: u16, value: &[u8]) -> &mut Self {
        self.field(tag | REQUIRED, value)
    }

    /// A field that a reader may skip.
    pub fn optional(&mut self, tag: u16, value: &[u8]) -> &mut Self {
        self.field(tag & !REQUIRED, value)
    }

    /// Fields kept from an earlier reading ([`Fields::unknown`]); each gets its place among the others, and one that is also written here is dropped.
    pub fn kept(&mut self, unknown: &[(u16, Vec<u8>)]) -> &mut Self {
        self.kept.extend_from_slice(unknown);
        self
    }

    /// A field that every reader must know, of so many bytes, which `fill` writes.
    pub(crate) fn required_with(&mut self, tag: u16, length: usize, fill: impl FnOnce(&mut [u8])) -> &mut Self {
        self.field(tag | REQUIRED, &[]);
        let header = self.bytes.len();
        self.bytes[header - 4..].copy_from_slice(&sized(length));
        self.bytes.resize(header + length, 0);
        fill(&mut self.bytes[header..]);
        self
    }

    /// Makes room for so many bytes more.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }

    fn field(&mut self, tag: u16, value: &[u8]) -> &mut Self {
        let number = tag & !REQUIRED;
        assert!(self.last.is_none_or(|last| last < number), "fields are written in ascending order, each once");
        self.last = Some(number);
        push_field(&mut self.bytes, tag, value);
        self
    }

    /// The body; the writer is empty again.
    pub fn finish(&mut self) -> Vec<u8> {
        let Self { bytes: written, kept, .. } = std::mem::take(self);
        if kept.is_empty() {
            return written;
        }
        let written = Fields::read("fields", &written).expect("these fields were written above");
        let mut merged: BTreeMap<u16, (u16, &[u8])> = kept.iter().map(|(tag, value)| (tag & !REQUIRED, (*tag, value.as_slice()))).collect();
        merged.extend(written.entries.iter().map(|&(tag, value)| (tag & !REQUIRED, (tag, value))));
        let mut bytes = Vec::new();
        for (tag, value) in merged.into_values() {
            push_field(&mut bytes, tag, value);
        }
        bytes
    }
}

/// A body of tagged fields, read: a 16-bit tag (its highest bit says *required*), a 32-bit length, the value; tag numbers ascend strictly.
#[derive(Debug)]
pub struct Fields<'a> {
    what: &'static str,
    entries: Entries<'a>,
}

/// Fields in order: those that most structures have without an allocation, since each operation that is read passes here.
#[derive(Debug, Default)]
struct Entries<'a> {
    few: [(u16, &'a [u8]); FEW],
    count: usize,
    more: Vec<(u16, &'a [u8])>,
}

/// See [`Entries`].
const FEW: usize = 12;

impl<'a> Entries<'a> {
    fn push(&mut self, entry: (u16, &'a [u8])) {
        match self.few.get_mut(self.count) {
            Some(place) => {
                *place = entry;
                self.count += 1;
            }
            None => self.more.push(entry),
        }
    }

    fn iter(&self) -> impl Iterator<Item = &(u16, &'a [u8])> + Clone {
        self.few[..self.count].iter().chain(&self.more)
    }

    fn last(&self) -> Option<&(u16, &'a [u8])> {
        self.more.last().or_else(|| self.few[..self.count].last())
    }
}

impl<'a> Fields<'a> {
    /// The fields of `body`, of which this build knows the tag numbers `known`. `what` names the structure in errors.
    ///
    /// # Errors
    /// [`CodecError::Corrupt`]: truncated or out of order; [`CodecError::Unsupported`]: a required field that is not known.
    pub fn parse(what: &'static str, known: &[u16], body: &'a [u8]) -> Result<Self, CodecError> {
        let fields = Self::read(what, body)?;
        let foreign =
            fields.entries.iter().find(|(tag, _)| tag & REQUIRED != 0 && !known.contains(&(tag & !REQUIRED))).map(|(tag, _)| *tag);
        match foreign {
            Some(tag) => Err(CodecError::unsupported(what, format!("required field {} is not known", tag & !REQUIRED))),
            None => Ok(fields),
        }
    }

    fn read(what: &'static str, mut body: &'a [u8]) -> Result<Self, CodecError> {
        let mut entries = Entries::default();
        while !body.is_empty() {
            let Some((tag, rest)) = body.split_first_chunk::<2>() else {
                return Err(CodecError::corrupt(what, "a field's tag is cut off"));
            };
            let tag = u16::from_le_bytes(*tag);
            let value;
            (value, body) = take_sized(what, rest)?;
            let number = tag & !REQUIRED;
            if entries.last().is_some_and(|(last, _)| last & !REQUIRED >= number) {
                return Err(CodecError::corrupt(what, format!("field {number} is out of order")));
            }
            entries.push((tag, value));
        }
        Ok(Self { what, entries })
    }

    /// The value of field `tag`, if it is there.
    pub fn get(&self, tag: u16) -> Option<&'a [u8]> {
        self.entries.iter().find(|(known, _)| known & !REQUIRED == tag).map(|(_, value)| *value)
    }

    /// The value of field `tag`.
    ///
    /// # Errors
    /// [`CodecError::Corrupt`]: it is not there.
    pub fn need(&self, tag: u16) -> Result<&'a [u8], CodecError> {
        self.get(tag).ok_or_else(|| CodecError::corrupt(self.what, format!("field {tag} is missing")))
    }

    /// The decoded value of field `tag`.
    ///
    /// # Errors
    /// [`CodecError::Corrupt`]: it is not there or not of this type.
    pub fn value<T: DeserializeOwned>(&self, tag: u16) -> Result<T, CodecError> {
        decode(self.what, self.need(tag)?)
    }

    /// The decoded value of field `tag`, if it is there.
    ///
    /// # Errors
    /// [`CodecError::Corrupt`]: not of this type.
    pub fn optional_value<T: DeserializeOwned>(&self, tag: u16) -> Result<Option<T>, CodecError> {
        self.get(tag).map(|value| decode(self.what, value)).transpose()
    }

    /// The bytes in which the fields from `first` to `last` lie, if each of them is marked as required: what a [`FieldWriter`] makes of those alone.
    pub(crate) fn stretch(&self, body: &'a [u8], first: u16, last: u16) -> Option<&'a [u8]> {
        const BEFORE_VALUE: usize = 6;
        let wanted = |tag: u16| (first..=last).contains(&(tag & !REQUIRED));
        let mut inside = self.entries.iter().filter(|(tag, _)| wanted(*tag));
        if !inside.clone().all(|(tag, _)| tag & REQUIRED != 0) {
            return None;
        }
        let before: usize =
            self.entries.iter().take_while(|(tag, _)| tag & !REQUIRED < first).map(|(_, value)| BEFORE_VALUE + value.len()).sum();
        let length = inside.by_ref().map(|(_, value)| BEFORE_VALUE + value.len()).sum();
        body.get(before..)?.get(..length)
    }

    /// The fields that are not in `known`, to be written again by who re-writes the structure.
    pub fn unknown(&self, known: &[u16]) -> Vec<(u16, Vec<u8>)> {
        self.entries.iter().filter(|(tag, _)| !known.contains(&(tag & !REQUIRED))).map(|(tag, value)| (*tag, value.to_vec())).collect()
    }
}

/// `items` one after the other, each behind its 32-bit length, all behind their 32-bit number.
pub fn encode_list<T: AsRef<[u8]>>(items: &[T]) -> Vec<u8> {
    let count = u32::try_from(items.len()).expect("lists of the formats hold fewer than 2³² items");
    let mut bytes = Vec::with_capacity(items.iter().map(|item| 4 + item.as_ref().len()).sum::<usize>() + 4);
    bytes.extend_from_slice(&count.to_le_bytes());
    for item in items {
        push_sized(&mut bytes, item.as_ref());
    }
    bytes
}

/// The items of an [`encode_list`]. `what` names the list in errors.
///
/// # Errors
/// [`CodecError::Corrupt`].
pub fn decode_list<'a>(what: &'static str, bytes: &'a [u8]) -> Result<Vec<&'a [u8]>, CodecError> {
    let Some((count, mut rest)) = bytes.split_first_chunk::<4>() else {
        return Err(CodecError::corrupt(what, "the number of items is cut off"));
    };
    let count = u32::from_le_bytes(*count) as usize;
    // Each item takes four bytes at least: a lying count reserves no memory.
    let mut items = Vec::with_capacity(count.min(rest.len() / 4));
    for _ in 0..count {
        let item;
        (item, rest) = take_sized(what, rest)?;
        items.push(item);
    }
    if rest.is_empty() { Ok(items) } else { Err(CodecError::corrupt(what, format!("{} bytes behind the last item", rest.len()))) }
}

fn push_field(bytes: &mut Vec<u8>, tag: u16, value: &[u8]) {
    bytes.extend_from_slice(&tag.to_le_bytes());
    push_sized(bytes, value);
}

fn sized(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("fields of the formats are shorter than 4 GiB").to_le_bytes()
}

fn push_sized(bytes: &mut Vec<u8>, value: &[u8]) {
    bytes.extend_from_slice(&sized(value.len()));
    bytes.extend_from_slice(value);
}

fn take_sized<'a>(what: &'static str, bytes: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), CodecError> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return Err(CodecError::corrupt(what, "a length is cut off"));
    };
    let length = u32::from_le_bytes(*length) as usize;
    rest.split_at_checked(length)
        .ok_or_else(|| CodecError::corrupt(what, format!("a value of {length} bytes is cut off after {}", rest.len())))
}
