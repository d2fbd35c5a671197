use brainy_core::codec::FieldWriter;
use brainy_core::{SeededEntropy, SetHash, StoreId, WriterId};
use brainy_storage::{InMemoryStore, Outcome, Precondition, Store};
use brainy_testkit::ManualClock;
use bytes::Bytes;

use super::*;
use crate::batch::{BlobReference, Transaction};
use crate::descriptor::{Constants, Truncation};
use crate::head::Head;
use crate::log::{ChangeLog, LogOptions};
use crate::machine::NullMachine;
use crate::make::{NewStore, create_store, read_known};
use crate::protocol::ProtocolOperation;
use crate::slot::{Header, StatedSummary};

/// A store in memory with one replica of it, and a hand that writes what no honest process would.
struct Bench {
    store: InMemoryStore,
    clock: ManualClock,
    reader: Reader<NullMachine>,
    tip: Tip,
}

impl Bench {
    fn new() -> Self {
        Self::with(Constants::new(Truncation::Tombstone))
    }

    fn with(constants: Constants) -> Self {
        let clock = ManualClock::new();
        let store = InMemoryStore::new().with_store_clock(Arc::new(clock.clone()));
        let mut environment = Environment::new(Arc::new(store.clone()));
        environment.clock = Arc::new(clock.clone());
        environment.entropy = Arc::new(SeededEntropy::new(1));
        let known = clock.run(async {
            create_store(&environment, &NewStore::new(vec![]).with_constants(constants), far()).await.unwrap();
            read_known(&environment, far()).await.unwrap()
        });
        let mut tip = Tip::new(&known);
        tip.confirmation.confirm(Some(StoreTime::from_ms(clock_ms(&clock))));
        Self { store, clock, reader: Reader { environment, machine: Arc::new(NullMachine), decoder: None }, tip }
    }

    fn put(&self, key: &brainy_storage::Key, body: Bytes) {
        let put = self.clock.run(self.store.put(key, body, Precondition::None)).unwrap().value;
        assert!(matches!(put, Outcome::Committed(_)));
    }

    /// The header of the next slot, without figures.
    fn header(&self) -> Header {
        Header {
            seq: self.tip.next(),
            previous: self.tip.state.slot_hash,
            store: self.tip.state.store,
            epoch: self.tip.state.epoch,
            creator: WriterId::from_bytes([9; 16]),
            scan_base: 0,
            listed: None,
            rules: self.tip.state.rules,
            at_ms: 0,
            tokens: self.tip.state.claims().clone(),
            summary: None,
        }
    }

    /// Puts an object where the next slot is looked for, and looks.
    fn next_is(&mut self, object: Bytes) -> Result<u64, Error> {
        self.put(&keys::slot(self.tip.next()), object);
        self.look()
    }

    fn look(&mut self) -> Result<u64, Error> {
        self.clock.run(self.reader.catch_up(&mut self.tip, far()))
    }

    fn batch(&self, wseq: u64, transactions: &[Transaction]) -> Batch {
        let list: Vec<_> = transactions.iter().map(Transaction::encode).collect();
        let contents = Contents::Inline(codec::encode_list(&list).into());
        Batch::new(self.tip.state.store, WriterId::from_bytes([3; 16]), wseq, self.tip.state.position, list.len() as u32, contents)
    }

    fn set_boundary(&self, boundary: u64) {
        let mut head = Head::new(self.tip.state.store, &SeededEntropy::new(2));
        head.boundary = boundary;
        self.put(&keys::head(), head.encode());
    }
}

fn far() -> Moment {
    Moment::after_origin(std::time::Duration::from_secs(1 << 40))
}

fn clock_ms(clock: &ManualClock) -> u64 {
    brainy_core::Clock::wall_ms(clock)
}

fn plus() -> Transaction {
    Transaction::payload("+")
}

#[test]
fn a_slot_that_is_none_is_refused_by_name_and_leaves_the_replica_where_it_was() {
    let bench = Bench::new();
    let whole = slot::encode(&bench.header(), &[bench.batch(1, &[plus()]).bytes]);
    let unknown_field = |required: bool| {
        let body = codec::open(ObjectKind::Slot, "slot", &whole).unwrap();
        let mut fields = FieldWriter::new();
        let known = codec::Fields::parse("slot", &(1..=11).collect::<Vec<_>>(), body).unwrap();
        fields.kept(&known.unknown(&[]));
        if required {
            fields.required(77, b"new")
        } else {
            fields.optional(77, b"new")
        };
        Bytes::from(codec::seal(ObjectKind::Slot, &fields.finish()))
    };
    let mut flipped = whole.to_vec();
    flipped[100] ^= 1;
    let with = |change: &dyn Fn(&mut Header)| {
        let mut header = bench.header();
        change(&mut header);
        slot::encode(&header, &[])
    };
    let newer_batch = {
        let bytes = bench.batch(1, &[plus()]).bytes;
        Bytes::from([&bytes[..], &FieldWriter::new().required(99, b"").finish()].concat())
    };
    let refusals: Vec<(&str, Bytes, &str)> = vec![
        ("empty", Bytes::new(), "log/00000000000000000001: slot is corrupt"),
        ("cut off", whole.slice(..whole.len() - 1), "corrupt"),
        ("cut in the envelope", whole.slice(..10), "corrupt"),
        ("a flipped bit", flipped.into(), "checksum"),
        ("another kind", codec::seal(ObjectKind::Blob, b"").into(), "kind 3"),
        ("a required field of a later build", unknown_field(true), "required field 77"),
        ("a batch with a required field of a later build", slot::encode(&bench.header(), &[newer_batch]), "required field 99"),
        ("another number", with(&|header| header.seq = SequenceNumber::new(7).unwrap()), "its header says slot 7"),
        ("another store", with(&|header| header.store = StoreId::from_bytes([7; 16])), "two stores were written under one prefix"),
        ("another predecessor", with(&|header| header.previous = ContentHash::of(b"other")), "went back"),
        ("another epoch", with(&|header| header.epoch = brainy_core::Epoch::new(5)), "went back"),
        ("a tombstone", codec::seal(ObjectKind::Tombstone, b"").into(), "have been collected"),
    ];
    for (name, object, text) in refusals {
        let mut bench = Bench::new();
        // Every bench draws the same identities.
        let before = bench.tip.token();
        let error = bench.next_is(object).expect_err(name);
        assert!(error.to_string().contains(text), "INV-2, INV-3: {name}: {error}");
        assert_eq!(bench.tip.token(), before, "{name}");
    }
    let mut bench = Bench::new();
    assert_eq!(bench.next_is(unknown_field(false)).unwrap(), 1, "an optional field of a later build is skipped");
    assert_eq!(bench.tip.state.writer_count(), 1);
}

#[test]
fn batches_that_are_none_or_claim_what_they_do_not_hold_have_no_effect_and_stop_nobody() {
    let mut bench = Bench::new();
    let good = bench.batch(1, &[plus()]);
    let store = bench.tip.state.store;
    let claims =
        |count| Batch::new(store, WriterId::from_bytes([4; 16]), 1, 0, count, Contents::Inline(codec::encode_list::<Vec<u8>>(&[]).into()));
    let lying_list = Batch::new(store, WriterId::from_bytes([5; 16]), 1, 0, 1, Contents::Inline(Bytes::from_static(&[0xff; 4])));
    let foreign = Batch::new(StoreId::from_bytes([8; 16]), WriterId::from_bytes([6; 16]), 1, 0, 1, good.contents.clone());
    let batches = [
        Bytes::from_static(b"nothing"),
        claims(5_000).bytes,
        claims(7).bytes,
        lying_list.bytes,
        foreign.bytes,
        good.bytes.clone(),
        good.bytes,
    ];
    assert_eq!(bench.next_is(slot::encode(&bench.header(), &batches)).unwrap(), 1);
    let record = bench.tip.state.writer(WriterId::from_bytes([3; 16])).unwrap();
    assert_eq!((record.wseq, record.first_ordinal), (1, 7 + 1 + 1), "ordinals count what readable batches say they hold");
    assert!(bench.tip.state.writer(WriterId::from_bytes([6; 16])).is_none(), "INV-3");
}

#[test]
fn inv_5_a_missing_or_changed_blob_of_a_batch_that_counts_is_named_and_one_of_another_is_not_needed() {
    for (wseq, needed) in [(1, true), (5, false)] {
        for body in [None, Some(&b"other"[..])] {
            let mut bench = Bench::new();
            let list = codec::encode_list(&[plus().encode()]);
            let reference = BlobReference { hash: ContentHash::of(&list), bytes: list.len() as u64 };
            let batch = Batch::new(bench.tip.state.store, WriterId::from_bytes([3; 16]), wseq, 0, 1, Contents::Blob(reference));
            // Number 5 of a writer whose last is 5: it may not apply, whatever its blob says.
            if !needed {
                let op = crate::token::OpId { writer: batch.writer, wseq: 5, index: 0, base: 0, hash: batch.hash };
                let cancel = Transaction::protocol(ProtocolOperation::Cancel { op });
                let list = Contents::Inline(codec::encode_list(&[cancel.encode()]).into());
                let cancel = Batch::new(bench.tip.state.store, WriterId::from_bytes([4; 16]), 1, 0, 1, list);
                bench.next_is(slot::encode(&bench.header(), &[cancel.bytes])).unwrap();
            }
            let key = keys::blob(0, batch.writer, wseq, reference.hash);
            if let Some(body) = body {
                bench.put(&key, codec::seal(ObjectKind::Blob, body).into());
            }
            let looked = bench.next_is(slot::encode(&bench.header(), &[batch.bytes]));
            match needed {
                false => assert_eq!(looked.unwrap(), 1),
                true => assert!(looked.unwrap_err().to_string().contains(key.as_str()), "INV-5"),
            }
            // The same by way of a listing, which reads ahead of what it knows.
            let mut again = Tip::new(&bench.clock.run(read_known(&bench.reader.environment, far())).unwrap());
            let listed = bench.clock.run(bench.reader.catch_up_by_list(&mut again, None, far()));
            assert_eq!(listed.is_ok(), !needed, "{listed:?}");
        }
    }
}

/// What a header of the next slot must state.
fn stated(bench: &Bench) -> StatedSummary {
    let staged = bench.clock.run(async { apply::apply::<NullMachine>(&bench.tip.state, (), bench.tip.next(), 0, &[]).unwrap() });
    let mut verdicts: Vec<_> = bench.tip.state.unstated().iter().cloned().collect();
    verdicts.push(staged.bits);
    let as_of = bench.tip.next().get();
    StatedSummary { as_of, counters: vec![], machine: SetHash::EMPTY, bookkeeping: staged.bookkeeping, verdicts }
}

/// What a creator in error makes of a header.
type Change = fn(&mut Header);

#[test]
fn inv_7_a_header_that_differs_stops_the_answers_not_the_effects_and_an_override_resumes() {
    let wrong: [(&str, Change); 7] = [
        ("counters", |header| header.summary.as_mut().unwrap().counters = vec![1]),
        ("state digest", |header| header.summary.as_mut().unwrap().machine.insert(&ContentHash::of(b"x"))),
        ("bookkeeping digest", |header| header.summary.as_mut().unwrap().bookkeeping.insert(&ContentHash::of(b"x"))),
        ("verdicts", |header| header.summary.as_mut().unwrap().verdicts.push(vec![1])),
        ("position of the figures", |header| header.summary.as_mut().unwrap().as_of = u64::MAX - 1),
        ("apply rules", |header| header.rules = 7),
        ("lease tokens", |header| header.tokens = [("job".into(), 3)].into()),
    ];
    for (section, change) in wrong {
        let mut bench = Bench::new();
        let mut header = bench.header();
        header.summary = Some(stated(&bench));
        change(&mut header);
        assert_eq!(bench.next_is(slot::encode(&header, &[])).unwrap(), 1, "{section}: its slot counts");
        let Err(Error::Diverged { seq: 1, section: named }) = bench.tip.check() else { panic!("{section}") };
        assert_eq!(named, section, "INV-7");
        let repair = Transaction::protocol(ProtocolOperation::DigestOverride { seq: 1, reason: "looked at".into() });
        let batch = bench.batch(1, &[repair]);
        assert_eq!(bench.next_is(slot::encode(&bench.header(), &[batch.bytes])).unwrap(), 1);
        assert!(bench.tip.check().is_ok(), "{section}");
    }
}

#[test]
fn a_replica_that_may_be_wrong_takes_only_the_override_and_states_no_figures_with_it() {
    let mut bench = Bench::new();
    let mut header = bench.header();
    header.rules = 7;
    bench.next_is(slot::encode(&header, &[])).unwrap();
    let environment = bench.reader.environment.clone();
    bench.clock.run(async {
        let log = ChangeLog::open(environment.clone(), Arc::new(NullMachine), LogOptions::default(), far()).await.unwrap();
        let deadline = environment.clock.now().after(std::time::Duration::from_secs(60));
        let work = async {
            let refused = log.submit(&plus(), deadline).unwrap().outcome().await;
            assert!(matches!(refused, Err(Error::Diverged { .. })), "{refused:?}");
            assert!(matches!(log.refresh(deadline).await, Err(Error::Diverged { .. })));
            let repair = Transaction::protocol(ProtocolOperation::DigestOverride { seq: 1, reason: "looked at".into() });
            let done = log.submit(&repair, deadline).unwrap().outcome().await.unwrap();
            assert!(matches!(done, crate::queue::Outcome::Committed(_)), "{done:?}");
            assert!(log.refresh(deadline).await.is_ok());
            log.stop("done");
        };
        drop(futures_util::future::join(log.run(), work).await);
        let slot = crate::history::read_slot(&environment, SequenceNumber::new(2).unwrap(), far()).await.unwrap().unwrap();
        assert_eq!(slot.header.summary, None);
    });
}

#[test]
fn figures_that_lag_are_compared_as_of_their_slot_and_older_ones_are_not_judged() {
    for (lag, wrong, noticed) in
        [(0, true, true), (5, false, false), (5, true, true), (64, false, false), (64, true, true), (65, true, false)]
    {
        let mut bench = Bench::new();
        for _ in 0..70 {
            let mut header = bench.header();
            header.summary = Some(stated(&bench));
            // The machine's figures are the same all along, those of the bookkeeping must not be.
            let claim = Transaction::protocol(ProtocolOperation::LeaseClaim { name: "job".into(), token: bench.tip.next().get() });
            let batch = bench.batch(bench.tip.next().get(), &[claim]);
            header.summary = None;
            bench.next_is(slot::encode(&header, &[batch.bytes])).unwrap();
        }
        let mut header = bench.header();
        let mut own = stated(&bench);
        if lag > 0 {
            own.as_of -= lag;
            own.verdicts.truncate(own.verdicts.len() - lag as usize);
            own.bookkeeping = bench.tip.summary_at(own.as_of).unwrap_or_default();
        }
        if wrong {
            own.bookkeeping.insert(&ContentHash::of(b"x"));
        }
        header.summary = Some(own);
        bench.next_is(slot::encode(&header, &[])).unwrap();
        assert_eq!(bench.tip.check().is_err(), noticed, "a lag of {lag}, wrong: {wrong}: {:?}", bench.tip.check());
    }
}

#[test]
fn inv_9_a_ghost_in_a_collected_stretch_supports_no_answer() {
    // The replica stands at 1; slots 2 and 3 were collected; a sleeper, who stood there too, has created slot 2 anew.
    for boundary in [2, 3] {
        let mut bench = Bench::with(Constants::new(Truncation::Delete));
        bench.next_is(slot::encode(&bench.header(), &[])).unwrap();
        bench.set_boundary(boundary);
        bench.clock.advance(std::time::Duration::from_millis(Constants::GRACE_MS / 4));
        let looked = bench.next_is(slot::encode(&bench.header(), &[]));
        assert!(matches!(looked, Err(Error::Truncated { .. })), "INV-9: boundary {boundary}: {looked:?}");
        assert!(!bench.tip.is_firm(), "nothing may rest on it");
        assert!(matches!(bench.look(), Err(Error::Truncated { .. })), "nor later");
    }
    // One that stands at the boundary is whole: its own slot may be gone.
    let mut bench = Bench::with(Constants::new(Truncation::Delete));
    bench.next_is(slot::encode(&bench.header(), &[])).unwrap();
    bench.set_boundary(1);
    bench.clock.run(bench.store.delete(&keys::slot(SequenceNumber::FIRST))).unwrap();
    bench.clock.advance(std::time::Duration::from_millis(Constants::GRACE_MS / 4));
    assert_eq!(bench.look().unwrap(), 0);
}

#[test]
fn inv_6_a_slow_owner_learns_what_the_state_has_forgotten_since() {
    // While its owner looked away, its batch was applied, the writer's next number was used by a copy of it, and both were forgotten.
    let mut bench = Bench::with(Constants::new(Truncation::Tombstone).with_horizon_slots(2));
    let mut away = Tip::new(&bench.clock.run(read_known(&bench.reader.environment, far())).unwrap());
    let batch = bench.batch(1, &[plus()]);
    away.watch(crate::token::OpId { writer: batch.writer, wseq: 1, index: 0, base: 0, hash: batch.hash });
    bench.next_is(slot::encode(&bench.header(), &[batch.bytes])).unwrap();
    let clone = bench.batch(2, &[plus()]);
    bench.next_is(slot::encode(&bench.header(), &[clone.bytes])).unwrap();
    for _ in 0..8 {
        bench.next_is(slot::encode(&bench.header(), &[])).unwrap();
    }
    bench.clock.run(bench.reader.catch_up(&mut away, far())).unwrap();
    assert!(away.state.writer(batch.writer).is_none());
    let decided = away.decision();
    assert!(matches!(decided, Some(crate::decide::Decided::Applied { slot: 1, .. })), "INV-6: {decided:?}");
}

#[test]
fn a_batch_under_our_number_that_is_not_ours_is_no_verdict_of_ours() {
    let mut bench = Bench::new();
    let (ours, theirs) = (bench.batch(1, &[plus()]), bench.batch(1, &[plus(), plus()]));
    bench.tip.watch(crate::token::OpId { writer: ours.writer, wseq: 1, index: 0, base: 0, hash: ours.hash });
    bench.next_is(slot::encode(&bench.header(), &[theirs.bytes])).unwrap();
    assert_eq!(bench.tip.decision(), Some(&crate::decide::Decided::Foreign));
}

#[test]
fn inv_19_a_directory_is_settled_before_anything_rests_on_what_was_read() {
    let mut bench = Bench::new();
    bench.put(&keys::slot(bench.tip.next()), slot::encode(&bench.header(), &[]));
    let unsettled = Arc::new(Unsettled { inner: bench.store.clone(), fails: std::sync::atomic::AtomicBool::new(true) });
    bench.reader.environment.store = Arc::<Unsettled>::clone(&unsettled);
    assert!(bench.look().is_err() && !bench.tip.is_firm(), "INV-19");
    assert!(bench.look().is_err(), "the second look found nothing new, and must settle what the first read");
    unsettled.fails.store(false, std::sync::atomic::Ordering::Relaxed);
    assert!(bench.look().is_ok() && bench.tip.is_firm());
}

#[derive(Debug)]
struct Unsettled {
    inner: InMemoryStore,
    fails: std::sync::atomic::AtomicBool,
}

#[async_trait::async_trait]
impl Store for Unsettled {
    async fn get(&self, key: &brainy_storage::Key, options: GetOptions) -> brainy_storage::StoreResult<Get> {
        self.inner.get(key, options).await
    }

    async fn put(&self, key: &brainy_storage::Key, body: Bytes, precondition: Precondition) -> brainy_storage::StoreResult<Outcome> {
        self.inner.put(key, body, precondition).await
    }

    async fn list(
        &self,
        prefix: &brainy_storage::Prefix,
        after: Option<&brainy_storage::Key>,
        limit: NonZeroUsize,
    ) -> brainy_storage::StoreResult<brainy_storage::Page> {
        self.inner.list(prefix, after, limit).await
    }

    async fn delete(&self, key: &brainy_storage::Key) -> brainy_storage::StoreResult<()> {
        self.inner.delete(key).await
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    fn capabilities(&self) -> brainy_storage::Capabilities {
        self.inner.capabilities()
    }

    async fn settle(&self, prefix: &brainy_storage::Prefix) -> Result<(), brainy_storage::StoreError> {
        if self.fails.load(std::sync::atomic::Ordering::Relaxed) {
            let operation = brainy_storage::Operation::List;
            return Err(brainy_storage::StoreError::new(
                brainy_core::ErrorKind::Unavailable,
                operation,
                prefix,
                "the disk does not answer",
            ));
        }
        Ok(())
    }
}
