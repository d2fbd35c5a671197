use std::sync::Arc;

use brainy_core::{ContentHash, Epoch, SequenceNumber, StoreId, WriterId};
use brainy_storage::{InMemoryStore, Store};
use brainy_testkit::ManualClock;
use futures_util::future::join;

use super::*;
use crate::apply::{COMPACTOR, LoadedBatch, apply};
use crate::batch::{Batch, Contents, Transaction};
use crate::decoding;
use crate::descriptor::Constants;
use crate::environment::Environment;
use crate::log::LogOptions;
use crate::machine::NullMachine;
use crate::make::{NewStore, create_store};
use crate::protocol::ProtocolOperation;
use crate::token::OpId;

const STARTS: u64 = 100_000;
const HORIZON: u64 = 50;

/// Each process start commits one batch under an identity of its own and is never heard of again; every tenth leaves a batch undecided, which the next one gives up.
#[test]
fn nothing_in_the_state_grows_over_a_hundred_thousand_identities() {
    let store = StoreId::from_bytes([1; 16]);
    let constants = Constants::new(Truncation::Delete).with_horizon_slots(HORIZON);
    let mut state = LogState::new(store, Epoch::FIRST, 0, ContentHash::of(b"descriptor"), 1, &constants);
    let writer = |start: u64| WriterId::from_bytes(u128::from(start).to_le_bytes());
    let mut most = (0, 0);
    for start in 1..=STARTS {
        let mut transaction = Transaction::payload("x");
        let hash = ContentHash::of(b"lost");
        if start.is_multiple_of(10) {
            let op = OpId { writer: writer(start + STARTS), wseq: 1, index: 0, base: state.position, hash };
            transaction.protocol.push(ProtocolOperation::Cancel { op });
        }
        if start.is_multiple_of(100) {
            transaction.protocol.push(ProtocolOperation::LeaseClaim { name: COMPACTOR.into(), token: start });
        }
        let list = bytes::Bytes::from(brainy_core::codec::encode_list(&[transaction.encode()]));
        let orders = decoding::orders::<NullMachine>(&list, 1);
        let batch = Batch::new(store, writer(start), 1, state.position, 1, Contents::Inline(list));
        let seq = SequenceNumber::new(state.position + 1).unwrap();
        let staged = apply::<NullMachine>(&state, (), seq, 0, &[LoadedBatch::new(batch, orders)]).unwrap();
        assert_eq!(staged.bits, [1], "start {start}");
        state.install(staged.delta, ContentHash::of(&start.to_le_bytes()), state.position, staged.bits, Some(seq.get()));
        if start.is_multiple_of(1_000) {
            most = most.max((state.writer_count(), state.stored_bytes()));
        }
    }
    assert_eq!(state.position, STARTS);
    // Two identities in some slots, over the last 2H + 1.
    assert!(most.0 as u64 <= (2 * HORIZON + 1) * 2, "{most:?}");
    assert!(most.1 < 300 * (2 * HORIZON as usize + 1), "{most:?}");
    let (fields, writers) = (state.fields(), state.writers_bytes());
    assert_eq!(LogState::read(store, &constants, &fields, &writers).unwrap(), state, "and all of it survives a snapshot");
    let endless = LogState::new(store, Epoch::FIRST, u64::MAX, ContentHash::of(b"none"), 1, &constants);
    assert!(LogState::read(store, &constants, &endless.fields(), &[]).is_err(), "there is no slot after it");
    for cut in [1, 3, writers.len() / 2, writers.len() - 1] {
        assert!(LogState::read(store, &constants, &fields, &writers[..cut]).is_err(), "{cut} bytes of the writers");
    }
}

#[test]
fn nothing_grows_over_a_hundred_thousand_process_starts_while_somebody_collects() {
    let clock = ManualClock::new();
    let memory = InMemoryStore::new().with_store_clock(Arc::new(clock.clone()));
    let mut environment = Environment::new(Arc::new(memory.clone()));
    environment.clock = Arc::new(clock.clone());
    let deadline = |environment: &Environment| environment.clock.now().after(Duration::from_secs(600));
    clock.run(Box::pin(async {
        let constants = Constants::new(Truncation::Delete).with_horizon_slots(HORIZON);
        create_store(&environment, &NewStore::new(vec![]).with_constants(constants), deadline(&environment)).await.unwrap();
        let opened = async || {
            let options = LogOptions::default();
            ChangeLog::open(environment.clone(), Arc::new(NullMachine), options, deadline(&environment)).await.unwrap()
        };
        let (mut most, mut states) = (0, 0);
        let log = opened().await;
        let mut collector = Collector::new(&log, CollectOptions::default().with_truncate(true).with_retain_slots(8)).unwrap();
        let work = async {
            for start in 0..STARTS {
                let process = opened().await;
                let call = async {
                    drop(process.submit(&Transaction::payload("x"), deadline(&environment)).unwrap().outcome().await);
                    drop(process.close(deadline(&environment)).await);
                };
                drop(join(Box::pin(process.run()), Box::pin(call)).await);
                if start % 50 == 49 {
                    log.publish_snapshot(deadline(&environment)).await.unwrap();
                    collector.round(deadline(&environment)).await.unwrap();
                    clock.advance(Duration::from_millis(Constants::GRACE_MS));
                    collector.round(deadline(&environment)).await.unwrap();
                    let all = memory.list(&Prefix::root(), None, NonZeroUsize::new(100_000).unwrap()).await.unwrap().value;
                    most = most.max(all.entries.len());
                    let tip = log.shared().tip.lock().await;
                    assert!(tip.state.writer_count() as u64 <= (2 * HORIZON + 1) * 2, "start {start}");
                    states = states.max(tip.state.stored_bytes());
                }
            }
            log.stop("done");
        };
        drop(join(log.run(), Box::pin(work)).await);
        assert!(log.position().seq >= STARTS, "each made a slot");
        assert!(most < 60 && states < 300 * (2 * HORIZON as usize + 1), "{most} objects, {states} bytes");
    }));
}
