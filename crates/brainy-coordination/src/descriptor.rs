//! `brainy.json`: what makes a folder a store, and everything that was decided when it was made.

use brainy_core::codec::{CodecError, checksum};
use brainy_core::{ContentHash, MAX_DIMENSION, Metric, StoreId};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::protocol::{MAX_LEASE_NAMES, MAX_NAME_BYTES};

/// The apply rules this build knows, and those of a new store.
pub const RULES: u32 = 1;
/// Least grace of a store. A simulated fleet, whose time is dear, may have a shorter one.
const LEAST_GRACE_MS: u64 = if cfg!(feature = "simulation") { 10_000 } else { Constants::GRACE_MS };
/// Format of `brainy.json`.
const FORMAT: u32 = 1;
const WHAT: &str = "brainy.json";

/// What a store is and how its protocol is tuned; fixed when it is made, read by every handle, overridden by none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Descriptor {
    /// Version of the apply rules at the first slot.
    pub rules: u32,
    /// The store's identity.
    #[serde(with = "store_hex")]
    pub store: StoreId,
    /// Which build made it; for people.
    pub created_by: String,
    /// Wall-clock milliseconds of its making; for people.
    pub created_ms: u64,
    /// The vector spaces: today one of nouns and at most one of verbs.
    pub spaces: Vec<Space>,
    /// Number of the first slot.
    pub first_seq: u64,
    /// Of a fork: where it comes from.
    pub parent: Option<Parent>,
    /// The protocol's constants.
    pub constants: Constants,
    /// Fields of later builds that this one may ignore.
    #[serde(default)]
    pub optional: serde_json::Map<String, serde_json::Value>,
}

/// One vector space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Space {
    /// Its name.
    pub name: String,
    /// Whose vectors lie in it.
    pub of: SpaceOf,
    /// Components of each vector.
    pub dimension: u32,
    /// The distance.
    pub metric: Metric,
    /// Type of a component.
    pub element: Element,
}

impl Space {
    /// The space of the nouns' vectors.
    pub fn nouns(dimension: u32, metric: Metric) -> Self {
        Self { name: "nouns".into(), of: SpaceOf::Nouns, dimension, metric, element: Element::F32 }
    }

    /// The space of the verbs' vectors.
    pub fn verbs(dimension: u32, metric: Metric) -> Self {
        Self { name: "verbs".into(), of: SpaceOf::Verbs, dimension, metric, element: Element::F32 }
    }
}

/// Whose vectors lie in a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SpaceOf {
    /// The nouns'.
    Nouns,
    /// The verbs'.
    Verbs,
}

/// Type of a vector's component, as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Element {
    /// 32-bit IEEE float.
    F32,
}

/// Where a fork comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Parent {
    /// The parent's identity.
    #[serde(with = "store_hex")]
    pub store: StoreId,
    /// Hash of the parent's slot it leaves from.
    #[serde(with = "hash_hex")]
    pub slot_hash: ContentHash,
}

/// How old slots make room, once the collection boundary is raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Truncation {
    /// They are deleted; readers confirm their position by the store's clock.
    Delete,
    /// They are overwritten by a marker; needs no clock.
    Tombstone,
}

/// The protocol's constants (DESIGN §3, §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Constants {
    /// K: a slot's creator must have seen every intent visible so many slots before it.
    pub scan_slots: u64,
    /// H: a batch is stale once its slot lies more than this many slots after its base.
    pub horizon_slots: u64,
    /// D: by how many slots a header's figures may lag.
    pub summary_lag_slots: u64,
    /// G: slots stay readable so long after the boundary passed them, in milliseconds of the store's clock.
    pub grace_ms: u64,
    /// Most bytes of a slot.
    pub slot_bytes: u64,
    /// A batch larger than this lies in a blob.
    pub inline_bytes: u64,
    /// How old slots make room.
    pub truncation: Truncation,
}

impl Constants {
    /// Default of [`Self::scan_slots`].
    pub const SCAN_SLOTS: u64 = 8;
    /// Default of [`Self::horizon_slots`].
    pub const HORIZON_SLOTS: u64 = 1 << 20;
    /// Default of [`Self::summary_lag_slots`].
    pub const SUMMARY_LAG_SLOTS: u64 = 64;
    /// Default and least value of [`Self::grace_ms`]: one hour.
    pub const GRACE_MS: u64 = 3_600_000;
    /// Default of [`Self::slot_bytes`].
    pub const SLOT_BYTES: u64 = 1 << 20;
    /// Default of [`Self::inline_bytes`].
    pub const INLINE_BYTES: u64 = 64 << 10;

    /// The defaults, with this way to make room.
    pub const fn new(truncation: Truncation) -> Self {
        Self {
            scan_slots: Self::SCAN_SLOTS,
            horizon_slots: Self::HORIZON_SLOTS,
            summary_lag_slots: Self::SUMMARY_LAG_SLOTS,
            grace_ms: Self::GRACE_MS,
            slot_bytes: Self::SLOT_BYTES,
            inline_bytes: Self::INLINE_BYTES,
            truncation,
        }
    }

    /// With another horizon: smaller forgets dead writers sooner and gives resolvers less time.
    #[must_use]
    pub const fn with_horizon_slots(mut self, slots: u64) -> Self {
        self.horizon_slots = slots;
        self
    }

    fn validate(&self) -> Result<(), Error> {
        let wrong = |field, reason: &str| Err(Error::Option { field, reason: reason.into() });
        if self.scan_slots == 0 {
            return wrong("scan_slots", "it must be at least 1");
        }
        if self.horizon_slots == 0 {
            return wrong("horizon_slots", "it must be at least 1");
        }
        if self.grace_ms < LEAST_GRACE_MS {
            return wrong("grace_ms", "it must be at least an hour: stores' clocks differ between front ends");
        }
        if self.inline_bytes < 1_024 || self.inline_bytes.saturating_mul(2) > self.slot_bytes {
            return wrong("inline_bytes", "it must be at least 1 KiB and at most half of slot_bytes");
        }
        if self.slot_bytes > 16 << 20 {
            return wrong("slot_bytes", "it must be at most 16 MiB");
        }
        Ok(())
    }
}

/// Bytes that one name of a lease takes in a slot's header, at most.
const LEASE_BYTES: u64 = MAX_NAME_BYTES as u64 + 12;

impl Constants {
    /// Most names of leases (INV-33): an eighth of a slot has room for them.
    pub(crate) fn most_leases(&self) -> usize {
        usize::try_from(self.slot_bytes / 8 / LEASE_BYTES).map_or(MAX_LEASE_NAMES, |room| room.clamp(1, MAX_LEASE_NAMES))
    }
}

impl Descriptor {
    pub(crate) fn new(
        store: StoreId,
        created_by: String,
        created_ms: u64,
        spaces: Vec<Space>,
        constants: Constants,
    ) -> Result<Self, Error> {
        let descriptor = Self {
            rules: RULES,
            store,
            created_by,
            created_ms,
            spaces,
            first_seq: 1,
            parent: None,
            constants,
            optional: serde_json::Map::new(),
        };
        descriptor.validate()?;
        Ok(descriptor)
    }

    fn validate(&self) -> Result<(), Error> {
        self.constants.validate()?;
        let wrong = |reason: String| Err(Error::Option { field: "spaces", reason });
        for of in [SpaceOf::Nouns, SpaceOf::Verbs] {
            if self.spaces.iter().filter(|space| space.of == of).count() > 1 {
                return wrong(format!("more than one space of {of:?}"));
            }
        }
        if let Some(space) = self.spaces.iter().find(|space| !(1..=MAX_DIMENSION).contains(&(space.dimension as usize))) {
            return wrong(format!("space {:?} has dimension {}, 1 to {MAX_DIMENSION} are allowed", space.name, space.dimension));
        }
        if self.first_seq == 0 {
            return Err(Error::Option { field: "first_seq", reason: "slots start at 1".into() });
        }
        Ok(())
    }

    /// The space of the nouns' vectors, if there is one.
    pub fn nouns(&self) -> Option<&Space> {
        self.spaces.iter().find(|space| space.of == SpaceOf::Nouns)
    }

    /// The space of the verbs' vectors, if there is one.
    pub fn verbs(&self) -> Option<&Space> {
        self.spaces.iter().find(|space| space.of == SpaceOf::Verbs)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let body = serde_json::to_string(self).expect("the descriptor has a JSON form");
        let (length, sum) = (body.len(), checksum(body.as_bytes()));
        format!(
            "{{\"magic\":\"BRNY\",\"format\":{FORMAT},\"codec\":\"json\",\"length\":{length},\"crc32c\":\"{sum:08x}\",\"body\":{body}}}\n"
        )
        .into_bytes()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let corrupt = |reason: String| CodecError::corrupt(WHAT, reason);
        let text = std::str::from_utf8(bytes).map_err(|error| corrupt(error.to_string()))?;
        let (envelope, rest) = text.split_once("\"body\":").ok_or_else(|| corrupt("it has no body".into()))?;
        let envelope: Envelope = serde_json::from_str(&format!("{envelope}\"body\":null}}")).map_err(|error| corrupt(error.to_string()))?;
        if envelope.magic != "BRNY" {
            return Err(corrupt("it does not say BRNY".into()));
        }
        if envelope.format != FORMAT || envelope.codec != "json" {
            let reason = format!("format {} in {}, this build knows {FORMAT} in json", envelope.format, envelope.codec);
            return Err(CodecError::unsupported(WHAT, reason));
        }
        let body = rest.strip_suffix("}\n").ok_or_else(|| corrupt("it is cut off".into()))?;
        if body.len() as u64 != envelope.length || format!("{:08x}", checksum(body.as_bytes())) != envelope.crc32c {
            return Err(corrupt("length or checksum differ from what it says".into()));
        }
        let descriptor: Self = serde_json::from_str(body).map_err(|error| CodecError::unsupported(WHAT, error.to_string()))?;
        descriptor.validate().map_err(|error| CodecError::unsupported(WHAT, error.to_string()))?;
        Ok(descriptor)
    }

    /// Names the first field in which the store that is there differs from the one that was asked for; who made it and when may differ.
    pub(crate) fn compare(&self, wanted: &Self, location: &str) -> Result<(), Error> {
        let differ = |field, found: String, wanted: String| Err(Error::Different { location: location.to_owned(), field, found, wanted });
        if self.store != wanted.store {
            return differ("store", self.store.to_string(), wanted.store.to_string());
        }
        if self.rules != wanted.rules {
            return differ("rules", self.rules.to_string(), wanted.rules.to_string());
        }
        if self.spaces != wanted.spaces {
            return differ("spaces", spaces_text(&self.spaces), spaces_text(&wanted.spaces));
        }
        if (self.first_seq, &self.parent) != (wanted.first_seq, &wanted.parent) {
            return differ("parent", format!("{:?}", self.parent), format!("{:?}", wanted.parent));
        }
        if self.constants != wanted.constants {
            return differ("constants", format!("{:?}", self.constants), format!("{:?}", wanted.constants));
        }
        Ok(())
    }
}

fn spaces_text(spaces: &[Space]) -> String {
    let texts: Vec<_> =
        spaces.iter().map(|space| format!("{} of dimension {} under {}", space.name, space.dimension, space.metric)).collect();
    texts.join(", ")
}

#[derive(Deserialize)]
struct Envelope {
    magic: String,
    format: u32,
    codec: String,
    length: u64,
    crc32c: String,
}

mod store_hex {
    use brainy_core::StoreId;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(store: &StoreId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(store)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StoreId, D::Error> {
        let text = String::deserialize(deserializer)?;
        StoreId::from_hex(&text).ok_or_else(|| serde::de::Error::custom("a store id has 32 hexadecimal digits"))
    }
}

mod hash_hex {
    use brainy_core::ContentHash;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(hash: &ContentHash, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(hash)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ContentHash, D::Error> {
        let text = String::deserialize(deserializer)?;
        ContentHash::from_hex(&text).ok_or_else(|| serde::de::Error::custom("a hash has 64 hexadecimal digits"))
    }
}
