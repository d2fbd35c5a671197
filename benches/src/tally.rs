//! A state machine that only counts.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use brainy_coordination::{Context, MachineError, Retired, StateMachine, Summary, Verdict};
use brainy_core::{SetHash, Version, codec};

use crate::Random;

/// Counts transactions, their bytes and their places in the log, and takes every one for effective: what a log costs without what is replicated over it.
#[derive(Debug, Default)]
pub struct Tally {
    counted: Mutex<Counted>,
}

/// What a [`Tally`] has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Transactions.
    pub transactions: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// Sum over the transactions of a number made of its place and its length, modulo 2⁶⁴.
    pub places: u64,
}

impl Counted {
    fn to_bytes(self) -> Vec<u8> {
        codec::encode(&(self.transactions, self.bytes, self.places))
    }

    fn summary(self) -> Summary {
        let mut digest = [0; 32];
        for (lane, value) in digest.chunks_exact_mut(8).zip([self.transactions, self.bytes, self.places]) {
            lane.copy_from_slice(&value.to_le_bytes());
        }
        Summary { counters: self.to_bytes(), digest: SetHash::from_bytes(digest) }
    }
}

impl Tally {
    /// What it has seen.
    pub fn counted(&self) -> Counted {
        *self.lock()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl StateMachine for Tally {
    /// The length of the payload.
    type Command = u64;
    type View = Counted;

    fn decode(payload: &[u8]) -> u64 {
        payload.len() as u64
    }

    async fn fetch(&self, _commands: &[&u64]) -> Result<Counted, MachineError> {
        Ok(self.counted())
    }

    fn apply(view: &mut Counted, context: Context, bytes: &u64) -> Verdict {
        view.transactions += 1;
        view.bytes += bytes;
        // Mixed, so that what is lost and what is doubled elsewhere do not cancel out.
        let place = (context.version.seq.get() << 16 | u64::from(context.version.ordinal)) ^ bytes;
        view.places = view.places.wrapping_add(Random::new(place).number());
        Verdict::Effective { changed: 1 }
    }

    fn summary_of(view: &Counted) -> Summary {
        view.summary()
    }

    fn install(&self, view: Counted, _position: Version) -> Retired {
        *self.lock() = view;
        Retired::default()
    }

    fn summary(&self) -> Summary {
        self.counted().summary()
    }

    fn snapshot(&self) -> Vec<u8> {
        self.counted().to_bytes()
    }

    fn restore(&self, snapshot: &[u8]) -> Result<(), MachineError> {
        let restored = codec::decode("tally", snapshot).map_err(|error| MachineError { reason: error.to_string() });
        let (transactions, bytes, places) = restored?;
        *self.lock() = Counted { transactions, bytes, places };
        Ok(())
    }
}
