//! Taking one slot into the state: fetch, apply, summary, install. Every slot rewrites nouns that exist, so that the state stays as large as it is;
//! the counts and every verdict are checked.

use brainy_benches::{DIMENSION, Random, payload};
use brainy_coordination::{Context, StateMachine, Verdict};
use brainy_core::{Epoch, Metric, SequenceNumber, Version};
use brainy_engine::{Engine, EngineOptions, RULES, Space};
use criterion::{BenchmarkId, Criterion, Throughput};
use futures_executor::block_on;

/// Nouns that the state holds.
const HELD: [usize; 2] = [1_000, 20_000];
/// Nouns that a slot rewrites, in one transaction.
const WRITTEN: [usize; 2] = [1, 100];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut random = Random::new(1);
    let rows: Vec<Vec<f32>> = (0..100).map(|_| random.row(DIMENSION)).collect();
    for held in HELD {
        // Without the vector index, which takes its vectors in later, on a thread of its own.
        let options = EngineOptions::default().with_vector_index(false);
        let engine = Engine::new(Space::new(DIMENSION, Metric::Cosine), options).expect("valid options");
        let mut seq = 0;
        for first in (0..held).step_by(rows.len()) {
            seq += 1;
            slot(&engine, seq, &payload(first, &rows), rows.len());
        }
        let mut group = criterion.benchmark_group(format!("slot, {held} nouns held"));
        for written in WRITTEN {
            let payload = payload(held / 2, &rows[..written]);
            group.throughput(Throughput::Elements(written as u64));
            group.bench_function(BenchmarkId::new("nouns written", written), |bencher| {
                bencher.iter(|| {
                    seq += 1;
                    slot(&engine, seq, &payload, written);
                });
            });
        }
        group.finish();
        let nouns = engine.statistics().nouns;
        assert_eq!(nouns, held as u64, "every slot rewrote what was there");
    }
    criterion.final_summary();
}

fn slot(engine: &Engine, seq: u64, payload: &[u8], written: usize) {
    let version = |ordinal| Version { epoch: Epoch::FIRST, seq: SequenceNumber::new(seq).expect("from 1"), ordinal };
    let command = Engine::decode(payload);
    let mut view = block_on(engine.fetch(&[&command])).expect("state in memory");
    let verdict = Engine::apply(&mut view, Context::new(RULES, version(0), 0), &command);
    assert_eq!(verdict, Verdict::Effective { changed: u32::try_from(written).expect("few") });
    let summary = Engine::summary_of(&view);
    drop(engine.install(view, version(1)));
    engine.confirm();
    assert_eq!(engine.digest(), summary.digest);
}
