//! The bookkeeping as bytes: equal states, equal bytes.
//!
//! The fields hold what is small; the writers, of whom there may be as many as 2H slots have batches, follow one by one, each behind its 32-bit length. So a state of any size
//! is written and read without a length that could overflow, or memory that a lying length claims.

use std::collections::{BTreeMap, VecDeque};

use brainy_core::codec::{self, CodecError, FieldWriter, Fields};
use brainy_core::{ContentHash, StoreId, WriterId};

use crate::descriptor::Constants;
use crate::mutants::broken;
use crate::protocol;
use crate::state::{LogState, Publication, WriterRecord};

const WHAT: &str = "bookkeeping";
const EPOCH: u16 = 1;
const POSITION: u16 = 2;
const SLOT_HASH: u16 = 3;
const RULES: u16 = 4;
const SCAN_BASE: u16 = 5;
const CLAIMS: u16 = 6;
const PUBLISHED: u16 = 7;
const FORKS: u16 = 8;
const STATED: u16 = 9;
const UNSTATED: u16 = 10;
const KNOWN: [u16; 10] = [EPOCH, POSITION, SLOT_HASH, RULES, SCAN_BASE, CLAIMS, PUBLISHED, FORKS, STATED, UNSTATED];

/// A log of a million slots a second would reach it in some 140,000 years.
const MAX_POSITION: u64 = u64::MAX >> 2;

impl LogState {
    /// Everything but the writers.
    pub(crate) fn fields(&self) -> Vec<u8> {
        let unstated: Vec<&[u8]> = self.unstated.iter().map(Vec::as_slice).collect();
        let mut fields = FieldWriter::new();
        fields
            .required(EPOCH, &codec::encode(&self.epoch))
            .required(POSITION, &codec::encode(&self.position))
            .required(SLOT_HASH, self.slot_hash.as_bytes())
            .required(RULES, &codec::encode(&self.rules))
            .required(SCAN_BASE, &codec::encode(&self.scan_base))
            .required(CLAIMS, &codec::encode(&self.claims))
            .required(PUBLISHED, &codec::encode(&self.published))
            .required(FORKS, &codec::encode(&self.forks))
            .required(STATED, &codec::encode(&self.stated))
            .required(UNSTATED, &codec::encode_list(&unstated));
        fields.finish()
    }

    /// The writers, in the order of their identities.
    pub(crate) fn writers_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if broken!(SnapshotWithoutWriters) {
            return bytes;
        }
        for entry in &self.writers {
            let entry = codec::encode(&entry);
            let length = u32::try_from(entry.len()).expect("a batch has a bounded number of verdicts");
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(&entry);
        }
        bytes
    }

    /// The state that [`Self::fields`] and [`Self::writers_bytes`] were made of, in a store with these constants. Its digest is computed anew.
    ///
    /// # Errors
    /// [`CodecError`]: bytes that no state has.
    pub(crate) fn read(store: StoreId, constants: &Constants, fields: &[u8], writers: &[u8]) -> Result<Self, CodecError> {
        let fields = Fields::parse(WHAT, &KNOWN, fields)?;
        let position: u64 = fields.value(POSITION)?;
        let slot_hash = ContentHash::from_bytes(protocol::identity(&fields, SLOT_HASH)?);
        if position > MAX_POSITION {
            return Err(CodecError::corrupt(WHAT, format!("position {position}, no log is that long")));
        }
        let mut state = Self::new(store, fields.value(EPOCH)?, position, slot_hash, fields.value(RULES)?, constants);
        state.scan_base = fields.value(SCAN_BASE)?;
        state.claims = fields.value::<BTreeMap<String, u64>>(CLAIMS)?;
        state.published = fields.value::<Option<Publication>>(PUBLISHED)?;
        state.forks = fields.value::<BTreeMap<StoreId, String>>(FORKS)?;
        state.stated = fields.value(STATED)?;
        let unstated = codec::decode_list("verdict bits", fields.need(UNSTATED)?)?;
        state.unstated = unstated.into_iter().map(<[u8]>::to_vec).collect::<VecDeque<_>>();
        let corrupt = |reason: &str| Err(CodecError::corrupt(WHAT, reason));
        if state.scan_base > position || state.published_seq() >= position.max(1) {
            return corrupt("it names a later position than its own");
        }
        if state.unstated.len() as u64 > state.lag || state.stated.checked_add(state.unstated.len() as u64) != Some(position) {
            return corrupt("its verdict bits do not end at its position");
        }
        let mut rest = writers;
        let mut last = None;
        while !rest.is_empty() {
            let Some((length, behind)) = rest.split_first_chunk::<4>() else { return corrupt("a writer's length is cut off") };
            let Some((entry, behind)) = behind.split_at_checked(u32::from_le_bytes(*length) as usize) else {
                return corrupt("a writer is cut off");
            };
            let (writer, record): (WriterId, WriterRecord) = codec::decode(WHAT, entry)?;
            if last >= Some(writer) || record.slot > position || record.slot == 0 {
                return corrupt("its writers are out of order, or decided later than its position");
            }
            state.by_slot.insert((record.slot, writer));
            state.writers.insert(writer, record);
            (last, rest) = (Some(writer), behind);
        }
        state.digest = state.recomputed_digest();
        Ok(state)
    }

    /// How many bytes it takes in a snapshot.
    #[cfg(test)]
    pub fn stored_bytes(&self) -> usize {
        self.fields().len() + self.writers_bytes().len()
    }
}
