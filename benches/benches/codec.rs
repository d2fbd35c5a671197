//! The bytes of a transaction of 100 nouns with vectors, and the envelope around them; both are read back and compared.

use std::hint::black_box;

use brainy_benches::{DIMENSION, Random, noun, put};
use brainy_core::codec::{self, ObjectKind};
use brainy_core::{Metadata, Operation, decode_operations, encode_operations};
use criterion::{Criterion, Throughput};
use serde_json::json;

const NOUNS: usize = 100;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut random = Random::new(1);
    let operations: Vec<Operation> = (0..NOUNS).map(|at| put(noun(&format!("noun-{at}"), &random.row(DIMENSION)))).collect();
    let bytes = encode_operations(&operations);
    assert_eq!(decode_operations(&bytes).expect("our own bytes"), operations);

    let mut group = criterion.benchmark_group("transaction of 100 nouns");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("encode", |bencher| bencher.iter(|| encode_operations(black_box(&operations))));
    group.bench_function("decode", |bencher| bencher.iter(|| decode_operations(black_box(&bytes)).expect("our own bytes")));
    let sealed = codec::seal(ObjectKind::Slot, &bytes);
    assert_eq!(codec::open(ObjectKind::Slot, "slot", &sealed).expect("our own envelope"), bytes);
    group.bench_function("seal", |bencher| bencher.iter(|| codec::seal(ObjectKind::Slot, black_box(&bytes))));
    group.bench_function("open", |bencher| {
        bencher.iter(|| codec::open(ObjectKind::Slot, "slot", black_box(&sealed)).expect("our own envelope").len());
    });
    group.finish();

    let value = json!({"section": "utils", "priority": "optional", "installed_size_kib": 4_242, "essential": false, "tags": ["a", "b", {"c": 1.5}]});
    let metadata = Metadata::from_value(&value).expect("a small object");
    assert_eq!(metadata.to_value(), value);
    let mut group = criterion.benchmark_group("metadata of six values");
    group.throughput(Throughput::Elements(1));
    group.bench_function("from JSON", |bencher| bencher.iter(|| Metadata::from_value(black_box(&value)).expect("a small object")));
    group.bench_function("to JSON", |bencher| bencher.iter(|| black_box(&metadata).to_value()));
    group.finish();
    criterion.final_summary();
}
