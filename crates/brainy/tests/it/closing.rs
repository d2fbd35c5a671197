//! However a handle ends, no call hangs.

use std::sync::Arc;
use std::time::Duration;

use brainy::storage::Store;
use brainy::{Brainy, ErrorKind, Freshness, Metric, Mode, Search};
use brainy_core::{Clock, SystemClock};
use futures_executor::block_on;

use crate::support::{Act, PATIENCE, Rig, at, memory, quiet, thing};

/// Every call of a handle that ended says so.
async fn every_call_is_closed(db: &Brainy, cause: &str) {
    let kinds = [
        db.put(thing("x")).await.map(drop),
        db.transaction().put(thing("x")).submit().map(drop),
        db.get("x").await.map(drop),
        db.with_freshness(Freshness::Local).get("x").await.map(drop),
        db.with_freshness(Freshness::Latest).get("x").await.map(drop),
        db.search(&Search::new([1.0, 0.0], 1)).await.map(drop),
        db.verbs(&Default::default()).await.map(drop),
        db.statistics().await.map(drop),
        db.digest().await.map(drop),
        db.refresh().await.map(drop),
        db.log_slot(brainy::SequenceNumber::FIRST).await.map(drop),
    ];
    for (at, result) in kinds.into_iter().enumerate() {
        let error = result.expect_err("a handle that ended refuses every call");
        assert_eq!(error.kind(), ErrorKind::Closed, "call {at}: {error}");
        assert!(matches!(&error, brainy::Error::Closed { .. }), "call {at}: {error:?}");
        assert!(error.to_string().contains(cause), "call {at}: {error}");
    }
}

/// Waits until the handle knows that it ended: the task that notices runs beside the calls.
async fn until_closed(db: &Brainy) {
    let deadline = SystemClock.now().after(PATIENCE);
    while db.with_freshness(Freshness::Local).get("x").await.is_ok() {
        assert!(SystemClock.now() < deadline, "the handle never ends");
        std::thread::yield_now();
    }
}

#[test]
fn a_panic_of_the_committer_closes_every_call_and_hangs_none() {
    let rig = Rig::new();
    let db = block_on(rig.builder().create()).unwrap();
    rig.puts(Act::Hang);
    block_on(async {
        let mut sent = db.transaction().put(thing("a")).submit().unwrap();
        let op = sent.op_id().await.unwrap();
        let waiting = db.transaction().put(thing("b")).submit().unwrap();
        // The request that hangs is carried out; the next look at the store panics.
        rig.gets(Act::Panic);
        rig.puts(Act::Panic);
        let other = waiting.wait().await.unwrap_err();
        assert!(matches!(other.kind(), ErrorKind::Closed | ErrorKind::OutcomeUnknown), "{other}");
        // What was on its way may have landed: that is said, not hidden.
        match sent.wait().await {
            Ok(receipt) => assert_eq!(receipt.op, op),
            Err(error) => assert_eq!((error.kind(), error.op_id()), (ErrorKind::OutcomeUnknown, Some(op)), "{error}"),
        }
        until_closed(&db).await;
        every_call_is_closed(&db, "the store panics, on purpose").await;
        assert!(db.clone().resolve(op).await.is_err());
        // Another handle tells what became of it.
        rig.gets(Act::Pass);
        rig.puts(Act::Pass);
        let other = rig.builder().open().await.unwrap();
        let resolved = other.resolve(op).await.unwrap();
        let landed = matches!(resolved, brainy::Resolution::Committed(_));
        assert_eq!(other.get("a").await.unwrap().is_some(), landed, "{resolved:?}");
        assert!(!matches!(resolved, brainy::Resolution::Undecided));
    });
}

#[test]
fn a_panic_of_the_follower_closes_every_call() {
    let rig = Rig::new();
    let builder = rig.builder().follow(true).poll(Duration::from_millis(1), Duration::from_millis(1));
    let db = block_on(builder.create()).unwrap();
    rig.gets(Act::Panic);
    block_on(async {
        until_closed(&db).await;
        every_call_is_closed(&db, "its follower panicked: the store panics, on purpose").await;
    });
}

#[test]
fn a_panic_inside_a_read_closes_every_call() {
    let rig = Rig::new();
    let db = block_on(rig.builder().create()).unwrap();
    rig.gets(Act::Panic);
    block_on(async {
        let error = db.refresh().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
        rig.gets(Act::Pass);
        every_call_is_closed(&db, "a call panicked: the store panics, on purpose").await;
    });
}

#[test]
fn a_panic_while_opening_is_an_error_of_opening() {
    let rig = Rig::new();
    rig.puts(Act::Panic);
    let error = block_on(rig.builder().create()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert!(error.to_string().contains("the store panics, on purpose"), "{error}");
}

#[test]
fn close_waits_for_what_was_taken_and_takes_nothing_more() {
    let rig = Rig::new();
    let (_clock, db) = rig.create();
    block_on(async {
        rig.puts(Act::Hang);
        let mut first = db.transaction().put(thing("first")).submit().unwrap();
        first.op_id().await.unwrap();
        let queued: Vec<_> = (0..5).map(|n| db.transaction().put(thing(&n.to_string())).submit().unwrap()).collect();
        let closing = db.clone();
        let mending = async {
            let late = db.put(thing("late")).await.unwrap_err();
            assert_eq!(late.kind(), ErrorKind::Closed, "{late}");
            rig.puts(Act::Pass);
        };
        // The virtual clock stands still: the handle closes because all is decided, not because time is up.
        let closed = std::thread::spawn(move || block_on(closing.close(PATIENCE)));
        while db.transaction().put(thing("probe")).submit().is_ok() {
            std::thread::yield_now();
        }
        mending.await;
        assert!(first.wait().await.is_ok());
        for commit in queued {
            commit.wait().await.unwrap();
        }
        _clock.run_until_stuck(async {});
        while !closed.is_finished() {
            _clock.advance(Duration::from_millis(1));
            std::thread::yield_now();
        }
        assert!(closed.join().unwrap().is_empty());
        every_call_is_closed(&db, "it was closed").await;
        let reopened = rig.builder().open().await.unwrap();
        assert!(reopened.statistics().await.unwrap().statistics.nouns >= 6);
    });
}

#[test]
fn close_of_a_store_that_never_answers_ends_at_its_deadline_and_names_what_is_undecided() {
    let rig = Rig::new();
    let db = block_on(rig.builder().create()).unwrap();
    block_on(async {
        rig.puts(Act::Hang);
        let mut sent = db.transaction().put(thing("a")).submit().unwrap();
        let op = sent.op_id().await.unwrap();
        let queued = db.transaction().put(thing("b")).submit().unwrap();
        assert_eq!(db.close(Duration::from_millis(20)).await, [op]);
        let refused = queued.wait().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Closed, "it was never sent: {refused}");
        every_call_is_closed(&db, "it was closed").await;
        assert_eq!(db.close(Duration::ZERO).await, [op], "closing again is no fault");
        drop((db, sent));
    });
}

#[test]
fn more_than_the_queue_holds_is_overloaded_and_was_not_sent() {
    let rig = Rig::new();
    let db = block_on(rig.builder().queue(2, 1 << 20).create()).unwrap();
    block_on(async {
        rig.puts(Act::Hang);
        let mut first = db.transaction().put(thing("first")).submit().unwrap();
        first.op_id().await.unwrap();
        let waiting: Vec<_> = ["a", "b"].map(|name| db.transaction().put(thing(name)).submit().unwrap()).into();
        let error = db.put(thing("c")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Overloaded);
        assert!(error.to_string().contains("2 transactions"), "{error}");
        rig.puts(Act::Pass);
        for commit in waiting {
            commit.wait().await.unwrap();
        }
        assert_eq!(db.get("c").await.unwrap(), None);
        db.put(thing("c")).await.unwrap();
    });
}

#[test]
fn one_handle_serves_callers_of_any_executor() {
    let (_, db) = memory();
    let tokio = |threads| {
        let mut builder = match threads {
            0 => tokio::runtime::Builder::new_current_thread(),
            _ => tokio::runtime::Builder::new_multi_thread(),
        };
        // Without timers and sockets: brainy brings its own.
        builder.build().unwrap()
    };
    let work = |db: Brainy, name: &'static str| async move {
        db.put(at(name, [1.0, 0.0])).await.unwrap();
        let db = db.with_freshness(Freshness::Latest);
        assert!(db.get(name).await.unwrap().is_some());
        db.search(&Search::new([1.0, 0.0], 1)).await.unwrap();
        db.statistics().await.unwrap();
    };
    block_on(work(db.clone(), "plain"));
    tokio(0).block_on(work(db.clone(), "one thread"));
    let many = tokio(2);
    let spawned: Vec<_> = ["x", "y", "z"].map(|name| many.spawn(work(db.clone(), name))).into();
    many.block_on(async {
        for task in spawned {
            task.await.unwrap();
        }
    });
    drop(many);
    std::thread::spawn({
        let db = db.clone();
        move || block_on(work(db, "thread"))
    })
    .join()
    .unwrap();
    assert_eq!(block_on(db.statistics()).unwrap().statistics.nouns, 6);
}

#[test]
fn handles_and_futures_may_be_dropped_inside_somebodys_runtime() {
    let rig = Rig::new();
    for runtime in [tokio::runtime::Builder::new_current_thread().build().unwrap(), tokio::runtime::Runtime::new().unwrap()] {
        rig.puts(Act::Pass);
        runtime.block_on(async {
            let store: Arc<dyn Store> = Arc::<Rig>::clone(&rig);
            let db = quiet(&store).open_or_create().await.unwrap();
            db.put(thing("a")).await.unwrap();
            // Given up in the middle: opening, peeking, reading and writing.
            rig.gets(Act::Hang);
            abandon(quiet(&store).open()).await;
            abandon(quiet(&store).peek()).await;
            abandon(db.refresh()).await;
            rig.puts(Act::Hang);
            abandon(db.put(thing("b"))).await;
            drop(db);
        });
        rig.gets(Act::Pass);
        // The caller's runtime ends while a commit is in flight; the commit goes on, and the handle serves the next runtime.
        rig.puts(Act::Pass);
        let db = runtime.block_on(rig.builder().open()).unwrap();
        rig.puts(Act::HangAfter);
        let mut commit = db.transaction().put(thing("c")).submit().unwrap();
        runtime.block_on(commit.op_id()).unwrap();
        drop(runtime);
        rig.puts(Act::Pass);
        block_on(commit.wait()).unwrap();
        assert!(block_on(db.get("c")).unwrap().is_some());
    }
}

/// Polls a future a few times and drops it.
async fn abandon<T>(future: impl Future<Output = T>) {
    let mut future = std::pin::pin!(future);
    for _ in 0..3 {
        let polled = futures_util::poll!(&mut future);
        assert!(polled.is_pending(), "it waits for the store");
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_dropped_handle_leaves_nothing_running() {
    let store: Arc<dyn Store> = Arc::new(brainy::storage::InMemoryStore::new());
    for mode in [Mode::ReadWrite, Mode::ReadOnly, Mode::WriteOnly, Mode::Frozen] {
        let builder = quiet(&store).follow(true).mode(mode);
        let db = if mode == Mode::ReadWrite { block_on(builder.create()) } else { block_on(builder.open()) }.unwrap();
        drop(db);
    }
    // Threads end soon after; what they held tells.
    let deadline = SystemClock.now().after(PATIENCE);
    while Arc::strong_count(&store) > 1 {
        assert!(SystemClock.now() < deadline, "{} still hold the store", Arc::strong_count(&store) - 1);
        std::thread::yield_now();
    }
}

#[test]
fn a_store_that_stops_answering_while_it_is_opened_is_given_up_in_time() {
    let rig = Rig::new();
    drop(block_on(rig.builder().metric(Metric::L2).create()).unwrap());
    rig.gets(Act::Hang);
    let short = Duration::from_millis(30);
    for error in [
        block_on(rig.builder().deadline(short).open()).unwrap_err(),
        block_on(rig.builder().deadline(short).create()).unwrap_err(),
        block_on(rig.builder().deadline(short).peek()).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    rig.gets(Act::Pass);
    rig.puts(Act::Hang);
    let error = block_on(rig.builder().deadline(short).open()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "while it is tried out: {error}");
}
