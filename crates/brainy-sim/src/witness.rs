//! What somebody who stands beside the bucket sees: every slot as it was first written, and when; every intent, and where the log stood then.

use std::collections::BTreeMap;
use std::time::Duration;

use brainy_storage::Key;
use bytes::Bytes;

use crate::bucket::{Request, Response};

/// One slot as it was created.
#[derive(Clone, Debug)]
pub struct SeenSlot {
    /// When it took effect.
    pub at: Duration,
    /// When a slot of these bytes took effect for the first time: earlier, where a bucket went back and the same create was sent again.
    pub first_at: Duration,
    /// Its bytes.
    pub bytes: Bytes,
}

/// One intent as it became visible.
#[derive(Clone, Debug)]
pub struct SeenIntent {
    /// Its key.
    pub key: Key,
    /// The newest slot at that time.
    pub tail: u64,
    /// Whether anybody can read it.
    pub readable: bool,
}

/// An object that was deleted, or a slot that was overwritten.
#[derive(Clone, Debug)]
pub struct Gone {
    /// When.
    pub at: Duration,
    /// Which.
    pub key: Key,
    /// It is a slot, and its marker is in its place.
    pub overwritten: bool,
}

/// The log's witness. What is deleted or rolled back later stays in its memory.
#[derive(Clone, Debug, Default)]
pub struct Witness {
    /// Slots by number.
    pub slots: BTreeMap<u64, SeenSlot>,
    /// Blobs by key.
    pub blobs: BTreeMap<Key, Bytes>,
    /// Intents in the order in which they became visible.
    pub intents: Vec<SeenIntent>,
    /// When leases were made.
    pub leases_made: Vec<Duration>,
    /// When somebody deleted a lease.
    pub leases_deleted: Vec<Duration>,
    /// Numbers that were created a second time, with other bytes, and when.
    pub created_again: Vec<(u64, Duration)>,
    /// Everything that `ctl/head` ever said, and since when.
    pub heads: Vec<(Duration, Bytes)>,
    /// Manifests by key.
    pub manifests: BTreeMap<String, Bytes>,
    /// What was deleted, and slots that were overwritten.
    pub gone: Vec<Gone>,
    /// `brainy.json`.
    pub descriptor: Option<Bytes>,
}

impl Witness {
    pub(crate) fn see(&mut self, at: Duration, request: &Request, response: &Response) {
        if let Request::Delete { keys } = request {
            self.gone.extend(keys.iter().map(|key| Gone { at, key: key.clone(), overwritten: false }));
            self.leases_deleted.extend(keys.iter().filter(|key| key.as_str().starts_with("lease/")).map(|_| at));
        }
        let (Request::Put { key, body, condition }, Response::Written(_)) = (request, response) else { return };
        let name = key.as_str();
        if let Some(number) = name.strip_prefix("log/").and_then(|digits| digits.parse().ok()) {
            if brainy_core::codec::peek_kind(body) == Some(brainy_core::codec::ObjectKind::Tombstone as u8) {
                self.gone.push(Gone { at, key: key.clone(), overwritten: true });
                return;
            }
            match self.slots.get(&number) {
                None => drop(self.slots.insert(number, SeenSlot { at, first_at: at, bytes: body.clone() })),
                Some(first) if first.bytes != *body => self.created_again.push((number, at)),
                Some(_) => {}
            }
        } else if name.starts_with("inbox/") {
            let readable = brainy_core::codec::peek_kind(body) == Some(brainy_core::codec::ObjectKind::Intent as u8);
            self.intents.push(SeenIntent { key: key.clone(), tail: self.tail(), readable });
        } else if name.starts_with("blob/") {
            self.blobs.insert(key.clone(), body.clone());
        } else if name.starts_with("lease/") && matches!(condition, brainy_storage::Precondition::IfAbsent) {
            self.leases_made.push(at);
        } else if name == "ctl/head" {
            self.heads.push((at, body.clone()));
        } else if name.starts_with("manifest/") {
            self.manifests.insert(name.to_owned(), body.clone());
        } else if name == "brainy.json" {
            self.descriptor.get_or_insert_with(|| body.clone());
        }
    }

    /// The store's identity, as `brainy.json` says it.
    pub fn store(&self) -> Option<brainy_core::StoreId> {
        let text = std::str::from_utf8(self.descriptor.as_ref()?).ok()?;
        let after = text.split_once("\"store\":\"")?.1;
        brainy_core::StoreId::from_hex(after.get(..32)?)
    }

    /// The newest slot.
    pub fn tail(&self) -> u64 {
        self.slots.last_key_value().map_or(0, |(number, _)| *number)
    }

    /// Forgets the slots from `number` on, since the bucket was put back to a time before they were, and returns them.
    pub fn forget_from(&mut self, number: u64) -> BTreeMap<u64, SeenSlot> {
        self.slots.split_off(&number)
    }

    /// The slots that were created before `at`, by number: the log as somebody could have seen it then.
    pub fn tail_at(&self, at: Duration) -> u64 {
        // Numbers are created in order, so times ascend with them.
        let (mut low, mut high) = (0, self.slots.last_key_value().map_or(0, |(number, _)| *number));
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if self.slots.get(&middle).is_some_and(|slot| slot.at < at) { low = middle } else { high = middle - 1 }
        }
        low
    }
}
