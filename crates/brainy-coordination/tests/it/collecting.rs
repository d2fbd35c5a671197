//! What collection promises: what somebody needs stays, what nobody needs goes, and a log that was cut short goes on.

use std::sync::Arc;
use std::time::Duration;

use brainy_coordination::{
    ChangeLog, CollectOptions, CollectReport, Collector, Constants, Environment, Error, LogOptions, Outcome, Pin, ProtocolOperation,
    Transaction, Truncation, find_tail,
};
use brainy_core::SeededEntropy;
use brainy_storage::{Get, GetOptions, InMemoryStore, Key, Precondition, Prefix, Store};
use brainy_testkit::ManualClock;
use futures_util::future::{Either, select};

use crate::driving::{add, commit, driven, seq, slot_key};
use crate::register::{Change, Register};
use crate::stores::{Cut, Last, Slow, environment, made, opened, within};

const GRACE: Duration = Duration::from_millis(Constants::GRACE_MS);
const BOTH: [Truncation; 2] = [Truncation::Delete, Truncation::Tombstone];

/// A store whose replies carry time.
fn timed(truncation: Truncation, seed: u64) -> (InMemoryStore, ManualClock, Environment) {
    let clock = ManualClock::new();
    let store = InMemoryStore::new().with_store_clock(Arc::new(clock.clone()));
    let environment = environment(Arc::new(store.clone()), &clock, seed);
    let mut constants = Constants::new(truncation);
    constants.inline_bytes = 1_024;
    clock.run(made(&environment, constants));
    (store, clock, environment)
}

fn another(store: &InMemoryStore, clock: &ManualClock, seed: u64) -> Environment {
    environment(Arc::new(store.clone()), clock, seed)
}

fn truncating() -> CollectOptions {
    CollectOptions::default().with_truncate(true).with_retain_slots(0)
}

async fn keys(store: &InMemoryStore, folder: &str) -> Vec<String> {
    let limit = std::num::NonZeroUsize::new(100_000).unwrap();
    let prefix = if folder.is_empty() { Prefix::root() } else { Prefix::new(folder).unwrap() };
    let page = store.list(&prefix, None, limit).await.unwrap().value;
    page.entries.into_iter().map(|entry| entry.key.to_string()).collect()
}

async fn some(log: &ChangeLog<Register>, count: i64) {
    for by in 1..=count {
        commit(log, &add(by)).await;
    }
}

async fn publish(log: &ChangeLog<Register>) -> u64 {
    log.publish_snapshot(within(log.environment(), 600)).await.unwrap().manifest.seq
}

async fn round(collector: &mut Collector<Register>, log: &ChangeLog<Register>) -> CollectReport {
    collector.round(within(log.environment(), 600)).await.unwrap()
}

/// Raises the boundary to the newest snapshot and removes what is before it.
async fn truncate(log: &ChangeLog<Register>, clock: &ManualClock) -> CollectReport {
    let mut collector = Collector::new(log, truncating()).unwrap();
    round(&mut collector, log).await;
    clock.advance(GRACE);
    round(&mut collector, log).await
}

#[test]
fn a_log_that_was_cut_short_is_opened_from_its_snapshot_and_goes_on() {
    for truncation in BOTH {
        let (store, clock, environment) = timed(truncation, 1);
        clock.run(async {
            let log = opened(&environment).await;
            driven(&log, async {
                some(&log, 5).await;
                let behind = opened(&another(&store, &clock, 2)).await;
                some(&log, 40).await;
                let published = publish(&log).await;
                some(&log, 3).await;
                let report = truncate(&log, &clock).await;
                assert_eq!((report.boundary, report.collected), (published, published), "{truncation:?}");
                if truncation == Truncation::Delete {
                    assert_eq!(keys(&store, "log").await.first(), Some(&slot_key(published + 1).to_string()));
                }
                let fresh = opened(&another(&store, &clock, 3)).await;
                assert_eq!(fresh.digests().await.unwrap(), log.digests().await.unwrap(), "{truncation:?}");
                // A handle that stood in the collected stretch finds the state, too, and none of its own writes goes there.
                driven(&behind, async {
                    let receipt = commit(&behind, &add(7)).await;
                    assert!(receipt.version.seq.get() > log.position().seq, "{truncation:?}: {receipt:?}");
                    log.refresh(within(&environment, 60)).await.unwrap();
                    assert_eq!(behind.digests().await.unwrap(), log.digests().await.unwrap());
                })
                .await;
                let tail = find_tail(&environment, seq(1), within(&environment, 60)).await.unwrap().unwrap();
                assert_eq!(tail.header.seq.get(), log.position().seq);
                // Another round, by a collector that knows nothing, finds nothing more but the snapshot it may not touch.
                let again = truncate(&log, &clock).await;
                assert_eq!((again.slots.objects, again.segments.objects), (0, 0), "{again:?}");
            })
            .await;
        });
    }
}

#[test]
fn inv_26_slots_stay_for_a_grace_after_this_very_collector_saw_the_boundary() {
    let (store, clock, environment) = timed(Truncation::Delete, 4);
    clock.run(async {
        let log = opened(&environment).await;
        driven(&log, async {
            some(&log, 10).await;
            publish(&log).await;
            let mut first = Collector::new(&log, truncating()).unwrap();
            let report = round(&mut first, &log).await;
            assert_eq!((report.slots.objects, report.next), (0, Some(GRACE)), "INV-26: {report:?}");
            clock.advance(GRACE / 2);
            some(&log, 10).await;
            let newer = publish(&log).await;
            // A second one raises the boundary further; the first may delete what it waited for, and no more.
            let mut second = Collector::new(&log, truncating()).unwrap();
            assert_eq!(round(&mut second, &log).await.boundary, newer);
            clock.advance(GRACE / 2);
            let report = round(&mut first, &log).await;
            assert!(report.collected < newer && report.slots.objects == report.collected, "INV-26: {report:?}");
            assert_eq!(round(&mut second, &log).await.slots.objects, 0, "INV-26: what another one saw counts for nothing");
            assert!(keys(&store, "log").await.contains(&slot_key(newer).to_string()));
        })
        .await;
    });
}

#[test]
fn inv_9_nobody_is_told_of_a_commit_in_a_collected_stretch() {
    let (store, clock, environment) = timed(Truncation::Delete, 5);
    clock.run(async {
        let log = opened(&environment).await;
        let sleeper = opened(&another(&store, &clock, 6)).await;
        driven(&log, async {
            some(&log, 10).await;
            publish(&log).await;
            truncate(&log, &clock).await;
            assert!(!keys(&store, "log").await.contains(&slot_key(1).to_string()));
            driven(&sleeper, async {
                let receipt = commit(&sleeper, &Change::Add("late".into(), 1).transaction(1)).await;
                assert!(receipt.version.seq.get() > 10, "INV-9: {receipt:?}");
            })
            .await;
            log.refresh(within(&environment, 60)).await.unwrap();
            assert_eq!(log.machine().get("late"), 1);
            // If it made a ghost, the next round sweeps it.
            truncate(&log, &clock).await;
            assert!(keys(&store, "log").await.iter().all(|key| *key > slot_key(10).to_string()));
        })
        .await;
    });
}

#[test]
fn inv_9_what_a_ghost_of_ones_own_said_is_not_told() {
    // While the reply to its create is on its way, another task of the same handle reads the slot that was made in the collected stretch, and then learns that it was.
    for seed in 0..20 {
        let (store, clock, environment) = timed(Truncation::Delete, 5);
        clock.run(async {
            let log = opened(&environment).await;
            let slow = Slow { inner: Arc::new(store.clone()), clock: clock.clone(), entropy: SeededEntropy::new(seed) };
            let sleeper = opened(&crate::stores::environment(Arc::new(slow), &clock, seed)).await;
            driven(&sleeper, async {
                commit(&sleeper, &add(1)).await;
                driven(&log, async {
                    some(&log, 10).await;
                    publish(&log).await;
                    truncate(&log, &clock).await;
                    let change = Change::Add("late".into(), 1).transaction(1);
                    let committing = std::pin::pin!(commit(&sleeper, &change));
                    let looking = std::pin::pin!(async {
                        environment.clock.sleep(Duration::from_millis(seed)).await;
                        loop {
                            sleeper.refresh(within(&environment, 60)).await.unwrap();
                        }
                    });
                    let Either::Left((receipt, _)) = select(committing, looking).await;
                    assert!(receipt.version.seq.get() > 11, "INV-9: seed {seed}: {receipt:?}");
                })
                .await;
                log.refresh(within(&environment, 60)).await.unwrap();
                assert_eq!(log.machine().get("late"), 1, "seed {seed}");
            })
            .await;
        });
    }
}

#[test]
fn inv_27_what_a_fork_names_stays_until_the_fork_is_gone() {
    for truncation in BOTH {
        let (store, clock, environment) = timed(truncation, 23);
        clock.run(async {
            let log = opened(&environment).await;
            driven(&log, async {
                some(&log, 3).await;
                let forked = log.publish_snapshot(within(&environment, 600)).await.unwrap().manifest;
                let child = brainy_core::StoreId::from_bytes([9; 16]);
                let operation = ProtocolOperation::Forked { child, manifest: forked.to_string() };
                commit(&log, &Transaction::protocol(operation)).await;
                some(&log, 3).await;
                publish(&log).await;
                truncate(&log, &clock).await;
                let there = async || {
                    let (manifests, segments) = (keys(&store, "manifest").await, keys(&store, "segment").await);
                    (manifests.contains(&forked.to_string()), segments.len())
                };
                assert_eq!(there().await, (true, 2), "INV-27: {truncation:?}");
                commit(&log, &Transaction::protocol(ProtocolOperation::Unforked { child })).await;
                some(&log, 3).await;
                publish(&log).await;
                truncate(&log, &clock).await;
                assert_eq!(there().await, (false, 1), "{truncation:?}");
            })
            .await;
        });
    }
}

async fn pin(log: &ChangeLog<Register>, seconds: u64) -> Pin {
    log.pin("a long scan", Duration::from_secs(seconds), within(log.environment(), 60)).await.unwrap()
}

#[test]
fn inv_27_what_a_pin_or_a_tag_holds_stays_until_it_is_let_go() {
    for truncation in BOTH {
        let (store, clock, environment) = timed(truncation, 7);
        clock.run(async {
            let log = opened(&environment).await;
            let deadline = within(&environment, 1 << 30);
            driven(&log, async {
                assert!(matches!(log.tag("first", "", deadline).await, Err(Error::NoSnapshot { .. })));
                some(&log, 3).await;
                publish(&log).await;
                let (mut pinned, tag) = (pin(&log, 7_200).await, log.tag("first", "as it began", deadline).await.unwrap());
                assert_eq!(pinned.manifest(), tag.manifest);
                some(&log, 3).await;
                publish(&log).await;
                truncate(&log, &clock).await;
                let there = async || keys(&store, "manifest").await.contains(&tag.manifest.to_string());
                assert!(there().await, "INV-27: {truncation:?}");
                log.untag("first", deadline).await.unwrap();
                assert_eq!(log.tags(deadline).await.unwrap(), []);
                pinned.renew(deadline).await.unwrap();
                truncate(&log, &clock).await;
                assert!(there().await && keys(&store, "segment").await.len() == 2, "INV-27: {truncation:?}");
                assert_eq!(log.pins(deadline).await.unwrap().len(), 1);
                pinned.release(deadline).await.unwrap();
                truncate(&log, &clock).await;
                assert!(!there().await && keys(&store, "segment").await.len() == 1, "{truncation:?}");
                assert!(keys(&store, "pin").await.is_empty());
                for name in ["", "A", "a/b", &"x".repeat(65)] {
                    assert!(matches!(log.tag(name, "", deadline).await, Err(Error::Option { field: "tag", .. })), "{name:?}");
                }
            })
            .await;
        });
    }
}

#[test]
fn a_pin_that_nobody_renews_is_ended_by_its_mark_and_its_reader_is_told() {
    let (store, clock, environment) = timed(Truncation::Delete, 8);
    clock.run(async {
        let log = opened(&environment).await;
        let deadline = within(&environment, 1 << 30);
        driven(&log, async {
            some(&log, 3).await;
            publish(&log).await;
            let (mut renewed, mut left) = (pin(&log, 60).await, pin(&log, 60).await);
            let mut collector = Collector::new(&log, truncating()).unwrap();
            round(&mut collector, &log).await;
            for _ in 0..3 {
                clock.advance(Duration::from_secs(20));
                renewed.renew(deadline).await.unwrap();
            }
            assert_eq!(round(&mut collector, &log).await.pins.objects, 0, "a whole ttl and its share of drift are waited for");
            clock.advance(Duration::from_secs(1));
            assert_eq!(round(&mut collector, &log).await.pins.objects, 1);
            assert!(!left.is_young() && matches!(left.renew(deadline).await, Err(Error::NotHeld { .. })));
            renewed.renew(deadline).await.unwrap();
            assert_eq!(keys(&store, "pin").await, [renewed.key()]);
        })
        .await;
    });
}

/// A transaction whose batch lies in a blob.
fn large(unique: u64) -> Transaction {
    Change::Add("x".repeat(2_000), 1).transaction(unique)
}

/// A handle that does `work` and dies at its `requests`-th request from then on.
async fn dies<F: Future>(
    store: &InMemoryStore,
    clock: &ManualClock,
    seed: u64,
    requests: u64,
    work: impl FnOnce(ChangeLog<Register>) -> F,
) {
    let cut = Arc::new(Cut::new(Arc::new(store.clone()), u64::MAX, Last::Effective));
    let environment = environment(Arc::<Cut>::clone(&cut), clock, seed);
    let log = opened(&environment).await;
    cut.left.store(requests, std::sync::atomic::Ordering::Release);
    let working = Box::pin(driven(&log, work(log.clone())));
    if let Either::Left(_) = select(working, Box::pin(cut.death())).await {
        panic!("it outlived {requests} requests");
    }
}

#[test]
fn inv_28_what_dead_builders_and_writers_left_is_gone_within_minutes() {
    let (store, clock, environment) = timed(Truncation::Delete, 9);
    clock.run(async {
        let log = opened(&environment).await;
        // Died with a blob written, and its slot not; with a segment written, and the manifest not; with both, and the record not.
        for folder in ["blob", "segment", "manifest"] {
            for requests in 0.. {
                dies(&store, &clock, 10 + requests, requests, async |dying| {
                    let deadline = within(dying.environment(), 600);
                    if folder == "blob" {
                        drop(dying.submit(&large(1), deadline).unwrap().outcome().await);
                    } else {
                        drop(dying.publish_snapshot(deadline).await);
                    }
                })
                .await;
                if !keys(&store, folder).await.is_empty() {
                    break;
                }
            }
        }
        let left = (keys(&store, "blob").await.len() as u64, keys(&store, "segment").await.len() as u64);
        driven(&log, async {
            let mut collector = Collector::new(&log, CollectOptions::default()).unwrap();
            let first = round(&mut collector, &log).await;
            assert_eq!((first.blobs.objects, first.manifests.objects, first.given_up), (0, 0, 0), "INV-28: {first:?}");
            assert_eq!((first.claimed, first.next), (None, Some(CollectOptions::SILENCE)), "INV-28: {first:?}");
            clock.advance(CollectOptions::SILENCE);
            let looking = CollectOptions::default().with_dry_run(true);
            let dry = round(&mut Collector::new(&log, looking.with_silence(Duration::ZERO)).unwrap(), &log).await;
            assert_eq!(dry.blobs.objects, 1, "{dry:?}");
            let report = round(&mut collector, &log).await;
            assert_eq!((report.blobs.objects, first.segments.objects + report.segments.objects), left, "{report:?}");
            assert_eq!((report.manifests.objects, report.given_up), (1, 1), "{report:?}");
            assert!(report.claimed.is_some());
            for folder in ["blob", "segment", "manifest", "inbox"] {
                assert!(keys(&store, folder).await.is_empty(), "{folder}: {:?}", keys(&store, folder).await);
            }
            assert_eq!(round(&mut collector, &log).await.next, None, "nothing is left to wait for");
        })
        .await;
    });
}

#[test]
fn inv_29_a_blob_goes_with_the_slot_that_applied_it_and_not_before() {
    let (store, clock, environment) = timed(Truncation::Delete, 13);
    clock.run(async {
        let log = opened(&environment).await;
        driven(&log, async {
            commit(&log, &large(1)).await;
            publish(&log).await;
            commit(&log, &large(2)).await;
            let mut collector = Collector::new(&log, CollectOptions::default()).unwrap();
            assert_eq!(round(&mut collector, &log).await.blobs.objects, 0, "INV-29");
            truncate(&log, &clock).await;
            assert_eq!(keys(&store, "blob").await.len(), 2, "INV-29: a younger slot may have applied the first, as far as the state tells");
            publish(&log).await;
            commit(&log, &large(3)).await;
            truncate(&log, &clock).await;
            assert_eq!(keys(&store, "blob").await.len(), 2, "INV-29");
            let fresh = opened(&another(&store, &clock, 14)).await;
            assert_eq!(fresh.digests().await.unwrap(), log.digests().await.unwrap());
        })
        .await;
    });
}

#[test]
fn a_dry_run_writes_nothing_and_says_what_the_end_will_be() {
    let (store, clock, environment) = timed(Truncation::Delete, 15);
    clock.run(async {
        let log = opened(&environment).await;
        driven(&log, async {
            some(&log, 10).await;
            publish(&log).await;
            some(&log, 5).await;
            let published = publish(&log).await;
            let all = async || {
                (keys(&store, "log").await, keys(&store, "manifest").await, keys(&store, "segment").await, keys(&store, "ctl").await)
            };
            let before = all().await;
            let dry = round(&mut Collector::new(&log, truncating().with_dry_run(true)).unwrap(), &log).await;
            assert_eq!(all().await, before);
            assert_eq!((dry.collected, dry.boundary, dry.slots.objects), (published, 0, published), "{dry:?}");
            let real = truncate(&log, &clock).await;
            assert_eq!((real.slots, real.manifests, real.segments), (dry.slots, dry.manifests, dry.segments));
        })
        .await;
    });
}

#[test]
fn a_snapshot_that_was_changed_is_refused_by_name_and_a_whole_log_is_read_instead() {
    let (store, clock, environment) = timed(Truncation::Delete, 16);
    clock.run(async {
        let log = opened(&environment).await;
        driven(&log, async {
            some(&log, 5).await;
            let published = publish(&log).await;
            let name = keys(&store, "segment").await.remove(0);
            let key = Key::new(&*name).unwrap();
            let Get::Found(object) = store.get(&key, GetOptions::whole()).await.unwrap().value else { panic!("it is there") };
            let mut bytes = object.bytes.to_vec();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            drop(store.put(&key, bytes.into(), Precondition::None).await);
            let fresh = opened(&another(&store, &clock, 17)).await;
            assert_eq!(fresh.digests().await.unwrap(), log.digests().await.unwrap(), "the log is still whole");
            assert_eq!(truncate(&log, &clock).await.collected, published);
            let options = LogOptions::default();
            let refused =
                ChangeLog::open(another(&store, &clock, 18), Arc::new(Register::default()), options, within(&environment, 60)).await;
            assert!(matches!(&refused, Err(Error::Bytes { key, .. }) if *key == name), "INV-30: {refused:?}");
        })
        .await;
    });
}

#[test]
fn an_outcome_that_lies_in_a_collected_stretch_is_not_guessed() {
    let (store, clock, environment) = timed(Truncation::Delete, 19);
    clock.run(async {
        let log = opened(&environment).await;
        driven(&log, async {
            let first = commit(&log, &add(1)).await;
            some(&log, 5).await;
            let newest = commit(&log, &add(2)).await;
            publish(&log).await;
            truncate(&log, &clock).await;
            let other = opened(&another(&store, &clock, 20)).await;
            let resolve = async |op| other.resolve(op, within(&environment, 60)).await;
            assert!(matches!(resolve(first.op).await, Err(Error::OutsideWindow { .. })));
            // The newest batches of a writer are in the state itself.
            let claimed = resolve(newest.op).await;
            assert!(matches!(claimed, Err(Error::OutsideWindow { .. }) | Ok(Outcome::Committed(_))), "{claimed:?}");
        })
        .await;
    });
}

/// Everything that is in the bucket.
async fn backup(store: &InMemoryStore) -> Vec<(Key, bytes::Bytes)> {
    let mut objects = Vec::new();
    for name in keys(store, "").await {
        let key = Key::new(name).unwrap();
        let Get::Found(object) = store.get(&key, GetOptions::whole()).await.unwrap().value else { continue };
        objects.push((key, object.bytes));
    }
    objects
}

/// Puts the bucket back, as whoever restores a backup does it.
async fn restore(store: &InMemoryStore, backup: &[(Key, bytes::Bytes)]) {
    for name in keys(store, "").await {
        store.delete(&Key::new(name).unwrap()).await.unwrap();
    }
    for (key, object) in backup {
        store.put(key, object.clone(), Precondition::None).await.unwrap();
    }
}

#[test]
fn inv_10_a_collector_removes_nothing_of_a_bucket_that_was_put_back() {
    for truncation in BOTH {
        for fresh in [false, true] {
            let (store, clock, environment) = timed(truncation, 23);
            clock.run(async {
                let log = opened(&environment).await;
                driven(&log, async {
                    some(&log, 5).await;
                    let early = publish(&log).await;
                    some(&log, 3).await;
                    let digests = log.digests().await.unwrap();
                    let saved = backup(&store).await;
                    some(&log, 5).await;
                    assert!(publish(&log).await > early);
                    some(&log, 2).await;
                    let mut collector = Collector::new(&log, truncating()).unwrap();
                    round(&mut collector, &log).await;
                    clock.advance(GRACE);
                    // Whatever was confirmed was confirmed just now, and what the collector saw of the boundary was waited for.
                    log.refresh(within(&environment, 60)).await.unwrap();
                    restore(&store, &saved).await;
                    if fresh {
                        collector = Collector::new(&log, truncating()).unwrap();
                    }
                    let refused = collector.round(within(&environment, 600)).await;
                    assert!(matches!(refused, Err(Error::RolledBack { .. })), "INV-10: {truncation:?}, {fresh}: {refused:?}");
                    assert_eq!(backup(&store).await, saved, "INV-10: {truncation:?}");
                    let again = opened(&another(&store, &clock, 24)).await;
                    assert_eq!(again.digests().await.unwrap(), digests, "{truncation:?}");
                })
                .await;
            });
        }
    }
}

#[test]
fn inv_25_no_collector_follows_a_head_that_went_back() {
    let (store, clock, environment) = timed(Truncation::Delete, 26);
    clock.run(async {
        let log = opened(&environment).await;
        driven(&log, async {
            some(&log, 5).await;
            let head = Key::new("ctl/head").unwrap();
            let Get::Found(early) = store.get(&head, GetOptions::whole()).await.unwrap().value else { panic!("it is there") };
            publish(&log).await;
            let mut collector = Collector::new(&log, truncating()).unwrap();
            round(&mut collector, &log).await;
            clock.advance(GRACE);
            store.put(&head, early.bytes, Precondition::None).await.unwrap();
            let (slots, refused) = (keys(&store, "log").await, collector.round(within(&environment, 600)).await);
            assert!(matches!(refused, Err(Error::RolledBack { .. })), "INV-25: {refused:?}");
            assert_eq!(keys(&store, "log").await, slots, "INV-25");
        })
        .await;
    });
}

#[test]
fn inv_9_a_ghost_tells_nobody_what_became_of_an_operation() {
    let (store, clock, environment) = timed(Truncation::Delete, 27);
    clock.run(async {
        let log = opened(&environment).await;
        driven(&log, async {
            let first = commit(&log, &add(1)).await;
            let saved = backup(&store).await;
            some(&log, 5).await;
            publish(&log).await;
            truncate(&log, &clock).await;
            // A sleeper creates its slot where one was collected.
            for (key, object) in saved.iter().filter(|(key, _)| key.as_str().starts_with("log/")) {
                store.put(key, object.clone(), Precondition::None).await.unwrap();
            }
            let other = opened(&another(&store, &clock, 28)).await;
            let told = other.resolve(first.op, within(&environment, 60)).await;
            assert!(matches!(told, Err(Error::OutsideWindow { .. })), "INV-9: {told:?}");
        })
        .await;
    });
}
