use brainy_coordination::StateMachine;
use brainy_core::{Incident, Metric};
use brainy_engine::{Engine, EngineOptions, Space};
use proptest::prelude::*;

use crate::apply::agree;
use crate::drive::*;
use crate::oracle::Model;

proptest! {
    #[test]
    fn a_restored_state_is_the_same_and_goes_on_the_same(
        before in proptest::collection::vec(any_transaction(true), 0..12),
        other in proptest::collection::vec(any_transaction(true), 0..5),
        after in proptest::collection::vec(any_transaction(true), 0..5),
    ) {
        let (first, second, mut model) = (engine(), engine(), Model::default());
        for (seq, transaction) in (1..).zip(&before) {
            commit(&first, seq, std::slice::from_ref(transaction));
            model.apply(context(seq, 0), transaction);
        }
        // Whatever stood there before goes.
        commit(&second, 1, &other);
        let bytes = first.snapshot();
        second.restore(&bytes).unwrap();
        agree(&second, &model);
        prop_assert_eq!(second.snapshot(), bytes);
        prop_assert_eq!(second.position(), first.position());
        prop_assert_eq!(commit(&first, 90, &after), commit(&second, 90, &after));
        prop_assert_eq!(first.snapshot(), second.snapshot());
    }

    #[test]
    fn a_damaged_snapshot_is_refused_and_changes_nothing(at in any::<prop::sample::Index>(), bit in 0..8_u8, cut in any::<bool>()) {
        let (first, second) = (engine(), engine());
        commit(&first, 1, &[vec![put(noun("a").with_vector(vector(&[1.0, 2.0]))), put(noun("b")), relate(verb("a", "b"))]]);
        commit(&first, 2, &[vec![delete("b", Incident::Detach)], vec![relate(verb("a", "a"))]]);
        commit(&second, 1, &[vec![put(noun("kept"))]]);
        let before = second.summary();
        let mut bytes = first.snapshot();
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << bit;
        }
        // A flip in what no item and no digest covers (the position, the counts of deleted items) is the log's to notice: it compares the summary.
        match second.restore(&bytes) {
            Ok(()) => prop_assert!(second.summary() != first.summary() || second.position() != first.position() || second.snapshot() == first.snapshot()),
            Err(_) => prop_assert_eq!(second.summary(), before),
        }
    }
}

#[test]
fn a_snapshot_of_another_space_is_refused_by_name() {
    let first = engine();
    let second = Engine::new(Space::new(3, Metric::Cosine), EngineOptions::default()).unwrap();
    let error = second.restore(&first.snapshot()).unwrap_err();
    assert!(error.reason.contains("dimension"), "{error}");
}
