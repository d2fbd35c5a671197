use brainy_core::{Epoch, StoreId, WriterId};

use super::*;
use crate::descriptor::Constants;
use crate::machine::Verdict;
use crate::state::{LogDelta, Publication, WriterRecord};

const HORIZON: u64 = 10;

fn manifest(seq: u64, token: u64) -> ManifestName {
    ManifestName { seq, token, hash: ContentHash::of(&seq.to_le_bytes()) }
}

fn bounds(boundary: u64, manifest: Option<ManifestName>) -> Bounds {
    Bounds { boundary, manifest }
}

fn writer(byte: u8) -> WriterId {
    WriterId::from_bytes([byte; 16])
}

fn empty() -> LogState {
    let constants = Constants::new(Truncation::Delete).with_horizon_slots(HORIZON);
    LogState::new(StoreId::from_bytes([1; 16]), Epoch::FIRST, 0, ContentHash::of(b"descriptor"), 1, &constants)
}

/// The state after the next slot.
fn after(mut state: LogState, delta: LogDelta) -> LogState {
    state.install(delta, ContentHash::of(b"slot"), 0, Vec::new(), None);
    state
}

fn idle(state: LogState, slots: u64) -> LogState {
    (0..slots).fold(state, |state, _| after(state, LogDelta::default()))
}

/// The next slot decides this number.
fn decided(state: LogState, author: WriterId, wseq: u64, decision: Decision) -> LogState {
    let record = WriterRecord { wseq, hash: None, slot: state.position + 1, first_ordinal: 0, decision };
    after(state, LogDelta { writers: [(author, record)].into(), ..LogDelta::default() })
}

fn applied() -> Decision {
    Decision::Applied(vec![Verdict::Effective { changed: 1 }])
}

fn claimed(state: LogState, token: u64) -> LogState {
    after(state, LogDelta { claims: [(COMPACTOR.to_owned(), token)].into(), ..LogDelta::default() })
}

#[test]
fn inv_25_the_head_only_grows_and_the_boundary_never_passes_the_manifest() {
    let all: Vec<Bounds> = [None, Some(manifest(5, 1)), Some(manifest(9, 1)), Some(manifest(9, 2))]
        .into_iter()
        .flat_map(|m| [0, 4, 9, 20].map(|b| bounds(b, m)))
        .collect();
    for present in all.iter().filter(|bounds| bounds.boundary <= bounds.manifest_seq()) {
        for wanted in &all {
            let next = next_bounds(*present, *wanted);
            assert!(next.boundary >= present.boundary && next.manifest >= present.manifest, "INV-25: {present:?} {wanted:?} {next:?}");
            assert!(next.boundary <= next.manifest_seq(), "INV-25: {present:?} {wanted:?} {next:?}");
            assert!(next.boundary >= wanted.boundary.min(next.manifest_seq()) && next.manifest >= wanted.manifest);
            assert_eq!(next_bounds(next, *wanted), next, "asking twice changes nothing");
        }
    }
}

#[test]
fn inv_26_only_a_boundary_read_a_whole_grace_ago_counts_where_slots_are_deleted() {
    let at = |ms| Some(StoreTime::from_ms(ms));
    let seen = [Sighting { boundary: 3, at: at(1_000) }, Sighting { boundary: 7, at: at(5_000) }, Sighting { boundary: 9, at: None }];
    let delete = |now| deletable(Truncation::Delete, &seen, now, 1_000);
    assert_eq!([at(1_000), at(1_999), at(2_000), at(5_999), at(6_000), None].map(delete), [0, 0, 3, 3, 7, 0], "INV-26");
    assert_eq!(deletable(Truncation::Tombstone, &seen, None, 1_000), 9);
    assert_eq!(deletable(Truncation::Delete, &[], at(9_000), 0), 0);
}

#[test]
fn inv_27_what_is_named_or_not_below_the_boundary_is_needed() {
    let (old, middle, newest) = (manifest(4, 1), manifest(6, 1), manifest(8, 1));
    let named = BTreeSet::from([old]);
    let needed = |manifest, collected| is_reachable(manifest, collected, Some(&newest), &named);
    assert!(needed(&old, 9) && needed(&newest, 9) && needed(&middle, 6), "INV-27");
    assert!(!needed(&middle, 7));
    assert!(!needed(&manifest(4, 2), 9), "another builder's manifest of the same position is another manifest");
}

#[test]
fn inv_28_what_a_builder_left_is_garbage_only_once_its_token_is_superseded() {
    let segment = SegmentName { token: 2, build: Nonce::from_bytes([7; 16]), hash: ContentHash::of(b"segment") };
    let before = claimed(empty(), 2);
    assert!(!is_segment_garbage(Newest::of(&before), &segment, false), "INV-28: its builder may still publish it");
    assert!(!is_unpublishable(Newest::of(&before), &manifest(5, 2)), "INV-28");
    let later = claimed(before, 3);
    assert!(is_segment_garbage(Newest::of(&later), &segment, false) && !is_segment_garbage(Newest::of(&later), &segment, true));
    assert!(is_unpublishable(Newest::of(&later), &manifest(5, 2)) && !is_unpublishable(Newest::of(&later), &manifest(5, 3)));
    let publication = Publication { seq: 5, token: 3, manifest: String::new() };
    let published = after(later, LogDelta { published: Some(publication), ..LogDelta::default() });
    assert!(!is_unpublishable(Newest::of(&published), &manifest(5, 2)), "INV-28: it may have been published before");
}

#[test]
fn inv_29_a_blob_is_needed_while_a_slot_may_apply_it_or_one_that_is_not_collected_did() {
    let blob = |author, wseq, base| BlobName { batch: IntentName { base, writer: writer(author), wseq }, hash: ContentHash::of(b"list") };
    // Slot 3 applies number 1 of writer 1, slot 4 cancels number 1 of writer 2, slot 5 applies number 2 of writer 1.
    let state = decided(idle(empty(), 2), writer(1), 1, applied());
    let state = decided(state, writer(2), 1, Decision::Cancelled);
    let newest = decided(state.clone(), writer(1), 2, applied());
    let garbage = |state: &LogState, blob: &BlobName, collected| is_blob_garbage(state, blob, collected, false, None);
    assert_eq!([0, 2, 3].map(|collected| garbage(&state, &blob(1, 1, 2), collected)), [false, false, true], "INV-29");
    assert!(garbage(&state, &blob(2, 1, 2), 0), "nothing ever applies what was cancelled");
    assert!(!is_blob_garbage(&state, &blob(2, 1, 2), 0, true, None), "a manifest names it");
    assert!(!garbage(&state, &blob(1, 2, 3), 4) && !garbage(&state, &blob(3, 1, 3), 4), "undecided");
    // An older number of a writer: which slot applied it is known by the newest's, or by the base of the next.
    assert_eq!([4, 5].map(|collected| garbage(&newest, &blob(1, 1, 2), collected)), [false, true]);
    assert!(
        is_blob_garbage(&newest, &blob(1, 1, 2), 3, false, Some(3)) && !is_blob_garbage(&newest, &blob(1, 1, 2), 2, false, Some(3)),
        "INV-29"
    );
    // Never decided: stale beyond H, and not told from a forgotten one beyond 2H until all slots that could have applied it are collected.
    let aged = |position: u64| idle(empty(), position);
    assert_eq!([9 + 2, 10 + 2, 20 + 2, 21 + 2].map(|position| garbage(&aged(position), &blob(4, 1, 2), 0)), [false, true, true, false]);
    assert_eq!([11, 12].map(|collected| garbage(&aged(40), &blob(4, 1, 2), collected)), [false, true]);
}

#[test]
fn only_the_next_number_of_a_writer_is_given_up() {
    let state = decided(idle(empty(), 2), writer(1), 1, applied());
    let batch = |author, wseq, base| IntentName { base, writer: writer(author), wseq };
    assert!(can_be_given_up(&state, &batch(1, 2, 3)) && can_be_given_up(&state, &batch(5, 1, 0)));
    assert!(
        !can_be_given_up(&state, &batch(1, 1, 2)) && !can_be_given_up(&state, &batch(1, 3, 3)) && !can_be_given_up(&state, &batch(5, 2, 0))
    );
    assert!(!can_be_given_up(&idle(state, 20), &batch(5, 1, 2)), "what is stale is given up already");
}
