//! Locks of a store: K7 of the locks that these replace asks that everything a process writes can be guarded.

use std::time::Duration;

use brainy::{Brainy, Error, ErrorKind, LockOptions, Loss, Metric, NounDraft, NounId, TypeName, VerbDraft};
use brainy_core::{Clock, SystemClock};
use futures_executor::block_on;
use futures_util::future::{Either, select};

fn noun(id: &str) -> NounDraft {
    NounDraft::new(NounId::new(id).unwrap(), TypeName::new("thing").unwrap())
}

async fn two(name: &str) -> (Brainy, Brainy) {
    let url = format!("memory://locks-{name}");
    let one = Brainy::create(&url, 2, Metric::L2).await.unwrap();
    (one, Brainy::open(&url).await.unwrap())
}

#[test]
fn k7_nouns_verbs_and_metadata_of_a_holder_of_the_past_have_no_effect() {
    block_on(async {
        let (a, b) = two("fenced").await;
        let (lock_a, lock_b) = (a.lock("import", LockOptions::default()).unwrap(), b.lock("import", LockOptions::default()).unwrap());
        let old = lock_a.try_acquire().await.unwrap();
        let relate = VerbDraft::new(NounId::new("one").unwrap(), TypeName::new("of").unwrap(), NounId::new("two").unwrap());
        a.transaction().put(noun("one")).put(noun("two")).relate(relate.clone()).under(&old).unwrap().commit().await.unwrap();
        // Ready to be sent while it was held, sent when somebody else holds it.
        let late = a.transaction().put(noun("late")).relate(relate).under(&old).unwrap();
        old.release().await.unwrap();
        let new = lock_b.try_acquire().await.unwrap();
        assert_eq!(new.token(), 2);
        let refused = late.commit().await.unwrap_err();
        assert!(matches!(refused, Error::Fenced { .. }), "{refused}");
        assert_eq!(refused.kind(), ErrorKind::Fenced);
        assert_eq!(b.statistics().await.unwrap().statistics.nouns, 2);
        b.transaction().put(noun("three")).under(&new).unwrap().commit().await.unwrap();
        new.release().await.unwrap();
    });
}

#[test]
fn a_lock_is_one_processs_at_a_time_and_a_dropped_guard_frees_it() {
    block_on(async {
        let (a, b) = two("turns").await;
        let options = LockOptions::default().with_note("nightly").with_poll(Duration::from_millis(5));
        let (lock_a, lock_b) = (a.lock("job", options.clone()).unwrap(), b.lock("job", options).unwrap());
        let guard = lock_a.acquire(Duration::from_secs(30)).await.unwrap();
        let refused = lock_b.try_acquire().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
        assert!(refused.to_string().contains("nightly"), "{refused}");
        let holder = lock_b.holder().await.unwrap().unwrap();
        assert_eq!((holder.token, &*holder.note), (guard.token(), "nightly"));
        let lost = guard.lost();
        drop(guard);
        assert_eq!(lost.await, Loss::Released);
        assert_eq!(lock_b.acquire(Duration::from_secs(60)).await.unwrap().token(), 2);
    });
}

#[test]
fn what_cannot_be_a_lock_is_refused_by_name() {
    block_on(async {
        let (a, _) = two("names").await;
        assert_eq!(a.lock("no such name", LockOptions::default()).unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(a.lock("job", LockOptions::default().with_ttl(Duration::ZERO)).unwrap_err().kind(), ErrorKind::Invalid);
        let guard = a.lock("job", LockOptions::default()).unwrap().try_acquire().await.unwrap();
        let other = Brainy::create("memory://", 2, Metric::L2).await.unwrap();
        let refused = other.transaction().put(noun("one")).under(&guard).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "a guard of another store: {refused}");
        let reader = Brainy::builder("memory://locks-names").mode(brainy::Mode::ReadOnly).open().await.unwrap();
        assert_eq!(reader.lock("job", LockOptions::default()).unwrap_err().kind(), ErrorKind::Invalid);
    });
}

#[test]
fn whoever_stops_waiting_for_a_lock_takes_it_from_nobody() {
    block_on(async {
        let (a, b) = two("impatient").await;
        let options = LockOptions::default().with_poll(Duration::from_millis(5));
        let (lock_a, lock_b) = (a.lock("job", options.clone()).unwrap(), b.lock("job", options).unwrap());
        let guard = lock_a.try_acquire().await.unwrap();
        for _ in 0..3 {
            let waits = std::pin::pin!(lock_b.acquire(Duration::from_secs(600)));
            let enough = std::pin::pin!(SystemClock.sleep(Duration::from_millis(40)));
            assert!(matches!(select(waits, enough).await, Either::Right(_)), "it is held");
        }
        guard.release().await.unwrap();
        // Time enough for whoever waited still.
        SystemClock.sleep(Duration::from_millis(200)).await;
        assert_eq!(lock_a.try_acquire().await.unwrap().token(), 2, "nobody took it meanwhile");
    });
}
