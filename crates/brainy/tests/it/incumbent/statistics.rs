//! S1 to S12: counts.
//!
//! They lay in one object per day that each instance overwrote from its own memory, later merged by taking the greater, under a lock that nobody got or that
//! everybody got.

use std::sync::Arc;
use std::time::Duration;

use brainy::storage::{InMemoryStore, Store};
use brainy::{Brainy, Freshness, Incident, Metadata, Metric, NounId};
use brainy_core::clock::before;
use brainy_core::{Clock, SystemClock};
use brainy_testkit::{Fault, FaultStore, ManualClock};
use futures_executor::block_on;
use serde_json::json;

#[cfg(unix)]
use super::processes::Process;
use super::{LONG, peeked, service, still};
#[cfg(unix)]
use crate::support::Directory;
use crate::support::{Act, PATIENCE, Rig, at, edge, elapse, id, kind, memory, objects, quiet, slot_key, thing};

#[cfg(unix)]
#[test]
fn s1_four_processes_that_add_fifty_each_at_the_same_time_count_to_two_hundred() {
    for services in [["s"; 4], ["a", "b", "c", "d"]] {
        let folder = Directory::new();
        let db = block_on(Brainy::create(&folder.url(), 2, Metric::L2)).unwrap();
        let roles = services.iter().enumerate().map(|(n, of)| format!("adds {n} 50 {of} {}", folder.url()));
        let mut processes: Vec<Process> = roles.map(|role| Process::start(&role)).collect();
        for process in &mut processes {
            assert_eq!(process.says().as_deref(), Some("ready"));
        }
        processes.iter_mut().for_each(Process::go);
        for process in &mut processes {
            for n in 0..50 {
                assert_eq!(process.says(), Some(format!("added {n}")));
            }
        }
        // They end without a word to the store.
        drop(processes);
        let counted = block_on(db.with_freshness(Freshness::Latest).statistics()).unwrap().statistics;
        assert_eq!(counted.nouns, 200);
        for of in services {
            let own = 50 * services.iter().filter(|other| **other == of).count() as u64;
            assert_eq!(counted.nouns_by_service[&service(of)], own);
        }
        assert_eq!(block_on(Brainy::peek(&folder.url())).unwrap().statistics, counted);
    }
}

#[test]
fn s3_a_count_that_met_another_writer_arrives_though_its_maker_writes_nothing_more() {
    let rig = Rig::new();
    let (clock, one) = rig.create();
    let other = block_on(quiet(&rig.inner).service(service("other")).open()).unwrap();
    let one = one.with_service(service("one"));
    rig.puts(Act::Hang);
    let mut commit = one.transaction().put(thing("a")).submit().unwrap();
    block_on(commit.op_id()).unwrap();
    rig.until_stopped();
    // The other is first in the slot that the one has asked for.
    block_on(other.put(thing("b"))).unwrap();
    rig.puts(Act::Pass);
    elapse(&clock, commit.wait()).unwrap();
    assert_eq!(one.figures().lost_races, 1, "they met");
    assert!(elapse(&clock, one.close(PATIENCE)).is_empty());
    drop(one);
    let counted = peeked(&rig.inner);
    assert_eq!((counted.nouns, counted.nouns_by_service[&service("one")], counted.nouns_by_service[&service("other")]), (2, 1, 1));
}

#[test]
fn s4_a_hundred_counts_of_two_writers_follow_each_other_while_no_time_passes() {
    let store: Arc<dyn Store> = Arc::new(InMemoryStore::new());
    let clock = ManualClock::new();
    let counts = async {
        let builder = || quiet(&store).clock(Arc::new(clock.clone())).freshness(Freshness::Latest);
        let writers = [builder().create().await.unwrap(), builder().open().await.unwrap()];
        for n in 0..100 {
            writers[n % 2].put(thing(&n.to_string())).await.unwrap();
            assert_eq!(writers[(n + 1) % 2].statistics().await.unwrap().statistics.nouns, n as u64 + 1);
        }
    };
    let end = SystemClock.now().after(PATIENCE);
    assert!(block_on(before(&SystemClock, end, counts)).is_some(), "something is held until some time has passed");
    assert_eq!(clock.now().since_origin(), Duration::ZERO);
}

#[test]
fn s5_two_writers_of_one_service_count_to_the_sum() {
    let (store, one) = memory();
    let one = one.with_service(service("s"));
    let two = still(&store).with_service(service("s"));
    let mut made = 0;
    // Each stands on ten of its own and what it saw of the other's; nobody overlaps.
    for (writer, seen) in [(&one, false), (&two, false), (&one, true), (&two, false), (&two, true)] {
        if seen {
            block_on(writer.refresh()).unwrap();
        }
        for _ in 0..10 {
            block_on(writer.put(thing(&made.to_string()))).unwrap();
            made += 1;
        }
        let counted = peeked(&store);
        assert_eq!((counted.nouns, counted.nouns_by_service[&service("s")]), (made, made));
    }
}

#[test]
fn s6_ten_adds_and_eight_deletes_count_to_two() {
    let (store, db) = memory();
    let other = still(&store);
    for n in 0..10 {
        block_on(db.put(thing(&n.to_string()))).unwrap();
    }
    assert_eq!(peeked(&store).nouns, 10);
    for n in 0..8 {
        // By whoever: the one that added them, and one that did not.
        let by = if n % 2 == 0 { &db } else { &other };
        block_on(by.delete(n.to_string(), Incident::Restrict)).unwrap();
    }
    for counted in [peeked(&store), block_on(db.with_freshness(Freshness::Latest).statistics()).unwrap().statistics] {
        assert_eq!((counted.nouns, counted.deleted_nouns), (2, 8));
    }
}

#[test]
fn s7_counts_are_there_after_days_without_a_write_and_go_on_from_where_they_were() {
    let store: Arc<dyn Store> = Arc::new(InMemoryStore::new());
    let clock = ManualClock::new();
    block_on(async {
        let builder = || quiet(&store).clock(Arc::new(clock.clone())).freshness(Freshness::Latest);
        let first = builder().create().await.unwrap();
        for n in 0..10 {
            first.put(thing(&n.to_string())).await.unwrap();
        }
        for round in 1..=3_u64 {
            clock.advance(LONG);
            let later = builder().open().await.unwrap();
            for counted in [builder().peek().await.unwrap().statistics, later.statistics().await.unwrap().statistics] {
                assert_eq!(counted.nouns, 9 + round);
            }
            later.put(thing(&format!("round {round}"))).await.unwrap();
            assert_eq!(first.statistics().await.unwrap().statistics.nouns, 10 + round);
        }
    });
}

#[cfg(unix)]
#[test]
fn s8_a_process_killed_at_any_write_leaves_counts_that_equal_what_is_there() {
    let folder = Directory::new();
    block_on(Brainy::create(&folder.url(), 2, Metric::L2)).unwrap();
    for (life, after) in [1_usize, 2, 5, 9].into_iter().enumerate() {
        let mut process = Process::start(&format!("adds {life} 1000000 s {}", folder.url()));
        assert_eq!(process.says().as_deref(), Some("ready"));
        process.go();
        for n in 0..after {
            assert_eq!(process.says(), Some(format!("added {n}")));
        }
        let said = after + process.kill().len();
        // What follows reads the newest count, and then everything there is.
        let counted = block_on(Brainy::peek(&folder.url())).unwrap().statistics;
        let db = block_on(Brainy::builder(folder.url()).follow(false).open()).unwrap();
        let found = block_on(db.scan(None, usize::MAX, &Default::default())).unwrap();
        assert_eq!((counted.nouns, counted.nouns_by_service[&service("s")]), (found.len() as u64, found.len() as u64));
        let own = found.iter().filter(|noun| noun.id.as_str().starts_with(&format!("{life}-"))).count();
        assert!((said..=said + 1).contains(&own), "{said} were acknowledged, at most one more was on its way: {own}");
    }
}

#[test]
fn s9_no_field_of_the_counts_is_dropped_by_a_writer_that_knows_nothing_of_it() {
    let store: Arc<dyn Store> = Arc::new(InMemoryStore::new());
    let rich = block_on(quiet(&store).verb_dimension(2).create()).unwrap().with_service(service("rich"));
    let poor = still(&store);
    let metadata = Metadata::new(&json!({"a": 1})).unwrap();
    for name in ["a", "b", "c"] {
        block_on(rich.put(at(name, [1.0, 2.0]).with_metadata(metadata.clone()))).unwrap();
    }
    block_on(rich.relate(edge("a", "b").with_vector(brainy::Vector::new([1.0, 2.0]).unwrap()))).unwrap();
    block_on(rich.relate(edge("b", "a"))).unwrap();
    block_on(rich.relate(edge("b", "c"))).unwrap();
    block_on(rich.delete("c", Incident::Detach)).unwrap();
    let before = peeked(&store);
    block_on(poor.put(thing("plain"))).unwrap();
    block_on(poor.delete("plain", Incident::Restrict)).unwrap();
    let after = peeked(&store);
    assert_eq!((after.nouns, after.verbs, after.noun_vectors, after.verb_vectors), (2, 2, 2, 1));
    assert_eq!((after.nouns_by_type[&kind("thing")], after.verbs_by_type[&kind("to")]), (2, 2));
    assert_eq!((after.nouns_by_service[&service("rich")], after.verbs_by_service[&service("rich")]), (2, 2));
    assert_eq!((after.deleted_nouns, after.deleted_verbs, after.vector_bytes), (2, 1, 24));
    assert_eq!(after.metadata_bytes as usize, 2 * metadata.as_bytes().len() + 2 * Metadata::empty().as_bytes().len());
    // Whatever fields are to come: but for the noun that came and went, nothing has changed.
    let mut expected = before;
    expected.deleted_nouns += 1;
    assert_eq!(after, expected);
}

#[test]
fn s10_what_is_counted_while_a_write_is_in_flight_is_counted_too() {
    let rig = Rig::new();
    let (_clock, db) = rig.create();
    for act in [Act::Hang, Act::HangAfter] {
        let before = peeked(&rig.inner).nouns;
        rig.puts(act);
        let mut first = db.transaction().put(thing(&format!("{act:?}"))).submit().unwrap();
        block_on(first.op_id()).unwrap();
        let during: Vec<_> = (0..9).map(|n| db.transaction().put(thing(&format!("{act:?} {n}"))).submit().unwrap()).collect();
        rig.puts(Act::Pass);
        block_on(first.wait()).unwrap();
        for commit in during {
            block_on(commit.wait()).unwrap();
        }
        assert_eq!(peeked(&rig.inner).nouns, before + 10);
        assert_eq!(block_on(db.statistics()).unwrap().statistics.nouns, before + 10);
    }
}

#[test]
fn s11_counts_have_no_object_of_their_own_and_a_start_changes_none() {
    let (store, db) = memory();
    let mut expected: Vec<String> = vec!["brainy.json".into(), "ctl/head".into()];
    for n in 1..=20 {
        let before = objects(&*store);
        block_on(db.put(thing(&n.to_string()))).unwrap();
        expected.push(slot_key(n));
        let after = objects(&*store);
        assert_eq!(after.keys().cloned().collect::<Vec<_>>(), expected);
        assert!(before.iter().all(|(key, bytes)| after[key] == bytes), "a commit adds one object and changes none");
        block_on(async {
            let opened = quiet(&store).open().await.unwrap();
            assert_eq!(opened.statistics().await.unwrap().statistics.nouns, n);
            opened.close(PATIENCE).await;
        });
        assert_eq!(objects(&*store), after, "neither starting nor stopping changes any");
    }
}

#[test]
fn s12_an_add_that_is_repeated_or_whose_reply_was_lost_counts_once_and_a_delete_counts_off_from_the_owner() {
    let inner: Arc<dyn Store> = Arc::new(InMemoryStore::new());
    let faults = Arc::new(FaultStore::scripted(Arc::clone(&inner), []));
    let lossy: Arc<dyn Store> = Arc::<FaultStore>::clone(&faults);
    let owner = block_on(quiet(&lossy).service(service("owner")).create()).unwrap();
    let deleter = block_on(quiet(&inner).service(service("deleter")).open()).unwrap();
    block_on(owner.put(thing("first of this writer"))).unwrap();
    let mut expected = 1;
    for (n, fault) in [Fault::LostAfter, Fault::Repeated, Fault::LostBefore, Fault::Late(2), Fault::Refused].into_iter().enumerate() {
        let before = owner.usage();
        faults.script([fault]);
        let receipt = block_on(owner.put(thing(&n.to_string()))).unwrap();
        let asked = owner.usage().since(&before).put;
        assert!(asked.unknown + asked.rejected + asked.errors > 0, "{fault:?} meets the write: {asked:?}");
        block_on(faults.land());
        expected += 1;
        for again in 0..3 {
            block_on(owner.put(thing(&n.to_string()))).unwrap();
            assert_eq!(peeked(&inner).nouns_by_service[&service("owner")], expected, "{fault:?}, repeated {again} times");
        }
        assert!(receipt.version < block_on(owner.get(n.to_string())).unwrap().unwrap().version, "each of them was a write");
    }
    block_on(deleter.delete("0", Incident::Restrict)).unwrap();
    // And one that was deleted already.
    block_on(deleter.delete("0", Incident::Restrict)).unwrap();
    let counted = peeked(&inner);
    assert_eq!((counted.nouns, counted.nouns_by_service[&service("owner")], counted.deleted_nouns), (5, 5, 1));
    assert_eq!(counted.nouns_by_service.get(&service("deleter")), None);
    let names: Vec<NounId> = (0..5).map(|n: usize| id(&n.to_string())).collect();
    let found = block_on(owner.with_freshness(Freshness::Latest).get_many(&names)).unwrap();
    assert_eq!(found.iter().flatten().count(), 4);
}
