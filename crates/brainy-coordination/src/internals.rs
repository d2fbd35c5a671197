//! What this workspace's model and simulator call: the decisions that ship, and switches that break them.

pub use crate::apply::{COMPACTOR, LoadedBatch, Order, Staged, apply};
pub use crate::batch::{Batch, BlobReference, Contents, decode_transactions};
pub use crate::cas::Marks;
pub use crate::confirmation::{Confirmation, vouches};
pub use crate::decide::{Answer, Decided, Identity, Told, Watch, answer_of, decision_of, is_leftover, tell};
pub use crate::decoding::SharedDecoding;
pub use crate::garbage::{
    BlobName, Bounds, ManifestName, Newest, SegmentName, Sighting, can_be_given_up, deletable, is_blob_garbage, is_held, is_reachable,
    is_segment_garbage, is_unpublishable, next_bounds,
};
pub use crate::helping::{IntentName, Listed, Listing, Plan, Scan, is_dead, is_pending, keeps_scan_rule, last_of, plan, stands_next};
pub use crate::lease::decide::{Belief, Seen, Sight, Step, Turn, believed_for, next_token, renewed_after, step, turn, watched_for};
pub use crate::lease::{Lease, Term};
pub use crate::mutants::Mutant;
pub use crate::state::{Decision, LogDelta, LogState, Publication, WriterRecord};

/// What the object `ctl/head` says.
pub fn bounds_of(head: &[u8]) -> Option<Bounds> {
    crate::head::Head::decode(head).ok().map(|head| head.bounds())
}

/// What the object of a pin or a tag names; none if it ended.
pub fn held_by(hold: &[u8]) -> Option<ManifestName> {
    use brainy_core::codec::ObjectKind::{Pin, Tag};
    [Pin, Tag].into_iter().find_map(|kind| crate::hold::Hold::decode(kind, hold).ok()).and_then(|hold| hold.manifest)
}

/// The manifest that is called `key`.
pub fn manifest_called(key: &str) -> Option<ManifestName> {
    crate::keys::manifest_name(key)
}

/// The keys that a manifest keeps.
pub fn kept_by(name: &ManifestName, store: brainy_core::StoreId, manifest: &bytes::Bytes) -> Vec<String> {
    crate::manifest::Manifest::decode(name, store, manifest).map(|manifest| manifest.keep).unwrap_or_default()
}
