//! What each call asks of the store, in requests.

use std::sync::Arc;

use brainy::storage::{InMemoryStore, Metered, Store};
use brainy::{Brainy, Freshness, ItemFilter, Mode, Search};
use futures_executor::block_on;

use crate::support::{at, id, memory, quiet, thing};

#[test]
fn an_uncontended_commit_is_one_put_and_a_batch_of_many_is_one_too() {
    let (_, db) = memory();
    block_on(async {
        db.put(thing("first of this writer")).await.unwrap();
        let before = db.usage();
        for n in 0..80 {
            db.put(thing(&n.to_string())).await.unwrap();
        }
        let asked = db.usage().since(&before);
        // One listing of the inbox every K = 8 slots: whoever creates a slot carries whom others left behind.
        assert_eq!((asked.put.done, asked.list.done, asked.requests()), (80, 10, 90), "{asked}");
        let before = db.usage();
        let transaction = (0..1_000).fold(db.transaction(), |transaction, n| transaction.put(thing(&format!("n{n}"))));
        transaction.commit().await.unwrap();
        let asked = db.usage().since(&before);
        // Over 64 KiB the bytes lie in an object of their own.
        assert!(asked.put.done <= 2 && asked.list.done <= 1 && asked.requests() == asked.put.done + asked.list.done, "{asked}");
    });
}

#[test]
fn reads_of_an_open_handle_cost_their_freshness_and_nothing_else() {
    let (_, db) = memory();
    block_on(async {
        db.put(at("a", [1.0, 0.0])).await.unwrap();
        for (freshness, each) in [(Freshness::Local, 0), (Freshness::Latest, 1), (Freshness::AtLeast(db.position()), 0)] {
            let db = db.with_freshness(freshness);
            let before = db.usage();
            db.get("a").await.unwrap();
            db.get_many(&[id("a"), id("b")]).await.unwrap();
            db.scan(None, 9, &ItemFilter::all()).await.unwrap();
            db.search(&Search::new([1.0, 0.0], 1)).await.unwrap();
            db.verbs(&Default::default()).await.unwrap();
            db.traverse(&[id("a")], &Default::default()).await.unwrap();
            db.statistics().await.unwrap();
            let asked = db.usage().since(&before);
            assert_eq!((asked.requests(), asked.get.absent), (7 * each, 7 * each), "{freshness:?}: {asked}");
            assert_eq!(asked.get.bytes_down, 0, "learning that nothing changed sends no body");
        }
    });
}

#[test]
fn statistics_of_an_open_handle_are_one_small_read() {
    let (store, db) = memory();
    block_on(async {
        for n in 0..100 {
            db.put(thing(&n.to_string())).await.unwrap();
        }
        let other = quiet(&store).freshness(Freshness::Latest).open().await.unwrap();
        let before = other.usage();
        assert_eq!(other.statistics().await.unwrap().statistics.nouns, 100);
        assert_eq!(other.usage().since(&before).requests(), 1);
    });
}

#[test]
fn a_peek_finds_the_newest_slot_by_its_number_without_a_listing() {
    let (store, db) = memory();
    let mut slots = 0_u64;
    for n in [0_u64, 1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33, 100] {
        while slots < n {
            slots = block_on(db.put(thing(&slots.to_string()))).unwrap().version.seq.get();
        }
        let metered = Arc::new(Metered::new(Arc::clone(&store)));
        let counted: Arc<dyn Store> = Arc::<Metered>::clone(&metered);
        let peek = block_on(Brainy::builder("memory://").store(counted).peek()).unwrap();
        assert_eq!((peek.slots, peek.statistics.nouns), (n, n));
        assert_eq!(peek.token, (n > 0).then(|| db.position()));
        assert_eq!((peek.store, peek.dimension, peek.metric), (db.store_id(), 2, db.metric()));
        let asked = metered.snapshot();
        assert_eq!(asked.requests(), asked.get.requests(), "reads only: {asked}");
        // Two of them are `brainy.json`, and `ctl/head` for the boundary, without which an absent slot says nothing (INV-9).
        let most = 2.0 * (n.max(1) as f64).log2() + 3.0;
        assert!((asked.get.requests() - 2) as f64 <= most, "{n} slots: {asked}");
    }
}

#[test]
fn an_idle_handle_that_does_not_follow_asks_for_nothing() {
    let store: Arc<dyn Store> = Arc::new(InMemoryStore::new());
    block_on(async {
        let db = quiet(&store).create().await.unwrap();
        db.put(at("a", [1.0, 0.0])).await.unwrap();
        let before = db.usage();
        // As much as the index and the runtime may do on their own.
        while db.index_pending() > 0 {
            std::thread::yield_now();
        }
        assert_eq!(db.usage(), before);
        for mode in [Mode::ReadOnly, Mode::Frozen, Mode::WriteOnly] {
            let opened = quiet(&store).mode(mode).open().await.unwrap();
            let asked = opened.usage();
            assert_eq!((asked.get.done, asked.get.absent, asked.list.done), (4, 1, 1), "{mode:?}: {asked}");
            if !matches!(mode, Mode::WriteOnly) {
                assert_eq!(asked.put.requests() + asked.delete.requests(), 0);
            }
        }
    });
}

#[test]
fn a_followers_idle_looks_cost_less_than_a_quarter_dollar_a_month() {
    let month = 30.0 * 24.0 * 3_600.0;
    let looks = month / brainy::LogOptions::POLL_LONGEST.as_secs_f64();
    assert!(looks * brainy::storage::DOLLARS_PER_MILLION_READS / 1e6 < 0.25);
    // And each look that finds nothing is one request.
    let store: Arc<dyn Store> = Arc::new(InMemoryStore::new());
    let clock = brainy_testkit::ManualClock::new();
    let db = block_on(quiet(&store).follow(true).clock(Arc::new(clock.clone())).create()).unwrap();
    let before = db.usage();
    let mut slept = 0;
    while slept < 50 {
        // The follower sleeps again once its look is done.
        if clock.advance_to_next() {
            slept += 1;
        } else {
            std::thread::yield_now();
        }
    }
    let passed = brainy_core::Clock::now(&clock).since_origin().as_secs_f64();
    let asked = db.usage().since(&before);
    assert_eq!(asked.requests(), asked.get.absent, "{asked}");
    let most = passed / brainy::LogOptions::POLL_LONGEST.as_secs_f64() + 10.0;
    assert!(asked.requests() as f64 <= most, "{asked} in {passed} s");
}
