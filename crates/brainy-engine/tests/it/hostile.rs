use brainy_coordination::{Rejection, StateMachine, Verdict};
use brainy_core::encode_operations;
use brainy_engine::{Engine, Reason, decode_counters};
use proptest::prelude::*;

use crate::drive::*;

fn survives(payloads: &[Vec<u8>]) {
    let engine = engine();
    commit(&engine, 1, &[vec![put(noun("n0")), put(noun("n1")), relate(verb("n0", "n1"))]]);
    let mut view = fetch(&engine, payloads);
    for (at, payload) in payloads.iter().enumerate() {
        let before = Engine::summary_of(&view);
        if let Verdict::Rejected(rejection) = Engine::apply(&mut view, context(2, at), &Engine::decode(payload)) {
            assert!(rejection.code == Rejection::MALFORMED || Reason::from_code(rejection.code).is_some());
            assert_eq!(Engine::summary_of(&view), before);
        }
    }
    engine.install(view, version(2, 0));
    engine.confirm();
    let again = crate::drive::engine();
    again.restore(&engine.snapshot()).unwrap();
    assert_eq!(again.summary(), engine.summary());
}

proptest! {
    #[test]
    fn no_bytes_make_apply_panic(payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..64), 1..4)) {
        survives(&payloads);
    }

    #[test]
    fn no_damage_to_a_transaction_makes_apply_panic(
        transactions in proptest::collection::vec(any_transaction(true), 1..4),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..8_u8), 1..6),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut payloads: Vec<Vec<u8>> = transactions.iter().map(|transaction| encode_operations(transaction)).collect();
        for (which, at, bit) in flips {
            let payload = which.get_mut(&mut payloads);
            let at = at.index(payload.len());
            payload[at] ^= 1 << bit;
        }
        if let Some(cut) = cut {
            let length = cut.index(payloads[0].len());
            payloads[0].truncate(length);
        }
        survives(&payloads);
    }

    #[test]
    fn no_bytes_are_taken_for_a_snapshot_or_for_counters(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let engine = engine();
        commit(&engine, 1, &[vec![put(noun("a"))]]);
        let before = engine.summary();
        prop_assert!(engine.restore(&bytes).is_err());
        prop_assert_eq!(engine.summary(), before);
        let _decoded = decode_counters(&bytes);
    }
}

#[test]
fn bytes_that_are_no_transaction_are_rejected_as_such() {
    let engine = engine();
    let payloads = [b"nonsense".to_vec()];
    let mut view = fetch(&engine, &payloads);
    let verdict = Engine::apply(&mut view, context(1, 0), &Engine::decode(&payloads[0]));
    assert_eq!(verdict, Verdict::Rejected(Rejection { operation: 0, code: Rejection::MALFORMED }));
}
