//! What a round of a collector removed, or would remove.

use std::time::Duration;

use brainy_storage::Entry;

/// Some objects of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removed {
    /// How many.
    pub objects: u64,
    /// Their bytes together, as far as a listing shows them.
    pub bytes: u64,
}

impl Removed {
    pub(super) const fn add(&mut self, entry: &Entry) {
        self.objects += 1;
        self.bytes += entry.size;
    }
}

/// Requests of a round; its look at the log, repetitions and the batches of its commits are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CollectRequests {
    /// Reads.
    pub get: u64,
    /// Writes.
    pub put: u64,
    /// Listings, a page each.
    pub list: u64,
    /// Deletes, up to a thousand objects each.
    pub delete: u64,
}

/// What a round came to; in a dry run what would be removed in the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CollectReport {
    /// Nothing was written or removed.
    pub dry_run: bool,
    /// What `ctl/head` says: slots up to here may be collected once their grace is over.
    pub boundary: u64,
    /// Slots up to here were removed, in this round or before.
    pub collected: u64,
    /// Slots, deleted or overwritten by a marker.
    pub slots: Removed,
    /// Manifests of snapshots that nobody needs any more, or that were never published.
    pub manifests: Removed,
    /// Segments that no manifest names.
    pub segments: Removed,
    /// Blobs of batches that were decided in a removed slot, or never.
    pub blobs: Removed,
    /// Intents of batches that were decided, or never.
    pub intents: Removed,
    /// Pins that ended. Their bytes are not counted.
    pub pins: Removed,
    /// Batches of silent writers that were given up: whoever sent them is told so.
    pub given_up: u64,
    /// The token of `compactor` that was claimed, so that what silent builders left became garbage.
    pub claimed: Option<u64>,
    /// After what time a further round could do more; none: there is nothing to wait for.
    pub next: Option<Duration>,
    /// What it cost.
    pub requests: CollectRequests,
}

impl CollectReport {
    /// Removed objects of every kind.
    pub const fn objects(&self) -> u64 {
        self.slots.objects + self.manifests.objects + self.segments.objects + self.blobs.objects + self.intents.objects + self.pins.objects
    }

    /// A further round could do more after `span`.
    pub(super) fn wait(&mut self, span: Duration) {
        self.next = Some(self.next.map_or(span, |next| next.min(span)));
    }
}
