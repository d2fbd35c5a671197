use brainy_core::{ContentHash, Epoch, SequenceNumber, StoreId};

use super::*;
use crate::apply::{LoadedBatch, apply};
use crate::batch::{Batch, Contents, Transaction};
use crate::decoding;
use crate::descriptor::{Constants, Truncation};
use crate::machine::NullMachine;

const STORE: StoreId = StoreId::from_bytes([1; 16]);
const K: u64 = 3;

fn writer(number: u8) -> WriterId {
    WriterId::from_bytes([number; 16])
}

fn state() -> LogState {
    let constants = Constants::new(Truncation::Tombstone).with_horizon_slots(20);
    LogState::new(STORE, Epoch::FIRST, 0, ContentHash::of(b"descriptor"), 1, &constants)
}

/// The next slot, with these batches and this scan base.
fn slot(state: &mut LogState, scan_base: u64, batches: &[(u8, u64, u64)]) {
    let list = bytes::Bytes::from(brainy_core::codec::encode_list(&[Transaction::payload("x").encode()]));
    let loaded: Vec<_> = batches
        .iter()
        .map(|(author, wseq, base)| {
            let batch = Batch::new(STORE, writer(*author), *wseq, *base, 1, Contents::Inline(list.clone()));
            LoadedBatch::new(batch, decoding::orders::<NullMachine>(&list, 1))
        })
        .collect();
    let seq = SequenceNumber::new(state.position + 1).unwrap();
    let staged = apply::<NullMachine>(state, (), seq, 0, &loaded).unwrap();
    state.install(staged.delta, ContentHash::of(&seq.get().to_le_bytes()), scan_base, staged.bits, None);
}

fn intent(base: u64, author: u8, wseq: u64) -> Listed {
    Listed { name: IntentName { base, writer: writer(author), wseq }, bytes: 10, unreadable: false }
}

fn scan(tail: u64, pending: &[Listed]) -> Scan {
    Scan { tail, pending: pending.to_vec(), cut_at: None }
}

fn authors(plan: &Plan) -> Vec<u8> {
    plan.carried.iter().map(|name| name.writer.as_bytes()[0]).collect()
}

#[test]
fn inv_20_a_slot_needs_a_listing_that_began_less_than_k_slots_before_it() {
    let mut log = state();
    for _ in 0..K {
        assert!(plan(&log, None, None, 100, K).is_some(), "at {}", log.position);
        slot(&mut log, 0, &[]);
    }
    assert_eq!(plan(&log, None, None, 100, K), None, "INV-20: nobody has looked since slot 0");
    assert_eq!(plan(&log, None, Some(&scan(0, &[])), 100, K), None, "a listing as old is no help");
    let own = plan(&log, None, Some(&scan(1, &[])), 100, K).unwrap();
    assert_eq!(own, Plan { carried: vec![], scan_base: 1, listed: None });
    slot(&mut log, 1, &[]);
    assert!(plan(&log, None, None, 100, K).is_none() && plan(&log, None, Some(&scan(4, &[])), 100, K).is_some());
}

#[test]
fn intents_are_carried_oldest_base_first_and_none_is_skipped() {
    let mut log = state();
    (0..4).for_each(|_| slot(&mut log, 0, &[]));
    let [old, older_writer, large, small] = [intent(1, 9, 1), intent(2, 3, 1), Listed { bytes: 70, ..intent(2, 5, 1) }, intent(3, 1, 1)];
    let pending = [old, older_writer, large, small];
    let all = plan(&log, Some(writer(7)), Some(&scan(4, &pending)), 100, K).unwrap();
    assert_eq!((authors(&all), all.scan_base, all.listed), (vec![9, 3, 5, 1], 4, None));
    let full = plan(&log, Some(writer(7)), Some(&scan(4, &pending)), 60, K).unwrap();
    // The small one would fit; it must not pass the large one.
    assert_eq!((authors(&full), full.scan_base, full.listed), (vec![9, 3], 2, Some(4)));
    let own = plan(&log, Some(writer(5)), Some(&scan(4, &pending)), 60, K).unwrap();
    assert_eq!((authors(&own), own.scan_base), (vec![9, 3, 1], 4), "the creator's own batch is in its slot anyway");
}

#[test]
fn a_listing_that_was_given_up_counts_only_where_the_slot_is_full() {
    let mut log = state();
    (0..4).for_each(|_| slot(&mut log, 0, &[]));
    let cut = Scan { cut_at: Some(intent(3, 8, 1).name), ..scan(4, &[intent(1, 1, 1), intent(2, 2, 1)]) };
    assert_eq!(plan(&log, None, Some(&cut), 100, K), None, "what lies behind the end of the listing may be older than K slots");
    let full = plan(&log, None, Some(&cut), 10, K).unwrap();
    assert_eq!((authors(&full), full.scan_base, full.listed), (vec![1], 2, Some(4)));
    let mut fresh = state();
    slot(&mut fresh, 0, &[]);
    let inherits = plan(&fresh, None, Some(&Scan { tail: 1, ..cut }), 100, K).unwrap();
    assert_eq!(inherits.scan_base, 1, "where an earlier listing is young enough, it may be used for what it shows");
}

#[test]
fn what_nobody_can_read_is_left_out_and_never_vouched_for() {
    let mut log = state();
    (0..4).for_each(|_| slot(&mut log, 0, &[]));
    let unreadable = Listed { unreadable: true, ..intent(2, 2, 1) };
    let plan = plan(&log, None, Some(&scan(4, &[intent(1, 1, 1), unreadable, intent(3, 3, 1)])), 100, K).unwrap();
    assert_eq!((authors(&plan), plan.scan_base, plan.listed), (vec![1, 3], 2, Some(4)));
}

#[test]
fn an_intent_is_pending_until_its_number_is_decided_or_its_base_is_too_old() {
    let mut log = state();
    slot(&mut log, 0, &[(1, 1, 0)]);
    slot(&mut log, 0, &[]);
    let (slot_number, name) = (log.position + 1, |base, author, wseq| intent(base, author, wseq).name);
    for (name, pending, dead, why) in [
        (name(1, 1, 2), true, false, "its writer's next number"),
        (name(2, 2, 1), true, false, "a first number"),
        (name(0, 1, 1), false, true, "decided"),
        (name(0, 1, 2), false, true, "from before its writer's newest decision"),
        (name(1, 1, 3), false, false, "not yet its turn"),
        (name(3, 2, 1), false, false, "its writer knows more than this replica"),
    ] {
        assert_eq!((is_pending(&log, &name, slot_number), is_dead(&log, &name)), (pending, dead), "{why}");
    }
    (0..18).for_each(|_| slot(&mut log, 0, &[]));
    assert_eq!(log.position, 20);
    let [edge, stale] = [name(1, 2, 1), name(0, 3, 1)];
    assert!(is_pending(&log, &edge, 21) && !is_dead(&log, &edge));
    assert!(!is_pending(&log, &stale, 21) && is_dead(&log, &stale));
}

#[test]
fn inv_20_a_breach_shows_in_the_header() {
    assert!(keeps_scan_rule(4, 1, None, K) && !keeps_scan_rule(4, 0, None, K));
    assert!(keeps_scan_rule(9, 0, Some(6), K) && !keeps_scan_rule(9, 0, Some(5), K));
    assert!(keeps_scan_rule(1, 0, None, K) && keeps_scan_rule(9, u64::MAX, None, K), "a claim beyond the tail is clamped");
}

#[test]
fn whoever_waits_takes_over_when_nobody_makes_slots_or_slots_come_without_its_batch() {
    let waiting = Stance { batch: true, posted: true, ..Stance::default() };
    let create = |listing| Step::Create { listing };
    for (stance, step) in [
        (Stance::default(), Step::Rest),
        (Stance { batch: true, ..Stance::default() }, create(false)),
        (Stance { batch: true, tries: DIRECT_TRIES, ..Stance::default() }, create(false)),
        (Stance { batch: true, tries: DIRECT_TRIES + 1, ..Stance::default() }, Step::Post),
        (Stance { batch: true, crowded: true, ..Stance::default() }, Step::Post),
        (waiting, Step::Watch),
        (Stance { quiet: true, ..waiting }, create(true)),
        (Stance { overdue: true, ..waiting }, create(true)),
        (Stance { crowded: true, ..waiting }, Step::Watch),
        (Stance { sequencing: true, ..Stance::default() }, create(true)),
        (Stance { sequencing: true, ..waiting }, create(true)),
    ] {
        assert_eq!(next_step(stance), step, "{stance:?}");
    }
}
