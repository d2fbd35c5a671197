//! Making a store, and refusing what is none or is newer.

use std::sync::Arc;

use brainy_coordination::{ChangeLog, Error, LogOptions, NewStore, ProtocolOperation, Space, Transaction, create_store};
use brainy_core::{Metric, SeededEntropy};
use brainy_storage::{GetOptions, InMemoryStore, Store};
use brainy_testkit::{FaultStore, Faults, ManualClock};
use futures_util::future::join_all;

use crate::register::Register;
use crate::stores::{Cut, Last, Slow, environment, fresh, opened, within};

use crate::driving::{add, commit, commit_alone, driven, slot_key};

#[test]
fn processes_that_make_one_store_at_once_agree_on_it() {
    for seed in 0..50 {
        let (memory, clock) = (InMemoryStore::new(), ManualClock::new());
        let faults: Arc<dyn Store> = Arc::new(FaultStore::seeded(Arc::new(memory), seed, Faults::all(300)));
        let makers = (0..6_u64).map(|maker| {
            let entropy = SeededEntropy::new(seed * 100 + maker);
            let slow: Arc<dyn Store> = Arc::new(Slow { inner: Arc::clone(&faults), clock: clock.clone(), entropy });
            let environment = environment(slow, &clock, seed * 1_000 + maker);
            let dimension = if maker < 3 { 3 } else { 4 };
            let new = NewStore::new(vec![Space::nouns(dimension, Metric::Cosine)]);
            async move { create_store(&environment, &new, within(&environment, 3_600)).await }
        });
        let results = clock.run(join_all(makers));
        let made: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
        assert!(!made.is_empty(), "seed {seed}: {results:?}");
        assert!(made.iter().all(|one| one == &made[0]), "seed {seed}: {made:?}");
        for refused in results.iter().filter_map(|result| result.as_ref().err()) {
            assert!(matches!(refused, Error::Different { field: "spaces", .. } | Error::Exists { .. }), "seed {seed}: {refused}");
        }
    }
}

#[test]
fn a_half_made_store_is_completed_and_a_whole_one_never_made_again() {
    let (memory, clock) = (InMemoryStore::new(), ManualClock::new());
    let cut = Arc::new(Cut::new(Arc::new(memory.clone()), 2, Last::Lost));
    let dying = environment(Arc::<Cut>::clone(&cut), &clock, 21);
    clock.run(async {
        let new = NewStore::new(vec![]);
        let making = std::pin::pin!(create_store(&dying, &new, within(&dying, 600)));
        drop(futures_util::future::select(making, std::pin::pin!(cut.death())).await);
        let plain = environment(Arc::new(memory), &clock, 22);
        let machine = || Arc::new(Register::default());
        let refused = ChangeLog::open(plain.clone(), machine(), LogOptions::default(), within(&plain, 60)).await;
        assert!(matches!(refused, Err(Error::NoStore { .. })), "{refused:?}");
        create_store(&plain, &new, within(&plain, 60)).await.unwrap();
        assert!(matches!(create_store(&plain, &new, within(&plain, 60)).await, Err(Error::Exists { .. })));
    });
}

#[test]
fn rules_that_a_build_does_not_know_stop_it_from_the_next_slot_on() {
    let (memory, clock, plain) = fresh(29);
    clock.run(async {
        let log = opened(&plain).await;
        driven(&log, async {
            commit(&log, &Transaction::protocol(ProtocolOperation::Upgrade { rules: 2 })).await;
            let refused = log.submit(&add(1), within(&plain, 60)).unwrap().outcome().await;
            assert!(matches!(refused, Err(Error::Rules { rules: 2, seq: 2, .. })), "{refused:?}");
            assert!(matches!(log.refresh(within(&plain, 60)).await, Err(Error::Rules { .. })));
        })
        .await;
        let refused = ChangeLog::open(plain.clone(), Arc::new(Register::default()), LogOptions::default(), within(&plain, 60)).await;
        assert!(matches!(refused, Err(Error::Rules { .. })), "{refused:?}");
        let next = memory.get(&slot_key(2), GetOptions::whole()).await.unwrap().value;
        assert_eq!(next, brainy_storage::Get::Absent, "nothing was written under rules that are not known");
    });
}

#[test]
fn a_store_with_a_hole_in_its_log_is_refused_and_one_without_its_descriptor_is_not_made_again() {
    let (memory, clock, environment) = fresh(61);
    clock.run(async {
        let log = opened(&environment).await;
        commit_alone(&log, &[add(1), add(2), add(4)]).await;
        let deadline = within(&environment, 600);
        // A restore that left slot 2 out: the log must not be taken to end at slot 1.
        memory.delete(&slot_key(2)).await.unwrap();
        let refused = ChangeLog::open(environment.clone(), Arc::new(Register::default()), LogOptions::default(), deadline).await;
        assert!(matches!(&refused, Err(Error::RolledBack { reason }) if reason.contains("slot 2")), "INV-10: {refused:?}");
        // Nor must a store whose `brainy.json` is gone be made again over its slots.
        memory.delete(&brainy_storage::Key::new("brainy.json").unwrap()).await.unwrap();
        let refused = create_store(&environment, &NewStore::new(vec![]), deadline).await;
        assert!(matches!(&refused, Err(Error::Missing { key, .. }) if key == "brainy.json"), "{refused:?}");
        assert!(matches!(
            memory.get(&brainy_storage::Key::new("brainy.json").unwrap(), GetOptions::whole()).await.unwrap().value,
            brainy_storage::Get::Absent
        ));
    });
}
