//! What may be deleted, and what `ctl/head` may say: pure decisions (DESIGN §4.9).
//!
//! A delete cannot be fenced and cannot be undone, so nothing here rests on a lease or on an age by a local clock. What is garbage stays garbage: no name returns, no number
//! that is decided becomes undecided, no token that is superseded becomes the newest again. The one exception is a slot, whose number is free once it is deleted:
//! therefore the boundary, the wait, and [`Confirmation`](crate::confirmation::Confirmation).

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use brainy_core::{ContentHash, Nonce};
use brainy_storage::StoreTime;
use serde::{Deserialize, Serialize};

use crate::apply::COMPACTOR;
use crate::descriptor::Truncation;
use crate::helping::{IntentName, last_of};
use crate::mutants::broken;
use crate::state::{Decision, LogState};

/// Names a manifest: `manifest/{seq:020}-{token}-{hash}`. Ordered as they follow each other: a later position, then a later builder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ManifestName {
    /// The position of the state.
    pub seq: u64,
    /// The `compactor` token of its builder.
    pub token: u64,
    /// BLAKE3 of the object.
    pub hash: ContentHash,
}

/// As the key of the object.
impl std::fmt::Display for ManifestName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        crate::keys::manifest(self).fmt(f)
    }
}

/// Names a segment: `segment/{token}-{build}/{hash}`. No two builds share a name, whatever their content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SegmentName {
    /// The `compactor` token of its builder.
    pub token: u64,
    /// The build, by chance.
    pub build: Nonce,
    /// BLAKE3 of the object.
    pub hash: ContentHash,
}

/// Names a blob: `blob/{base:020}/{writer}/{wseq:020}/{hash}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobName {
    /// The batch that it belongs to.
    pub batch: IntentName,
    /// BLAKE3 of the list of transactions.
    pub hash: ContentHash,
}

/// What of `ctl/head` only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Slots up to here may be collected.
    pub boundary: u64,
    /// The newest effective manifest.
    pub manifest: Option<ManifestName>,
}

impl Bounds {
    /// The position of the newest manifest.
    pub fn manifest_seq(&self) -> u64 {
        self.manifest.map_or(0, |manifest| manifest.seq)
    }
}

/// What `ctl/head` says after somebody who read `present` asked for `wanted`.
///
/// INV-25: the boundary and the newest manifest only grow, and the boundary is not beyond the manifest: whoever finds slots gone finds a state that holds them.
pub fn next_bounds(present: Bounds, wanted: Bounds) -> Bounds {
    if broken!(HeadGoesBack) && wanted != Bounds::default() {
        return Bounds { boundary: wanted.boundary, manifest: wanted.manifest.or(present.manifest) };
    }
    let manifest = present.manifest.max(wanted.manifest);
    let highest = manifest.map_or(0, |manifest| manifest.seq);
    Bounds { boundary: present.boundary.max(wanted.boundary.min(highest)), manifest }
}

/// A boundary that a collector itself read in `ctl/head`, and the store's time on the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sighting {
    /// The boundary.
    pub boundary: u64,
    /// The store's time.
    pub at: Option<StoreTime>,
}

/// Up to which slot a collector that read these boundaries may delete, at a time `now` of the store; 0: none. `now` is that of a reply to the collector, any time ago.
///
/// INV-26: up to a boundary that it itself read at least G ago. Until then somebody may rest on a slot, or on its absence, without looking at the boundary
/// again (INV-9). Where slots are overwritten instead, a number is never free again, and the boundary that was read last counts at once.
pub fn deletable(truncation: Truncation, sightings: &[Sighting], now: Option<StoreTime>, grace_ms: u64) -> u64 {
    let waited = sightings.iter().filter(|sighting| match (truncation, sighting.at, now) {
        (Truncation::Tombstone, ..) => true,
        _ if broken!(DeleteWithoutGrace) => true,
        (Truncation::Delete, Some(at), Some(now)) => now.as_ms().saturating_sub(at.as_ms()) >= grace_ms,
        (Truncation::Delete, ..) => false,
    });
    waited.map(|sighting| sighting.boundary).max().unwrap_or(0)
}

/// Whether somebody may still need a manifest. `collected`: what [`deletable`] says; `head`: that of `ctl/head`; `named`: those of live pins, tags and forks, listed after
/// `collected` was waited for.
///
/// INV-27: what `ctl/head`, a live pin, a tag or a fork names is needed, and so is every manifest not below the boundary: a reader who writes its pin and then finds the
/// boundary not above the manifest relies on it.
pub fn is_reachable(manifest: &ManifestName, collected: u64, head: Option<&ManifestName>, named: &BTreeSet<ManifestName>) -> bool {
    manifest.seq >= collected || head == Some(manifest) || named.contains(manifest)
}

/// Whether a reader may rely on what it holds: `boundary` was read after its pin or tag of `manifest` was written.
///
/// INV-27: a collector that is entitled to delete the manifest raised the boundary above it, waited, and listed what is held after that.
pub const fn is_held(boundary: u64, manifest: &ManifestName) -> bool {
    boundary <= manifest.seq
}

/// What the log says of builders at a trusted position.
///
/// INV-28: it is read before segments and manifests are listed. Else a builder that is superseded in between may have published in time what the listing did not show yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Newest {
    /// The highest token of `compactor` that was claimed.
    pub claim: u64,
    /// The position of the newest published manifest; 0: none was.
    pub published: u64,
}

impl Newest {
    /// Of this state.
    pub fn of(state: &LogState) -> Self {
        Self { claim: state.claim(COMPACTOR), published: state.published_seq() }
    }
}

/// Whether a manifest was never published, nor will be: no pin, tag or fork can name it, since nobody but its builder ever knew it.
///
/// INV-28: its token is superseded, so that its record would have no effect, and its position is beyond the newest published one, so that no record had any.
pub const fn is_unpublishable(newest: Newest, manifest: &ManifestName) -> bool {
    manifest.token < newest.claim && manifest.seq > newest.published
}

/// Whether a segment can be deleted. `kept`: a reachable manifest, listed after `newest` was read and after the segment was found, names it.
///
/// INV-28: one that nobody names is garbage only once its token is superseded in the log, at a trusted position: then whatever its builder still sends has no effect. No age tells that.
pub const fn is_segment_garbage(newest: Newest, segment: &SegmentName, kept: bool) -> bool {
    !kept && segment.token < newest.claim
}

/// Whether a blob can be deleted. `state` is of a trusted position. `collected`: what [`deletable`] says. `kept`: a live state or a reachable manifest names it. `successor`: the base of a later batch
/// of its writer that is there, in a blob or an intent, if any.
///
/// INV-29: its number is decided or stale, so that no slot to come applies it, and if a slot applied it, that slot is collected.
pub fn is_blob_garbage(state: &LogState, blob: &BlobName, collected: u64, kept: bool, successor: Option<u64>) -> bool {
    let IntentName { base, writer, wseq } = blob.batch;
    let horizon = state.horizon();
    if kept {
        return false;
    }
    // Whatever became of it, every slot that could have applied it is collected.
    if base.saturating_add(horizon) <= collected {
        return true;
    }
    let stale = (state.position + 1).saturating_sub(base) > horizon;
    match state.writer(writer) {
        Some(record) if record.wseq == wseq => record.slot <= collected || !matches!(record.decision, Decision::Applied(_)),
        // Decided before the newest number was, and at the latest at the base of the next.
        Some(record) if record.wseq > wseq => record.slot <= collected || successor.is_some_and(|base| base <= collected),
        // Never decided, nor will be.
        Some(_) => stale,
        // Unless the state may have forgotten its writer.
        None => stale && state.position <= base.saturating_add(horizon.saturating_mul(2)),
    }
}

/// Whether a batch that is laid out, in an intent or a blob, can be given up so that what it left becomes garbage: it is not decided, and its number is its writer's next.
pub fn can_be_given_up(state: &LogState, batch: &IntentName) -> bool {
    let last = last_of(state, batch.writer).map_or(0, |(wseq, _)| wseq);
    let stale = (state.position + 1).saturating_sub(batch.base) > state.horizon();
    !stale && last.checked_add(1) == Some(batch.wseq)
}
