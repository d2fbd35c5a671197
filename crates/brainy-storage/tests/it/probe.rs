//! A store is tried before it is trusted.

use std::num::NonZeroUsize;
use std::sync::Arc;

use brainy_core::{ErrorKind, OsEntropy, SystemClock};
use brainy_storage::{InMemoryStore, MAX_PROBE_REQUESTS, Metered, Prefix, ProbeError, ProbeReport, Store, probe};
use brainy_testkit::{Fault, FaultStore, Faults, Lie, LyingStore};
use futures_executor::block_on;

use crate::support::LeapClock;

fn try_out(store: &dyn Store) -> Result<ProbeReport, ProbeError> {
    block_on(probe(store, &SystemClock, &OsEntropy))
}

fn left(store: &dyn Store) -> usize {
    block_on(store.list(&Prefix::root(), None, NonZeroUsize::new(99).unwrap())).unwrap().value.entries.len()
}

#[test]
fn an_honest_store_passes_within_forty_requests_and_keeps_nothing() {
    let store = Metered::new(Arc::new(InMemoryStore::new()));
    let report = try_out(&store).unwrap();
    assert!(report.lists_after_write && report.cleaned, "{report:?}");
    assert_eq!(store.snapshot().requests(), MAX_PROBE_REQUESTS as u64, "{}", store.snapshot());
    assert_eq!(left(&store), 0);
}

#[cfg(unix)]
#[test]
fn a_directory_passes() {
    use brainy_storage::{LocalOptions, LocalStore};
    let scratch = crate::support::Scratch::new();
    let store = Metered::new(Arc::new(LocalStore::open(scratch.path(), LocalOptions::default()).unwrap()));
    let report = try_out(&store).unwrap();
    assert!(report.lists_after_write && report.cleaned && report.store_time.is_none(), "{report:?}");
    assert!(store.snapshot().requests() <= MAX_PROBE_REQUESTS as u64);
}

#[test]
fn a_store_that_lies_is_refused_with_the_check_and_what_was_seen() {
    for (lie, check, seen) in [
        (Lie::IgnoresConditions, "racing creates", "16 of 16 racing creates were accepted"),
        (Lie::ChecksThenWrites, "racing creates", "16 of 16 racing creates were accepted"),
        (Lie::IgnoresMatch, "racing updates of one state", "16 of 16 racing updates of one state were accepted"),
        (Lie::ChecksMatchThenWrites, "racing updates of one state", "16 of 16 racing updates of one state were accepted"),
        (Lie::MatchesAbsent, "an update of an absent object", "it was accepted"),
        (Lie::AlwaysChanged, "a read of what has not changed", "the store sent the object"),
    ] {
        let inner = Arc::new(InMemoryStore::new());
        let store = LyingStore::new(Arc::<InMemoryStore>::clone(&inner), lie);
        let error = try_out(&store).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{lie:?}");
        let text = error.to_string();
        assert!(text.contains(check) && text.contains(seen), "{lie:?}: {text}");
        assert_eq!(left(&*inner), 0, "{lie:?}");
    }
}

#[test]
fn lost_replies_are_not_taken_for_lies_nor_the_reverse() {
    let mut passed = 0;
    for seed in 0..200 {
        let inner = Arc::new(InMemoryStore::new());
        let store = FaultStore::seeded(Arc::<InMemoryStore>::clone(&inner), seed, Faults::all(250));
        match block_on(probe(&store, &LeapClock::default(), &OsEntropy)) {
            Ok(_) => passed += 1,
            Err(ProbeError::NoAnswer { .. }) => {}
            Err(error) => panic!("seed {seed}: {error}"),
        }
        let lying = FaultStore::seeded(Arc::new(LyingStore::new(inner, Lie::IgnoresConditions)), seed, Faults::all(250));
        let error = block_on(probe(&lying, &LeapClock::default(), &OsEntropy)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "seed {seed}: {error}");
    }
    assert!(passed > 150, "{passed} of 200 passed");
}

#[test]
fn a_store_that_does_not_answer_is_called_unavailable() {
    let store = FaultStore::scripted(Arc::new(InMemoryStore::new()), [Fault::Refused; 5_000]);
    let error = block_on(probe(&store, &LeapClock::default(), &OsEntropy)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(matches!(error, ProbeError::NoAnswer { .. }), "{error}");
}
