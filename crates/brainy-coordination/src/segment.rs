//! `segment/{token}-{build}/{hash}`: an immutable object of sections, and the one that holds a whole state.
//!
//! Behind the envelope: a directory of sections behind its 32-bit length, then the sections' bytes. A reader skips sections that it does not know, unless they are
//! required, and checks those that it reads.

use brainy_core::codec::{self, CodecError, FieldWriter, Fields, ObjectKind};
use brainy_core::{ContentHash, StoreId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::descriptor::Constants;
use crate::protocol;
use crate::state::LogState;

const WHAT: &str = "segment";
const STORE: u16 = 1;
const SECTIONS: u16 = 2;
const KNOWN: [u16; 2] = [STORE, SECTIONS];
/// Most sections of one segment.
const MOST_SECTIONS: usize = 1_024;

/// The log's bookkeeping but for the writers.
const LOG: u16 = 1;
/// The writers of the log's bookkeeping.
const WRITERS: u16 = 2;
/// The state machine's whole snapshot.
const MACHINE: u16 = 3;
const KNOWN_SECTIONS: [u16; 3] = [LOG, WRITERS, MACHINE];
/// The version of each of them.
const VERSION: u16 = 1;

/// One line of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Section {
    kind: u16,
    version: u16,
    /// Who does not know it must not go on.
    required: bool,
    /// Bytes from the end of the directory.
    offset: u64,
    length: u64,
    /// CRC32C of its bytes.
    checksum: u32,
}

/// The whole state as the object of a segment, and its hash.
pub(crate) fn write_state(state: &LogState, machine: &[u8]) -> (ContentHash, Bytes) {
    let parts = [(LOG, state.fields()), (WRITERS, state.writers_bytes())];
    let parts: Vec<(u16, &[u8])> = parts.iter().map(|(kind, bytes)| (*kind, bytes.as_slice())).chain([(MACHINE, machine)]).collect();
    let mut offset = 0;
    let lines = parts.iter().map(|(kind, bytes)| {
        let (length, checksum) = (bytes.len() as u64, codec::checksum(bytes));
        let section = Section { kind: *kind, version: VERSION, required: true, offset, length, checksum };
        offset += length;
        codec::encode(&section)
    });
    let lines: Vec<Vec<u8>> = lines.collect();
    let directory = FieldWriter::new().required(STORE, state.store.as_bytes()).required(SECTIONS, &codec::encode_list(&lines)).finish();
    let mut body = u32::try_from(directory.len()).expect("three lines").to_le_bytes().to_vec();
    body.extend_from_slice(&directory);
    parts.iter().for_each(|(_, bytes)| body.extend_from_slice(bytes));
    let object = Bytes::from(codec::seal(ObjectKind::Segment, &body));
    (ContentHash::of(&object), object)
}

/// The state in a segment of `store`, and the machine's snapshot.
///
/// # Errors
/// [`CodecError`]: it is damaged, of another store, or of a newer build.
pub(crate) fn read_state(store: StoreId, constants: &Constants, object: &Bytes) -> Result<(LogState, Bytes), CodecError> {
    let corrupt = |reason: &str| CodecError::corrupt(WHAT, reason);
    let body = codec::open(ObjectKind::Segment, WHAT, object)?;
    let (length, rest) = body.split_first_chunk::<4>().ok_or_else(|| corrupt("the length of its directory is cut off"))?;
    let (directory, bytes) =
        rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(|| corrupt("its directory is cut off"))?;
    let directory = Fields::parse(WHAT, &KNOWN, directory)?;
    if protocol::identity(&directory, STORE)? != *store.as_bytes() {
        return Err(corrupt("it is of another store"));
    }
    let lines = codec::decode_list("sections", directory.need(SECTIONS)?)?;
    if lines.len() > MOST_SECTIONS {
        return Err(corrupt("it has too many sections"));
    }
    let sections: Result<Vec<Section>, CodecError> = lines.into_iter().map(|line| codec::decode("section", line)).collect();
    let sections = sections?;
    let known = |section: &Section| KNOWN_SECTIONS.contains(&section.kind) && section.version == VERSION;
    if let Some(section) = sections.iter().find(|section| section.required && !known(section)) {
        let reason = format!("required section {} of version {} is not known", section.kind, section.version);
        return Err(CodecError::unsupported(WHAT, reason));
    }
    let part = |kind: u16| -> Result<Bytes, CodecError> {
        let section = sections.iter().find(|section| section.kind == kind && known(section));
        let section = section.ok_or_else(|| CodecError::corrupt(WHAT, format!("section {kind} is missing")))?;
        let start = usize::try_from(section.offset).ok();
        let end = section.offset.checked_add(section.length).and_then(|end| usize::try_from(end).ok());
        let part = start.zip(end).and_then(|(start, end)| bytes.get(start..end));
        let part = part.ok_or_else(|| CodecError::corrupt(WHAT, format!("section {kind} lies beyond its end")))?;
        if codec::checksum(part) != section.checksum {
            return Err(CodecError::corrupt(WHAT, format!("the checksum of section {kind} does not fit")));
        }
        Ok(object.slice_ref(part))
    };
    let state = LogState::read(store, constants, &part(LOG)?, &part(WRITERS)?)?;
    Ok((state, part(MACHINE)?))
}
