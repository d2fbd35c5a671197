use std::future::Future;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

use brainy_core::codec::ObjectKind;
use brainy_core::{Clock as _, ContentHash};
use brainy_storage::{InMemoryStore, Store};
use brainy_testkit::{Fault, FaultStore, Faults, ManualClock};

use super::*;
use crate::batch::{Batch, BlobReference, Contents, seal_intent};
use crate::environment::Environment;
use crate::log::{ChangeLog, LogOptions};
use crate::machine::NullMachine;
use crate::make::{NewStore, create_store};
use crate::state::Decision;
use crate::token::OpId;

/// Asks the handle, in the very moment in which a name comes, what is in play.
struct Curious {
    log: ChangeLog<NullMachine>,
    found: Mutex<Vec<OpId>>,
}

impl Wake for Curious {
    fn wake(self: Arc<Self>) {
        self.found.lock().unwrap().extend(self.log.shared().ledger.undecided());
    }
}

#[test]
fn whoever_learns_a_name_finds_it_in_play() {
    let Bench { clock, log, .. } = Bench::new();
    let far = clock.now().after(Duration::from_secs(600));
    let mut pending = log.submit(&Transaction::payload("x"), far).unwrap();
    let curious = Arc::new(Curious { log: log.clone(), found: Mutex::default() });
    let waker = Waker::from(Arc::clone(&curious));
    {
        let mut name = Box::pin(pending.op_id());
        assert!(name.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let stop = async {
            clock.sleep(Duration::from_secs(1)).await;
            log.stop("done");
        };
        drop(clock.run(futures_util::future::join(log.run(), stop)));
    }
    let name = clock.run(pending.op_id()).unwrap();
    assert_eq!(*curious.found.lock().unwrap(), [name]);
}

/// A store in memory with some intents in its inbox, and a handle that commits.
struct Bench {
    clock: ManualClock,
    environment: Environment,
    log: ChangeLog<NullMachine>,
}

const AUTHOR: WriterId = WriterId::from_bytes([9; 16]);

impl Bench {
    fn new() -> Self {
        Self::over(Arc::new(InMemoryStore::new()))
    }

    fn over(store: Arc<dyn Store>) -> Self {
        let clock = ManualClock::new();
        let mut environment = Environment::new(store);
        environment.clock = Arc::new(clock.clone());
        let far = Moment::after_origin(Duration::from_secs(600));
        let log = clock.run(async {
            create_store(&environment, &NewStore::new(vec![]), far).await.unwrap();
            ChangeLog::open(environment.clone(), Arc::new(NullMachine), LogOptions::default(), far).await.unwrap()
        });
        Self { clock, environment, log }
    }

    fn batch(&self, base: u64, transaction: &Transaction, in_blob: bool) -> (Batch, Vec<u8>) {
        let list = brainy_core::codec::encode_list(&[transaction.encode()]);
        let contents = if in_blob {
            Contents::Blob(BlobReference { hash: ContentHash::of(&list), bytes: list.len() as u64 })
        } else {
            Contents::Inline(list.clone().into())
        };
        (Batch::new(self.log.descriptor().store, AUTHOR, 1, base, 1, contents), list)
    }

    fn put(&self, key: &Key, object: impl Into<bytes::Bytes>) {
        let put = self.environment.store.put(key, object.into(), brainy_storage::Precondition::None);
        self.clock.run(put).unwrap();
    }

    fn is_there(&self, key: &Key) -> bool {
        let get = self.environment.store.get(key, brainy_storage::GetOptions::whole());
        !matches!(self.clock.run(get).unwrap().value, brainy_storage::Get::Absent)
    }

    /// Commits so many transactions, a slot each.
    fn commit(&self, slots: u64) {
        let work = async {
            for _ in 0..slots {
                let deadline = self.clock.now().after(Duration::from_secs(600));
                let outcome = self.log.submit(&Transaction::payload("own"), deadline).unwrap().outcome().await.unwrap();
                assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
            }
            self.log.close(self.clock.now().after(Duration::from_secs(60))).await;
        };
        self.clock.run(futures_util::future::join(self.log.run(), work)).0.unwrap();
    }

    /// How the intent's number was decided, and in which slot.
    fn decided(&self) -> Option<(u64, Decision)> {
        let tip = self.clock.run(self.log.shared().tip.lock());
        tip.state.writer(AUTHOR).map(|record| (record.slot, record.decision.clone()))
    }
}

#[test]
fn a_dead_process_intent_is_carried_within_k_slots_once_and_then_removed() {
    for in_blob in [false, true] {
        let bench = Bench::new();
        let (batch, list) = bench.batch(0, &Transaction::payload("orphan"), in_blob);
        if in_blob {
            let blob = keys::blob(0, AUTHOR, 1, ContentHash::of(&list));
            bench.put(&blob, brainy_core::codec::seal(ObjectKind::Blob, &list));
        }
        let key = keys::intent(&batch.name());
        bench.put(&key, seal_intent(&batch));
        let k = bench.log.descriptor().constants.scan_slots;
        bench.commit(4 * k);
        let (slot, decision) = bench.decided().expect("INV-20: it was carried");
        assert!(
            slot <= k + 1 && matches!(&decision, Decision::Applied(verdicts) if verdicts[0].is_effective()),
            "slot {slot}: {decision:?}"
        );
        assert!(!bench.is_there(&key), "what is decided long since is removed by whoever lists it");
    }
}

/// Makes the object of an intent that nobody can read.
type Unreadable = fn(&Bench) -> bytes::Bytes;

#[test]
fn what_nobody_can_read_is_refused_by_name_and_stops_nobody() {
    let cases: [(&str, Unreadable); 4] = [
        ("more than a slot has room for", |bench| {
            let large = bench.log.descriptor().constants.inline_bytes as usize + 10_000;
            seal_intent(&bench.batch(0, &Transaction::payload(vec![1; large]), false).0)
        }),
        ("no intent at all", |_| "garbage".into()),
        ("a blob that is not there", |bench| seal_intent(&bench.batch(0, &Transaction::payload("x"), true).0)),
        ("an operation of a newer build", |bench| {
            let mut fields = brainy_core::codec::FieldWriter::new();
            fields.required(77, b"new");
            let list = brainy_core::codec::encode_list(&[fields.finish()]);
            let store = bench.log.descriptor().store;
            seal_intent(&Batch::new(store, AUTHOR, 1, 0, 1, Contents::Inline(list.into())))
        }),
    ];
    for (case, object) in cases {
        let bench = Bench::new();
        let name = IntentName { base: 0, writer: AUTHOR, wseq: 1 };
        bench.put(&keys::intent(&name), object(&bench));
        let k = bench.log.descriptor().constants.scan_slots;
        bench.commit(4 * k);
        let (slot, decision) = bench.decided().unwrap_or_else(|| panic!("{case}: nobody refused it"));
        assert!(slot <= k + 2 && decision == Decision::Refused, "{case}: {decision:?} in slot {slot}");
        assert_eq!(bench.log.figures().breaches, 0, "{case}");
    }
}

#[test]
fn an_intent_that_is_not_what_its_key_says_counts_for_nothing_and_holds_nobody_up() {
    let bench = Bench::new();
    let (batch, _) = bench.batch(0, &Transaction::payload("x"), false);
    let other = IntentName { writer: WriterId::from_bytes([8; 16]), ..batch.name() };
    bench.put(&keys::intent(&other), seal_intent(&batch));
    let foreign = Batch::new(brainy_core::StoreId::from_bytes([3; 16]), AUTHOR, 1, 0, 1, batch.contents.clone());
    bench.put(&keys::intent(&foreign.name()), seal_intent(&foreign));
    bench.commit(20);
    assert_eq!(bench.decided(), None);
    let tip = bench.clock.run(bench.log.shared().tip.lock());
    assert_eq!((tip.state.position, tip.breaches, tip.state.scan_base + bench.log.descriptor().constants.scan_slots > 20), (20, 0, true));
}

/// Embedders drive a committer on any thread.
#[test]
fn a_committer_can_be_sent_to_another_thread() {
    fn sendable<T: Send>(_: T) {}
    sendable(Bench::new().log.run());
}

#[test]
fn more_unreadable_intents_than_are_refused_at_once_are_all_refused() {
    let bench = Bench::new();
    let authors: Vec<_> = (100..100 + 2 * MOST_REFUSALS as u8).map(|number| WriterId::from_bytes([number; 16])).collect();
    for writer in &authors {
        bench.put(&keys::intent(&IntentName { base: 0, writer: *writer, wseq: 1 }), "garbage");
    }
    let k = bench.log.descriptor().constants.scan_slots;
    bench.commit(6 * k);
    let tip = bench.clock.run(bench.log.shared().tip.lock());
    let open = authors.iter().filter(|writer| tip.state.writer(**writer).is_none()).count();
    assert_eq!((open, tip.breaches), (0, 0));
}

#[test]
fn inv_12_an_intent_whose_fate_is_unknown_leaves_its_batch_in_doubt_and_is_left_again() {
    let store = Arc::new(FaultStore::seeded(Arc::new(InMemoryStore::new()), 1, Faults::default()));
    let bench = Bench::over(Arc::clone(&store) as Arc<dyn Store>);
    let shared = bench.log.shared();
    let _pending = bench.log.submit(&Transaction::payload("x"), bench.clock.now().after(Duration::from_secs(600))).unwrap();
    let mut committer = Committer::new(shared);
    bench.clock.run(async {
        committer.form().await.unwrap();
        // Every request until the try is given up: none has an effect, and the last leaves a doubt.
        let mut lost = Faults::default();
        lost.lost_before = 1_000;
        store.set_faults(lost);
        let error = committer.post().await.unwrap_err();
        assert!(may_pass(&error), "{error}");
        store.set_faults(Faults::default());
    });
    let play = committer.play.as_ref().unwrap();
    assert_eq!((play.posted, play.left, play.in_doubt), (None, true, true));
    let key = keys::intent(&play.batch.name());
    assert!(!bench.is_there(&key), "the store must have lost it for this test to say anything");
    bench.clock.run(committer.post()).unwrap();
    assert!(bench.is_there(&key) && committer.play.as_ref().unwrap().posted.is_some());
    // A fault in passing changes nothing.
    store.script([Fault::Repeated]);
    bench.clock.run(committer.post()).unwrap();
    assert!(bench.is_there(&key));
}

#[test]
fn inv_5_the_blob_of_a_batch_that_the_last_winner_forms_is_written_before_its_slot() {
    let bench = Bench::new();
    let (orphan, _) = bench.batch(0, &Transaction::payload("orphan"), false);
    bench.put(&keys::intent(&orphan.name()), seal_intent(&orphan));
    let mut committer = Committer::new(bench.log.shared());
    // It carried somebody, has nothing of its own, and goes on looking; meanwhile a caller comes.
    committer.sequencing = Some(bench.clock.now());
    let large = vec![7; 100_000];
    let _pending = bench.log.submit(&Transaction::payload(large), bench.clock.now().after(Duration::from_secs(600))).unwrap();
    let decided = bench.clock.run(committer.create(true)).unwrap();
    assert!(matches!(decided, Some(Decided::Applied { slot: 1, .. })), "{decided:?}");
    // Another replica can read all of it.
    let open =
        ChangeLog::open(bench.environment.clone(), Arc::new(NullMachine), LogOptions::default(), Moment::after_origin(Duration::MAX));
    assert_eq!(bench.clock.run(open).unwrap().position().seq, 1);
}

#[test]
fn whoever_carried_somebody_goes_on_carrying_with_nothing_of_its_own() {
    let bench = Bench::new();
    let (first, _) = bench.batch(0, &Transaction::payload("first"), false);
    bench.put(&keys::intent(&first.name()), seal_intent(&first));
    let (clock, log) = (&bench.clock, &bench.log);
    let far = clock.now().after(Duration::from_secs(600));
    let second = WriterId::from_bytes([8; 16]);
    let work = async {
        while log.figures().carried == 0 {
            let outcome = log.submit(&Transaction::payload("own"), far).unwrap().outcome().await.unwrap();
            assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
        }
        let own = log.figures().batches;
        // Whoever was carried leaves the next batch soon; nobody hands anything over here any more.
        let list = brainy_core::codec::encode_list(&[Transaction::payload("second").encode()]);
        let base = log.position().seq;
        let batch = Batch::new(log.descriptor().store, second, 1, base, 1, Contents::Inline(list.into()));
        let object = seal_intent(&batch);
        drop(bench.environment.store.put(&keys::intent(&batch.name()), object, brainy_storage::Precondition::None).await);
        clock.sleep(Duration::from_secs(10)).await;
        let carried = log.shared().tip.lock().await.state.writer(second).map(|record| record.slot);
        assert_eq!((carried, log.figures().batches), (Some(base + 1), own));
        // And then it rests: no listing goes on for ever.
        let listings = log.figures().listings;
        clock.sleep(Duration::from_secs(60)).await;
        assert_eq!(log.figures().listings, listings);
        log.close(far).await;
    };
    bench.clock.run(futures_util::future::join(log.run(), work)).0.unwrap();
}
