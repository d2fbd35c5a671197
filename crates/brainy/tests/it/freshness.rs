//! An answer is as fresh as was asked, or an error.

use std::sync::Arc;
use std::time::Duration;

use brainy::storage::{InMemoryStore, Store};
use brainy::{ContentHash, ErrorKind, Freshness, Token};
use brainy_core::{Clock, SystemClock};
use brainy_testkit::ManualClock;
use futures_executor::block_on;

use crate::support::{PATIENCE, memory, quiet, thing};

#[test]
fn latest_shows_what_was_acknowledged_to_anybody_before_the_call() {
    let (store, writer) = memory();
    block_on(async {
        let reader = quiet(&store).freshness(Freshness::Latest).open().await.unwrap();
        for n in 0..20 {
            let receipt = writer.put(thing(&n.to_string())).await.unwrap();
            let found = reader.get(n.to_string()).await.unwrap().expect("acknowledged before the call");
            assert_eq!(found.version, receipt.version);
            assert_eq!(reader.statistics().await.unwrap().statistics.nouns, n + 1);
        }
    });
}

#[test]
fn local_asks_for_nothing_and_holds_the_handles_own_writes() {
    let (store, writer) = memory();
    block_on(async {
        let reader = quiet(&store).freshness(Freshness::Local).open().await.unwrap();
        writer.put(thing("a")).await.unwrap();
        let before = reader.usage();
        assert_eq!(reader.get("a").await.unwrap(), None);
        assert_eq!(reader.statistics().await.unwrap().statistics.nouns, 0);
        assert_eq!(reader.usage(), before);
        reader.put(thing("b")).await.unwrap();
        let before = reader.usage();
        assert!(reader.get("b").await.unwrap().is_some());
        // What lies before the own write was applied with it.
        assert!(reader.get("a").await.unwrap().is_some());
        assert_eq!(reader.usage(), before);
    });
}

#[test]
fn bounded_asks_once_when_the_last_look_is_too_old_and_not_before() {
    let store: Arc<dyn Store> = Arc::new(InMemoryStore::new());
    let clock = ManualClock::new();
    block_on(async {
        let writer = quiet(&store).create().await.unwrap();
        let builder = quiet(&store).clock(Arc::new(clock.clone())).freshness(Freshness::Bounded(Duration::from_secs(10)));
        let reader = builder.open().await.unwrap();
        writer.put(thing("a")).await.unwrap();
        let opened = reader.usage();
        clock.advance(Duration::from_millis(9_999));
        for _ in 0..100 {
            assert_eq!(reader.get("a").await.unwrap(), None, "at most 10 s old, as was asked");
        }
        assert_eq!(reader.usage(), opened);
        clock.advance(Duration::from_millis(1));
        assert!(reader.get("a").await.unwrap().is_some(), "not older than was asked");
        let asked = reader.usage().since(&opened);
        assert_eq!((asked.get.done, asked.get.absent, asked.requests()), (1, 1, 2), "the new slot, and that there is no other");
        for _ in 0..100 {
            reader.get("a").await.unwrap();
        }
        assert_eq!(reader.usage().since(&opened).requests(), 2);
        clock.advance(Duration::from_secs(10));
        reader.get("a").await.unwrap();
        assert_eq!(reader.usage().since(&opened).requests(), 3, "learning that nothing changed costs one request");
        assert_eq!(reader.usage().since(&opened).list.requests(), 0);
    });
}

#[test]
fn a_token_shows_anothers_write_and_costs_nothing_once_it_is_reached() {
    let (store, writer) = memory();
    block_on(async {
        let reader = quiet(&store).freshness(Freshness::Local).open().await.unwrap();
        let receipt = writer.put(thing("a")).await.unwrap();
        // It travels as text.
        let token: Token = receipt.token.to_string().parse().unwrap();
        let reader = reader.with_freshness(Freshness::AtLeast(token));
        assert!(reader.get("a").await.unwrap().is_some());
        let before = reader.usage();
        assert!(reader.get("a").await.unwrap().is_some());
        assert_eq!(reader.usage(), before);
    });
}

#[test]
fn a_token_of_another_store_or_of_a_future_that_was_rolled_back_is_an_error_not_a_wait() {
    let (store, writer) = memory();
    let (_, stranger) = memory();
    block_on(async {
        let receipt = writer.put(thing("a")).await.unwrap();
        let foreign = stranger.put(thing("a")).await.unwrap().token;
        let beyond = Token { seq: 2, hash: ContentHash::of(b"lost"), ..receipt.token };
        let other = Token { hash: ContentHash::of(b"another history"), ..receipt.token };
        for mode in [brainy::Mode::ReadWrite, brainy::Mode::ReadOnly, brainy::Mode::Frozen] {
            let reader = quiet(&store).mode(mode).open().await.unwrap();
            for (token, kind, text) in [
                (foreign, ErrorKind::Invalid, "the token is of store"),
                (beyond, if mode == brainy::Mode::Frozen { ErrorKind::Invalid } else { ErrorKind::RolledBack }, "slot 2"),
                (other, ErrorKind::RolledBack, "slot 1 is not the one the token names"),
            ] {
                let error = reader.with_freshness(Freshness::AtLeast(token)).get("a").await.unwrap_err();
                assert_eq!(error.kind(), kind, "{mode:?}: {error}");
                assert!(error.to_string().contains(text), "{mode:?}: {error}");
            }
            // The handle goes on.
            assert!(reader.get("a").await.unwrap().is_some());
        }
    });
}

#[test]
fn a_log_that_went_back_is_noticed_by_who_saw_more() {
    let (store, writer) = memory();
    block_on(async {
        writer.put(thing("a")).await.unwrap();
        let token = writer.put(thing("b")).await.unwrap().token;
        let older: Arc<dyn Store> = Arc::new(InMemoryStore::new());
        for (key, bytes) in crate::support::objects(&*store) {
            if key != crate::support::slot_key(2) {
                crate::support::overwrite(&*older, &key, bytes);
            }
        }
        let restored = quiet(&older).open().await.unwrap();
        let error = restored.with_freshness(Freshness::AtLeast(token)).get("b").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RolledBack, "{error}");
    });
}

#[test]
fn a_follower_brings_what_others_write_without_being_asked() {
    let (store, writer) = memory();
    block_on(async {
        let builder = quiet(&store).follow(true).poll(Duration::from_millis(1), Duration::from_millis(2));
        let reader = builder.freshness(Freshness::Local).open().await.unwrap();
        writer.put(thing("a")).await.unwrap();
        let deadline = SystemClock.now().after(PATIENCE);
        while reader.get("a").await.unwrap().is_none() {
            assert!(SystemClock.now() < deadline, "the follower does not look");
            std::thread::yield_now();
        }
    });
}
