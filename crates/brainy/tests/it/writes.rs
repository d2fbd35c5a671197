//! Writes of nouns: preconditions, races, atomic batches, ids.

use brainy::{Brainy, ErrorKind, Freshness, Incident, ItemFilter, Metadata, Metric, NounDraft, Reason, ServiceTag};
use futures_executor::block_on;
use serde_json::json;

use crate::support::{Directory, at, edge, id, memory, thing, tree};

#[test]
fn a_counter_raised_by_eight_threads_with_their_own_handles_ends_at_the_sum() {
    const ROUNDS: u64 = 6;
    let url = "memory://writes-counter";
    let first = block_on(Brainy::create(url, 2, Metric::L2)).unwrap();
    let counter = |n: u64| thing("counter").with_metadata(Metadata::new(&json!({"n": n})).unwrap());
    block_on(first.put(counter(0))).unwrap();
    let conflicts: usize = std::thread::scope(|scope| {
        let raise = |_| {
            scope.spawn(move || {
                let db = block_on(Brainy::builder(url).freshness(Freshness::Latest).open()).unwrap();
                let mut conflicts = 0;
                let mut raised = 0;
                while raised < ROUNDS {
                    let found = block_on(db.get("counter")).unwrap().unwrap();
                    let n = found.metadata.to_value()["n"].as_u64().unwrap();
                    match block_on(db.update_if_version(counter(n + 1), found.version)) {
                        Ok(receipt) => {
                            raised += 1;
                            assert!(receipt.version > found.version);
                        }
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
                            conflicts += 1;
                        }
                    }
                }
                conflicts
            })
        };
        let threads: Vec<_> = (0..8).map(raise).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let found = block_on(first.with_freshness(Freshness::Latest).get("counter")).unwrap().unwrap();
    assert_eq!(found.metadata.to_value(), json!({"n": 8 * ROUNDS}), "{conflicts} conflicts");
}

#[test]
fn of_eight_who_put_one_absent_noun_exactly_one_wins_and_seven_learn_it() {
    let url = "memory://writes-absent";
    let first = block_on(Brainy::create(url, 2, Metric::L2)).unwrap();
    for round in 0..5 {
        let name = &format!("noun {round}");
        let wins: Vec<bool> = std::thread::scope(|scope| {
            let put = |n: u8| {
                let db = first.clone();
                scope.spawn(move || {
                    // Half of them share a handle, and with it a batch; half have their own.
                    let db = if n.is_multiple_of(2) { db } else { block_on(Brainy::open(url)).unwrap() };
                    let service = ServiceTag::new(n.to_string()).unwrap();
                    match block_on(db.put_if_absent(thing(name).with_service(service))) {
                        Ok(receipt) => {
                            assert_eq!(receipt.changed, Some(1));
                            true
                        }
                        Err(brainy::Error::Conflict { reason, item, operation, .. }) => {
                            assert_eq!((reason, operation), (Reason::AlreadyExists, 0));
                            assert_eq!(item, format!("noun {name:?}"));
                            false
                        }
                        Err(error) => panic!("{error}"),
                    }
                })
            };
            let threads: Vec<_> = (0..8).map(put).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(wins.iter().filter(|won| **won).count(), 1, "{wins:?}");
        let winner = wins.iter().position(|won| *won).unwrap().to_string();
        let found = block_on(first.with_freshness(Freshness::Latest).get(name)).unwrap().unwrap();
        assert_eq!(found.service.unwrap().as_str(), winner);
    }
}

#[test]
fn preconditions_hold_or_the_item_stays_as_it_was() {
    let (_, db) = memory();
    block_on(async {
        let first = db.put(thing("a")).await.unwrap().version;
        let second = db.update_if_version(at("a", [1.0, 2.0]), first).await.unwrap().version;
        for (refused, reason) in [
            (db.update_if_version(thing("a"), first).await, Reason::OtherVersion),
            (db.update_if_version(thing("none"), first).await, Reason::DoesNotExist),
            (db.put_if_absent(thing("a")).await, Reason::AlreadyExists),
            (db.delete_if_version("a", first, Incident::Detach).await, Reason::OtherVersion),
            (db.delete_if_version("none", first, Incident::Detach).await, Reason::DoesNotExist),
        ] {
            let error = refused.unwrap_err();
            assert!(matches!(&error, brainy::Error::Conflict { reason: found, .. } if *found == reason), "{error}");
            assert!(error.op_id().is_some() && error.to_string().ends_with("the transaction changed nothing"), "{error}");
            assert_eq!(db.get("a").await.unwrap().unwrap().version, second);
        }
        db.delete_if_version("a", second, Incident::Restrict).await.unwrap();
        assert_eq!(db.delete("a", Incident::Restrict).await.unwrap().changed, Some(0), "an absent noun is no fault");
        // A version never returns: who holds the old one cannot mistake the new item for it.
        let third = db.put_if_absent(thing("a")).await.unwrap().version;
        assert!(third > second);
        assert_eq!(db.update_if_version(thing("a"), second).await.unwrap_err().kind(), ErrorKind::Conflict);
    });
}

#[test]
fn a_noun_with_verbs_goes_with_them_or_not_at_all() {
    let (_, db) = memory();
    block_on(async {
        for name in ["a", "b", "c"] {
            db.put(thing(name)).await.unwrap();
        }
        for (source, target) in [("a", "b"), ("b", "a"), ("b", "c")] {
            db.relate(edge(source, target)).await.unwrap();
        }
        let error = db.delete("a", Incident::Restrict).await.unwrap_err();
        assert!(matches!(&error, brainy::Error::Conflict { reason: Reason::HasVerbs, .. }), "{error}");
        let statistics = db.statistics().await.unwrap().statistics;
        assert_eq!((statistics.nouns, statistics.verbs), (3, 3));
        assert_eq!(db.delete("a", Incident::Detach).await.unwrap().changed, Some(3));
        let statistics = db.statistics().await.unwrap().statistics;
        assert_eq!((statistics.nouns, statistics.verbs, statistics.deleted_verbs), (2, 1, 2));
        let left = db.verbs(&Default::default()).await.unwrap();
        assert_eq!((left.len(), left[0].target.as_str()), (1, "c"));
    });
}

#[test]
fn a_scan_gives_every_noun_once_in_the_order_of_ids_page_by_page() {
    let (_, db) = memory();
    block_on(async {
        let mut transaction = db.transaction();
        for n in 0..57 {
            transaction = transaction.put(thing(&format!("{n:02}")));
        }
        transaction.commit().await.unwrap();
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = db.scan(after.as_ref(), 10, &ItemFilter::all()).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.id.clone());
            found.extend(page.into_iter().map(|noun| noun.id.to_string()));
        }
        assert_eq!(found, (0..57).map(|n| format!("{n:02}")).collect::<Vec<_>>());
        let other = ItemFilter::all().with_kind(crate::support::kind("other"));
        assert!(db.scan(None, usize::MAX, &other).await.unwrap().is_empty());
        let many = db.get_many(&[id("03"), id("none"), id("01")]).await.unwrap();
        let names: Vec<_> = many.iter().map(|noun| noun.as_ref().map(|noun| noun.id.as_str())).collect();
        assert_eq!(names, [Some("03"), None, Some("01")]);
    });
}

#[test]
fn hostile_ids_round_trip_and_appear_in_no_name_of_an_object() {
    let long = "x".repeat(1_024);
    let ids =
        ["../../x", "a//b", "/", "..", ".", "\u{e9}", "e\u{301}", "a\nb", " ", "brainy.json", "log/1", "ctl/head", "CON", "%2e%2e", &long];
    let directory = Directory::new();
    for url in [directory.url(), "memory://writes-hostile".to_owned()] {
        block_on(async {
            let db = Brainy::create(&url, 2, Metric::L2).await.unwrap();
            let bare = tree(directory.path()).into_keys().collect::<Vec<_>>();
            for (n, name) in ids.iter().enumerate() {
                let metadata = Metadata::new(&json!({"n": n})).unwrap();
                db.put_if_absent(at(name, [n as f32, 1.0]).with_metadata(metadata)).await.unwrap();
                db.relate(edge(name, ids[0])).await.unwrap();
            }
            assert!(db.close(crate::support::PATIENCE).await.is_empty());
            let db = Brainy::open(&url).await.unwrap();
            for (n, name) in ids.iter().enumerate() {
                let noun = db.get(name).await.unwrap().unwrap();
                assert_eq!((noun.id.as_str(), noun.metadata.to_value()), (*name, json!({"n": n})));
                let nearest = db.search(&brainy::Search::new([n as f32, 1.0], 1)).await.unwrap();
                assert_eq!(nearest[0].noun.id.as_str(), *name);
            }
            assert_eq!(db.scan(None, 99, &ItemFilter::all()).await.unwrap().len(), ids.len());
            let verbs = db.verbs(&brainy::VerbQuery::all().with_target(id(ids[0]))).await.unwrap();
            assert_eq!(verbs.len(), ids.len());
            // All that came to the directory are numbered slots.
            for path in tree(directory.path()).into_keys().filter(|path| !bare.contains(path)) {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                let numbered = name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit());
                assert!(numbered || path.is_dir() && name == "log", "{}", path.display());
            }
        });
    }
}

#[test]
fn an_item_says_who_wrote_it_unless_it_says_so_itself() {
    let (_, db) = memory();
    let service = |name: &str| ServiceTag::new(name).unwrap();
    block_on(async {
        let tagged = db.with_service(service("billing"));
        tagged.put(thing("a")).await.unwrap();
        tagged.put(thing("b").with_service(service("other"))).await.unwrap();
        tagged.relate(edge("a", "b")).await.unwrap();
        db.put(thing("c")).await.unwrap();
        let statistics = db.statistics().await.unwrap().statistics;
        let counts = |name: &str| statistics.nouns_by_service.get(&service(name)).copied();
        assert_eq!((counts("billing"), counts("other"), statistics.nouns_by_service.len()), (Some(1), Some(1), 2));
        assert_eq!(statistics.verbs_by_service.get(&service("billing")), Some(&1));
        let billing = db.scan(None, 9, &ItemFilter::all().with_service(service("billing"))).await.unwrap();
        assert_eq!(billing.len(), 1);
    });
}

#[test]
fn metadata_comes_back_as_it_was_given() {
    #[derive(serde::Serialize)]
    struct Package {
        name: &'static str,
        size: u64,
        tags: Vec<&'static str>,
    }
    let (_, db) = memory();
    block_on(async {
        let package = Package { name: "apt", size: u64::MAX, tags: vec!["é", ""] };
        let draft = NounDraft::new(id("apt"), crate::support::kind("package")).with_metadata(Metadata::new(&package).unwrap());
        db.put(draft).await.unwrap();
        let found = db.get("apt").await.unwrap().unwrap();
        assert_eq!(found.metadata.to_value(), json!({"name": "apt", "size": u64::MAX, "tags": ["é", ""]}));
        assert!(found.created_ms > 1_577_836_800_000 && found.updated_ms == found.created_ms);
    });
}
