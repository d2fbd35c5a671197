//! What each mode does, and what opening does to what is there.

use std::sync::Arc;

use brainy::storage::{InMemoryStore, Store};
use brainy::{Brainy, Error, ErrorKind, Freshness, Incident, Metric, Mode, Operation, Search, VerbQuery};
use brainy_testkit::{Lie, LyingStore};
use futures_executor::block_on;

use crate::support::{Directory, at, edge, id, memory, objects, quiet, slot_key, thing, tree};

#[test]
fn a_frozen_handle_stays_at_its_number_though_others_write() {
    let (store, db) = memory();
    block_on(async {
        let first = db.put(at("a", [1.0, 0.0])).await.unwrap();
        let frozen = quiet(&store).mode(Mode::Frozen).follow(true).freshness(Freshness::Latest).open().await.unwrap();
        let opened = frozen.usage();
        let second = db.put(at("b", [0.0, 1.0])).await.unwrap();
        assert_eq!(frozen.refresh().await.unwrap(), first.token);
        assert_eq!(frozen.get("b").await.unwrap(), None);
        assert_eq!(frozen.search(&Search::new([0.0, 1.0], 9)).await.unwrap().len(), 1);
        assert_eq!(frozen.statistics().await.unwrap().token, first.token);
        assert!(frozen.with_freshness(Freshness::AtLeast(first.token)).get("a").await.unwrap().is_some());
        let beyond = frozen.with_freshness(Freshness::AtLeast(second.token)).get("b").await.unwrap_err();
        assert_eq!(beyond.kind(), ErrorKind::Invalid);
        assert!(beyond.to_string().contains("frozen handle stays at slot 1"), "{beyond}");
        // To find out what became of an operation means to read on.
        let resolved = frozen.resolve(second.op).await.unwrap_err();
        assert_eq!(resolved.kind(), ErrorKind::Invalid, "{resolved}");
        assert_eq!(frozen.position(), first.token);
        assert_eq!(frozen.usage(), opened, "a frozen handle asks for nothing");
        assert_eq!(frozen.put(thing("c")).await.unwrap_err().kind(), ErrorKind::Invalid);
    });
}

#[test]
fn a_handle_that_only_reads_refuses_every_write_and_follows_those_of_others() {
    let (store, db) = memory();
    block_on(async {
        let reader = quiet(&store).mode(Mode::ReadOnly).open().await.unwrap();
        let before = objects(&*store);
        for refused in [
            reader.put(thing("a")).await,
            reader.put_if_absent(thing("a")).await,
            reader.delete("a", Incident::Detach).await,
            reader.relate_creating(edge("a", "b"), crate::support::kind("thing")).await,
            reader.delete_verb("a").await,
            reader.clear(reader.store_id()).await,
        ] {
            let error = refused.unwrap_err();
            assert_eq!((error.kind(), error.to_string().contains("read-only")), (ErrorKind::Invalid, true), "{error}");
        }
        assert_eq!(objects(&*store), before);
        let receipt = db.put(thing("a")).await.unwrap();
        let reader = reader.with_freshness(Freshness::Latest);
        assert_eq!(reader.get("a").await.unwrap().unwrap().version, receipt.version);
        assert!(matches!(reader.resolve(receipt.op).await.unwrap(), brainy::Resolution::Committed(_)));
        assert!(reader.close(crate::support::PATIENCE).await.is_empty());
    });
}

#[test]
fn a_handle_that_only_writes_refuses_to_search_and_reads_by_id_and_graph() {
    let (store, _db) = memory();
    block_on(async {
        let writer = quiet(&store).mode(Mode::WriteOnly).open().await.unwrap();
        writer.put(at("a", [1.0, 0.0])).await.unwrap();
        writer.put(at("b", [0.0, 1.0])).await.unwrap();
        writer.relate(edge("a", "b")).await.unwrap();
        for search in [Search::new([1.0, 0.0], 1), Search::new([1.0, 0.0], 1).exact()] {
            let error = writer.search(&search).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains("keeps no vector index"), "{error}");
        }
        assert!(writer.get("a").await.unwrap().unwrap().vector.is_some());
        assert_eq!(writer.verbs(&VerbQuery::all().with_source(id("a"))).await.unwrap().len(), 1);
        assert_eq!(writer.traverse(&[id("a")], &Default::default()).await.unwrap().reached.len(), 1);
        assert_eq!(writer.index_pending(), 0);
    });
}

#[test]
fn opening_a_directory_to_read_changes_not_one_byte_in_it() {
    let directory = Directory::new();
    block_on(async {
        let db = Brainy::create(&directory.url(), 2, Metric::L2).await.unwrap();
        db.put(at("a", [1.0, 0.0])).await.unwrap();
        assert!(db.close(crate::support::PATIENCE).await.is_empty());
        drop(db);
        let before = tree(directory.path());
        for mode in [Mode::ReadOnly, Mode::Frozen] {
            let db = Brainy::builder(directory.url()).mode(mode).freshness(Freshness::Latest).open().await.unwrap();
            assert!(db.get("a").await.unwrap().is_some());
            assert_eq!(db.search(&Search::new([1.0, 0.0], 3)).await.unwrap().len(), 1);
            db.put(thing("b")).await.unwrap_err();
        }
        assert_eq!(Brainy::peek(&directory.url()).await.unwrap().statistics.nouns, 1);
        assert_eq!(tree(directory.path()), before);
    });
}

#[test]
fn a_store_is_never_made_by_opening_it() {
    let directory = Directory::new();
    let missing = directory.path().join("missing");
    let refused = |url: &str, mode: Mode| {
        let error = block_on(Brainy::builder(url).mode(mode).open()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{url} {mode:?}: {error}");
        error.to_string()
    };
    for mode in [Mode::ReadWrite, Mode::ReadOnly, Mode::WriteOnly, Mode::Frozen] {
        assert!(refused("memory://", mode).contains("no brainy store at memory://"));
        let text = refused(&directory.url(), mode);
        assert!(text.contains("no brainy store") && text.contains("brainy.json"), "{text}");
        let text = refused(&format!("file://{}", missing.display()), mode);
        assert!(text.contains("missing"), "{text}");
        assert_eq!(tree(directory.path()).len(), 1, "nothing was made");
    }
    assert_eq!(block_on(Brainy::peek(&directory.url())).unwrap_err().kind(), ErrorKind::NotFound);
    // Neither is one by a handle that does not write, nor without a dimension.
    for builder in [Brainy::builder(directory.url()).dimension(2).mode(Mode::ReadOnly), Brainy::builder(directory.url())] {
        assert_eq!(block_on(builder.create()).unwrap_err().kind(), ErrorKind::Invalid);
    }
    assert_eq!(block_on(Brainy::create(&directory.url(), 0, Metric::L2)).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(block_on(Brainy::create(&directory.url(), 65_537, Metric::L2)).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(tree(directory.path()).len(), 1, "nothing was made");
}

#[test]
fn making_a_store_where_one_is_changes_nothing() {
    let (store, db) = memory();
    block_on(async {
        db.put(thing("a")).await.unwrap();
        let before = objects(&*store);
        let error = quiet(&store).create().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains("there already at memory://"), "{error}");
        assert_eq!(objects(&*store), before);
    });
}

#[test]
fn another_dimension_or_metric_is_refused_by_name_and_what_was_not_asked_is_not_compared() {
    let (store, _db) = memory();
    let bare = || Brainy::builder("memory://").store(Arc::clone(&store)).follow(false);
    block_on(async {
        for (builder, named) in [
            (bare().dimension(3), "dimension 2, 3 was asked for"),
            (bare().metric(Metric::Cosine), "metric"),
            (bare().verb_dimension(4), "verb_dimension none, 4 was asked for"),
        ] {
            for opened in [builder.clone().open().await, builder.clone().dimension(2).open_or_create().await] {
                // A dimension of two mends the first, in the second way of opening.
                if let (Ok(_), "dimension 2, 3 was asked for") = (&opened, named) {
                    continue;
                }
                let error = opened.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Conflict);
                assert!(error.to_string().contains(named), "{error}");
            }
        }
        let db = bare().dimension(2).open().await.unwrap();
        assert_eq!((db.dimension(), db.metric()), (2, Metric::L2));
        bare().open().await.unwrap();
    });
}

#[test]
fn eight_who_make_one_store_at_once_get_one_store() {
    let directory = Directory::new();
    for url in [directory.url(), "memory://eight-makers".to_owned()] {
        let url = &url;
        let handles: Vec<Brainy> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(move || block_on(Brainy::open_or_create(url, 2, Metric::L2)).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(handles.iter().all(|db| db.store_id() == handles[0].store_id()));
        for (at, db) in handles.iter().enumerate() {
            block_on(db.put(thing(&at.to_string()))).unwrap();
        }
        let db = handles[0].with_freshness(Freshness::Latest);
        assert_eq!(block_on(db.statistics()).unwrap().statistics.nouns, 8);
    }
}

#[test]
fn of_makers_who_want_different_stores_only_those_of_one_kind_succeed() {
    let store: Arc<dyn Store> = Arc::new(InMemoryStore::new());
    let made: Vec<(usize, Result<Brainy, Error>)> = std::thread::scope(|scope| {
        let start = |dimension: usize| {
            let builder = quiet(&store).dimension(dimension);
            scope.spawn(move || (dimension, block_on(builder.open_or_create())))
        };
        let threads: Vec<_> = [2, 3, 2, 3, 2, 3, 2, 3].map(start).into();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let there = block_on(Brainy::builder("memory://").store(store).open()).unwrap().dimension();
    for (dimension, made) in made {
        match made {
            Ok(db) => assert_eq!((dimension, db.dimension()), (there, there)),
            Err(error) => {
                assert_ne!(dimension, there);
                assert_eq!(error.kind(), ErrorKind::Conflict);
                assert!(error.to_string().contains("was asked for"), "{error}");
            }
        }
    }
}

#[test]
fn unnamed_memory_is_private_and_named_memory_is_shared() {
    block_on(async {
        let one = Brainy::create("memory://", 2, Metric::L2).await.unwrap();
        let two = Brainy::create("memory://", 2, Metric::L2).await.unwrap();
        assert_ne!(one.store_id(), two.store_id());
        let named = Brainy::create("memory://modes-named", 2, Metric::L2).await.unwrap();
        assert_eq!(Brainy::open("memory://modes-named").await.unwrap().store_id(), named.store_id());
        assert_eq!(named.location(), "memory://modes-named");
    });
}

#[test]
fn a_store_that_lies_about_conditions_is_refused_with_the_reason_when_made_and_when_opened() {
    for lie in [Lie::IgnoresConditions, Lie::IgnoresMatch, Lie::ChecksThenWrites, Lie::MatchesAbsent, Lie::AlwaysChanged] {
        let (store, _db) = memory();
        let before = objects(&*store);
        let lying: Arc<dyn Store> = Arc::new(LyingStore::new(Arc::clone(&store), lie));
        let empty: Arc<dyn Store> = Arc::new(InMemoryStore::new());
        let lying_empty: Arc<dyn Store> = Arc::new(LyingStore::new(Arc::clone(&empty), lie));
        for opened in [block_on(quiet(&lying).open()), block_on(quiet(&lying_empty).create())] {
            let error = opened.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{lie:?}");
            assert!(error.to_string().contains("does not honour conditional writes"), "{lie:?}: {error}");
        }
        assert_eq!(objects(&*store), before, "{lie:?}: nothing stays behind");
        assert!(objects(&*empty).is_empty(), "{lie:?}: nothing was made");
        // Who only reads needs no such promise, and asks for no proof.
        block_on(quiet(&lying).mode(Mode::ReadOnly).open()).unwrap();
        // Who will not be warned is not.
        block_on(quiet(&lying).probe(false).open()).unwrap();
    }
}

#[test]
fn clear_wants_the_name_of_the_store_and_empties_it_in_one_step() {
    let (store, db) = memory();
    let (_, other) = memory();
    block_on(async {
        db.put(thing("a")).await.unwrap();
        db.put(thing("b")).await.unwrap();
        db.relate(edge("a", "b")).await.unwrap();
        let before = objects(&*store);
        let error = db.clear(other.store_id()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(&db.store_id().to_string()), "{error}");
        let error = db.transaction().push(Operation::Clear).put(thing("c")).commit().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(objects(&*store), before);
        let receipt = db.clear(db.store_id()).await.unwrap();
        assert_eq!(receipt.changed, Some(3));
        let statistics = db.statistics().await.unwrap().statistics;
        assert_eq!((statistics.nouns, statistics.verbs, statistics.deleted_nouns, statistics.deleted_verbs), (0, 0, 2, 1));
        assert!(objects(&*store).contains_key(&slot_key(1)), "the log keeps what was");
    });
}
