use std::collections::BTreeMap;

use async_trait::async_trait;
use brainy_core::codec::{self, FieldWriter};
use brainy_core::{ContentHash, Epoch, StoreId};
use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::batch::{Contents, Fence};
use crate::decoding;
use crate::descriptor::{Constants, RULES, Truncation};
use crate::machine::{MachineError, Retired};
use crate::protocol::MAX_LEASE_NAMES;
use crate::token::OpId;

/// Accepts `+`, rejects anything else; keeps nothing.
#[derive(Debug)]
struct PlusOnly;

#[async_trait]
impl StateMachine for PlusOnly {
    type Command = bool;
    type View = ();

    fn decode(payload: &[u8]) -> bool {
        payload == b"+"
    }

    async fn fetch(&self, _commands: &[&bool]) -> Result<(), MachineError> {
        Ok(())
    }

    fn apply(_view: &mut (), _context: Context, plus: &bool) -> Verdict {
        if *plus { Verdict::Effective { changed: 1 } } else { Verdict::Rejected(Rejection { operation: 3, code: 9 }) }
    }

    fn summary_of(_view: &()) -> Summary {
        Summary::default()
    }

    fn install(&self, _view: (), _position: Version) -> Retired {
        Retired::default()
    }

    fn summary(&self) -> Summary {
        Summary::default()
    }

    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }

    fn restore(&self, _snapshot: &[u8]) -> Result<(), MachineError> {
        Ok(())
    }
}

type Loaded = LoadedBatch<bool>;

const STORE: StoreId = StoreId::from_bytes([1; 16]);

fn writer(number: u8) -> WriterId {
    WriterId::from_bytes([number; 16])
}

fn state(horizon: u64) -> LogState {
    let constants = Constants::new(Truncation::Tombstone).with_horizon_slots(horizon);
    LogState::new(STORE, Epoch::FIRST, 0, ContentHash::of(b"brainy.json"), RULES, &constants)
}

fn plus() -> Transaction {
    Transaction::payload(&b"+"[..])
}

fn minus() -> Transaction {
    Transaction::payload(&b"-"[..])
}

fn both(operation: ProtocolOperation, payload: &Transaction) -> Transaction {
    Transaction { protocol: vec![operation], ..payload.clone() }
}

fn loaded(store: StoreId, author: u8, wseq: u64, base: u64, list: &[Vec<u8>]) -> Loaded {
    let (list, count) = (Bytes::from(codec::encode_list(list)), list.len() as u32);
    let orders = decoding::orders::<PlusOnly>(&list, count);
    Loaded::new(Batch::new(store, writer(author), wseq, base, count, Contents::Inline(list)), orders)
}

/// Batch `wseq` of writer `author`, formed at tail `base`.
fn batch(author: u8, wseq: u64, base: u64, transactions: &[Transaction]) -> Loaded {
    let list: Vec<_> = transactions.iter().map(Transaction::encode).collect();
    loaded(STORE, author, wseq, base, &list)
}

fn protocol(author: u8, wseq: u64, base: u64, operation: ProtocolOperation) -> Loaded {
    batch(author, wseq, base, &[Transaction::protocol(operation)])
}

fn op(author: u8, wseq: u64, base: u64) -> OpId {
    OpId { writer: writer(author), wseq, index: 0, base, hash: ContentHash::of(b"any") }
}

fn cancel(author: u8, wseq: u64, base: u64) -> ProtocolOperation {
    ProtocolOperation::Cancel { op: op(author, wseq, base) }
}

fn claim(name: &str, token: u64) -> ProtocolOperation {
    ProtocolOperation::LeaseClaim { name: name.into(), token }
}

fn published(seq: u64, token: u64) -> ProtocolOperation {
    ProtocolOperation::SnapshotPublished { seq, token, manifest: format!("manifest/{seq}") }
}

/// Applies one slot and installs it; the verdict bit of each of its transactions.
fn slot(state: &mut LogState, batches: &[Loaded]) -> Vec<bool> {
    let next = SequenceNumber::new(state.position + 1).unwrap();
    let staged = apply::<PlusOnly>(state, (), next, 0, batches).unwrap();
    let counts = batches.iter().map(|loaded| match loaded {
        Loaded::Known { batch, .. } => batch.count as usize,
        Loaded::Undecodable => 0,
    });
    let bits = (0..counts.sum()).map(|at| crate::slot::bit(&staged.bits, at).unwrap()).collect();
    let bookkeeping = staged.bookkeeping;
    state.install(staged.delta, ContentHash::of(b"slot"), next.get() - 1, staged.bits, Some(next.get()));
    assert_eq!(state.digest(), bookkeeping, "what a header states is what the state becomes");
    assert_eq!(state.digest(), state.recomputed_digest());
    bits
}

fn empty(state: &mut LogState, slots: u64) {
    (0..slots).for_each(|_| assert!(slot(state, &[]).is_empty()));
}

/// Slots after each other, each with its batches and the bits they must get, at this horizon.
fn check(name: &str, horizon: u64, slots: &[(&[Loaded], &[bool])]) {
    let mut state = state(horizon);
    for (number, (batches, bits)) in (1..).zip(slots) {
        assert_eq!(slot(&mut state, batches), *bits, "{name}: slot {number}");
    }
}

/// A slot's batches, and the bits they must get.
type Slot<'a> = (&'a [Loaded], &'a [bool]);

const YES: &[bool] = &[true];
const NO: &[bool] = &[false];
const NONE: Slot<'_> = (&[], &[]);

#[test]
fn inv_4_a_number_counts_once_in_turn_whatever_its_verdicts() {
    let first = batch(1, 1, 0, &[plus()]);
    check("the same bytes again", 9, &[(std::slice::from_ref(&first), YES), (std::slice::from_ref(&first), NO)]);
    check("twice in one slot", 9, &[(&[first.clone(), first.clone()], &[true, false])]);
    check("another batch under the same number", 9, &[(&[first.clone(), batch(1, 1, 0, &[plus(), plus()])], &[true, false, false])]);
    check("a gap", 9, &[(&[batch(1, 2, 0, &[plus()])], NO), (std::slice::from_ref(&first), YES), (&[batch(1, 2, 2, &[plus()])], YES)]);
    check(
        "a base from before its writer's newest decision",
        9,
        &[NONE, (&[batch(1, 1, 0, &[plus()])], YES), (&[batch(1, 2, 1, &[plus()])], NO)],
    );
    check("two numbers in one slot", 9, &[(&[first.clone(), batch(1, 2, 0, &[plus()])], &[true, false])]);
    check("two numbers, the wrong way round", 9, &[(&[batch(1, 2, 0, &[plus()]), first.clone()], &[false, true])]);
    check("number 0", 9, &[(&[batch(1, 0, 0, &[plus()])], NO)]);
    // A rejected batch has had its turn: an old copy must not apply once its precondition holds again.
    let rejected = batch(1, 1, 0, &[minus()]);
    check(
        "a rejected number is consumed",
        9,
        &[(&[rejected], NO), (std::slice::from_ref(&first), NO), (&[batch(1, 2, 1, &[plus()])], YES)],
    );
    check("one caller's failure is nobody else's", 9, &[(&[batch(1, 1, 0, &[plus(), minus(), plus()])], &[true, false, true])]);
    check("no transaction at all", 9, &[(&[batch(1, 1, 0, &[])], &[]), (&[batch(1, 2, 1, &[plus()])], YES)]);
}

#[test]
fn the_last_number_there_is_cannot_be_applied_again() {
    check(
        "the last number",
        9,
        &[
            (&[protocol(2, 1, 0, cancel(1, u64::MAX, 0))], YES),
            (&[batch(1, u64::MAX, 0, &[plus()])], NO),
            (&[batch(1, 1, 0, &[plus()])], NO),
        ],
    );
}

#[test]
fn inv_6_a_batch_is_stale_for_ever_once_its_slot_lies_more_than_h_after_its_base() {
    let mut late = vec![NONE; 3];
    let old = [batch(1, 1, 0, &[plus()])];
    late.push((&old, YES));
    check("at H", 4, &late);
    late.insert(0, NONE);
    late[4].1 = NO;
    late.push((&old, NO));
    check("beyond H, and again", 4, &late);
    check("from the future", 4, &[(&[batch(1, 1, 1, &[plus()])], NO), (&[batch(1, 1, 2, &[plus()])], NO)]);
    // A stale batch is no verdict and takes no number.
    let fresh = [batch(1, 1, 4, &[plus()])];
    late.push((&fresh, YES));
    check("a stale copy takes no number", 4, &late);
}

#[test]
fn inv_6_a_writer_is_forgotten_after_2h_slots_and_none_of_its_copies_returns() {
    for horizon in 1..6 {
        let mut state = state(horizon);
        assert_eq!(slot(&mut state, &[batch(1, 1, 0, &[plus()])]), YES);
        // Its owner may go on while base − last_slot ≤ H; a copy made then stays in play for another H slots.
        let (mut kept, mut copies) = (0, vec![batch(1, 1, 0, &[plus()])]);
        while state.writer(writer(1)).is_some() {
            assert_eq!(slot(&mut state, &copies), vec![false; copies.len()], "a number that is consumed stays so");
            copies.push(batch(1, 1, 0, &[plus(), plus()]));
            copies.truncate(1);
            kept += 1;
        }
        assert_eq!(kept, 2 * horizon + 1, "slots after its last one");
        empty(&mut state, 1);
        assert_eq!(slot(&mut state, &[batch(1, 1, 0, &[plus()])]), NO, "all copies of a forgotten writer are stale");
        assert_eq!(state.writer_count(), 0);
    }
}

#[test]
fn the_state_is_bounded_by_the_writers_of_the_last_2h_slots() {
    let mut state = state(5);
    for number in 0..3_000_u64 {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_le_bytes());
        let list = Bytes::from(codec::encode_list(&[plus().encode()]));
        let orders = decoding::orders::<PlusOnly>(&list, 1);
        let batch = Batch::new(STORE, WriterId::from_bytes(id), 1, number, 1, Contents::Inline(list));
        assert_eq!(slot(&mut state, &[Loaded::new(batch, orders)]), YES);
        assert!(state.writer_count() <= 11, "{} writers after slot {number}", state.writer_count());
        assert!(codec::encode(&state).len() < 4_096, "{} bytes after slot {number}", codec::encode(&state).len());
    }
}

#[test]
fn verdict_bits_that_nobody_states_are_kept_for_d_slots_only() {
    let mut state = state(5);
    for number in 1..=1_000_u64 {
        let delta = LogDelta::default();
        state.install(delta, ContentHash::of(b"slot"), 0, vec![1], None);
        assert!(state.unstated().len() as u64 <= Constants::SUMMARY_LAG_SLOTS);
        assert_eq!(state.stated() + state.unstated().len() as u64, number, "the bits kept are those of the newest slots");
    }
    state.install(LogDelta::default(), ContentHash::of(b"slot"), 0, vec![1], Some(1_001));
    assert!(state.unstated().is_empty() && state.stated() == 1_001);
}

#[test]
fn inv_3_a_batch_of_another_store_has_no_effect() {
    let stranger = loaded(StoreId::from_bytes([2; 16]), 1, 1, 0, &[plus().encode()]);
    check("another store's", 9, &[(&[stranger, batch(1, 1, 0, &[plus()])], &[false, true])]);
}

#[test]
fn a_cancellation_takes_the_number_if_it_is_next_and_changes_nothing_if_it_was_decided() {
    let first = batch(1, 1, 0, &[plus()]);
    let cancelled = [protocol(2, 1, 0, cancel(1, 1, 0))];
    check("before", 9, &[(&cancelled, YES), (std::slice::from_ref(&first), NO), (&[batch(1, 2, 1, &[plus()])], YES)]);
    check("in the same slot, before", 9, &[(&[cancelled[0].clone(), first.clone()], &[true, false])]);
    check("in the same slot, after", 9, &[(&[first.clone(), cancelled[0].clone()], &[true, true])]);
    check("after", 9, &[(std::slice::from_ref(&first), YES), (&cancelled, YES), (&[batch(1, 2, 1, &[plus()])], YES)]);
    check(
        "the next of a known writer",
        9,
        &[(std::slice::from_ref(&first), YES), (&[protocol(2, 1, 1, cancel(1, 2, 1))], YES), (&[batch(1, 2, 1, &[plus()])], NO)],
    );
    check(
        "out of turn",
        9,
        &[(std::slice::from_ref(&first), YES), (&[protocol(2, 1, 1, cancel(1, 3, 1))], NO), (&[batch(1, 2, 1, &[plus()])], YES)],
    );
    // INV-4: the owner of number 1 would find number 2 decided, and take its own for nothing.
    let forged = protocol(2, 1, 0, cancel(1, 2, 0));
    check("the next, in the slot of the one before", 9, &[(&[first.clone(), forged], &[true, false]), (&[batch(1, 2, 1, &[plus()])], YES)]);
    check("one's own", 9, &[(&[protocol(1, 1, 0, cancel(1, 2, 0))], NO), (&[batch(1, 2, 1, &[plus()])], YES)]);
    check("number 0", 9, &[(&[protocol(2, 1, 0, cancel(1, 0, 0))], NO)]);
    // Too late to matter: whatever the writer does next must not be touched.
    check("of a stale batch", 1, &[NONE, (&[protocol(2, 1, 1, cancel(1, 1, 0))], YES), (&[batch(1, 1, 2, &[plus()])], YES)]);
    let mut state = state(9);
    slot(&mut state, &cancelled);
    let record = state.writer(writer(1)).unwrap();
    assert_eq!((record.wseq, record.hash, &record.decision), (1, None, &Decision::Cancelled));
}

#[test]
fn a_refusal_takes_the_number_of_what_nobody_can_read() {
    let refuse = |wseq| ProtocolOperation::Refuse { writer: writer(1), wseq, reason: "no batch".into() };
    check("refused", 9, &[(&[protocol(2, 1, 0, refuse(1))], YES), (&[batch(1, 1, 0, &[plus()])], NO), (&[batch(1, 2, 1, &[plus()])], YES)]);
    check("one's own", 9, &[(&[protocol(1, 1, 0, refuse(2))], NO)]);
    let mut state = state(9);
    slot(&mut state, &[protocol(2, 1, 0, refuse(1))]);
    assert_eq!(state.writer(writer(1)).unwrap().decision, Decision::Refused);
}

#[test]
fn a_claim_counts_above_every_earlier_one_and_fences_what_is_written_under_those() {
    let fenced = |wseq, base, token| batch(1, wseq, base, &[plus().with_fence(Fence { name: "job".into(), token })]);
    check(
        "claims",
        9,
        &[
            (&[protocol(2, 1, 0, claim("job", 5))], YES),
            (&[protocol(3, 1, 0, claim("job", 5))], NO),
            (&[protocol(3, 2, 2, claim("job", 4)), protocol(4, 1, 2, claim("other", 4))], &[false, true]),
            (&[fenced(1, 3, 4)], NO),
            (&[fenced(2, 4, 5)], YES),
            (&[protocol(2, 2, 5, claim("job", 6)), fenced(3, 5, 5)], &[true, false]),
        ],
    );
    check(
        "a claim and what is done under it",
        9,
        &[(&[batch(1, 1, 0, &[both(claim("job", 1), &plus()).with_fence(Fence { name: "job".into(), token: 1 })])], YES)],
    );
}

#[test]
fn inv_33_a_store_has_room_for_so_many_names_of_leases_and_never_for_more() {
    let mut state = state(9);
    let names: Vec<_> = (0..MAX_LEASE_NAMES).map(|number| format!("job-{number}")).collect();
    let claims = |names: &[String], token| names.iter().map(|name| Transaction::protocol(claim(name, token))).collect::<Vec<_>>();
    let most = slot(&mut state, &[batch(1, 1, 0, &claims(&names[1..], 1))]);
    assert!(most.iter().all(|effective| *effective) && most.len() == MAX_LEASE_NAMES - 1);
    let last = [names[0].clone(), "one-too-many".into(), names[1].clone(), COMPACTOR.into()];
    assert_eq!(slot(&mut state, &[batch(1, 2, 1, &claims(&last, 2))]), [true, false, true, true], "INV-33");
    assert_eq!((state.claims().len(), state.claim("one-too-many")), (MAX_LEASE_NAMES + 1, 0));
    let Decision::Applied(verdicts) = &state.writer(writer(1)).unwrap().decision else { panic!() };
    assert!(matches!(verdicts[1], Verdict::Rejected(rejection) if rejection.code == Rejection::TOO_MANY_LEASES));
    // Where slots are small, the names of locks do not fill them.
    let mut constants = Constants::new(Truncation::Tombstone);
    (constants.slot_bytes, constants.inline_bytes) = (4_096, 1_024);
    let mut state = LogState::new(STORE, Epoch::FIRST, 0, ContentHash::of(b"brainy.json"), RULES, &constants);
    let effective = slot(&mut state, &[batch(1, 1, 0, &claims(&names[..9], 1))]);
    assert_eq!(effective.iter().filter(|effective| **effective).count(), 6, "INV-33: 512 bytes of a header");
}

#[test]
fn protocol_operations_count_only_with_their_payload_and_all_together() {
    let mut state = state(9);
    let failing = [
        both(claim("job", 7), &minus()),
        both(ProtocolOperation::Upgrade { rules: 2 }, &minus()),
        both(cancel(2, 1, 0), &minus()),
        Transaction { protocol: vec![claim("job", 7), claim("job", 7)], ..plus() },
        Transaction { protocol: vec![claim("job", 7), published(1, 0)], ..plus() },
    ];
    assert_eq!(slot(&mut state, &[batch(1, 1, 0, &failing)]), [false; 5]);
    assert_eq!((state.claim("job"), state.rules, state.writer_count()), (0, RULES, 1));
    let Decision::Applied(verdicts) = &state.writer(writer(1)).unwrap().decision else { panic!() };
    let code = |at: usize| if let Verdict::Rejected(rejection) = verdicts[at] { (rejection.operation, rejection.code) } else { panic!() };
    assert_eq!(code(0), (3, 9), "the payload's own reason");
    assert_eq!(code(3), (1, Rejection::CLAIM_STALE));
    assert_eq!(code(4), (1, Rejection::NOT_APPLICABLE));
    assert_eq!(slot(&mut state, &[batch(2, 1, 1, &[both(claim("job", 7), &plus())])]), YES, "its number was not taken");
    assert_eq!(state.claim("job"), 7);
}

#[test]
fn rules_rise_only_and_hold_from_the_next_slot_on() {
    let mut state = state(9);
    let upgrade = |rules| ProtocolOperation::Upgrade { rules };
    assert_eq!(slot(&mut state, &[protocol(1, 1, 0, upgrade(RULES)), protocol(2, 1, 0, upgrade(0))]), [false, false]);
    assert_eq!(
        slot(&mut state, &[protocol(1, 2, 1, upgrade(3)), protocol(2, 2, 1, upgrade(2)), batch(3, 1, 0, &[plus()])]),
        [true, false, true]
    );
    assert_eq!(state.rules, 3);
}

#[test]
fn a_digest_is_overridden_only_for_a_slot_that_was_there() {
    let state = state(9);
    let override_of = |seq| protocol(1, 1, 0, ProtocolOperation::DigestOverride { seq, reason: "seen to".into() });
    for seq in [0, 1, 2] {
        let staged = apply::<PlusOnly>(&state, (), SequenceNumber::FIRST, 0, &[override_of(seq)]).unwrap();
        assert!(staged.overrides.is_empty(), "{seq} from slot 1");
    }
    let mut state = state;
    empty(&mut state, 1);
    let staged = apply::<PlusOnly>(&state, (), SequenceNumber::new(2).unwrap(), 0, &[override_of(1)]).unwrap();
    assert_eq!(staged.overrides, [1]);
}

#[test]
fn a_publication_counts_under_the_newest_claim_and_above_the_newest_one() {
    let mut state = state(20);
    empty(&mut state, 9);
    assert_eq!(slot(&mut state, &[protocol(1, 1, 9, claim(COMPACTOR, 2)), protocol(2, 1, 9, published(5, 1))]), [true, false]);
    assert_eq!(slot(&mut state, &[protocol(1, 2, 10, published(11, 2)), protocol(2, 2, 10, published(5, 2))]), [false, true]);
    assert_eq!(
        slot(&mut state, &[protocol(1, 3, 11, published(5, 2)), protocol(2, 3, 11, published(6, 2)), protocol(3, 1, 9, published(6, 2))]),
        [false, true, false]
    );
    assert_eq!(state.published_seq(), 6);
}

#[test]
fn a_fork_is_held_until_it_is_given_up() {
    let mut state = state(9);
    let child = StoreId::from_bytes([8; 16]);
    let forked = || ProtocolOperation::Forked { child, manifest: "m".into() };
    assert_eq!(slot(&mut state, &[protocol(1, 1, 0, forked())]), YES);
    assert!(state.has_fork(&child));
    assert_eq!(slot(&mut state, &[protocol(1, 2, 1, ProtocolOperation::Unforked { child }), protocol(2, 1, 0, forked())]), [true, true]);
    assert!(state.has_fork(&child));
    assert_eq!(slot(&mut state, &[protocol(1, 3, 2, ProtocolOperation::Unforked { child })]), YES);
    assert!(!state.has_fork(&child));
}

#[test]
fn bytes_that_are_no_transaction_are_rejected_alone_and_unknown_ones_stop_the_replica_by_name() {
    let garbage = loaded(STORE, 1, 1, 0, &[b"garbage".to_vec(), plus().encode()]);
    check("garbage", 9, &[(&[garbage], &[false, true]), (&[batch(1, 2, 1, &[plus()])], YES)]);
    // A list that does not hold what the batch says: every transaction of it is rejected, the number is consumed.
    let list = Bytes::from(codec::encode_list(&[plus().encode()]));
    let orders = decoding::orders::<PlusOnly>(&list, 2);
    let batch_of_two = Batch::new(STORE, writer(1), 1, 0, 2, Contents::Inline(list));
    let broken = [Loaded::new(batch_of_two, orders)];
    check("a broken list", 9, &[(&broken, &[false, false]), (&[batch(1, 2, 1, &[plus()])], YES)]);
    check("no batch at all", 9, &[(&[Loaded::Undecodable, batch(1, 1, 0, &[plus()])], YES)]);

    let newer = FieldWriter::new().required(1, b"+").required(77, b"").finish();
    let newer_operation = codec::encode_list(&[FieldWriter::new().required(1, &codec::encode(&99_u16)).finish()]);
    let newer_operation = FieldWriter::new().required(2, &newer_operation).finish();
    for (unknown, name) in [(newer, "required field 77"), (newer_operation, "kind 99")] {
        let refused = apply::<PlusOnly>(&state(9), (), SequenceNumber::FIRST, 0, &[loaded(STORE, 1, 1, 0, &[unknown])]);
        let Err(error @ CodecError::Unsupported { .. }) = refused else { panic!("{refused:?}") };
        assert!(error.to_string().contains(name), "{error}");
    }
    let optional = FieldWriter::new().required(1, b"+").optional(77, b"for later").finish();
    check("an optional field of a later build", 9, &[(&[loaded(STORE, 1, 1, 0, &[optional])], YES)]);
}

#[test]
fn ordinals_count_every_transaction_of_the_slot_effective_or_not() {
    let mut state = state(9);
    slot(
        &mut state,
        &[batch(1, 2, 0, &[plus(), plus()]), Loaded::Undecodable, batch(2, 1, 0, &[minus(), plus()]), batch(3, 1, 0, &[plus()])],
    );
    assert_eq!(state.writer(writer(2)).unwrap().first_ordinal, 2);
    assert_eq!(state.writer(writer(3)).unwrap().first_ordinal, 4);
}

fn any_batch() -> impl Strategy<Value = (u8, u64, u64, u8)> {
    (1..5_u8, 0..6_u64, 0..5_u64, 0..10_u8)
}

proptest! {
    #[test]
    fn any_log_gives_equal_states_a_recomputable_digest_and_no_number_twice(
        horizon in 1..5_u64,
        slots in prop::collection::vec(prop::collection::vec(any_batch(), 0..4), 0..40),
    ) {
        let (mut one, mut two) = (state(horizon), state(horizon));
        let mut applied: BTreeMap<(WriterId, u64), u64> = BTreeMap::new();
        for batches in &slots {
            let position = one.position;
            let batches: Vec<_> = batches.iter().map(|&(author, wseq, age, what)| {
                let base = position.saturating_sub(age);
                match what {
                    0 => protocol(author, wseq, base, cancel(author % 4 + 1, wseq, base)),
                    1 => protocol(author, wseq, base, ProtocolOperation::Refuse { writer: writer(author % 4 + 1), wseq, reason: String::new() }),
                    2 => protocol(author, wseq, base, claim("job", wseq)),
                    3 => protocol(author, wseq, base, published(wseq, age)),
                    4 => batch(author, wseq, base, &[minus()]),
                    _ => batch(author, wseq, base, &[plus()]),
                }
            }).collect();
            let before: BTreeMap<_, _> = (1..5).filter_map(|author| Some((writer(author), one.writer(writer(author))?.wseq))).collect();
            let bits = slot(&mut one, &batches);
            prop_assert_eq!(&bits, &slot(&mut two, &batches));
            prop_assert_eq!(&one, &two);
            for (loaded, effective) in batches.iter().zip(bits) {
                let Loaded::Known { batch, .. } = loaded else { continue };
                if effective {
                    prop_assert!(one.position - batch.base <= horizon, "INV-6: a stale batch took effect");
                    // A number may return only after its writer was forgotten, and then every copy of the old one is stale.
                    if let Some(before) = applied.insert((batch.writer, batch.wseq), one.position) {
                        prop_assert!(one.position - before > 2 * horizon, "INV-4: number {} took effect twice", batch.wseq);
                    }
                }
            }
            for (author, wseq) in before {
                if let Some(record) = one.writer(author) {
                    prop_assert!(record.wseq >= wseq || one.position - record.slot > 2 * horizon, "a number went back");
                }
            }
            prop_assert!(one.writer_count() <= 4);
        }
        let bytes = codec::encode(&one);
        prop_assert_eq!(codec::decode::<LogState>("state", &bytes).unwrap(), one);
    }
}
