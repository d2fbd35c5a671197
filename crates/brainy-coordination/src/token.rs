//! What callers carry away: positions and names of transactions, as plain text.

use brainy_core::{ContentHash, Epoch, StoreId, Version, WriterId};
use serde::{Deserialize, Serialize};

/// A position in one store's log that can be printed, sent to another process and waited for there.
///
/// Printed as `store.epoch.seq.hash`; `seq` 0 is the empty log. The hash is that of the slot (of `brainy.json` at 0), so that another store's
/// token, or one of a future that was rolled back, is told apart from one that is merely ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Token {
    /// The store.
    pub store: StoreId,
    /// Which life of its log.
    pub epoch: Epoch,
    /// How many slots: the number of the last one.
    pub seq: u64,
    /// BLAKE3 of that slot's bytes.
    pub hash: ContentHash,
}

/// The name of one transaction for life: whoever holds it may ask any instance what became of it.
///
/// Printed as `writer.wseq.index.base.hash`. Fixed when the bytes of the batch close, just before they are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OpId {
    /// The writer of the batch.
    pub writer: WriterId,
    /// The writer's number of the batch.
    pub wseq: u64,
    /// Which transaction of the batch, from 0.
    pub index: u32,
    /// The tail that the writer had applied when it formed the batch.
    pub base: u64,
    /// BLAKE3 of the batch's bytes.
    pub hash: ContentHash,
}

/// A text that is no [`Token`] or [`OpId`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}")]
pub struct ParseError {
    what: &'static str,
    text: String,
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}.{}", self.store, self.epoch, self.seq, self.hash)
    }
}

impl std::str::FromStr for Token {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let parts = exactly::<4>(text);
        let token = parts.and_then(|[store, epoch, seq, hash]| {
            Some(Self {
                store: StoreId::from_hex(store)?,
                epoch: Epoch::new(number(epoch)?.try_into().ok()?),
                seq: number(seq)?,
                hash: ContentHash::from_hex(hash)?,
            })
        });
        token.ok_or_else(|| ParseError { what: "a token (store.epoch.seq.hash)", text: text.chars().take(160).collect() })
    }
}

impl std::fmt::Display for OpId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}.{}.{}", self.writer, self.wseq, self.index, self.base, self.hash)
    }
}

impl std::str::FromStr for OpId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let parts = exactly::<5>(text);
        let op = parts.and_then(|[writer, wseq, index, base, hash]| {
            Some(Self {
                writer: WriterId::from_hex(writer)?,
                wseq: number(wseq)?,
                index: number(index)?.try_into().ok()?,
                base: number(base)?,
                hash: ContentHash::from_hex(hash)?,
            })
        });
        op.ok_or_else(|| ParseError { what: "an operation id (writer.wseq.index.base.hash)", text: text.chars().take(200).collect() })
    }
}

fn exactly<const N: usize>(text: &str) -> Option<[&str; N]> {
    let parts: Vec<&str> = text.split('.').collect();
    parts.try_into().ok()
}

/// Digits only: `parse` alone would take a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// What a committed transaction's caller gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The transaction's name.
    pub op: OpId,
    /// Its position: the version of every item it wrote.
    pub version: Version,
    /// Items it wrote or deleted, 0 where it found everything as it wanted it; none where that is no longer held (an old operation that was resolved).
    pub changed: Option<u32>,
    /// A position at or after its slot: the slot's own, unless it lies so far back that its hash is no longer held.
    pub token: Token,
}

impl Receipt {
    pub(crate) const fn new(op: OpId, version: Version, changed: Option<u32>, token: Token) -> Self {
        Self { op, version, changed, token }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_operation_ids_read_back_as_printed_and_nothing_else_is_taken() {
        let token = Token { store: StoreId::from_bytes([7; 16]), epoch: Epoch::new(3), seq: 12, hash: ContentHash::of(b"slot") };
        assert_eq!(token.to_string().parse(), Ok(token));
        let op = OpId { writer: WriterId::from_bytes([9; 16]), wseq: 4, index: 2, base: 11, hash: ContentHash::of(b"batch") };
        assert_eq!(op.to_string().parse(), Ok(op));
        for wrong in
            ["", "a.b.c.d", &token.to_string()[1..], &format!("{token}."), &token.to_string().replace(".12.", ".+12."), &op.to_string()]
        {
            assert!(wrong.parse::<Token>().is_err(), "{wrong}");
        }
    }
}
