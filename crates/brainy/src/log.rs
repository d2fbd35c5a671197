//! The change log as people read it.

use brainy_coordination::{OpId, read_slot};
use brainy_core::{Operation, SequenceNumber, Version, WriterId, decode_operations};

use crate::error::Error;
use crate::handle::Brainy;

/// One slot of the change log.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LogSlot {
    /// Its number.
    pub seq: SequenceNumber,
    /// Its creator's wall clock, in milliseconds since 1970.
    pub at_ms: u64,
    /// Who made it.
    pub creator: WriterId,
    /// Hash of its bytes, in hexadecimal.
    pub hash: String,
    /// Size of its object, in bytes; blobs it names are not counted.
    pub bytes: u64,
    /// What it commits, in order of effect.
    pub transactions: Vec<LogTransaction>,
}

/// One transaction of a slot.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LogTransaction {
    /// Its name.
    pub op: OpId,
    /// Its position: the version of what it wrote.
    pub version: Version,
    /// Whether it took effect.
    pub effective: Option<bool>,
    /// What it asked for.
    pub operations: Vec<Operation>,
    /// What it asked of the log itself, in words.
    pub protocol: Vec<String>,
}

impl Brainy {
    /// Slot `seq` as it was written; none if the log does not reach it. Nothing is applied.
    ///
    /// # Errors
    /// Kind `Corrupt`: its bytes are not what was written; `Unavailable`: it was collected, or the store does not answer.
    pub async fn log_slot(&self, seq: SequenceNumber) -> Result<Option<LogSlot>, Error> {
        let (environment, deadline) = (self.log().environment().clone(), self.deadline());
        let record = self.run(async move { Ok(read_slot(&environment, seq, deadline).await?) }).await?;
        let Some(record) = record else { return Ok(None) };
        let header = record.header;
        let transactions = record.batches.into_iter().flat_map(|batch| batch.transactions).map(|transaction| LogTransaction {
            op: transaction.op,
            version: Version { epoch: header.epoch, seq, ordinal: transaction.ordinal },
            effective: transaction.effective,
            operations: transaction.payload.and_then(|payload| decode_operations(&payload).ok()).unwrap_or_default(),
            protocol: transaction.protocol.iter().map(|operation| format!("{operation:?}")).collect(),
        });
        Ok(Some(LogSlot {
            seq,
            at_ms: header.at_ms,
            creator: header.creator,
            hash: record.hash.to_string(),
            bytes: record.bytes,
            transactions: transactions.collect(),
        }))
    }
}
