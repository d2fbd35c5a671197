//! Every store of this crate keeps the contract, and the suite notices one that does not.

use std::sync::Arc;

use brainy_core::{OsEntropy, SystemClock};
use brainy_storage::conformance::{CHECKS, Options, Report, run};
use brainy_storage::{InMemoryStore, Metered, Store};
use brainy_testkit::{Fault, FaultStore, Lie, LyingStore};
use futures_executor::block_on;

fn report(stores: &[Arc<dyn Store>], options: Options) -> Report {
    block_on(run(stores, Arc::new(SystemClock), Arc::new(OsEntropy), options))
}

fn quick() -> Options {
    let mut options = Options::default();
    options.racers = 16;
    options.rounds = 4;
    options.tasks = 8;
    options.increments = 5;
    options.many = 60;
    options
}

// INV-11: exactly one winner of racing conditional writes, among the checks of the suite.
#[test]
fn memory_conforms() {
    let store = InMemoryStore::new();
    let report = report(&[Arc::new(store.clone()), Arc::new(store)], Options::default());
    assert!(report.is_ok(), "{report}");
    assert_eq!(report.held.len(), CHECKS.len());
}

#[cfg(unix)]
#[test]
fn a_directory_conforms() {
    use brainy_storage::{LocalOptions, LocalStore};
    let scratch = crate::support::Scratch::new();
    let open = || Arc::new(LocalStore::open(scratch.path(), LocalOptions::default()).unwrap()) as Arc<dyn Store>;
    let report = report(&[open(), open(), open()], Options::default());
    assert!(report.is_ok(), "{report}");
    assert_eq!(report.held.len(), CHECKS.len());
}

#[test]
fn counting_changes_nothing() {
    let report = report(&[Arc::new(Metered::<dyn Store>::new(Arc::new(InMemoryStore::new())))], quick());
    assert!(report.is_ok(), "{report}");
}

#[test]
fn each_lie_breaks_the_guarantee_that_it_is_about() {
    for (lie, guarantees) in [
        (
            Lie::IgnoresConditions,
            &[
                "exactly_one_of_racing_creates_wins",
                "exactly_one_of_racing_updates_wins",
                "a_create_over_an_object_is_refused_and_changes_nothing",
                "an_update_of_a_stale_revision_is_refused_and_changes_nothing",
                "an_update_of_an_absent_object_is_refused_and_makes_nothing",
            ][..],
        ),
        (Lie::IgnoresMatch, &["exactly_one_of_racing_updates_wins", "an_update_of_a_stale_revision_is_refused_and_changes_nothing"]),
        (Lie::ChecksThenWrites, &["exactly_one_of_racing_creates_wins", "exactly_one_of_racing_updates_wins"]),
        (Lie::ChecksMatchThenWrites, &["exactly_one_of_racing_updates_wins", "a_counter_raised_by_compare_and_swap_is_exact"]),
        (Lie::MatchesAbsent, &["an_update_of_an_absent_object_is_refused_and_makes_nothing"]),
        (Lie::AlwaysChanged, &["a_get_of_what_has_not_changed_has_no_body"]),
    ] {
        let report = report(&[Arc::new(LyingStore::new(Arc::new(InMemoryStore::new()), lie))], quick());
        let broken = report.broken.iter().map(|broken| broken.guarantee).collect::<Vec<_>>();
        for guarantee in guarantees {
            assert!(broken.contains(guarantee), "{lie:?} was not noticed by {guarantee}: {report}");
        }
        assert!(report.held.contains(&"a_get_sees_every_write_that_ended"), "{lie:?}: {report}");
    }
}

#[test]
fn a_run_leaves_nothing_behind_and_an_error_is_reported_by_name() {
    let inner = Arc::new(InMemoryStore::new());
    let store = FaultStore::scripted(Arc::<InMemoryStore>::clone(&inner), [Fault::Refused]);
    let report = report(&[Arc::new(store)], quick());
    assert_eq!(report.broken.len(), 1, "{report}");
    assert_eq!(report.broken[0].guarantee, CHECKS[0].guarantee);
    let left = block_on(inner.list(&brainy_storage::Prefix::root(), None, std::num::NonZeroUsize::MIN)).unwrap().value;
    assert_eq!(left.entries, []);
}
