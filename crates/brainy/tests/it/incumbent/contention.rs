//! C1 to C10: several who write the same.
//!
//! Every object was overwritten whatever it held; an item was several objects; what failed was taken for empty; what was acknowledged lay in memory.

use std::sync::Arc;
use std::thread;

use brainy::storage::{InMemoryStore, Store};
use brainy::{
    Brainy, Direction, Error, ErrorKind, Freshness, Incident, ItemFilter, Metadata, Metric, Mode, NounDraft, Precondition, Reason, Search,
    TraverseOptions, Vector, VerbQuery,
};
use brainy_core::{Entropy, SeededEntropy};
use brainy_testkit::ManualClock;
use futures_executor::block_on;
use serde_json::{Map, Value, json};

#[cfg(unix)]
use super::processes::Process;
use super::{Gate, Kind, When, still, until_indexed};
#[cfg(unix)]
use crate::support::Directory;
use crate::support::{at, edge, elapse, id, memory, objects, quiet, thing};

fn gated(store: &Arc<dyn Store>) -> (Arc<Gate>, Brainy) {
    let gate = Gate::new(store);
    let through: Arc<dyn Store> = Arc::<Gate>::clone(&gate);
    let db = block_on(quiet(&through).freshness(Freshness::Local).open()).unwrap();
    (gate, db)
}

/// The noun `name` as `db` sees it, with one field more.
fn with_field(db: &Brainy, name: &str, field: &str) -> (NounDraft, brainy::Version) {
    let noun = block_on(db.get(name)).unwrap().unwrap();
    let Value::Object(mut fields) = noun.metadata.to_value() else { panic!("{noun:?}") };
    fields.insert(field.into(), json!(true));
    (NounDraft::new(noun.id, noun.kind).with_metadata(Metadata::new(&Value::Object(fields)).unwrap()), noun.version)
}

fn fields(db: &Brainy, name: &str) -> Map<String, Value> {
    let Value::Object(fields) = block_on(db.get(name)).unwrap().unwrap().metadata.to_value() else { panic!("metadata is an object") };
    fields
}

#[test]
fn c1_of_two_who_change_one_noun_from_one_version_the_second_is_told_and_both_changes_survive() {
    let (store, setup) = memory();
    let (gate, one) = gated(&store);
    let two = still(&store);
    for (n, when) in [When::Before, When::After].into_iter().enumerate() {
        let name = n.to_string();
        block_on(setup.put(thing(&name))).unwrap();
        block_on(one.refresh()).unwrap();
        block_on(two.refresh()).unwrap();
        let ((coloured, version), (sized, same)) = (with_field(&one, &name, "colour"), with_field(&two, &name, "size"));
        assert_eq!(version, same);
        // The first one's request is on its way when the second writes: before its effect, or after.
        gate.hold(Kind::Put, when);
        let colour = one.transaction().update_if_version(coloured, version).submit().unwrap();
        gate.until_standing();
        let sized = block_on(two.update_if_version(sized, version));
        gate.open();
        let coloured = block_on(colour.wait());
        let (won, lost) = if when == When::Before { (sized, coloured) } else { (coloured, sized) };
        won.unwrap();
        let Error::Conflict { reason, item, .. } = lost.unwrap_err() else { panic!("somebody must be told") };
        assert_eq!((reason, item.as_str()), (Reason::OtherVersion, &*format!("noun \"{name}\"")));
        // Who is told reads again and decides again.
        let (loser, field) = if when == When::Before { (&one, "colour") } else { (&two, "size") };
        block_on(loser.refresh()).unwrap();
        let (again, version) = with_field(loser, &name, field);
        block_on(loser.update_if_version(again, version)).unwrap();
        assert_eq!(fields(loser, &name).keys().collect::<Vec<_>>(), ["colour", "size"]);
    }
}

#[cfg(unix)]
#[test]
fn c2_a_process_killed_between_two_requests_of_a_write_leaves_all_of_it_or_nothing() {
    let mut met = Vec::new();
    for (when, puts) in [("before", 1), ("after", 1), ("before", 2), ("after", 2)] {
        let folder = Directory::new();
        let db = block_on(Brainy::builder(folder.url()).dimension(2).metric(Metric::L2).follow(false).create()).unwrap();
        let mut process = Process::start(&format!("stops {when} {puts} {}", folder.path().display()));
        met.push((when, process.says().unwrap()));
        process.kill();
        let later = block_on(Brainy::builder(folder.url()).follow(false).open()).unwrap();
        block_on(db.refresh()).unwrap();
        for reader in [&later, &db] {
            let reader = reader.with_freshness(Freshness::Local);
            let nouns = block_on(reader.get_many(&[id("one"), id("two")])).unwrap();
            let whole = nouns.iter().flatten().count() == 2;
            assert_eq!(nouns.iter().flatten().count(), if whole { 2 } else { 0 });
            for noun in nouns.iter().flatten() {
                assert_eq!((noun.kind.as_str(), noun.service.as_ref().unwrap().as_str()), ("thing", "s"));
            }
            let verbs = block_on(reader.verbs(&VerbQuery::all())).unwrap();
            assert_eq!(verbs.len(), usize::from(whole));
            if whole {
                assert_eq!(fields(&reader, "one")["text"].as_str().unwrap().len(), 100_000);
            }
            assert_eq!(whole, (when, puts) == ("after", 2), "the last request makes it so");
        }
        assert_eq!(block_on(later.digest()).unwrap(), block_on(db.digest()).unwrap());
    }
    let met: Vec<_> = met.iter().map(|(when, said)| (*when, said.as_str())).collect();
    assert_eq!(met, [("before", "stopped blob"), ("after", "stopped blob"), ("before", "stopped log"), ("after", "stopped log")]);
}

#[test]
fn c3_a_verb_to_a_noun_that_another_has_deleted_is_refused_by_name() {
    let (store, other) = memory();
    let (gate, one) = gated(&store);
    for name in ["n0", "n1", "n2"] {
        block_on(other.put(thing(name))).unwrap();
    }
    block_on(one.refresh()).unwrap();
    block_on(other.delete("n1", Incident::Restrict)).unwrap();
    assert!(block_on(one.get("n1")).unwrap().is_some(), "it has not heard of it");
    let refused = |error: Error, expected: Reason| {
        let Error::Conflict { reason, item, .. } = &error else { panic!("{error}") };
        assert_eq!((*reason, error.kind()), (expected, ErrorKind::NotFound), "{item}");
    };
    refused(block_on(one.relate(edge("n0", "n1"))).unwrap_err(), Reason::TargetMissing);
    // And while the verb is on its way already.
    gate.hold(Kind::Put, When::Before);
    let relate = one.transaction().relate(edge("n2", "n0")).submit().unwrap();
    gate.until_standing();
    block_on(other.delete("n2", Incident::Restrict)).unwrap();
    gate.open();
    refused(block_on(relate.wait()).unwrap_err(), Reason::SourceMissing);
    for db in [&one, &other, &still(&store)] {
        block_on(db.refresh()).unwrap();
        assert!(block_on(db.verbs(&VerbQuery::all())).unwrap().is_empty());
    }
}

#[test]
fn c4_a_deleted_noun_takes_its_verbs_with_it_or_is_not_deleted() {
    let (store, db) = memory();
    let other = still(&store);
    for (from, to) in [("hub", "a"), ("b", "hub"), ("hub", "hub"), ("a", "b")] {
        block_on(db.relate_creating(edge(from, to), crate::support::kind("thing"))).unwrap();
    }
    // Whoever deletes it has not seen all of them.
    let error = block_on(other.delete("hub", Incident::Restrict)).unwrap_err();
    assert!(matches!(error, Error::Conflict { reason: Reason::HasVerbs, .. }), "{error}");
    assert_eq!(block_on(db.with_freshness(Freshness::Latest).verbs(&VerbQuery::all())).unwrap().len(), 4);
    block_on(other.relate(edge("b", "a"))).unwrap();
    block_on(db.delete("hub", Incident::Detach)).unwrap();
    for db in [&db, &other, &still(&store)] {
        let db = db.with_freshness(Freshness::Latest);
        let left = block_on(db.verbs(&VerbQuery::all())).unwrap();
        let mut left: Vec<_> = left.iter().map(|verb| (verb.source.as_str(), verb.target.as_str())).collect();
        left.sort_unstable();
        assert_eq!(left, [("a", "b"), ("b", "a")]);
        assert!(block_on(db.verbs(&VerbQuery::all().with_source(id("hub")))).unwrap().is_empty());
        let walk = TraverseOptions::default().with_direction(Direction::Both);
        assert_eq!(block_on(db.traverse(&[id("a")], &walk)).unwrap().reached.len(), 1);
        let counted = block_on(db.statistics()).unwrap().statistics;
        assert_eq!((counted.nouns, counted.verbs, counted.deleted_verbs), (2, 2, 3));
    }
}

#[test]
fn c5_who_still_holds_a_noun_that_another_deleted_does_not_bring_it_back() {
    let (store, holder) = memory();
    let other = still(&store);
    block_on(holder.put(at("n1", [1.0, 0.0]))).unwrap();
    until_indexed(&holder);
    let (changed, version) = with_field(&holder, "n1", "colour");
    block_on(other.delete("n1", Incident::Restrict)).unwrap();
    let holder = holder.with_freshness(Freshness::Local);
    assert!(block_on(holder.get("n1")).unwrap().is_some(), "it has not heard of it");
    let before = objects(&*store);
    for precondition in [Precondition::Version(version), Precondition::Exists] {
        block_on(holder.refresh()).unwrap();
        let error = block_on(holder.transaction().put_with(changed.clone(), precondition).commit()).unwrap_err();
        assert!(matches!(error, Error::Conflict { reason: Reason::DoesNotExist, .. }), "{error}");
    }
    let added: Vec<_> = objects(&*store).into_keys().filter(|key| !before.contains_key(key)).collect();
    assert!(added.iter().all(|key| key.starts_with("log/")), "what was refused is a verdict in the log and nothing else: {added:?}");
    for db in [&holder, &other, &still(&store)] {
        block_on(db.refresh()).unwrap();
        assert_eq!(block_on(db.get("n1")).unwrap(), None);
        assert!(block_on(db.search(&Search::new([1.0, 0.0], 1))).unwrap().is_empty());
        assert_eq!(block_on(db.statistics()).unwrap().statistics.nouns, 0);
    }
}

#[test]
fn c6_a_handle_opened_anew_searches_what_the_one_before_searched() {
    const DIMENSION: usize = 8;
    let store: Arc<dyn Store> = Arc::new(InMemoryStore::new());
    let builder = || quiet(&store).dimension(DIMENSION);
    let entropy = SeededEntropy::new(6);
    let row = || Vector::new((0..DIMENSION).map(|_| entropy.fraction() as f32).collect::<Vec<_>>()).unwrap();
    let before = block_on(builder().create()).unwrap();
    for part in 0..12 {
        let mut transaction = before.transaction();
        for n in 0..100 {
            // The later parts move what the earlier ones made, and delete some of it.
            let name = ((part * 100 + n) % 900).to_string();
            transaction = match n % 10 {
                9 if part > 8 => transaction.delete(id(&name), Incident::Restrict),
                _ => transaction.put(thing(&name).with_vector(row())),
            };
        }
        block_on(transaction.commit()).unwrap();
    }
    let after = block_on(builder().open()).unwrap();
    until_indexed(&before);
    until_indexed(&after);
    let (mut found, mut wanted) = (0, 0);
    for _ in 0..50 {
        // Few candidates: else every vector would be compared.
        let search = Search::new(row().as_slice(), 10).with_ef_search(50);
        let exact = block_on(after.search(&search.clone().exact())).unwrap();
        assert_eq!(exact, block_on(before.search(&search.clone().exact())).unwrap());
        for db in [&before, &after] {
            let hits = block_on(db.search(&search)).unwrap();
            assert_eq!(hits.len(), 10);
            found += hits.iter().filter(|hit| hit.distance <= exact[9].distance).count();
            wanted += 10;
        }
    }
    assert!(found as f64 >= 0.98 * f64::from(wanted), "{found} of {wanted}");
}

#[test]
fn c7_a_store_that_does_not_answer_is_an_error_and_never_an_empty_store() {
    let store: Arc<dyn Store> = Arc::new(InMemoryStore::new());
    let clock = ManualClock::new();
    let gate = Gate::new(&store);
    let through: Arc<dyn Store> = Arc::<Gate>::clone(&gate);
    let builder = || quiet(&through).clock(Arc::new(clock.clone())).freshness(Freshness::Latest).probe(false);
    let db = block_on(builder().create()).unwrap();
    let full = db.transaction().put(at("a", [1.0, 0.0])).put(thing("b")).relate(edge("a", "b"));
    let op = block_on(full.commit()).unwrap().op;
    let before = objects(&*store);
    let unavailable = |what: &str, error: Option<Error>| {
        let error = error.unwrap_or_else(|| panic!("{what}: an answer, from a store that gives none"));
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{what}: {error}");
    };
    gate.refuse(Kind::Get);
    unavailable("get", elapse(&clock, db.get("a")).err());
    unavailable("get many", elapse(&clock, db.get_many(&[id("a")])).err());
    unavailable("scan", elapse(&clock, db.scan(None, 9, &ItemFilter::all())).err());
    unavailable("search", elapse(&clock, db.search(&Search::new([1.0, 0.0], 9))).err());
    unavailable("get verb", elapse(&clock, db.get_verb("x")).err());
    unavailable("verbs", elapse(&clock, db.verbs(&VerbQuery::all())).err());
    unavailable("traverse", elapse(&clock, db.traverse(&[id("a")], &TraverseOptions::default())).err());
    unavailable("statistics", elapse(&clock, db.statistics()).err());
    unavailable("digest", elapse(&clock, db.digest()).err());
    unavailable("refresh", elapse(&clock, db.refresh()).err());
    unavailable("a slot", elapse(&clock, db.log_slot(brainy::SequenceNumber::FIRST)).err());
    for mode in [Mode::ReadWrite, Mode::ReadOnly, Mode::WriteOnly, Mode::Frozen] {
        unavailable("open", elapse(&clock, builder().mode(mode).open()).err());
    }
    unavailable("peek", elapse(&clock, builder().peek()).err());
    // Above all, nothing is made where something may be.
    unavailable("create", elapse(&clock, builder().create()).err());
    unavailable("open or create", elapse(&clock, builder().open_or_create()).err());
    // A listing alone: whether there is more than was found.
    gate.refuse(Kind::List);
    unavailable("open without listings", elapse(&clock, builder().open()).err());
    gate.open();
    assert_eq!(objects(&*store), before);
    assert!(block_on(db.get("a")).unwrap().is_some() && block_on(db.resolve(op)).is_ok(), "it answers again as before");
    assert_eq!(block_on(db.search(&Search::new([1.0, 0.0], 9))).unwrap().len(), 1);
}

#[cfg(unix)]
#[test]
fn c8_what_a_process_was_told_is_there_though_it_was_killed_at_that_moment() {
    let folder = Directory::new();
    let reader = block_on(Brainy::create(&folder.url(), 2, Metric::L2)).unwrap().with_freshness(Freshness::Latest);
    // Two at a time, so that they are in each other's way too.
    for (life, after) in [1_usize, 3, 7, 10].into_iter().enumerate() {
        let start = |name: String| {
            let mut process = Process::start(&format!("adds {name} 1000000 s {}", folder.url()));
            assert_eq!(process.says().as_deref(), Some("ready"));
            (name, process)
        };
        let mut both = [start(format!("{life}a")), start(format!("{life}b"))];
        both.iter_mut().for_each(|(_, process)| process.go());
        for (name, mut process) in both {
            for n in 0..after {
                assert_eq!(process.says(), Some(format!("added {n}")));
            }
            let told = after + process.kill().len();
            for n in 0..told {
                let noun = block_on(reader.get(format!("{name}-{n}"))).unwrap();
                assert!(noun.is_some_and(|noun| noun.service.is_some()), "{name}-{n} was acknowledged");
            }
        }
    }
    let later = block_on(Brainy::builder(folder.url()).follow(false).open()).unwrap();
    assert_eq!(block_on(later.digest()).unwrap(), block_on(reader.digest()).unwrap());
}

#[test]
fn c9_who_opens_a_store_with_another_dimension_is_told_both_and_changes_nothing() {
    let (store, db) = memory();
    for n in 0..20 {
        block_on(db.put(super::numbered(n))).unwrap();
    }
    let before = objects(&*store);
    for mode in [Mode::ReadOnly, Mode::ReadWrite, Mode::WriteOnly, Mode::Frozen] {
        for dimension in [1, 3, 512] {
            let error = block_on(quiet(&store).mode(mode).dimension(dimension).open()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict);
            let text = error.to_string();
            assert!(text.contains("dimension 2") && text.contains(&format!("{dimension} was asked for")), "{text}");
        }
    }
    let error = block_on(quiet(&store).dimension(3).open_or_create()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    // Nor does one vector of another dimension, whoever sends it.
    let error = block_on(db.put(thing("0").with_vector(Vector::new([1.0, 2.0, 3.0]).unwrap()))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!(objects(&*store), before);
    assert_eq!(block_on(still(&store).statistics()).unwrap().statistics.noun_vectors, 20);
}

#[test]
fn c10_an_insert_costs_one_write_whatever_its_metadata_holds() {
    const DIMENSION: usize = 128;
    let store: Arc<dyn Store> = Arc::new(InMemoryStore::new());
    let db = block_on(quiet(&store).dimension(DIMENSION).create()).unwrap();
    let vector = Vector::new(vec![0.5; DIMENSION]).unwrap();
    let insert = |name: String, metadata: &Value| {
        let metadata = Metadata::new(metadata).unwrap();
        block_on(db.put(thing(&name).with_vector(vector.clone()).with_metadata(metadata))).unwrap();
    };
    insert("first of this writer".into(), &json!({}));
    let cost = |count: u64, metadata: &dyn Fn(u64) -> Value| {
        let before = db.usage();
        for n in 0..count {
            insert(n.to_string(), &metadata(n));
        }
        let asked = db.usage().since(&before);
        // And whoever creates slots looks every eight of them for what others left.
        assert_eq!((asked.put.requests(), asked.get.requests(), asked.delete.requests()), (count, 0, 0), "{asked}");
        assert!(asked.list.requests() <= count / 8 + 1, "{asked}");
        asked.put.bytes_up / count
    };
    let two_fields = cost(300, &|n| json!({"colour": format!("c{}", n % 7), "size": n}));
    // 512 bytes of it are the vector.
    assert!(two_fields < 1_024, "{two_fields} bytes an insert");
    // A list of 500 values is one value, in one object.
    let list = cost(50, &|n| json!({"tags": (0..500).map(|tag| tag + n).collect::<Vec<_>>()}));
    assert!(list < 512 * 1_024 / 50, "{list} bytes an insert");
    let at_once = thread::scope(|scope| {
        let before = db.usage();
        for part in 0..4 {
            let insert = &insert;
            scope.spawn(move || (0..50).for_each(|n| insert(format!("{part} {n}"), &json!({"tags": ["a", "b"]}))));
        }
        before
    });
    assert!(db.usage().since(&at_once).put.requests() <= 200, "those that come together share one");
}
