//! Where things stand in the change log.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

/// Position of one slot in the change log; starts at 1, grows by exactly 1, so a gap is a lost slot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SequenceNumber(NonZeroU64);

impl SequenceNumber {
    /// The first slot of a store.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// The number `value`; none for 0, which is no slot.
    pub const fn new(value: u64) -> Option<Self> {
        match NonZeroU64::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The plain number, from 1.
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// The next slot; none after 2⁶⁴ − 1.
    pub fn successor(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl std::fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::fmt::Debug for SequenceNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Which life of the log a slot belongs to: 0 at first, raised by a fork or a restore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(u32);

impl Epoch {
    /// The epoch of a new store.
    pub const FIRST: Self = Self(0);

    /// The epoch numbered `value`.
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// The plain number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl std::fmt::Display for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Version of an item: the position of the transaction that wrote it. It never restarts, so a deleted and re-made item never repeats one.
///
/// Printed as `epoch.seq.ordinal`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// The epoch of the slot.
    pub epoch: Epoch,
    /// The slot.
    pub seq: SequenceNumber,
    /// Which transaction of the slot, from 0, counting every embedded one, effective or not.
    pub ordinal: u32,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.epoch, self.seq, self.ordinal)
    }
}

impl std::fmt::Debug for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "v{self}")
    }
}

/// A text that is not a [`Version`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a version: three numbers like 0.17.2")]
pub struct VersionError(String);

impl std::str::FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let wrong = || VersionError(text.chars().take(64).collect());
        let mut parts = text.split('.');
        let mut next = || parts.next().and_then(|part| part.parse::<u64>().ok());
        let (epoch, seq, ordinal) = (next(), next(), next());
        if parts.next().is_some() {
            return Err(wrong());
        }
        let version = (|| {
            Some(Self {
                epoch: Epoch::new(u32::try_from(epoch?).ok()?),
                seq: SequenceNumber::new(seq?)?,
                ordinal: u32::try_from(ordinal?).ok()?,
            })
        })();
        version.ok_or_else(wrong)
    }
}
