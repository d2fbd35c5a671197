//! L1 to L19: what one instance learns of what others wrote.
//!
//! Change entries lay under names made of clock times, were read from the beginning by one listing, applied as additions, and remembered by the reader's clock at
//! the end of its look; loading everything was done by one page or did not end.

use std::sync::Arc;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use brainy::storage::{InMemoryStore, Store};
use brainy::{Brainy, Freshness, Incident, ItemFilter, Metadata, Mode, Resolution, VerbQuery};
use brainy_core::{Clock, SystemClock};
use brainy_testkit::{Fault, FaultStore, Faults, ManualClock};
use futures_executor::block_on;
use serde_json::json;

use super::{Gate, Kind, Paged, When, Wrong, nearest, numbered, still, until_indexed};
use crate::support::{PATIENCE, at, edge, elapse, id, kind, memory, objects, quiet, slot_key, thing};

/// Every noun's name, page by page as a user would.
fn names(db: &Brainy, page: usize) -> Vec<String> {
    let (mut names, mut last) = (Vec::new(), None);
    loop {
        let found = block_on(db.scan(last.as_ref(), page, &ItemFilter::all())).unwrap();
        let Some(noun) = found.last() else { return names };
        last = Some(noun.id.clone());
        names.extend(found.into_iter().map(|noun| noun.id.to_string()));
        assert!(names.len() < 100_000, "the pages do not end");
    }
}

/// Both stand at the same place and hold the same.
fn assert_equal(one: &Brainy, two: &Brainy) {
    assert_eq!(block_on(one.digest()).unwrap(), block_on(two.digest()).unwrap());
}

#[test]
fn l1_what_others_add_becomes_searchable_by_looking_alone() {
    let store: Arc<dyn Store> = Arc::new(InMemoryStore::new());
    let clock = ManualClock::new();
    let writer = block_on(quiet(&store).create()).unwrap();
    // It never writes: its own count changes by what others do, or not at all.
    let follows = quiet(&store).follow(true).mode(Mode::ReadOnly).clock(Arc::new(clock.clone())).freshness(Freshness::Local);
    let reader = block_on(follows.open()).unwrap();
    for n in 0..10 {
        block_on(writer.put(numbered(n))).unwrap();
    }
    let started = SystemClock.now();
    while reader.position() != writer.position() {
        assert!(SystemClock.now().since(started) < PATIENCE, "it never looks");
        clock.advance_to_next();
        thread::yield_now();
    }
    for n in 0..10 {
        assert_eq!(block_on(nearest(&reader, [n as f32, 0.1], 1)), [n.to_string()]);
    }
}

#[test]
fn l2_what_others_add_is_found_under_its_own_id_and_nothing_else_appears() {
    let (store, writer) = memory();
    let reader = still(&store);
    for n in 0..10 {
        block_on(writer.put(numbered(n))).unwrap();
    }
    block_on(reader.refresh()).unwrap();
    until_indexed(&reader);
    let mut all = block_on(nearest(&reader, [0.0, 0.0], 100));
    assert_eq!(all, (0..10).map(|n| n.to_string()).collect::<Vec<_>>(), "nearest first, each once");
    all.sort();
    assert_eq!(names(&reader, 3), all);
    for n in 0..10 {
        assert_eq!(block_on(reader.get(n.to_string())).unwrap().unwrap().vector, numbered(n).vector);
    }
}

#[test]
fn l3_a_look_reads_only_what_is_new_however_long_the_log() {
    let (store, writer) = memory();
    for n in 0..310 {
        block_on(writer.put(numbered(n))).unwrap();
    }
    for n in 0..20 {
        block_on(writer.relate(edge(&n.to_string(), "300"))).unwrap();
    }
    let reader = still(&store);
    let looked = |requests: u64, slots: &[u64]| {
        let before = reader.usage();
        block_on(reader.refresh()).unwrap();
        let asked = reader.usage().since(&before);
        let bytes: usize = slots.iter().map(|seq| objects(&*store)[&slot_key(*seq)].len()).sum();
        assert_eq!((asked.requests(), asked.get.requests(), asked.get.bytes_down), (requests, requests, bytes as u64), "{asked}");
    };
    looked(1, &[]);
    block_on(writer.put(thing("new"))).unwrap();
    looked(2, &[331]);
    for n in 0..10 {
        block_on(writer.put(numbered(1_000 + n))).unwrap();
    }
    // Some numbers behind the tail are asked for at the same time as those before it.
    let before = reader.usage();
    block_on(reader.refresh()).unwrap();
    let asked = reader.usage().since(&before).get;
    assert!(asked.done == 10 && asked.absent <= 10, "{asked:?}");
    looked(1, &[]);
}

#[test]
fn l4_a_reader_that_is_two_thousand_and_one_entries_behind_gets_them_all_from_pages_of_a_thousand() {
    let (store, writer) = memory();
    let reader = still(&Paged::over(&store, 1_000));
    for n in 0..2_000 {
        block_on(writer.put(thing(&(n % 50).to_string()))).unwrap();
    }
    block_on(writer.put(at("the newest", [1.0, 0.0]))).unwrap();
    block_on(reader.refresh()).unwrap();
    assert_eq!(reader.position().seq, 2_001);
    assert!(reader.usage().list.done >= 3, "by listing");
    assert_eq!(block_on(nearest(&reader, [1.0, 0.0], 1)), ["the newest"]);
    assert_equal(&reader, &writer);
}

#[test]
fn l6_a_delete_that_is_logged_during_a_look_is_applied_by_the_next() {
    let store: Arc<dyn Store> = Arc::new(InMemoryStore::new());
    let clock = ManualClock::new();
    let writer = block_on(quiet(&store).clock(Arc::new(clock.clone())).create()).unwrap();
    block_on(writer.put(at("a", [1.0, 0.0]))).unwrap();
    let gate = Gate::new(&store);
    let through: Arc<dyn Store> = Arc::<Gate>::clone(&gate);
    let reader = block_on(quiet(&through).clock(Arc::new(clock.clone())).freshness(Freshness::Local).open()).unwrap();
    gate.hold(Kind::Get, When::After);
    thread::scope(|scope| {
        let look = scope.spawn(|| block_on(reader.refresh()).unwrap());
        gate.until_standing();
        // The store has answered "nothing new"; the look ends later than the delete.
        let deleted = block_on(writer.delete("a", Incident::Restrict)).unwrap();
        clock.advance(Duration::from_secs(5));
        gate.open();
        assert!(look.join().unwrap().seq < deleted.version.seq.get(), "it came during the look");
    });
    assert!(block_on(reader.get("a")).unwrap().is_some());
    block_on(reader.refresh()).unwrap();
    assert_eq!(block_on(reader.get("a")).unwrap(), None);
    assert!(block_on(nearest(&reader, [1.0, 0.0], 1)).is_empty());
}

#[test]
fn l7_what_writers_with_wrong_clocks_write_is_not_passed_over() {
    let store: Arc<dyn Store> = Arc::new(InMemoryStore::new());
    let clock = ManualClock::new();
    let right = block_on(quiet(&store).clock(Arc::new(clock.clone())).create()).unwrap();
    let reader = still(&store);
    let mut made = 0;
    for off_ms in [-5_000, 5_000, -1, -1_700_000_000_000, 4_000_000_000_000, 0] {
        let wrong = Wrong { clock: clock.clone(), off_ms };
        let writer = block_on(quiet(&store).clock(Arc::new(wrong)).open()).unwrap();
        for by in [&right, &writer, &right] {
            clock.advance(Duration::from_secs(1));
            block_on(by.put(numbered(made))).unwrap();
            block_on(reader.refresh()).unwrap();
            assert_eq!(block_on(nearest(&reader, [made as f32, 0.0], 1)), [made.to_string()], "a clock off by {off_ms} ms");
            made += 1;
        }
    }
    assert_equal(&reader, &right);
}

#[test]
fn l8_a_slow_write_that_a_later_one_overtook_is_seen_when_it_arrives() {
    let store: Arc<dyn Store> = Arc::new(InMemoryStore::new());
    let clock = ManualClock::new();
    let builder = |store: &Arc<dyn Store>| quiet(store).clock(Arc::new(clock.clone())).freshness(Freshness::Local);
    let fast = block_on(builder(&store).create()).unwrap();
    let reader = block_on(builder(&store).open()).unwrap();
    for when in [When::Before, When::After] {
        let gate = Gate::new(&store);
        let through: Arc<dyn Store> = Arc::<Gate>::clone(&gate);
        let slow = block_on(builder(&through).open()).unwrap();
        gate.hold(Kind::Put, when);
        let commit = slow.transaction().put(thing(&format!("slow {when:?}"))).submit().unwrap();
        gate.until_standing();
        clock.advance(Duration::from_secs(2));
        block_on(fast.put(thing(&format!("fast {when:?}")))).unwrap();
        block_on(reader.refresh()).unwrap();
        assert!(block_on(reader.get(format!("fast {when:?}"))).unwrap().is_some());
        gate.open();
        block_on(commit.wait()).unwrap();
        block_on(reader.refresh()).unwrap();
        assert!(block_on(reader.get(format!("slow {when:?}"))).unwrap().is_some(), "{when:?}");
        block_on(slow.refresh()).unwrap();
        assert_equal(&reader, &slow);
    }
}

#[test]
fn l9_an_add_and_a_delete_in_one_millisecond_have_one_order_for_everybody() {
    let store: Arc<dyn Store> = Arc::new(InMemoryStore::new());
    let clock = ManualClock::new();
    let builder = || quiet(&store).clock(Arc::new(clock.clone())).freshness(Freshness::Local);
    let (adds, deletes) = (block_on(builder().create()).unwrap(), block_on(builder().open()).unwrap());
    let stepwise = still(&store);
    let (mut there, mut gone) = (0, 0);
    for n in 0..100 {
        let name = n.to_string();
        let begun = |add: bool| match add {
            true => adds.transaction().put(numbered(n)).submit().unwrap(),
            false => deletes.transaction().delete(id(&name), Incident::Restrict).submit().unwrap(),
        };
        // Both are on their way at the same time, in either order.
        let (one, two) = (begun(n % 2 == 0), begun(n % 2 == 1));
        let (one, two) = (block_on(one.wait()).unwrap(), block_on(two.wait()).unwrap());
        let (added, deleted) = if n % 2 == 0 { (one, two) } else { (two, one) };
        block_on(stepwise.refresh()).unwrap();
        let expected = added.version > deleted.version;
        assert_eq!(block_on(stepwise.get(&name)).unwrap().is_some(), expected, "as the log orders them");
        if expected { there += 1 } else { gone += 1 }
    }
    assert_eq!(clock.now().since_origin(), Duration::ZERO, "all in one millisecond");
    // And together, by one handle: in the order in which they were handed over.
    for n in 100..120 {
        let add = adds.transaction().put(numbered(n)).submit().unwrap();
        let delete = adds.transaction().delete(id(&n.to_string()), Incident::Restrict).submit().unwrap();
        block_on(add.wait()).unwrap();
        block_on(delete.wait()).unwrap();
        gone += 1;
    }
    let later = block_on(builder().open()).unwrap();
    for reader in [&stepwise, &later, &adds, &deletes] {
        block_on(reader.refresh()).unwrap();
        assert_eq!((names(reader, 7).len(), there + gone), (there, 120));
        assert_equal(reader, &later);
    }
}

/// A transaction over the inline limit: its bytes go to an object of their own, before the slot.
fn large(db: &Brainy) -> brainy::TransactionBuilder {
    let metadata = Metadata::new(&json!({"text": "x".repeat(100_000)})).unwrap();
    db.transaction().put(thing("large").with_metadata(metadata)).put(at("second", [1.0, 0.0])).relate(edge("large", "second"))
}

fn all_lost() -> Faults {
    let mut faults = Faults::default();
    faults.lost_before = 1_000;
    faults
}

#[test]
fn l10_whichever_request_of_a_write_fails_or_is_its_last_the_writer_and_its_peers_say_the_same() {
    let mut seen_of_the_dead = [0, 0];
    for passed in 0..6 {
        for fault in [Fault::LostBefore, Fault::LostAfter, Fault::Refused, Fault::Repeated, Fault::Late(2)] {
            for dies in [false, true] {
                let inner: Arc<dyn Store> = Arc::new(InMemoryStore::new());
                let clock = ManualClock::new();
                let peer = block_on(quiet(&inner).freshness(Freshness::Local).create()).unwrap();
                let faults = Arc::new(FaultStore::scripted(Arc::clone(&inner), []));
                let lossy: Arc<dyn Store> = Arc::<FaultStore>::clone(&faults);
                let writer = block_on(quiet(&lossy).clock(Arc::new(clock.clone())).open()).unwrap();
                faults.script(std::iter::repeat_n(Fault::None, passed).chain([fault]));
                if dies {
                    faults.set_faults(all_lost());
                }
                let mut commit = large(&writer).submit().unwrap();
                let op = elapse(&clock, commit.op_id());
                let told = elapse(&clock, commit.wait());
                drop(writer);
                block_on(faults.land());
                block_on(peer.refresh()).unwrap();
                let seen = block_on(peer.get("large")).unwrap().is_some();
                let place = format!("{fault:?} after {passed} requests, the last: {dies}");
                assert!(seen || told.is_err(), "{place}: acknowledged, and nobody is told");
                assert!(dies || told.is_ok(), "{place}: {told:?}");
                assert_eq!(block_on(peer.get("second")).unwrap().is_some(), seen, "{place}");
                assert_eq!(block_on(peer.verbs(&VerbQuery::all())).unwrap().len(), usize::from(seen), "{place}");
                assert_equal(&peer, &still(&inner));
                if let Some(op) = op {
                    // What a peer sees is what becomes of it, for ever.
                    let resolved = block_on(peer.resolve(op)).unwrap();
                    assert_eq!(matches!(resolved, Resolution::Committed(_)), seen, "{place}: {resolved:?}");
                    assert_eq!(matches!(resolved, Resolution::Rejected(_)), !seen, "{place}: {resolved:?}");
                    assert_eq!(block_on(peer.get("large")).unwrap().is_some(), seen, "{place}");
                }
                if dies {
                    seen_of_the_dead[usize::from(seen)] += 1;
                }
            }
        }
    }
    assert!(seen_of_the_dead.iter().all(|count| *count > 3), "some died before and some after it took effect: {seen_of_the_dead:?}");
}

#[test]
fn l11_a_vector_that_another_overwrote_is_not_found_at_its_old_place() {
    let (store, writer) = memory();
    for n in 0..50 {
        block_on(writer.put(numbered(n))).unwrap();
    }
    let reader = still(&store);
    until_indexed(&reader);
    block_on(writer.put(at("7", [-100.0, 0.0]))).unwrap();
    block_on(reader.refresh()).unwrap();
    // Before and after the index has caught up.
    for _ in 0..2 {
        assert_eq!(block_on(nearest(&reader, [7.1, 0.0], 2)), ["8", "6"]);
        assert_eq!(block_on(nearest(&reader, [-100.0, 0.0], 1)), ["7"]);
        assert_eq!(block_on(nearest(&reader, [0.0, 0.0], 100)).len(), 50, "each once");
        until_indexed(&reader);
    }
}

#[test]
fn l12_a_writer_does_not_take_in_its_own_writes_again() {
    let (store, writer) = memory();
    // In one process, so with one process id.
    let other = still(&store);
    for n in 0..10 {
        block_on(writer.put(numbered(n))).unwrap();
    }
    until_indexed(&writer);
    let (before, digest) = (writer.usage(), block_on(writer.digest()).unwrap());
    for _ in 0..5 {
        block_on(writer.refresh()).unwrap();
    }
    let asked = writer.usage().since(&before);
    assert_eq!((asked.get.done, asked.get.absent, asked.requests()), (0, 5, 5), "{asked}");
    assert_eq!((writer.index_pending(), block_on(writer.digest()).unwrap()), (0, digest));
    assert_eq!(block_on(nearest(&writer, [0.0, 0.0], 100)).len(), 10, "each once");
    block_on(other.refresh()).unwrap();
    assert_equal(&other, &writer);
}

#[test]
fn l13_an_insert_with_metadata_is_one_entry_and_learning_that_nothing_changed_one_request_without_a_body() {
    let (store, writer) = memory();
    for n in 0..70 {
        block_on(writer.put(numbered(n).with_metadata(Metadata::new(&json!({"a": n, "b": "text"})).unwrap()))).unwrap();
    }
    for n in 0..8 {
        block_on(writer.relate(edge(&n.to_string(), "60"))).unwrap();
    }
    assert_eq!(writer.position().seq, 78);
    assert_eq!(objects(&*store).len(), 78 + 2, "one object each");
    let reader = still(&store);
    for db in [&reader, &writer] {
        let before = db.usage();
        block_on(db.refresh()).unwrap();
        let asked = db.usage().since(&before);
        assert_eq!((asked.requests(), asked.get.absent, asked.get.bytes_down), (1, 1, 0), "{asked}");
    }
}

#[test]
fn l14_a_burst_of_two_hundred_adds_reaches_a_peer_whole() {
    let (store, writer) = memory();
    let peer = still(&store);
    thread::scope(|scope| {
        for part in 0..4 {
            let writer = &writer;
            scope.spawn(move || {
                // Fifty wait at the same time, and nobody for one of them before all are handed over.
                let adds: Vec<_> = (0..50).map(|n| writer.transaction().put(numbered(part * 50 + n)).submit().unwrap()).collect();
                for add in adds {
                    block_on(add.wait()).unwrap();
                }
            });
        }
    });
    assert!(writer.position().seq < 100, "they came in groups: {}", writer.position().seq);
    block_on(peer.refresh()).unwrap();
    let mut expected: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    assert_eq!(block_on(nearest(&peer, [0.0, 0.0], 1_000)), expected);
    expected.sort();
    assert_eq!(names(&peer, 64), expected);
    assert_equal(&peer, &writer);
}

#[test]
fn l15_the_first_look_after_opening_starts_where_opening_ended() {
    let (store, writer) = memory();
    // Each was deleted after it was made, and made again: to apply the deletes once more would be wrong.
    for round in 0..30 {
        for n in 0..5 {
            block_on(writer.put(numbered(n))).unwrap();
            if round < 29 {
                block_on(writer.delete(n.to_string(), Incident::Restrict)).unwrap();
            }
        }
    }
    let reader = still(&Paged::over(&store, 100));
    assert_eq!(reader.position(), writer.position());
    for _ in 0..2 {
        let before = reader.usage();
        block_on(reader.refresh()).unwrap();
        let asked = reader.usage().since(&before);
        assert_eq!((asked.requests(), asked.get.bytes_down), (1, 0), "{asked}");
        assert_eq!(names(&reader, 10), ["0", "1", "2", "3", "4"]);
        assert_eq!(block_on(nearest(&reader, [0.0, 0.0], 10)), ["0", "1", "2", "3", "4"]);
        assert_equal(&reader, &writer);
    }
}

#[test]
fn l16_a_reader_that_catches_up_from_far_behind_loses_what_was_deleted_too() {
    let (store, writer) = memory();
    for n in 0..60 {
        block_on(writer.put(numbered(n))).unwrap();
    }
    for n in 0..10 {
        block_on(writer.relate(edge(&n.to_string(), "59"))).unwrap();
    }
    let reader = still(&store);
    until_indexed(&reader);
    for n in 0..30 {
        block_on(writer.delete(n.to_string(), Incident::Detach)).unwrap();
    }
    for n in 0..120 {
        block_on(writer.put(at(&(30 + n % 30).to_string(), [n as f32, 5.0]))).unwrap();
    }
    let before = reader.usage();
    block_on(reader.refresh()).unwrap();
    assert!(reader.usage().since(&before).list.done > 0, "too far for asking one by one");
    for _ in 0..2 {
        for n in 0..30 {
            assert_eq!(block_on(reader.get(n.to_string())).unwrap(), None);
        }
        assert_eq!(names(&reader, 100).len(), 30);
        let found = block_on(nearest(&reader, [0.0, 0.0], 100));
        assert!(found.len() == 30 && found.iter().all(|name| name.parse::<usize>().unwrap() >= 30), "{found:?}");
        assert!(block_on(reader.verbs(&VerbQuery::all())).unwrap().is_empty());
        until_indexed(&reader);
    }
    assert_equal(&reader, &writer);
}

#[test]
fn l17_opening_ends_after_as_many_requests_as_there_are_slots_and_pages() {
    let (store, writer) = memory();
    for n in 0..160 {
        block_on(writer.put(numbered(n))).unwrap();
    }
    for page in [100, 10, 1_000] {
        let reader = block_on(quiet(&Paged::over(&store, page)).probe(false).freshness(Freshness::Local).open()).unwrap();
        let asked = reader.usage();
        let pages = 160 / page as u64 + 1;
        // Around them: what the store is, whether it is there still, and where the log ends.
        assert!(asked.get.done <= 160 + 5 && asked.get.absent <= 40 && asked.list.done <= pages + 2, "{asked}");
        assert_eq!(names(&reader, page).len(), 160, "and so does reading page by page");
        assert_equal(&reader, &writer);
    }
}

#[test]
fn l18_opening_a_store_of_thirteen_hundred_loads_thirteen_hundred() {
    let (store, writer) = memory();
    for n in 0..1_300 {
        block_on(writer.put(numbered(n))).unwrap();
    }
    for page in [100, 1_000] {
        let reader = still(&Paged::over(&store, page));
        assert_eq!(block_on(reader.statistics()).unwrap().statistics.nouns, 1_300);
        assert_eq!(names(&reader, page).len(), 1_300);
        assert_eq!(block_on(nearest(&reader, [0.0, 0.0], 2_000)).len(), 1_300);
        assert_eq!(block_on(nearest(&reader, [1_299.0, 0.0], 1)), ["1299"]);
    }
    let reader = still(&Paged::over(&store, 1_000));
    block_on(reader.clear(reader.store_id())).unwrap();
    assert_eq!(block_on(reader.statistics()).unwrap().statistics.nouns, 0, "and clears them all");
    assert!(names(&reader, 1_000).is_empty());
}

#[test]
fn l19_looks_that_overlap_read_each_entry_once_and_pass_over_none() {
    let (store, writer) = memory();
    block_on(writer.relate_creating(edge("a", "b"), kind("stub"))).unwrap();
    let gate = Gate::new(&store);
    let through: Arc<dyn Store> = Arc::<Gate>::clone(&gate);
    let reader = block_on(quiet(&through).freshness(Freshness::Local).open()).unwrap();
    let before = reader.usage();
    for round in 0..3 {
        gate.hold(Kind::Get, When::After);
        thread::scope(|scope| {
            let first = scope.spawn(|| block_on(reader.refresh()).unwrap());
            gate.until_standing();
            // The first look was told "nothing new" and has not ended yet; now there is something, and eight more looks begin.
            for n in 0..3 {
                block_on(writer.put(numbered(round * 3 + n))).unwrap();
            }
            let mut looks: Vec<_> = (0..8).map(|_| Box::pin(reader.refresh())).collect();
            for look in &mut looks {
                assert!(look.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            }
            gate.open();
            first.join().unwrap();
            for look in looks {
                assert_eq!(block_on(look).unwrap(), writer.position(), "it was asked for after the writes");
            }
        });
        let asked = reader.usage().since(&before);
        assert_eq!(asked.get.done, 3 * (round as u64 + 1), "each entry is read once: {asked}");
        assert!(asked.get.absent >= 2 * (round as u64 + 1), "the first look was told that there is nothing: {asked}");
        assert!(asked.requests() <= (round as u64 + 1) * (3 + 9), "{asked}");
    }
    assert_eq!(block_on(reader.statistics()).unwrap().statistics.nouns, 2 + 9);
    assert_equal(&reader, &writer);
}
