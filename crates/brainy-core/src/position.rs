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
        let parts: Vec<&str> = text.splitn(4, '.').collect();
        let version = (|| {
            let &[epoch, seq, ordinal] = parts.as_slice() else { return None };
            Some(Self {
                epoch: Epoch::new(epoch.parse().ok()?),
                seq: SequenceNumber::new(seq.parse().ok()?)?,
                ordinal: ordinal.parse().ok()?,
            })
        })();
        // Only what `Display` prints: no sign, no leading zero, so that one version has one text.
        version.filter(|version| version.to_string() == text).ok_or_else(|| VersionError(text.chars().take(64).collect()))
    }
}

impl VersionError {
    /// What a caller should do.
    pub fn kind(&self) -> crate::ErrorKind {
        crate::ErrorKind::Invalid
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn versions() -> impl Strategy<Value = Version> {
        (any::<u32>(), 1..=u64::MAX, any::<u32>()).prop_map(|(epoch, seq, ordinal)| Version {
            epoch: Epoch::new(epoch),
            seq: SequenceNumber::new(seq).unwrap(),
            ordinal,
        })
    }

    proptest! {
        #[test]
        fn a_version_survives_its_text_and_its_bytes(version in versions()) {
            prop_assert_eq!(version.to_string().parse::<Version>().unwrap(), version);
            prop_assert_eq!(crate::codec::decode::<Version>("version", &crate::codec::encode(&version)).unwrap(), version);
        }

        #[test]
        fn no_other_text_is_a_version(text in "[0-9+. -]{0,12}") {
            if let Ok(version) = text.parse::<Version>() {
                prop_assert_eq!(version.to_string(), text);
            }
        }

        #[test]
        fn versions_order_by_epoch_then_slot_then_ordinal(a in versions(), b in versions()) {
            prop_assert_eq!(a.cmp(&b), (a.epoch.get(), a.seq.get(), a.ordinal).cmp(&(b.epoch.get(), b.seq.get(), b.ordinal)));
        }
    }

    #[test]
    fn texts_that_only_look_like_versions_are_refused() {
        let overlong = "1".repeat(10_000);
        for text in [
            "",
            "1.2",
            "0.0.0",
            "1.2.3.4",
            "+1.2.3",
            "01.2.3",
            "1.2.-3",
            " 1.2.3",
            "1..3",
            "4294967296.1.0",
            "0.18446744073709551616.0",
            "٣.1.1",
            &overlong,
        ] {
            let error = text.parse::<Version>().expect_err(text);
            assert!(error.to_string().len() < 200, "{error}");
            assert_eq!(error.kind(), crate::ErrorKind::Invalid);
        }
    }

    #[test]
    fn numbers_start_at_one_and_end_without_wrapping() {
        assert_eq!(SequenceNumber::new(0), None);
        assert_eq!(SequenceNumber::FIRST.get(), 1);
        assert_eq!(SequenceNumber::FIRST.successor(), SequenceNumber::new(2));
        assert_eq!(SequenceNumber::new(u64::MAX).unwrap().successor(), None);
        assert!(crate::codec::decode::<SequenceNumber>("number", &[0]).is_err());
    }
}
